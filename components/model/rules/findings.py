"""What rules find: a finding, and how rules are run."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, unique
from typing import Final

from ..collection import uncollected
from ..jsontypes import JsonObject
from .clusters import Mesh
from .lookups import unknown_parts
from .mends import Edit
from .registry import Problem, Report, Rule, Severity, Unjudged
from .settings import RuleSettings
from .waivers import waived


@unique
class Outcome(StrEnum):
    """What became of a judgement."""

    BROKEN = "broken"
    WAIVED = "waived"
    NOT_JUDGED = "not judged"


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
        mend: Changes of the object that mend it, where nobody has to choose; empty otherwise.
        likely: Whether what is not at hand may change it, although its rule can judge by the objects of one service.
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
    mend: tuple[Edit, ...] = ()
    likely: bool = False

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
        if self.mend:
            found["mend"] = [edit.to_json() for edit in self.mend]
        return found

    def __str__(self) -> str:
        return f"{self.cluster}: {self.object}: {self.field}: {self.message}. {self.remedy}. [{self.rule}]"


_WEIGHT: Final = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTICE: 2}


def run(mesh: Mesh, rules: Iterable[Rule], settings: RuleSettings) -> list[Finding]:
    """Run ``rules`` over ``mesh``; the heaviest findings come first, then by cluster, object and field."""
    with uncollected():
        findings = {
            _finding(rule, report, mesh.now, settings)
            for rule in rules
            for report in (*_unfound(rule, mesh), *rule.check(mesh, settings))
        }
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


def _unfound(rule: Rule, mesh: Mesh) -> list[Unjudged]:
    """Where a rule cannot find what it judges by."""
    return [
        Unjudged(subject=subject, field=place)
        for cluster in (mesh.clusters if rule.finds_by else ())
        for subject, place, lookup in unknown_parts(cluster)
        if lookup in rule.finds_by
    ]


def _finding(rule: Rule, report: Report, now: datetime | None, settings: RuleSettings) -> Finding:
    if isinstance(report, Unjudged):
        message, remedy, reason = report.message, report.remedy, ""
        outcome = Outcome.NOT_JUDGED
    else:
        message, remedy = report.message, report.remedy or rule.remedy
        reason, fault = (report.waived, "") if report.waived else waived(report.subject, rule.id, now, settings)
        if reason and not settings.object_waivers:
            reason, fault = "", "objects may carry none here"
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
        mend=report.mend if isinstance(report, Problem) and outcome is Outcome.BROKEN else (),
        likely=isinstance(report, Problem) and report.likely,
    )
