"""What of DestinationRules and ServiceEntries the API server or Istio's webhook refuses."""

from typing import Any

import pytest

from pulumi_traffic_mirror.model.rules import UNKNOWN, Outcome
from tests.unit.model.samples import Object, findings, mesh, refused

LONG = "a" * 64
BALANCER, LOCALITY = "loadBalancer", "localityLbSetting"


def made(kind: str, spec: Object, **metadata: Any) -> Object:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": kind,
        "metadata": {"name": "own", "namespace": "hello", **metadata},
        "spec": spec,
    }


def rule(**spec: Any) -> Object:
    return made("DestinationRule", {"host": "b.example", **spec})


def policy(**fields: Any) -> Object:
    return rule(trafficPolicy=fields)


def pool(key: str, **fields: Any) -> Object:
    return policy(connectionPool={key: fields})


def outliers(**fields: Any) -> Object:
    return policy(outlierDetection=fields)


def at_port(**fields: Any) -> Object:
    return policy(portLevelSettings=[{"port": {"number": 80}, **fields}])


def tls(mode: str, **fields: Any) -> Object:
    return policy(tls={"mode": mode, **fields})


def hashed(**fields: Any) -> Object:
    return policy(loadBalancer={"consistentHash": fields})


def cookie(**fields: Any) -> Object:
    return hashed(httpCookie={"name": "a", "ttl": "0s", **fields})


def near(**fields: Any) -> Object:
    return policy(loadBalancer={LOCALITY: fields})


def shared(to: Object, origin: str = "us", *more: Object) -> Object:
    return near(distribute=[{"from": origin, "to": to}, *more])


def failing(origin: str, to: str, key: str = LOCALITY) -> Object:
    return policy(loadBalancer={key: {"failover": [{"from": origin, "to": to}]}})


def subsets(*found: Object) -> Object:
    return rule(subsets=list(found))


def tunnel(**fields: Any) -> Object:
    return policy(tunnel={"targetHost": "a.example", "targetPort": 80, **fields})


