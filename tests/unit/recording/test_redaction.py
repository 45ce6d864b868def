"""What a rule forbids is never kept, and what it does not forbid is kept as it was."""

import gzip
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf import any_pb2, descriptor_pb2, json_format
from hypothesis import given
from hypothesis import strategies as st

from pulumi_traffic_mirror.model import ValidationError
from pulumi_traffic_mirror.operations.recording import Exchange, Message, Part, Side
from pulumi_traffic_mirror.operations.recording.codings import MAX_DECODED_BYTES, decode, encode
from pulumi_traffic_mirror.operations.recording.descriptors import Descriptors
from pulumi_traffic_mirror.operations.recording.redaction import REDACTED, URL_REDACTED, RedactionRules, Redactor

_JSON = (("content-type", "application/json; charset=utf-8"),)
_GRPC = (("content-type", "application/grpc"), ("grpc-encoding", "gzip"))


def _exchange(*, path: str = "/", request: Part | None = None, response: Part | None = None) -> Exchange:
    request = request or Part()
    return Exchange(
        request_id="r",
        side=Side.PRIMARY,
        source="s",
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        method="POST",
        scheme="http",
        authority="a",
        path=path,
        is_grpc=request.headers == _GRPC,
        request=request,
        response=response or Part(),
    )


def _json_part(document: Any, **changes: Any) -> Part:
    return Part(headers=_JSON, body=json.dumps(document).encode(), **changes)


def _redact(exchange: Exchange, **rules: Any) -> Exchange:
    return Redactor(RedactionRules(**rules)).apply(exchange)


def _descriptor_set() -> bytes:
    """shop.v1: Shop/Buy takes an Order (card, buyer{name}, notes, by_name<string, Buyer>) and returns a Buyer."""
    file = descriptor_pb2.FileDescriptorProto(name="shop.proto", package="shop.v1", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto
    buyer = file.message_type.add(name="Buyer")
    buyer.field.add(name="name", number=1, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    order = file.message_type.add(name="Order")
    order.field.add(name="card", number=1, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    order.field.add(
        name="buyers", number=2, type=kinds.TYPE_MESSAGE, type_name=".shop.v1.Buyer", label=kinds.LABEL_REPEATED
    )
    order.field.add(name="note", number=3, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    entry = order.nested_type.add(name="ByNameEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    entry.field.add(
        name="value", number=2, type=kinds.TYPE_MESSAGE, type_name=".shop.v1.Buyer", label=kinds.LABEL_OPTIONAL
    )
    order.field.add(
        name="by_name",
        number=4,
        type=kinds.TYPE_MESSAGE,
        type_name=".shop.v1.Order.ByNameEntry",
        label=kinds.LABEL_REPEATED,
    )
    service = file.service.add(name="Shop")
    service.method.add(name="Buy", input_type=".shop.v1.Order", output_type=".shop.v1.Buyer")
    return descriptor_pb2.FileDescriptorSet(file=[file]).SerializeToString()


def test_credentials_are_replaced_in_both_directions_by_default() -> None:
    before = _exchange(
        request=Part(headers=(("authorization", "Bearer fake"), ("accept", "*/*"))),
        response=Part(headers=(("set-cookie", "a=b"), ("set-cookie", "c=d")), trailers=(("x-api-key", "k"),)),
    )
    after = _redact(before)
    assert after.request.headers == (("authorization", REDACTED), ("accept", "*/*"))
    assert after.response.headers == (("set-cookie", REDACTED), ("set-cookie", REDACTED))
    assert after.response.trailers == (("x-api-key", REDACTED),)
    assert after.redactions == 4


def test_an_exchange_without_anything_forbidden_is_the_same_object() -> None:
    before = _exchange(path="/a?b=c", request=_json_part({"a": 1}))
    assert _redact(before, json_paths=["$.b"]) is before


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a?token=x&b=c", f"/a?token={URL_REDACTED}&b=c"),
        ("/a?b=c&Api%5FKey=x", f"/a?b=c&Api%5FKey={URL_REDACTED}"),
        ("/token=x", "/token=x"),
        ("/a?token=", "/a?token="),
    ],
)
def test_credentials_in_the_query_are_replaced(path: str, expected: str) -> None:
    assert _redact(_exchange(path=path)).path == expected


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("x-envoy-original-path", "/a?token=x&b=c", f"/a?token={URL_REDACTED}&b=c"),
        (
            "referer",
            "https://shop.example/a?b=c&password=x#top",
            f"https://shop.example/a?b=c&password={URL_REDACTED}#top",
        ),
        (
            "location",
            "https://shop.example/#access_token=x&n=1",
            f"https://shop.example/#access_token={URL_REDACTED}&n=1",
        ),
        ("x-note", "?token=x", "?token=x"),
    ],
)
def test_credentials_in_urls_that_headers_repeat_are_replaced(name: str, value: str, expected: str) -> None:
    part = Part(headers=((name, value),))
    after = _redact(_exchange(request=part, response=part))
    assert after.request.headers == after.response.headers == ((name, expected),)


