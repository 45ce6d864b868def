"""What of gateways, parents and Sidecars the API server or Istio's webhook refuses, and what follows from that."""

from typing import Any

import pytest

from tests.unit.model.rule_cases import bare
from tests.unit.model.samples import Object, findings, mesh, service

TLS: Object = {"mode": "SIMPLE", "credentialName": "cert"}


def server(number: int = 80, protocol: str = "HTTP", name: str = "http", **rest: Any) -> Object:
    return {"port": {"number": number, "protocol": protocol, "name": name}, "hosts": ["*"], **rest}


def gateway(*servers: Object) -> Object:
    made: Object = {"apiVersion": "networking.istio.io/v1", "kind": "Gateway"}
    made |= {"metadata": {"name": "own", "namespace": "hello"}}
    return made | {"spec": {"selector": {"istio": "own"}, "servers": list(servers)}}


def listener(name: str = "http", port: int = 80, protocol: str = "HTTP", **rest: Any) -> Object:
    return {"name": name, "port": port, "protocol": protocol, **rest}


def native(*listeners: Object) -> Object:
    made: Object = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway"}
    made |= {"metadata": {"name": "own", "namespace": "hello"}}
    return made | {"spec": {"gatewayClassName": "istio", "listeners": list(listeners)}}


def bound(*parents: Object) -> Object:
    made: Object = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute"}
    made |= {"metadata": {"name": "a", "namespace": "hello"}}
    rule = {"backendRefs": [{"name": "a", "port": 8000}]}
    return made | {"spec": {"parentRefs": list(parents), "rules": [rule]}}


def sidecar(*egress: Object) -> Object:
    made: Object = {"apiVersion": "networking.istio.io/v1", "kind": "Sidecar"}
    made |= {"metadata": {"name": "own", "namespace": "hello"}}
    return made | {"spec": {"egress": list(egress)} if egress else {}}


ALL: Object = {"hosts": ["*/*"]}
AT_PORT: Object = {**ALL, "port": {"number": 80, "protocol": "HTTP", "name": "http"}}
REFUSED = {
    "no server": (gateway(), "needs a server"),
    "a name twice": (gateway(server(), server(8080)), "given twice"),
    "no host": (gateway(server(hosts=[])), "needs a host"),
    "plain text with TLS": (gateway(server(tls=TLS)), "a server for HTTP has no tls"),
    "a redirect with a mode": (gateway(server(tls={**TLS, "httpsRedirect": True})), "a server for HTTP has no tls"),
    "TCP with TLS": (gateway(server(443, "TCP", tls=TLS)), "a server for TCP has no tls"),
    "HTTPS without TLS": (gateway(server(443, "HTTPS")), "a server for HTTPS needs tls"),
    "TLS without a certificate": (gateway(server(443, "HTTPS", tls={"mode": "SIMPLE"})), "needs a certificate"),
    "no name": (gateway({"port": {"number": 80, "protocol": "HTTP"}, "hosts": ["*"]}), "name is missing"),
    "no protocol": (gateway({"port": {"number": 80, "name": "a"}, "hosts": ["*"]}), "protocol is missing"),
    "an unknown protocol": (gateway(server(protocol="FOO")), "protocol is unknown"),
    "a short name": (gateway(server(hosts=["hello/web"])), "must be a full name"),
    "port 0": (gateway(server(0)), "from 1 to 65535"),
    "no listener": (native(), "at least 1 must be given"),
    "a listener's name twice": (native(listener(), listener(port=8080)), "name of a listener is given twice"),
    "two listeners alike": (native(listener("a"), listener("b")), "of two listeners are the same"),
    "a listener with TLS": (native(listener(tls={"certificateRefs": [{"name": "c"}]})), "for HTTP has no tls"),
    "passing HTTPS on": (native(listener(protocol="HTTPS", tls={"mode": "Passthrough"})), "ends TLS itself"),
    "HTTPS without a certificate": (native(listener(protocol="HTTPS", tls={})), "needs certificateRefs"),
    "TLS without a mode": (native(listener(protocol="TLS")), "needs a mode"),
    "TCP with a host": (native(listener(protocol="TCP", hostname="a.example")), "for TCP has no hostname"),
    "a listener's port 0": (native(listener(port=0)), "it must be at least 1"),
    "a parent twice": (bound({"name": "x"}, {"name": "x"}), "x is named twice"),
    "a parent and its section": (bound({"name": "x"}, {"name": "x", "sectionName": "a"}), "x is named twice"),
    "nothing said": (sidecar(), "says nothing"),
    "a Sidecar without hosts": (sidecar({"hosts": []}), "needs a host"),
    "a host without namespace": (sidecar({"hosts": ["a.example"]}), "as namespace/name"),
    "a short name of a Sidecar": (sidecar({"hosts": ["*/web"]}), "must be a full name"),
    "two for all ports": (sidecar(ALL, ALL), "only the last listener"),
    "all ports before one": (sidecar(ALL, AT_PORT), "only the last listener"),
    "a port twice": (sidecar(AT_PORT, AT_PORT), "a port is given twice"),
}
TAKEN = {
    "a redirect": gateway(server(tls={"httpsRedirect": True})),
    "HTTPS": gateway(server(443, "HTTPS", tls=TLS)),
    "small letters": gateway(server(protocol="http")),
    "passed through": gateway(server(443, "HTTPS", tls={})),
    "two servers on one port": gateway(server(name="a"), server(name="b")),
    "two hostnames": native(listener("a", hostname="a.example"), listener("b")),
    "an HTTPS listener": native(listener(protocol="HTTPS", tls={"certificateRefs": [{"name": "c"}]})),
    "two ports of a parent": bound({"name": "x", "port": 80}, {"name": "x", "port": 81}),
    "two namespaces of a name": bound({"name": "x"}, {"name": "x", "namespace": "hello"}),
    "one port, then all": sidecar(AT_PORT, ALL),
}


