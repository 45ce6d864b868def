"""Where commands print: whole lines wherever no terminal is."""

import re

import pytest
from rich.table import Table
from rich.text import Text

from pulumi_traffic_mirror.cli.console import open_console

LONG = "/a/very/long/folder" * 20 + "/mirror.yaml:17"


@pytest.mark.parametrize("columns", ["20", "80", ""])
def test_a_file_gets_whole_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    table = Table.grid()
    table.add_row("error", LONG)
    open_console().print(table)
    open_console(stderr=True).print(LONG)
    shown = capsys.readouterr()
    assert LONG in shown.out
    assert LONG in shown.err


def test_a_terminal_gets_lines_of_its_width(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "40")
    open_console().print("word " * 20)
    assert max(len(line.rstrip()) for line in capsys.readouterr().out.splitlines()) <= 40


HOSTILE = "a\x1b]0;title\x07b\x9b31mc\u202ed\x08e"
SHOWN = "a\\x1b]0;title\\x07b\\x9b31mc\\u202ed\\x08e"


@pytest.mark.parametrize("terminal", [True, False])
def test_text_of_others_never_works_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    if terminal:
        monkeypatch.setenv("TTY_COMPATIBLE", "1")
    table = Table(title=HOSTILE)
    table.add_column(HOSTILE)
    table.add_row(HOSTILE)
    table.add_row(Text(HOSTILE))
    console = open_console()
    console.print(table)
    console.print(HOSTILE, markup=False)
    console.print(Text.assemble(("x", "bold"), HOSTILE))
    shown = re.sub("\x1b\\[[0-9;]*m", "", capsys.readouterr().out)  # rich's own colours
    assert shown.count(SHOWN) == 4
    assert shown.count("a\\x1b]0;title") == 6  # rich itself takes the bell and the backspace out of its Text
    assert not set(shown) & set("\x07\x9b\u202e\x08")
    assert "\x1b]" not in shown
