"""Two answers are compared field by field, whatever their form; equal ones never differ."""

import gzip
import json
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, json_format
from hypothesis import given
from hypothesis import strategies as st

from pulumi_traffic_mirror.model import ValidationError
from pulumi_traffic_mirror.operations.diff.answers import Answer
from pulumi_traffic_mirror.operations.diff.comparing import Comparer
from pulumi_traffic_mirror.operations.diff.differences import Change, compare_values, compare_wire
from pulumi_traffic_mirror.operations.diff.rules import FieldRules
from pulumi_traffic_mirror.operations.diff.tally import shorten
from pulumi_traffic_mirror.operations.recording import Message, Part
from pulumi_traffic_mirror.operations.recording.descriptors import Descriptors

_JSON = (("content-type", "application/json"),)


def _answer(part: Part | None = None, **changes: Any) -> Answer:
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
        response=part or Part(),
    )
    return replace(answer, **changes)


def _differences(primary: Answer, mirror: Answer, **options: Any) -> set[tuple[str, Change]]:
    return {(one.field, one.change) for one in Comparer(**options).compare(primary, mirror).differences}


def _body(document: Any, *, headers: tuple[tuple[str, str], ...] = _JSON) -> Answer:
    return _answer(Part(headers=headers, body=json.dumps(document).encode()))


def _message(*data: bytes, path: str = "/a.B/C", coding: str = "") -> Answer:
    messages = tuple(Message(offset_us=0, size=len(d), data=d, compressed=bool(coding)) for d in data)
    headers = (("grpc-encoding", coding),) if coding else ()
    return _answer(Part(headers=headers, messages=messages), is_grpc=True, grpc_status=0, path=path)


def test_status_headers_and_trailers_are_compared_by_name() -> None:
    primary = _answer(
        Part(headers=(("server", "a"), ("x-old", "1"), ("vary", "a"), ("vary", "b")), trailers=(("sum", "1"),)),
        grpc_status=0,
    )
    mirror = _answer(
        Part(headers=(("vary", "a, b"), ("server", "b"), ("x-new", "1")), trailers=(("sum", "2"),)),
        status=500,
        grpc_status=13,
    )
    assert _differences(primary, mirror) == {
        ("status", Change.VALUE),
        ("grpc-status", Change.VALUE),
        ("header server", Change.VALUE),
        ("header x-old", Change.MISSING),
        ("header x-new", Change.ADDED),
        ("trailer sum", Change.VALUE),
    }


@pytest.mark.parametrize("mirrored", ["88888", "x", None])
def test_a_grpc_status_that_is_no_code_is_compared_as_text(mirrored: str | None) -> None:
    texts = ["99999"] if mirrored is None else ["99999", mirrored]
    primary, *others = [_answer(Part(trailers=(("grpc-status", text),)), is_grpc=True) for text in texts]
    mirror = others[0] if others else _answer(is_grpc=True)
    assert _differences(primary, primary) == set()
    assert {field for field, _ in _differences(primary, mirror)} == {"trailer grpc-status"}
    assert _differences(primary, mirror, ignored_headers=frozenset({"grpc-status"})) == set()


def test_headers_of_the_moment_are_compared_only_when_asked_for() -> None:
    primary, mirror = (_answer(Part(headers=(("date", day), ("x-request-id", day)))) for day in ("1", "2"))
    assert _differences(primary, mirror) == set()
    asked = _differences(primary, mirror, ignored_headers=frozenset())
    assert asked == {("header date", Change.VALUE), ("header x-request-id", Change.VALUE)}


