"""Differences are told from noise, pairs are found wherever they lie, and nothing is ever told from nothing."""

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from pulumi_traffic_mirror.model import ValidationError
from pulumi_traffic_mirror.model.request_sampling import is_sampled, sample_threshold
from pulumi_traffic_mirror.operations.diff import DiffJob, DiffResult, Source, Standing, diff, one_recording
from pulumi_traffic_mirror.operations.diff import pairing as pairing_module
from pulumi_traffic_mirror.operations.diff.following import Follower
from pulumi_traffic_mirror.operations.diff.page import headline
from pulumi_traffic_mirror.operations.diff.significance import Count, exact_p_values, holm, interval
from pulumi_traffic_mirror.operations.errors import OperationError
from pulumi_traffic_mirror.operations.recording import Exchange, Part, RecordingStore, RecordingWriter, RollLimits, Side
from pulumi_traffic_mirror.operations.recording.noted_rules import note_of

_START = datetime(2026, 1, 1, tzinfo=UTC)


def _exchange(number: int, document: Any = None, **changes: Any) -> Exchange:
    body = json.dumps(document).encode()
    exchange = Exchange(
        request_id=f"{number:032x}",
        side=Side.PRIMARY,
        source="v1",
        started_at=_START + timedelta(milliseconds=number),
        method="GET",
        scheme="http",
        authority="a",
        path=f"/orders/{number}",
        status=200,
        duration_us=1_000,
        response=Part(headers=(("content-type", "application/json"),), body=body, body_size=len(body)),
    )
    return replace(exchange, **changes)


def _record(directory: Path, name: str, exchanges: Iterable[Exchange], *, headers: Sequence[str] | None = None) -> str:
    path = str(directory / name)
    limits, notes = RollLimits(row_group_bytes=20_000), note_of([], headers)
    writer = RecordingWriter(RecordingStore.open(path), instance="t", limits=limits, now=lambda: _START, notes=notes)
    writer.write(list(exchanges))
    writer.close()
    return path


def _answers(count: int, seed: int, *, planted: float = 0.0, side: Side = Side.PRIMARY) -> list[Exchange]:
    """Answers with three noisy fields; ``planted`` is the share in which a fourth one is wrong."""
    noise = random.Random(seed)  # noqa: S311 -- test data

    def document(number: int) -> Any:
        return {
            "id": number,
            "total": -1 if noise.random() < planted else number * 3,
            "at": noise.random(),
            "node": noise.choice("abc"),
            "hint": noise.choice(["x", "x", "x", None]),
        }

    return [_exchange(n, document(n), side=side, source="v2" if side is Side.MIRROR else "v1") for n in range(count)]


def _compare(directory: Path, seed: int, *, planted: float, count: int = 400, baseline: int = 400) -> DiffResult:
    recording = _record(
        directory, f"r{seed}", _answers(count, seed) + _answers(count, seed + 1, planted=planted, side=Side.MIRROR)
    )
    second = _record(directory, f"b{seed}", _answers(baseline, seed + 2))
    return diff(one_recording(recording, baseline=[Source(recording=second, side=Side.PRIMARY)]))


@pytest.mark.parametrize("planted", [1.0, 0.05])
def test_a_planted_difference_is_found_among_three_noisy_fields(tmp_path: Path, planted: float) -> None:
    result = _compare(tmp_path, 1, planted=planted)
    assert [(f.field, f.change, f.standing) for f in result.findings] == [("body $.total", "value", Standing.FINDING)]
    finding = result.findings[0]
    assert finding.rate == pytest.approx(planted, abs=0.04)
    assert finding.interval[0] <= finding.rate <= finding.interval[1]
    assert (finding.baseline_differing, finding.baseline_pairs, finding.pairs) == (0, 400, 400)
    assert finding.adjusted_p_value is not None
    assert finding.p_value is not None
    assert finding.p_value <= finding.adjusted_p_value <= result.level
    assert finding.examples[0].mirror == "-1"
    assert len(finding.examples) == 3
    assert {f.field for f in result.noise} == {"body $.at", "body $.node", "body $.hint"}
    assert result.exit_code == 1


def test_a_faithful_mirror_gives_no_finding_in_twenty_runs(tmp_path: Path) -> None:
    results = [_compare(tmp_path, 100 * run, planted=0.0, count=150, baseline=150) for run in range(20)]
    assert [r.findings for r in results] == [()] * 20
    assert {r.exit_code for r in results} == {0}
    assert all(len(r.noise) >= 3 for r in results)


