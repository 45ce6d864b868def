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
    AIM,
    HTTP,
    PORT,
    assert_split_alike,
    call,
    copies,
    define_gateway_api,
    dump,
    mirror,
    overlaid,
    settled_dump,
    share,
    uncopied,
    under_change,
    undisturbed,
    unpatched,
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


@pytest.mark.timeout(330)
def test_an_http_route_is_mirrored_while_its_weights_change_and_a_rollout_runs(lab: Lab, case: Any) -> None:
    calls, percent = 2000, 25
    least, most = band(calls, percent)
    wanted = f"all answered, split as without it, {least} to {most} of {calls} copied, all else as before"
    note = case("Overlay on an HTTPRoute while weights change every second and a rollout runs", SOURCE, wanted)
    host = f"{HOSTS[HTTP]}:{PORT}"
    on = [GatewayHosts(hosts=[HOSTS[HTTP]])]

    def calling() -> dict[str, Any]:
        return call(lab, calls, authority=host, rate=200, concurrency=64)

    with lab.applied(STAGING, [http_route()]):
        before = undisturbed(lab)
        plain = under_change(lab, http_route, calling, "deployment/echo-v2")
        wait_until(lambda: dump(lab.gateway) == before, what="the weights are as they were", timeout=30)
        with overlaid(lab, mirror(percent=percent), on=on):
            result = under_change(lab, http_route, calling, "deployment/echo-v2")
            copied = copies(lab, result, least)
            left = uncopied(lab, authority=host)
            wait_until(lambda: unpatched(lab) == json.loads(before), what="all but the patch is as it was", timeout=30)
            cart = call(lab, 50, authority=host, path="/api/cart/7")
            settled(lambda: lab.seen(STAGING, "v1", cart["run"]), complete=50)
            (head, *_) = [dict(each["headers"]) for each in lab.records(STAGING, "v1", cart["run"])]
        wait_until(lambda: dump(lab.gateway) == before, what="the routes are as they were", timeout=30)
    split = f"v1 {share(result):.1%}, {share(plain):.1%} without"
    note(f"{result['good']} answered, {split}, {copied} copies, {left}", "the servers' own records, the proxy's dump")
    assert (plain["good"], result["good"]) == (calls, calls), (plain["failures"], result["failures"])
    assert_split_alike(plain, result)
    assert least <= copied <= most
    assert left == {"POST": 0, "marked": 0, "forged": 0}
    assert head[":path"] == "/v2/cart/7"


def test_an_http_route_that_is_made_again_is_mirrored_without_a_deployment(lab: Lab, case: Any) -> None:
    note = case("Overlay and an HTTPRoute that is deleted and made again", SOURCE, "copies before and after")
    host = f"{HOSTS[HTTP]}:{PORT}"
    counts: list[int] = []
    with lab.applied(STAGING, [http_route()]):
        undisturbed(lab)
        with overlaid(lab, mirror(), on=[GatewayHosts(hosts=[HOSTS[HTTP]])]):
            counts.append(copies(lab, call(lab, 50, authority=host), 50))
            lab.outpost.ask("delete", STAGING, GROUP, "HTTPRoute", NAMESPACE, http_route()["metadata"]["name"])
            wait_until(lambda: AIM not in dump(lab.gateway), what="the route is gone", timeout=30)
            lab.outpost.ask("apply", STAGING, http_route())
            settled_dump(lab.gateway, AIM)
            counts.append(copies(lab, call(lab, 50, authority=host), 50))
    note(" / ".join(map(str, counts)), "the servers' own records")
    assert counts == [50, 50]


def twin() -> dict[str, Any]:
    """A second Service on the first greeter's pods, so that a route can have weights beside the mirror's Service."""
    ports = [{"name": "grpc", "port": PORTS[Protocol.GRPC], "targetPort": 8000, "appProtocol": "grpc"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "greeter-twin", "namespace": NAMESPACE},
        "spec": {"selector": {"app": "greeter", "version": "v1"}, "ports": ports},
    }


def grpc_route(first: int = 90) -> dict[str, Any]:
    """The greeter by weight under two names."""
    protocol = Protocol.GRPC
    both = [backend("greeter", protocol, first), backend("greeter-twin", protocol, 100 - first)]
    return route("GRPCRoute", protocol, {"backendRefs": both})


@pytest.mark.timeout(330)
def test_a_grpc_route_is_mirrored_by_its_methods_while_its_weights_change(lab: Lab, case: Any) -> None:
    calls, percent = 2000, 25
    least, most = band(calls, percent)
    wanted = f"all answered, {least} to {most} of {calls} copied, 0 marked, 0 forged"
    note = case("Overlay on a GRPCRoute while weights change every second", SOURCE, wanted)
    protocol = Protocol.GRPC
    copied_to = tm.InClusterMirror(percent=percent, service=greeter("v2"), match=Match(rpc_methods=[SAY_HELLO]))
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
    forged = {"x-traffic-mirror-to-hello.shop.greeter-v2": str(greeter("v2").cluster_name)}
    unwanted = {
        "marked": {"headers": {"x-traffic-mirror": "mirror"}},
        "forged": {"headers": {"x-traffic-mirror": "mirror", **forged}},
    }

    def calling() -> dict[str, Any]:
        return lab.run_job(lab.job_to(address, calls, rate=200, concurrency=64, **job), inside=False, timeout=120)

    with lab.applied(STAGING, [twin(), grpc_route()]):
        before = undisturbed(lab, HOSTS[protocol])
        with overlaid(lab, copied_to, on=on, protocol=protocol):
            result = under_change(lab, grpc_route, calling)
            runs = {
                name: lab.run_job(lab.job_to(address, 50, **{**job, **change}), inside=False)
                for name, change in unwanted.items()
            }
            seen = settled(lambda: lab.greeted(STAGING, "v2", result["run"]), complete=least)
            left = {
                name: settled(lambda each=each: lab.greeted(STAGING, "v2", each["run"]), complete=1).calls
                for name, each in runs.items()
            }
            wait_until(lambda: unpatched(lab) == json.loads(before), what="all but the patch is as it was", timeout=30)
        wait_until(lambda: dump(lab.gateway) == before, what="the routes are as they were", timeout=30)
    note(f"{result['good']} answered, {seen.calls} copies, {left}", "the greeter's log, the proxy's dump")
    assert result["good"] == calls, result["failures"]
    assert least <= seen.calls <= most
    assert (seen.repeats, left) == (0, {"marked": 0, "forged": 0})
    assert seen.marks == {"mirror": seen.calls}
