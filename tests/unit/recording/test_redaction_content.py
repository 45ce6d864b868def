"""Redaction goes by what a body holds, changes nothing but what is forbidden, and keeps nothing it cannot read."""

import gzip
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf import descriptor_pb2
from hypothesis import given
from hypothesis import strategies as st

from pulumi_traffic_mirror.model.credentials import CREDENTIAL_FIELDS, CREDENTIAL_HEADERS
from pulumi_traffic_mirror.model.recording import DEFAULT_HEADERS
from pulumi_traffic_mirror.model.safety import Scrub
from pulumi_traffic_mirror.operations.recording import Exchange, Message, Part, Side
from pulumi_traffic_mirror.operations.recording.codings import decode, encode
from pulumi_traffic_mirror.operations.recording.descriptors import Descriptors
from pulumi_traffic_mirror.operations.recording.redaction import (
    MAX_LOOKED_INTO_BYTES,
    REDACTED,
    URL_REDACTED,
    RedactionRules,
    Redactor,
    carries_redacted,
)
from pulumi_traffic_mirror.operations.recording.redaction_protobuf import ProtobufRedactor

_EMAIL = "made.up@shop.example"
_RULES = Redactor(RedactionRules(json_paths=["$..email"]))
_DEFAULTS = Redactor(RedactionRules())


def _exchange(part: Part, **changes: Any) -> Exchange:
    exchange = Exchange(
        request_id="r",
        side=Side.PRIMARY,
        source="s",
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        method="POST",
        scheme="http",
        authority="a",
        path="/",
        request=part,
    )
    return replace(exchange, **changes)


def _body(body: str | bytes, media_type: str | None = None, *headers: tuple[str, str], **changes: Any) -> Part:
    types = () if media_type is None else (("content-type", media_type),)
    content = body if isinstance(body, bytes) else body.encode()
    return Part(headers=(*types, *headers), body=content, body_size=len(content), **changes)


def _kept(part: Part, redactor: Redactor = _RULES) -> tuple[str, int]:
    after = redactor.apply(_exchange(part))
    assert after.request.truncated or after.request.body or not part.body
    return (after.request.body or b"").decode("utf-8", "surrogateescape"), after.redactions


@pytest.mark.parametrize(
    "media_type",
    ["application/json", "Application/JSON", "text/plain", "text/html", "application/octet-stream", "", None],
)
def test_json_is_redacted_whatever_it_is_said_to_be(media_type: str | None) -> None:
    assert _kept(_body(f'{{"email": "{_EMAIL}"}}', media_type)) == (f'{{"email": "{REDACTED}"}}', 1)


@pytest.mark.parametrize("between", ["\n", "\r\n", "\n\x1e", " "])
def test_lines_of_json_are_redacted_one_by_one(between: str) -> None:
    lines = between.join(f'{{"n":{number}, "email":"{_EMAIL}"}}' for number in range(3))
    kept, count = _kept(_body(lines, "application/x-ndjson"))
    assert (kept, count) == (lines.replace(_EMAIL, REDACTED), 3)


_EXACT = """\
 {"z": 1.10, "a": 1e5, "big": 12345678901234567890123456789012345678901234567890,
\t"twice": 1, "twice": 2, "ä": "\\u00e4\\/", "list": [ 1 ,2, {"email" : EMAIL} ], "email":EMAIL , "none": null }
"""


def test_only_the_forbidden_bytes_change() -> None:
    before = _EXACT.replace("EMAIL", f'"{_EMAIL}"')
    assert _kept(_body(before)) == (_EXACT.replace("EMAIL", f'"{REDACTED}"'), 2)


@pytest.mark.parametrize("value", ['"x"', "1", "null", "true", "[1, {}]", '{"a": {"email": 1}}', '"\\"}"', '""'])
def test_a_value_of_any_kind_is_replaced_as_a_whole(value: str) -> None:
    assert _kept(_body(f'{{"email":{value},"b":[]}}')) == (f'{{"email":"{REDACTED}","b":[]}}', 1)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_json_in_another_encoding_stays_in_it(encoding: str) -> None:
    document = f'{{"email": "{_EMAIL}", "n": "ä"}}'
    after = _RULES.apply(_exchange(_body(document.encode(encoding), "application/json"))).request.body
    assert after == document.replace(_EMAIL, REDACTED).encode(encoding)