def test_credentials_in_a_form_are_replaced() -> None:
    form = Part(headers=(("content-type", "application/x-www-form-urlencoded"),), body=b"user=u&password=p")
    assert _redact(_exchange(request=form)).request.body == f"user=u&password={URL_REDACTED}".encode()


def test_json_values_are_replaced_at_any_depth() -> None:
    document = {"user": {"email": "e", "id": 1}, "items": [{"card": "1"}, {"card": {"no": 2}}, {"other": "ä"}]}
    after = _redact(_exchange(request=_json_part(document)), json_paths=["$.user.email", "$..card", "$..no"])
    assert json.loads(after.request.body or b"") == {
        "user": {"email": REDACTED, "id": 1},
        "items": [{"card": REDACTED}, {"card": REDACTED}, {"other": "ä"}],
    }
    assert after.redactions == 3


def test_a_compressed_body_is_redacted_inside() -> None:
    headers = (*_JSON, ("content-encoding", "gzip"))
    part = Part(headers=headers, body=gzip.compress(b'{"a":1,"b":2}'))
    after = _redact(_exchange(response=part), json_paths=["$.a"]).response
    assert gzip.decompress(after.body or b"") == f'{{"a":"{REDACTED}","b":2}}'.encode()


@pytest.mark.parametrize(
    "part",
    [
        Part(headers=_JSON, body=b'{"a": "secre', truncated=True),
        Part(headers=_JSON, body=b"12", truncated=True),
        Part(headers=(("content-type", "application/x-www-form-urlencoded"),), body=b"user=u", truncated=True),
        Part(headers=_JSON, body=b"not json"),
        Part(headers=_JSON, body=b"[" * 600),
        Part(headers=(*_JSON, ("content-encoding", "br")), body=b"no brotli"),
        Part(headers=(*_JSON, ("content-encoding", "gzip")), body=b"no brotli"),
        Part(headers=(*_JSON, ("content-encoding", "gzip")), body=gzip.compress(b'{"b": 1}') + b"rest"),
    ],
)
def test_a_body_that_cannot_be_looked_into_is_dropped(part: Part) -> None:
    after = _redact(_exchange(request=part), json_paths=["$.a"])
    assert (after.request.body, after.request.truncated, after.redactions) == (b"", True, 1)


def test_a_grpc_call_that_is_answered_by_plain_json_is_redacted_too() -> None:
    message = Message(offset_us=0, size=0, data=b"")
    call = _exchange(request=Part(headers=_GRPC, messages=(message,)), response=_json_part({"a": "secret", "b": 1}))
    assert _redact(call, json_paths=["$.a"]).response.body == f'{{"a": "{REDACTED}", "b": 1}}'.encode()


@pytest.mark.parametrize("kind", ["application/grpc-web+proto", "application/x-protobuf", "application/proto"])
def test_messages_in_a_framing_that_is_not_understood_are_dropped(kind: str) -> None:
    part = Part(headers=(("content-type", kind),), body=_order({"card": "4"}).SerializeToString())
    rules = {"protobuf_fields": ["shop.v1.Order.card"], "descriptor_set": _descriptor_set()}
    after = _redact(_exchange(path="/shop.v1.Shop/Buy", request=part), **rules)
    assert (after.request.body, after.request.truncated) == (b"", True)


def _order(fields: dict[str, Any]) -> Any:
    kind = Descriptors.parse(_descriptor_set()).request_type("/shop.v1.Shop/Buy")
    assert kind is not None
    return json_format.ParseDict(fields, kind())


@pytest.mark.parametrize("compressed", [False, True])
def test_protobuf_fields_are_cleared_at_any_depth(compressed: bool) -> None:
    order = _order({"card": "4", "note": "n", "buyers": [{"name": "b"}], "by_name": {"k": {"name": "c"}}})
    data = encode(order.SerializeToString(), "gzip" if compressed else "")
    message = Message(offset_us=0, size=len(data), data=data, compressed=compressed)
    after = _redact(
        _exchange(path="/shop.v1.Shop/Buy", request=Part(headers=_GRPC, messages=(message,))),
        protobuf_fields=["shop.v1.Order.card", "shop.v1.Buyer.name"],
        descriptor_set=_descriptor_set(),
    )
    (kept,) = after.request.messages
    plain = _order({})
    plain.ParseFromString(decode(kept.data, "gzip" if compressed else ""))
    kept_fields = json_format.MessageToDict(plain, preserving_proto_field_name=True)
    assert kept_fields == {"note": "n", "buyers": [{}], "by_name": {"k": {}}}
    assert (after.redactions, kept.compressed) == (3, compressed)


