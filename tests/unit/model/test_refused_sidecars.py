"""What of Sidecars Istio's webhook refuses."""

from typing import Any

import pytest

from tests.unit.model.samples import Object, refused

FILES: Object = {"serverCertificate": "a", "privateKey": "b"}


def sidecar(**spec: Any) -> Object:
    made: Object = {"apiVersion": "networking.istio.io/v1", "kind": "Sidecar"}
    return made | {"metadata": {"name": "own", "namespace": "hello"}, "spec": spec}


def hosts(*names: str) -> Object:
    return sidecar(egress=[{"hosts": list(names)}])


def outward(bind: str = "", number: int = 80, protocol: str = "HTTP", mode: str = "DEFAULT", **port: Any) -> Object:
    port |= {"number": number, "protocol": protocol}
    return sidecar(egress=[{"hosts": ["*/*"], "bind": bind, "captureMode": mode, "port": port}])


def inward(number: int = 80, protocol: str = "HTTP", port: Object | None = None, **rest: Any) -> Object:
    return sidecar(ingress=[{"port": {"number": number, "protocol": protocol, **(port or {})}, **rest}])


def secured(mode: str = "SIMPLE", protocol: str = "HTTPS", **tls: Any) -> Object:
    return inward(443, protocol, tls={"mode": mode, **tls})


def proxied(mode: str = "ALLOW_ANY", **proxy: Any) -> Object:
    proxy = {"host": "a.example", "port": {"number": 80}, **proxy}
    return sidecar(outboundTrafficPolicy={"mode": mode, "egressProxy": proxy})


