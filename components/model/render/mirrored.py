"""Mirrors in the spec of a VirtualService of one's own: each forwarding entry is preceded by copies of itself.

Matches stay Istio's own, so no request meets a header more; only bound and scrub need an EnvoyFilter.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, cast

from ..checks import instance
from ..contract import MirrorOffer
from ..errors import ValidationError
from ..guards import check_guards, guards, scrubs_by_cluster
from ..jsontypes import JsonObject, JsonValue
from ..mirror_checks import all_mirrors, check_beside, check_contract, check_distinct, check_selection
from ..mirrored_spec import MirroredSpec, SpecOf
from ..mirrors import CrossClusterMirror, InClusterMirror, Mirror
from ..routing import CLUSTER_DOMAIN, Destination, cluster_name, service_host
from ..safety import Scrub, Waiver
from ..values import Percent
from .destinations import external_entry, own_rule
from .envoy_filter import cluster_options, mirror_policy
from .joining import joined_matches
from .mirrored_native import mirrored_native
from .objects import ANY_VALUE, compact, destination, istio_object, mirror_object_name
from .plans import match_conditions, mirror_combinations
from .virtual_service import mirror_notes

GUARD: Final = "guard"
"""End of the names of entries that take what carries a mark."""

FLAGGER_ENDS: Final = ("-canary", "-primary")
"""Ends of the names of the Services that Flagger makes and routes between."""


def mirrored(
    spec: Mapping[str, JsonValue],
    mirrors: Sequence[Mirror],
    *,
    at: SpecOf,
    offers: Mapping[str, MirrorOffer] | None = None,
) -> MirroredSpec:
    """Put mirrors into a VirtualService's spec, or beside that of an HTTPRoute or GRPCRoute.

    Every entry that forwards is preceded by copies of itself: one that takes what carries a mark and mirrors nothing,
    and one for each set of mirrors that a request can match. All else of the entry is in its copies: weights, retries,
    timeouts, rewrites. It gets a name if it has none. The spec of an HTTPRoute or GRPCRoute comes back as it is, and
    the EnvoyFilter makes the mirrors on the hosts and Services that it names, like a ``MirrorOverlay``.

    Args:
        spec: The route's spec; it is not changed.
        mirrors: Who gets copies; a Service of its own or another cluster, no subset.
        at: Which route it is, and before which control plane.
        offers: By the mirror's name what other clusters offer; read it with ``MirrorOffer.accept``.

    Raises:
        ValidationError: An argument is of another type, a mirror does not fit the spec, or the spec is one that mirrors
            cannot be put into: an entry that delegates, a condition that cannot be combined with a mirror's, or routes
            that Flagger writes.
    """
    instance(spec, Mapping, field="spec")
    instance(at, SpecOf, field="at")
    instance(offers, Mapping, field="offers", optional=True)
    for name, offer in (offers or {}).items():
        instance(offer, MirrorOffer, field=f"offers.{name}")
    mirrors = all_mirrors(mirrors)
    if spec.get("rules") and not spec.get("http"):
        return mirrored_native(spec, mirrors, at=at, offers=offers or {})
    entries = _entries(spec, at)
    _check_mirrors(spec, entries, mirrors, at, offers or {})
    written: list[JsonValue] = []
    mirroring: dict[str, tuple[JsonObject, Sequence[Mirror]]] = {}
    names: list[str] = []
    for index, entry in enumerate(entries):
        split = _split(entry, index, mirrors, at) if _is_chosen(entry, at) else [(entry, ())]
        for each, chosen in split:
            written.append(each)
            if chosen:
                mirroring[str(each["name"])] = (each, chosen)
            if len(split) > 1:
                names.append(str(each["name"]))
    bounded = _all_bounded(entries, at)
    objects = [*_helpers(mirrors, at, offers or {}), *_filter(spec, mirroring, mirrors, at)]
    return MirroredSpec(
        spec={**spec, "http": written},
        objects=tuple(objects),
        routes=tuple(names),
        annotations=mirror_notes(mirrors),
        guards={str(each.name): guards(each, at.istio, at.protocol, timeout=bounded) for each in mirrors},
    )


def _entries(spec: Mapping[str, JsonValue], at: SpecOf) -> list[JsonObject]:
    for key, kind in (("tcp", "TCP routes"), ("tls", "TLS routes")):
        if spec.get(key) and not spec.get("http"):
            raise ValidationError(
                field=f"spec.{key}",
                value="(given)",
                rule=f"cannot hold guarded mirrors: {kind} have no condition that leaves out what carries a mark",
                remedy="Mirror HTTP or gRPC routes",
            )
    http = spec.get("http")
    if not isinstance(http, list) or not http or not all(isinstance(entry, dict) for entry in http):
        raise ValidationError(
            field="spec.http",
            value=None if http is None else f"({type(http).__name__})",
            rule="must be a non-empty list of routes",
            remedy="Pass the spec of a VirtualService for HTTP or gRPC",
        )
    entries = [cast("JsonObject", entry) for entry in http]
    known = [str(entry.get("name", "")) for entry in entries]
    for index, name in enumerate(at.entries):
        if name not in known:
            raise ValidationError(
                field=f"at.entries[{index}]",
                value=name,
                rule="must be the name of an entry of the spec",
                remedy=f"Name one of {', '.join(filter(None, known)) or 'them'}",
            )
    return entries


def _is_chosen(entry: JsonObject, at: SpecOf) -> bool:
    if at.entries and str(entry.get("name", "")) not in at.entries:
        return False
    if "delegate" in entry:
        raise ValidationError(
            field="spec.http.delegate",
            value=str(entry.get("name", "")) or "(no name)",
            rule="hands requests to another VirtualService, whose own entries would be mirrored",
            remedy="Put the mirrors into the delegate's spec, or hang a MirrorOverlay on the hosts",
        )
    return bool(entry.get("route"))


def _split(
    entry: JsonObject, index: int, mirrors: Sequence[Mirror], at: SpecOf
) -> list[tuple[JsonObject, Sequence[Mirror]]]:
    """An entry with its copies before it, and what each of them mirrors to."""
    name = str(entry.get("name") or f"{at.namespace}.{at.name}.{index}")
    matches = _matches(entry, index)
    found: list[tuple[JsonObject, Sequence[Mirror]]] = []
    for number, (selection, chosen) in enumerate(mirror_combinations(mirrors, at.protocol)):
        field = f"spec.http[{index}].match"
        conditions = match_conditions(selection, {}) or [{}]
        joined = joined_matches(matches, conditions, field)
        if joined:
            found.append((_copy(entry, f"{name}.mirrored-{number}", joined, chosen), chosen))
    if not found:
        return [(entry, ())]
    marks: list[JsonObject] = [{"headers": {mark: ANY_VALUE}} for mark in _marks(mirrors)]
    guard = _copy(entry, f"{name}.{GUARD}", joined_matches(matches, marks, f"spec.http[{index}].match"), ())
    return [(guard, ()), *found, ({**entry, "name": name}, ())]


def _matches(entry: JsonObject, index: int) -> list[JsonObject]:
    given = entry.get("match") or [{}]
    if not isinstance(given, list) or not all(isinstance(match, dict) for match in given):
        raise ValidationError(
            field=f"spec.http[{index}].match",
            value=f"({type(given).__name__})",
            rule="must be a list of matches",
            remedy="Write it as Istio's HTTPMatchRequests",
        )
    return [cast("JsonObject", match) for match in given]


def _copy(entry: JsonObject, name: str, matches: Sequence[JsonObject], mirrors: Sequence[Mirror]) -> JsonObject:
    """A copy of an entry under another name; Istio refuses its two ways of naming mirrors side by side."""
    single = ("mirror", "mirrorPercentage", "mirror_percent", "mirrorPercent")
    rest = {key: value for key, value in entry.items() if key not in ("name", "match", "mirrors", *single)}
    native: list[JsonValue] = [
        {"destination": destination(mirror.destination()), "percentage": {"value": float(mirror.percent)}}
        for mirror in mirrors
        if mirror.percent > 0
    ]
    taken: list[JsonValue] = [] if list(matches) == [{}] else list(matches)
    return {"name": name, **compact({"match": taken}), **rest, **compact({"mirrors": [*_theirs(entry), *native]})}


def _theirs(entry: JsonObject) -> list[JsonObject]:
    """The owner's own mirrors of an entry, in the form of a list."""
    listed = entry.get("mirrors")
    found = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    if "mirror" in entry:
        share = entry.get("mirrorPercentage")
        whole = entry.get("mirrorPercent", entry.get("mirror_percent"))
        found.append(
            compact(
                {
                    "destination": entry["mirror"],
                    "percentage": share if share is not None else {"value": whole} if whole is not None else None,
                }
            )
        )
    return found