def test_a_noisy_field_that_changes_its_type_is_found(tmp_path: Path) -> None:
    def typed(exchange: Exchange) -> Exchange:
        document = json.loads(exchange.response.body or b"")
        return replace(exchange, response=replace(exchange.response, body=json.dumps({**document, "at": "x"}).encode()))

    mirror = [typed(e) for e in _answers(200, 2, side=Side.MIRROR)]
    recording = _record(tmp_path, "r", [*_answers(200, 1), *mirror])
    second = _record(tmp_path, "b", _answers(200, 3))
    result = diff(one_recording(recording, baseline=[Source(recording=second, side=Side.PRIMARY)]))
    assert [(f.field, f.change) for f in result.findings] == [("body $.at", "type")]


def test_without_a_baseline_every_difference_is_told_untested(tmp_path: Path) -> None:
    recording = _record(tmp_path, "r", [_exchange(1, {"a": 1}), _exchange(1, {"a": 2}, side=Side.MIRROR)])
    result = diff(one_recording(recording))
    assert [(f.field, f.standing, f.p_value) for f in result.fields] == [("body $.a", Standing.UNTESTED, None)]
    assert (result.has_baseline, result.exit_code) == (False, 1)


def test_too_few_pairs_cannot_tell(tmp_path: Path) -> None:
    result = _compare(tmp_path, 1, planted=0.0, count=2, baseline=2)
    assert [e.can_tell for e in result.endpoints] == [False]
    assert result.exit_code == 2


def test_a_second_instance_in_the_same_recording_is_told_by_its_source(tmp_path: Path) -> None:
    exchanges = [*_answers(50, 1), *_answers(50, 2, side=Side.MIRROR)]
    exchanges += [replace(e, source="v1-second") for e in _answers(50, 3)]
    recording = _record(tmp_path, "r", exchanges)
    result = diff(
        DiffJob(
            primary=Source(recording=recording, side=Side.PRIMARY, source="v1"),
            mirror=Source(recording=recording, side=Side.MIRROR),
            baseline=[Source(recording=recording, side=Side.PRIMARY, source="v1-second")],
        )
    )
    assert (result.pairs, result.baseline_pairs, result.surplus) == (50, 50, 0)


def test_a_second_instance_is_no_answer_of_the_primary_even_if_its_clock_is_ahead(tmp_path: Path) -> None:
    ahead = timedelta(seconds=-1)
    exchanges = [*_answers(100, 1), *_answers(100, 2, side=Side.MIRROR)]
    exchanges += [replace(e, source="second", started_at=e.started_at + ahead) for e in _answers(100, 3)]
    recording = _record(tmp_path, "r", exchanges)
    result = diff(one_recording(recording, baseline=[Source(recording=recording, side=Side.PRIMARY, source="second")]))
    assert (result.pairs, result.baseline_pairs, result.unanswered, result.findings) == (100, 100, 0, ())


@pytest.mark.parametrize(("place", "source"), [("r", None), ("r/", None), ("r", "v1")])
def test_the_primary_is_no_baseline_of_itself(tmp_path: Path, place: str, source: str | None) -> None:
    recording = _record(tmp_path, "r", _answers(1, 1))
    primary = Source(recording=recording, side=Side.PRIMARY, source=source)
    baseline = replace(primary, recording=str(tmp_path / "r") + place.removeprefix("r"))
    with pytest.raises(ValidationError, match="other answers than those of the primary"):
        DiffJob(primary=primary, mirror=replace(primary, side=Side.MIRROR), baseline=[baseline])


def test_a_baseline_without_any_answer_is_said(tmp_path: Path) -> None:
    recording = _record(tmp_path, "r", [*_answers(3, 1), *_answers(3, 2, side=Side.MIRROR)])
    baseline = Source(recording=recording, side=Side.PRIMARY, source="v1-secnd")
    with pytest.raises(OperationError, match=r"0 baseline exchange\(s\) of the source v1-secnd"):
        diff(one_recording(recording, baseline=[baseline]))


@pytest.mark.parametrize("planted", [False, True])
def test_a_field_that_no_baseline_covers_is_not_said_to_differ_more_often(tmp_path: Path, planted: bool) -> None:
    covered = _answers(20, 1)
    mirror = _answers(20, 1, planted=float(planted), side=Side.MIRROR)
    other = [_exchange(99, {"a": side}, side=side, path="/others") for side in Side]
    recording = _record(tmp_path, "r", [*covered, *mirror, *other])
    second = _record(tmp_path, "b", covered)
    result = diff(one_recording(recording, baseline=[Source(recording=second, side=Side.PRIMARY)]))
    said = (
        "One field differs in 21 pairs; without a baseline of the same calls nothing tells how much it varies by itself"
    )
    if planted:
        said = "One field differs more often than it varies by itself, in 21 pairs; 1 more without a baseline"
    assert headline(result).startswith(said)


