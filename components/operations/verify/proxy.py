"""What a proxy really has: its routes, clusters, listeners and secrets, from Envoy's admin page ``/config_dump``."""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from ...model.rules import Node
from ...model.rules.envoy import HTTP_OPTIONS
from ...model.rules.envoy import MirrorPolicy as RenderedPolicy
from ..errors import OperationError


@dataclass(frozen=True, kw_only=True)
class MirrorPolicy:
    """One entry of a route's ``request_mirror_policies``."""

    cluster: str
    percent: float
    suffixed: bool
    """Whether the proxy appends ``-shadow`` to the authority of a copy."""

    removed: frozenset[str] = frozenset()
    """Headers that it takes off the copy."""

    added: Mapping[str, str] = field(default_factory=dict[str, str])
    """Headers that it sets on the copy."""


@dataclass(frozen=True, kw_only=True)
class RouteView:
    """The route that takes a request."""

    name: str
    cluster: str
    """Cluster that answers; empty for none."""

    policies: tuple[MirrorPolicy, ...]


@dataclass(frozen=True, kw_only=True)
class ClusterView:
    """How a proxy reaches one cluster."""

    http2: bool
    """Whether it speaks HTTP/2 there."""

    tls: bool = False
    sni: str = ""
    names: tuple[str, ...] = ()
    """Names that the server's certificate must have one of; empty for any."""

    secrets: tuple[str, ...] = ()
    """Secrets that its TLS needs: certificates first, then authorities."""

    max_requests: int = 0
    """Requests in flight at most; 0 where it is not known."""


@dataclass(frozen=True, kw_only=True)
class Inlet:
    """One filter chain of a listener: what may connect, and which routes it meets."""

    port: int
    tls: bool
    server_names: tuple[str, ...]
    """Names that a TLS client must ask for; empty for any."""

    needs_certificate: bool
    secrets: tuple[str, ...]
    routes: str
    """Name of its route configuration."""

    logs: bool = False
    """Whether it keeps an access log."""


class ProxyView:
    """A proxy's configuration.

    Args:
        page: Text of the admin page; lines before the first brace, which agents may print, are skipped.

    Raises:
        OperationError: It is no such page.
    """

    def __init__(self, page: str) -> None:
        start = page.find("{") if page.startswith("{") else page.find("\n{") + 1
        try:
            self._dump = Node(json.loads(page[max(start, 0) :]))
        except ValueError:
            raise OperationError("A proxy's config_dump cannot be read", remedy="Look at the proxy's log") from None

    def _section(self, kind: str) -> Node:
        for config in self._dump["configs"].elements():
            if config["@type"].text().endswith(f".{kind}"):
                return config
        return Node(None)

    def route(
        self, authority: str, path: str, headers: Mapping[str, str], *, routes: str = "", method: str = "POST"
    ) -> RouteView | None:
        """The route that takes a request; None when none does.

        Args:
            authority: Its authority, with or without port.
            path: Its path.
            headers: Its other headers, names in lower case.
            routes: Name of the route configuration; empty for any.
            method: Its method.
        """
        request = {**headers, ":authority": authority, ":path": path, ":method": method}
        for config in self._route_configs():
            if routes and config["name"].text() != routes:
                continue
            host = _virtual_host(config, authority)
            if host is None:
                continue
            for route in host["routes"].elements():
                if _takes(route["match"], path, request):
                    return _route_view(route)
        return None

    def _route_configs(self) -> Iterator[Node]:
        for entry in self._section("RoutesConfigDump")["dynamic_route_configs"].elements():
            yield entry["route_config"]

    def domains(self, routes: str) -> tuple[str, ...]:
        """Hosts that a route configuration accepts."""
        return tuple(
            domain
            for config in self._route_configs()
            if config["name"].text() == routes
            for host in config["virtual_hosts"].elements()
            for domain in host["domains"].texts()
            # Istio's own catch-all answers 404.
            if host["name"].text() != "blackhole:80" and not host["name"].text().startswith("blackhole")
        )

    @cached_property
    def clusters(self) -> Mapping[str, ClusterView]:
        """Clusters that are in use, by name."""
        entries = self._section("ClustersConfigDump")["dynamic_active_clusters"].elements()
        return {entry["cluster"]["name"].text(): _cluster_view(entry["cluster"]) for entry in entries}

    @cached_property
    def inlets(self) -> tuple[Inlet, ...]:
        """Filter chains of all listeners in use."""
        return tuple(
            _inlet(listener["address"]["socket_address"]["port_value"].integer() or 0, chain)
            for entry in self._section("ListenersConfigDump")["dynamic_listeners"].elements()
            for listener in [entry["active_state"]["listener"]]
            for chain in listener["filter_chains"].elements()
        )

    @cached_property
    def secrets(self) -> Mapping[str, bytes]:
        """PEM text of the certificates that are loaded, by name of their secret; never a key."""
        found: dict[str, bytes] = {}
        for entry in self._section("SecretsConfigDump")["dynamic_active_secrets"].elements():
            secret = entry["secret"]
            for place in (secret["tls_certificate"]["certificate_chain"], secret["validation_context"]["trusted_ca"]):
                pem = _bytes(place)
                if pem:
                    found[entry["name"].text()] = pem
        return found


