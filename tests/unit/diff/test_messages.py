"""With descriptors, protobuf messages that mean the same are equal, and whatever else differs is found."""

from typing import Any

import pytest
from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    duration_pb2,
    empty_pb2,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from pulumi_traffic_mirror.operations.diff.differences import Change
from pulumi_traffic_mirror.operations.diff.messages import MessageComparer
from pulumi_traffic_mirror.operations.diff.rules import FieldRules
from pulumi_traffic_mirror.operations.recording.descriptors import Descriptors

_KINDS = descriptor_pb2.FieldDescriptorProto
_WELL_KNOWN = (any_pb2, duration_pb2, empty_pb2, struct_pb2, timestamp_pb2, wrappers_pb2)


def _descriptors() -> Descriptors:
    file = descriptor_pb2.FileDescriptorProto(name="a.proto", package="a", syntax="proto3")
    for module in _WELL_KNOWN:
        file.dependency.append(module.DESCRIPTOR.name)
    color = file.enum_type.add(name="Color")
    color.value.add(name="RED", number=0)
    color.value.add(name="BLUE", number=1)
    inner = file.message_type.add(name="Inner")
    inner.field.add(name="x", number=1, type=_KINDS.TYPE_INT32, label=_KINDS.LABEL_OPTIONAL)
    inner.field.add(name="y", number=2, type=_KINDS.TYPE_INT32, label=_KINDS.LABEL_OPTIONAL)
    reply = file.message_type.add(name="Reply")
    entry = reply.nested_type.add(name="LabelsEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=_KINDS.TYPE_STRING, label=_KINDS.LABEL_OPTIONAL)
    entry.field.add(name="value", number=2, type=_KINDS.TYPE_STRING, label=_KINDS.LABEL_OPTIONAL)

    def add(name: str, number: int, kind: int, type_name: str = "", *, repeated: bool = False) -> None:
        label = _KINDS.LABEL_REPEATED if repeated else _KINDS.LABEL_OPTIONAL
        field = reply.field.add(name=name, number=number, type=kind, label=label)  # pyright: ignore[reportArgumentType] -- an enum's value
        if type_name:
            field.type_name = type_name

    add("total", 1, _KINDS.TYPE_INT64)
    add("labels", 2, _KINDS.TYPE_MESSAGE, ".a.Reply.LabelsEntry", repeated=True)
    add("inner", 3, _KINDS.TYPE_MESSAGE, ".a.Inner")
    add("numbers", 4, _KINDS.TYPE_INT32, repeated=True)
    add("color", 5, _KINDS.TYPE_ENUM, ".a.Color")
    add("detail", 6, _KINDS.TYPE_MESSAGE, ".google.protobuf.Any")
    add("at", 7, _KINDS.TYPE_MESSAGE, ".google.protobuf.Timestamp")
    add("value", 8, _KINDS.TYPE_MESSAGE, ".google.protobuf.Value")
    add("rate", 9, _KINDS.TYPE_DOUBLE)
    add("name", 10, _KINDS.TYPE_MESSAGE, ".google.protobuf.StringValue")
    file.service.add(name="B").method.add(name="C", input_type=".a.Reply", output_type=".a.Reply")
    files = [descriptor_pb2.FileDescriptorProto.FromString(m.DESCRIPTOR.serialized_pb) for m in _WELL_KNOWN]
    return Descriptors(descriptor_pb2.FileDescriptorSet(file=[*files, file]))


_DESCRIPTORS = _descriptors()
_COMPARER = MessageComparer(_DESCRIPTORS)


def _reply(**fields: Any) -> bytes:
    kind = _DESCRIPTORS.response_type("/a.B/C")
    assert kind is not None
    reply = kind()
    for name, value in fields.items():
        if isinstance(value, Message):
            # By way of bytes, because the set's classes are not those of the library.
            getattr(reply, name).SetInParent()
            getattr(reply, name).MergeFromString(value.SerializeToString())
        else:
            setattr(reply, name, value)
    return reply.SerializeToString()


def _differences(one: bytes, other: bytes, *, unordered: Any = None) -> set[tuple[str, Change]]:
    found = _COMPARER.compare(one, other, "/a.B/C", "$", unordered=unordered)
    return {(each.field, each.change) for each in found}


def _field(number: int, value: int | bytes) -> bytes:
    """A field of up to 15, with a small value or a short content."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    return bytes([number << 3 | 2, len(value)]) + value


def _entry(key: bytes, value: bytes) -> bytes:
    return _field(2, _field(1, key) + _field(2, value))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (_entry(b"a", b"1") + _entry(b"b", b"2"), _entry(b"b", b"2") + _entry(b"a", b"1")),
        (_entry(b"a", b"0") + _entry(b"a", b"1"), _entry(b"a", b"1")),
        (_field(1, 0), b""),
        (_field(4, bytes([1, 2])), _field(4, 1) + _field(4, 2)),
        (_field(3, _field(1, 1)) + _field(3, _field(2, 2)), _field(3, _field(1, 1) + _field(2, 2))),
        (_field(1, 5) + _field(5, 1), _field(5, 1) + _field(1, 5)),
        (_field(1, 4) + _field(1, 5), _field(1, 5)),
    ],
    ids=["map order", "map entry twice", "default", "packing", "split sub-message", "field order", "last wins"],
)
def test_equal_messages_are_equal_however_they_are_written(one: bytes, other: bytes) -> None:
    assert one != other
    assert _differences(one, other) == set()


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (_field(1, 1) + _field(15, 1), _field(1, 2) + _field(15, 2), {("$.total", "value"), ("$.15", "value")}),
        (_field(3, _field(9, 1)), _field(3, _field(9, 2)), {("$.inner.9", "value")}),
        (_field(15, b"\x08\x01"), _field(15, b"\x08\x02"), {("$.15.1", "value")}),
        (_field(15, 1), b"", {("$.15", "missing")}),
        (_field(15, 1), _field(15, 1) + _field(15, 2), {("$.15", "length")}),
        (_field(5, 1), _field(5, 7), {("$.color", "value")}),
        (_field(5, 6), _field(5, 7), {("$.color", "value")}),
        (_field(3, b""), b"", {("$.inner", "missing")}),
        (_entry(b"a", b"1"), _entry(b"a", b"2"), {("$.labels.a", "value")}),
        (_field(4, bytes([1, 2])), _field(4, bytes([1, 3])), {("$.numbers[*]", "value")}),
        (b"\xff", b"\xfe", {("$", "value")}),
    ],
)
def test_whatever_else_differs_is_found(one: bytes, other: bytes, expected: set[tuple[str, str]]) -> None:
    assert {(field, change.value) for field, change in _differences(one, other)} == expected


def _packed(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


def test_any_is_opened_by_the_set() -> None:
    inner = [_field(1, number) for number in (1, 2)]
    one, other = (_reply(detail=any_pb2.Any(type_url="x/a.Inner", value=value)) for value in inner)
    assert _differences(one, other) == {("$.detail.x", Change.VALUE)}
    nested = [_reply(detail=_packed(any_pb2.Any(type_url="x/a.Inner", value=value))) for value in inner]
    assert _differences(*nested) == {("$.detail.x", Change.VALUE)}
    seconds = [_reply(detail=_packed(duration_pb2.Duration(seconds=number))) for number in (1, 2)]
    assert _differences(*seconds) == {("$.detail.value", Change.VALUE)}


@pytest.mark.parametrize("url", ["x/not.In.TheSet", "", "/"])
def test_any_of_an_unknown_type_is_told_by_number(url: str) -> None:
    one, other = (_reply(detail=any_pb2.Any(type_url=url, value=_field(3, number))) for number in (1, 2))
    assert _differences(one, other) == {("$.detail.value.3", Change.VALUE)}
    broken = [_reply(detail=any_pb2.Any(type_url="x/a.Inner", value=value)) for value in (b"\xff", b"\xfe")]
    assert _differences(*broken) == {("$.detail.value", Change.VALUE)}


def test_any_within_any_without_end_is_bounded() -> None:
    packed = [any_pb2.Any(type_url="x/a.Inner", value=_field(1, number)) for number in (1, 2)]
    for _ in range(300):
        packed = [_packed(each) for each in packed]
    found = _differences(*(_reply(detail=each) for each in packed))
    assert {change for _, change in found} == {Change.VALUE}


def test_not_a_number_equals_itself() -> None:
    one = _reply(value=struct_pb2.Value(number_value=float("nan")), rate=float("nan"))
    other = _reply(value=struct_pb2.Value(number_value=float("nan")), rate=float("nan"), total=1)
    assert _differences(one, other) == {("$.total", Change.ADDED)}


@pytest.mark.parametrize("seconds", [-(2**62), 2**62])
def test_a_time_out_of_range_is_compared_by_its_parts(seconds: int) -> None:
    stamp = timestamp_pb2.Timestamp(seconds=seconds, nanos=1)
    assert _differences(_reply(at=stamp), _reply(at=stamp, total=1)) == {("$.total", Change.ADDED)}
    later = timestamp_pb2.Timestamp(seconds=seconds, nanos=2)
    assert _differences(_reply(at=stamp), _reply(at=later)) == {("$.at", Change.VALUE)}


def test_what_google_s_own_messages_stand_for_is_one_field() -> None:
    def reply(number: float) -> bytes:
        value = struct_pb2.Value()
        value.struct_value.update({"a": {"b": [number, None]}, "c": True})  # pyright: ignore[reportUnknownMemberType] -- the stubs'
        return _reply(
            value=value,
            name=wrappers_pb2.StringValue(value=str(number)),
            at=timestamp_pb2.Timestamp(seconds=int(number)),
        )

    assert _differences(reply(1), reply(2)) == {
        ("$.value.a.b[*]", Change.VALUE),
        ("$.name", Change.VALUE),
        ("$.at", Change.VALUE),
    }
    nothing = [_reply(value=one) for one in (struct_pb2.Value(), struct_pb2.Value(null_value=struct_pb2.NULL_VALUE))]
    assert _differences(*nothing) == {("$.value", Change.TYPE)}


def test_repeated_fields_are_compared_as_sets_by_rule() -> None:
    one, other = _field(4, bytes([1, 2, 3])), _field(4, bytes([3, 2, 1]))
    assert _differences(one, other) == {("$.numbers[*]", Change.VALUE)}
    assert _differences(one, other, unordered=FieldRules(["$.numbers"]).of("a.B/C")) == set()


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_bytes_are_compared_without_a_traceback(one: bytes, other: bytes) -> None:
    _differences(one, other)
    assert _differences(one, one) == set()