@pytest.mark.parametrize(
    ("primary", "mirror", "expected"),
    [
        ({"a": 1}, {"a": 2}, {("body $.a", Change.VALUE)}),
        ({"a": 1}, {"a": "1"}, {("body $.a", Change.TYPE)}),
        ({"a": 1}, {"a": True}, {("body $.a", Change.TYPE)}),
        ({"a": 1}, {"a": 1.0}, set()),
        ({"a": None}, {}, {("body $.a", Change.MISSING)}),
        ({}, {"a": {"b": 1}}, {("body $.a", Change.ADDED)}),
        ({"a": [1, 2]}, {"a": [1, 3]}, {("body $.a[*]", Change.VALUE)}),
        ({"a": [1, 2]}, {"a": [1]}, {("body $.a", Change.LENGTH)}),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, {("body $.a[*].b", Change.VALUE)}),
        ({"17": 1}, {"17": 2}, {("body $.{id}", Change.VALUE)}),
        ({"a b": 1}, {"a b": 2}, {("body $['a b']", Change.VALUE)}),
        ([1], {"a": 1}, {("body $", Change.TYPE)}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, set()),
    ],
)
def test_json_bodies_are_compared_field_by_field(primary: Any, mirror: Any, expected: set[Any]) -> None:
    assert _differences(_body(primary), _body(mirror)) == expected


def test_a_compressed_body_is_the_same_as_a_plain_one() -> None:
    packed = Part(headers=(*_JSON, ("content-encoding", "gzip")), body=gzip.compress(b'{"a": 1}'))
    found = _differences(_body({"a": 1}), _answer(packed))
    assert found == {("header content-encoding", Change.ADDED)}


@pytest.mark.parametrize("headers", [_JSON, (("content-type", "text/plain"),)])
def test_what_is_no_json_is_compared_as_a_whole(headers: tuple[tuple[str, str], ...]) -> None:
    one, other = (_answer(Part(headers=headers, body=body)) for body in (b"one", b"two"))
    assert _differences(one, other) == {("body", Change.VALUE)}


def test_deep_nesting_is_compared_without_a_traceback() -> None:
    one: Any = 1
    other: Any = 2
    for _ in range(400):
        one, other = [one], [other]
    assert {change for _, change in _differences(_body(one), _body(other))} == {Change.VALUE}


def test_a_body_that_was_not_recorded_whole_is_not_compared() -> None:
    cut = replace(_body({"a": 2}), response=Part(headers=_JSON, body=b'{"a"', truncated=True))
    assert _differences(_body({"a": 1}), cut) == set()


def test_an_answer_that_never_came_is_one_difference() -> None:
    assert _differences(_body({"a": 1}), _answer(status=None)) == {("response", Change.MISSING)}
    assert _differences(_answer(status=None), _body({"a": 1})) == {("response", Change.ADDED)}
    assert _differences(_answer(status=None), _answer(status=None)) == set()


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
_DOCUMENTS = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(_DOCUMENTS)
def test_a_document_never_differs_from_itself(document: Any) -> None:
    assert list(compare_values(document, json.loads(json.dumps(document)), "$")) == []


@given(_DOCUMENTS, _DOCUMENTS)
def test_documents_that_are_written_differently_differ(one: Any, other: Any) -> None:
    normal = [json.dumps(each, sort_keys=True) for each in (one, other)]
    if not list(compare_values(one, other, "$")):
        assert one == other
    if normal[0] == normal[1]:
        assert not list(compare_values(one, other, "$"))


def _varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 0x7F | 0x80]) + _varint(number >> 7)


def _field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


@pytest.mark.parametrize(
    ("primary", "mirror", "expected"),
    [
        (_field(1, 5), _field(1, 6), {("$.1", Change.VALUE)}),
        (_field(1, b"abc"), _field(1, b"abd"), {("$.1", Change.VALUE)}),
        (_field(1, 5), _field(1, b"abc"), {("$.1", Change.TYPE)}),
        (_field(1, 5), _field(2, 5), {("$.1", Change.MISSING), ("$.2", Change.ADDED)}),
        (_field(3, 1) + _field(3, 2), _field(3, 1), {("$.3", Change.LENGTH)}),
        (_field(1, 5) + _field(2, 6), _field(2, 6) + _field(1, 5), set()),
        (
            _field(4, _field(1, 5) + _field(2, b"x")),
            _field(4, _field(1, 6) + _field(2, b"x")),
            {("$.4.1", Change.VALUE)},
        ),
        (_field(4, _field(1, b"inner")), _field(4, _field(1, b"other")), {("$.4.1", Change.VALUE)}),
        (_field(1, b"\xff\xfe"), _field(1, b"\xff\xfd"), {("$.1", Change.VALUE)}),
        (b"\xff", b"\xfe", {("$", Change.VALUE)}),
        (b"\x0b\x10\x01\x0c", b"\x0b\x10\x02\x0c", {("$.1.2", Change.VALUE)}),
    ],
)
def test_protobuf_is_compared_by_field_number_without_descriptors(
    primary: bytes, mirror: bytes, expected: set[Any]
) -> None:
    assert {(one.field, one.change) for one in compare_wire(primary, mirror, "$")} == expected


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_bytes_are_compared_without_a_traceback(one: bytes, other: bytes) -> None:
    list(compare_wire(one, other, "$"))
    assert list(compare_wire(one, one, "$")) == []


