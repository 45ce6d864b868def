"""Objects for the tests of the model: what it renders for one greeter, and what somebody else might write."""

import copy
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from pulumi_traffic_mirror.model import (
    CrossClusterMirror,
    Destination,
    GatewayRef,
    InClusterMirror,
    IstioBehaviour,
    IstioVersion,
    JsonObject,
    Match,
    MirrorContract,
    MirroredRoute,
    MirrorOffer,
    MirrorReceiverRoute,
    Waiver,
    client_server,
    receiver_server,
    render,
)
from pulumi_traffic_mirror.model.rules import (
    RULES,
    ClusterObjects,
    Finding,
    KubeObject,
    Mesh,
    Outcome,
    RuleSettings,
    run_rules,
)

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NEW = IstioBehaviour(version=IstioVersion(1, 31))
OLD = IstioBehaviour(version=IstioVersion(1, 27))
HOST = "grpc-hello.staging.example"
GATEWAY = GatewayRef(name="internal-gateway", namespace="istio-system")
PRIMARY = Destination("greeter.hello.svc.cluster.local", 8000, "v1")
MIRROR = Destination("greeter-v2.hello.svc.cluster.local", 8000)
SAY_HELLO = Match(rpc_methods=["helloworld.Greeter/SayHello"])
REASON = Waiver(reason="Only synthetic callers use this service")

Object = dict[str, Any]
"""A Kubernetes object, as loosely typed as users write them."""

SERVER: Final[Object] = {"port": {"number": 7777, "name": "http", "protocol": "HTTP"}, "hosts": ["other.test"]}
"""A server of a Gateway that lets no request of the greeter's in."""


def contract(**values: Any) -> MirrorContract:
    """The greeter's contract."""
    return MirrorContract(**{"hosts": [HOST], **values})


def in_cluster(**values: Any) -> InClusterMirror:
    """A mirror to the second version."""
    return InClusterMirror(**{"service": MIRROR, "percent": 50, "match": SAY_HELLO, **values})


def cross_cluster(**values: Any) -> CrossClusterMirror:
    """A mirror to the other cluster."""
    given = {"contract": contract(), "percent": 10, "match": SAY_HELLO, "client_credential": "mirror-client", **values}
    return CrossClusterMirror(**given)


def route(**values: Any) -> MirroredRoute:
    """The greeter's route with both mirrors."""
    given = {
        "name": "greeter",
        "namespace": "hello",
        "primary": PRIMARY,
        "istio": NEW,
        "hosts": [HOST],
        "gateway": GATEWAY,
        "mirrors": [in_cluster(), cross_cluster()],
        **values,
    }
    return MirroredRoute(**given)


def receiver(**values: Any) -> MirrorReceiverRoute:
    """The greeter's receiver."""
    given = {
        "name": "greeter",
        "namespace": "hello",
        "contract": contract(),
        "service": Destination("greeter.hello.svc.cluster.local", 8000),
        "gateway": GATEWAY,
        **values,
    }
    return MirrorReceiverRoute(**given)


def plain(objects: Sequence[JsonObject | None]) -> list[Object]:
    """Objects as they are after a journey through JSON."""
    return json.loads(json.dumps([each for each in objects if each is not None]))


def sending(wanted: MirroredRoute | None = None, address: str = "198.18.0.120") -> list[Object]:
    """Everything that is rendered for staging."""
    given = wanted or route()
    entries = [
        render.service_entry(given, mirror, MirrorOffer.of(mirror.contract, address))
        for mirror in given.mirrors
        if isinstance(mirror, CrossClusterMirror)
    ]
    gateway = render.gateway(GATEWAY, {"istio": "internal-gateway"}, [client_server(given.hosts or [HOST])])
    objects = [render.virtual_service(given), *render.destination_rules(given), *entries]
    return plain([*objects, render.envoy_filter(given), gateway])


def receiving(wanted: MirrorReceiverRoute | None = None) -> list[Object]:
    """Everything that is rendered for testing."""
    given = wanted or receiver()
    server = receiver_server(given.contract, "mirror-server" if given.contract.tls else "")
    gateway = render.gateway(GATEWAY, {"istio": "internal-gateway"}, [server])
    bounds = [render.receiver_destination_rule(given), render.receiver_envoy_filter(given)]
    at_gateway = [render.receiver_authorization(given), render.receiver_rate_limit(given)]
    return plain([gateway, render.receiver_virtual_service(given), *bounds, *at_gateway])


def service(name: str = "greeter", namespace: str = "hello", **spec: Any) -> Object:
    """A Service with one port for gRPC."""
    ports = [{"name": "grpc", "port": 8000, "targetPort": 8000}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"ports": ports, "selector": {"app": name}, **spec},
    }


def deployment(name: str, namespace: str = "hello", **labels: str) -> Object:
    """A Deployment with labels on its pods."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"template": {"metadata": {"labels": labels}}},
    }


def istiod(
    image: str = "istio/pilot:1.31.0", namespace: str = "istio-system", revision: str = "", **env: str
) -> Object:
    """A control plane's Deployment."""
    found = deployment("istiod", namespace)
    found["metadata"]["labels"] = {"app": "istiod", **({"istio.io/rev": revision} if revision else {})}
    variables = [{"name": name, "value": value} for name, value in env.items()]
    found["spec"]["template"]["spec"] = {"containers": [{"image": image, "env": variables}]}
    return found


def of_kind(objects: Sequence[Object], kind: str) -> Object:
    """The first object of a kind."""
    return next(each for each in objects if each["kind"] == kind)


def changed(objects: Sequence[Object], kind: str, path: str, value: Any, *, last: bool = False) -> list[Object]:
    """A copy of ``objects`` in which one field of the first (or last) object of a kind is set; None removes it."""
    copied = copy.deepcopy(list(objects))
    matching = [each for each in copied if each["kind"] == kind]
    node: Any = matching[-1 if last else 0]
    keys = [int(key) if key.lstrip("-").isdigit() else key for key in path.split(".")]
    for key in keys[:-1]:
        node = node[key]
    if value is None:
        del node[keys[-1]]
    else:
        node[keys[-1]] = value
    return copied


def mesh(
    staging: Sequence[Mapping[str, object] | KubeObject] = (),
    testing: Sequence[Mapping[str, object] | KubeObject] | None = None,
    *,
    istio: IstioBehaviour | None = NEW,
    complete: bool = True,
    now: datetime | None = NOW,
) -> Mesh:
    """One or two clusters."""
    clusters = [ClusterObjects(name="staging", objects=staging, istio=istio, complete=complete)]
    if testing is not None:
        clusters.append(ClusterObjects(name="testing", objects=testing, istio=istio, complete=complete))
    return Mesh(clusters=clusters, now=now)


def findings(judged: Mesh, rule: str = "", settings: RuleSettings | None = None) -> list[Finding]:
    """What one rule (or every rule) finds."""
    rules = [each for each in RULES if rule in ("", each.id)]
    assert rules, f"there is no rule {rule}"
    return run_rules(judged, rules, settings)


def refused(subject: Object) -> list[str]:
    """What is said of why an object is refused."""
    return [each.message for each in findings(mesh([subject]), "object-refused")]


def broken(judged: Mesh) -> set[str]:
    """Ids of the rules that are broken."""
    return {finding.rule for finding in findings(judged) if finding.outcome is Outcome.BROKEN}
