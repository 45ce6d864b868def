"""Pace, side-effect rules and bad input of a replay."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.model import ValidationError, Waiver
from pulumi_traffic_mirror.operations.recording import Exchange, Part, Side
from pulumi_traffic_mirror.operations.replay import Pace, ReplayGuard, ReplayJob, Skip, Target
from pulumi_traffic_mirror.operations.replay.pace import schedule

_START = datetime(2026, 1, 2, tzinfo=UTC)


def _exchange(changes: dict[str, Any]) -> Exchange:
    values: dict[str, Any] = {
        "request_id": "id",
        "side": Side.PRIMARY,
        "source": "s",
        "started_at": _START,
        "method": "GET",
        "scheme": "http",
        "authority": "a",
        "path": "/",
    }
    return Exchange(**{**values, **changes})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"side": Side.MIRROR}, Skip.OTHER_SIDE),
        ({"request": Part(truncated=True)}, Skip.TRUNCATED),
        ({"request": Part(headers=(("upgrade", "websocket"),))}, Skip.UNREADABLE),
        ({"method": "CONNECT"}, Skip.UNREADABLE),
        ({"path": ""}, Skip.UNREADABLE),
        ({}, None),
    ],
)
def test_what_would_be_another_request_is_not_sent(changes: dict[str, Any], reason: Skip | None) -> None:
    assert ReplayGuard(waiver=Waiver(reason="the target is a test double")).refuse(_exchange(changes)) is reason


@pytest.mark.parametrize(
    ("pace", "seconds"),
    [
        (Pace(), [0, 1, 3]),
        (Pace(speed=2), [0, 0.5, 1.5]),
        (Pace(rate=4), [0, 0.25, 0.5]),
        (Pace(max_rate=0.5), [0, 2, 4]),
        (Pace(speed=1000, max_rate=10), [0, 0.1, 0.2]),
    ],
)
def test_the_pace_decides_when(pace: Pace, seconds: list[float]) -> None:
    due = schedule(pace)
    assert [due(_START + timedelta(seconds=s)) for s in (0, 1, 3)] == pytest.approx(seconds)


def test_time_never_goes_back() -> None:
    due = schedule(Pace())
    assert [due(_START + timedelta(seconds=s)) for s in (0, 5, 3, 6)] == [0, 5, 5, 6]


@pytest.mark.parametrize(
    ("make", "field_name"),
    [
        (lambda: Pace(speed=0), "speed"),
        (lambda: Pace(rate=float("nan")), "rate"),
        (lambda: Pace(rate=5, speed=2), "rate"),
        (lambda: Pace(max_rate=-1), "max_rate"),
        (lambda: Target(url="shop.example"), "target"),
        (lambda: Target(url="ftp://shop.example"), "target"),
        (lambda: Target(url="http://shop.example/path"), "target"),
        (lambda: Target(url="http://u:p@shop.example"), "target"),
        (lambda: Target(url="http://shop.example:x"), "target"),
        (lambda: Target(url="http://:p@shop.example"), "target"),
        (lambda: Target(url="http://shop..example"), "target"),
        (lambda: Target(url="https://a", key_file=Path("k")), "certificate_file"),
        (lambda: Target(url="http://a", headers={"Bad Name": "x"}), "headers"),
        (lambda: ReplayGuard(rpc_methods=["SayHello"]), "rpc_methods"),
        (lambda: ReplayJob(recording="x", target=Target(url="http://a"), max_requests=0), "max_requests"),
        (lambda: ReplayJob(recording="x", target=Target(url="http://a"), max_in_flight=0), "max_in_flight"),
        (lambda: ReplayJob(recording="x", target=Target(url="http://a"), timeout_seconds=0), "timeout_seconds"),
        (lambda: Target(url="https://a", ca_file=Path("/nowhere")).check_certificates(), "certificates"),
    ],
)
def test_bad_input_is_refused_by_its_field(make: Any, field_name: str) -> None:
    with pytest.raises(ValidationError, match=field_name):
        make()


def test_a_password_in_the_target_is_not_repeated() -> None:
    with pytest.raises(ValidationError) as refused:
        Target(url="http://user:fake@shop.example")
    assert "fake" not in str(refused.value)


def test_an_address_is_a_target() -> None:
    assert Target(url="http://[::1]:8000").address == "[::1]:8000"
