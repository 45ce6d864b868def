"""What istiod shows of a mirror, whichever objects are older."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import reduce
from typing import Final

from ...model.rules import ClusterObjects, MirrorEntry
from .answers import Answer, ClusterFact
from .gaps import by_chance, choosing
from .question import ProxyKind, Question
from .rendered import Rendering, copies, renderings
from .sending import is_called, is_counted, own_copies

UNSENT: Final = "mirror-never-sent"
ABSENT: Final = "mirror-target-undefined"
UNANSWERED: Final = "mirror-primary-undefined"
EMPTY: Final = "mirror-target-no-pods"
UNBOUNDED: Final = "mirror-unbounded-life"


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What istiod shows of a mirror, as ids of rules.

    Attributes:
        facts: Rules of which it shows a case.
        denied: Rules of which it shows the contrary.
        unsettled: Rules of which it shows a case, or none, as one or another object is older.
    """

    facts: frozenset[str] = field(default=frozenset())
    denied: frozenset[str] = field(default=frozenset())
    unsettled: frozenset[str] = field(default=frozenset())

    def __and__(self, other: "Shown") -> "Shown":
        """What both show."""
        return Shown(
            facts=self.facts & other.facts,
            denied=self.denied & other.denied,
            unsettled=self.unsettled | other.unsettled | (self.facts ^ other.facts),
        )


def shown(cluster: ClusterObjects, mirror_entry: MirrorEntry, question: Question, answers: Iterable[Answer]) -> Shown:
    """What all answers to a question show of a mirror."""
    return reduce(Shown.__and__, (_shown(cluster, mirror_entry, question, each) for each in answers))


def _shown(cluster: ClusterObjects, mirror_entry: MirrorEntry, question: Question, answer: Answer) -> Shown:
    if mirror_entry.route.aborted:
        return Shown()  # Envoy answers before its mirrors, which istiod renders
    found = list(renderings(question, answer, mirror_entry.route))
    sent = [
        (each, own[0]["cluster"])
        for each in found
        if is_called(cluster, mirror_entry, each) and (own := own_copies(cluster, mirror_entry, each))
    ]
    if not sent:
        rendered = any(each["share"] > 0 for rendering in found for each in copies(rendering, mirror_entry))
        return Shown() if rendered else Shown(facts=frozenset({UNSENT}), denied=frozenset({UNBOUNDED}))
    chosen = choosing(cluster, mirror_entry.route)
    counted = [
        (each, name)
        for each, name in sent
        if is_counted(cluster, mirror_entry, each.proxy) and not (chosen and each.proxy.kind is ProxyKind.SIDECAR)
    ]
    facts = frozenset(rule for each, name in counted for rule in _faults(each, name))
    if by_chance(cluster, mirror_entry.target.host):
        facts -= {EMPTY}
    return Shown(facts=facts, denied=frozenset({UNSENT, *({UNBOUNDED} - facts if counted else ())}))


def _faults(found: Rendering, name: str) -> set[str]:
    """What is wrong with copies to a cluster, by its name, at one proxy."""
    primaries = found.route.get("clusters", {}).keys()
    faults = {UNANSWERED} if primaries and not found.clusters.keys() & primaries else set[str]()
    cluster = found.clusters.get(name)
    if cluster is None:
        return {*faults, ABSENT}
    if _is_empty(cluster, found.proxy.kind):
        faults.add(EMPTY)
    if not cluster["max_stream_duration"] and not found.route.get("timeout"):
        faults.add(UNBOUNDED)
    return faults


def _is_empty(cluster: ClusterFact, kind: ProxyKind) -> bool:
    """Whether nobody gets what is sent to a cluster; a waypoint passes on to where a caller wanted to go."""
    if cluster["type"] == "ORIGINAL_DST":
        return kind is not ProxyKind.WAYPOINT
    return cluster["type"] in ("EDS", "STATIC") and not cluster["endpoints"]
