"""Bodies are compared by what they hold, whatever they are said to be; what cannot be opened is said, never passed."""

import gzip
import json
import zlib
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulumi_traffic_mirror.operations.diff.answers import Answer, answers_of, condensed
from pulumi_traffic_mirror.operations.diff.bodies import Form, compare_bodies, read_content
from pulumi_traffic_mirror.operations.diff.comparing import Compared, Comparer
from pulumi_traffic_mirror.operations.diff.differences import Change, compare_values
from pulumi_traffic_mirror.operations.diff.rules import FieldRules
from pulumi_traffic_mirror.operations.recording import Ending, Exchange, Message, Part, Side
from pulumi_traffic_mirror.operations.recording.codings import encode
from pulumi_traffic_mirror.operations.recording.schema import to_batch

_ONE, _OTHER = b'{"total": 1}', b'{"total": 2}'
_TOTAL = {("body $.total", Change.VALUE)}


def _answer(body: bytes, *headers: tuple[str, str], **changes: Any) -> Answer:
    part = Part(headers=headers, body=body, body_size=len(body))
    answer = Answer(
        request_id="r",
        pair_key="r",
        started_us=0,
        endpoint="GET /",
        path="/",
        status=200,
        grpc_status=None,
        is_grpc=False,
        duration_us=1,
        response=part,
    )
    return replace(answer, **changes)


def _compare(primary: Answer, mirror: Answer, **options: Any) -> tuple[set[tuple[str, Change]], str]:
    compared: Compared = Comparer(**options).compare(primary, mirror)
    return {(one.field, one.change) for one in compared.differences}, compared.uncompared


def _fields(primary: bytes, mirror: bytes, media_type: str = "", **options: Any) -> set[tuple[str, Change]]:
    found = compare_bodies(primary, mirror, (media_type, media_type), **options)
    return {(one.field, one.change) for one in found}


_CODINGS = ["gzip", "x-gzip", "deflate", "br", "zstd", "gzip, br", "GZIP", "identity", "br,gzip,zstd"]


@pytest.mark.parametrize("coding", _CODINGS)
def test_a_coded_body_is_compared_by_its_content(coding: str) -> None:
    one, other = (_answer(encode(body, coding), ("content-encoding", coding)) for body in (_ONE, _OTHER))
    assert _compare(one, other) == (_TOTAL, "")
    assert _compare(one, _answer(_ONE, ("content-encoding", coding), response=one.response)) == (set(), "")


def test_a_gzip_file_of_several_members_is_one_body() -> None:
    several = gzip.compress(_OTHER[:5]) + gzip.compress(_OTHER[5:]) + b"\0\0"
    assert _compare(_answer(_ONE), _answer(several, ("content-encoding", "gzip"))) == (
        _TOTAL | {("header content-encoding", Change.ADDED)},
        "",
    )


def test_deflate_without_its_header_is_opened() -> None:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bare = packer.compress(_OTHER) + packer.flush()
    coded = [_answer(body, ("content-encoding", "deflate")) for body in (zlib.compress(_ONE), bare)]
    assert _compare(*coded) == (_TOTAL, "")


