"""What the linter says of meshes, against what istiod in memory renders for their proxies."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pulumi_traffic_mirror.operations.oracle import Oracle, question_of
from pulumi_traffic_mirror.rehearsal.toolchain import OracleFiles
from tests.differential.breaking import broken_mesh
from tests.differential.comparing import compare
from tests.differential.meshes import mesh
from tests.support.oracle import start_oracle
from tests.support.refusals import CASES as REFUSALS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_800)]

MESHES: dict[str, list[dict[str, Any]]] = yaml.safe_load(
    (Path(__file__).parents[2] / "data" / "oracle" / "meshes.yaml").read_text(encoding="utf-8")
)
SEEDS = range(300)
BROKEN = ("VirtualService", "HTTPRoute", "GRPCRoute", "EnvoyFilter")
BROKEN_SEEDS = range(2400, 2500)


@pytest.fixture(scope="module")
def oracle(oracle_files: OracleFiles) -> Iterator[Oracle]:
    with start_oracle(oracle_files) as started:
        yield started


@pytest.mark.parametrize("name", MESHES)
def test_istiod_renders_what_the_linter_says(oracle: Oracle, name: str) -> None:
    result = compare(MESHES[name], oracle)
    assert (result.disagreements, result.ended) == ([], "")


def test_random_meshes_are_rendered_as_the_linter_says(oracle: Oracle) -> None:
    """What disagrees is shrunk to a case by `python -m tests.differential SEED NEXT --shrink`."""
    found = {seed: compare(mesh(seed), oracle) for seed in SEEDS}
    assert {seed: each for seed, each in found.items() if each.disagreements or each.ended} == {}


@pytest.mark.parametrize("name", REFUSALS)
def test_istiod_refuses_what_the_linter_says(oracle: Oracle, name: str) -> None:
    subject, reason = REFUSALS[name]
    refused = [each for each in oracle.ask(question_of([subject])).get("objects", []) if each.get("refused")]
    assert bool(refused) is bool(reason), refused


def test_random_slips_are_refused_as_the_linter_says(oracle: Oracle) -> None:
    """What disagrees is shrunk by `python -m tests.differential SEED NEXT --broken KIND … --shrink`."""
    found = {seed: compare(broken_mesh(seed, BROKEN), oracle) for seed in BROKEN_SEEDS}
    assert {seed: each for seed, each in found.items() if each.disagreements or each.ended} == {}
