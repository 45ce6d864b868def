"""Rules on rights, where istiod is at hand."""

import pytest

from pulumi_traffic_mirror.model.rules import run_rules
from tests.unit.model.samples import deployment, istiod, mesh, sending


@pytest.mark.parametrize(("place", "told"), [("mesh", True), ("istio-system", False)])
def test_a_gateway_may_be_anywhere_but_beside_istiod(place: str, *, told: bool) -> None:
    found = run_rules(
        mesh([*sending(), istiod(namespace="mesh"), deployment("gateway", place, istio="internal-gateway")])
    )
    said = [each.message for each in found if each.rule == "gateway-in-root-namespace"]
    assert said == (["runs a gateway in mesh, beside istiod"] if told else [])