def test_answers_are_paired_by_request_and_the_rest_is_counted(tmp_path: Path) -> None:
    primary = [_exchange(n, {"a": n}) for n in range(10)]
    mirror = [_exchange(n, {"a": n}, side=Side.MIRROR) for n in (3, 4, 99)]
    # A retry: two answers on both sides belong together in the order of their starts.
    primary.append(_exchange(4, {"a": "retry"}, started_at=_START + timedelta(hours=1)))
    mirror.append(_exchange(4, {"a": "retry"}, side=Side.MIRROR, started_at=_START + timedelta(hours=2)))
    mirror.append(_exchange(3, {"a": 3}, side=Side.MIRROR, started_at=_START + timedelta(hours=2)))
    mirror.append(_exchange(0, side=Side.MIRROR, request_id=""))
    result = diff(one_recording(_record(tmp_path, "r", primary + mirror)))
    assert (result.pairs, result.unpaired, result.surplus, result.unanswered, result.without_id) == (3, 1, 1, 8, 1)
    assert result.fields == ()
    assert result.exit_code == 2
    assert headline(result).endswith("in 3 pairs; one answer without x-request-id could not be paired")
    everything = replace(result, without_id=0)
    assert everything.exit_code == 0
    assert replace(everything, overflowed=True).exit_code == 2
    assert headline(replace(everything, overflowed=True)).endswith("too many endpoints or fields to tell all apart")


def test_a_retry_that_ended_before_the_first_try_pairs_with_the_retry(tmp_path: Path) -> None:
    later = timedelta(seconds=1)
    first, retry = _exchange(1, {"a": "first"}), _exchange(1, {"a": "retry"}, started_at=_START + later)
    primary = _record(tmp_path, "p", [first, retry])
    mirror = tmp_path / "m"
    for name, exchange in (("1", retry), ("2", first)):
        _record(mirror, name, [replace(exchange, side=Side.MIRROR)])
    sources = {
        side: Source(recording=place, side=side) for side, place in zip(Side, (primary, str(mirror)), strict=True)
    }
    result = diff(DiffJob(primary=sources[Side.PRIMARY], mirror=sources[Side.MIRROR]))
    assert (result.pairs, result.fields) == (2, ())


@pytest.mark.parametrize(("noted", "pairs"), [("4", 1), ("9", 1), ("a", 1), ("7", 0)])
def test_what_gateways_note_of_tracing_does_not_part_a_pair(tmp_path: Path, noted: str, pairs: int) -> None:
    sides = [
        _exchange(
            1, {}, request_id=f"6f0c3a1e-0000-{noted if side is Side.MIRROR else '4'}000-8000-00000000000b", side=side
        )
        for side in Side
    ]
    other = [_exchange(2, {}, side=side) for side in Side]
    recording = _record(tmp_path, "r", [*sides, *other])
    assert diff(one_recording(recording)).pairs == pairs + 1


def test_partitions_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _compare(tmp_path / "one", 1, planted=0.3)
    monkeypatch.setattr(pairing_module, "PARTITION_BYTES", 5_000)
    parts = _compare(tmp_path / "many", 1, planted=0.3)
    assert [(f.field, f.differing) for f in parts.fields] == [(f.field, f.differing) for f in whole.fields]
    assert parts.pairs == whole.pairs == 400


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize("headers", [("content-type",), None])
def test_recordings_of_other_headers_are_not_compared(
    tmp_path: Path, headers: Sequence[str] | None, follow: bool
) -> None:
    """What only one side can have would seem to be missing on the other; and it would not be."""

    def compare(job: DiffJob) -> DiffResult:
        if not follow:
            return diff(job)
        following = Follower(job)
        following.step()
        return following.result()

    noted = ("content-type", "server")
    server = Part(headers=(("content-type", "text/plain"), ("server", "a")))
    one = _record(tmp_path, "one", [_exchange(n, response=server) for n in range(50)], headers=noted)
    other = [_exchange(n, response=replace(server, headers=server.headers[:1]), side=Side.MIRROR) for n in range(50)]
    mirrors = [_record(tmp_path, name, other, headers=each) for name, each in (("same", noted), ("other", headers))]
    job = DiffJob(
        primary=Source(recording=one, side=Side.PRIMARY), mirror=Source(recording=mirrors[0], side=Side.MIRROR)
    )
    assert [found.field for found in compare(job).findings] == ["header server"]
    with pytest.raises(ValidationError, match="same headers") as refusal:
        compare(replace(job, mirror=Source(recording=mirrors[1], side=Side.MIRROR)))
    assert refusal.value.field == "recordings"


