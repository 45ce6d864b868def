"""Gateways and routes of the Gateway API, for clusters whose routing is written in it.

A RequestMirror copies and can do no more: what a copy must lose and what ends it is left to an overlay's patch, to the
receiver, or to the route's timeout, as :meth:`MirroredRoute.guards` tells.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Final

from ..errors import ValidationError
from ..jsontypes import JsonObject, JsonValue
from ..matching import HeaderMatch, HeaderTest, Selection
from ..mirror_checks import UPGRADE_HEADER
from ..mirrored_route import MirroredRoute
from ..mirrors import InClusterMirror, Mirror
from ..receiver import GatewayServer, MirrorReceiverRoute
from ..routing import CLUSTER_DOMAIN, Destination, GatewayRef, service_host
from ..safety import Scrub
from ..values import Percent, Protocol
from .envoy_filter import brake_patches, placed_filter
from .objects import compact, istio_object
from .overlay import overlay_filters
from .plans import mirror_combinations
from .receiver import receiver_notes
from .virtual_service import mirror_notes

GROUP: Final = "gateway.networking.k8s.io"
API: Final = f"{GROUP}/v1"
GRANT_API: Final = f"{GROUP}/v1beta1"
"""Of ReferenceGrant, which has a later version only in the newest releases of the Gateway API."""

CLASS: Final = "istio"
TERMINATE_MODE: Final = "gateway.istio.io/tls-terminate-mode"
"""Option of a listener's TLS that asks for certificates of clients. Source: Istio's pilot, gatewaycommon."""

MAX_RULES: Final = 16
MAX_MATCHES: Final = 64
MAX_HEADERS: Final = 16
"""Of one route, one rule, and one filter in it. Source: the CRDs of the Gateway API."""

_PRESENT: Final = ".*"
_SOME: Final = ".+"


def _object(
    kind: str, name: str, namespace: str, spec: JsonObject, annotations: JsonObject | None = None
) -> JsonObject:
    return {**istio_object(kind, name, namespace, spec, annotations), "apiVersion": API}


def native_gateway(ref: GatewayRef, servers: Sequence[GatewayServer], revision: str = "") -> JsonObject:
    """A Gateway for pods that are there, behind the Service of its own name.

    With TLS one listener takes every host of a port: the server name of a copy is the contract's, its authority the
    client's, and Istio would look for the authority among the routes of the listener that the server name picked.

    Args:
        ref: Its name.
        servers: What it listens for.
        revision: Revision of the control plane; istiod of a revision takes gateways that name it.

    Raises:
        ValidationError: One port is to have two certificates, or plain text and TLS.
    """
    encrypted: dict[int, GatewayServer] = {}
    listeners: list[JsonValue] = []
    for index, server in enumerate(servers):
        port = int(server.port)
        other = encrypted.setdefault(port, server)
        if (other.tls, other.credential) != (server.tls, server.credential):
            raise ValidationError(
                field=f"servers[{index}]",
                value=f"port {port}",
                rule="must have the TLS mode and credential of the other servers of its port in the Gateway API",
                remedy="Use another port",
            )
        if server.tls is None:
            listeners += [_listener(server, str(host), f"http-{port}-{host}") for host in dict.fromkeys(server.hosts)]
        elif other is server:
            listeners.append(_listener(server, "", f"https-{port}"))
    spec: JsonObject = {
        "gatewayClassName": CLASS,
        "addresses": [{"type": "Hostname", "value": service_host(ref.name, ref.namespace)}],
        "listeners": listeners,
    }
    rendered = _object("Gateway", ref.name, ref.namespace, spec)
    if revision:
        rendered["metadata"] = {"name": ref.name, "namespace": ref.namespace, "labels": {"istio.io/rev": revision}}
    return rendered


def _listener(server: GatewayServer, host: str, name: str) -> JsonObject:
    tls: JsonObject = {}
    if server.tls:
        options = {TERMINATE_MODE: "MUTUAL"} if server.tls.value == "MUTUAL" else {}
        tls = {"mode": "Terminate", "certificateRefs": [{"name": server.credential}], **compact({"options": options})}
    return compact(
        {
            "name": name[:253],
            "hostname": host,
            "port": int(server.port),
            "protocol": "HTTPS" if server.tls else "HTTP",
            "tls": tls,
            "allowedRoutes": {"namespaces": {"from": "All"}},
        }
    )


def native_routes(route: MirroredRoute) -> list[JsonObject]:
    """The routes of a service: one for its gateway, one for callers inside the mesh."""
    found: list[JsonObject] = []
    if route.gateway:
        parent: JsonObject = {
            "name": str(route.gateway.name),
            "namespace": str(route.gateway.namespace),
            "port": int(route.port),
        }
        reach: JsonObject = {"parentRefs": [parent], "hostnames": [str(host) for host in route.hosts]}
        found.append(_route(route, str(route.name), reach, route.native))
    if route.mesh:
        service, _, _ = str(route.primary.host).partition(".")
        parent = {"group": "", "kind": "Service", "name": service, "port": int(route.primary.port)}
        inside = [mirror for mirror in route.native if isinstance(mirror, InClusterMirror)]
        name = f"{route.name}-mesh" if route.gateway else str(route.name)
        found.append(_route(route, name, {"parentRefs": [parent]}, inside))
    return found


def _kind(protocol: Protocol) -> str:
    return "GRPCRoute" if protocol is Protocol.GRPC else "HTTPRoute"


def _route(route: MirroredRoute, name: str, reach: JsonObject, mirrors: Sequence[Mirror]) -> JsonObject:
    rules = _rules(route, mirrors)
    counts = [len(matches) for rule in rules if isinstance(matches := rule.get("matches"), list)]
    if len(rules) > MAX_RULES or any(count > MAX_MATCHES for count in counts):
        raise ValidationError(
            field="mirrors",
            value=f"{len(rules)} rules, {max(counts)} matches",
            rule=f"must fit into a route of the Gateway API: {MAX_RULES} rules with {MAX_MATCHES} matches each",
            remedy="Let mirrors share a match, or use api='istio'",
        )
    spec: JsonObject = {**reach, "rules": [*rules]}
    return _object(_kind(route.protocol), name, str(route.namespace), spec, mirror_notes(mirrors, route.primary))


def _rules(route: MirroredRoute, mirrors: Sequence[Mirror]) -> list[JsonObject]:
    """Guard, mirrored requests, the rest: proxies try matches by path, method and number of headers, then in order.

    So each match of a mirror has a guard of the same path and method and one header more.
    """
    common: JsonObject = {"filters": _header_filters(route), "backendRefs": [_backend(route.primary, route.namespace)]}
    if route.timeout_seconds:
        common["timeouts"] = {"request": _duration(route.timeout_seconds)}
    guard: list[JsonValue] = []
    mirrored: list[JsonObject] = []
    for selection, chosen in mirror_combinations(mirrors, route.protocol):
        matches = _matches(selection, route.protocol)
        for match in matches or [{}]:
            guard += _guards(match, selection, mirrors)
        copies: list[JsonValue] = [_mirror_filter(mirror, route) for mirror in chosen if mirror.percent > 0]
        filters: list[JsonValue] = [*_header_filters(route), *copies]
        mirrored.append(compact({"matches": [*matches], **common, "filters": filters}))
    rules = [compact({"matches": guard, **common}), *mirrored] if mirrored else []
    if not mirrored or "matches" in mirrored[-1]:
        rules.append(compact(common))
    return rules


def _guards(match: JsonObject, selection: Selection, mirrors: Iterable[Mirror]) -> Iterator[JsonValue]:
    marks = dict.fromkeys(str(each.scrub.mark_header) for each in mirrors if isinstance(each.scrub, Scrub))
    tests = dict.fromkeys(marks or {Scrub().mark_header: None}, _PRESENT)
    if not selection.upgrades:
        tests[UPGRADE_HEADER] = _SOME
    own = match.get("headers")
    headers: list[JsonValue] = own if isinstance(own, list) else []
    for name, value in tests.items():
        yield {**match, "headers": [*headers, {"type": "RegularExpression", "name": name, "value": value}]}


def _matches(selection: Selection, protocol: Protocol) -> list[JsonObject]:
    """The Gateway API's matches for a selection; none for every request."""
    match = selection.match
    if match is None:
        return []
    headers: list[JsonValue] = [_header(each) for each in match.headers]
    if protocol is Protocol.GRPC:
        rpcs = [path[1:].split("/") for path in match.rpc_paths] or [None]
        methods = [{"type": "Exact", "service": rpc[0], "method": rpc[1]} if rpc else None for rpc in rpcs]
        return [compact({"method": method, "headers": headers}) for method in methods]
    paths: list[JsonObject | None] = [
        {"type": "PathPrefix" if test.below else "Exact", "value": test.path} for test in match.path_tests
    ]
    return [
        compact({"path": path, "method": method, "headers": headers})
        for path, method in product(paths or [None], match.http_methods or (None,))
    ]