SOCKET = "unix:///a"
REFUSED = {
    "no namespace": (hosts("/a.example"), "as namespace/name"),
    "no name": (hosts("hello/"), "as namespace/name"),
    "a bad namespace": (hosts("a.b/*"), "a.b is no namespace"),
    "a bad host": (hosts("hello/a_b.example"), "a_b.example is no host"),
    "an address": (hosts("hello/10.0.0.1"), "10.0.0.1 is no host"),
    "a partial wildcard": (hosts("hello/*-a.example"), "*-a.example is no host"),
    "a third part": (hosts("hello/a/b.example"), "a/b.example is no host"),
    "a second bad host": (hosts("*/*", "a"), "as namespace/name"),
    "a label with a wildcard": (sidecar(workloadSelector={"labels": {"a": "*"}}, egress=[]), "without wildcards"),
    "an empty label": (sidecar(workloadSelector={"labels": {"": "a"}}, egress=[]), "a label needs a name"),
    "a high port": (outward(number=65_536), "from 1 to 65535"),
    "bound to a name": (outward("a.example"), "a.example is no IP address"),
    "a socket and a port": (outward(SOCKET), f"{SOCKET} is no IP address"),
    "no port": (outward("127.0.0.1", 0), "bound to a Unix socket"),
    "a relative socket": (outward("unix://a", 0), "an absolute path"),
    "a captured socket": (outward(SOCKET, 0, mode="IPTABLES"), "captureMode IPTABLES"),
    "an unknown protocol": (outward(protocol="FOO"), "the protocol is unknown"),
    "a bad name": (outward(name="a_b"), "a_b is no name of a port"),
    "a target's port": (outward(targetPort=81), "no targetPort"),
    "a port twice, bound apart": (
        sidecar(
            egress=[
                {"hosts": ["*/*"], "bind": bind, "port": {"number": 80, "protocol": "HTTP"}}
                for bind in ("10.0.0.1", "10.0.0.2")
            ]
        ),
        "a port is given twice",
    ),
    "a socket twice": (
        sidecar(egress=[{"hosts": ["*/*"], "bind": SOCKET, "port": {"number": 0, "protocol": "HTTP"}}] * 2),
        "a port is given twice",
    ),
    "inward at port 0": (inward(0), "from 1 to 65535"),
    "inward at a socket": (inward(bind=SOCKET), "is no IP address"),
    "inward by FOO": (inward(protocol="FOO"), "the protocol is unknown"),
    "inward to a target's port": (inward(port={"targetPort": 81}), "no targetPort"),
    "inward by a bad name": (inward(port={"name": "a_b"}), "a_b is no name of a port"),
    "inward at a port twice": (
        sidecar(ingress=[{"port": {"number": 80, "protocol": "HTTP"}, "bind": bind} for bind in ("::", "::1")]),
        "a port is given twice",
    ),
    "to another pod": (inward(defaultEndpoint="10.0.0.1:80"), "is no address of the pod's own"),
    "to a name": (inward(defaultEndpoint="localhost:80"), "is no address of the pod's own"),
    "to no port": (inward(defaultEndpoint="127.0.0.1"), "is no address of the pod's own"),
    "to an empty port": (inward(defaultEndpoint="127.0.0.1:"), "is no address of the pod's own"),
    "to port 0": (inward(defaultEndpoint=":0"), "is no address of the pod's own"),
    "to an address in the open": (inward(defaultEndpoint="::1:80"), "is no address of the pod's own"),
    "to a folder": (inward(defaultEndpoint="unix:///a/"), "an absolute path"),
    "a pool of nothing": (inward(connectionPool={}), "needs tcp or http"),
    "a pool of less": (sidecar(inboundConnectionPool={"http": {"maxRetries": -1}}), "from 0 to 2147483647"),
    "TLS of HTTP": (secured(protocol="HTTP", **FILES), "without HTTPS or TLS has no tls"),
    "a secret": (secured(credentialName="a"), "tls of a Sidecar has no credentialName"),
    "secrets": (secured(credentialNames=["a"]), "tls of a Sidecar has no credentialNames"),
    "certificates": (secured(tlsCertificates=[FILES]), "tls of a Sidecar has no tlsCertificates"),
    "names": (secured(subjectAltNames=["a"], **FILES), "tls of a Sidecar has no subjectAltNames"),
    "a redirect": (secured(httpsRedirect=True, **FILES), "tls of a Sidecar has no httpsRedirect"),
    "the mesh's TLS": (secured("ISTIO_MUTUAL"), "not of mode ISTIO_MUTUAL"),
    "passed on by name": (secured("AUTO_PASSTHROUGH"), "not of mode AUTO_PASSTHROUGH"),
    "no files": (secured(), "needs a certificate"),
    "a proxy alone": (proxied("REGISTRY_ONLY"), "for mode ALLOW_ANY only"),
    "a proxy of no mode": (
        sidecar(outboundTrafficPolicy={"egressProxy": {"host": "a.example", "port": {"number": 80}}}),
        "for mode ALLOW_ANY only",
    ),
    "a proxy below a name": (proxied(host="*.a.example"), "*.a.example is no host"),
    "a proxy without a name": (proxied(host=""), "nothing is no host"),
    "a proxy at port 0": (proxied(port={"number": 0}), "a port from 1 to 65535"),
    "a proxy at no number": (proxied(port={}), "a port from 1 to 65535"),
    "a proxy's subset": (proxied(subset="a_b"), "a_b is no name of a subset"),
}
TAKEN = {
    "hosts": hosts("*/*", "./*", "~/*", "~lab/*", "hello/*.a.example", "hello/a.example."),
    "a listener": outward("127.0.0.1", name="A"),
    "a socket": outward(SOCKET, 0, mode="NONE"),
    "no protocol": outward(protocol=""),
    "inward": inward(bind="::1", defaultEndpoint="[::1]:80"),
    "inward anywhere": inward(defaultEndpoint=":80"),
    "inward to a socket": inward(defaultEndpoint="unix://@a"),
    "inward by a port that is outward too": {
        **sidecar(
            ingress=[{"port": {"number": 80, "protocol": "HTTP"}}],
            egress=[{"hosts": ["*/*"], "port": {"number": 80, "protocol": "HTTP"}}],
        )
    },
    "a pool": sidecar(inboundConnectionPool={"tcp": {"maxConnections": 0}}),
    "files": secured(**FILES),
    "passed on": secured("PASSTHROUGH", "TLS"),
    "a policy": sidecar(outboundTrafficPolicy={}),
    "a proxy": proxied(subset="a"),
    "labels": sidecar(workloadSelector={"labels": {"a": "b"}}, egress=[{"hosts": ["*/*"]}]),
}


@pytest.mark.parametrize(("subject", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(subject: Object, reason: str) -> None:
    assert any(reason in each for each in refused(subject))


@pytest.mark.parametrize("subject", TAKEN.values(), ids=TAKEN)
def test_what_is_taken(subject: Object) -> None:
    assert refused(subject) == []
