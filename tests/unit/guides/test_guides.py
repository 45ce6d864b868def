"""Every command in the documentation and in help is one that the command line understands."""

import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer.main

from pulumi_traffic_mirror.cli.app import COMMANDS, PROGRAM, build, module_of
from pulumi_traffic_mirror.mesh.compatibility import SUPPORTED_KUBERNETES
from pulumi_traffic_mirror.model import AuthorityMode, IstioBehaviour, IstioVersion
from pulumi_traffic_mirror.rehearsal.machine.requirements import ELSEWHERE

ROOT = Path(__file__).parents[3]
GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def commands(guide: Path) -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```$", guide.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith(PROGRAM)]


def mentioned(page: Path) -> list[str]:
    """Commands in a page's sentences and in its indented lines."""
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"(?:`|^    )(?:\.venv/bin/)?({PROGRAM} [^`\n]+)", text, re.MULTILINE)


def in_help() -> list[str]:
    """Commands in the examples of every command's help."""
    modules = [import_module(f"pulumi_traffic_mirror.cli.{module_of(name)}") for name in COMMANDS]
    texts = [" ".join(module.EPILOG.split()) for module in modules]
    return [line for text in texts for line in re.findall(rf'({PROGRAM} [^"]+)"', text)]


def words_of(line: str) -> list[str]:
    """Words of a command line with variables replaced by their defaults, or by a number where none is given."""
    line = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", re.split(r" [>|] ", line)[0])
    return shlex.split(re.sub(r"\$\w+", "1", line))[1:]


def test_there_is_a_guide_for_each_use() -> None:
    assert [guide.stem for guide in GUIDES] == [
        "adjust-components",
        "debug-on-a-branch",
        "import-recordings",
        "lint-manifests",
        "mirror-an-existing-service",
        "other-languages",
        "own-rules",
        "record-and-replay",
        "rehearse-a-release",
        "try-a-rewrite",
        "what-if",
    ]
    programs_alone = {"adjust-components", "mirror-an-existing-service", "other-languages", "own-rules"}
    assert {guide.stem for guide in GUIDES if not commands(guide)} == programs_alone


def understand(line: str) -> None:
    words = words_of(line)
    command: Any = typer.main.get_command(build(words))
    while words and words[0] in getattr(command, "commands", {}):
        # A group takes the words before the next command; what that takes is tried in turn.
        command = command.commands[words.pop(0)]
    command.make_context(PROGRAM, words).close()


@pytest.mark.parametrize("line", [line for guide in GUIDES for line in commands(guide)])
def test_a_command_of_a_guide_is_understood(line: str) -> None:
    understand(line)


MENTIONED = sorted({line for page in PAGES for line in mentioned(page)} | {*in_help(), ELSEWHERE})


@pytest.mark.parametrize("line", MENTIONED)
def test_a_command_that_is_mentioned_is_understood(line: str) -> None:
    line = line[line.index(PROGRAM) :]
    if line.removeprefix(f"{PROGRAM} ") not in COMMANDS:  # more than a name
        understand(line)


def test_rehearsing_on_clusters_that_exist_is_told_with_the_image_that_it_needs() -> None:
    lines = [line for line in MENTIONED if "rehearse" in line and "--staging" in line]
    assert len(lines) == 3
    assert all("--greeter-image" in line for line in lines)


def test_the_versions_in_the_readme_are_those_that_are_supported() -> None:
    rows = re.findall(
        r"^\| (1\.[\d., ]+) \| 1\.(\d+) to 1\.(\d+) \| (.*?) \|", PAGES[0].read_text("utf-8"), re.MULTILINE
    )
    told = {
        int(release.removeprefix("1.")): ((int(first), int(last)), "-shadow" in authority)
        for releases, first, last, authority in rows
        for release in releases.split(", ")
    }
    assert told == {
        minor: (kubernetes, IstioBehaviour(version=IstioVersion(1, minor)).authority_mode is AuthorityMode.SUFFIXED)
        for minor, kubernetes in SUPPORTED_KUBERNETES.items()
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text(encoding="utf-8")):
        there = page.parent / target if target else page
        assert there.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", there.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
