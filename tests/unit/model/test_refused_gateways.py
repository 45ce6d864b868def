"""What of gateways, parents and Sidecars the API server or Istio's webhook refuses, and what follows from that."""

from typing import Any

import pytest

from pulumi_traffic_mirror.model.rules import UNKNOWN
from tests.unit.model.rule_cases import bare
from tests.unit.model.samples import Object, findings, mesh, refused, service

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


def wide(**spec: Any) -> Object:
    """A Gateway of the Gateway API that says more of itself."""
    made = native(listener())
    made["spec"] |= spec
    return made


def bound(*parents: Object) -> Object:
    made: Object = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute"}
    made |= {"metadata": {"name": "a", "namespace": "hello"}}
    rule = {"backendRefs": [{"name": "a", "port": 8000}]}
    return made | {"spec": {"parentRefs": list(parents), "rules": [rule]}}


def sidecar(*egress: Object) -> Object:
    made: Object = {"apiVersion": "networking.istio.io/v1", "kind": "Sidecar"}
    made |= {"metadata": {"name": "own", "namespace": "hello"}}
    return made | {"spec": {"egress": list(egress)} if egress else {}}


FILES: Object = {"serverCertificate": "a", "privateKey": "b"}
CA: Object = {"group": "", "kind": "ConfigMap", "name": "a"}
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
    "a listener's name twice": (native(listener(), listener(port=8080)), "the name http is given twice"),
    "two listeners alike": (native(listener("a"), listener("b")), "of two listeners are the same"),
    "a listener with TLS": (native(listener(tls={"certificateRefs": [{"name": "c"}]})), "for HTTP has no tls"),
    "passing HTTPS on": (native(listener(protocol="HTTPS", tls={"mode": "Passthrough"})), "ends TLS itself"),
    "HTTPS without a certificate": (native(listener(protocol="HTTPS", tls={})), "needs certificateRefs"),
    "TLS without a mode": (native(listener(protocol="TLS")), "from 1.5 on, a listener for TLS needs tls"),
    "TCP with a host": (native(listener(protocol="TCP", hostname="a.example")), "for TCP has no hostname"),
    "a listener's port 0": (native(listener(port=0)), "it must be at least 1"),
    "a parent twice": (bound({"name": "x"}, {"name": "x"}), "x is named twice"),
    "a parent and its section": (bound({"name": "x"}, {"name": "x", "sectionName": "a"}), "x is named twice"),
    "a name with dots": (
        {**gateway(server()), "metadata": {"name": "a.b", "namespace": "hello"}},
        "the name of a Gateway has no dots",
    ),
    "a namespace with dots": (gateway(server(hosts=["a.b/c.example"])), "a.b is no namespace"),
    "no namespace": (gateway(server(hosts=["/c.example"])), "nothing is no namespace"),
    "a host of two names": (gateway(server(hosts=["hello/a/b.example"])), "a/b.example is no host"),
    "a host with an underscore": (gateway(server(hosts=["a_b.example"])), "a_b.example is no host"),
    "a partial wildcard": (gateway(server(hosts=["*-a.example"])), "*-a.example is no host"),
    "a second wildcard": (gateway(server(hosts=["*.*.example"])), "*.*.example is no host"),
    "an empty host": (gateway(server(hosts=[""])), "must be a full name"),
    "an empty name": (gateway(server(name="")), "name is missing"),
    "an empty protocol": (gateway(server(protocol="")), "protocol is unknown"),
    "a high port": (gateway(server(65_536)), "from 1 to 65535"),
    "a target's port": (
        gateway({"port": {"number": 80, "protocol": "HTTP", "name": "a", "targetPort": 81}, "hosts": ["*"]}),
        "a server has no targetPort",
    ),
    "bound to a name": (gateway(server(bind="a.example")), "a.example is no IP address"),
    "bound to a range": (gateway(server(bind="10.0.0.0/8")), "10.0.0.0/8 is no IP address"),
    "a socket with a port": (gateway(server(bind="unix:///a")), "a Unix socket has port 0"),
    "a relative socket": (gateway(server(0, bind="unix://a")), "an absolute path"),
    "plain text with a file": (gateway(server(tls={"caCertificates": "a"})), "a server for HTTP has no tls"),
    "a proxy without TLS": (gateway(server(protocol="HTTP_PROXY", tls={"mode": "SIMPLE"})), "has no tls"),
    "the mesh's TLS with a secret": (
        gateway(server(443, "HTTPS", tls={"mode": "ISTIO_MUTUAL", "credentialName": "a"})),
        "tls of mode ISTIO_MUTUAL has no credentialName",
    ),
    "the mesh's TLS with files": (
        gateway(server(443, "HTTPS", tls={"mode": "ISTIO_MUTUAL", "serverCertificate": "a"})),
        "tls of mode ISTIO_MUTUAL has no serverCertificate",
    ),
    "a secret and files": (
        gateway(server(443, "HTTPS", tls={**TLS, **FILES})),
        "credentialName and serverCertificate exclude each other",
    ),
    "a secret and secrets": (
        gateway(server(443, "HTTPS", tls={**TLS, "credentialNames": ["a"]})),
        "credentialName and credentialNames exclude each other",
    ),
    "an empty secret and secrets": (
        gateway(server(443, "HTTPS", tls={"mode": "SIMPLE", "credentialName": "", "credentialNames": ["a"]})),
        "credentialName and credentialNames exclude each other",
    ),
    "half of the files": (
        gateway(server(443, "HTTPS", tls={"mode": "SIMPLE", "serverCertificate": "a"})),
        "tls of mode SIMPLE needs a certificate",
    ),
    "half of the certificates": (
        gateway(server(443, "HTTPS", tls={"mode": "SIMPLE", "tlsCertificates": [FILES, {"privateKey": "a"}]})),
        "tls of mode SIMPLE needs a certificate",
    ),
    "nobody to trust": (
        gateway(server(443, "HTTPS", tls={"mode": "MUTUAL", **FILES})),
        "tls of mode MUTUAL needs caCertificates",
    ),
    "revoked for simple TLS": (
        gateway(server(443, "HTTPS", tls={"mode": "SIMPLE", "caCrl": "a", **FILES})),
        "caCrl is for mode MUTUAL",
    ),
    "revoked beside a secret": (
        gateway(server(443, "HTTPS", tls={"mode": "PASSTHROUGH", "caCrl": "a", "credentialName": "b"})),
        "caCrl is for mode MUTUAL",
    ),
    "a listener in capitals": (native(listener("httpX")), "httpX is no name"),
    "a hostname in capitals": (native(listener(hostname="A.example")), "A.example is no host"),
    "a hostname for all": (native(listener(hostname="*")), "* is no host"),
    "a protocol that is none": (native(listener(protocol="a_b")), "a_b is no protocol"),
    "a kind that is none": (native(listener(allowedRoutes={"kinds": [{"kind": "1"}]})), "1 is no kind"),
    "a group that is none": (
        native(listener(allowedRoutes={"kinds": [{"kind": "HTTPRoute", "group": "A"}]})),
        "A is no group",
    ),
    "no certificates": (native(listener(protocol="HTTPS", tls={"certificateRefs": []})), "needs certificateRefs"),
    "TLS that ends without a certificate": (native(listener(protocol="TLS", tls={})), "needs certificateRefs"),
    "a certificate's namespace": (
        native(listener(protocol="HTTPS", tls={"certificateRefs": [{"name": "c", "namespace": "a.b"}]})),
        "a.b is no label",
    ),
    "a certificate's kind": (
        native(listener(protocol="HTTPS", tls={"certificateRefs": [{"name": "c", "kind": "a.b"}]})),
        "a.b is no kind",
    ),
    "many options": (
        native(listener(protocol="HTTPS", tls={"options": {f"a.example/{index}": "b" for index in range(17)}})),
        "at most 16",
    ),
    "an address that is none": (wide(addresses=[{"value": "a.example"}]), "a.example is no IP address"),
    "a hostname that is none": (
        wide(addresses=[{"type": "Hostname", "value": "a_b"}]),
        "a_b is no hostname",
    ),
    "an address of no type": (wide(addresses=[{"type": "Foo", "value": "a"}]), "Foo is no type of an address"),
    "an address twice": (wide(addresses=[{"value": "10.0.0.1"}] * 2), "an address is given twice"),
    "many labels": (wide(infrastructure={"labels": {f"a{index}": "" for index in range(9)}}), "at most 8"),
    "a label's name": (wide(infrastructure={"labels": {"a b": ""}}), "a b is no name of a label"),
    "a label's value": (wide(infrastructure={"labels": {"a": "b c"}}), "b c is no value of a label"),
    "an annotation's name": (wide(infrastructure={"annotations": {"A/b": ""}}), "A/b is no name of a label"),
    "a parameter's group": (
        wide(infrastructure={"parametersRef": {"group": "A", "kind": "ConfigMap", "name": "a"}}),
        "A is no group",
    ),
    "a client's certificate": (
        wide(tls={"backend": {"clientCertificateRef": {"name": "a", "namespace": "A"}}}),
        "A is no label",
    ),
    "a port of TLS twice": (
        wide(tls={"frontend": {"default": {}, "perPort": [{"port": 443, "tls": {}}] * 2}}),
        "the port 443 is given twice",
    ),
    "an authority's kind": (
        wide(tls={"frontend": {"default": {"validation": {"caCertificateRefs": [{**CA, "kind": "a.b"}]}}}}),
        "a.b is no kind",
    ),
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
    "hosts": gateway(server(hosts=["*/*.a.example", "./*", "hello/b.example", "10.0.0.1", "c.example."])),
    "an address": gateway(server(bind="::")),
    "a socket": gateway(server(0, bind="unix:///a")),
    "a socket's name": gateway(server(0, bind="unix://@a")),
    "UDP": gateway(server(protocol="UDP")),
    "a proxy": gateway(server(protocol="HTTP_PROXY")),
    "plain text with a secret": gateway(server(tls={"credentialName": "a"})),
    "passed on by name": gateway(server(tls={"mode": "AUTO_PASSTHROUGH", "httpsRedirect": True})),
    "the mesh's TLS": gateway(server(443, "HTTPS", tls={"mode": "ISTIO_MUTUAL"})),
    "files": gateway(server(443, "HTTPS", tls={"mode": "SIMPLE", **FILES})),
    "files for both": gateway(
        server(443, "HTTPS", tls={"mode": "MUTUAL", "caCertificates": "a", "caCrl": "b", **FILES})
    ),
    "two certificates": gateway(server(443, "HTTPS", tls={"mode": "SIMPLE", "tlsCertificates": [FILES, FILES]})),
    "a protocol of its own": native(listener(protocol="a.example/b")),
    "TLS": native(listener(protocol="TLS", tls={"certificateRefs": [{"name": "c"}]})),
    "HTTPS without TLS": native(listener(protocol="HTTPS")),
    "options": native(listener(protocol="HTTPS", tls={"options": {"a.example/b": "c"}})),
    "a wide hostname": native(listener(hostname="*.a.example")),
    "addresses": wide(
        addresses=[{"value": "10.0.0.1"}, {"value": "::1"}, {"type": "Hostname", "value": "*.a"}, {"type": "Hostname"}]
    ),
    "addresses of its own": wide(addresses=[{"type": "a.example/b", "value": "a"}]),
    "addresses by name": wide(addresses=[{"type": "NamedAddress", "value": "a_b"}] * 2),
    "names of labels": wide(infrastructure={"labels": {"a.b/C_d": "E.f"}, "annotations": {"a": "b c"}}),
    "ports of TLS": wide(
        tls={"frontend": {"default": {}, "perPort": [{"port": 443, "tls": {}}, {"port": 444, "tls": {}}]}}
    ),
    "an authority": wide(tls={"frontend": {"default": {"validation": {"caCertificateRefs": [CA]}}}}),
}


