"""Where commands print: whole lines wherever no terminal is."""

import pytest
from rich.table import Table

from components.cli.console import open_console

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
