"""Bodies through real Envoys: what their length or content decides, whether a recording has kept them or not."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.operations.outcome import Outcome
from pulumi_traffic_mirror.operations.recording import Exchange, Message, Part
from pulumi_traffic_mirror.operations.whatif import Kind, State, read_requests, requests, what_if
from pulumi_traffic_mirror.operations.whatif.run import passages_of, run_states
from pulumi_traffic_mirror.operations.whatif.wire import Body
from tests.support.shop import exchange, record
from tests.support.what_if import V2, door, recorded, route, state

KIND = "type.googleapis.com/envoy.extensions.filters.http"
LIMIT = 1_000_000
SAYS = """
function envoy_on_request(handle)
  local body = handle:body()
  if body and string.find(tostring(body:getBytes(0, body:length())), "secret") then
    handle:respond({[":status"] = "422"}, "")
  end
end
"""


def limited(size: int) -> dict[str, Any]:
    return {"name": "limit", "typed_config": {"@type": f"{KIND}.buffer.v3.Buffer", "max_request_bytes": size}}


READS = {
    "name": "reads",
    "typed_config": {"@type": f"{KIND}.lua.v3.Lua", "default_source_code": {"inline_string": SAYS}},
}


def posted(number: int, data: bytes = b"", *, size: int = 0, **values: Any) -> Exchange:
    """A POST; with a size but no data, one whose body was not kept."""
    part = Part(body=data or None, body_size=size or len(data), truncated=not data, **values)
    return exchange(number, "/upload", "POST", request=part)


def one(*filters: Any, **action: Any) -> State:
    return state(door([route("a", **action)], filters=filters))


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_limit_is_felt_by_bodies_that_were_kept_and_by_those_that_were_not(envoy: Path, tmp_path: Path) -> None:
    folder = record(
        tmp_path, posted(0, b"x" * 2_000), posted(1, b"x" * 1_000), posted(2, size=20_000), posted(3, size=900)
    )
    given = read_requests(str(folder))
    result = await what_if(envoy, one(), one(limited(1_500)), given)
    [change] = result.changes
    assert (change.subject.difference.kind, change.requests) == (Kind.ANSWER, 2)
    assert change.subject.difference.after == "413 (request_payload_too_large)"
    assert [each.request_id for each in change.examples] == ["id-0", "id-2"]


@pytest.mark.slow
@pytest.mark.asyncio
async def test_what_is_refused_before_it_was_all_sent_is_an_answer(envoy: Path, tmp_path: Path) -> None:
    given = read_requests(str(record(tmp_path, *(posted(number, size=8 * LIMIT) for number in range(20)))))
    result = await what_if(envoy, one(), one(limited(LIMIT)), given)
    assert [(each.subject.difference.kind, each.requests) for each in result.changes] == [(Kind.ANSWER, 20)]
    assert not result.counted.unsent


@pytest.mark.slow
@pytest.mark.asyncio
async def test_what_reads_bodies_has_those_that_were_kept_and_is_named_for_the_others(
    envoy: Path, tmp_path: Path
) -> None:
    kept = read_requests(str(record(tmp_path / "kept", posted(0, b"a secret"), posted(1, b"nothing"))))
    result = await what_if(envoy, one(), one(READS), kept)
    assert [(each.requests, each.subject.difference.after) for each in result.changes] == [(1, "422 (lua_response)")]
    assert result.unseen == []
    lost = read_requests(str(record(tmp_path / "lost", posted(0, size=8))))
    result = await what_if(envoy, one(), one(READS), lost)
    assert result.verdict is Outcome.UNKNOWN
    assert result.unseen == ["gateway ingress/app=ingress: filter reads looks into bodies, and not all are recorded"]


@pytest.mark.slow
@pytest.mark.asyncio
async def test_the_sink_gets_bodies_and_copies_have_them(envoy: Path, tmp_path: Path) -> None:
    frames = (Message(offset_us=0, size=3, data=b"abc"), Message(offset_us=1, size=2, data=b"de"))
    call = posted(1, size=15, messages=frames, headers=(("content-type", "application/grpc"),))
    call = dataclasses.replace(call, is_grpc=True, request=dataclasses.replace(call.request, truncated=False))
    given = read_requests(str(record(tmp_path, posted(0, b"x" * 100_000), call)))
    passages, _ = passages_of(given, [mirrored := one(request_mirror_policies=[{"cluster": V2}])])
    [run] = await run_states(envoy, [mirrored], passages)
    outcomes = [run.fate(place).outcome for place in range(2)]
    sizes = [(each.primary.size, each.copies[0].size) for each in outcomes if each and each.primary]
    assert sizes == [(100_000, 100_000), (15, 15)]
    assert given.requests[1].body.data == b"\0\0\0\0\x03abc\0\0\0\0\x02de"


def test_bodies_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "MOST_KEPT", 1_500)
    monkeypatch.setattr(requests, "MOST_SENT", 5_000)
    folder = record(
        tmp_path, posted(0, b"x" * 1_000), posted(1, b"y" * 1_000), posted(2, b"z" * 400), posted(3, size=9_000)
    )
    bodies = [each.body for each in read_requests(str(folder)).requests]
    assert [(len(each.data), each.size) for each in bodies] == [(1_000, 1_000), (0, 1_000), (400, 400), (0, 5_000)]
    assert sum(map(len, bodies[1].chunks())) == 1_000


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_body_longer_than_what_is_sent_is_named(envoy: Path, tmp_path: Path) -> None:
    given = read_requests(str(record(tmp_path, posted(0, size=requests.MOST_SENT + 1))))
    small = dataclasses.replace(given.requests[0], body=Body(size=10))
    result = await what_if(envoy, one(), one(), recorded(small))
    assert result.unseen == ["what is decided by the length of bodies longer than 16 MiB"]


@pytest.mark.slow
@pytest.mark.asyncio
async def test_routes_by_a_header_that_was_not_recorded_are_not_judged(envoy: Path, tmp_path: Path) -> None:
    folder = record(tmp_path, posted(0))
    given = read_requests(str(folder))
    beta = route("b")
    beta["match"]["headers"] = [{"name": "x-user", "string_match": {"exact": "beta"}}]
    chosen = state(door([beta, route("a")]))
    whole = await what_if(envoy, one(), chosen, given)
    assert (list(whole.unseen), whole.verdict) == ([], Outcome.HOLDS)
    part = await what_if(envoy, one(), chosen, dataclasses.replace(given, headers=frozenset({"accept"})))
    assert list(part.unseen) == ["what the header x-user decides, which was not recorded"]
    assert part.verdict is Outcome.UNKNOWN