@pytest.mark.parametrize(
    ("coding", "body", "reason"),
    [
        ("dcb", b"\xffDCB-made-up", "its content is coded as 'dcb', which is not known here"),
        ("br", b"no brotli", "its content is no whole br"),
        ("zstd", encode(_OTHER, "zstd")[:-1], "its content is no whole zstd"),
        ("gzip", gzip.compress(_OTHER, mtime=0)[:-1], "its content is no whole gzip"),
        ("gzip", gzip.compress(_OTHER, mtime=0) + b"rest", "its content is no whole gzip"),
        ("gzip", gzip.compress(b"\0" * (17 << 20)), "its content is larger than 16,384 KiB once decoded"),
        ("zstd", encode(b"\0" * (17 << 20), "zstd"), "its content is larger than 16,384 KiB once decoded"),
        ("br", encode(b"\0" * (17 << 20), "br"), "its content is larger than 16,384 KiB once decoded"),
        ("gzip,gzip,gzip,gzip,gzip", b"x", "its content has more than 4 codings"),
    ],
    ids=["unknown", "no br", "cut zstd", "cut gzip", "gzip and more", "large gzip", "large zstd", "large br", "many"],
)
def test_a_body_that_cannot_be_opened_is_not_compared(coding: str, body: bytes, reason: str) -> None:
    one, other = (_answer(each, ("content-encoding", coding)) for each in (_ONE, body))
    assert _compare(one if coding == "dcb" else replace(one, response=Part()), other) == (
        set() if coding == "dcb" else {("header content-encoding", Change.ADDED)},
        reason,
    )
    assert _compare(other, other) == (set(), ""), "the same bytes are the same content, whatever it is"


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        (Ending.COMPLETE, "not recorded whole"),
        (Ending.CUT, "the recorder stopped before the answer did"),
        (Ending.RESET, "the answer broke off"),
    ],
)
def test_a_body_that_is_not_there_as_a_whole_is_not_compared(ending: Ending, reason: str) -> None:
    cut = _answer(_ONE[:4], ending=ending)
    cut = replace(cut, response=replace(cut.response, truncated=True))
    broke = {("ending", Change.VALUE)} if ending is Ending.RESET else set[Any]()
    assert _compare(_answer(_ONE), cut) == (broke, reason)
    assert _compare(cut, cut) == (set(), reason), "what is equal so far may differ later"
    assert _compare(_answer(_ONE), cut, ignored=FieldRules(["body"])) == (broke, ""), "nobody wants it"


def test_a_body_of_which_only_the_size_was_recorded_is_not_compared() -> None:
    counted = replace(_answer(b""), response=Part(body=b"", body_size=9))
    assert _compare(counted, counted) == (set(), "not recorded whole")


def test_two_answers_that_never_came_are_not_the_same_answer() -> None:
    nothing = _answer(b"", status=None)
    assert _compare(nothing, nothing) == (set(), "no answer came on either side")


def test_an_empty_body_needs_no_coding() -> None:
    one, other = (_answer(b"", ("content-encoding", coding)) for coding in ("gzip", "gzip"))
    assert _compare(one, replace(other, response=replace(other.response, body=None))) == (set(), "")


@pytest.mark.parametrize(
    "media_type", ["Application/JSON", "application/problem+json; charset=utf-8", "text/plain", "", "text/html", "x"]
)
def test_json_is_told_by_its_content(media_type: str) -> None:
    assert _fields(_ONE, _OTHER, media_type) == _TOTAL
    assert _fields(_ONE, b' {"total":1}\n', media_type) == set()


@pytest.mark.parametrize("media_type", ["application/x-ndjson", "application/json-seq", ""])
@pytest.mark.parametrize("between", [b"\n", b"\r\n", b"\n\x1e", b" "])
def test_lines_of_json_are_compared_document_by_document(media_type: str, between: bytes) -> None:
    one, other = (between.join([b'{"a": 1}', last]) for last in (b'{"a": 2}', b'{"a": 3}'))
    assert _fields(one, other, media_type) == {("body $[*].a", Change.VALUE)}
    assert _fields(one, one + between + b'{"a": 4}', media_type) == {("body $", Change.LENGTH)}
    assert _fields(one, between.join([b'{"a":1}', b'{"a":2}']), media_type) == set()
    assert _fields(one, b'[{"a": 1}, {"a": 2}]', media_type) == {("body", Change.VALUE)}


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (b"[0.1]", b"[0.10000000000000000001]", False),
        (b"[1e400]", b"[2e400]", False),
        (b"[1.0]", b"[1.00]", True),
        (b"[1]", b"[1.0]", True),
        (b"[1e2]", b"[100]", True),
        (b"[-0.0]", b"[0]", True),
        (b"[9007199254740993.0]", b"[9007199254740992.0]", False),
        (b"[1e99999999999999999999]", b"[1e99999999999999999998]", False),
        (b"[1e99999999999999999999]", b"[1e99999999999999999999 ]", True),
        (b"[" + b"7" * 5000 + b"]", b"[" + b"7" * 5000 + b" ]", True),
        (b"[" + b"7" * 5000 + b"]", b"[" + b"7" * 4999 + b"8]", False),
        (b"[NaN]", b"[NaN ]", True),
        (b"[NaN]", b"[1]", False),
        (b"[Infinity]", b"[-Infinity]", False),
        (b'["1"]', b"[1]", False),
        (b"[true]", b"[1]", False),
    ],
)
def test_numbers_are_exact(one: bytes, other: bytes, equal: bool) -> None:
    assert (not _fields(one, other)) is equal


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (b'{"a": 1, "a": 2}', b'{"a": 2}', False),
        (b'{"a": 1, "a": 2}', b'{"a": 3, "a": 2}', False),
        (b'{"a": 1, "a": 2}', b'{"a":1,"a":2}', True),
        (b'{"a": 1, "b": 2}', b'{"b":2,"a":1}', True),
    ],
)
def test_a_name_that_comes_twice_is_not_passed_over(one: bytes, other: bytes, equal: bool) -> None:
    assert (not _fields(one, other)) is equal


