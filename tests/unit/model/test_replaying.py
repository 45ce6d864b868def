"""What a replay by many pods is told: the command takes it as it was meant, and what it would not take is refused."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulumi_traffic_mirror.model import ValidationError
from pulumi_traffic_mirror.model.replaying import ReplaySettings

PLACES: dict[str, Any] = {"recording": "gs://lake/monday", "target": "http://v2.example:8000"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"recording": "recordings/"}, "recording"),
        ({"recording": "/recordings/../etc"}, "recording"),
        ({"recording": "/recordingsx"}, "recording"),
        ({"recording": "https://lake/monday"}, "recording"),
        ({"recording": None}, "recording"),
        ({"result": ""}, "result"),
        ({"result": 5}, "result"),
        ({"target": "v2.example:8000"}, "target"),
        ({"target": "http://v2.example/path"}, "target"),
        ({"shards": 0}, "shards"),
        ({"shards": 513, "begin": "2026-01-31T12:00:00Z"}, "shards"),
        ({"shards": True}, "shards"),
        ({"shards": 2}, "begin"),
        ({"begin": "noon"}, "begin"),
        ({"begin": "2026-01-31T12:00:00"}, "begin"),
        ({"begin": 5}, "begin"),
        ({"speed": 0}, "speed"),
        ({"speed": "4"}, "speed"),
        ({"speed": None}, "speed"),
        ({"speed": 2, "rate": 1}, "rate"),
        ({"rate": float("nan")}, "rate"),
        ({"max_rate": 0}, "max_rate"),
        ({"max_requests": 0}, "max_requests"),
        ({"shards": 8, "begin": "2026-01-31T12:00:00Z", "max_in_flight": 7}, "max_in_flight"),
        ({"rpc_methods": "a.B/C"}, "rpc_methods"),
        ({"rpc_methods": ["/a.B/C"]}, "rpc_methods[0]"),
        ({"waiver": "because"}, "waiver"),
        ({"side": "both"}, "side"),
        ({"result_side": None}, "result_side"),
        ({"source": 1}, "source"),
        ({"rewrites": ["/a=/b"]}, "rewrites"),
        ({"rewrites": {"/a=b": "/c"}}, "rewrites"),
        ({"rewrites": {"a": "/c"}}, "rewrites"),
        ({"session_header": "X-Session"}, "session_header"),
        ({"http2": "yes"}, "http2"),
        ({"timeout_seconds": 0}, "timeout_seconds"),
    ],
)
def test_bad_settings_are_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        ReplaySettings(**{**PLACES, **changes})
    assert refusal.value.field == field


@pytest.mark.parametrize("field", ["recording", "result"])
def test_credentials_in_a_place_are_refused_without_being_repeated(field: str) -> None:
    with pytest.raises(ValidationError, match="must not carry credentials") as refusal:
        ReplaySettings(**{**PLACES, field: "s3://AKIA1:topsecret@bucket/x"})
    assert "topsecret" not in str(refusal.value)


@given(place=st.text(), target=st.text(), begin=st.text(), text=st.text())
def test_any_text_is_taken_or_refused(place: str, target: str, begin: str, text: str) -> None:
    for change in ({"recording": place}, {"target": target}, {"begin": begin}, {"rewrites": {place: text}}):
        with suppress(ValidationError):
            assert ReplaySettings(**{**PLACES, **change}).words()


def test_defaults_are_no_words() -> None:
    assert ReplaySettings(**PLACES).words() == ["replay", *PLACES.values(), "--shards", "1"]
    assert not ReplaySettings(**PLACES).needs_volume
    assert ReplaySettings(**PLACES, result="/recordings/replayed").needs_volume