@pytest.mark.parametrize(("subject", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(subject: Object, reason: str) -> None:
    assert any(reason in each for each in refused(subject))


@pytest.mark.parametrize("name", [{}, {"name": UNKNOWN}, {"generateName": "a-"}], ids=["none", "later", "made"])
def test_a_name_that_is_not_given_is_not_judged(name: Object) -> None:
    assert refused({**gateway(server()), "metadata": {"namespace": "hello", **name}}) == []


def test_a_version_that_an_early_release_serves_is_taken() -> None:
    """The oracle has the newest release's definitions, which serve it no more."""
    route = bound({"name": "x"})
    assert refused({**route, "kind": "GRPCRoute", "apiVersion": "gateway.networking.k8s.io/v1alpha2"}) == []
    assert refused({**route, "kind": "GRPCRoute", "apiVersion": "gateway.networking.k8s.io/v1beta1"}) != []


@pytest.mark.parametrize("subject", TAKEN.values(), ids=TAKEN)
def test_what_is_taken(subject: Object) -> None:
    assert refused(subject) == []


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


def granting(
    kind: str = "Secret", name: str = "cert", group: str = "", to: str = "hello", version: str = "v1beta1"
) -> Object:
    """A ReferenceGrant in `vault` for Gateways of a namespace."""
    grant: Object = {"apiVersion": f"gateway.networking.k8s.io/{version}", "kind": "ReferenceGrant"}
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
        (secured(ELSEWHERE), [granting(version="v1alpha2")], ""),
        (secured(ELSEWHERE), [granting(version="v1alpha1")], "no ReferenceGrant in vault"),
        (secured(ELSEWHERE, CERT), [], ""),
        (secured({**CERT, "kind": "ConfigMap"}), [], "names a ConfigMap, and only a Secret is a certificate"),
        (secured(CERT, CERT, CERT), [], "it names 3 certificates, and 2 are the most"),
        (secured(ELSEWHERE, **OWN_TLS), [], ""),
    ],
    ids=[
        *("its own", "ungranted", "granted", "another name", "another kind", "another group", "another namespace"),
        *("of the Gateway API 1.0", "of no release's version"),
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
