"""Writes the table of guards: ``python -m pulumi_traffic_mirror.program.guards_page > docs/guards.md``."""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from typing import Final, TypeAlias

from ..model import (
    CrossClusterMirror,
    Destination,
    GatewayHosts,
    GatewayRef,
    InClusterMirror,
    IstioBehaviour,
    IstioVersion,
    Match,
    Mirror,
    MirrorContract,
    MirroredRoute,
    OverlayRoute,
    Protocol,
    RouteApi,
    ValidationError,
    Waiver,
)
from ..model.guards import Guards
from ..model.istio import MANAGED_PATCHES

_HEAD: Final = """<!-- Written by `python -m pulumi_traffic_mirror.program.guards_page > docs/guards.md`. -->
# Which guards each form keeps

Every mirror has four guards, and each is on unless a waiver with a reason switches it off:

* **brakes**: limits on connections and requests, ejection, keep-alive. A DestinationRule has most of them; that
  ejections never grow and that HTTP/2 connections are probed takes an EnvoyFilter.
* **life**: what ends a copy whose mirror accepts and then hangs. No API of Istio's bounds a copy alone: an EnvoyFilter
  does, or the timeout of the route, which holds for the primary as well, so that none is ever set for a mirror's sake.
  A timeout starts when the request is whole, so it does not end the copy of an upload that the mirror stopped reading.
* **scrub**: where credentials come off. *At source* they never leave the proxy with the copy; *at receiver* the other
  cluster's gateway takes them off. Before Istio 1.31 routes of ours scrub in-cluster copies on the mirror's cluster:
  whoever calls the mirror's Service itself loses the headers too, and is marked.
* **mark**: where the header is put on that tells a copy from a request, and keeps it from being copied again.

In the Gateway API a RequestMirror copies and can do no more: where Istio's proxies can change the headers of a copy
alone, an overlay's patch makes the mirror instead, and the primary sees one header of it. A `MirrorReceiver` there
keeps the same contract; it answers a mirror of a mirror by 500 in place of 508, and takes off 32 headers at most.

What no form can keep is refused, with the argument that would have to be waived. The same words are in the outputs of
the components (`mirrors[].guards`).

Managed Cloud Service Mesh applies EnvoyFilters to `HTTP_FILTER` alone. `ExistingIstio` takes a version such as
`1.28.3-asm.4` and a revision such as `asm-managed` for that; `patches` says it of any other mesh, and overrules it.
A program asks no cluster: where namespaces have the label `istio-injection=enabled` and no revision, say it by the
version. `check`, `verify` and the policy pack find out by themselves where no istiod is at hand: by the revision of a
namespace or its annotation `mesh.cloud.google.com/proxy`, by the Deployment `kube-system/mdp-controller`, and in files
and stacks by a ConfigMap `istio-asm-managed…`, a ControlPlaneRevision `asm-managed…` or a webhook
`istiod-asm-managed…` as well; `check` says by which. Where none of these is at hand, `--istio 1.28.3-asm.4` of `check`
and `verify` says it.

There a `MirrorReceiver` can neither keep the `x-request-id` of copies nor bound how many come in a second, and warns;
a `TrafficRecorder` is refused; and `check` judges everybody's EnvoyFilters as not in force.

| Form | Mesh | Mirror | Brakes | Life | Scrub | Mark |
|---|---|---|---|---|---|---|
"""

_NEW: Final = IstioBehaviour(version=IstioVersion(1, 31))
_MIDDLE: Final = IstioBehaviour(version=IstioVersion(1, 28))
_OLD: Final = IstioBehaviour(version=IstioVersion(1, 26))
_MANAGED: Final = IstioBehaviour(version=IstioVersion(1, 28), patches=MANAGED_PATCHES)
_HOSTS: Final = ("shop.example.com",)
_PRIMARY: Final = Destination("orders.shop.svc.cluster.local", 80)
_REASON: Final = Waiver(reason="stands for any reason")

_Waivers: TypeAlias = Mapping[str, Waiver]
_Form: TypeAlias = Callable[[IstioBehaviour, Mirror], Guards]


def _route(
    istio: IstioBehaviour, mirror: Mirror, timeout: float | None = None, api: RouteApi = RouteApi.ISTIO
) -> Guards:
    route = MirroredRoute(
        name="orders",
        namespace="shop",
        primary=_PRIMARY,
        istio=istio,
        hosts=_HOSTS,
        port=80,
        protocol=Protocol.HTTP,
        mirrors=[mirror],
        gateway=GatewayRef(name="edge", namespace="ingress"),
        timeout_seconds=timeout,
        api=api,
    )
    return route.guards(mirror)


