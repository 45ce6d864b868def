"""What keeps what is written from doing harm: pages run nothing, and the stage's databases are for their owner."""

import os
import re
import stat
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pulumi_traffic_mirror.rehearsal.cluster.addresses import plan_addresses
from pulumi_traffic_mirror.rehearsal.cluster.cluster import Cluster
from pulumi_traffic_mirror.rehearsal.cluster.files import ClusterFolder
from pulumi_traffic_mirror.rehearsal.progress import SilentProgress

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted((ROOT / "components").rglob("*.html.j2"))
WORKFLOWS = sorted([*(ROOT / ".github" / "workflows").glob("*.yaml"), *(ROOT / "examples" / "ci").glob("*.yaml")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_may_load_and_run_nothing(page: Path) -> None:
    """The first thing in its head, so that it holds for all that follows; a table of JSON in a script is not run."""
    text = page.read_text(encoding="utf-8")
    head = text[text.index("<head>") :]
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', text)
    allowed = {name: rest for name, _, rest in (each.strip().partition(" ") for each in policy.split(";"))}
    assert allowed == {
        "default-src": "'none'",
        "style-src": "'unsafe-inline'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert head.index("Content-Security-Policy") < min(
        head.index(each) for each in ("<title", "<style") if each in head
    )
    assert all('type="application/json"' in each for each in re.findall(r"<script[^>]*>", text))


def test_there_are_pages() -> None:
    assert len(PAGES) >= 3


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow.name)
def test_actions_are_pinned_by_their_commit(workflow: Path) -> None:
    used = re.findall(r"uses: *(\S+)", workflow.read_text(encoding="utf-8"))
    assert [each for each in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", each)] == []


def test_the_folder_of_a_cluster_s_database_is_its_owner_s_alone(tmp_path: Path) -> None:
    class StartedError(Exception):
        """Stands for the database's start, at which the folder must be there already."""

    def start(*_: object) -> None:
        raise StartedError

    given: Any = {
        "addresses": plan_addresses(["staging"])[0],
        "folder": ClusterFolder(root=tmp_path),
        "toolchain": SimpleNamespace(program=str),
        "processes": SimpleNamespace(start=start),
        "image_store": tmp_path,
        "progress": SilentProgress(),
        "cancelled": Event(),
    }
    before = os.umask(0)
    try:
        with pytest.raises(StartedError):
            Cluster(**given)._start_api(cast("Any", None), cast("Any", None))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "database").stat().st_mode) == 0o700