PROXIED: Object = {"version": "V1"}
KEPT: Object = {"interval": "1s", "timeout": "1s"}
TOPOLOGY = "topology.kubernetes.io/region"
REFUSED_RULES = {
    "a version of no release": ({**rule(), "apiVersion": "networking.istio.io/v1alpha1"}, "no release serves"),
    "a label without quotes": (subsets({"name": "a", "labels": {True: 5}}), "it must be a text, not a number"),
    "a label of a number": (subsets({"name": "a", "labels": {1: 2}}), "it must be a text, not a number"),
    "a label of null": (subsets({"name": "a", "labels": {None: 1}}), "it must be a text, not a number"),
    "an empty host": (rule(host=""), "nothing is no host"),
    "a host with an underscore": (rule(host="a_b.example"), "a_b.example is no host"),
    "a wildcard in the middle": (rule(host="a.*.example"), "is no host"),
    "a wildcard at a label's end": (rule(host="a*.example"), "is no host"),
    "an address for a host": (rule(host="10.0.0.1"), "10.0.0.1 is no host"),
    "a long label": (rule(host=f"{LONG}.example"), "is no host"),
    "a long host": (rule(host=".".join(["a" * 60] * 5)), "is no host"),
    "a host with two dots": (rule(host="a..example"), "is no host"),
    "a subset without a name": (subsets({"name": ""}), "nothing is no name of a subset"),
    "a subset with a dot": (subsets({"name": "v1.0"}), "v1.0 is no name of a subset"),
    "a long subset": (subsets({"name": LONG}), "is no name of a subset"),
    "a subset twice": (subsets({"name": "a"}, {"name": "a"}), "a subset is named twice"),
    "a bad label": (subsets({"name": "a", "labels": {"a b": "c"}}), "a b is no name of a label"),
    "a bad prefix": (subsets({"name": "a", "labels": {"a_b/c": "d"}}), "a_b/c is no name of a label"),
    "a label's long name": (subsets({"name": "a", "labels": {LONG: "c"}}), "is no name of a label"),
    "a bad value": (subsets({"name": "a", "labels": {"a": "-c"}}), "-c is no value of a label"),
    "an empty policy of a subset": (subsets({"name": "a", "trafficPolicy": {}}), "needs some field"),
    "an export twice": (rule(exportTo=["lab", "lab"]), "a namespace is named twice"),
    "its own namespace twice": (rule(exportTo=[".", "hello"]), "a namespace is named twice"),
    "all and one": (rule(exportTo=["*", "lab"]), "* must stand alone"),
    "nobody": (rule(exportTo=["~"]), "~ is no namespace"),
    "a bad namespace": (rule(exportTo=["a.b"]), "a.b is no namespace"),
    "an empty namespace": (rule(exportTo=[""]), "nothing is no namespace"),
    "chosen workloads elsewhere": (
        rule(exportTo=["lab"], workloadSelector={"matchLabels": {"a": "b"}}),
        "its own namespace only",
    ),
    "labels with a wildcard": (rule(workloadSelector={"matchLabels": {"a": "b*"}}), "without wildcards"),
    "a wildcard among labels": (rule(workloadSelector={"matchLabels": {"a*": "b"}}), "without wildcards"),
    "a label without a name": (rule(workloadSelector={"matchLabels": {"": "b"}}), "a label needs a name"),
    "an empty policy": (policy(), "needs some field"),
    "a policy of no port": (policy(portLevelSettings=[]), "needs some field"),
    "a tunnel and PROXY": (
        policy(tunnel={"targetHost": "a.example", "targetPort": 80}, proxyProtocol=PROXIED),
        "tunnel and proxyProtocol exclude each other",
    ),
    "a tunnel by GET": (tunnel(protocol="GET"), "CONNECT or POST"),
    "a tunnel to nowhere": (tunnel(targetHost="a_b"), "a_b is no host"),
    "a tunnel to port 0": (tunnel(targetPort=0), "from 1 to 65535"),
    "an empty pool": (policy(connectionPool={}), "needs tcp or http"),
    "less than no connection": (pool("tcp", maxConnections=-1), "from 0 to 2147483647"),
    "too many connections": (pool("tcp", maxConnections=2**31), "from 0 to 2147483647"),
    "less than no request": (pool("http", http2MaxRequests=-1), "from 0 to 2147483647"),
    "less than none pending": (pool("http", http1MaxPendingRequests=-1), "from 0 to 2147483647"),
    "less than none each": (pool("http", maxRequestsPerConnection=-1), "from 0 to 2147483647"),
    "less than no retry": (pool("http", maxRetries=-1), "from 0 to 2147483647"),
    "less than no stream": (pool("http", maxConcurrentStreams=-1), "from 0 to 2147483647"),
    "an upgrade of what clients speak": (
        pool("http", h2UpgradePolicy="UPGRADE", useClientProtocol=True),
        "useClientProtocol and h2UpgradePolicy UPGRADE exclude each other",
    ),
    "keep-alive without an interval": (pool("http", http2KeepAlive={"timeout": "1s"}), "interval is missing"),
    "keep-alive by parts": (pool("http", http2KeepAlive={**KEPT, "timeout": "1.5ms"}), "whole milliseconds"),
    "idle for parts": (pool("http", idleTimeout="1.5ms"), "whole milliseconds"),
    "a connection's life in parts": (pool("tcp", maxConnectionDuration="1.5ms"), "whole milliseconds"),
    "connecting for parts": (pool("tcp", connectTimeout="1.5ms"), "whole milliseconds"),
    "TCP idle for parts": (pool("tcp", idleTimeout="1.5ms"), "whole milliseconds"),
    "TCP idle for less than nothing": (pool("tcp", idleTimeout="-1s"), "at least 1ms"),
    "alive for parts": (pool("tcp", tcpKeepalive={"time": "1.5ms"}), "whole milliseconds"),
    "asked after parts": (pool("tcp", tcpKeepalive={"interval": "1.5ms"}), "whole milliseconds"),
    "more than all": (outliers(maxEjectionPercent=101), "from 0 to 100"),
    "less than nothing healthy": (outliers(minHealthPercent=-1), "from 0 to 100"),
    "too many errors": (outliers(consecutiveErrors=2**31), "at most 2147483647"),
    "local failures alone": (
        outliers(consecutiveLocalOriginFailures=1),
        "consecutiveLocalOriginFailures needs splitExternalLocalOriginErrors",
    ),
    "ejected for parts": (outliers(baseEjectionTime="1.5ms"), "whole milliseconds"),
    "counted for parts": (outliers(interval="1.5ms"), "whole milliseconds"),
    "a port without number": (policy(portLevelSettings=[{"tls": {"mode": "DISABLE"}}]), "port is missing"),
    "nothing for a port": (at_port(), "needs some field"),
    "a bad limit of a port": (at_port(connectionPool={"tcp": {"maxConnections": -1}}), "from 0 to 2147483647"),
    "mutual without certificate": (tls("MUTUAL", privateKey="a"), "needs clientCertificate"),
    "mutual without key": (tls("MUTUAL", clientCertificate="a"), "needs privateKey"),
    "a secret and a file": (
        tls("SIMPLE", credentialName="a", caCertificates="b"),
        "caCertificates and credentialName exclude each other",
    ),
    "no verification of a CA": (
        tls("SIMPLE", insecureSkipVerify=True, caCertificates="b"),
        "caCertificates and insecureSkipVerify exclude each other",
    ),
    "no verification of a secret": (
        tls("SIMPLE", insecureSkipVerify=True, credentialName="b"),
        "credentialName and insecureSkipVerify exclude each other",
    ),
    "no verification of names": (
        tls("MUTUAL", insecureSkipVerify=True, credentialName="b", subjectAltNames=["c"]),
        "subjectAltNames and insecureSkipVerify exclude each other",
    ),
    "a ConfigMap elsewhere": (tls("SIMPLE", credentialName="configmap://lab/a"), "own namespace"),
    "a ConfigMap without namespace": (tls("SIMPLE", credentialName="configmap://a"), "own namespace"),
    "a cookie without a name": (cookie(name=""), "a cookie needs a name"),
    "a cookie for days": (cookie(ttl="1d"), "it is no duration"),
    "a cookie for ages": (cookie(ttl="9999999999h"), "it is no duration"),
    "a budget of days": (policy(retryBudget={"budgetInterval": "1d"}), "it is no duration"),
    "TCP idle for days": (pool("tcp", idleTimeout="1d"), "it is no duration"),
    "an attribute without a name": (cookie(attributes=[{"name": ""}]), "an attribute needs a name"),
    "an attribute twice": (cookie(attributes=[{"name": "a"}, {"name": "a"}]), "an attribute is named twice"),
    "a ring twice": (
        hashed(useSourceIp=True, minimumRingSize=1, ringHash={"minimumRingSize": 1}),
        "minimumRingSize, ringHash and maglev exclude each other",
    ),
    "a table of 4": (hashed(useSourceIp=True, maglev={"tableSize": 4}), "a prime number"),
    "a table of 9": (hashed(useSourceIp=True, maglev={"tableSize": 9}), "a prime number"),
    "no table": (hashed(useSourceIp=True, maglev={}), "a prime number"),
    "a large table": (hashed(useSourceIp=True, maglev={"tableSize": 5_000_011}), "a prime number"),
    "near and aware": (
        policy(loadBalancer={LOCALITY: {}, "zoneAwareLbSetting": {}}),
        "localityLbSetting and zoneAwareLbSetting exclude each other",
    ),
    "shares and a failover": (
        near(distribute=[{"from": "us", "to": {"us": 100}}], failover=[{"from": "us", "to": "eu"}]),
        "distribute and failover exclude each other",
    ),
    "a failover and its order": (
        near(failoverPriority=[TOPOLOGY], failover=[{"from": "us", "to": "eu"}]),
        "failover and topology labels",
    ),
    "shares of 99": (shared({"us": 99}), "add up to 100"),
    "no shares": (shared({}), "add up to 100"),
    "a share of 0": (shared({"us": 100, "eu": 0}), "add up to 100"),
    "a locality's wildcard": (shared({"us/*/a": 100}), "us/*/a is no locality"),
    "an empty zone": (shared({"us/": 100}), "us/ is no locality"),
    "from nowhere": (shared({"us": 100}, ""), "nothing is no locality"),
    "a region and its zone": (shared({"us": 50, "us/a": 50}), "overlap"),
    "two origins alike": (
        shared({"us": 100}, "us/a", {"from": "us/a/b", "to": {"us": 100}}),
        "us/a and us/a/b overlap",
    ),
    "any origin first": (shared({"us": 100}, "*", {"from": "us", "to": {"us": 100}}), "* and us overlap"),
    "a failover to itself": (failing("us", "us"), "to another region"),
    "a failover of a zone": (failing("us/a", "eu"), "names regions alone"),
    "a failover of any": (failing("us*", "eu"), "names regions alone"),
    "an aware failover to itself": (failing("us", "us", "zoneAwareLbSetting"), "to another region"),
    "an aware order": (policy(loadBalancer={"zoneAwareLbSetting": {"failoverPriority": [TOPOLOGY]}}), "already"),
    "warmed up for parts": (policy(loadBalancer={"warmup": {"duration": "1.5ms"}}), "whole milliseconds"),
    "no aggression": (policy(loadBalancer={"warmup": {"duration": "1s", "aggression": 0}}), "more than 0"),
}
TAKEN_RULES = {
    "a label by a number": subsets({"name": "a", "labels": {1: "b", 1.5: "c", False: "d"}}),
    "null for a label": subsets({"name": "a", "labels": {"app": None}}),
    "a short host": rule(host="b"),
    "any host": rule(host="*"),
    "hosts below one": rule(host="*.b.example"),
    "hosts of a label": rule(host="*-b.example"),
    "an absolute host": rule(host="b.example."),
    "a number for a host": rule(host="12"),
    "a host in capitals": rule(host="B.Example"),
    "a subset in capitals": subsets({"name": "V1"}, {"name": "v1"}),
    "labels": subsets({"name": "a", "labels": {"a.b/c_d": "e.f", "x": "", "y": LONG}}),
    "exports": rule(exportTo=[".", "lab"]),
    "chosen workloads": rule(exportTo=["."], workloadSelector={"matchLabels": {"a": "b"}}),
    "a tunnel": tunnel(protocol="POST", targetHost="10.0.0.1"),
    "no limits": pool("tcp", maxConnections=0, idleTimeout="0s"),
    "TCP idle for next to nothing": pool("tcp", idleTimeout="0.5ms"),
    "the highest limit": pool("tcp", maxConnections=2**31 - 1),
    "an upgrade": pool("http", h2UpgradePolicy="UPGRADE", useClientProtocol=False),
    "what clients speak": pool("http", h2UpgradePolicy="DEFAULT", useClientProtocol=True),
    "keep-alive": pool("http", http2KeepAlive=KEPT),
    "local failures": outliers(consecutiveLocalOriginFailures=1, splitExternalLocalOriginErrors=True),
    "errors at the edge": outliers(consecutiveErrors=-(2**31)),
    "no local failures": outliers(consecutiveLocalOriginFailures=0),
    "shares at the edge": outliers(maxEjectionPercent=100, minHealthPercent=0),
    "no outliers": outliers(),
    "a port": at_port(tls={"mode": "DISABLE"}),
    "mutual with files": tls("MUTUAL", clientCertificate="a", privateKey="b"),
    "mutual with a secret": tls("MUTUAL", credentialName="a"),
    "mutual without verification": tls("MUTUAL", credentialName="a", insecureSkipVerify=True),
    "no verification": tls("SIMPLE", insecureSkipVerify=True),
    "a CA's file": tls("SIMPLE", caCertificates="a", subjectAltNames=["b"]),
    "a ConfigMap": tls("SIMPLE", credentialName="configmap://hello/a"),
    "a secret without TLS": tls("DISABLE", credentialName="a", caCertificates="b"),
    "a cookie of no life": cookie(ttl="0"),
    "a cookie of less": cookie(ttl="-1µs"),
    "TCP idle with a sign": pool("tcp", idleTimeout="+1.5s"),
    "a budget": policy(retryBudget={"budgetInterval": "1m30s"}),
    "a cookie": cookie(attributes=[{"name": "a"}, {"name": "b"}]),
    "a ring": hashed(useSourceIp=True, ringHash={"minimumRingSize": 1}),
    "an old ring": hashed(useSourceIp=True, minimumRingSize=1),
    "a table": hashed(useSourceIp=True, maglev={"tableSize": 65_537}),
    "shares": shared({"us/a": 50, "us/b": 50}, "us/*"),
    "any origin last": shared({"us": 100}, "us", {"from": "*", "to": {"us": 100}}),
    "a failover": failing("us", "eu"),
    "an order of its own": near(failoverPriority=["a"], failover=[{"from": "us", "to": "eu"}]),
    "warmed up": policy(loadBalancer={"warmup": {"duration": "1s", "aggression": 1.5, "minimumPercent": 100}}),
}