def _descriptors() -> Descriptors:
    file = descriptor_pb2.FileDescriptorProto(name="a.proto", package="a", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto
    reply = file.message_type.add(name="Reply")
    reply.field.add(name="total", number=1, type=kinds.TYPE_INT64, label=kinds.LABEL_OPTIONAL)
    reply.field.add(name="names", number=2, type=kinds.TYPE_STRING, label=kinds.LABEL_REPEATED)
    file.service.add(name="B").method.add(name="C", input_type=".a.Reply", output_type=".a.Reply")
    return Descriptors(descriptor_pb2.FileDescriptorSet(file=[file]))


def _reply(descriptors: Descriptors, **fields: Any) -> bytes:
    kind = descriptors.response_type("/a.B/C")
    assert kind is not None
    return json_format.ParseDict(fields, kind()).SerializeToString()


def test_protobuf_fields_have_their_names_with_descriptors() -> None:
    known = _descriptors()
    one, other = (_message(_reply(known, total=t, names=n)) for t, n in ((1, ["x", "y"]), (2, ["x", "z"])))
    expected = {("message $.total", Change.VALUE), ("message $.names[*]", Change.VALUE)}
    assert _differences(one, other, descriptors=known) == expected


def test_a_field_that_the_descriptors_do_not_know_is_found_by_its_number() -> None:
    known = _descriptors()
    one, other = (_message(_reply(known, total=1) + _field(9, value)) for value in (1, 2))
    assert _differences(one, other, descriptors=known) == {("message $.9", Change.VALUE)}


def test_a_method_that_the_descriptors_do_not_know_is_compared_by_number() -> None:
    one, other = (_message(_field(1, n), path="/x.Y/Z") for n in (1, 2))
    assert _differences(one, other, descriptors=_descriptors()) == {("message $.1", Change.VALUE)}


def test_streams_are_compared_message_by_message() -> None:
    one, other = _message(_field(1, 1), _field(1, 2)), _message(_field(1, 1), _field(1, 3), _field(1, 4))
    assert _differences(one, other) == {("messages", Change.LENGTH), ("message $.1", Change.VALUE)}


def test_a_compressed_message_is_the_same_as_a_plain_one() -> None:
    plain = _field(1, b"abc")
    assert _differences(_message(plain), _message(gzip.compress(plain), coding="gzip")) == set()


@pytest.mark.parametrize(
    ("pattern", "endpoint", "field", "covered"),
    [
        ("header x-pod", "GET /", "header x-pod", True),
        ("header x-pod", "GET /", "header x-pods", False),
        ("body $.meta.*", "GET /", "body $.meta.a.b", True),
        ("body $.items[*].at", "GET /", "body $.items[*].at", True),
        ("GET /a/*|status", "GET /a/b", "status", True),
        ("GET /a/*|status", "GET /b", "status", False),
    ],
)
def test_ignore_rules_cover_what_they_name(pattern: str, endpoint: str, field: str, covered: bool) -> None:
    rules = FieldRules([pattern])
    assert [rules.covers(endpoint, field) for _ in range(2)] == [covered, covered]


@pytest.mark.parametrize("pattern", ["", "GET /|", "|status"])
def test_a_malformed_rule_is_refused(pattern: str) -> None:
    with pytest.raises(ValidationError, match=r"ignore\[0\]"):
        FieldRules([pattern])


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (b"\xff", "\\xff"), ("a", "a"), ({"a": [1]}, '{"a": [1]}'), ("x" * 500, "x" * 159 + "…")],
)
def test_examples_are_short_text(value: Any, text: str) -> None:
    assert shorten(value) == text