def _header(header: HeaderMatch) -> JsonObject:
    if header.test is HeaderTest.EXACT:
        return {"type": "Exact", "name": header.name, "value": header.value}
    value = {
        HeaderTest.PRESENT: _PRESENT,
        HeaderTest.REGEX: header.value,
        HeaderTest.PREFIX: f"{_quoted(header.value)}.*",
    }[header.test]
    return {"type": "RegularExpression", "name": header.name, "value": value}


def _quoted(text: str) -> str:
    """A text as a regular expression that it alone satisfies; RE2 takes a backslash before any punctuation."""
    return "".join(char if char.isalnum() or char in "-_/" else f"\\{char}" for char in text)


def _mirror_filter(mirror: Mirror, route: MirroredRoute) -> JsonObject:
    share: JsonObject = {"numerator": Percent(mirror.percent).per_million, "denominator": 1_000_000}
    backend = _backend(mirror.destination(route.primary), route.namespace)
    return {"type": "RequestMirror", "requestMirror": {"backendRef": backend, "fraction": share}}


def _backend(target: Destination, namespace: str) -> JsonObject:
    name, _, rest = str(target.host).partition(".")
    service, port = rest.removesuffix(f".svc.{CLUSTER_DOMAIN}"), int(target.port)
    if service == rest:
        return {"group": "networking.istio.io", "kind": "Hostname", "name": str(target.host), "port": port}
    return {"name": name, **({"namespace": service} if service != namespace else {}), "port": port}