def test_xml_is_compared_by_path() -> None:
    one = b'<?xml version="1.0"?><o id="1"><item sku="a">5</item><item sku="b">6</item><at>x</at></o>'
    assert _fields(one, one.replace(b">6<", b">7<")) == {("body /o/item/text()", Change.VALUE)}
    assert _fields(one, one.replace(b'id="1"', b"id='2'")) == {("body /o/@id", Change.VALUE)}
    assert _fields(one, one.replace(b'id="1"', b"id = '1'").replace(b"<item", b"\n  <item"), "text/xml") == set()
    assert _fields(one, one.replace(b"<at>x</at>", b"<by>x</by>")) == {
        ("body /o/at", Change.MISSING),
        ("body /o/at/text()", Change.MISSING),
        ("body /o/by", Change.ADDED),
        ("body /o/by/text()", Change.ADDED),
    }
    swapped = b"<o><a/><b/></o>", b"<o><b/><a/></o>"
    assert _fields(*swapped) == {("body order of elements", Change.VALUE)}


@pytest.mark.parametrize(
    "body",
    [b"<!DOCTYPE o [<!ENTITY e 'x'>]><o>&e;%d</o>", b"<o><p>%d</o>", b"<" + b"a><" * 300 + b"%d"],
    ids=["entities", "broken", "deep"],
)
def test_what_is_no_plain_xml_is_compared_as_text(body: bytes) -> None:
    one, other = (body.replace(b"%d", digit) for digit in (b"1", b"2"))
    assert _fields(one, other, "application/xml") == {("body", Change.VALUE)}


def test_text_is_compared_by_its_lines() -> None:
    one = b"<!doctype html>\n<p nonce=1>\nprice 5\nend"
    assert _fields(one, one.replace(b"nonce=1", b"nonce=2"), "text/html") == {("body line 2", Change.VALUE)}
    assert _fields(one, one.replace(b"price 5", b"price 6"), "text/html") == {("body line 3", Change.VALUE)}
    assert _fields(one, one.replace(b"price 5\n", b""), "text/html") == {("body lines", Change.LENGTH)}
    assert _fields(one.replace(b"5", b"\xe9"), one, "text/plain; charset=ISO-8859-1") == {("body line 3", Change.VALUE)}
    many = b"\n".join(b"%d" % number for number in range(2000))
    assert ("body line after 500", Change.VALUE) in _fields(many, many.replace(b"9", b"x"))


@pytest.mark.parametrize(("one", "other"), [(b"\xff\x01", b"\xff\x02"), (b"a\0b", b"a\0c"), (_ONE, b"<p>503</p>")])
def test_bytes_and_other_forms_are_compared_as_a_whole(one: bytes, other: bytes) -> None:
    assert _fields(one, other) == {("body", Change.VALUE)}


def test_a_document_of_very_many_values_is_not_made_into_objects() -> None:
    assert read_content(b"[" + b"[]," * 1_000_001 + b"[]]", "application/json").form is Form.TEXT


