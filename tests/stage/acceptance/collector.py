"""Collects what became of the cases, and of tests elsewhere that are cases too."""

import re
from collections.abc import Mapping
from typing import Any, Final

import pytest

from .report import PROPERTY, REPORT, merge

STAGE: Final = "the stage itself"

ELSEWHERE: Final[Mapping[str, tuple[str, str]]] = {
    "test_a_stage_that_ends_leaves_nothing": ("A stage ends", "nothing is left on the machine"),
    "test_a_signal_ends_the_stage_in_order": ("Ctrl-C and SIGTERM", "nothing but logs is left"),
    "test_killed_at_ten_random_moments_the_clean_up_finds_everything": (
        "kill -9 at ten random moments",
        "after the clean-up no process, mount, control group, namespace or link is left",
    ),
    "test_the_start_after_a_crash_cleans_up_by_itself": ("Start after kill -9", "it cleans up and starts"),
    "test_a_second_rehearsal_is_refused_and_the_first_goes_on": ("Two rehearsals at once", "the second exits with 2"),
    "test_a_namespace_of_somebody_else_is_left_alone": ("A name is taken", "one sentence, exit code 2"),
    "test_an_unfit_machine_is_told_why_and_where_else_to_go": (
        "Not root, not Linux, not Debian",
        "one sentence with the way out",
    ),
    "test_packages_are_missing_when_their_files_are": ("Missing packages", "they are found, to be installed by name"),
    "test_too_little_disk_is_said_with_both_figures": ("Too little disk", "one sentence"),
    "test_a_full_disk_in_the_middle_is_a_sentence_not_a_traceback": ("Disk full in the middle", "one sentence"),
    "test_a_killed_up_leaves_nothing_running_and_can_be_repeated": (
        "pulumi killed during up",
        "no process is left, the next up repairs, nothing is doubled",
    ),
}
"""Tests of other folders, by name: the case that each of them is, and what must hold."""


_SAMPLE: Final = re.compile(r"^change\d+-")
"""What pytest calls a parameter that has no short form."""


class Collector:
    """A plugin: writes the report when the session ends."""

    def __init__(self) -> None:
        self._entries: dict[str, dict[str, Any]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the entries of a test; any phase that fails makes them fail."""
        own = [entry for name, entry in report.user_properties if name == PROPERTY and isinstance(entry, dict)]
        for entry in own or self._elsewhere(report):
            kept = self._entries.setdefault(entry["case"], {**entry, "result": "passed"})
            kept.update({**entry, "result": kept["result"] if report.passed else report.outcome})

    def _elsewhere(self, report: pytest.TestReport) -> list[dict[str, Any]]:
        file, _, test = report.nodeid.rpartition("::")
        name = test.partition("[")[0]
        if name not in ELSEWHERE:
            return []
        case, wanted = ELSEWHERE[name]
        parameters = _SAMPLE.sub("", test.removeprefix(name).strip("[]"))
        title = f"{case} ({parameters})" if parameters else case
        return [{"case": title, "source": STAGE, "wanted": wanted, "figure": "", "evidence": file}]

    def pytest_sessionfinish(self) -> None:
        """Write the report."""
        if self._entries:
            merge(REPORT, self._entries.values())