def entry(**spec: Any) -> Object:
    spec = {"hosts": ["b.example"], "ports": [port()], "resolution": "DNS", **spec}
    return made("ServiceEntry", {key: value for key, value in spec.items() if value is not None})


def port(number: int = 80, name: str = "http", protocol: str = "HTTP", **more: Any) -> Object:
    return {"number": number, "name": name, "protocol": protocol, **more}


def static(*endpoints: Object, **spec: Any) -> Object:
    return entry(resolution="STATIC", endpoints=list(endpoints), **spec)


def named(*endpoints: Object, **spec: Any) -> Object:
    return entry(endpoints=list(endpoints), **spec)


def late(**spec: Any) -> Object:
    return entry(**{"hosts": ["*.b.example"], "resolution": "DYNAMIC_DNS", **spec})


IP: Object = {"address": "10.0.0.1"}
INSIDE = made("ServiceEntry", late(location="MESH_INTERNAL")["spec"], labels={"istio.io/use-waypoint": "a"})
OUTSIDE = made("ServiceEntry", late(location="MESH_INTERNAL")["spec"], labels={"istio.io/use-waypoint": "None"})
REFUSED_ENTRIES = {
    "any host": (entry(hosts=["*"], resolution="NONE"), "the host * is too wide"),
    "an empty host": (entry(hosts=[""], resolution="NONE"), "nothing is no host"),
    "a bad host": (entry(hosts=["a_b"], resolution="NONE"), "a_b is no host"),
    "hosts to resolve": (entry(hosts=["*.b.example"]), "needs full names"),
    "an address to resolve": (entry(hosts=["80"]), "needs full names"),
    "a port twice": (entry(ports=[port(), port(name="b")]), "a port is given twice"),
    "a name twice": (entry(ports=[port(), port(81)]), "the name http is given twice"),
    "port 0": (entry(ports=[port(0)]), "from 1 to 65535"),
    "a high port": (entry(ports=[port(65_536)]), "from 1 to 65535"),
    "a target's port 0": (entry(ports=[port(targetPort=0)]), "from 1 to 65535"),
    "an empty name": (entry(ports=[port(name="")]), "nothing is no name of a port"),
    "a bad name": (entry(ports=[port(name="a_b")]), "a_b is no name of a port"),
    "an unknown protocol": (entry(ports=[port(protocol="FOO")]), "the protocol is unknown"),
    "two hosts by TCP": (entry(hosts=["a.example", "b.example"], ports=[port(protocol="TCP")]), "told apart"),
    "two hosts by anything": (entry(hosts=["a.example", "b.example"], ports=[port(protocol="")]), "told apart"),
    "an address that is none": (entry(addresses=["a.example"]), "a.example is no IP address"),
    "a wide range": (entry(addresses=["10.0.0.0/33"], resolution="NONE"), "is no IP address"),
    "a mask": (entry(addresses=["10.0.0.0/255.0.0.0"], resolution="NONE"), "is no IP address"),
    "a range to resolve": (entry(addresses=["10.0.0.0/8"]), "no ranges of addresses"),
    "endpoints without resolution": (entry(resolution="NONE", endpoints=[IP]), "NONE has no endpoints"),
    "no endpoints, said": (entry(resolution="NONE", endpoints=[]), "NONE has no endpoints"),
    "two endpoints in turn": (named(IP, IP, resolution="DNS_ROUND_ROBIN"), "one endpoint at most"),
    "endpoints and workloads": (
        static(IP, workloadSelector={"labels": {"a": "b"}}),
        "endpoints and workloadSelector exclude each other",
    ),
    "labels with a wildcard": (
        entry(resolution="STATIC", workloadSelector={"labels": {"a": "*"}}),
        "without wildcards",
    ),
    "a label without a name": (
        entry(resolution="STATIC", workloadSelector={"labels": {"": "a"}}),
        "a label needs a name",
    ),
    "an endpoint without address": (static({"ports": {"http": 80}}), "an endpoint needs an address"),
    "an address of a network": (named({"network": "a"}), "an endpoint needs an address"),
    "a static name": (static({"address": "a.example"}), "a.example is no IP address"),
    "a bad address": (named({"address": "a_b"}), "a_b is no host"),
    "a number for an address": (named({"address": "a.1"}), "a.1 is no host"),
    "a relative socket": (static({"address": "unix://a"}), "an absolute path"),
    "a socket's folder": (static({"address": "unix:///a/"}), "an absolute path"),
    "an abstract folder": (static({"address": "unix://@a/"}), "is a file"),
    "a socket with ports": (static({"address": "unix:///a", "ports": {"http": 80}}), "a Unix socket has no ports"),
    "a socket for two": (static({"address": "unix:///a"}, ports=[port(), port(81, "b")]), "has one"),
    "a socket to resolve": (named({"address": "unix:///a"}), "STATIC only"),
    "an endpoint's own port": (static({**IP, "ports": {"b": 80}}), "has no port b"),
    "an endpoint's port 0": (static({**IP, "ports": {"http": 0}}), "from 1 to 65535"),
    "an endpoint's long port": (
        static({**IP, "ports": {"a" * 63: 80}}, ports=[port(name="a" * 63)]),
        "is no name of a port",
    ),
    "an endpoint's label": (static({**IP, "labels": {"a": "-"}}), "- is no value of a label"),
    "nobody and one": (entry(exportTo=["~", "lab"]), "~ must stand alone"),
    "an export twice": (entry(exportTo=["lab", "lab"]), "a namespace is named twice"),
    "a bad namespace": (entry(exportTo=["a.b"]), "a.b is no namespace"),
    "resolved late without a wildcard": (late(hosts=["b.example"]), "with a wildcard only"),
    "resolved late at an address": (late(addresses=["10.0.0.1"]), "DYNAMIC_DNS has no addresses"),
    "resolved late at an endpoint": (late(endpoints=[IP]), "DYNAMIC_DNS has no endpoints"),
    "resolved late by TCP": (late(ports=[port(protocol="TCP")]), "for HTTP, HTTP2, GRPC and TLS only"),
    "resolved late by HTTPS": (late(ports=[port(protocol="HTTPS")]), "for HTTP, HTTP2, GRPC and TLS only"),
    "resolved late behind a waypoint": (INSIDE, "behind a waypoint"),
}
TAKEN_ENTRIES = {
    "a host": entry(),
    "no resolution": entry(resolution=None),
    "hosts": entry(hosts=["*.b.example", "*-c.example"], resolution="NONE"),
    "an address for a host": entry(hosts=["80"], resolution="NONE"),
    "hosts with endpoints": named(IP, hosts=["*.b.example"]),
    "no ports": entry(ports=None),
    "ports": entry(ports=[port(), port(443, "b", "tls"), port(444, "c", targetPort=1)]),
    "a port in capitals": entry(ports=[port(name="A", protocol="Grpc-Web")]),
    "a port for anything": entry(ports=[port(protocol="")]),
    "two hosts": entry(hosts=["a.example", "b.example"]),
    "two hosts by TCP, not resolved": entry(
        hosts=["a.example", "b.example"], ports=[port(protocol="TCP")], resolution="NONE"
    ),
    "addresses": entry(addresses=["10.0.0.0/8", "2001:db8::1", "2001:db8::/32", "10.0.0.1"], resolution="STATIC"),
    "one endpoint in turn": named(IP, resolution="DNS_ROUND_ROBIN"),
    "no endpoints": entry(endpoints=[]),
    "workloads": entry(resolution="STATIC", workloadSelector={"labels": {"a": "b"}}),
    "a network": static({"network": "a"}),
    "a name": named({"address": "a.example", "ports": {"http": 81}, "labels": {"a": "b"}}),
    "a socket": static({"address": "unix:///a"}),
    "an abstract socket": static({"address": "unix://@a"}),
    "nobody": entry(exportTo=["~"]),
    "resolved late": late(),
    "resolved late in the mesh": OUTSIDE,
    "no addresses, resolved late": late(addresses=[], endpoints=[]),
}
REFUSED = {
    f"{kind}: {key}": row
    for kind, rows in (("rule", REFUSED_RULES), ("entry", REFUSED_ENTRIES))
    for key, row in rows.items()
}
TAKEN = {
    f"{kind}: {key}": row
    for kind, rows in (("rule", TAKEN_RULES), ("entry", TAKEN_ENTRIES))
    for key, row in rows.items()
}