@given(st.binary(max_size=80), st.binary(max_size=80), st.sampled_from(["", "application/json", "text/xml"]))
def test_any_two_bodies_are_told_apart_without_a_traceback(one: bytes, other: bytes, media_type: str) -> None:
    assert _fields(one, one, media_type) == set()
    forms = [read_content(each, media_type) for each in (one, other)]
    if forms[0].form in (Form.TEXT, Form.BYTES):
        assert bool(_fields(one, other, media_type)) is (one != other)


def _unordered(*patterns: str) -> Any:
    return FieldRules(patterns).of("GET /")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([1, 2, 3], [3, 1, 2], set()),
        ([1, 1, 2], [2, 2, 1], {("$[*]", Change.VALUE)}),
        ([{"a": 1, "b": [1]}, {"a": 2}], [{"a": 2.0}, {"b": [1], "a": 1}], set()),
        ([{"a": 1}, {"a": 2}], [{"a": 3}, {"a": 1}], {("$[*].a", Change.VALUE)}),
        ([1, True], [True, 1], set()),
        ([1], [True], {("$[*]", Change.TYPE)}),
        ([1, 2], [2], {("$", Change.LENGTH)}),
        ([float("nan"), 1], [1, float("nan")], set()),
    ],
)
def test_lists_are_compared_as_sets_by_rule(one: Any, other: Any, expected: set[Any]) -> None:
    found = compare_values(one, other, "$", unordered=_unordered("$"))
    assert {(each.field, each.change) for each in found} == expected


def test_a_rule_for_sets_holds_where_it_says() -> None:
    one, other = (json.dumps({"a": numbers, "b": numbers}).encode() for numbers in ([1, 2], [2, 1]))
    primary, mirror = _answer(one), _answer(other)
    assert _compare(primary, mirror, unordered=FieldRules(["body $.a"]))[0] == {("body $.b[*]", Change.VALUE)}
    assert _compare(primary, mirror, unordered=FieldRules(["GET /|body $.*"]))[0] == set()
    assert len(_compare(primary, mirror, unordered=FieldRules(["POST /|body $.*"]))[0]) == 2


def _grpc(part: Part, **changes: Any) -> Answer:
    return _answer(b"", is_grpc=True, grpc_status=0, response=part, **changes)


def test_a_grpc_call_that_a_plain_page_answers_is_compared_by_the_page() -> None:
    pages = [_grpc(Part(body=body, body_size=len(body))) for body in (b"one", b"two")]
    assert _compare(*pages) == ({("body", Change.VALUE)}, "")


def test_messages_of_an_unknown_coding_are_not_compared() -> None:
    coded = [
        _grpc(
            Part(
                headers=(("grpc-encoding", "snappy"),),
                messages=(Message(offset_us=0, size=1, data=data, compressed=True),),
            )
        )
        for data in (b"1", b"2")
    ]
    assert _compare(*coded) == (set(), "its content is coded as 'snappy', which is not known here")
    assert _compare(*coded, ignored=FieldRules(["message*"])) == (set(), "")


def test_an_answer_in_trailers_only_is_the_same_whoever_saw_it() -> None:
    status = (("grpc-status", "5"), ("grpc-message", "no"), ("x-shard", "1"))
    parts = [Part(headers=(("content-type", "application/grpc"), *status)), Part(trailers=(*status[2:], *status[:2]))]
    exchanges = [
        Exchange(
            request_id="r",
            side=Side.PRIMARY,
            source="",
            started_at=datetime(2026, 1, 1, tzinfo=UTC),
            method="POST",
            scheme="http",
            authority="a",
            path="/a.B/C",
            status=200,
            grpc_status=5,
            is_grpc=True,
            response=part,
        )
        for part in parts
    ]
    table = condensed(to_batch(exchanges), frozenset())
    one, other = chain.from_iterable(map(answers_of, table.to_batches()))
    assert _compare(one, other) == (set(), "")