def _timed_route(istio: IstioBehaviour, mirror: Mirror) -> Guards:
    return _route(istio, mirror, timeout=5)


def _timed_uploads(istio: IstioBehaviour, mirror: Mirror) -> Guards:
    return _route(istio, replace(mirror, match=Match(http_methods=["GET", "POST"])), timeout=5)


def _native_route(istio: IstioBehaviour, mirror: Mirror) -> Guards:
    return _route(istio, mirror, api=RouteApi.GATEWAY)


def _timed_native_route(istio: IstioBehaviour, mirror: Mirror) -> Guards:
    return _route(istio, mirror, timeout=5, api=RouteApi.GATEWAY)


def _overlay(istio: IstioBehaviour, mirror: Mirror) -> Guards:
    on = [GatewayHosts(hosts=_HOSTS)]
    route = OverlayRoute(name="orders", namespace="shop", on=on, istio=istio, mirrors=[mirror])
    return route.guards(mirror)


_ROUTE: Final = "`MirroredService`, `mirrored()`"
_NATIVE: Final = "`MirroredService(api='gateway')`"
_FORMS: Final[tuple[tuple[str, str, IstioBehaviour, _Form], ...]] = (
    (_ROUTE, "Istio 1.31", _NEW, _route),
    (_ROUTE, "Istio 1.26 to 1.30", _OLD, _route),
    (_ROUTE, "managed, route with a timeout, GET, HEAD and OPTIONS alone", _MANAGED, _timed_route),
    (_ROUTE, "managed, route with a timeout, POST and gRPC as well", _MANAGED, _timed_uploads),
    (_ROUTE, "managed, route without", _MANAGED, _route),
    (_NATIVE, "Istio 1.28 to 1.31", _MIDDLE, _native_route),
    (_NATIVE, "Istio 1.26 and 1.27", _OLD, _native_route),
    (_NATIVE, "managed, route with a timeout, GET, HEAD and OPTIONS alone", _MANAGED, _timed_native_route),
    ("`MirrorOverlay`", "Istio 1.28 to 1.31", _MIDDLE, _overlay),
    ("`MirrorOverlay`", "Istio 1.26 and 1.27", _OLD, _overlay),
    ("`MirrorOverlay`", "managed", _MANAGED, _overlay),
)


def _in_cluster(waivers: _Waivers) -> Mirror:
    return InClusterMirror(
        percent=100,
        service=Destination("orders-next.labs.svc.cluster.local", 80),
        scrub=waivers.get("scrub", InClusterMirror(percent=100, service=_PRIMARY).scrub),
        unbounded_life=waivers.get("unbounded_life"),
    )


def _cross_cluster(waivers: _Waivers) -> Mirror:
    return CrossClusterMirror(
        percent=100,
        contract=MirrorContract(hosts=_HOSTS, port=80, protocol=Protocol.HTTP),
        match=Match(path_prefixes=["/api"]),
        client_credential="mirror-client",
        unbounded_life=waivers.get("unbounded_life"),
    )


_MIRRORS: Final = (("in-cluster", _in_cluster), ("cross-cluster", _cross_cluster))
_WAIVED_AS: Final = {"brakes.max_duration_seconds": "unbounded_life", "scrub": "scrub"}
"""Argument that waives a guard, by the field of the refusal."""


def _row(mesh: IstioBehaviour, form: _Form, make: Callable[[_Waivers], Mirror]) -> list[str]:
    waivers: dict[str, Waiver] = {}
    while True:
        try:
            kept = form(mesh, make(waivers))
        except ValidationError as error:
            waiver = _WAIVED_AS.get(error.field.rpartition("].")[2])
            if waiver is None:
                return [f"refused: {error.rule}", "", "", ""]
            waivers[waiver] = _REASON
            continue
        cells = {name: str(keeper.value) for name, keeper in asdict(kept).items()}
        for name, waiver in (("life", "unbounded_life"), ("scrub", "scrub")):
            if waiver in waivers:
                cells[name] += f" (refused unless `{waiver}` is waived)"
        return list(cells.values())


def _rows() -> Iterator[list[str]]:
    for form, mesh, istio, guarded in _FORMS:
        for kind, make in _MIRRORS:
            yield [form, mesh, kind, *_row(istio, guarded, make)]


def page() -> str:
    """The whole of ``docs/guards.md``."""
    return _HEAD + "".join(f"| {' | '.join(row)} |\n" for row in _rows())


if __name__ == "__main__":
    sys.stdout.write(page())
