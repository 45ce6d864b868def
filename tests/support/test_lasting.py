"""Tests with the same lasting fixture run one after another, because it ends with its last use in a row."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from tests.support.lasting import end_unused, in_rows, until_last_use_of


def test_users_of_a_lasting_fixture_come_in_a_row_and_keep_their_order() -> None:
    items = [made("one", "stage", "mirrored"), made("two", "stage"), made("three", "stage", "mirrored")]
    assert [item.name for item in in_rows(items)] == ["one", "three", "two"]


def test_what_lasts_ends_once_and_after_the_last_of_its_users() -> None:
    ended: list[str] = []
    items = in_rows([made("one", "mirrored"), made("two"), made("three", "mirrored"), made("four")])
    until_last_use_of("mirrored").callback(lambda: ended.append("mirrored"))
    seen = [ended_after(item, following, ended) for item, following in zip(items, [*items[1:], None], strict=True)]
    assert seen == [0, 1, 1, 1]


def ended_after(item: Any, following: Any, ended: Sequence[str]) -> int:
    end_unused(item, following)
    return len(ended)


def made(name: str, *fixtures: str) -> Any:
    return SimpleNamespace(name=name, fixturenames=fixtures)