def _marks(mirrors: Sequence[Mirror]) -> list[str]:
    marks = [str(mirror.scrub.mark_header) for mirror in mirrors if isinstance(mirror.scrub, Scrub)]
    return list(dict.fromkeys(marks)) or [Scrub().mark_header]


def _destinations(entries: Sequence[JsonObject]) -> Iterator[tuple[str, JsonObject]]:
    for index, entry in enumerate(entries):
        routes = entry.get("route")
        for place, each in enumerate(routes if isinstance(routes, list) else ()):
            target = each.get("destination") if isinstance(each, dict) else None
            if isinstance(target, dict):
                yield f"spec.http[{index}].route[{place}].destination", target


def _host(target: Mapping[str, JsonValue], namespace: str) -> str:
    host = str(target.get("host", ""))
    return host if "." in host else service_host(host, namespace)


def _check_mirrors(
    spec: Mapping[str, JsonValue],
    entries: Sequence[JsonObject],
    mirrors: Sequence[Mirror],
    at: SpecOf,
    offers: Mapping[str, MirrorOffer],
) -> None:
    targets, bounded = list(_destinations(entries)), _all_bounded(entries, at)
    check_distinct(mirrors, at.protocol)
    _refuse_flagger(targets, at)
    for index, mirror in enumerate(mirrors):
        try:
            check_selection(mirror, at.protocol)
            check_guards(mirror, at.istio, at.protocol, timeout=bounded)
            check_beside(mirror, mirrors[:index], mirror.destination(), at.protocol)
            if isinstance(mirror, CrossClusterMirror):
                _check_across(mirror, spec, at, offers)
            _refuse_destination(mirror.destination(), targets, at)
        except ValidationError as error:
            raise error.within(f"mirrors[{index}]") from None


