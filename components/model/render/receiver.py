"""Testing's objects: Gateway servers, VirtualService, DestinationRule and EnvoyFilter of a mirror receiver."""

from collections.abc import Sequence
from typing import Final

from ..errors import ValidationError
from ..jsontypes import JsonObject, JsonValue
from ..receiver import LOOP_STATUS, GatewayServer, MirrorReceiverRoute
from ..routing import GatewayRef
from ..safety import Scrub
from .destinations import subset, traffic_policy
from .objects import ANNOTATION, ANY_VALUE, compact, destination, home, istio_object

_CONNECTION_MANAGER: Final = "envoy.filters.network.http_connection_manager"
_HTTP_CONNECTIONS: Final = f"{_CONNECTION_MANAGER.replace('envoy.', 'envoy.extensions.')}.v3.HttpConnectionManager"


def gateway(ref: GatewayRef, selector: JsonObject, servers: Sequence[GatewayServer]) -> JsonObject:
    """A Gateway object; listeners that differ in nothing but their hosts become one server.

    Raises:
        ValidationError: One port is to speak plain text and TLS.
    """
    _check_ports(servers)
    merged: dict[tuple[int, str, str, str], list[str]] = {}
    for server in servers:
        protocol = "HTTPS" if server.tls else server.protocol.value
        key = (int(server.port), protocol, server.tls.value if server.tls else "", server.credential)
        merged.setdefault(key, []).extend(str(host) for host in server.hosts)
    rendered: list[JsonValue] = []
    names: set[str] = set()
    for (port, protocol, tls, credential), hosts in merged.items():
        name = f"{protocol.lower()}-{port}" + (f"-{credential}" if credential else "")
        # Only the mode can differ still, and Istio refuses two servers of one name.
        name += f"-{tls.lower()}" if name in names else ""
        names.add(name)
        listener: JsonObject = {"number": port, "name": name, "protocol": protocol}
        rendered.append(
            compact(
                {
                    "port": listener,
                    "tls": compact({"mode": tls, "credentialName": credential}),
                    "hosts": list(dict.fromkeys(hosts)),
                }
            )
        )
    return istio_object("Gateway", ref.name, ref.namespace, {"selector": selector, "servers": rendered})


def _check_ports(servers: Sequence[GatewayServer]) -> None:
    encrypted: dict[int, bool] = {}
    for index, server in enumerate(servers):
        if encrypted.setdefault(int(server.port), bool(server.tls)) != bool(server.tls):
            raise ValidationError(
                field=f"servers[{index}].tls",
                value=server.tls and server.tls.value,
                rule=f"must be on for all servers of port {int(server.port)}, or off for all",
                remedy="Use another port for one of them",
            )


def receiver_virtual_service(route: MirrorReceiverRoute) -> JsonObject:
    """Accepts both authority forms, refuses mirrors of mirrors, and scrubs what staging could not."""
    contract = route.contract
    entries: list[JsonValue] = []
    prefix = f"{route.namespace}.{route.name}"
    scrub = contract.scrub
    headers: JsonObject = {}
    if isinstance(scrub, Scrub):
        mark, value = str(scrub.mark_header), scrub.mark_value
        foreign: JsonObject = {"headers": {mark: ANY_VALUE}, "withoutHeaders": {mark: {"exact": value}}}
        entries.append({"name": f"{prefix}.loop", "match": [foreign], "directResponse": {"status": LOOP_STATUS}})
        headers = {"request": {"remove": [str(name) for name in scrub.headers], "set": {mark: value}}}
    entries.append(
        compact(
            {
                "name": f"{prefix}.mirror",
                "route": [{"destination": destination(route.service)}],
                "headers": headers,
            }
        )
    )
    spec: JsonObject = {
        "hosts": list(contract.accepted_hosts),
        "gateways": [str(route.gateway)],
        "http": entries,
    }
    notes: JsonObject = {f"{ANNOTATION}/contract.{contract.receiver}": contract.digest}
    return istio_object("VirtualService", route.name, route.namespace, spec, notes)


def receiver_envoy_filter(route: MirrorReceiverRoute) -> JsonObject:
    """Keeps the identifier by which a mirror is found beside its primary.

    A gateway gives every request from outside an ``x-request-id`` of its own, mirrors too (measured), unless told not
    to. Only where the contract's mirrors enter: by their server name, or by the port when they come in plain text.
    Source: https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#x-request-id
    """
    contract = route.contract
    chain: JsonObject = {"filter": {"name": _CONNECTION_MANAGER}}
    listener: JsonObject = {"filterChain": chain}
    if contract.tls:
        chain["sni"] = str(contract.mirror_host)
    else:
        listener["portNumber"] = int(contract.port)
    options: JsonObject = {"@type": f"type.googleapis.com/{_HTTP_CONNECTIONS}", "preserve_external_request_id": True}
    patch: JsonObject = {
        "applyTo": "NETWORK_FILTER",
        "match": {"context": "GATEWAY", "listener": listener},
        "patch": {"operation": "MERGE", "value": {"name": _CONNECTION_MANAGER, "typed_config": options}},
    }
    name = f"{route.namespace}-{route.name}-request-ids"
    return istio_object("EnvoyFilter", name, str(route.gateway.namespace), {"configPatches": [patch]})


def receiver_destination_rule(route: MirrorReceiverRoute) -> JsonObject | None:
    """Bounds what mirrors may cost the service; None when that is waived and no subset is needed."""
    policy = traffic_policy(route.limits)
    if route.service.subset:
        spec: JsonObject = {"host": str(route.service.host), "subsets": [subset(route.service, policy)]}
    elif policy:
        spec = {"host": str(route.service.host), "trafficPolicy": policy}
    else:
        return None
    return istio_object("DestinationRule", route.name, home(route.service, str(route.namespace)), spec)
