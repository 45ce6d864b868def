"""From flat arguments to the library's own values. Numbers arrive as floats, whatever the schema says."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pulumi

import pulumi_traffic_mirror as tm
from pulumi_traffic_mirror.mesh import IstioCharts
from pulumi_traffic_mirror.model.values import Protocol

Given = Mapping[str, Any]


def whole(value: Any) -> Any:  # noqa: ANN401 -- the library refuses what is none
    """A whole number as an int; anything else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def kubeconfig(given: pulumi.Input[Any]) -> pulumi.Input[str]:
    """A kubeconfig's text: programs in YAML hand on a configured text that is JSON as what it says."""

    def text(value: Any) -> Any:  # noqa: ANN401
        return json.dumps(value) if isinstance(value, dict) else value

    return pulumi.Output.from_input(given).apply(text) if isinstance(given, pulumi.Output) else text(given)


def chosen(given: Given, *names: str) -> dict[str, Any]:
    """Those of the named arguments that are given."""
    return {name: whole(given[name]) for name in names if given.get(name) is not None}


def waiver(reason: str) -> tm.Waiver:
    """A waiver with its reason."""
    return tm.Waiver(reason=reason)


def protocol(given: Given) -> dict[str, Any]:
    """The protocol, where it is given; an unknown one is refused by the library."""
    return {"protocol": cast("Protocol", given["protocol"])} if given.get("protocol") else {}


def destination(given: Given) -> tm.Destination:
    """A Service and its port."""
    return tm.Destination(given["host"], whole(given["port"]))


def charts(source: str | None) -> dict[str, Any]:
    """Where charts come from, where it is said."""
    return {"charts": IstioCharts.parse(source)} if source else {}


def mesh(cluster: tm.ClusterHandle, given: Given) -> tm.MeshHandle:
    """A control plane that is there."""
    more = {**chosen(given, "revision", "root_namespace"), **charts(given.get("charts"))}
    return tm.ExistingIstio(cluster=cluster, version=given["version"], **more).handle


def contract(given: Given) -> tm.MirrorContract:
    """What both clusters agree on."""
    more = {**chosen(given, "port", "receiver"), **protocol(given)}
    if given.get("plain_text"):
        more["transport"] = waiver(given["plain_text"])
    if given.get("tls"):
        more["transport"] = tm.MirrorTls.parse(given["tls"])
    return tm.MirrorContract(hosts=given["hosts"], **more)


def server(given: Given) -> tm.GatewayServer:
    """A listener."""
    return tm.GatewayServer(hosts=given["hosts"], **chosen(given, "port", "tls", "credential"), **protocol(given))


def _common(given: Given) -> dict[str, Any]:
    match = chosen(given, "path_prefixes", "http_methods", "rpc_methods")
    return {
        "percent": given["percent"],
        **chosen(given, "name"),
        **({"match": tm.Match(**match)} if match else {}),
        **({"side_effects": waiver(given["side_effects"])} if given.get("side_effects") else {}),
        **({"expires": tm.Expiry.parse(given["expires"])} if given.get("expires") else {}),
    }


def mirrors(given: Given) -> list[tm.InClusterMirror | tm.CrossClusterMirror]:
    """All mirrors: those in the cluster first."""
    found: list[tm.InClusterMirror | tm.CrossClusterMirror] = [
        tm.InClusterMirror(service=destination(each["service"]), **_common(each)) for each in _listed(given, "mirrors")
    ]
    offers = given.get("offers") or {}
    for each in _listed(given, "cross_cluster_mirrors"):
        terms = contract(each["contract"])
        name = str(each.get("name") or terms.receiver)
        if name not in offers:
            raise tm.ValidationError(
                field="offers",
                value=sorted(offers),
                rule=f"must have what the stack of {name} exports",
                remedy="Give the offer of its MirrorReceiver under the mirror's name",
            )
        more = {**_common(each), **chosen(each, "client_credential")}
        found.append(tm.CrossClusterMirror(contract=terms, offer=offers[name], **more))
    return found


def _listed(given: Given, name: str) -> Sequence[Given]:
    return cast("Sequence[Given]", given.get(name) or [])


def places(given: Given) -> list[tm.GatewayHosts | tm.MeshService | tm.WaypointService]:
    """Where an overlay hangs."""
    found: list[tm.GatewayHosts | tm.MeshService | tm.WaypointService] = []
    if hosts := given.get("gateway_hosts"):
        found.append(tm.GatewayHosts(hosts=hosts, **chosen(given, "domain")))
    found += [tm.MeshService(each["host"], whole(each["port"])) for each in given.get("mesh_services", [])]
    waypoint = chosen(given, "waypoint")
    for each in given.get("waypoint_services", []):
        found.append(tm.WaypointService(each["host"], whole(each["port"]), **waypoint))
    return found


def gateway(text: str, labels: Mapping[str, str] | None = None) -> tm.GatewayRef:
    """A gateway by its namespace and name, with the labels of its pods where they are given.

    Raises:
        ValidationError: It is not of that form.
    """
    namespace, separator, name = text.partition("/")
    if not separator:
        raise tm.ValidationError(
            field="gateway", value=text, rule="must be NAMESPACE/NAME", remedy="Write the namespace before it"
        )
    return tm.GatewayRef(name=name, namespace=namespace, labels=labels or {})