def _header_filters(route: MirroredRoute) -> list[JsonValue]:
    rules = route.headers
    request = _modifier("RequestHeaderModifier", rules.request_set, rules.request_add, rules.request_remove)
    response = _modifier("ResponseHeaderModifier", rules.response_set, rules.response_add, rules.response_remove)
    return [each for each in (request, response) if each]


def _modifier(kind: str, put: Mapping[str, str], add: Mapping[str, str], remove: Sequence[str]) -> JsonObject | None:
    if max(len(put), len(add), len(remove)) > MAX_HEADERS:
        raise ValidationError(
            field="headers",
            value=f"{max(len(put), len(add), len(remove))} headers",
            rule=f"may hold at most {MAX_HEADERS} headers of one kind in the Gateway API",
            remedy="Name fewer, or use api='istio'",
        )
    values = compact(
        {
            "set": [{"name": name, "value": value} for name, value in put.items()],
            "add": [{"name": name, "value": value} for name, value in add.items()],
            "remove": [str(name) for name in remove],
        }
    )
    return {"type": kind, f"{kind[0].lower()}{kind[1:]}": values} if values else None


def _duration(seconds: float) -> str:
    """The Gateway API's form of a duration, which has no fractions."""
    whole, rest = divmod(round(seconds * 1000), 1000)
    return (f"{whole}s" if whole else "") + (f"{rest}ms" if rest else "")


def native_filter(route: MirroredRoute) -> JsonObject | None:
    """What no route of the Gateway API can say: the overlay of the mirrors that need one, and the others' brakes.

    It is for the rules of the service's own routes by their names: while routes of Istio's kinds make room for these,
    or the other way round, both are there, and what the others mirror must not be copied twice.
    """
    overlay = route.overlay
    hung = next(iter(overlay_filters(overlay).values())) if overlay else None
    patches: list[JsonValue] = []
    if route.istio.patches_all("CLUSTER"):
        patches = [patch for mirror in route.native for patch in brake_patches(route, mirror)]
    if hung is None:
        return placed_filter(route, patches) if patches else None
    spec = hung["spec"]
    own = spec.get("configPatches") if isinstance(spec, dict) else None
    if isinstance(spec, dict) and isinstance(own, list):
        return {**hung, "spec": {**spec, "configPatches": [*_for_rules(own, _rule_names(route)), *patches]}}
    return hung


