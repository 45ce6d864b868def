"""A sample has everything that tells the requests of a recording apart, and nothing that could be left out."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulumi_traffic_mirror.cli.app import main
from pulumi_traffic_mirror.operations.recording import Exchange, Part, RecordingReader, RecordingStore, Side
from pulumi_traffic_mirror.operations.recording.sampling import (
    MOST_VALUES,
    Feature,
    Trait,
    choose,
    sample,
    write_sample,
)
from tests.support.shop import exchange, record


def sampled(folder: Path, exchanges: Sequence[Exchange]) -> list[Exchange]:
    reader = RecordingReader.open(str(record(folder / "whole", *exchanges)))
    (folder / "sample").mkdir()
    write_sample(reader, sample(reader), RecordingStore.open(str(folder / "sample")))
    return list(RecordingReader.open(str(folder / "sample")).exchanges())


def headed(number: int, **headers: str) -> Exchange:
    given = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return exchange(number, "/a", request=Part(headers=given))


def test_what_is_rare_is_in_it(tmp_path: Path) -> None:
    common = [exchange(number, f"/orders/{number}") for number in range(200)]
    rare = [
        exchange(200, "/orders/7", "DELETE"),
        exchange(201, "/orders/7", status=503),
        exchange(202, "/orders/7?debug=1"),
        exchange(203, "/shop.v1.Orders/List", "POST", is_grpc=True, grpc_status=0),
        exchange(204, "/shop.v1.Orders/List", "POST", is_grpc=True, grpc_status=14),
        exchange(205, "/orders/7", request=Part(headers=(("x-beta", "on"),))),
        exchange(206, "/orders/7", authority="b.example.com"),
    ]
    found = [each.request_id for each in sampled(tmp_path, [*common, *rare])]
    assert found == [each.request_id for each in rare]  # together they have what is common as well


def test_one_that_has_everything_stands_for_all(tmp_path: Path) -> None:
    parts = [headed(0, a="1"), headed(1, b="1"), headed(2, a="1", b="1")]
    assert [each.request_id for each in sampled(tmp_path, parts)] == ["id-2"]


def test_every_value_of_a_header_with_few(tmp_path: Path) -> None:
    assert len(sampled(tmp_path, [headed(n, x_tenant=f"t{n % MOST_VALUES}") for n in range(200)])) == MOST_VALUES


def test_of_a_header_with_many_values_only_the_forms(tmp_path: Path) -> None:
    many = [headed(n, x_user=f"somebody {n}") for n in range(200)]
    found = sampled(tmp_path, [*many, headed(200, x_user=""), headed(201, x_user="17"), headed(202, x_user="é")])
    assert [each.request_id for each in found[1:]] == ["id-200", "id-201", "id-202"]


def test_bodies_are_left_out_and_copies_too(tmp_path: Path) -> None:
    whole = exchange(0, "/a", "POST", request=Part(body=b"secret", body_size=6))
    [found] = sampled(tmp_path, [replace(whole, side=Side.MIRROR, path="/copy"), whole])
    assert (found.path, found.request.body, found.request.body_size, found.request.truncated) == ("/a", None, 6, True)


FEATURES = st.frozensets(st.integers(0, 12).map(lambda n: (Trait.FORM, "x", str(n))), min_size=1)


@given(st.lists(FEATURES, min_size=1, max_size=30))
def test_a_choice_covers_everything_and_none_of_it_can_be_left_out(given_: list[frozenset[Feature]]) -> None:
    candidates = {(0, index): features for index, features in enumerate(given_)}
    chosen = choose(candidates)
    everything = frozenset[Feature]().union(*given_)
    assert frozenset[Feature]().union(*(candidates[place] for place in chosen)) == everything
    for left_out in chosen:
        rest = frozenset[Feature]().union(*(candidates[place] for place in chosen if place != left_out))
        assert rest != everything


def test_the_command_says_what_it_covers(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    recording = record(tmp_path / "whole", *(exchange(n, f"/a/{n}", ["GET", "HEAD"][n % 2]) for n in range(9)))
    words = ["recordings", "sample", str(recording), str(tmp_path / "sample"), "--json"]
    assert main(words) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["exchanges"], said["sampled"], said["covered"]["endpoints"]) == (9, 2, 2)
    first = [each.request_id for each in RecordingReader.open(str(tmp_path / "sample")).exchanges()]
    assert main(words) == 2
    assert "must be new, or empty" in capsys.readouterr().err
    assert main([*words[:3], str(tmp_path / "again")]) == 0
    assert [each.request_id for each in RecordingReader.open(str(tmp_path / "again")).exchanges()] == first