@pytest.mark.parametrize(("subject", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(subject: Object, reason: str) -> None:
    found = [each.message for each in findings(mesh([subject]), "object-refused")]
    assert any(reason in each for each in found)


@pytest.mark.parametrize("subject", TAKEN.values(), ids=TAKEN)
def test_what_is_taken(subject: Object) -> None:
    assert findings(mesh([subject]), "object-refused") == []


@pytest.mark.parametrize(("servers", "said"), [([server()], []), ([], ["Gateway hello/own is refused"])])
def test_a_refused_gateway_is_none(servers: list[Object], said: list[str]) -> None:
    route = bare()
    route["spec"] |= {"hosts": ["a.example"], "gateways": ["own"]}
    objects = [route, gateway(*servers), service("a"), service("b")]
    assert [each.message for each in findings(mesh(objects), "gateway-undefined")] == said


def test_a_refused_sidecar_hides_nothing() -> None:
    nothing = {"hosts": ["~/*"]}
    objects = [bare(), service("a"), service("b")]
    assert findings(mesh([*objects, sidecar(nothing)]), "mirror-never-sent")
    assert findings(mesh([*objects, sidecar(nothing, nothing)]), "mirror-never-sent") == []


def secured(*certificates: Object, **tls: Any) -> Object:
    """A gateway with one listener for HTTPS."""
    return native(listener("own", 443, "HTTPS", tls={"certificateRefs": list(certificates), **tls}))


def granting(kind: str = "Secret", name: str = "cert", group: str = "", to: str = "hello") -> Object:
    """A ReferenceGrant in `vault` for Gateways of a namespace."""
    grant: Object = {"apiVersion": "gateway.networking.k8s.io/v1beta1", "kind": "ReferenceGrant"}
    asking = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": to}
    grant["metadata"] = {"name": "a", "namespace": "vault"}
    return grant | {"spec": {"from": [asking], "to": [{"group": group, "kind": kind, "name": name}]}}


CERT, ELSEWHERE = {"name": "cert"}, {"name": "cert", "namespace": "vault"}
OWN_TLS = {"options": {"gateway.istio.io/tls-terminate-mode": "ISTIO_SIMPLE"}}


@pytest.mark.parametrize(
    ("gateway", "grants", "reason"),
    [
        (secured(CERT), [], ""),
        (secured(ELSEWHERE), [], "no ReferenceGrant in vault lets Gateways of hello refer to Secret cert"),
        (secured(ELSEWHERE), [granting()], ""),
        (secured(ELSEWHERE), [granting(name="other")], "no ReferenceGrant in vault"),
        (secured(ELSEWHERE), [granting(kind="ConfigMap")], "no ReferenceGrant in vault"),
        (secured(ELSEWHERE), [granting(group="apps")], "no ReferenceGrant in vault"),
        (secured(ELSEWHERE), [granting(to="lab")], "no ReferenceGrant in vault"),
        (secured(ELSEWHERE, CERT), [], ""),
        (secured({**CERT, "kind": "ConfigMap"}), [], "names a ConfigMap, and only a Secret is a certificate"),
        (secured(CERT, CERT, CERT), [], "it names 3 certificates, and 2 are the most"),
        (secured(ELSEWHERE, **OWN_TLS), [], ""),
    ],
    ids=[
        *("its own", "ungranted", "granted", "another name", "another kind", "another group", "another namespace"),
        *("one of two", "no Secret", "three", "that of its pods"),
    ],
)
def test_a_listener_without_a_certificate_that_it_may_use_sends_nothing(
    gateway: Object, grants: list[Object], reason: str
) -> None:
    route = bound({"name": "own"})
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "b", "port": 8000}}}
    route["spec"]["rules"][0]["filters"] = [mirror]
    found = findings(mesh([gateway, route, service("a"), service("b"), *grants]), "mirror-never-sent")
    assert bool(found) is bool(reason)
    assert all("hello/own opens no spec.listeners[0]" in each.message and reason in each.message for each in found)
