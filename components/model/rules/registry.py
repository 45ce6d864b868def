"""What a rule is, and how one is made of a function."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Final, TypeAlias, TypeVar

from .clusters import ClusterObjects, Mesh
from .filter_mirrors import FilterMirror, filter_mirrors
from .lookups import Lookup
from .mends import Edit
from .mirror_entries import MirrorEntry
from .nodes import Node, NotJudgedError
from .objects import KubeObject
from .placements import standing
from .reach import pattern_entry
from .settings import RuleSettings


@unique
class Severity(StrEnum):
    """How much a finding weighs."""

    ERROR = "error"
    """Mirrors do not arrive, or they hurt."""
    WARNING = "warning"
    """It works now and breaks with the next change, or nobody can tell."""
    NOTICE = "notice"
    """Worth knowing; holds nothing up."""


@unique
class Scope(StrEnum):
    """What a rule must see to judge."""

    ROUTE = "route"
    """The objects of one mirrored service."""
    CLUSTER = "cluster"
    """All objects of one cluster."""
    CLUSTERS = "clusters"
    """All objects of several clusters."""
    PLAN = "plan"
    """The preview of a stack."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What a check reports: where, and what is wrong there.

    Attributes:
        subject: The object.
        field: Path in it.
        message: What is wrong, as a sentence without a full stop.
        remedy: What to do; empty for the rule's own remedy.
        waived: Reason why it is accepted; empty when it is not.
        mend: Changes of the object that mend it, where nobody has to choose; empty otherwise.
        likely: Whether what is not at hand may change it, although its rule can judge by the objects of one service.
    """

    subject: KubeObject
    field: str
    message: str
    remedy: str = ""
    waived: str = ""
    mend: tuple[Edit, ...] = ()
    likely: bool = False


@dataclass(frozen=True, kw_only=True)
class Unjudged:
    """What a check reports where a value is not known yet, or something else that decides is not at hand.

    Attributes:
        subject: The object.
        field: Path in it.
        message: What keeps the rule from judging, as a sentence without a full stop.
        remedy: How it can be judged.
    """

    subject: KubeObject
    field: str
    message: str = "depends on a value that is not known yet"
    remedy: str = "Check again after the deployment"


FILTER: Final = "EnvoyFilter"

Report: TypeAlias = Problem | Unjudged
Judged = TypeVar("Judged")
Check: TypeAlias = Callable[[Mesh, RuleSettings], Iterable[Report]]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One thing that must hold.

    Attributes:
        id: Stable name, e.g. ``mirror-no-brakes``.
        title: What must hold, as a sentence without a full stop.
        severity: How much a breach weighs.
        scope: What the rule must see to judge.
        why: What happens otherwise.
        source: Where that is known from: public documentation, or "measured".
        remedy: What to do about a breach, as an imperative sentence without a full stop.
        check: Pure function that reports breaches.
        decided_by: Kinds of objects that decide it alone, so that each is judged before it is made; empty for a rule
            that must see several objects.
        settings: What it reads of :class:`RuleSettings`, and ``complete`` where it depends on what is missing.
        finds_by: What it finds by parts of other objects; while such a part is not known, it is not judged.
        repair: What writing the mends of its findings changes, as a sentence without a full stop; empty for a rule that
            nobody can mend without changing what a primary request meets.
    """

    id: str
    title: str
    severity: Severity
    scope: Scope
    why: str
    source: str
    remedy: str
    check: Check = field(repr=False)
    decided_by: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    finds_by: tuple[Lookup, ...] = ()
    repair: str = ""


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a check of one subject sees.

    Attributes:
        mesh: All clusters.
        cluster: The subject's cluster.
        settings: What the organisation allows.
    """

    mesh: Mesh
    cluster: ClusterObjects
    settings: RuleSettings


def mirror_rule(
    *,
    rule_id: str,
    title: str,
    severity: Severity,
    scope: Scope,
    why: str,
    source: str,
    remedy: str,
    decided_by: tuple[str, ...] = (),
    settings: tuple[str, ...] = (),
    finds_by: tuple[Lookup, ...] = (),
    repair: str = "",
    with_disabled: bool = False,
    unsent: bool = False,
    by_filter: Callable[[Case, FilterMirror], Iterable[Report]] | None = None,
    limited: Callable[[RuleSettings], bool] = lambda _: True,
) -> Callable[[Callable[[Case, MirrorEntry], Iterable[Report]]], Rule]:
    """Make a rule of a function that checks one mirror; the mirror's waivers and unknown values are seen to.

    With ``with_disabled`` it judges mirrors with a share of 0 as well, which no proxy gets; with ``unsent`` those of
    entries that nothing is sent on from, of which nothing else matters. ``by_filter`` checks mirrors that EnvoyFilters
    make and no route lists, where the settings are ``limited``.
    """

    def made(check: Callable[[Case, MirrorEntry], Iterable[Report]]) -> Rule:
        def run(mesh: Mesh, allowed: RuleSettings) -> Iterator[Report]:
            for case in _cases(mesh, allowed):
                mirror_entries = case.cluster.routing.mirror_entries if with_disabled else case.cluster.routing.sent
                if not (with_disabled or unsent):
                    mirror_entries = case.cluster.once("answering", lambda case=case: _on_answering(case.cluster))
                yield from _judged(
                    check,
                    case,
                    ((mirror_entry, mirror_entry.source, mirror_entry.node) for mirror_entry in mirror_entries),
                )
                if by_filter and limited(allowed):
                    yield from _by_filters(by_filter, case)

        return Rule(
            id=rule_id,
            title=title,
            severity=severity,
            scope=scope,
            why=why,
            source=source,
            remedy=remedy,
            check=run,
            decided_by=decided_by,
            settings=settings,
            finds_by=finds_by,
            repair=repair,
        )

    return made


def _by_filters(check: Callable[[Case, FilterMirror], Iterable[Report]], case: Case) -> Iterator[Report]:
    found = case.cluster.of(FILTER)
    homeless = [error.subject for error in case.cluster.homeless(FILTER) if isinstance(error.subject, KubeObject)]

    def checked(case: Case, source: KubeObject) -> Iterator[Report]:
        made = filter_mirrors(case.cluster, source)
        yield from _judged(check, case, ((mirror, source, mirror.node) for mirror in made))

    yield from _judged(checked, case, ((source, source, source.root) for source in (*found, *homeless)))


def object_rule(
    *,
    kinds: Sequence[str],
    rule_id: str,
    title: str,
    severity: Severity,
    scope: Scope,
    why: str,
    source: str,
    remedy: str,
    decided_by: tuple[str, ...] = (),
    settings: tuple[str, ...] = (),
    finds_by: tuple[Lookup, ...] = (),
) -> Callable[[Callable[[Case, KubeObject], Iterable[Report]]], Rule]:
    """Make a rule of a function that checks one object of one of ``kinds``."""

    def made(check: Callable[[Case, KubeObject], Iterable[Report]]) -> Rule:
        def run(mesh: Mesh, allowed: RuleSettings) -> Iterator[Report]:
            for case in _cases(mesh, allowed):
                found = case.cluster.of(*kinds)
                yield from _judged(check, case, ((subject, subject, subject.root) for subject in found))
                for error in case.cluster.homeless(*kinds):
                    if isinstance(error.subject, KubeObject):
                        yield Unjudged(subject=error.subject, field=error.path)

        return Rule(
            id=rule_id,
            title=title,
            severity=severity,
            scope=scope,
            why=why,
            source=source,
            remedy=remedy,
            check=run,
            decided_by=decided_by,
            settings=settings,
            finds_by=finds_by,
        )

    return made


def _on_answering(cluster: ClusterObjects) -> list[MirrorEntry]:
    """The mirrors of entries that may send requests on, as far as all objects at hand tell.

    Of one to a host that only a pattern takes nothing else matters either, and no other remedy would help; nor of one
    to what Istio sends nothing to.
    """
    found: list[MirrorEntry] = []
    for mirror_entry in cluster.routing.sent:
        try:
            if mirror_entry.target.unusable:
                continue
            sent = not cluster.complete or standing(cluster, mirror_entry.route).senders
            if sent and not pattern_entry(cluster, mirror_entry.target.host):
                found.append(mirror_entry)
        except NotJudgedError:
            found.append(mirror_entry)
    return found


def _cases(mesh: Mesh, settings: RuleSettings) -> list[Case]:
    return [Case(mesh=mesh, cluster=cluster, settings=settings) for cluster in mesh.clusters]


def _judged(
    check: Callable[[Case, Judged], Iterable[Report]], case: Case, found: Iterable[tuple[Judged, KubeObject, Node]]
) -> Iterator[Report]:
    """The reports on each of ``found``, given with its object and place: all, or up to a value not known yet.

    One loop for all of them: a generator for each would cost a tenth of the rules' time.
    """
    for each, subject, place in found:
        try:
            yield from check(case, each)
        except NotJudgedError as unknown:
            elsewhere = unknown.subject
            if isinstance(elsewhere, KubeObject):
                yield Unjudged(subject=elsewhere, field=unknown.path)
            else:
                yield Unjudged(subject=subject, field=unknown.path or place.path)


def problem(  # the parts of a problem
    subject: KubeObject,
    node: Node | str,
    message: str,
    *,
    remedy: str = "",
    waived: str = "",
    mend: tuple[Edit, ...] = (),
    likely: bool = False,
) -> Problem:
    """A problem at ``node`` of ``subject``."""
    path = node if isinstance(node, str) else node.path
    return Problem(subject=subject, field=path, message=message, remedy=remedy, waived=waived, mend=mend, likely=likely)