def _bytes(place: Node) -> bytes:
    try:
        return base64.b64decode(place["inline_bytes"].text()) or place["inline_string"].text().encode()
    except binascii.Error:
        return b""


def _virtual_host(config: Node, authority: str) -> Node | None:
    """The virtual host of an authority: an exact one, else the longest pattern. Istio ignores ports in hosts."""
    host = re.sub(r":\d+$", "", authority)
    best: tuple[int, Node] | None = None
    for candidate in config["virtual_hosts"].elements():
        for domain in candidate["domains"].texts():
            if domain in (authority, host):
                return candidate
            if domain.startswith("*") and host.endswith(domain[1:]) and (best is None or len(domain) > best[0]):
                best = (len(domain), candidate)
    return best[1] if best else None


def _takes(match: Node, path: str, request: Mapping[str, str]) -> bool:
    bare = path.partition("?")[0]
    if match["path"].given and match["path"].text() != bare:
        return False
    if match["prefix"].given and not path.startswith(match["prefix"].text()):
        return False
    separated = match["path_separated_prefix"].text()
    if separated and bare != separated and not bare.startswith(f"{separated}/"):
        return False
    if match["safe_regex"].given and not _matches_regex(match["safe_regex"], bare):
        return False
    return all(_header_fits(header, request) for header in match["headers"].elements())


def _header_fits(header: Node, request: Mapping[str, str]) -> bool:
    value = request.get(header["name"].text().lower())
    fits = value is not None and _text_fits(header, value)
    if value is None and header["present_match"].known is False:
        fits = True
    return fits != (header["invert_match"].known is True)


def _text_fits(header: Node, value: str) -> bool:
    if header["present_match"].given:
        return header["present_match"].known is True
    test = header["string_match"]
    if test["safe_regex"].given:
        return _matches_regex(test["safe_regex"], value)
    return (
        (not test["exact"].given or value == test["exact"].text())
        and (not test["prefix"].given or value.startswith(test["prefix"].text()))
        and (not test["suffix"].given or value.endswith(test["suffix"].text()))
        and (not test["contains"].given or test["contains"].text() in value)
    )


def _matches_regex(node: Node, value: str) -> bool:
    try:
        return re.fullmatch(node["regex"].text(), value) is not None
    except re.error:
        # What only RE2 understands may match.
        return True