@pytest.mark.parametrize(
    ("paths", "before", "after"),
    [
        (["$.email"], '{"email":"a","email":"b"}', '{"email":"#","email":"#"}'),
        (["$..email"], '{"a":{"email":"a"},"a":{"b":1}}', '{"a":{"email":"#"},"a":{"b":1}}'),
        (["$..email"], '{"a":{"email":"a"},"a":1}', '{"a":{"email":"#"},"a":1}'),
        (["$.a[0].email"], '{"a":[{"email":"a"}],"a":[]}', '{"a":[{"email":"#"}],"a":[]}'),
        (["$.a[0].email"], '{"a":[],"a":[{"email":"a"}]}', '{"a":[],"a":[{"email":"#"}]}'),
        (["$.a.b.email"], '{"a":{"b":{"email":1},"b":2},"a":{"b":3}}', '{"a":{"b":{"email":"#"},"b":2},"a":{"b":3}}'),
        (["$..*.email"], '{"a":{"c":1},"a":{"email":2}}', '{"a":{"c":1},"a":{"email":"#"}}'),
        (["$[?@.kind=='a'].email"], '[{"kind":"a","email":1},{"email":2}]', '[{"kind":"a","email":"#"},{"email":2}]'),
        (["$[-1]"], "[1,2]", '[1,"#"]'),
        (["$['a b']['.']"], '{"a b":{".":1,"":2}}', '{"a b":{".":"#","":2}}'),
        (["$['']"], '{"":1,"a":2}', '{"":"#","a":2}'),
        (["$.a", "$.a.b"], '{"a":{"b":1}}', '{"a":"#"}'),
        (["$.e\\u006dail"], '{"email":1}', None),
    ],
)
def test_paths_find_every_value_they_mean(paths: list[str], before: str, after: str | None) -> None:
    if after is None:
        with pytest.raises(Exception, match="json_paths"):
            Redactor(RedactionRules(json_paths=paths))
        return
    kept, _ = _kept(_body(before), Redactor(RedactionRules(json_paths=paths)))
    assert kept == after.replace("#", REDACTED)


@pytest.mark.parametrize("path", ["$[?@.kind=='a'].email", "$.list[-1]", "$.list[1:]"])
def test_where_a_name_comes_twice_and_a_path_hangs_on_it_nothing_is_kept(path: str) -> None:
    part = _body('{"list":[1,2],"list":[3]}')
    assert _kept(part, Redactor(RedactionRules(json_paths=[path]))) == ("", 1) or "email" in path
    declared = replace(part, headers=(("content-type", "application/json"),))
    assert _kept(declared, Redactor(RedactionRules(json_paths=[path]))) == ("", 1)


@pytest.mark.parametrize(
    "part",
    [
        _body(f'{{"email": "{_EMAIL}"', "application/json"),
        _body(f'{{"email": "{_EMAIL}"', "text/plain"),
        _body(f'{{"email": "{_EMAIL}"}} and more', "text/plain"),
        _body(f"<user><email>{_EMAIL}</email></user>", "text/xml"),
        _body(f"email: {_EMAIL}\n", "application/yaml"),
        _body(f'for(;;);{{"email":"{_EMAIL}"}}', "application/javascript"),
        _body(f'{{"email": "{_EMAIL}"', None, truncated=True),
        _body(b"whatever", "application/json", ("content-encoding", "made-up")),
        _body(gzip.compress(b"[" + b"0," * 2_500_000 + b"0]"), "application/json", ("content-encoding", "gzip")),
        _body(f'data: {{"email":\ndata: "{_EMAIL}"}}\n\n', "text/event-stream"),
    ],
)
def test_what_cannot_be_read_under_a_rule_is_dropped_and_counted(part: Part) -> None:
    assert _kept(part) == ("", 1)