def _all_bounded(entries: Sequence[JsonObject], at: SpecOf) -> bool:
    """Whether every entry that is mirrored has a timeout, which its copies share."""
    return all(entry.get("timeout") not in (None, "", "0s") for entry in entries if _is_chosen(entry, at))


def _check_across(
    mirror: CrossClusterMirror, spec: Mapping[str, JsonValue], at: SpecOf, offers: Mapping[str, MirrorOffer]
) -> None:
    if _reach(spec) != (True, False):
        raise ValidationError(
            field="contract",
            value=mirror.contract.receiver,
            rule="needs a VirtualService for gateways alone, whose authorities the receiver accepts",
            remedy="Give callers inside the mesh a VirtualService of their own, or hang a MirrorOverlay on the hosts",
        )
    if str(mirror.name) not in offers:
        raise ValidationError(
            field="offer",
            value=None,
            rule="must be given for a mirror to another cluster",
            remedy=f"Pass offers={{{str(mirror.name)!r}: MirrorOffer.accept(…)}}",
        )
    hosts = spec.get("hosts")
    named = [str(host) for host in hosts] if isinstance(hosts, list) else []
    client = [host for host in named if not host.endswith(f".svc.{CLUSTER_DOMAIN}")]
    check_contract(mirror.contract, hosts=client, port=None, protocol=at.protocol)


def _refuse_destination(target: Destination, targets: Sequence[tuple[str, JsonObject]], at: SpecOf) -> None:
    for path, other in targets:
        subset = other.get("subset")
        if _host(other, str(at.namespace)) == target.host and subset in (None, target.subset):
            raise ValidationError(
                field="service",
                value=target.cluster_name,
                rule=f"must be no destination of the route ({path}), whatever its weight: bound, limits and scrub of"
                " copies would meet the requests that clients wait for",
                remedy="Give the mirror a Service of its own on the same pods",
            )


def _refuse_flagger(targets: Sequence[tuple[str, JsonObject]], at: SpecOf) -> None:
    hosts = {path: _host(target, str(at.namespace)).partition(".")[0] for path, target in targets}
    for path, name in hosts.items():
        stem = next((name.removesuffix(end) for end in FLAGGER_ENDS if name.endswith(end)), "")
        if stem and {f"{stem}{end}" for end in FLAGGER_ENDS} <= set(hosts.values()):
            raise ValidationError(
                field=f"{path}.host",
                value=name,
                rule="is routed by Flagger, which writes the VirtualService anew and drops mirrors of others",
                remedy="Turn the Canary's own mirror off, and hang a MirrorOverlay on the host, to a Service of its own"
                " on the canary's pods",
            )


def _reach(spec: Mapping[str, JsonValue]) -> tuple[bool, bool]:
    """Whether gateways and sidecars take the routes."""
    given = spec.get("gateways")
    gateways = [str(each) for each in given] if isinstance(given, list) and given else ["mesh"]
    return any(each != "mesh" for each in gateways), "mesh" in gateways


