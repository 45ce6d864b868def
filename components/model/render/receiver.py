"""Testing's objects: Gateway servers, VirtualService, DestinationRule and EnvoyFilter of a mirror receiver."""

from collections.abc import Sequence
from typing import Final

from ..annotations import CONTRACT, WAIVER
from ..contract import TlsMode
from ..errors import ValidationError
from ..jsontypes import JsonObject, JsonValue
from ..receiver import LOOP_STATUS, SPIFFE, GatewayServer, MirrorReceiverRoute
from ..routing import GatewayRef
from ..safety import Scrub, Waiver
from ..values import RouteApi
from .destinations import subset, traffic_policy
from .objects import ANY_VALUE, compact, destination, home, istio_object, selecting

_CONNECTION_MANAGER: Final = "envoy.filters.network.http_connection_manager"
_HTTP_CONNECTIONS: Final = f"{_CONNECTION_MANAGER.replace('envoy.', 'envoy.extensions.')}.v3.HttpConnectionManager"
_RATE_LIMIT: Final = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"


def gateway(ref: GatewayRef, selector: JsonObject, servers: Sequence[GatewayServer]) -> JsonObject:
    """A Gateway object; listeners that differ in nothing but their hosts become one server.

    Raises:
        ValidationError: One port is to speak plain text and TLS.
    """
    _check_ports(servers)
    merged: dict[tuple[int, str, str, str, tuple[str, ...]], list[str]] = {}
    for server in servers:
        protocol = "HTTPS" if server.tls else server.protocol.value
        key = (
            int(server.port),
            protocol,
            server.tls.value if server.tls else "",
            server.credential,
            tuple(server.client_names),
        )
        merged.setdefault(key, []).extend(str(host) for host in server.hosts)
    rendered: list[JsonValue] = []
    names: set[str] = set()
    for (port, protocol, tls, credential, clients), hosts in merged.items():
        name = f"{protocol.lower()}-{port}" + (f"-{credential}" if credential else "")
        # Only the mode can differ still, and Istio refuses two servers of one name.
        name += f"-{tls.lower()}" if name in names else ""
        names.add(name)
        listener: JsonObject = {"number": port, "name": name, "protocol": protocol}
        rendered.append(
            compact(
                {
                    "port": listener,
                    "tls": compact({"mode": tls, "credentialName": credential, "subjectAltNames": list(clients)}),
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
    return istio_object("VirtualService", route.name, route.namespace, spec, receiver_notes(route))


def receiver_notes(route: MirrorReceiverRoute) -> JsonObject:
    """Annotations of a receiver's route: the contract, and the reasons of guards that are off."""
    receiver = route.contract.receiver
    guards = {"limits": route.limits, "max-per-second": route.max_per_second}
    waived = {name: guard.reason for name, guard in guards.items() if isinstance(guard, Waiver)}
    return {
        f"{CONTRACT}{receiver}": route.contract.digest,
        **{f"{WAIVER}{receiver}.{name}": reason for name, reason in waived.items()},
    }


def receiver_envoy_filter(route: MirrorReceiverRoute) -> JsonObject:
    """Keeps the identifier by which a mirror is found beside its primary.

    A gateway gives every request from outside an ``x-request-id`` of its own, mirrors too (measured), unless told not
    to. Only where the contract's mirrors enter: by their server name, or by the port when they come in plain text.
    Source: https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#x-request-id
    """
    options: JsonObject = {"@type": f"type.googleapis.com/{_HTTP_CONNECTIONS}", "preserve_external_request_id": True}
    patch: JsonObject = {
        "applyTo": "NETWORK_FILTER",
        "match": _where_mirrors_enter(route, {"name": _CONNECTION_MANAGER}),
        "patch": {"operation": "MERGE", "value": {"name": _CONNECTION_MANAGER, "typed_config": options}},
    }
    return _at_gateway(route, "request-ids", [patch])


def _where_mirrors_enter(route: MirrorReceiverRoute, found: JsonObject) -> JsonObject:
    """A match of a filter in the gateway's listener for the contract's mirrors."""
    chain: JsonObject = {"filter": found}
    listener: JsonObject = {"filterChain": chain}
    # In the Gateway API the one listener of the port takes any server name.
    if route.contract.tls and route.api is RouteApi.ISTIO:
        chain["sni"] = str(route.contract.mirror_host)
    else:
        listener["portNumber"] = int(route.contract.port)
    return {"context": "GATEWAY", "listener": listener}


def _at_gateway(route: MirrorReceiverRoute, what: str, patches: list[JsonValue]) -> JsonObject:
    spec: JsonObject = {**selecting(route.gateway.labels), "configPatches": patches}
    return istio_object("EnvoyFilter", _name(route, what), str(route.gateway.namespace), spec)


def _name(route: MirrorReceiverRoute, what: str) -> str:
    return f"{route.namespace}-{route.name}-{what}"


def receiver_rate_limit(route: MirrorReceiverRoute) -> JsonObject | None:
    """Bounds how many copies come in a second; None when that is waived.

    Each pod of the gateway counts for itself, as its memory is all that Envoy's local limit has. The filter in the
    listener limits nothing by itself; the receiver's route, which is found by its name, tells it how many.
    Source: envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit.
    """
    if isinstance(route.max_per_second, Waiver):
        return None
    name = f"traffic-mirror.{_name(route, 'rate')}"
    counted: JsonObject = {"@type": f"type.googleapis.com/{_RATE_LIMIT}", "stat_prefix": name}
    always: JsonObject = {"default_value": {"numerator": 100}}
    limit: JsonObject = {
        **counted,
        "token_bucket": {
            "max_tokens": route.max_per_second,
            "tokens_per_fill": route.max_per_second,
            "fill_interval": "1s",
        },
        "filter_enabled": always,
        "filter_enforced": always,
        "rate_limited_as_resource_exhausted": True,
    }
    router: JsonObject = {"name": _CONNECTION_MANAGER, "subFilter": {"name": "envoy.filters.http.router"}}
    own = f"{route.namespace}.{route.name}"
    envoy_route = f"{own}.0" if route.api is RouteApi.GATEWAY else f"{own}.mirror"
    patches: list[JsonValue] = [
        {
            "applyTo": "HTTP_FILTER",
            "match": _where_mirrors_enter(route, router),
            "patch": {"operation": "INSERT_BEFORE", "value": {"name": name, "typed_config": counted}},
        },
        {
            "applyTo": "HTTP_ROUTE",
            "match": {"context": "GATEWAY", "routeConfiguration": {"vhost": {"route": {"name": envoy_route}}}},
            "patch": {"operation": "MERGE", "value": {"typed_per_filter_config": {name: limit}}},
        },
    ]
    return _at_gateway(route, "rate", patches)


def receiver_authorization(route: MirrorReceiverRoute) -> JsonObject | None:
    """Refuses (403) at the gateway what asks for the contract's hosts and is not from the contract's clients.

    Beside the listener's own check of certificates, because the route is bound to the gateway: whatever listener of
    it somebody enters by, with the host of a mirror they would reach the mirror's route. Istio compares names with
    ``spiffe://`` only; of others the listener checks the name, and the policy that this listener was used, by its
    server name.

    None without mutual TLS, which leaves nobody to name, and where the gateway's labels are not known: without them
    it would hold for every pod of the namespace, in the root namespace of the mesh.
    """
    contract = route.contract
    if contract.tls is None or contract.tls.mode is not TlsMode.MUTUAL or not route.gateway.labels:
        return None
    hosts: list[JsonValue] = [form for host in contract.accepted_hosts for form in (host, f"{host}:*")]
    asked: JsonObject = {"to": [{"operation": {"hosts": hosts}}]}
    names = contract.client_names
    known = bool(names) and all(name.startswith(SPIFFE) for name in names)
    clients = [name.removeprefix(SPIFFE) for name in names] if known else ["*"]
    rules: list[JsonValue] = [{"from": [{"source": {"notPrincipals": [*clients]}}], **asked}]
    if names and not known:
        rules.append({**asked, "when": [{"key": "connection.sni", "notValues": [str(contract.mirror_host)]}]})
    spec: JsonObject = {"selector": {"matchLabels": {**route.gateway.labels}}, "action": "DENY", "rules": rules}
    rendered = istio_object("AuthorizationPolicy", _name(route, "clients"), str(route.gateway.namespace), spec)
    return {**rendered, "apiVersion": "security.istio.io/v1"}


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