@pytest.mark.parametrize(
    "part",
    [
        _body("<p>Nothing of that kind</p>", "text/html"),
        _body(b"\x89PNG\r\n email", "image/png"),
        _body("[INFO] started", "text/plain"),
        _body('{"a": 1}', "text/plain"),
        _body("{not json", "text/plain", truncated=True),
    ],
)
def test_what_holds_nothing_forbidden_is_kept_as_it_is(part: Part) -> None:
    before = _exchange(part)
    assert _RULES.apply(before) is before


@pytest.mark.parametrize(
    "media_type",
    ["application/x-www-form-urlencoded", "Application/X-WWW-Form-URLencoded; charset=utf-8", "text/plain", None],
)
def test_forms_are_told_by_their_content(media_type: str | None) -> None:
    part = _body("user=u&pass%77ord=p&note=a%20b", media_type)
    assert _kept(part) == (f"user=u&pass%77ord={URL_REDACTED}&note=a%20b", 1)


def test_what_is_called_a_form_and_is_broken_json_is_dropped() -> None:
    form = "application/x-www-form-urlencoded"
    assert _kept(_body('{"password": "x",}', form), _DEFAULTS) == ("", 1)
    assert _kept(_body('{"name": "x",}', form), _DEFAULTS) == ('{"name": "x",}', 0)


def test_json_in_a_form_field_and_in_a_query_is_looked_into() -> None:
    part = _body("payload=%7B%22email%22%3A%22a%40b%22%7D&n=1", "application/x-www-form-urlencoded")
    assert _kept(part) == ("payload=%7B%22email%22%3A%22%5Bredacted%5D%22%7D&n=1", 1)
    after = _RULES.apply(_exchange(Part(), path='/a?filter={"email":"a@b"}&n=[1'))
    assert after.path == "/a?filter=%7B%22email%22%3A%22%5Bredacted%5D%22%7D&n=[1"


_MULTIPART = (
    '--b\r\nContent-Disposition: form-data; name="user"\r\n\r\nu\r\n'
    '--b\r\nContent-Disposition: form-data; name="password"\r\n\r\nPASSWORD\r\n'
    '--b\r\nContent-Disposition: form-data; name="data"; filename="a.json"\r\nContent-Type: application/json\r\n\r\n'
    '{"email": "EMAIL", "n": 1.0}\r\n--b--\r\n'
)


@pytest.mark.parametrize("media_type", ['multipart/form-data; boundary="b"', "Multipart/Mixed; Boundary=b", None])
@pytest.mark.parametrize("line", ["\r\n", "\n"])
def test_fields_and_parts_of_multipart_are_redacted(media_type: str | None, line: str) -> None:
    template = _MULTIPART.replace("\r\n", line)
    part = _body(template.replace("PASSWORD", "secret").replace("EMAIL", _EMAIL), media_type)
    assert _kept(part) == (template.replace("PASSWORD", REDACTED).replace("EMAIL", REDACTED), 2)


def test_a_part_in_another_transfer_encoding_is_not_kept() -> None:
    body = "--b\r\nContent-Transfer-Encoding: base64\r\n\r\neyJlbWFpbCI6IjEifQ==\r\n--b--\r\n"
    assert _kept(_body(body, "multipart/mixed; boundary=b")) == ("", 1)


def test_multipart_that_breaks_off_loses_what_it_has_of_a_secret() -> None:
    body = '--b\r\nContent-Disposition: form-data; name="password"\r\n\r\nsec'
    kept, count = _kept(_body(body, "multipart/form-data; boundary=b", truncated=True))
    assert (kept, count) == (body.replace("sec", REDACTED), 1)


def test_multipart_within_multipart_without_end_is_dropped() -> None:
    body = "x"
    for depth in range(6):
        body = f"--b{depth}\r\nContent-Type: multipart/mixed; boundary=b{depth - 1}\r\n\r\n{body}\r\n--b{depth}--\r\n"
    assert _kept(_body(body, "multipart/mixed; boundary=b5")) == ("", 1)