def test_ignored_fields_are_not_there(tmp_path: Path) -> None:
    recording = _record(tmp_path, "r", [*_answers(50, 1), *_answers(50, 2, side=Side.MIRROR, planted=1.0)])
    job = replace(one_recording(recording), ignore=["body $.total", "GET /orders/*|body $.at"])
    assert {f.field for f in diff(job).fields} == {"body $.node", "body $.hint"}


def test_sampling_takes_the_same_requests_on_both_sides(tmp_path: Path) -> None:
    primary = [_exchange(n * 0x10001) for n in range(0, 0xFFFF, 300)]
    recording = _record(tmp_path, "r", [*primary, *[replace(e, side=Side.MIRROR) for e in primary]])
    result = diff(replace(one_recording(recording), sample_percent=20))
    assert result.pairs == sum(is_sampled(e.request_id, sample_threshold(20)) for e in primary)
    assert result.pairs + result.sampled_out == len(primary)
    assert result.unanswered == 0


def test_endpoints_have_their_own_rates_and_times(tmp_path: Path) -> None:
    primary = [_exchange(n, {"a": 1}, path="/a" if n % 4 else "/b") for n in range(40)]
    mirror = [replace(e, side=Side.MIRROR, duration_us=4_000, status=500 if e.path == "/b" else 200) for e in primary]
    result = diff(one_recording(_record(tmp_path, "r", [*primary, *mirror])))
    assert [(e.endpoint, e.pairs, e.differing_pairs) for e in result.endpoints] == [
        ("GET /a", 30, 0),
        ("GET /b", 10, 10),
    ]
    assert result.endpoints[0].primary_p50_ms == pytest.approx(1, rel=0.02)
    assert result.endpoints[0].mirror_p50_ms == pytest.approx(4, rel=0.02)
    assert [(f.endpoint, f.field, f.rate) for f in result.fields] == [("GET /b", "status", 1.0)]


def test_values_that_a_terminal_would_obey_and_no_page_can_hold_are_escaped(tmp_path: Path) -> None:
    sides = [_exchange(1, {"a": f"\x1b[2J\ud83d{side}"}, side=side) for side in Side]
    (field,) = diff(one_recording(_record(tmp_path, "r", sides))).fields
    assert field.examples[0].mirror == r"\x1b[2J\ud83dmirror"


def test_the_offset_of_the_clocks_is_told_and_does_not_hinder(tmp_path: Path) -> None:
    primary = [_exchange(n) for n in range(5)]
    mirror = [replace(e, side=Side.MIRROR, started_at=e.started_at - timedelta(seconds=90)) for e in primary]
    result = diff(one_recording(_record(tmp_path, "r", [*primary, *mirror])))
    assert (result.pairs, result.clock_offset_ms) == (5, -90_000.0)


@pytest.mark.parametrize(
    ("exchanges", "text"),
    [
        ([_exchange(1), _exchange(2, side=Side.MIRROR)], "1 primary exchange.s. and 1 mirror"),
        ([_exchange(1), _exchange(2)], "holds only 2 primary"),
        ([_exchange(1, request_id=""), _exchange(1, request_id="", side=Side.MIRROR)], "2 without x-request-id"),
    ],
)
def test_no_pair_at_all_is_told_with_its_reason(tmp_path: Path, exchanges: list[Exchange], text: str) -> None:
    with pytest.raises(OperationError, match=text):
        diff(one_recording(_record(tmp_path, "r", exchanges)))


def test_damage_is_reported_and_the_rest_compared(tmp_path: Path) -> None:
    recording = _record(tmp_path, "r", [_exchange(1, {"a": 1}), _exchange(1, {"a": 1}, side=Side.MIRROR)])
    (file,) = Path(recording).rglob("*.parquet")
    (file.parent / "torn.parquet").write_bytes(file.read_bytes()[:-4])
    result = diff(one_recording(recording))
    assert (result.pairs, len(result.damage), result.exit_code) == (1, 1, 1)