@pytest.mark.parametrize(("subject", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(subject: Object, reason: str) -> None:
    assert any(reason in each for each in refused(subject))


@pytest.mark.parametrize("subject", TAKEN.values(), ids=TAKEN)
def test_what_is_taken(subject: Object) -> None:
    assert refused(subject) == []


@pytest.mark.parametrize(
    "subject",
    [
        tls("MUTUAL", credentialName=UNKNOWN),
        tls("MUTUAL", clientCertificate=UNKNOWN, privateKey=UNKNOWN),
        tls("SIMPLE", credentialName=UNKNOWN, caCertificates="a"),
        static({"address": UNKNOWN, "ports": {"http": 80}}),
        named({"address": UNKNOWN}),
    ],
    ids=["a secret", "files", "a secret and a file", "an address", "an address to resolve"],
)
def test_what_is_not_known_yet_may_be_right(subject: Object) -> None:
    assert refused(subject) == []


@pytest.mark.parametrize(
    ("subject", "field"),
    [
        (rule(host=UNKNOWN), "spec.host"),
        (pool("tcp", maxConnections=UNKNOWN), "spec.trafficPolicy.connectionPool.tcp.maxConnections"),
        (subsets({"name": "a", "labels": {"a": UNKNOWN}}), "spec.subsets[0].labels.a"),
        (entry(endpoints=UNKNOWN, hosts=["*.b.example"]), "spec.endpoints"),
        (made("DestinationRule", rule(exportTo=[".", "lab"])["spec"], namespace=UNKNOWN), "metadata.namespace"),
    ],
    ids=["a host", "a limit", "a label", "endpoints", "a namespace"],
)
def test_what_is_decided_later_is_not_judged(subject: Object, field: str) -> None:
    found = findings(mesh([subject]), "object-refused")
    assert {each.outcome for each in found} == {Outcome.NOT_JUDGED}
    assert {each.field for each in found} == {field}


def test_what_is_known_is_refused_beside_what_is_not() -> None:
    subject = rule(exportTo=["a.b"], trafficPolicy={"connectionPool": {"tcp": {"maxConnections": UNKNOWN}}})
    [found] = findings(mesh([subject]), "object-refused")
    assert (found.outcome, found.field) == (Outcome.BROKEN, "spec.exportTo")
