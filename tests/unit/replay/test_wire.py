"""Headers as libcurl takes and gives them."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pulumi_traffic_mirror.operations.replay.wire import (
    UnsendableError,
    header_line,
    header_lines,
    headers_and_trailers,
)

_NAMES = st.sampled_from(["accept", "x-a", "user-agent", "b c", "", "x:y", "a\nb"])
_VALUES = st.text(st.sampled_from("a \t;:,é\r\n\0€"), max_size=4)
_OWN = {"accept": b"Accept:", "user-agent": b"User-Agent:", "expect": b"Expect:"}


def _one_by_one(authority: str, headers: tuple[tuple[str, str], ...]) -> list[bytes] | str:
    try:
        lines = [header_line(name, value) for name, value in (("Host", authority), *headers)]
    except UnsendableError as error:
        return str(error)
    return lines + [line for name, line in _OWN.items() if name not in dict(headers)]


@given(_VALUES, st.lists(st.tuples(_NAMES, _VALUES), max_size=4).map(tuple))
@example("a", (("x-a", "a\nb"), ("b c", "")))
@example("a", (("b c", ""), ("x-a", "a\nb")))
@example("", (("x-a", ""),))
def test_all_headers_at_once_are_what_each_by_itself_is(authority: str, headers: tuple[tuple[str, str], ...]) -> None:
    try:
        lines: list[bytes] | str = header_lines(authority, headers)
    except UnsendableError as error:
        lines = str(error)
    assert lines == _one_by_one(authority, headers)


@pytest.mark.parametrize(
    ("lines", "headers", "trailers"),
    [
        (["HTTP/1.1 200 OK", "A: 1", "b:2", ""], (("a", "1"), ("b", "2")), ()),
        (["HTTP/1.1 100 Continue", "", "HTTP/1.1 200 OK", "a: 1", ""], (("a", "1"),), ()),
        (["HTTP/2 200", "a: 1", "", "b: 2"], (("a", "1"),), (("b", "2"),)),
        (["HTTP/2 200", "a: 1", "", "b: 2", ""], (("a", "1"),), (("b", "2"),)),
        (["HTTP/1.1 103 Early Hints", "a: 1", "", "HTTP/1.1 200 OK", ""], (), ()),
        (["HTTP/1.1 200 OK", ""], (), ()),
        (["HTTP/1.1 200 OK", "a: 1"], (("a", "1"),), ()),
        ([], (), ()),
    ],
)
def test_an_answer_has_the_headers_of_its_last_block_and_its_trailers(
    lines: list[str], headers: tuple[tuple[str, str], ...], trailers: tuple[tuple[str, str], ...]
) -> None:
    assert headers_and_trailers([f"{line}\r\n".encode() for line in lines]) == (headers, trailers)