@pytest.mark.parametrize(
    "codings", [("gzip", "br"), ("identity", "gzip"), ("gzip", "identity"), ("zstd, gzip", "br"), ("GZIP", " x-gzip ")]
)
def test_codings_in_several_headers_are_undone_one_after_the_other(codings: tuple[str, str]) -> None:
    headers = [("content-encoding", coding) for coding in codings]
    one, other = (_answer(encode(body, ",".join(codings)), *headers) for body in (_ONE, _OTHER))
    assert _compare(one, other) == (_TOTAL, "")
    spaced = _answer(encode(b'{"total":1}', ",".join(codings)), *headers)
    assert _compare(one, spaced) == (set(), "")


def _call(*messages: Message, coding: str = "", **trailers: str) -> Answer:
    headers = (("content-type", "application/grpc"), *((("grpc-encoding", coding),) if coding else ()))
    told = tuple((name.replace("_", "-"), value) for name, value in trailers.items())
    part = Part(
        headers=headers,
        body_size=sum(5 + each.size for each in messages),
        messages=messages,
        trailers=(("grpc-status", "0"), *told),
    )
    return replace(_answer(b""), is_grpc=True, grpc_status=0, response=part)


def _message(data: bytes, *, compressed: bool = False) -> Message:
    return Message(offset_us=0, size=len(data), data=data, compressed=compressed)


def test_a_compressed_message_of_which_nothing_says_how_is_not_compared() -> None:
    one, other = (_call(_message(gzip.compress(b"\x08\1", mtime=at), compressed=True)) for at in (1, 2))
    assert _compare(one, other) == (set(), "its content is compressed, and nothing says how")
    assert _compare(one, one) == (set(), "")


def test_of_a_stream_that_cannot_be_compared_as_a_whole_no_message_counts() -> None:
    one, other = (
        _call(_message(b"\x08%b" % n), _message(n, compressed=True), coding="made-up") for n in (b"\1", b"\2")
    )
    assert _compare(one, other) == (set(), "its content is coded as something, which is not known here")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("AAE=", "AAE", True),
        ("AAE=,AAI=", "AAE, AAI", True),
        ("AAE", "AAI", False),
        ("AAE,AAI", "AAI,AAE", False),
        ("", "AAE", False),
    ],
)
def test_binary_metadata_is_compared_without_its_padding(one: str, other: str, same: bool) -> None:
    found = set[Any]() if same else {("trailer x-bin", Change.VALUE)}
    assert _compare(_call(x_bin=one), _call(x_bin=other)) == (found, "")


def test_binary_metadata_in_several_trailers_is_that_in_one() -> None:
    several = _call()
    part = replace(several.response, trailers=(("grpc-status", "0"), ("x-bin", "AAE="), ("x-bin", "AAI")))
    assert _compare(replace(several, response=part), _call(x_bin="AAE,AAI")) == (set(), "")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1e-400", "2e-400"),
        ("4.9e-324", "5e-324"),
        ("1.2345e-320", "1.2346E-320"),
        ("1e-0400", "0"),
        ("1e-99999999999999999999", "2e-99999999999999999999"),
        ("1e999", "2e999"),
    ],
)
def test_numbers_that_floating_point_cannot_tell_apart_differ(one: str, other: str) -> None:
    assert _fields(b'{"a": %b}' % one.encode(), b'{"a": %b}' % other.encode()) == {("body $.a", Change.VALUE)}


def test_a_name_that_comes_twice_is_seen_beside_fields_that_vary() -> None:
    one, other = b'{"a": 1, "a": 3, "at": 1}', b'{"a": 2, "a": 3, "at": 2}'
    assert _fields(one, other) == {("body", Change.VALUE), ("body $.at", Change.VALUE)}
    varies = b'{"a": 1, "a": 3, "at": 5}'
    assert _fields(one, varies) == {("body $.at", Change.VALUE)}, "the name's values are the same"


@pytest.mark.parametrize("name", ["a", '\\"', "\\u0022", "\\ud800", "\u2200"])
def test_a_name_that_comes_twice_is_seen_however_it_is_written(name: str) -> None:
    one, other = (f'{{"{name}": {first}, "{name}": 3}}' for first in (1, 2))
    for encoding in ("utf-8", "utf-16"):
        assert _fields(one.encode(encoding), other.encode(encoding)) == {("body", Change.VALUE)}
