"""For every rule objects that keep it, break it, and are none of its business."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from pulumi_traffic_mirror.model import (
    Brakes,
    Expiry,
    IstioBehaviour,
    IstioVersion,
    Match,
    Protocol,
)
from pulumi_traffic_mirror.model.rules import UNKNOWN, Mesh, RuleSettings
from tests.unit.model.controller_cases import CONTROLLER_MESHES, beside_controllers, no_controller
from tests.unit.model.overlay_cases import OVERLAY_MESHES, nothing, whole
from tests.unit.model.samples import (
    HOST,
    OLD,
    REASON,
    Object,
    changed,
    contract,
    cross_cluster,
    deployment,
    in_cluster,
    mesh,
    receiver,
    receiving,
    route,
    sending,
    service,
)

VS, DR, SE, EF, GW = "VirtualService", "DestinationRule", "ServiceEntry", "EnvoyFilter", "Gateway"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One rule with a mesh for each answer."""

    rule: str
    passes: Callable[[], Mesh]
    fails: Callable[[], Mesh]
    silent: Callable[[], Mesh]
    """The rule does not apply."""
    names: str
    """What the finding's message must name."""
    settings: RuleSettings | None = None
    at: str = ""
    """Start of the finding's field, where it matters."""


def weighed(**weights: int) -> list[Object]:
    """Destinations in the namespace hello."""
    return [
        {"destination": {"host": f"{name}.hello.svc.cluster.local", "port": {"number": 8000}}, "weight": weight}
        for name, weight in weights.items()
    ]


def bare(**entry: object) -> Object:
    """A VirtualService that somebody wrote by hand, with one entry; what is None is left out."""
    target = {"host": "b.hello.svc.cluster.local", "port": {"number": 8000}}
    given = {
        "route": [{"destination": {"host": "a.hello.svc.cluster.local", "port": {"number": 8000}}}],
        "mirror": target,
    }
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": VS,
        "metadata": {"name": "a", "namespace": "hello"},
        "spec": {
            "hosts": ["a.hello.svc.cluster.local"],
            "http": [{key: value for key, value in {**given, **entry}.items() if value is not None}],
        },
    }


def mirrorless() -> Mesh:
    """A route without any mirror."""
    return mesh(sending(route(mirrors=[])), receiving())


def both(**values: object) -> Mesh:
    """Both clusters as they are rendered."""
    return mesh(sending(route(**values)), receiving())


def staging(kind: str, path: str, value: object, *, last: bool = False) -> Callable[[], Mesh]:
    """Both clusters with one field of staging's objects changed."""
    return lambda: mesh(changed(sending(), kind, path, value, last=last), receiving())


def testing(kind: str, path: str, value: object) -> Callable[[], Mesh]:
    """Both clusters with one field of testing's objects changed."""
    return lambda: mesh(sending(), changed(receiving(), kind, path, value))


def plain_http() -> Mesh:
    """A mirror of plain HTTP as it is rendered, with its primary's Service."""
    return mesh(plain_objects())


def plain_objects() -> list[Object]:
    """Its objects."""
    given = route(protocol=Protocol.HTTP, mesh=False, mirrors=[in_cluster(match=Match(http_methods=["GET"]))])
    ports = [{"name": "http", "port": 8000, "targetPort": 8000}]
    return [*sending(given), service(ports=ports)]


def without(objects: Sequence[Object], kind: str) -> list[Object]:
    """Objects of every other kind."""
    return [each for each in objects if each["kind"] != kind]


def share(value: object) -> Callable[[], Mesh]:
    """A hand-written mirror with a share."""
    return lambda: mesh([bare(mirrorPercentage={"value": value})])


def two(**shares: float) -> Callable[[], Mesh]:
    """A hand-written route with two mirrors, by host and share."""
    mirrors = [
        {
            "destination": {"host": f"{name}.hello.svc.cluster.local", "port": {"number": 8000}},
            "percentage": {"value": each},
        }
        for name, each in shares.items()
    ]
    return lambda: mesh([bare(mirror=None, mirrors=mirrors)])


def twice() -> Mesh:
    """One target twice on a hand-written route."""
    mirror = {"destination": {"host": "b.hello.svc.cluster.local", "port": {"number": 8000}}}
    return mesh([bare(mirror=None, mirrors=[mirror, mirror])])


