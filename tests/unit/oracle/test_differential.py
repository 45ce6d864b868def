"""What the linter says of meshes, against what istiod in memory renders for their proxies."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pulumi_traffic_mirror.operations.oracle import Oracle, question_of
from tests.differential.breaking import broken_mesh
from tests.differential.comparing import compare
from tests.differential.meshes import mesh
from tests.support.refusals import CASES as REFUSALS
from tests.unit.model import test_refused_gateways, test_refused_sidecars, test_refused_targets

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_800)]

MESHES: dict[str, list[dict[str, Any]]] = yaml.safe_load(
    (Path(__file__).parents[2] / "data" / "oracle" / "meshes.yaml").read_text(encoding="utf-8")
)
SEEDS = range(300)
ROWS = {"gateways": test_refused_gateways, "sidecars": test_refused_sidecars, "targets": test_refused_targets}
JUDGED: dict[str, tuple[Any, bool]] = {
    **{name: (subject, bool(reason)) for name, (subject, reason) in REFUSALS.items()},
    **{f"{kind}: {name}": (each[0], True) for kind, rows in ROWS.items() for name, each in rows.REFUSED.items()},
    **{f"{kind}: {name}, taken": (each, False) for kind, rows in ROWS.items() for name, each in rows.TAKEN.items()},
}
"""What the tests of the linter say of single objects."""

BROKEN = (
    "VirtualService",
    "HTTPRoute",
    "GRPCRoute",
    "EnvoyFilter",
    "DestinationRule",
    "ServiceEntry",
    "Gateway",
    "Sidecar",
)
BROKEN_SEEDS = range(2400, 2500)


@pytest.mark.parametrize("name", MESHES)
def test_istiod_renders_what_the_linter_says(oracle: Oracle, name: str) -> None:
    result = compare(MESHES[name], oracle)
    assert (result.disagreements, result.ended) == ([], "")


def test_random_meshes_are_rendered_as_the_linter_says(oracle: Oracle) -> None:
    """What disagrees is shrunk to a case by `python -m tests.differential SEED NEXT --shrink`."""
    found = {seed: compare(mesh(seed), oracle) for seed in SEEDS}
    assert {seed: each for seed, each in found.items() if each.disagreements or each.ended} == {}


@pytest.mark.parametrize("name", JUDGED)
def test_istiod_refuses_what_the_linter_says(oracle: Oracle, name: str) -> None:
    subject, refused = JUDGED[name]
    found = [each for each in oracle.ask(question_of([subject])).get("objects", []) if each.get("refused")]
    assert bool(found) is refused, found


def test_random_slips_are_refused_as_the_linter_says(oracle: Oracle) -> None:
    """What disagrees is shrunk by `python -m tests.differential SEED NEXT --broken KIND … --shrink`."""
    found = {seed: compare(broken_mesh(seed, BROKEN), oracle) for seed in BROKEN_SEEDS}
    assert {seed: each for seed, each in found.items() if each.disagreements or each.ended} == {}