def _route_view(route: Node) -> RouteView:
    action = route["route"]
    policies = tuple(_policy(entry) for entry in action["request_mirror_policies"].elements())
    cluster = action["cluster"].text() or action["weighted_clusters"]["clusters"].elements()[:1]
    if not isinstance(cluster, str):
        cluster = cluster[0]["name"].text() if cluster else ""
    return RouteView(name=route["name"].text(), cluster=cluster, policies=policies)


def _policy(entry: Node) -> MirrorPolicy:
    read = RenderedPolicy.of(entry)
    mutations = entry["request_headers_mutations"].elements()
    headers = [mutation["append"]["header"] for mutation in mutations if mutation["append"].given]
    return MirrorPolicy(
        cluster=read.cluster,
        percent=read.percent or 0.0,
        suffixed=entry["disable_shadow_host_suffix_append"].known is not True,
        removed=read.removed,
        added={header["key"].text().lower(): header["value"].text() for header in headers},
    )


def _cluster_view(cluster: Node) -> ClusterView:
    options = cluster["typed_extension_protocol_options"][HTTP_OPTIONS]
    explicit = options["explicit_http_config"]
    http2 = explicit["http2_protocol_options"].given or cluster["http2_protocol_options"].given
    tls = _tls_context(cluster)
    names = tls["common_tls_context"]["combined_validation_context"]["default_validation_context"]
    thresholds = cluster["circuit_breakers"]["thresholds"].elements()
    return ClusterView(
        # What is negotiated or copied from the client may be HTTP/2.
        http2=http2 or options["use_downstream_protocol_config"].given or options["auto_config"].given,
        tls=tls.given,
        sni=tls["sni"].text(),
        names=tuple(
            name
            for each in names["match_subject_alt_names"].elements()
            if (name := each["exact"].text() or each["suffix"].text())
        ),
        secrets=_secrets(tls),
        max_requests=(thresholds[0]["max_requests"].integer() or 0) if thresholds else 0,
    )


def _tls_context(holder: Node) -> Node:
    """The TLS settings of a cluster or filter chain; of several transport sockets that of the first with TLS."""
    sockets = [each["transport_socket"] for each in holder["transport_socket_matches"].elements()]
    for socket in (holder["transport_socket"], *sockets):
        if socket["typed_config"]["common_tls_context"].given:
            return socket["typed_config"]
    return Node(None)


def _secrets(tls: Node) -> tuple[str, ...]:
    common = tls["common_tls_context"]
    found = [each["name"].text() for each in common["tls_certificate_sds_secret_configs"].elements()]
    authorities = common["combined_validation_context"]["validation_context_sds_secret_config"]
    found.append((authorities if authorities.given else common["validation_context_sds_secret_config"])["name"].text())
    return tuple(name for name in found if name)


def _inlet(port: int, chain: Node) -> Inlet:
    tls = _tls_context(chain)
    routes = [entry["typed_config"]["rds"]["route_config_name"].text() for entry in chain["filters"].elements()]
    return Inlet(
        port=port,
        tls=tls.given,
        server_names=tuple(chain["filter_chain_match"]["server_names"].texts()),
        needs_certificate=tls["require_client_certificate"].known is True,
        secrets=_secrets(tls),
        routes=next((name for name in routes if name), ""),
        logs=any(entry["typed_config"]["access_log"].elements() for entry in chain["filters"].elements()),
    )


def read_refused_now(syncz: str) -> dict[str, tuple[str, ...]]:
    """Return proxies whose last configuration was not accepted, with its kinds, from istiod's ``/debug/syncz``."""
    start = syncz.find("[")
    try:
        proxies: object = json.loads(syncz[max(start, 0) :])
    except ValueError:
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for proxy in Node(proxies).elements():
        kinds = tuple(
            kind
            for kind in ("cluster", "listener", "route", "endpoint")
            if proxy[f"{kind}_sent"].text() and proxy[f"{kind}_sent"].text() != proxy[f"{kind}_acked"].text()
        )
        if kinds:
            found[proxy["proxy"].text()] = kinds
    return found
