"""A published recipe: what is wrong with it is named; rendered from the model, nothing is."""

from pathlib import Path

import yaml

from pulumi_traffic_mirror.model import Destination, IstioBehaviour, IstioVersion, Match
from pulumi_traffic_mirror.model.rules import Mesh, run_rules
from pulumi_traffic_mirror.operations.manifests import load
from tests.unit.model.samples import (
    NOW,
    Object,
    contract,
    cross_cluster,
    deployment,
    in_cluster,
    receiver,
    receiving,
    route,
    sending,
    service,
)

RECIPE = Path(__file__).parents[2] / "data" / "published_recipe"
HOST = "grpc-hello-shikanon.cn-bj.rcmd-staging.skyengine.net.cn"


def recipe(istio: IstioBehaviour | None = None) -> Mesh:
    """Both clusters of the recipe."""
    loaded = [each for name in ("staging", "testing") for each in load(name, [RECIPE / name], istio)]
    return Mesh(clusters=[each.cluster for each in loaded], now=NOW)


def rules(mesh: Mesh, subject: str = "") -> set[str]:
    """Ids of the rules that something breaks."""
    return {finding.rule for finding in run_rules(mesh) if subject in finding.object}


def test_everything_that_is_wrong_with_it_is_named() -> None:
    assert rules(recipe()) == {
        "gateway-undefined",
        "mirror-credentials",
        "mirror-deprecated-percent",
        "mirror-no-brakes",
        "mirror-peer-metadata",
        "mirror-plain-text",
        "mirror-port-name",
        "mirror-protocol",
        "mirror-shared-selector",
        "mirror-side-effects",
        "mirror-unbounded-life",
        "mirror-unmarked",
        "receiver-no-route",
    }


def test_the_in_cluster_part_alone_has_its_own_faults() -> None:
    found = rules(recipe(), "default/grpc-hello-world")
    assert {"mirror-no-brakes", "mirror-side-effects", "mirror-credentials"} <= found


def test_the_missing_route_is_named_with_the_release_that_needs_it() -> None:
    [found] = [each for each in run_rules(recipe()) if each.rule == "receiver-no-route"]
    assert "Istio >= 1.28" in found.message
    assert f"testing has no route for {HOST}:" in found.message
    assert found.field == "spec.http[0].mirror"
    old = IstioBehaviour(version=IstioVersion(1, 27))
    assert "receiver-no-route" not in rules(recipe(old))
    assert "receiver-single-form" in rules(recipe(old))


def test_rendered_from_the_model_nothing_is_wrong(tmp_path: Path) -> None:
    match = Match(rpc_methods=["helloworld.Greeter/SayHello"])
    agreed = contract(hosts=[HOST])
    wanted = route(
        hosts=[HOST], mirrors=[in_cluster(percent=100), cross_cluster(contract=agreed, percent=100, match=match)]
    )
    accepted = receiver(contract=agreed, service=Destination("greeter.hello.svc.cluster.local", 8000))
    gateway = deployment("internal-gateway", "istio-system", istio="internal-gateway")
    front = service("internal-gateway", "istio-system", selector={"istio": "internal-gateway"})
    staging: list[Object] = [
        *sending(wanted),
        service(selector={"app": "greeter", "version": "v1"}),
        service("greeter-v2", selector={"app": "greeter", "version": "v2"}),
        deployment("greeter-v1", app="greeter", version="v1"),
        deployment("greeter-v2", app="greeter", version="v2"),
        gateway,
        front,
    ]
    testing: list[Object] = [*receiving(accepted), service(), deployment("greeter", app="greeter"), gateway, front]
    for name, objects in (("staging", staging), ("testing", testing)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "objects.yaml").write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    for minor in (28, 31):
        istio = IstioBehaviour(version=IstioVersion(1, minor))
        loaded = [each for name in ("staging", "testing") for each in load(name, [tmp_path / name], istio)]
        judged = run_rules(Mesh(clusters=[each.cluster for each in loaded], now=NOW))
        # The samples' gateway lies in the root namespace.
        found = [each for each in judged if each.rule != "gateway-in-root-namespace"]
        assert [str(each) for each in found if minor == 31] == []
        assert {each.rule for each in found} <= {"envoy-filter-too-new"}
