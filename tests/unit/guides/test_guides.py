"""Every command in the guides is one that the command line understands."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from components.cli.app import PROGRAM, build

GUIDES = sorted((Path(__file__).parents[3] / "docs" / "guides").glob("*.md"))


def commands(guide: Path) -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```$", guide.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith(PROGRAM)]


def words_of(line: str) -> list[str]:
    """Words of a command line with variables replaced by their defaults, or by a number where none is given."""
    line = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", line.partition(" > ")[0])
    return shlex.split(re.sub(r"\$\w+", "1", line))[1:]


def test_there_is_a_guide_for_each_use() -> None:
    assert [guide.stem for guide in GUIDES] == [
        "debug-on-a-branch",
        "record-and-replay",
        "rehearse-a-release",
        "try-a-rewrite",
    ]
    assert all(commands(guide) for guide in GUIDES)


@pytest.mark.parametrize("line", [line for guide in GUIDES for line in commands(guide)])
def test_a_command_of_a_guide_is_understood(line: str) -> None:
    words = words_of(line)
    command: Any = typer.main.get_command(build(words))
    while hasattr(command, "commands"):
        # A group takes the words before the next command; what that takes is tried in turn.
        command = command.commands[words.pop(0)]
    with command.make_context(PROGRAM, words) as context:
        assert context.params


def test_links_of_guides_lead_somewhere() -> None:
    for guide in GUIDES:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", guide.read_text(encoding="utf-8")):
            assert (guide.parent / target).exists(), f"{guide.name}: {target}"
