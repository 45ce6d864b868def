"""What a rule and a finding are, and how rules are run."""

import gc
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum, unique
from typing import Final, TypeAlias

from ..checks import instance, listed
from ..errors import ValidationError
from ..jsontypes import JsonObject
from ..safety import CREDENTIAL_HEADERS, HTTP_METHODS, Expiry, Waiver
from ..values import HeaderName, Percent, RpcMethod
from .clusters import ClusterObjects, Mesh
from .nodes import Node, NotJudgedError
from .objects import KubeObject
from .sites import Site

WAIVER: Final = "pulumi-traffic-mirror/waive."
"""Prefix of the annotation that waives a rule for an object: the rule's id follows, the value is the reason."""


MOST: Final = 2**31
"""Largest bound that a house may set; Istio renders limits that nobody set near there."""


WAIVED_UNTIL: Final = "pulumi-traffic-mirror/waived-until."
"""Prefix of the annotation with the last moment of such a waiver; the rule's id follows."""


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


@unique
class Outcome(StrEnum):
    """What became of a judgement."""

    BROKEN = "broken"
    WAIVED = "waived"
    NOT_JUDGED = "not judged"


@dataclass(frozen=True, kw_only=True)
class RuleSettings:
    """What a house allows beyond what every mirror must keep.

    Attributes:
        max_percent: Largest share of requests that may be mirrored, 0 to 100.
        allowed_targets: Hosts that mirrors may go to, ``*.suffix`` included; empty for any.
        allowed_rpc_methods: gRPC methods that may be mirrored; empty for any that a route names.
        allowed_http_methods: HTTP methods that may be mirrored where no gRPC method is named; empty for any that a
            route names.
        credential_headers: Headers that must not reach a mirror.
        max_lifetime_days: Longest time from now to a mirror's end, above 0; None for no bound. With a bound every
            mirror needs an end. This and the next two are at most 2**31.
        max_requests: Largest bound on requests in flight to a mirror per proxy, from 1.
        max_duration_seconds: Largest bound on the life of one mirrored request, above 0.
        private_plain_text: Whether plain text between clusters is accepted to private addresses.

    Raises:
        ValidationError: A value is out of its range or malformed.
    """

    max_percent: float = 100.0
    allowed_targets: Sequence[str] = ()
    allowed_rpc_methods: Sequence[str] = ()
    allowed_http_methods: Sequence[str] = ()
    credential_headers: Sequence[str] = CREDENTIAL_HEADERS
    max_lifetime_days: float | None = None
    max_requests: int = 65_536
    max_duration_seconds: float = 3_600.0
    private_plain_text: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "max_percent", Percent(self.max_percent, field="max_percent"))
        for name in ("allowed_targets", "allowed_rpc_methods", "allowed_http_methods", "credential_headers"):
            object.__setattr__(self, name, tuple(listed(getattr(self, name), field=name)))
        for index, target in enumerate(self.allowed_targets):
            instance(target, str, field=f"allowed_targets[{index}]")
        instance(self.private_plain_text, bool, field="private_plain_text")
        methods = tuple(
            RpcMethod(method, field=f"allowed_rpc_methods[{index}]")
            for index, method in enumerate(self.allowed_rpc_methods)
        )
        object.__setattr__(self, "allowed_rpc_methods", methods)
        headers = tuple(
            HeaderName(name, field=f"credential_headers[{index}]") for index, name in enumerate(self.credential_headers)
        )
        object.__setattr__(self, "credential_headers", headers)
        for index, method in enumerate(self.allowed_http_methods):
            if not isinstance(method, str) or method not in HTTP_METHODS:  # pyright: ignore[reportUnnecessaryIsInstance] -- callers may be untyped
                raise ValidationError(
                    field=f"allowed_http_methods[{index}]",
                    value=method,
                    rule=f"must be one of {', '.join(sorted(HTTP_METHODS))}",
                    remedy="Write the method in upper case",
                )
        for name in ("max_lifetime_days", "max_requests", "max_duration_seconds"):
            value = getattr(self, name)
            if value is None and name == "max_lifetime_days":
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MOST:
                raise ValidationError(
                    field=name,
                    value=value,
                    rule=f"must be a number above 0 and at most {MOST}",
                    remedy="Give the largest value allowed",
                )


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What a check reports: where, and what is wrong there.

    Attributes:
        subject: The object.
        field: Path in it.
        message: What is wrong, as a sentence without a full stop.
        remedy: What to do; empty for the rule's own remedy.
        waived: Reason why it is accepted; empty when it is not.
    """

    subject: KubeObject
    field: str
    message: str
    remedy: str = ""
    waived: str = ""


@dataclass(frozen=True, kw_only=True)
class Unjudged:
    """What a check reports where a value is not known yet."""

    subject: KubeObject
    field: str


Report: TypeAlias = Problem | Unjudged
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
    """

    id: str
    title: str
    severity: Severity
    scope: Scope
    why: str
    source: str
    remedy: str
    check: Check = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A breach of a rule, ready to be shown.

    Attributes:
        rule: Id of the rule.
        severity: Its weight.
        cluster: Name of the cluster.
        object: The object, e.g. ``VirtualService hello/greeter``.
        field: Path in the object, e.g. ``spec.http[0].mirror``.
        message: What is wrong, as a sentence without a full stop.
        remedy: What to do, as an imperative sentence without a full stop.
        outcome: Whether it stands, is waived, or could not be judged.
        reason: Why it is waived; empty otherwise.
    """

    rule: str
    severity: Severity
    cluster: str
    object: str
    field: str
    message: str
    remedy: str
    outcome: Outcome = Outcome.BROKEN
    reason: str = ""

    @property
    def fails(self) -> bool:
        """Whether it says that something does not hold."""
        return self.outcome is Outcome.BROKEN and self.severity is not Severity.NOTICE

    def to_json(self) -> JsonObject:
        """The finding as plain JSON."""
        found: JsonObject = {
            "rule": self.rule,
            "severity": self.severity.value,
            "outcome": self.outcome.value,
            "cluster": self.cluster,
            "object": self.object,
            "field": self.field,
            "message": self.message,
            "remedy": self.remedy,
        }
        if self.reason:
            found["reason"] = self.reason
        return found

    def __str__(self) -> str:
        return f"{self.cluster}: {self.object}: {self.field}: {self.message}. {self.remedy}. [{self.rule}]"


_WEIGHT: Final = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTICE: 2}


@contextmanager
def _uncollected() -> Generator[None]:
    """Rules make millions of places that never lead in a circle; the collector took a third of the time (measured)."""
    collected = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collected:
            gc.enable()


def run(mesh: Mesh, rules: Iterable[Rule], settings: RuleSettings) -> list[Finding]:
    """Run ``rules`` over ``mesh``; the heaviest findings come first, then by cluster, object and field."""
    with _uncollected():
        findings = {_finding(rule, report, mesh.now) for rule in rules for report in rule.check(mesh, settings)}
    return sorted(
        findings,
        key=lambda found: (
            _WEIGHT[found.severity],
            found.cluster,
            found.object,
            found.field,
            found.rule,
            found.message,
        ),
    )


def _finding(rule: Rule, report: Report, now: datetime | None) -> Finding:
    if isinstance(report, Unjudged):
        message, remedy, reason = "depends on a value that is not known yet", "Check again after the deployment", ""
        outcome = Outcome.NOT_JUDGED
    else:
        message, remedy, reason = report.message, report.remedy or rule.remedy, report.waived
        if not reason:
            reason, fault = _waived(report.subject, rule.id, now)
            message += f"; of its waiver: {fault}" if fault else ""
        outcome = Outcome.WAIVED if reason else Outcome.BROKEN
    return Finding(
        rule=rule.id,
        severity=rule.severity,
        cluster=report.subject.cluster,
        object=str(report.subject),
        field=report.field,
        message=message,
        remedy=remedy,
        outcome=outcome,
        reason=reason,
    )


def _waived(subject: KubeObject, rule_id: str, now: datetime | None) -> tuple[str, str]:
    """Reason of a waiver that holds now, else what is wrong with it; both empty where there is none."""
    try:
        given = subject.annotation(f"{WAIVER}{rule_id}").strip()
        until = subject.annotation(f"{WAIVED_UNTIL}{rule_id}")
    except NotJudgedError:
        return "", ""
    if not given:
        return "", ""
    try:
        Waiver(reason=given)
    except ValidationError as error:
        return "", f"its reason {error.rule}"
    try:
        end = Expiry.parse(until) if until else None
    except ValidationError:
        return "", f"its end {until!r} cannot be read"
    return ("", f"it ended with {end}") if end and now and end.has_passed(now) else (given, "")


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a check of one subject sees.

    Attributes:
        mesh: All clusters.
        cluster: The subject's cluster.
        settings: What the house allows.
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
    resting: bool = False,
) -> Callable[[Callable[[Case, Site], Iterable[Report]]], Rule]:
    """Make a rule of a function that checks one mirror; the mirror's waivers and unknown values are seen to.

    With ``resting`` it judges mirrors with a share of 0 as well, which no proxy gets.
    """

    def made(check: Callable[[Case, Site], Iterable[Report]]) -> Rule:
        def run(mesh: Mesh, settings: RuleSettings) -> Iterator[Report]:
            for case in _cases(mesh, settings):
                for site in case.cluster.routing.sites if resting else case.cluster.routing.sent:
                    try:
                        yield from check(case, site)
                    except NotJudgedError as unknown:
                        yield _unjudged(site.source, site.node, unknown)

        return Rule(
            id=rule_id, title=title, severity=severity, scope=scope, why=why, source=source, remedy=remedy, check=run
        )

    return made


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
) -> Callable[[Callable[[Case, KubeObject], Iterable[Report]]], Rule]:
    """Make a rule of a function that checks one object of one of ``kinds``."""

    def made(check: Callable[[Case, KubeObject], Iterable[Report]]) -> Rule:
        def run(mesh: Mesh, settings: RuleSettings) -> Iterator[Report]:
            for case in _cases(mesh, settings):
                for subject in case.cluster.of(*kinds):
                    try:
                        yield from check(case, subject)
                    except NotJudgedError as unknown:
                        yield _unjudged(subject, subject.root, unknown)

        return Rule(
            id=rule_id, title=title, severity=severity, scope=scope, why=why, source=source, remedy=remedy, check=run
        )

    return made


def _cases(mesh: Mesh, settings: RuleSettings) -> list[Case]:
    return [Case(mesh=mesh, cluster=cluster, settings=settings) for cluster in mesh.clusters]


def _unjudged(subject: KubeObject, place: Node, unknown: NotJudgedError) -> Unjudged:
    """What follows a subject's reports up to the first value that is not known yet."""
    return Unjudged(subject=subject, field=unknown.path or place.path)


def problem(subject: KubeObject, node: Node | str, message: str, *, remedy: str = "", waived: str = "") -> Problem:
    """A problem at ``node`` of ``subject``."""
    path = node if isinstance(node, str) else node.path
    return Problem(subject=subject, field=path, message=message, remedy=remedy, waived=waived)
