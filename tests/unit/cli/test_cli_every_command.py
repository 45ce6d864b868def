"""What holds for every command: machines read it, it ends in time, it can be tried first, its help has an example."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from pulumi_traffic_mirror.cli.app import COMMANDS, PROGRAM, build, main

QUIET = {"mcp", "rehearse down", "rehearse clean"}
"""Commands without a result of their own."""

BRIEF = {"branch list", "mcp", "policies", "ramp status", "rehearse down", "rehearse status", "rehearse clean", "check"}
"""Commands that read files or configuration only, or bound what they wait for themselves."""

CHANGING = {"branch start", "branch stop", "expire", "ramp resume", "ramp run", "replay"}
"""Commands that change a stack, or send requests that may have effects."""


def leaves(command: Any, words: str) -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", None)
    if below is None or getattr(command, "invoke_without_command", False):
        yield words, command
    for name, each in (below or {}).items():
        yield from leaves(each, f"{words} {name}".strip())


def everything() -> dict[str, Any]:
    root: Any = typer.main.get_command(build(list(COMMANDS)))
    return {words: command for name, each in root.commands.items() for words, command in leaves(each, name)}


ALL = everything()


def options(words: str) -> set[str]:
    return {name for parameter in ALL[words].params for name in getattr(parameter, "opts", ())}


def test_every_command_is_known_here() -> None:
    assert {words.partition(" ")[0] for words in ALL} == set(COMMANDS)
    assert set(ALL) >= QUIET | BRIEF | CHANGING


@pytest.mark.parametrize("words", sorted(set(ALL) - QUIET))
def test_machines_can_read_what_comes_of_it(words: str) -> None:
    assert "--json" in options(words)


@pytest.mark.parametrize("words", sorted(set(ALL) - BRIEF))
def test_it_ends_in_time(words: str) -> None:
    assert "--timeout" in options(words)


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf"])
@pytest.mark.parametrize("words", ["recordings ls nowhere", "replay nowhere http://127.0.0.1:1", "ramp run", "verify"])
def test_a_time_that_nobody_waits_is_refused(words: str, seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words.split(), "--timeout", seconds]) == 2
    assert "--timeout" in capsys.readouterr().err


@pytest.mark.parametrize("words", sorted(CHANGING))
def test_what_changes_something_can_be_tried_first(words: str) -> None:
    assert "--dry-run" in options(words)


@pytest.mark.parametrize("words", sorted({name.partition(" ")[0] for name in ALL} | CHANGING))
def test_help_has_an_example(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words.split(), "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Example" in shown
    assert f"{PROGRAM} {words.partition(' ')[0]}" in shown


@pytest.mark.parametrize("words", sorted(ALL))
def test_a_shell_completes_its_options(
    words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_TRAFFIC_MIRROR_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", f"{PROGRAM} {words} --")
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) + 1))
    assert main([]) == 0
    offered = set(capsys.readouterr().out.split())
    assert offered >= {name for name in options(words) if name.startswith("--")}