def expiring(day: date) -> Callable[[], Mesh]:
    """Both clusters with a mirror that ends."""
    return lambda: both(mirrors=[cross_cluster(expires=Expiry.on(day))])


def subset_mirror(**pods: str) -> Callable[[], Mesh]:
    """A mirror by subset with the Service and the workloads given."""
    given = route(mirrors=[in_cluster(service=None, subset="v2", shared_service=REASON)])
    objects = changed(sending(given), VS, "metadata.annotations", None)
    workloads = [deployment("greeter-v1", app="greeter", version="v1"), deployment("greeter-v2", **pods)]
    return lambda: mesh([*objects, service(), *workloads])


def namespace(**labels: str) -> Object:
    """A namespace with labels."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "hello", "labels": labels}}


def back() -> list[Object]:
    """A hand-written mirror of testing's that sends everything back to staging."""
    target = {"host": "staging.example", "port": {"number": 8000}}
    given = bare(mirror=target)
    given["spec"] |= {"hosts": [HOST], "gateways": ["istio-system/internal-gateway"]}
    given["metadata"] = {"name": "back", "namespace": "other"}
    return [*receiving(), given]


def entries(kind: str, spec: object) -> Object:
    """One more Istio object beside the rendered ones."""
    version = "v1alpha3" if kind == EF else "v1"
    metadata = {"name": "more", "namespace": "istio-system"}
    return {"apiVersion": f"networking.istio.io/{version}", "kind": kind, "metadata": metadata, "spec": spec}


def options(**fields: object) -> Object:
    """An EnvoyFilter that sets HTTP options of every cluster."""
    kind = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    value = {"typed_extension_protocol_options": {kind: {"@type": f"type.googleapis.com/{kind}", **fields}}}
    patch = {"applyTo": "CLUSTER", "patch": {"operation": "MERGE", "value": value}}
    return entries(EF, {"configPatches": [patch]})


def gateway_service(*ports: int) -> list[Object]:
    """Staging's objects with the gateway's Service."""
    spec = {"selector": {"istio": "internal-gateway"}, "ports": [{"port": port, "targetPort": port} for port in ports]}
    return [*sending(), service("internal-gateway", "istio-system", **spec)]


def behind(source: Object) -> list[Object]:
    """A route whose mirror stands behind an entry that takes every request."""
    [entry] = source["spec"]["http"]
    source["spec"]["http"] = [{"match": [{"uri": {"prefix": "/"}}], "route": entry["route"]}, entry]
    return [source]


def noted(target: Object, export: str) -> Object:
    """A Service that exports itself."""
    target["metadata"]["annotations"] = {"networking.istio.io/exportTo": export}
    return target


def ejecting(endpoints: int, **outliers: float) -> list[Object]:
    """A mirror to a Service with some endpoints and outlier detection."""
    pods = deployment("b", app="b")
    pods["spec"]["replicas"] = endpoints
    policy = {"outlierDetection": outliers or {"consecutive5xxErrors": 5}}
    rule = entries(DR, {"host": "b.hello.svc.cluster.local", "trafficPolicy": policy})
    return [bare(), service("b"), pods, rule]


def patched(name: str, operation: str, to: str = "b", removed: str = "") -> Object:
    """An EnvoyFilter that writes the mirrors of a route, and takes a header off the copies."""
    mutations = {"request_headers_mutations": [{"remove": removed}]} if removed else {}
    policies = [{"cluster": f"outbound|8000||{to}.hello.svc.cluster.local", **mutations}]
    patch = {"operation": operation, "value": {"route": {"request_mirror_policies": policies}}}
    match = {"routeConfiguration": {"vhost": {"route": {"name": name}}}}
    return entries(EF, {"configPatches": [{"applyTo": "HTTP_ROUTE", "match": match, "patch": patch}]})


def elsewhere() -> Object:
    """A route of the Gateway API in `hello` with a mirror in `next`."""
    target = {"name": "b", "namespace": "next", "port": 8000}
    rule = {"filters": [{"type": "RequestMirror", "requestMirror": {"backendRef": target}}]}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "a", "namespace": "hello"},
        "spec": {"parentRefs": [{"name": "gw"}], "rules": [rule]},
    }


