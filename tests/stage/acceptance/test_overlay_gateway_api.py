"""Overlays on routes of the Gateway API, at a gateway that istiod did not deploy."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

import pulumi_traffic_mirror as tm
from pulumi_traffic_mirror.model import GatewayHosts, Match, Protocol
from pulumi_traffic_mirror.rehearsal.machine.processes import wait_until
from pulumi_traffic_mirror.rehearsal.toolchain import OracleFiles

from .lab import Lab, settled
from .overlays import (
    HTTP,
    PORT,
    call,
    copies,
    define_gateway_api,
    dump,
    mirror,
    overlaid,
    settled_dump,
    uncopied,
    undisturbed,
    without_overlay,
)
from .report import band
from .terms import GATEWAY, NAMESPACE, PORTS, SAY_HELLO, STAGING, greeter

pytestmark = pytest.mark.stage

SOURCE = "overlays"
GROUP = "gateway.networking.k8s.io/v1"
HOSTS = {Protocol.HTTP: "native-http.staging.example", Protocol.GRPC: "native-grpc.staging.example"}
PARENT = {"name": "native", "namespace": GATEWAY.namespace}


def route(kind: str, protocol: Protocol, *rules: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": GROUP,
        "kind": kind,
        "metadata": {"name": f"owner-{protocol.port_name}", "namespace": NAMESPACE},
        "spec": {"hostnames": [HOSTS[protocol]], "parentRefs": [PARENT], "rules": list(rules)},
    }


def backend(name: str, protocol: Protocol, weight: int = 1) -> dict[str, Any]:
    return {"name": name, "port": PORTS[protocol], "weight": weight}


def path(value: str) -> list[dict[str, Any]]:
    return [{"path": {"type": "PathPrefix", "value": value}}]


def http_route(first: int = 90) -> dict[str, Any]:
    """Four paths: weights, a redirect, a rewrite, and the rest."""
    both = [backend("echo-v1", HTTP, first), backend("echo-v2", HTTP, 100 - first)]
    redirect = {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/api/orders"}}
    rewrite = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/v2/cart"}}
    return route(
        "HTTPRoute",
        HTTP,
        {"matches": path("/api/orders"), "backendRefs": both},
        {"matches": path("/api/old"), "filters": [{"type": "RequestRedirect", "requestRedirect": redirect}]},
        {
            "matches": path("/api/cart"),
            "filters": [{"type": "URLRewrite", "urlRewrite": rewrite}],
            "backendRefs": [backend("echo-v1", HTTP)],
        },
        {"backendRefs": both},
    )


@pytest.fixture(scope="module", autouse=True)
def _gateway(lab: Lab, oracle_files: OracleFiles) -> Iterator[None]:
    """The Gateway API, and a Gateway of it on the pods of the gateway that is there."""
    define_gateway_api(lab, STAGING, oracle_files)
    listeners = [
        {
            "name": protocol.port_name,
            "port": PORTS[protocol],
            "protocol": "HTTP",
            "hostname": host,
            "allowedRoutes": {"namespaces": {"from": "All"}},
        }
        for protocol, host in HOSTS.items()
    ]
    service = f"{GATEWAY.name}.{GATEWAY.namespace}.svc.cluster.local"
    gateway = {
        "apiVersion": GROUP,
        "kind": "Gateway",
        "metadata": PARENT,
        "spec": {
            "gatewayClassName": "istio",
            "addresses": [{"type": "Hostname", "value": service}],
            "listeners": listeners,
        },
    }
    with lab.applied(STAGING, [gateway]):
        yield


def test_an_http_route_is_mirrored_while_its_weights_change(lab: Lab, case: Any) -> None:
    calls, percent = 2000, 25
    least, most = band(calls, percent)
    note = case(
        "Overlay on an HTTPRoute", SOURCE, f"all answered, {least} to {most} of {calls} copied, all else as before"
    )
    host = f"{HOSTS[HTTP]}:{PORT}"
    on = [GatewayHosts(hosts=[HOSTS[HTTP]])]
    with lab.applied(STAGING, [http_route()]):
        before = undisturbed(lab)
        with overlaid(lab, mirror(percent=percent), on=on):
            assert without_overlay(json.loads(dump(lab.gateway))) == json.loads(before)
            lab.outpost.ask("apply", STAGING, http_route(50))
            result = call(lab, calls, authority=host, rate=200, concurrency=64)
            copied = copies(lab, result, least)
            left = uncopied(lab, authority=host)
            lab.outpost.ask("apply", STAGING, http_route())
            cart = call(lab, 50, authority=host, path="/api/cart/7")
            settled(lambda: lab.seen(STAGING, "v1", cart["run"]), complete=50)
            (head, *_) = [dict(each["headers"]) for each in lab.records(STAGING, "v1", cart["run"])]
        wait_until(lambda: dump(lab.gateway) == before, what="the routes are as they were", timeout=30)
    note(f"{result['good']} answered, {copied} copies, {left}", "the servers' own records, the proxy's dump")
    assert result["good"] == calls, result["failures"]
    assert set(result["versions"]) == {"v1", "v2"}
    assert least <= copied <= most
    assert set(left.values()) == {0}
    assert head[":path"] == "/v2/cart/7"


def test_a_grpc_route_is_mirrored_by_its_methods(lab: Lab, case: Any) -> None:
    note = case("Overlay on a GRPCRoute", SOURCE, "100 of 100 calls of the method, 0 of another")
    protocol = Protocol.GRPC
    owner = route("GRPCRoute", protocol, {"backendRefs": [backend("greeter", protocol)]})
    copied_to = tm.InClusterMirror(percent=100, service=greeter("v2"), match=Match(rpc_methods=[SAY_HELLO]))
    on = [GatewayHosts(hosts=[HOSTS[protocol]])]
    address = f"{lab.stage.gateway_addresses[STAGING]}:{PORTS[protocol]}"
    job = {
        "protocol": "grpc",
        "authority": f"{HOSTS[protocol]}:{PORTS[protocol]}",
        "rpc": SAY_HELLO,
        "kind": "unary",
        "messages": 1,
        "message_bytes": 0,
        "headers": {},
    }
    with lab.applied(STAGING, [owner]):
        settled_dump(lab.gateway, HOSTS[protocol])
        with overlaid(lab, copied_to, on=on, protocol=protocol):
            result = lab.run_job(lab.job_to(address, 100, **job), inside=False)
            marked = {**job, "headers": {"x-traffic-mirror": "mirror"}}
            twice = lab.run_job(lab.job_to(address, 50, **marked), inside=False)
            seen = settled(lambda: lab.greeted(STAGING, "v2", result["run"]), complete=100)
            left = settled(lambda: lab.greeted(STAGING, "v2", twice["run"]), complete=1)
    note(f"{seen.calls} and {left.calls}", "the greeter's log")
    assert (result["good"], twice["good"]) == (100, 50), (result["failures"], twice["failures"])
    assert (seen.calls, seen.repeats, left.calls) == (100, 0, 0)
    assert seen.marks == {"mirror": 100}