@pytest.mark.parametrize("media_type", ["text/event-stream", None])
def test_server_sent_events_are_redacted_line_by_line(media_type: str | None) -> None:
    events = f'event: a\ndata: {{"email": "{_EMAIL}"}}\n\ndata: [DONE]\n\ndata:{{"email":"{_EMAIL}"}}\n\n'
    expected = events.replace(_EMAIL, REDACTED)
    redactor = Redactor(RedactionRules(json_paths=["$.email"]))
    kept, count = _kept(_body(events.replace("[DONE]", "done"), media_type), redactor)
    assert (kept, count) == (expected.replace("[DONE]", "done"), 2)


@pytest.mark.parametrize(
    "name",
    [
        *(name.removeprefix("*") for name in CREDENTIAL_FIELDS),
        *("accessToken", "Client-Secret", "PASSWORD", "pass\\u0077ord"),
        *("newPassword", "db_password", "user.password", "githubApiKey", "Proxy-Authorization", "webhookSecret"),
    ],
)
def test_credentials_in_json_are_redacted_without_any_rule(name: str) -> None:
    assert _kept(_body(f'{{"a": [{{"{name}" : "x", "n": 1}}]}}'), _DEFAULTS) == (
        f'{{"a": [{{"{name}" : "{REDACTED}", "n": 1}}]}}',
        1,
    )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        # HAR, Kubernetes
        ('[{"name": "Authorization", "value": "x"}, {"name": "accept", "value": "y"}]', {"x"}),
        ('{"env": [{"value": "x", "name": "DB_PASSWORD"}]}', {"x"}),
        # Postman, tags of Amazon
        ('{"header": [{"key": "x-shop-api-key", "disabled": false, "value": "x"}]}', {"x"}),
        ('{"Tags": [{"Key": "client_secret", "Value": "x"}, {"Key": "owner", "Value": "y"}]}', {"x"}),
        (r'[{"name": "pass\u0077ord", "value": "x"}]', {"x"}),
        # what names the headers of requests in several languages
        ('{"headers": [["cookie", "x"], ["accept", "y"]]}', {"x"}),
    ],
)
def test_values_beside_their_names_are_redacted(body: str, expected: set[str]) -> None:
    wanted = body
    for value in expected:
        wanted = wanted.replace(f'"{value}"', f'"{REDACTED}"')
    assert _kept(_body(body), _DEFAULTS) == (wanted, 1)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        # OpenTelemetry, several values, what the value holds was found before its name came
        ('{"key": "token", "value": {"stringValue": "x"}}', '{"key": "token", "value": "[redacted]"}'),
        ('{"name": "set-cookie", "values": ["x", "y"]}', '{"name": "set-cookie", "values": "[redacted]"}'),
        ('{"value": {"password": "x"}, "name": "secret"}', '{"value": "[redacted]", "name": "secret"}'),
        (r'{"log": "{\"name\": \"password\", \"value\": \"x\"}"}', '{"log": "[redacted]"}'),
    ],
)
def test_a_value_beside_its_name_is_redacted_as_a_whole(body: str, expected: str) -> None:
    assert _kept(_body(body), _DEFAULTS) == (expected, 1)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            '<p>a</p><input type="hidden" name="authenticity_token" value="x/+=" id="a"><b>',
            '<p>a</p><input type="hidden" name="authenticity_token" value="[redacted]" id="a"><b>',
        ),
        ("<meta content='x' name='csrf-token'/>", "<meta content='[redacted]' name='csrf-token'/>"),
        ("<input name=api_key value=x>", "<input name=api_key value=[redacted]>"),
        ('<add key="DbPassword" value="x" />', '<add key="DbPassword" value="[redacted]" />'),
    ],
)
def test_tags_that_have_a_name_and_a_value_are_redacted(body: str, expected: str) -> None:
    assert _kept(_body(body, "text/html"), _DEFAULTS) == (expected, 1)


def test_a_tag_that_breaks_off_within_its_value_keeps_nothing_of_it() -> None:
    kept = _kept(_body('<input name="csrf_token" value="x', "text/html", truncated=True), _DEFAULTS)
    assert kept == ('<input name="csrf_token" value="[redacted]', 1)


