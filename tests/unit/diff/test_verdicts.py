"""A verdict is never better than its evidence: what was not compared is said, and differences do not hide in noise."""

import json
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.cli.app import main
from pulumi_traffic_mirror.model import ValidationError
from pulumi_traffic_mirror.operations.diff import DiffResult, Source, Standing, diff, one_recording
from pulumi_traffic_mirror.operations.diff.page import headline, render_page
from pulumi_traffic_mirror.operations.recording import (
    Ending,
    Exchange,
    Message,
    Part,
    RecordingStore,
    RecordingWriter,
    Side,
)
from pulumi_traffic_mirror.operations.recording.codings import encode

_START = datetime(2026, 1, 1, tzinfo=UTC)


def _exchange(number: int, body: bytes = b"{}", *headers: tuple[str, str], **changes: Any) -> Exchange:
    exchange = Exchange(
        request_id=f"{number:032x}",
        side=Side.PRIMARY,
        source="v1",
        started_at=_START + timedelta(milliseconds=number),
        method="GET",
        scheme="http",
        authority="a",
        path="/orders",
        status=200,
        duration_us=1_000,
        response=Part(headers=headers, body=body, body_size=len(body)),
    )
    return replace(exchange, **changes)


def _record(directory: Path, exchanges: Iterable[Exchange]) -> str:
    writer = RecordingWriter(RecordingStore.open(str(directory)), instance="t", now=lambda: _START)
    writer.write(list(exchanges))
    writer.close()
    return str(directory)


def _diff(
    directory: Path,
    primary: Callable[[int], Exchange],
    mirror: Callable[[int], Exchange],
    baseline: Callable[[int], Exchange] | None = None,
    *,
    count: int = 200,
    **changes: Any,
) -> DiffResult:
    exchanges = [primary(n) for n in range(count)] + [replace(mirror(n), side=Side.MIRROR) for n in range(count)]
    recording = _record(directory / "r", exchanges)
    baselines = [_record(directory / "b", [baseline(n) for n in range(count)])] if baseline else []
    job = one_recording(recording, baseline=[Source(recording=one, side=Side.PRIMARY) for one in baselines])
    return diff(replace(job, **changes))


def _total(number: int, wrong: int = 0) -> bytes:
    return json.dumps({"total": number + wrong}).encode()


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, br", "gzip"])
def test_answers_that_are_wrong_in_every_pair_are_found_whatever_their_coding(tmp_path: Path, coding: str) -> None:
    def answer(wrong: int) -> Callable[[int], Exchange]:
        return lambda n: _exchange(n, encode(_total(n, wrong), coding), ("content-encoding", coding))

    result = _diff(tmp_path, answer(0), answer(1), answer(0))
    assert [(one.field, one.standing, one.differing) for one in result.findings] == [
        ("body $.total", Standing.FINDING, 200)
    ]
    assert (result.exit_code, result.uncompared) == (1, 0)


def test_bodies_that_could_not_be_opened_are_said_and_never_pass(tmp_path: Path) -> None:
    def answer(wrong: int) -> Callable[[int], Exchange]:
        return lambda n: _exchange(n, b"made-up" + _total(n, wrong), ("content-encoding", "dcb"))

    result = _diff(tmp_path, answer(0), answer(1), answer(0))
    (endpoint,) = result.endpoints
    assert endpoint.uncompared == {"its content is coded as 'dcb', which is not known here": 200}
    assert (result.exit_code, result.findings) == (2, ())
    assert headline(result).endswith("; the bodies of 200 pairs could not be compared")
    assert "dcb" in render_page(result)
    assert _diff(tmp_path, answer(0), answer(1), answer(0), ignore=["GET /orders|body"]).exit_code == 0


def test_bodies_that_were_not_recorded_whole_are_said_by_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = Part(body=b"{", body_size=100_000, truncated=True)
    exchanges = [_exchange(n, response=cut, side=side) for n in range(20) for side in Side]
    recording = _record(
        tmp_path, [*exchanges, *(_exchange(n, path="/a", side=side) for n in (77, 78) for side in Side)]
    )
    assert main(["diff", recording]) == 2
    shown = " ".join(capsys.readouterr().out.split())
    assert "No field differs in 22 pairs; the bodies of 20 pairs could not be compared." in shown
    assert "Not compared: GET /orders: 20 of 20 bodies: not recorded whole" in shown
    assert "GET /a" not in shown
    assert main(["diff", recording, "--ignore", "GET /orders|body"]) == 0


def test_a_mirror_whose_answers_break_off_is_a_finding(tmp_path: Path) -> None:
    broken = Part(body=b"{", body_size=1, truncated=True)
    result = _diff(
        tmp_path,
        _exchange,
        lambda n: _exchange(n, response=broken, ending=Ending.RESET) if n % 10 == 0 else _exchange(n),
        _exchange,
    )
    assert [(one.field, one.differing) for one in result.findings] == [("ending", 20)]
    assert result.endpoints[0].uncompared == {"the answer broke off": 20}


