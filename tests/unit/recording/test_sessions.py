"""Sessions: requests of one are told by a hash that is nobody's secret, and joins no two recordings."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.model import ValidationError
from pulumi_traffic_mirror.model.recording import SESSION_HEADER, RecorderSettings, SessionSource
from pulumi_traffic_mirror.operations.recording import Exchange, Part, Side
from pulumi_traffic_mirror.operations.recording.exchange import Headers
from pulumi_traffic_mirror.operations.recording.formats.exporting import request_bytes
from pulumi_traffic_mirror.operations.recording.redaction import RedactionRules, Redactor
from pulumi_traffic_mirror.operations.recording.settings import parse_settings
from pulumi_traffic_mirror.operations.replay import Target


def exchange(*headers: tuple[str, str], answer: Headers = ()) -> Exchange:
    return Exchange(
        request_id="r",
        side=Side.PRIMARY,
        source="s",
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        method="GET",
        scheme="http",
        authority="a",
        path="/",
        status=200,
        request=Part(headers=headers),
        response=Part(headers=answer),
    )


def redactor(session: str) -> Redactor:
    return Redactor(RedactionRules(), session=SessionSource.parse(session))


def session_of(kept: Exchange) -> str | None:
    found = [value for name, value in kept.request.headers if name == SESSION_HEADER]
    assert len(found) <= 1
    return found[0] if found else None


def test_requests_of_one_session_have_the_same_hash_however_their_cookies_are_sent() -> None:
    one = redactor("cookie:sid")
    same = [
        exchange(("cookie", "sid=fake-one")),
        exchange(("cookie", "a=b; sid=fake-one; c=d")),
        # As HTTP/2 may split them.
        exchange(("cookie", "a=b"), ("cookie", "sid=fake-one")),
        # A login: the request that gets the cookie is the first of its session.
        exchange(answer=(("set-cookie", "a=b; Path=/"), ("set-cookie", "sid=fake-one; HttpOnly"))),
    ]
    hashes = {session_of(one.apply(each)) for each in same}
    assert len(hashes) == 1
    assert session_of(one.apply(exchange(("cookie", "sid=fake-two")))) not in {*hashes, None}
    # What the request has counts, though the answer renews it.
    renewed = exchange(("cookie", "sid=fake-one"), answer=(("set-cookie", "sid=fake-two"),))
    assert {session_of(one.apply(renewed))} == hashes


@pytest.mark.parametrize("headers", [(), (("cookie", "SID=fake"),), (("cookie", "sid="),), (("cookie", "xsid=fake"),)])
def test_a_request_without_the_cookie_has_no_session(headers: Headers) -> None:
    assert session_of(redactor("cookie:sid").apply(exchange(*headers))) is None


def test_the_value_is_not_kept_and_two_recordings_have_other_hashes() -> None:
    recorded = exchange(("cookie", "sid=fake-one"), ("authorization", "fake-one"))
    kept = [redactor(source).apply(recorded) for source in ("cookie:sid", "cookie:sid", "header:authorization")]
    assert "fake-one" not in repr(kept)
    hashes = [session_of(each) for each in kept]
    assert len({*hashes}) == 3
    assert all(each and len(each) == 32 for each in hashes)
    assert [each.redactions for each in kept] == [2, 2, 2]


def test_what_a_client_calls_so_is_no_session() -> None:
    forged = exchange((SESSION_HEADER, "forged"), (SESSION_HEADER, "again"), ("accept", "*/*"))
    kept = redactor("cookie:sid").apply(forged)
    assert kept.request.headers == (("accept", "*/*"),)
    forged = replace(forged, request=Part(headers=(*forged.request.headers, ("cookie", "sid=fake"))))
    assert session_of(redactor("cookie:sid").apply(forged)) not in ("forged", "again", None)


def test_nothing_is_kept_unless_it_is_asked_for() -> None:
    kept = Redactor(RedactionRules()).apply(exchange(("cookie", "sid=fake")))
    assert [name for name, _ in kept.request.headers] == ["cookie"]


def test_it_is_sent_to_nobody() -> None:
    kept = exchange((SESSION_HEADER, "0" * 32), ("accept", "*/*"))
    sent = Target(url="http://a").headers_for(mark=("x-traffic-replay", "run"))(kept.request.headers)
    assert sent == (("accept", "*/*"), ("x-traffic-replay", "run"))
    assert request_bytes(kept) == b"GET / HTTP/1.1\r\nhost: a\r\naccept: */*\r\n\r\n"


@pytest.mark.parametrize("given", ["sid", "cookie:", "cookie:a b", "header:", "query:sid", "", 7])
def test_what_names_no_cookie_or_header_is_refused(given: Any) -> None:
    with pytest.raises(ValidationError, match="session"):
        RecorderSettings(session=given)
    with pytest.raises(ValidationError, match="session"):
        parse_settings({"url": "/r", "session": given}, directory=Path())


def test_the_collector_is_told_only_where_it_is_asked_for() -> None:
    told = [RecorderSettings(session=each).document(port=1, http_port=2) for each in (None, "cookie:sid")]
    assert "session" not in told[0]
    settings = parse_settings(json.loads(json.dumps({"url": "/r", "session": told[1]["session"]})), directory=Path())
    assert settings.session == SessionSource(name="sid", is_cookie=True)