@pytest.mark.parametrize(
    "body",
    [
        '{"password": null, "token": true, "secret": ""}',
        '{"tokens": 1, "nextPageToken": "a", "paidToken": 1, "passwordless": 1}',
        r'{"message": "a \"token\" was given; password: none"}',
        '{"name": "token", "type": "string"}',
        '{"name": "token", "value": null}',
        '{"value": "token", "name": "a"}',
        '{"fields": ["token", "email"], "value": 1}',
        '[["token", "email", "name"], ["a", "b", "c"]]',
    ],
)
def test_what_is_no_credential_is_kept(body: str) -> None:
    assert _kept(_body(body), _DEFAULTS) == (body, 0)


def test_a_cut_body_is_kept_unless_it_names_a_credential() -> None:
    assert _kept(_body('{"a": "x", "b', "application/json", truncated=True), _DEFAULTS)[1] == 0
    assert _kept(_body('{"password": "x", "b', "application/json", truncated=True), _DEFAULTS) == ("", 1)


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, br"])
def test_a_coded_body_is_redacted_inside_and_coded_again(coding: str) -> None:
    part = _body(encode(f'{{"email": "{_EMAIL}"}}'.encode(), coding), "text/plain", ("content-encoding", coding))
    after = _RULES.apply(_exchange(part)).request
    assert after.body == encode(f'{{"email": "{REDACTED}"}}'.encode(), coding)