def _noisy(number: int, seed: int, *, spread: float) -> Exchange:
    """An answer with a field that always varies, and one of very many names that is there now and then."""
    chance = random.Random(f"{number} {seed}")  # noqa: S311 -- test data
    document = {"total": number, "at": chance.random()}
    if chance.random() < spread:
        document[f"warning_{chance.randrange(10**6)}x"] = 1
    return _exchange(number, json.dumps(document).encode())


def test_differences_spread_over_many_names_do_not_vanish_in_noise(tmp_path: Path) -> None:
    result = _diff(
        tmp_path,
        lambda n: _noisy(n, 1, spread=0.05),
        lambda n: _noisy(n, 2, spread=0.35),
        lambda n: _noisy(n, 3, spread=0.05),
        count=300,
    )
    (finding,) = result.findings
    assert (finding.field, finding.endpoint, finding.standing) == ("any field", "GET /orders", Standing.FINDING)
    assert finding.rate == pytest.approx(0.38, abs=0.1)
    assert finding.baseline_rate == pytest.approx(0.1, abs=0.05)
    assert result.exit_code == 1


def test_noise_spread_over_many_names_is_noise(tmp_path: Path) -> None:
    result = _diff(tmp_path, *((lambda n, seed=seed: _noisy(n, seed, spread=0.3)) for seed in (1, 2, 3)), count=300)
    assert (result.findings, result.exit_code) == ((), 0)


def _slow(milliseconds: float) -> Callable[[int], Exchange]:
    return lambda n: _exchange(n, duration_us=int(1_000 * milliseconds * (1 + n % 7 / 10)))


@pytest.mark.parametrize("baseline", [None, _slow(20)])
def test_a_mirror_that_is_much_slower_is_a_finding(tmp_path: Path, baseline: Callable[[int], Exchange] | None) -> None:
    result = _diff(tmp_path, _slow(20), _slow(60), baseline)
    assert [(one.field, one.change, one.standing) for one in result.findings] == [
        ("duration", "slower", Standing.FINDING)
    ]
    assert all(float(one.mirror.removesuffix(" ms")) >= 60 for one in result.findings[0].examples)
    assert _diff(tmp_path, _slow(20), _slow(60), baseline, ignore=["duration"]).exit_code == 0
    assert _diff(tmp_path, _slow(20), _slow(60), baseline, slower=4).exit_code == 0


@pytest.mark.parametrize(
    ("primary", "mirror", "baseline"),
    [
        (_slow(20), _slow(30), None),
        (_slow(60), _slow(20), None),
        (_slow(1), _slow(6), None),
        (_slow(20), _slow(60), _slow(60)),
    ],
    ids=["not much", "faster", "not noticeable", "as slow as the primary's second answer"],
)
def test_what_is_no_slower_is_no_finding(tmp_path: Path, primary: Any, mirror: Any, baseline: Any) -> None:
    assert _diff(tmp_path, primary, mirror, baseline).exit_code == 0


def test_times_that_vary_both_ways_are_noise(tmp_path: Path) -> None:
    def varying(seed: int) -> Callable[[int], Exchange]:
        chance = random.Random(seed)  # noqa: S311 -- test data
        return lambda n: _exchange(n, duration_us=chance.choice([20_000, 90_000]))

    result = _diff(tmp_path, varying(1), varying(2))
    assert [(one.field, one.standing) for one in result.fields] == [("duration", Standing.NOISE)]
    assert result.exit_code == 0


@pytest.mark.parametrize(("copies", "expected", "code"), [(50, 50, 0), (50, 100, 1), (20, 50, 1), (46, 50, 0)])
def test_missing_copies_are_a_finding_where_their_share_is_known(
    tmp_path: Path, copies: int, expected: float, code: int
) -> None:
    exchanges = [_exchange(n) for n in range(100)] + [_exchange(n, side=Side.MIRROR) for n in range(copies)]
    recording = _record(tmp_path, exchanges)
    result = diff(replace(one_recording(recording), expected_percent=expected))
    assert (result.exit_code, [one.field for one in result.findings]) == (code, ["copy"] if code else [])
    assert diff(one_recording(recording)).exit_code == 0


