"""Finding a mirror again in what istiod answers."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from ...model.rules import MirrorEntry, Route, Target
from ...model.rules.objects import NAMELESS
from .answers import Answer, ClusterFact, HostFact, MirrorFact, RouteFact, RoutesFact
from .question import Proxy, Question

LABEL: Final = "unnamed"
"""Begins the names that entries without one get, so that they can be found again; no filter is for such a name."""


_COUNT: Final = re.compile(r"\d+ errors? occurred:")
"""Heads a list of errors."""


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """A route entry as one proxy has it.

    Attributes:
        proxy: The proxy.
        config: The route configuration.
        host: The virtual host in it.
        route: The route in that.
        clusters: All clusters of the proxy that its routes name.
    """

    proxy: Proxy
    config: RoutesFact = field(repr=False)
    host: HostFact = field(repr=False)
    route: RouteFact
    clusters: Mapping[str, ClusterFact] = field(repr=False)

    @property
    def mirrors(self) -> list[MirrorFact]:
        """Its mirror policies: its own, else those of its virtual host."""
        return self.route.get("mirrors") or self.host.get("mirrors") or []


def named_entries(objects: Iterable[Mapping[str, object]]) -> list[Mapping[str, object]]:
    """Objects in which every entry of a VirtualService with hosts has a name; delegating entries keep theirs."""
    return [_named(each) if each.get("kind") == "VirtualService" else each for each in objects]


def _named(source: Mapping[str, object]) -> Mapping[str, object]:
    spec, metadata = _mapping(source.get("spec")), _mapping(source.get("metadata"))
    written: Any = spec.get("http")
    if not spec.get("hosts") or not isinstance(written, list):
        return source
    label = f"{LABEL}.{metadata.get('namespace') or 'default'}.{metadata.get('name') or NAMELESS}"
    entries = [
        {**each, "name": f"{label}.{index}"}
        if each and each.get("name", "") == "" and "delegate" not in each
        else given
        for index, given in enumerate(cast("list[object]", written))
        for each in [_mapping(given)]
    ]
    return {**source, "spec": {**spec, "http": entries}}


def _mapping(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def route_names(route: Route) -> set[str]:
    """Names that Envoy's routes of an entry have; none for a delegated entry that nobody named."""
    if route.native:
        return {route.native_name}
    name = route.name
    if not name and route.source is route.owner:
        name = f"{LABEL}.{route.owner.namespace}.{route.owner.name}.{route.entry.key}"
    if not name:
        return set()
    matches = [*route.entry["match"].elements(), *route.outer["match"].elements()]
    own = {match["name"].text() for match in matches} - {""}
    joined = {f"{outer}-{inner}" for outer in own for inner in own} if route.outer.given else set[str]()
    return {name, *(f"{name}.{each}" for each in own | joined)}


def renderings(question: Question, answer: Answer, route: Route) -> Iterator[Rendering]:
    """Every route of an entry, at every proxy that was asked for."""
    names = route_names(route)
    facts = answer.get("proxies", {})
    for proxy in question.proxies if names else ():
        fact = facts.get(proxy.name)
        for config in (fact["routes"] or []) if fact else []:
            for host in config["hosts"] or []:
                for found in host["routes"] or []:
                    if found.get("name", "") in names and fact:
                        yield Rendering(proxy=proxy, config=config, host=host, route=found, clusters=fact["clusters"])


def refusals(answer: Answer) -> dict[str, str]:
    """Why objects are refused, each reason on one line, by the names that the linter has for them."""
    facts = answer.get("objects", [])
    return {fact["object"]: on_one_line(reason) for fact in facts if (reason := fact.get("refused"))}


def on_one_line(text: str) -> str:
    """What istiod says on several lines, with a heading that counts its errors, as parts of one line."""
    parts = (line.strip().removeprefix("* ").strip() for line in text.splitlines())
    return "; ".join(part for part in parts if part and not _COUNT.fullmatch(part))


def copies(found: Rendering, mirror_entry: MirrorEntry) -> list[MirrorFact]:
    """Mirror policies of a rendering that lead to a mirror's target, on whichever port where the target names none."""
    return [mirror for mirror in found.mirrors if leads_to(mirror["cluster"], mirror_entry.target)]


def leads_to(cluster: str, target: Target) -> bool:
    """Whether a cluster is a target's: an outbound one, or a waypoint's own for a Service behind it."""
    found = named_target(cluster)
    return found is not None and found[:2] == (target.subset, target.host) and target.port in (None, found[2])


def named_target(cluster: str) -> tuple[str, str, int] | None:
    """Subset, host and port in a cluster's name; None where it has another form than istiod's."""
    direction, port, subset, host = cluster.split("|") if cluster.count("|") == 3 else ("", "", "", "")  # noqa: PLR2004 -- the form of such a name
    if direction == "inbound-vip":
        subset = subset.partition("/")[2]
    return (subset, host, int(port or 0)) if direction else None
