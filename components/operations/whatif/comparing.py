"""How the same request fares in two states."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final
from urllib.parse import urlsplit

from ...model.credentials import CREDENTIAL_HEADERS
from ..recording.exchange import Headers, value_of
from .fates import Arrival, Fate, Outcome
from .routes import LISTENER, Mirror, RouteFacts, plain

MARK: Final = "x-traffic-mirror"
"""Header that tells a copy from a request; Istio's older form is the host's suffix ``-shadow``."""
SHADOW: Final = "-shadow"

NOWHERE: Final = "nowhere: no proxy listens"
UNROUTED: Final = "not routed: the sidecar does not listen for it"
NO_COPY: Final = "no copy"

_VARYING: Final = frozenset({"date", "server", "x-request-id", "content-length", "x-forwarded-for", "connection"})
"""Headers that proxies write anew for every request, or that come from the sender."""
_VARYING_PREFIX: Final = "x-envoy-"


@unique
class Kind(StrEnum):
    """In what two states differ for a request."""

    CLUSTER = "other cluster"
    SUBSET = "other subset"
    WEIGHT = "other weights"
    ANSWER = "answered by the proxy"
    REWRITE = "rewritten"
    HEADER_GAINED = "header gained"
    HEADER_LOST = "header lost"
    HEADER_CHANGED = "header changed"
    RESPONSE_HEADER = "header of the answer"
    MIRROR_GAINED = "mirror gained"
    MIRROR_LOST = "mirror lost"
    MIRROR_SHARE = "mirror's share"
    MIRROR_TARGET = "mirror's target"
    COPY_CHANGED = "copy changed"
    CREDENTIALS = "copy with credentials"
    UNMARKED = "copy without a mark"
    UNBOUNDED = "copy without an end"
    SETTINGS = "settings"


@dataclass(frozen=True, kw_only=True, order=True)
class Difference:
    """One way in which a request fares differently; no text holds the value of a header.

    Attributes:
        kind: In what.
        before: What was.
        after: What is then.
    """

    kind: Kind
    before: str
    after: str


def differences(before: Fate, after: Fate) -> Iterator[Difference]:
    """Every difference for one request at one door."""
    was, now = _way(before), _way(after)
    if was != now:
        yield Difference(kind=_kind_of_way(before, after), before=was, after=now)
    if before.outcome and after.outcome:
        yield from _answers(before.outcome, after.outcome)
        if before.outcome.primary and after.outcome.primary:
            yield from _arrivals(before.outcome.primary, after.outcome.primary, copied=False)
    yield from _mirrors(before, after)
    yield from _settings(before.route, after.route)


def _way(fate: Fate) -> str:
    """Where a request goes: clusters with probabilities, or what the proxy itself answers."""
    if fate.outcome is None:
        return UNROUTED if fate.beside else NOWHERE
    if fate.outcome.primary is None:
        return own_answer(fate.outcome)
    named = fate.route.destinations if fate.route else dict[str, float]()
    if len(named) == 1 and next(iter(named)).startswith("<"):
        return plain(fate.outcome.primary.cluster)
    return ", ".join(
        f"{plain(name)} {percent(share)}" if share < 1 else plain(name) for name, share in sorted(named.items())
    ) or plain(fate.outcome.primary.cluster)


def own_answer(outcome: Outcome) -> str:
    """What a proxy answers by itself, in words."""
    location = value_of(outcome.headers, "location") or ""
    parts = urlsplit(location)
    to = f" to {parts.scheme}://{parts.netloc}{parts.path}" if parts.netloc else f" to {parts.path}" if location else ""
    return f"{outcome.status}{to} ({outcome.details or 'by the proxy'})"


def percent(share: float) -> str:
    """A probability in per cent."""
    return f"{share * 100:.4g} %"


def _kind_of_way(before: Fate, after: Fate) -> Kind:
    primaries = [fate.outcome.primary if fate.outcome else None for fate in (before, after)]
    if None in primaries:
        return Kind.ANSWER
    was, now = (set(fate.route.destinations) if fate.route else set[str]() for fate in (before, after))
    if was == now:
        return Kind.WEIGHT
    return (
        Kind.SUBSET
        if {_without_subset(each) for each in was} == {_without_subset(each) for each in now}
        else Kind.CLUSTER
    )


def _without_subset(cluster: str) -> str:
    parts = cluster.split("|")
    return "|".join([*parts[:2], *parts[3:]]) if len(parts) == 4 else cluster  # noqa: PLR2004 -- direction|port|subset|host


def _answers(before: Outcome, after: Outcome) -> Iterator[Difference]:
    if before.primary is None and after.primary is None and before.body != after.body:
        yield Difference(kind=Kind.ANSWER, before="a body", after="another body")
    was, now = _names(before.headers), _names(after.headers)
    if (before.primary is None) == (after.primary is None):
        for name in sorted(was.keys() ^ now.keys()):
            yield Difference(kind=Kind.RESPONSE_HEADER, before=_there(name, was), after=_there(name, now))
        for name in sorted(was.keys() & now.keys() - {"location"}):
            if was[name] != now[name]:
                yield Difference(kind=Kind.RESPONSE_HEADER, before=name, after=f"{name} with another value")


def _there(name: str, known: Mapping[str, object]) -> str:
    return name if name in known else f"no {name}"


def _names(headers: Headers) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in headers:
        if name not in _VARYING and not name.startswith(_VARYING_PREFIX):
            found.setdefault(name, []).append(value)
    return found


def _arrivals(before: Arrival, after: Arrival, *, copied: bool) -> Iterator[Difference]:
    """What differs in a request as it arrives; of a copy everything is one kind."""

    def told(kind: Kind, was: str, now: str) -> Difference:
        of = f"copy to {plain(after.cluster)}: " if copied else ""
        return Difference(kind=Kind.COPY_CHANGED if copied else kind, before=of + was, after=of + now)

    for what, was, now in (
        ("method", before.method, after.method),
        ("path", before.path.partition("?")[0], after.path.partition("?")[0]),
        ("query", before.path.partition("?")[2], after.path.partition("?")[2]),
        ("host", before.host, after.host),
    ):
        if was != now:
            yield told(Kind.REWRITE, *_of_both(what, was, now))
    if before.size != after.size:
        yield told(Kind.REWRITE, "body", "body of another length")
    was_named, now_named = _names(before.headers), _names(after.headers)
    for name in sorted((now_named.keys() | was_named.keys()) - {"host"}):
        was, now = was_named.get(name), now_named.get(name)
        if was is None:
            yield told(Kind.HEADER_GAINED, f"no {name}", name)
        elif now is None:
            yield told(Kind.HEADER_LOST, name, f"no {name}")
        elif was != now:
            yield told(Kind.HEADER_CHANGED, name, f"{name} with another value")


def _of_both(what: str, was: str, now: str) -> tuple[str, str]:
    """A rewrite in words that are the same for many requests: the beginnings in which two paths differ."""
    if what == "query":
        return "query", "another query"
    if what != "path":
        return f"{what} {was}", f"{what} {now}"
    ahead, behind = was.split("/"), now.split("/")
    while ahead and behind and ahead[-1] == behind[-1]:
        ahead.pop()
        behind.pop()
    return f"path {'/'.join(ahead) or '/'}…", f"path {'/'.join(behind) or '/'}…"


def _mirrors(before: Fate, after: Fate) -> Iterator[Difference]:
    was, now = copies_of(before), copies_of(after)
    gone, new = sorted(was.keys() - now.keys()), sorted(now.keys() - was.keys())
    for old, other in zip(gone, new, strict=False):
        yield Difference(kind=Kind.MIRROR_TARGET, before=_copied(was[old]), after=_copied(now[other]))
    for name in gone[len(new) :]:
        yield Difference(kind=Kind.MIRROR_LOST, before=_copied(was[name]), after=NO_COPY)
    for name in new[len(gone) :]:
        yield Difference(kind=Kind.MIRROR_GAINED, before=NO_COPY, after=_copied(now[name]))
    for name in sorted(was.keys() & now.keys()):
        if was[name].share != now[name].share:
            yield Difference(kind=Kind.MIRROR_SHARE, before=_copied(was[name]), after=_copied(now[name]))
        yield from _arrivals(was[name].arrival, now[name].arrival, copied=True)
    for name, each in now.items():
        known = set(was[name].unsafe) if name in was else set[tuple[Kind, str]]()
        for kind, words in each.unsafe:
            if (kind, words) not in known:
                yield Difference(kind=kind, before="", after=words)


def unsafe(fate: Fate) -> Iterator[Difference]:
    """What copies of a request must not be, whatever was before."""
    for each in copies_of(fate).values():
        for kind, words in each.unsafe:
            yield Difference(kind=kind, before="", after=words)


@dataclass(frozen=True, kw_only=True)
class CopyMade:
    """A copy that a mirror may make of a request.

    Attributes:
        share: Probability that it is made.
        arrival: How it arrives.
        unsafe: What it must not be, with words for each.
    """

    share: float
    arrival: Arrival
    unsafe: tuple[tuple[Kind, str], ...]


def copies_of(fate: Fate) -> dict[str, CopyMade]:
    """Copies of a request by cluster."""
    if fate.outcome is None:
        return {}
    mirrors = fate.route.mirrors if fate.route else ()
    found: dict[str, CopyMade] = {}
    for arrival in fate.outcome.copies:
        mirror = _mirror_of(arrival, mirrors)
        # One that no route tells of, e.g. a filter's own, is always sent and never bounded by one.
        share, bounded = (mirror.share, mirror.bounded) if mirror else (1.0, False)
        found[arrival.cluster] = CopyMade(share=share, arrival=arrival, unsafe=tuple(_unsafe(arrival, bounded=bounded)))
    return found


def _mirror_of(arrival: Arrival, mirrors: Sequence[Mirror]) -> Mirror | None:
    own = [each for each in mirrors if each.cluster == arrival.cluster]
    return next(iter([*own, *(each for each in mirrors if each.cluster.startswith("<"))]), None)


def _unsafe(arrival: Arrival, *, bounded: bool) -> Iterator[tuple[Kind, str]]:
    names, target = {name for name, _ in arrival.headers}, plain(arrival.cluster)
    if carried := sorted(names & set(CREDENTIAL_HEADERS)):
        yield Kind.CREDENTIALS, f"copy to {target} carries {', '.join(carried)}"
    host = arrival.host.rpartition(":")[0] or arrival.host
    if MARK not in names and not host.endswith(SHADOW):
        yield Kind.UNMARKED, f"copy to {target} carries no mark"
    if not bounded:
        yield Kind.UNBOUNDED, f"nothing ends a copy to {target}"


def _copied(each: CopyMade) -> str:
    return f"{percent(each.share)} to {plain(each.arrival.cluster)}"


def _settings(before: RouteFacts | None, after: RouteFacts | None) -> Iterator[Difference]:
    """Settings of the route and of the clusters that both name, where both send the request on."""
    if before is None or after is None or not (before.destinations and after.destinations):
        return
    shared = _targets(before) & _targets(after)
    for name in sorted(before.settings.keys() | after.settings.keys()):
        of_cluster = not name.startswith(("route.", "filter ", LISTENER))
        if of_cluster and name.rpartition(" ")[0] not in shared:
            continue
        was, now = before.settings.get(name), after.settings.get(name)
        if was != now:
            yield Difference(kind=Kind.SETTINGS, before=_said(name, was), after=_said(name, now, other=" changed"))


def _targets(route: RouteFacts) -> set[str]:
    return {plain(name) for name in (*route.destinations, *(each.cluster for each in route.mirrors))}


_LONGEST_SAID: Final = 60


def _said(name: str, value: object, *, other: str = "") -> str:
    if value is None:
        return f"no {name}"
    text = f"{name} {value}"
    return text if isinstance(value, str | int | float) and len(text) <= _LONGEST_SAID else f"{name}{other}"