def test_an_endpoint_that_is_never_mirrored_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    orders = [_exchange(n, side=side) for n in range(30) for side in Side]
    recording = _record(tmp_path, [*orders, *(_exchange(n, path="/lost") for n in range(40, 60))])
    assert main(["diff", recording]) == 0
    assert "No copy seen: GET /lost (20 primary answers)" in capsys.readouterr().out
    assert main(["diff", recording, "--expected", "100", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["fields"][0]
    assert (found["endpoint"], found["field"], found["differing"], found["pairs"]) == ("GET /lost", "copy", 20, 20)
    assert main(["diff", recording, "--expected", "100", "--ignore", "GET /lost|copy"]) == 0


def test_a_header_s_name_is_never_taken_for_several_headers(tmp_path: Path) -> None:
    primary = [_exchange(n, b"{}", ("a", "b"), ("c", "d")) for n in range(30)]
    mirror = [_exchange(n, b"{}", ("a\0b\1c", "d"), side=Side.MIRROR) for n in range(30)]
    assert main(["diff", _record(tmp_path, [*primary, *mirror])]) == 1


def test_answers_that_nothing_pairs_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    orders = [_exchange(n, side=side) for n in range(30) for side in Side]
    main(["diff", _record(tmp_path, [*orders, _exchange(40, request_id=""), _exchange(41, request_id="")])])
    assert "Not compared: 2 answers without x-request-id" in " ".join(capsys.readouterr().out.split())


def test_an_endpoint_that_differs_too_seldom_to_tell_is_not_passed_because_of_others(tmp_path: Path) -> None:
    def answer(wrong: int) -> Callable[[int], Exchange]:
        return lambda n: _exchange(n, _total(n, wrong), path="/few" if n < 2 else "/many")

    def mirror(number: int) -> Exchange:
        return answer(1 if number < 2 else 0)(number)

    result = _diff(tmp_path, answer(0), mirror, answer(0))
    assert ([one.endpoint for one in result.undecided], result.exit_code) == (["GET /few"], 2)
    assert headline(result) == "2 of 200 pairs differ somewhere and are too few to tell from noise"


def test_few_pairs_that_do_not_differ_are_enough(tmp_path: Path) -> None:
    assert _diff(tmp_path, _exchange, _exchange, _exchange, count=2).exit_code == 0


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"slower": 1.0}, "slower"),
        ({"slower": float("nan")}, "slower"),
        ({"expected_percent": 0}, "expected_percent"),
        ({"expected_percent": 101}, "expected_percent"),
        ({"unordered": ["GET /|"]}, "unordered"),
    ],
)
def test_bad_input_is_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        replace(one_recording("/x"), **changes)


@pytest.mark.parametrize("option", [("--slower", "1"), ("--expected", "0"), ("--unordered", "|")])
def test_the_command_names_the_option(
    option: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diff", str(tmp_path), *option]) == 2
    assert option[0] in capsys.readouterr().err


@pytest.mark.parametrize("ignore", [["*"], ["*|*"], ["GET /orders|*"], ["GET /*|*"]])
def test_a_comparison_of_which_everything_is_ignored_tells_nothing(
    tmp_path: Path, ignore: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    result = _diff(tmp_path, lambda n: _exchange(n, _total(n)), lambda n: _exchange(n, _total(n, 1)), ignore=ignore)
    assert (result.exit_code, result.ignored_pairs) == (2, 200)
    assert headline(result) == "Nothing was compared in 200 pairs, because every field is ignored"
    assert "200 pairs of endpoints of which every field is ignored" in render_page(result)
    assert main(["diff", str(tmp_path / "r"), *(word for one in ignore for word in ("--ignore", one))]) == 2
    shown = " ".join(capsys.readouterr().out.split())
    assert "Not compared: 200 of 200 pairs, of whose endpoints every field is ignored" in shown


@pytest.mark.parametrize("ignore", [["GET /health|*"], ["header *", "trailer *", "body*"], ["nothing like this"]])
def test_what_is_left_of_a_comparison_decides(tmp_path: Path, ignore: list[str]) -> None:
    exchanges = [_exchange(n, path=path, side=side) for n, path in enumerate(("/orders", "/health")) for side in Side]
    job = replace(one_recording(_record(tmp_path, exchanges)), ignore=ignore)
    assert (diff(job).exit_code, diff(job).ignored_pairs) == (0, int("health" in ignore[0]))


def test_answers_that_came_on_neither_side_are_no_matter_of_bodies(tmp_path: Path) -> None:
    def lost(number: int) -> Exchange:
        return _exchange(number, status=None, response=Part(), ending=Ending.RESET)

    for ignore in (["body"], ["body", "message"], ["GET /orders|body*"]):
        result = _diff(tmp_path, lost, lost, count=5, ignore=ignore)
        assert (result.exit_code, result.uncompared) == (2, 5)
    assert _diff(tmp_path, lost, lost, count=5, ignore=["response"]).uncompared == 0


def test_streams_of_which_a_part_cannot_be_opened_have_rates_of_those_that_can(tmp_path: Path) -> None:
    def call(wrong: int) -> Callable[[int], Exchange]:
        def answer(number: int) -> Exchange:
            data = (bytes((8, 1 + wrong)), bytes((8, 3 + wrong)))
            messages = tuple(
                Message(offset_us=0, size=2, data=each, compressed=number % 2 == place == 1)
                for place, each in enumerate(data)
            )
            headers = (("content-type", "application/grpc"), ("grpc-encoding", "made-up"))
            part = Part(headers=headers, body_size=14, messages=messages, trailers=(("grpc-status", "0"),))
            return _exchange(number, path="/s.S/M", is_grpc=True, grpc_status=0, response=part)

        return answer

    result = _diff(tmp_path, call(0), call(1), call(0))
    assert [(one.field, one.differing, one.pairs) for one in result.findings] == [("message $.1", 100, 100)]
    assert result.uncompared == 100