@pytest.mark.parametrize(
    ("changes", "field"), [({"level": 0}, "level"), ({"ignore": [""]}, "ignore"), ({"sample_percent": 0}, "sample")]
)
def test_bad_input_is_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        replace(one_recording("/x"), **changes)


@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_the_p_value_is_fisher_s(pairs: int, baseline_pairs: int, data: st.DataObject) -> None:
    differing, baseline = data.draw(st.integers(0, pairs)), data.draw(st.integers(0, baseline_pairs))
    count = Count(differing=differing, pairs=pairs, baseline_differing=baseline, baseline_pairs=baseline_pairs)
    table = [[differing, pairs - differing], [baseline, baseline_pairs - baseline]]
    expected: Any = scipy.stats.fisher_exact(table, alternative="greater")
    assert exact_p_values([count]) == [pytest.approx(expected.pvalue, rel=1e-6)]


def test_holm_s_correction_is_the_known_example() -> None:
    # Holm (1979) on four p values: multiplied by 4, 3, 2, 1 in order, never falling.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def test_an_interval_without_pairs_says_nothing() -> None:
    assert interval(0, 0) == (0.0, 1.0)
    assert interval(0, 100)[1] == pytest.approx(0.036, abs=0.001)


def _handed_on(number: int, method: str, path: str, answer: Any, *, late: int = 0, **changes: Any) -> Exchange:
    started_at = _START + timedelta(seconds=number, milliseconds=late)
    return replace(_exchange(number, answer, started_at=started_at, **changes), method=method, path=path)


@pytest.mark.parametrize("form", ["whole", "cut", "followed"])
def test_requests_that_share_an_identifier_pair_with_their_own_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """Only reads are replayed, so of a write and a read with one identifier only the read has a copy."""
    primary, mirror, again = list[Exchange](), list[Exchange](), list[Exchange]()
    for number in range(30):
        primary.append(_handed_on(number, "POST", "/cart", {"made": True}))
        for late, (path, answer) in enumerate(
            (("/cart", 1), ("/user?id=1", 2), ("/user?id=2", 3), ("/user?id=1", 4)), 1
        ):
            primary.append(_handed_on(number, "GET", path, {"a": answer}, late=late))
            if path != "/cart":
                again.append(_handed_on(number, "GET", path, {"a": answer}, late=late))
                wrong = answer == 3
                mirror.append(
                    _handed_on(number, "GET", path, {"a": answer + wrong}, late=9 - late % 3, side=Side.MIRROR)
                )
    if form == "cut":
        monkeypatch.setattr(pairing_module, "PARTITION_BYTES", 5_000)
    recording = _record(tmp_path, "r", [*mirror[::-1], *primary])
    baseline = Source(recording=_record(tmp_path, "b", again), side=Side.PRIMARY)
    job = one_recording(recording, baseline=[baseline])
    if form == "followed":
        follower = Follower(job)
        follower.step()
        result = follower.result()
    else:
        result = diff(job)
    assert (result.pairs, result.baseline_pairs, result.unanswered, result.surplus, result.unpaired) == (
        90,
        90,
        60,
        0,
        0,
    )
    assert [(one.field, one.differing, one.baseline_differing) for one in result.fields] == [("body $.a", 30, 0)]


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize(
    ("calls", "copies", "paired"),
    [
        (["/v1/a"], ["/v2/a"], 1),
        (["/v1/a", "/v1/b"], ["/v2/a", "/v2/b"], 2),
        (["/v1/a", "/v1/a"], ["/v2/a"], 1),
        (["/v1/a", "/v1/b"], ["/v2/b"], 0),
        (["/v1/a", "/same"], ["/same", "/v2/a", "/v2/a"], 2),
    ],
)
def test_copies_whose_path_was_rewritten_pair_where_that_can_be_told(
    tmp_path: Path, calls: list[str], copies: list[str], paired: int, follow: bool
) -> None:
    mirror = [_handed_on(1, "GET", path, {}, late=late, side=Side.MIRROR) for late, path in enumerate(copies)]
    primary = [_handed_on(1, "GET", path, {}, late=late) for late, path in enumerate(calls)]
    others = [replace(one, method="PUT") for one in mirror[:1]]
    usual = [_exchange(2, {}, side=side) for side in Side]
    job = one_recording(_record(tmp_path, "r", [*primary, *mirror, *others, *usual]))
    if follow:
        follower = Follower(job)
        follower.step()
        result = follower.result()
    else:
        result = diff(job)
    assert (result.pairs, result.surplus, result.unpaired) == (paired + 1, len(copies) - paired, 1)
