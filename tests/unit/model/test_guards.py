"""What is said of guards is what is rendered, and what a control plane does not apply guards nothing."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.model import (
    GatewayHosts,
    InClusterMirror,
    IstioBehaviour,
    IstioVersion,
    Match,
    Mirror,
    MirroredRoute,
    OverlayRoute,
    Protocol,
    SpecOf,
    ValidationError,
    Waiver,
    WaypointService,
    render,
)
from pulumi_traffic_mirror.model.guards import Keeper
from pulumi_traffic_mirror.model.istio import MANAGED_PATCHES, known_patches
from pulumi_traffic_mirror.model.rules import Outcome, run_rules
from pulumi_traffic_mirror.program import guards_page
from tests.unit.model.samples import HOST, REASON, contract, cross_cluster, in_cluster, mesh, route, sending

MANAGED = IstioBehaviour(version=IstioVersion(1, 28), patches=MANAGED_PATCHES)
CONTROL_PLANES = [
    IstioBehaviour(version=IstioVersion(1, minor), patches=patches)
    for minor, patches in product((27, 30, 31), (None, MANAGED_PATCHES, ("CLUSTER",), ("HTTP_ROUTE",)))
]
GUARD_RULES = {"mirror-no-brakes", "mirror-unbounded-life", "mirror-uploads-unbounded", "mirror-unmarked"}
WAIVED: dict[str, Any] = {"unbounded_life": REASON}


def taken(mirror: Mirror, **given: Any) -> MirroredRoute | None:
    try:
        return route(mirrors=[mirror], **given)
    except ValidationError:
        return None


def mirrors(protocol: Protocol) -> list[Mirror]:
    given: dict[str, Any] = {} if protocol is Protocol.GRPC else {"match": Match(http_methods=["GET"])}
    waivers: list[dict[str, Any]] = [{}, {"brakes": REASON}, {"unbounded_life": REASON}]
    scrubs: list[dict[str, Any]] = [{}, {"scrub": REASON}]
    within = [in_cluster(**given, **waived, **scrub) for waived, scrub in product(waivers, scrubs)]
    terms = contract(protocol=protocol)
    return [*within, *(cross_cluster(contract=terms, **given, **waived) for waived in waivers)]


@pytest.mark.parametrize("istio", CONTROL_PLANES, ids=str)
@pytest.mark.parametrize("timeout", [None, 5.0])
@pytest.mark.parametrize("protocol", [Protocol.GRPC, Protocol.HTTP])
def test_what_is_said_to_be_kept_is_what_the_rules_find(
    istio: IstioBehaviour, timeout: float | None, protocol: Protocol
) -> None:
    tried = 0
    for mirror in mirrors(protocol):
        given = taken(mirror, istio=istio, timeout_seconds=timeout, protocol=protocol)
        if given is None:
            continue
        tried += 1
        kept = given.guards(mirror)
        found = [each for each in run_rules(mesh(sending(given), istio=istio)) if each.rule in GUARD_RULES]
        # What a receiver that is not at hand does is not judged.
        assert not [each for each in found if each.outcome is Outcome.BROKEN], (mirror, found)
        waived = {each.rule for each in found if each.outcome is Outcome.WAIVED}
        assert ("mirror-no-brakes" in waived) == (kept.brakes is Keeper.NONE)
        assert ("mirror-unbounded-life" in waived) == (kept.life is Keeper.NONE)
        assert ("mirror-uploads-unbounded" in waived) == (kept.life is Keeper.PARTLY)
        assert ("mirror-unmarked" in waived) == (kept.mark is Keeper.NONE)
        written = str(render.envoy_filter(given))
        assert ("max_stream_duration" in written) == (kept.life is Keeper.PATCH)
        assert ("authorization" in written) == (kept.scrub is Keeper.SOURCE)
    assert tried


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: route(istio=MANAGED, mirrors=[cross_cluster()]), "mirrors[0].brakes.max_duration_seconds = 8.0: cann"),
        (lambda: route(istio=MANAGED, mirrors=[cross_cluster()], timeout_seconds=5), "not end copies of uploads and"),
        (lambda: route(istio=MANAGED, mirrors=[in_cluster(brakes=REASON)]), "mirrors[0].scrub = 'Scrub': cannot be"),
        (
            lambda: route(mirrors=[in_cluster(**WAIVED)]),
            "unbounded_life = 'Only synthetic callers use this service'",
        ),
        (
            lambda: route(istio=MANAGED, mirrors=[cross_cluster(brakes=REASON, **WAIVED)]),
            "because brakes are waived altogether",
        ),
        (lambda: overlay(GatewayHosts(hosts=[HOST])), "on[0] = 'GatewayHosts': needs a control plane that applies Env"),
        (lambda: overlay(WaypointService("a.b.svc.cluster.local", 80)), "to NETWORK_FILTER and CLUSTER; this one appl"),
        (lambda: IstioBehaviour(version=IstioVersion(1, 31), patches="CLUSTER"), "patches = 'CLUSTER': must be a list"),
        (
            lambda: IstioBehaviour(version=IstioVersion(1, 31), patches=["LUA"]),
            "patches[0] = 'LUA': must be one of B",
        ),
    ],
)
def test_what_cannot_be_guarded_is_refused(build: Any, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        build()
    assert words in str(caught.value)


def overlay(place: GatewayHosts | WaypointService) -> OverlayRoute:
    return OverlayRoute(name="shop", namespace="web", on=[place], istio=MANAGED)


def test_a_spec_of_one_s_own_is_held_to_the_same() -> None:
    at = SpecOf(name="shop", namespace="web", istio=MANAGED)
    target = {"destination": {"host": "orders.web.svc.cluster.local", "port": {"number": 80}}}
    spec: Any = {"hosts": [HOST], "gateways": ["ingress/edge"], "http": [{"route": [target], "timeout": "3s"}]}
    mirror = InClusterMirror(percent=100, service=in_cluster().service, scrub=Waiver(reason="reads public pages only"))
    result = render.mirrored(spec, [mirror], at=at)
    assert result.guards["greeter-v2"].life is Keeper.TIMEOUT
    assert [each["kind"] for each in result.objects] == ["DestinationRule"]
    spec["http"].append({"match": [{"uri": {"prefix": "/slow"}}], "route": [target], "timeout": "0s"})
    with pytest.raises(ValidationError, match="the route has no timeout"):
        render.mirrored(spec, [mirror], at=at)


@pytest.mark.parametrize(
    ("version", "revision", "patches"),
    [
        ("1.31.0", "", None),
        ("1.31.0-asm.2", "", MANAGED_PATCHES),
        ("1.28.3", "asm-managed-rapid", MANAGED_PATCHES),
        ("1.28.3", "asm-1283", None),
    ],
)
def test_managed_meshes_are_known_by_version_and_revision(version: str, revision: str, patches: object) -> None:
    assert known_patches(version, revision) == patches


def test_filters_of_anybody_are_not_in_force_where_the_control_plane_applies_none() -> None:
    given = route(mirrors=[cross_cluster()])
    found = [each for each in run_rules(mesh(sending(given), istio=MANAGED)) if each.outcome is Outcome.BROKEN]
    rules = {each.rule for each in found}
    assert {"envoy-filter-too-new", "mirror-unbounded-life"} <= rules
    assert not {"envoy-filter-too-new", "mirror-unbounded-life"} & {
        each.rule for each in run_rules(mesh(sending(given))) if each.outcome is Outcome.BROKEN
    }
    told = [each.message for each in found if each.rule == "envoy-filter-too-new"]
    assert "patches of CLUSTER are not in force: this control plane applies those of HTTP_FILTER alone" in told


def test_an_overlay_of_anybody_mirrors_nothing_there() -> None:
    mirror = InClusterMirror(percent=100, service=in_cluster().service)
    on = [GatewayHosts(hosts=[HOST])]
    hung = OverlayRoute(name="shop", namespace="web", on=on, istio=CONTROL_PLANES[-4], mirrors=[mirror])
    (found,) = render.overlay_filters(hung).values()
    told = {each.message for each in run_rules(mesh([found], istio=MANAGED)) if each.rule == "envoy-filter-too-new"}
    ending = "are not in force: this control plane applies those of HTTP_FILTER alone"
    assert told == {f"patches of {kind} {ending}" for kind in ("HTTP_ROUTE", "CLUSTER")}
    assert not [each for each in run_rules(mesh([found], istio=MANAGED)) if each.rule.startswith("overlay-")]


def test_the_page_is_what_the_model_says() -> None:
    written = (Path(__file__).parents[3] / "docs/guards.md").read_text()
    assert written == guards_page.page(), "run: python -m pulumi_traffic_mirror.program.guards_page > docs/guards.md"