def test_a_small_body_that_holds_very_much_is_dropped_before_it_fills_the_memory() -> None:
    small = gzip.compress(b"[" + b"[]," * (MAX_LOOKED_INTO_BYTES // 3 - 2) + b"1]")
    assert len(small) < 14 * 1024
    assert _kept(_body(small, "application/json", ("content-encoding", "gzip"))) == ("", 1)


def test_messages_of_json_are_redacted_and_others_kept() -> None:
    parts = [f'{{"email": "{_EMAIL}"}}'.encode(), b"\x0a\x05email"]
    messages = tuple(Message(offset_us=0, size=len(data), data=data) for data in parts)
    after = _RULES.apply(_exchange(Part(headers=(("content-type", "application/grpc"),), messages=messages)))
    assert [message.data for message in after.request.messages] == [f'{{"email": "{REDACTED}"}}'.encode(), parts[1]]
    cut = replace(messages[1], truncated=True)
    kept = _exchange(Part(messages=(cut,), truncated=True))
    assert _RULES.apply(kept) is kept


def test_everybody_uses_one_list_of_credential_headers() -> None:
    assert set(CREDENTIAL_HEADERS) <= set(DEFAULT_HEADERS)
    assert set(CREDENTIAL_HEADERS) <= set(Scrub().headers)
    for name in ("x-auth-token", "x-csrf-token", "x-amz-security-token", "x-goog-iap-jwt-assertion"):
        assert name in CREDENTIAL_HEADERS


@pytest.mark.parametrize(
    ("part", "path", "expected"),
    [
        (Part(), "/a?b=c", False),
        (Part(), f"/a?token={URL_REDACTED}", True),
        (Part(headers=(("authorization", REDACTED),)), "/", True),
        (_body(f'{{"a": "{REDACTED}"}}'), "/", True),
        (_body(encode(f"a={URL_REDACTED}".encode(), "gzip"), None, ("content-encoding", "gzip")), "/", True),
        (Part(messages=(Message(offset_us=0, size=9, data=REDACTED.encode()),)), "/", True),
        (_body("{}"), "/", False),
    ],
)
def test_a_request_that_carries_redacted_values_is_told(part: Part, path: str, expected: bool) -> None:
    assert carries_redacted(_exchange(part, path=path)) is expected


def _proto(*fields: str) -> ProtobufRedactor:
    """Of a.Inner(secret=1, n=2, group=3{secret=1}) and a.Outer(inner=1, many=2, n=3)."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="a.proto", package="a", syntax="proto2")
    inner = file.message_type.add(name="Inner")
    inner.field.add(name="secret", number=1, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    inner.field.add(name="n", number=2, type=kinds.TYPE_INT32, label=kinds.LABEL_OPTIONAL)
    inner.nested_type.add(name="Group").field.add(
        name="secret", number=1, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL
    )
    inner.field.add(
        name="group", number=3, type=kinds.TYPE_GROUP, type_name=".a.Inner.Group", label=kinds.LABEL_OPTIONAL
    )
    outer = file.message_type.add(name="Outer")
    outer.field.add(name="inner", number=1, type=kinds.TYPE_MESSAGE, type_name=".a.Inner", label=kinds.LABEL_OPTIONAL)
    outer.field.add(name="many", number=2, type=kinds.TYPE_MESSAGE, type_name=".a.Inner", label=kinds.LABEL_REPEATED)
    outer.field.add(name="n", number=3, type=kinds.TYPE_INT32, label=kinds.LABEL_OPTIONAL)
    file.service.add(name="S").method.add(name="M", input_type=".a.Outer", output_type=".a.Outer")
    return ProtobufRedactor(fields, Descriptors(descriptor_pb2.FileDescriptorSet(file=[file])))


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2, len(content)]) + content


_N = b"\x10\x85\x00"
"""Field 2 with a number that takes more bytes than it needs, as no library writes it."""


@pytest.mark.parametrize(
    ("before", "after", "count"),
    [
        (_field(1, _field(1, b"s") + _N), _field(1, _N), 1),
        (_field(15, b"?") + _field(1, _N + _field(1, b"s")), _field(15, b"?") + _field(1, _N), 1),
        (
            _field(2, _field(1, b"s")) + _field(1, _N) + _field(2, _field(1, b"t")),
            _field(2, b"") + _field(1, _N) + _field(2, b""),
            2,
        ),
        (_field(1, b"\x1b" + _field(1, b"s") + b"\x1c" + _N), _field(1, b"\x1b\x1c" + _N), 1),
        (_field(1, _field(1, b"s") + _field(1, b"t")), _field(1, b""), 2),
        (b"\x18\x01" + _field(1, _N), b"\x18\x01" + _field(1, _N), 0),
    ],
    ids=["number", "unknown and order", "repeated", "group", "twice", "nothing"],
)
def test_only_the_forbidden_fields_leave_a_message(before: bytes, after: bytes, count: int) -> None:
    rule = _proto("a.Inner.secret", "a.Inner.Group.secret").rule("/a.S/M", is_request=True)
    assert rule(before) == (after, count)


@given(st.binary(max_size=60))
def test_any_bytes_of_a_message_are_redacted_without_a_traceback(data: bytes) -> None:
    kept, count = _proto("a.Inner.secret").rule("/a.S/M", is_request=True)(data)
    assert kept is None or (kept == data) is (count == 0)


_DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "s", 'q"', "\\"]), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(st.lists(_DOCUMENTS, min_size=1, max_size=3), st.sampled_from([(",", ":"), (" , ", " : "), (",\n", ":\t")]))
def test_all_but_the_forbidden_stays_to_the_byte(documents: Sequence[Any], separators: tuple[str, str]) -> None:
    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: REDACTED if key == "s" else without(inner) for key, inner in value.items()}
        return [without(inner) for inner in value] if isinstance(value, list) else value

    before, after = (
        "\n".join(json.dumps(change(one), separators=separators) for one in documents)
        for change in (lambda x: x, without)
    )
    redactor = Redactor(RedactionRules(json_paths=["$..s"], json_names=()))
    kept = redactor.apply(_exchange(_body(before, "application/json"))).request.body
    assert kept == after.encode()


@given(
    st.binary(max_size=120),
    st.sampled_from(["", "application/json", "multipart/form-data; boundary=b", "text/event-stream"]),
)
def test_any_body_is_redacted_without_a_traceback(data: bytes, media_type: str) -> None:
    _RULES.apply(_exchange(_body(data, media_type)))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (r'{"n": 1, "body": "{\"user\": {\"password\": \"x\"}}"}', r'{"n": 1, "body": "[redacted]"}'),
        (r'{"Message": "{\"a\": \"{\\\"apiKey\\\": 1}\"}"}', '{"Message": "[redacted]"}'),
        (r'{"query": "mutation { login(password: \"x\") { id } }", "id": 2}', '{"query": "[redacted]", "id": 2}'),
        (r'["token: \"x\"", "token"]', '["[redacted]", "token"]'),
    ],
)
def test_a_text_that_holds_credentials_is_redacted_as_a_whole(body: str, expected: str) -> None:
    assert _kept(_body(body), _DEFAULTS) == (expected, 1)


@pytest.mark.parametrize(
    "body",
    [
        "<login><user>a</user><password>x</password></login>",
        '<s:Header><wsse:Password Type="t">x</wsse:Password></s:Header>',
        '<connection host="h" password="x"/>',
        "<a b:apiKey = 'x'></a>",
        "user: a\npassword: x\n",
        "- client_secret: x",
        "user=a\napi.key=1\ndb_password=x\n",
        "login(password: 'x')",
        "env:\n- name: DB_PASSWORD\n  value: x\n",
        "<dict><key>password</key><string>x</string></dict>",
        '{"headers": [{"name": "authorization", "value": "x',
        '[["authorization", "x"], ["a',
    ],
)
def test_a_text_that_names_a_credential_before_a_value_is_dropped(body: str) -> None:
    assert _kept(_body(body, "text/plain"), _DEFAULTS) == ("", 1)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16", "utf-32-be"])
def test_a_text_in_another_encoding_is_dropped_as_well(encoding: str) -> None:
    body = "<login><password>x</password></login>".encode(encoding)
    assert _kept(_body(body, "application/soap+xml"), _DEFAULTS) == ("", 1)


@pytest.mark.parametrize(
    "body",
    [
        "<user><name>a</name></user>",
        "Your password is wrong.",
        "password:\n  {",
        "a token, a secret",
        "<tokens>1</tokens>",
        '<label for="password">Password</label><input name="password">',
    ],
)
def test_a_text_that_names_no_credential_is_kept(body: str) -> None:
    assert _kept(_body(body, "text/plain"), _DEFAULTS) == (body, 0)


@pytest.mark.parametrize("name", ["user[password]", "user%5Bpassword%5D", "user.Password", "a[0][apiKey]", "newPasswd"])
def test_fields_of_objects_in_forms_and_queries_are_redacted(name: str) -> None:
    form = _body(f"{name}=x&n=1", "application/x-www-form-urlencoded")
    assert _kept(form, _DEFAULTS) == (f"{name}={URL_REDACTED}&n=1", 1)
    assert _DEFAULTS.apply(_exchange(Part(), path=f"/a?n=1&{name}=x")).path == f"/a?n=1&{name}={URL_REDACTED}"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/shop;jsessionid=0A1/cart;n=1?a=b", f"/shop;jsessionid={URL_REDACTED}/cart;n=1?a=b"),
        ("https://ann:x@shop.example/a?n=1", f"https://{URL_REDACTED}@shop.example/a?n=1"),
        ("https://x@shop.example", f"https://{URL_REDACTED}@shop.example"),
        ("/@team/package;a/b@1", "/@team/package;a/b@1"),
    ],
)
def test_paths_and_hosts_of_urls_keep_no_credentials(url: str, expected: str) -> None:
    exchange = _exchange(Part(headers=(("referer", url),)), path=url)
    once = _DEFAULTS.apply(exchange)
    assert (once.path, once.request.headers) == (expected, (("referer", expected),))
    assert _DEFAULTS.apply(once) == once


@pytest.mark.parametrize("name", ["token", "x-refresh-token", "x-shop-api-key", "shop-authorization", "x-db-password"])
def test_headers_named_like_credentials_are_redacted(name: str) -> None:
    part = Part(headers=((name, "x"), ("x-token-type", "a"), ("x-request-id", "r")))
    after = _DEFAULTS.apply(_exchange(part)).request
    assert after.headers == ((name, REDACTED), ("x-token-type", "a"), ("x-request-id", "r"))


@pytest.mark.parametrize(
    "codings", [("identity", "gzip"), ("gzip", "identity"), ("gzip", "br"), ("gzip",), (" GZIP ",)]
)
def test_a_secret_is_found_within_codings_of_several_headers(codings: tuple[str, ...]) -> None:
    coding = ", ".join(codings)
    content = encode(b'{"password": "made-up", "a": 1}', coding)
    part = _body(content, "application/json", *(("content-encoding", each) for each in codings))
    kept = _DEFAULTS.apply(_exchange(part))
    assert kept.redactions == 1
    assert decode(kept.request.body or b"", coding) == b'{"password": "[redacted]", "a": 1}'
    assert carries_redacted(kept)


_PART = '--B\r\nContent-Disposition: form-data; name="password"\r\n\r\nmade-up\r\n--B--\r\n'


@pytest.mark.parametrize(
    "media_type", ["multipart/form-data; boundary=C", "multipart/form-data", "Multipart/Mixed; boundary="]
)
def test_multipart_is_read_by_the_boundary_that_it_has(media_type: str) -> None:
    assert _kept(_body(_PART, media_type), _DEFAULTS) == (_PART.replace("made-up", REDACTED), 1)


def test_multipart_without_any_boundary_is_dropped() -> None:
    assert _kept(_body(f"preamble\r\n{_PART}", "multipart/form-data; boundary=C"), _DEFAULTS) == ("", 1)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{'password': 'made-up'}", ""),
        ("[{'a': 1, 'accessToken': 'made-up',}]", ""),
        ("""{"log": "{'password': 'made-up'}", "a": 1}""", '{"log": "[redacted]", "a": 1}'),
        ("""{"log": "it's a password: yes", "a": 1}""", """{"log": "it's a password: yes", "a": 1}"""),
        ("{'passwords': 'made-up'}", "{'passwords': 'made-up'}"),
    ],
)
def test_names_in_single_quotes_are_names(before: str, after: str) -> None:
    assert _kept(_body(before), _DEFAULTS)[0] == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a=1;password=x", "a=1;password=%5Bredacted%5D"),
        ("a;token=x&b=2", "a;token=%5Bredacted%5D&b=2"),
        ("password=x;y&b=2", "password=%5Bredacted%5D&b=2"),
        ('a={"password":"x;y=1"}&b=;', "a=%7B%22password%22%3A%22%5Bredacted%5D%22%7D&b=;"),
        (
            "next=https%3A%2F%2Fx%2F%3Ftoken%3Dx%26a%3D1&b=2",
            "next=https%3A%2F%2Fx%2F%3Ftoken%3D%5Bredacted%5D%26a%3D1&b=2",
        ),
        ("next=/reset?token=x&b=2", "next=/reset?token=%5Bredacted%5D&b=2"),
        ("next=%2fa%23access_token%3dx", "next=%2fa%23access_token%3d%5Bredacted%5D"),
        ("next=/a?b=1;c=2&d=%3Fe", "next=/a?b=1;c=2&d=%3Fe"),
    ],
)
def test_parameters_are_found_behind_semicolons_and_within_urls(before: str, after: str) -> None:
    once, count = _kept(_body(before, "application/x-www-form-urlencoded"), _DEFAULTS)
    assert (once, count) == (after, int(before != after))
    assert _kept(_body(once, "application/x-www-form-urlencoded"), _DEFAULTS)[0] == after
    path = _DEFAULTS.apply(replace(_exchange(Part()), path=f"/p?{before}")).path
    assert path == f"/p?{after}"


@pytest.mark.parametrize("media_type", ["application/msgpack", "application/x-msgpack", "application/vnd.x+cbor; q=1"])
def test_objects_in_binary_that_may_name_a_credential_are_dropped(media_type: str) -> None:
    assert _kept(_body(b"\xa1hpasswordgmade-up", media_type), _DEFAULTS) == ("", 1)
    assert _kept(_body(b"\xa1eemaildx@yz", media_type)) == ("", 1)
    assert _kept(_body(b"\xa1gapi-keydx@yz", media_type)) == ("", 1)
    assert _kept(_body(b"\xa1fmonkeydx@yz", media_type)) == ("\udca1fmonkeydx@yz", 0)