def _rule_names(route: MirroredRoute) -> dict[str, list[str]]:
    """Names that proxies have for the rules of a service's routes, by the context of their patches.

    Source: the names that Istio's pilot gives rules without one; held against istiod.
    """
    contexts = ["GATEWAY"] if route.gateway else []
    contexts += ["SIDECAR_OUTBOUND"] if route.mesh else []
    found: dict[str, list[str]] = {}
    for context, each in zip(contexts, native_routes(route), strict=True):
        metadata, spec = each["metadata"], each["spec"]
        rules = spec.get("rules") if isinstance(spec, dict) else None
        name = metadata["name"] if isinstance(metadata, dict) else ""
        count = len(rules) if isinstance(rules, list) else 0
        found[context] = [f"{route.namespace}.{name}.{index}" for index in range(count)]
    return found


def _for_rules(patches: Iterable[JsonValue], names: Mapping[str, Sequence[str]]) -> Iterator[JsonValue]:
    """Patches of every forwarding route of a virtual host, as patches of the routes with these names."""
    for patch in patches:
        match = patch["match"] if isinstance(patch, dict) else None
        if not isinstance(patch, dict) or not isinstance(match, dict) or patch["applyTo"] != "HTTP_ROUTE":
            yield patch
            continue
        within = match["routeConfiguration"]
        host = within["vhost"] if isinstance(within, dict) else None
        chosen = host["route"] if isinstance(host, dict) else None
        if isinstance(host, dict) and isinstance(chosen, dict):
            for name in names[str(match["context"])]:
                named: JsonObject = {"vhost": {**host, "route": {"name": name, **chosen}}}
                yield {**patch, "match": {**match, "routeConfiguration": named}}


def reference_grants(
    name: str, namespace: str, protocol: Protocol, targets: Iterable[Destination]
) -> dict[str, JsonObject]:
    """By namespace, what lets a route name Services of other namespaces."""
    services: dict[str, list[str]] = {}
    for target in targets:
        service, _, rest = str(target.host).partition(".")
        home = rest.removesuffix(f".svc.{CLUSTER_DOMAIN}")
        if home not in (rest, namespace):
            services.setdefault(home, []).append(service)
    grants: dict[str, JsonObject] = {}
    for home, names in services.items():
        spec: JsonObject = {
            "from": [{"group": GROUP, "kind": _kind(protocol), "namespace": namespace}],
            "to": [{"group": "", "kind": "Service", "name": each} for each in names],
        }
        grants[home] = {**_object("ReferenceGrant", f"{namespace}-{name}", home, spec), "apiVersion": GRANT_API}
    return grants


def native_receiver(route: MirrorReceiverRoute) -> JsonObject:
    """Accepts both authority forms and scrubs; a mirror of a mirror is answered 500, as the API has no other answer.

    Raises:
        ValidationError: More headers come off than a rule and its backend can name.
    """
    contract, scrub = route.contract, route.contract.scrub
    backend = _backend(route.service, str(route.namespace))
    rules: list[JsonValue] = []
    if isinstance(scrub, Scrub):
        mark, value = str(scrub.mark_header), scrub.mark_value
        first, rest = scrub.headers[:MAX_HEADERS], scrub.headers[MAX_HEADERS:]
        if len(rest) > MAX_HEADERS:
            raise ValidationError(
                field="contract.scrub.extra_headers",
                value=f"{len(scrub.headers)} headers",
                rule=f"may hold at most {2 * MAX_HEADERS} headers at a receiver in the Gateway API",
                remedy="Use api='istio' for the receiver; the contract stays the same",
            )
        filters = [_modifier("RequestHeaderModifier", {mark: value}, {}, first)]
        backend = {**backend, "filters": [_modifier("RequestHeaderModifier", {}, {}, rest)]}
        marked: JsonObject = {"headers": [{"type": "Exact", "name": mark, "value": value}]}
        foreign: JsonObject = {"headers": [{"type": "RegularExpression", "name": mark, "value": _PRESENT}]}
        rules.append({"matches": [marked, {}], "filters": [*filters], "backendRefs": [backend]})
        rules.append({"matches": [foreign]})
    else:
        rules.append({"backendRefs": [backend]})
    parent: JsonObject = {
        "name": str(route.gateway.name),
        "namespace": str(route.gateway.namespace),
        "port": int(contract.port),
    }
    spec: JsonObject = {"parentRefs": [parent], "hostnames": list(contract.accepted_hosts), "rules": rules}
    return _object(_kind(contract.protocol), str(route.name), str(route.namespace), spec, receiver_notes(route))