def grant(kind: str, namespace: str = "next", **to: str) -> Object:
    """A ReferenceGrant for routes of a kind in `hello`."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1beta1",
        "kind": "ReferenceGrant",
        "metadata": {"name": "a", "namespace": namespace},
        "spec": {
            "from": [{"group": "gateway.networking.k8s.io", "kind": kind, "namespace": "hello"}],
            "to": [{"group": "", "kind": "Service", **to}],
        },
    }


FIRST = "spec.http.1.mirrors.0"
NEXT_B: Object = {"host": "b.next.svc.cluster.local", "port": {"number": 8000}}
CASES: tuple[Case, ...] = (
    Case(
        rule="mirrors-readable",
        passes=both,
        fails=lambda: mesh([{**bare(), "spec": UNKNOWN}]),
        silent=lambda: mesh([service()]),
        names="not known yet",
    ),
    Case(
        rule="mirror-and-mirrors",
        passes=lambda: mesh([bare()]),
        fails=lambda: mesh([bare(mirrors=[{"destination": {"host": "c.hello.svc.cluster.local"}}])]),
        silent=mirrorless,
        names="on one route",
        at="spec.http[0].mirror",
    ),
    Case(
        rule="mirror-deprecated-percent",
        passes=share(50),
        fails=lambda: mesh([bare(mirror_percent=50)]),
        silent=both,
        names="mirror_percent",
        at="spec.http[0].mirror_percent",
    ),
    Case(
        rule="mirror-percent-range",
        passes=share(0.0001),
        fails=share(0.00001),
        silent=lambda: mesh([bare()]),
        names="nothing arrives",
    ),
    Case(
        rule="mirror-percent-implicit",
        passes=share(100),
        fails=lambda: mesh([bare()]),
        silent=mirrorless,
        names="every request",
    ),
    Case(
        rule="mirror-percent-ignored",
        passes=lambda: mesh([bare(mirrorPercentage={"value": 10})]),
        fails=lambda: mesh(
            [bare(mirror=None, mirrors=[{"destination": {"host": "b"}}], mirrorPercentage={"value": 10})]
        ),
        silent=mirrorless,
        names="spec.http[0].mirrors[0]: every request",
        at="spec.http[0].mirrorPercentage",
    ),
    Case(
        rule="mirror-percent-limit",
        settings=RuleSettings(max_percent=50),
        passes=share(50),
        fails=share(50.0001),
        silent=mirrorless,
        names="at most 50 %",
    ),
    Case(
        rule="mirror-expired",
        passes=expiring(date(2026, 11, 23)),
        fails=expiring(date(2026, 11, 22)),
        silent=both,
        names="2026-11-22T23:59:59Z",
    ),
    Case(
        rule="mirror-lifetime",
        settings=RuleSettings(max_lifetime_days=7),
        passes=expiring(date(2026, 11, 29)),
        fails=both,
        silent=mirrorless,
        names="no end",
    ),
    Case(
        rule="object-refused",
        passes=both,
        fails=lambda: mesh([bare(timeout="0s")]),
        silent=lambda: mesh([service()]),
        names="at least 1ms",
        at="spec.http[0].timeout",
    ),
    Case(
        rule="field-unknown",
        passes=both,
        fails=lambda: mesh([bare(mirror_percentage={"value": 5})]),
        silent=lambda: mesh([service()]),
        names="mirrorPercentage is meant",
        at="spec.http[0].mirror_percentage",
    ),
    Case(
        rule="mirror-never-sent",
        passes=both,
        fails=lambda: mesh(behind(bare())),
        silent=mirrorless,
        names="before it takes every request",
        at="spec.http[1].mirror",
    ),
    Case(
        rule="mirror-primary-undefined",
        passes=lambda: mesh([bare(), service("a"), service("b")]),
        fails=lambda: mesh([bare(), service("b")]),
        silent=lambda: mesh([bare()]),
        names="no Service a.hello.svc.cluster.local",
    ),
    Case(
        rule="mirror-target-short-name",
        passes=both,
        fails=lambda: mesh([bare(mirror={"host": "b"})]),
        silent=mirrorless,
        names="b.hello.svc.cluster.local",
    ),
    Case(
        rule="mirror-target-no-port",
        passes=both,
        fails=lambda: mesh([bare(mirror={"host": "b.hello.svc.cluster.local"})]),
        silent=mirrorless,
        names="without a port",
    ),
    Case(
        rule="mirror-target-undefined",
        passes=both,
        fails=lambda: mesh(without(sending(), SE), receiving()),
        silent=lambda: mesh(without(sending(), SE), complete=False),
        names="no ServiceEntry",
    ),
    Case(
        rule="mirror-target-port-undefined",
        passes=both,
        fails=staging(SE, "spec.ports.0.number", 9000),
        silent=lambda: mesh(sending(route(mirrors=[in_cluster()]))),
        names="not 8000",
    ),
    Case(
        rule="mirror-subset-undefined",
        passes=subset_mirror(app="greeter", version="v2"),
        fails=staging(VS, f"{FIRST}.destination.subset", "v3"),
        silent=both,
        names="'v3'",
    ),
    Case(
        rule="mirror-target-not-allowed",
        settings=RuleSettings(allowed_targets=["*.svc.cluster.local", contract().mirror_host]),
        passes=both,
        fails=staging(VS, f"{FIRST}.destination.host", "evil.example"),
        silent=mirrorless,
        names="evil.example",
    ),
    Case(
        rule="destination-rule-out-of-reach",
        passes=both,
        fails=staging(DR, "metadata.namespace", "elsewhere", last=True),
        silent=lambda: mesh(without(sending(), DR)),
        names="istio-system",
    ),
    Case(
        rule="mirror-destination-rule-twice",
        passes=both,
        fails=lambda: mesh([*sending(), *changed(sending(), DR, "metadata.name", "other", last=True)]),
        silent=lambda: mesh(without(sending(), DR)),
        names="as well",
    ),
    Case(
        rule="service-entry-hidden",
        passes=both,
        fails=staging(SE, "spec.exportTo", ["."]),
        silent=lambda: mesh(sending(route(mirrors=[in_cluster()]))),
        names="istio-system",
    ),
    Case(
        rule="mirror-target-hidden",
        passes=lambda: mesh([bare(), noted(service("b"), "other")]),  # sidecars have all of their own namespace
        fails=lambda: mesh([bare(mirror=NEXT_B), noted(service("b", "next"), ".")]),
        silent=both,
        names="proxies in hello",
        at="metadata.annotations",
    ),
    Case(
        rule="mirror-not-granted",
        passes=lambda: mesh([elsewhere(), grant("HTTPRoute")]),
        fails=lambda: mesh([elsewhere(), grant("GRPCRoute")]),
        silent=both,
        names="lets HTTPRoutes of hello refer to Service b",
        at="spec.rules[0].filters[0].requestMirror.backendRef",
    ),
    Case(
        rule="mirror-is-primary",
        passes=both,
        fails=staging(VS, f"{FIRST}.destination.host", "greeter.hello.svc.cluster.local"),
        silent=mirrorless,
        names="takes in the mirror's pods",
    ),
    Case(
        rule="mirror-is-destination",
        passes=both,
        fails=lambda: mesh([bare(route=weighed(a=100, b=0))]),
        silent=mirrorless,
        names="b.hello.svc.cluster.local is also a destination at spec.http[0].route[1]",
    ),
    Case(rule="mirror-duplicate", passes=both, fails=twice, silent=mirrorless, names="already"),
    Case(
        rule="mirror-not-a-split",
        passes=two(b=50, c=10),
        fails=two(b=30, c=70),
        silent=two(b=100),
        names="the same requests",
    ),
    Case(
        rule="mirror-protocol",
        passes=lambda: mesh([*sending(), service()], receiving()),
        fails=lambda: mesh([*changed(sending(), SE, "spec.ports.0.protocol", "HTTP"), service()]),
        silent=both,
        names="http",
        at="spec.ports[0]",
    ),
    Case(
        rule="mirror-port-name",
        passes=lambda: mesh([*sending(), service()], receiving()),
        fails=lambda: mesh([*sending(), service(ports=[{"port": 8000}])]),
        silent=lambda: mesh(sending(route(mirrors=[in_cluster()]))),
        names="guessed",
    ),
    Case(
        rule="mirror-target-no-pods",
        passes=lambda: mesh([bare(), service("b"), deployment("b", app="b")]),
        fails=lambda: mesh([bare(), service("b"), deployment("b", app="bee")]),
        silent=lambda: mesh([bare(), service("b")]),
        names="app=b",
        at="spec.http[0].mirror",
    ),
    Case(
        rule="service-entry-without-address",
        passes=both,
        fails=lambda: mesh(changed(changed(sending(), SE, "spec.resolution", None), SE, "spec.endpoints", None)),
        silent=lambda: mesh(sending(route(mirrors=[in_cluster()]))),
        names=contract().mirror_host,
        at="spec.resolution",
    ),
    Case(
        rule="mirror-target-headless",
        passes=lambda: mesh([bare(), service("b")]),
        fails=lambda: mesh([bare(), service("b", clusterIP="None")]),
        silent=lambda: mesh([*sending(route(mesh=False)), service("greeter-v2", clusterIP="None")]),
        names="b.hello.svc.cluster.local",
        at="spec.http[0].mirror",
    ),
    Case(
        rule="mirror-no-brakes",
        passes=both,
        fails=staging(DR, "spec.trafficPolicy.outlierDetection", None, last=True),
        silent=mirrorless,
        names="outlier detection",
    ),
    Case(
        rule="mirror-unbounded-life",
        passes=both,
        fails=lambda: mesh(without(sending(), EF)),
        silent=mirrorless,
        names="outbound|8000||greeter-v2.hello.svc.cluster.local",
    ),
    Case(
        rule="mirror-requests-limit",
        settings=RuleSettings(max_requests=256),
        passes=both,
        fails=lambda: both(mirrors=[in_cluster(brakes=Brakes(max_requests=257))]),
        silent=mirrorless,
        names="257",
    ),
    Case(
        rule="envoy-filter-drops-protocol",
        passes=both,
        fails=lambda: mesh([options(common_http_protocol_options={"max_stream_duration": "5s"})]),
        silent=lambda: mesh([service()]),
        names="no protocol",
    ),
    Case(
        rule="mirror-ejects-nobody",
        passes=lambda: mesh(ejecting(10)),
        fails=lambda: mesh(ejecting(9)),
        silent=lambda: mesh(ejecting(1, consecutive5xxErrors=5, maxEjectionPercent=100)),
        names="of 9 endpoints none is taken out at 10 % at most",
        at="spec.trafficPolicy.outlierDetection",
    ),
    Case(
        rule="mirror-uploads-unbounded",
        passes=lambda: mesh([bare(timeout="2s", match=[{"method": {"exact": "GET"}}])]),
        fails=lambda: mesh([bare(timeout="2s")]),
        silent=lambda: mesh([bare()]),
        names="the timeout of 2 s does not end copies of uploads",
    ),
    Case(
        rule="envoy-filter-trace-context",
        passes=both,
        fails=lambda: mesh([patched("a", "MERGE", removed="traceparent")]),
        silent=mirrorless,
        names="traceparent is taken off",
    ),
    Case(
        rule="mirror-credentials",
        passes=both,
        fails=lambda: mesh(without(sending(), EF), changed(receiving(), VS, "spec.http.1.headers", None)),
        silent=mirrorless,
        names="authorization, cookie",
    ),
    Case(
        rule="mirror-scrubbed-late",
        passes=both,
        fails=lambda: mesh(sending(route(istio=OLD)), receiving(), istio=OLD),
        silent=lambda: mesh(sending(route(istio=OLD, mirrors=[in_cluster()])), receiving(), istio=OLD),
        names="the receiver only",
    ),
    Case(
        rule="mirror-peer-metadata",
        passes=both,
        fails=lambda: mesh(without(sending(), EF), changed(receiving(), VS, "spec.http.1.headers", None)),
        silent=lambda: mesh(without(sending(route(mirrors=[in_cluster()])), EF)),
        names="x-envoy-peer-metadata",
    ),
    Case(
        rule="mirror-unmarked",
        passes=both,
        fails=lambda: mesh(without(sending(route(mirrors=[in_cluster()])), EF)),
        silent=mirrorless,
        names="nothing marks",
    ),
    Case(
        rule="mirror-plain-text",
        passes=both,
        fails=staging(DR, "spec.trafficPolicy.tls", None, last=True),
        silent=lambda: mesh(sending(route(mirrors=[in_cluster()]))),
        names="plain text",
    ),
    Case(
        rule="mirror-policy-drift",
        passes=both,
        fails=staging(VS, f"{FIRST}.percentage.value", 51),
        silent=lambda: mesh(without(sending(), EF)),
        names="gets 50 %",
    ),
    Case(
        rule="envoy-filter-too-new",
        passes=both,
        fails=lambda: mesh(sending(), istio=IstioBehaviour(version=IstioVersion(1, 30))),
        silent=lambda: mesh(without(sending(), EF)),
        names="1.31.0",
    ),
    Case(
        rule="envoy-filter-authority",
        passes=both,
        fails=lambda: mesh(
            changed(
                sending(),
                EF,
                "spec.configPatches.3.patch.value.route.request_mirror_policies.0.request_headers_mutations.0",
                {"remove": "host"},
            )
        ),
        silent=lambda: mesh(without(sending(), EF)),
        names="host",
    ),
    Case(
        rule="envoy-filter-no-such-route",
        passes=both,
        fails=staging(VS, "spec.http.1.name", "renamed"),
        silent=lambda: mesh(without(sending(), EF)),
        names="hello.greeter.gateway.mirrored-0",
    ),
    Case(
        rule="envoy-filter-refused-routes",
        passes=lambda: mesh([bare(name="a"), patched("a", "MERGE_AND_REPLACE_LIST")]),
        fails=lambda: mesh([bare(name="a"), patched("a", "INSERT_FIRST")]),
        silent=both,
        names="without a match",
        at="spec.configPatches[0].patch",
    ),
    Case(
        rule="envoy-filter-mirrors",
        passes=lambda: mesh([bare(name="a"), patched("a", "MERGE_AND_REPLACE_LIST")]),
        fails=lambda: mesh([bare(name="a"), patched("a", "MERGE_AND_REPLACE_LIST", to="c")]),
        silent=lambda: mesh([bare(), options(explicit_http_config={})]),
        names="outbound|8000||c.hello.svc.cluster.local",
    ),
    Case(
        rule="mirror-side-effects",
        passes=both,
        fails=lambda: mesh([bare(match=[{"uri": {"exact": "/a.B/C"}}, {"uri": {"prefix": "/a.B/"}}])]),
        silent=mirrorless,
        names="every method",
        at="spec.http[0].match[1]",
    ),
    Case(
        rule="mirror-method-not-allowed",
        settings=RuleSettings(allowed_rpc_methods=["helloworld.Greeter/SayHello"], allowed_http_methods=["GET"]),
        passes=both,
        fails=lambda: mesh([bare(match=[{"method": {"regex": "^(GET|POST)$"}}])]),
        silent=mirrorless,
        names="POST",
    ),
    Case(
        rule="mirror-shared-selector",
        passes=lambda: mesh(
            [
                *sending(),
                service(selector={"app": "greeter", "version": "v1"}),
                service("greeter-v2"),
                deployment("greeter-v2", app="greeter-v2"),
            ]
        ),
        fails=subset_mirror(app="greeter", version="v2"),
        silent=subset_mirror(app="other"),
        names="Deployment hello/greeter-v2",
        at="spec.selector",
    ),
    Case(
        rule="mirror-ambient-without-waypoint",
        passes=lambda: mesh(
            [*sending(), namespace(**{"istio.io/dataplane-mode": "ambient", "istio.io/use-waypoint": "waypoint"})]
        ),
        fails=lambda: mesh([*sending(), namespace(**{"istio.io/dataplane-mode": "ambient"})]),
        silent=lambda: mesh([*sending(route(mesh=False)), namespace(**{"istio.io/dataplane-mode": "ambient"})]),
        names="no waypoint",
    ),
    Case(
        rule="gateway-undefined",
        passes=both,
        fails=lambda: mesh(without(sending(), GW), receiving()),
        silent=lambda: mesh(without(sending(), GW), complete=False),
        names="istio-system/internal-gateway",
    ),
    Case(
        rule="gateway-host",
        passes=both,
        fails=staging(GW, "spec.servers.0.hosts", ["other.example"]),
        silent=lambda: mesh(without(sending(), GW), receiving()),
        names=HOST,
    ),
    Case(
        rule="gateway-namespace",
        passes=staging(GW, "spec.servers.0.hosts", [f"hello/{HOST}"]),
        fails=staging(GW, "spec.servers.0.hosts", [f"./{HOST}"]),
        silent=lambda: mesh(without(sending(), GW), receiving()),
        names="no routes of namespace hello",
    ),
    Case(
        rule="gateway-selector",
        passes=lambda: mesh([*sending(), deployment("gateway", "istio-system", istio="internal-gateway")]),
        fails=lambda: mesh([*sending(), deployment("gateway", "istio-system", istio="ingressgateway")]),
        silent=both,
        names="istio=internal-gateway",
    ),
    Case(
        rule="gateway-port-closed",
        passes=lambda: mesh(gateway_service(15021, 8000)),
        fails=lambda: mesh(gateway_service(15021, 80, 443)),
        silent=both,
        names="8000",
    ),
    Case(
        rule="host-routed-twice",
        passes=both,
        fails=lambda: mesh([*sending(), changed(sending(), VS, "metadata.name", "second")[0]]),
        silent=mirrorless,
        names="as well",
    ),
    Case(
        rule="receiver-no-route",
        passes=both,
        fails=testing(VS, "spec.hosts", [f"{HOST}-shadow"]),
        silent=lambda: mesh(sending()),
        names="Istio >= 1.28",
    ),
    Case(
        rule="receiver-single-form",
        passes=both,
        fails=testing(VS, "spec.hosts", [HOST]),
        silent=lambda: mesh(sending()),
        names=f"{HOST}-shadow",
    ),
    Case(
        rule="receiver-target-name",
        passes=both,
        fails=testing(VS, "spec.hosts", [HOST, contract().mirror_host]),
        silent=lambda: mesh(sending()),
        names="no authority",
    ),
    Case(
        rule="receiver-port",
        passes=both,
        fails=testing(GW, "spec.servers.0.port.number", 443),
        silent=lambda: mesh(sending()),
        names="443",
    ),
    Case(
        rule="receiver-protocol",
        passes=both,
        fails=testing(
            GW, "spec.servers.0", {"port": {"number": 8000, "name": "tcp", "protocol": "TCP"}, "hosts": ["*"]}
        ),
        silent=lambda: mesh(sending()),
        names="TCP",
    ),
    Case(
        rule="receiver-tls",
        passes=both,
        fails=staging(DR, "spec.trafficPolicy.tls.mode", "SIMPLE", last=True),
        silent=lambda: mesh(sending()),
        names="no certificate",
    ),
    Case(
        rule="receiver-contract",
        passes=both,
        fails=lambda: mesh(sending(), receiving(receiver(contract=contract(scrub=REASON)))),
        silent=lambda: mesh(sending()),
        names=contract().digest[:12],
    ),
    Case(
        rule="receiver-no-limits",
        passes=both,
        fails=lambda: mesh(sending(), without(receiving(), DR)),
        silent=lambda: mesh(sending()),
        names="a connection limit",
    ),
    Case(
        rule="mirror-loop",
        passes=both,
        fails=lambda: mesh(sending(), back()),
        silent=mirrorless,
        names=f"staging istio-system/internal-gateway {HOST} -(mirrored",
    ),
    *(Case(rule=rule, passes=whole, fails=fails, silent=nothing, names=names) for rule, fails, names in OVERLAY_MESHES),
    *(
        Case(rule=rule, passes=beside_controllers, fails=fails, silent=no_controller, names=names)
        for rule, fails, names in CONTROLLER_MESHES
    ),
    Case(
        rule="mirror-websockets",
        passes=plain_http,
        fails=lambda: mesh(changed(plain_objects(), VS, "spec.http.1.match.0.withoutHeaders", None)),
        silent=both,
        names="upgrade",
    ),
    Case(
        rule="gateway-in-root-namespace",
        passes=lambda: mesh([*sending(), deployment("gateway", "internal-gateway", istio="internal-gateway")]),
        fails=lambda: mesh([*sending(), deployment("gateway", "istio-system", istio="internal-gateway")]),
        silent=lambda: mesh([*sending(), deployment("istiod", "istio-system", istio="pilot")]),
        names="runs a gateway",
    ),
)