def _helpers(mirrors: Sequence[Mirror], at: SpecOf, offers: Mapping[str, MirrorOffer]) -> Iterator[JsonObject]:
    name, namespace = str(at.name), str(at.namespace)
    for mirror in mirrors:
        if isinstance(mirror, CrossClusterMirror):
            offer = offers[str(mirror.name)]
            yield external_entry(mirror_object_name(name, mirror), namespace, mirror, offer, ["*"])
        yield from own_rule(mirror, mirror.destination(), name, namespace)


def _filter(
    spec: Mapping[str, JsonValue],
    mirroring: Mapping[str, tuple[JsonObject, Sequence[Mirror]]],
    mirrors: Sequence[Mirror],
    at: SpecOf,
) -> Iterator[JsonObject]:
    gateways, sidecars = _reach(spec)
    contexts = [name for name, taken in (("GATEWAY", gateways), ("SIDECAR_OUTBOUND", sidecars)) if taken]
    patches: list[JsonValue] = []
    for context in contexts:
        for mirror in mirrors if at.istio.patches_all("CLUSTER") else ():
            patches += _brakes(mirror, context, at)
        if at.istio.scrubs_at_source:
            for entry, chosen in mirroring.values():
                patches += _scrubs(entry, chosen, context, at)
    if patches:
        name = f"{at.namespace}-{at.name}-mirrors"
        yield istio_object("EnvoyFilter", name, str(at.root_namespace), {"configPatches": patches})


def _brakes(mirror: Mirror, context: str, at: SpecOf) -> Iterator[JsonObject]:
    scrub = mirror.scrub if scrubs_by_cluster(mirror, at.istio) else None
    unbound = isinstance(mirror.brakes, Waiver) and scrub is None
    if unbound or (context != "GATEWAY" and not isinstance(mirror, InClusterMirror)):
        return
    yield {
        "applyTo": "CLUSTER",
        "match": {"context": context, "cluster": {"name": mirror.destination().cluster_name}},
        "patch": {"operation": "MERGE", "value": cluster_options(mirror.brakes, at.protocol, scrub)},
    }


def _scrubs(entry: JsonObject, mirrors: Sequence[Mirror], context: str, at: SpecOf) -> Iterator[JsonObject]:
    """The list of mirrors with the scrub, in place of Istio's; the owner's own are in it as they were."""
    if not any(isinstance(mirror.scrub, Scrub) for mirror in mirrors):
        return
    ours = len([mirror for mirror in mirrors if mirror.percent > 0])
    listed = _theirs(entry)
    policies: list[JsonValue] = [_their_policy(each, at) for each in listed[: len(listed) - ours]]
    policies += [mirror_policy(mirror, mirror.destination(), at.istio) for mirror in mirrors]
    for name in _envoy_names(entry):
        yield {
            "applyTo": "HTTP_ROUTE",
            "match": {"context": context, "routeConfiguration": {"vhost": {"route": {"name": name}}}},
            "patch": {
                "operation": "MERGE_AND_REPLACE_LIST",
                "value": {"route": {"request_mirror_policies": policies}},
            },
        }


def _envoy_names(entry: JsonObject) -> list[str]:
    """Names of Envoy's routes of an entry: a match with a name of its own adds it. Source: Istio's TranslateRoute."""
    matches = entry.get("match")
    named = (
        [str(match.get("name") or "") for match in matches if isinstance(match, dict)]
        if isinstance(matches, list)
        else [""]
    )
    return list(dict.fromkeys(f"{entry['name']}.{name}" if name else str(entry["name"]) for name in named))


def _their_policy(mirror: JsonObject, at: SpecOf) -> JsonObject:
    target, share = mirror.get("destination"), mirror.get("percentage")
    port = target.get("port") if isinstance(target, dict) else None
    number = port.get("number") if isinstance(port, dict) else None
    value = share.get("value", 0) if isinstance(share, dict) else 100
    if not isinstance(target, dict) or not isinstance(number, int) or not isinstance(value, int | float):
        raise ValidationError(
            field="spec.http.mirrors",
            value=str(target),
            rule="must give host and port of the mirrors that the spec has already, which are repeated for the scrub",
            remedy="Add port.number to their destinations",
        )
    host, subset = _host(target, str(at.namespace)), target.get("subset") or ""
    return {
        "cluster": cluster_name(host, number, str(subset)),
        "runtime_fraction": {
            "default_value": {"numerator": Percent(value, field="percentage").per_million, "denominator": "MILLION"}
        },
        "trace_sampled": False,
        **compact({"disable_shadow_host_suffix_append": at.istio.authority_mode.value == "preserved" or None}),
    }