@pytest.mark.parametrize(
    ("type_name", "kept"), [("shop.v1.Order", {"note": "n"}), ("shop.v1.Buyer", {"name": "b"}), ("other.Type", {})]
)
def test_a_message_packed_into_another_is_looked_into(type_name: str, kept: dict[str, str]) -> None:
    files = descriptor_pb2.FileDescriptorSet.FromString(_descriptor_set())
    any_pb2.DESCRIPTOR.CopyToProto(files.file.add())
    files.file[0].dependency.append("google/protobuf/any.proto")
    files.file[0].service[0].method.add(
        name="Pass", input_type=".google.protobuf.Any", output_type=".google.protobuf.Any"
    )
    inner = {"shop.v1.Order": {"card": "4", "note": "n"}}.get(type_name, {"name": "b"})
    descriptors = Descriptors(files)
    known = descriptors.message_type(type_name) or descriptors.message_type("shop.v1.Buyer")
    assert known is not None
    packed = any_pb2.Any(type_url=f"type.googleapis.com/{type_name}")
    packed.value = json_format.ParseDict(inner, known()).SerializeToString()
    data = packed.SerializeToString()
    part = Part(headers=_GRPC, messages=(Message(offset_us=0, size=len(data), data=data),))
    rules = {"protobuf_fields": ["shop.v1.Order.card"], "descriptor_set": files.SerializeToString()}
    (after,) = _redact(_exchange(path="/shop.v1.Shop/Pass", request=part), **rules).request.messages
    left = known.FromString(any_pb2.Any.FromString(after.data).value)
    assert json_format.MessageToDict(left) == kept


@pytest.mark.parametrize(
    ("path", "data", "truncated"),
    [
        ("/other.Service/Call", b"\x0a\x01a", False),
        ("/shop.v1.Shop/Buy", b"\xff", False),
        ("/shop.v1.Shop/Buy", b"\x0a\x05a", True),
    ],
)
def test_a_message_that_cannot_be_looked_into_is_dropped(path: str, data: bytes, truncated: bool) -> None:
    message = Message(offset_us=0, size=len(data), data=data, truncated=truncated)
    after = _redact(
        _exchange(path=path, request=Part(headers=_GRPC, messages=(message,))),
        protobuf_fields=["shop.v1.Order.card"],
        descriptor_set=_descriptor_set(),
    )
    (kept,) = after.request.messages
    assert (kept.data, kept.truncated, after.request.truncated) == (b"", True, True)


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        ({"headers": ["Bad Name"]}, r"headers\[0\]"),
        ({"json_paths": ["$.a", "user.email"]}, r"json_paths\[1\]"),
        ({"json_paths": ["$"]}, r"json_paths\[0\]"),
        ({"protobuf_fields": ["a.B.c"]}, "protobuf_fields"),
        ({"protobuf_fields": ["shop.v1.Order.nope"], "descriptor_set": _descriptor_set()}, "protobuf_fields"),
        ({"protobuf_fields": ["a.B.c"], "descriptor_set": b"\xff"}, "descriptor_set"),
    ],
)
def test_a_malformed_rule_is_refused(rules: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        Redactor(RedactionRules(**rules))


def test_an_incomplete_descriptor_set_is_refused() -> None:
    file = descriptor_pb2.FileDescriptorProto(name="a.proto", dependency=["missing.proto"])
    with pytest.raises(ValidationError, match="must be complete"):
        Descriptors.parse(descriptor_pb2.FileDescriptorSet(file=[file]).SerializeToString())


@given(st.binary(max_size=100), st.sampled_from(["", "identity", "gzip", "deflate"]))
def test_a_coding_that_is_known_round_trips(data: bytes, coding: str) -> None:
    assert decode(encode(data, coding), coding) == data


def test_a_bomb_is_not_decoded() -> None:
    assert decode(gzip.compress(bytes(MAX_DECODED_BYTES + 1)), "gzip") is None


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abs"), inner, max_size=3),
        max_leaves=8,
    )
)
def test_no_secret_survives_whatever_the_document(document: Any) -> None:
    def values_of_s(value: Any) -> list[Any]:
        if isinstance(value, dict):
            return [v for k, v in value.items() if k == "s"] + [x for v in value.values() for x in values_of_s(v)]
        return [x for v in value for x in values_of_s(v)] if isinstance(value, list) else []

    after = _redact(_exchange(request=_json_part(document)), json_paths=["$..s"])
    assert set(map(str, values_of_s(json.loads(after.request.body or b"null")))) <= {REDACTED}
