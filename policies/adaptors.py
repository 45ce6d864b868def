"""From rules to policies: one policy for each rule, with its level, its settings and its waivers."""

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, TypeAlias, TypedDict, cast

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyConfigSchema,
    ReportViolation,
    ResourceRemediation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy import Severity as PolicySeverity

from pulumi_traffic_mirror.model.rules import Outcome, Rule, Severity, run_rules

from .meshes import StackView, is_judged, read_one, read_stack
from .parameters import Settings, read_settings, schema_of
from .repairs import mended
from .resources import Resource, read_resource
from .rules.registry import Fault, Judgement, ResourceRule, StackRule, Unknown
from .verdicts import Ledger, Verdict, by_place, waived

Clock: TypeAlias = Callable[[], datetime]
AnyRule: TypeAlias = Rule | ResourceRule | StackRule
Remediate: TypeAlias = Callable[[ResourceValidationArgs], Mapping[str, object] | None]

LEVELS: Final = {
    Severity.ERROR: EnforcementLevel.MANDATORY,
    Severity.WARNING: EnforcementLevel.ADVISORY,
    Severity.NOTICE: EnforcementLevel.ADVISORY,
}
"""Level of a rule where nobody configures another."""

_SEVERITIES: Final = {
    Severity.ERROR: PolicySeverity.HIGH,
    Severity.WARNING: PolicySeverity.MEDIUM,
    Severity.NOTICE: PolicySeverity.LOW,
}

NOT_JUDGED: Final = "not-judged"
WAIVERS_IN_FORCE: Final = "waivers-in-force"
LATER: Final = "Its value is known at the update, which judges it"


class Adaptor:
    """Makes policies of rules; what they waive or cannot judge goes into one ledger.

    Args:
        clock: Current time with a zone.
        ledger: Where waived and unjudged places are kept.
    """

    def __init__(self, clock: Clock, ledger: Ledger) -> None:
        self._clock = clock
        self._ledger = ledger
        self._stack = _Stack([], [])

    def object_policy(self, rule: Rule) -> Policy:
        """A policy of a model's rule that one object decides."""

        def remediate(args: ResourceValidationArgs) -> Mapping[str, object] | None:
            resource = read_resource(args)
            if resource.kind not in rule.decided_by or not is_judged(resource):
                return None
            settings = read_settings(rule, args.get_config(), resource.stack)
            findings = run_rules(read_one(resource, self._clock()).mesh, [rule], settings.limits)
            return mended(args.props, (finding.mend for finding in findings))

        def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
            resource = read_resource(args)
            settings = read_settings(rule, args.get_config(), resource.stack)
            if resource.kind not in rule.decided_by or not is_judged(resource):
                args.not_applicable(f"{resource.type} is none of {', '.join(rule.decided_by)}")
            view = read_one(resource, self._clock())
            self._settle(_findings(rule, view, settings), settings, report)

        return ResourceValidationPolicy(**_about(rule), validate=validate, remediate=_for_repairs(rule, remediate))

    def mesh_policy(self, rule: Rule) -> Policy:
        """A policy of a model's rule that needs several objects."""

        def validate(args: StackValidationArgs, report: ReportViolation) -> None:
            stack = self._read(args)
            settings = read_settings(rule, args.get_config(), stack.name)
            view = stack.view(self._clock, complete=settings.whole_cluster)
            if not view.mesh.clusters and not view.unplaced:
                args.not_applicable("the stack has no object that mirrors depend on")
            self._settle(_findings(rule, view, settings), settings, report)

        return StackValidationPolicy(**_about(rule), validate=validate)

    def resource_policy(self, rule: ResourceRule) -> Policy:
        """A policy of a rule over single resources."""

        def remediate(args: ResourceValidationArgs) -> Mapping[str, object] | None:
            resource = read_resource(args)
            if not rule.applies(resource):
                return None
            settings = read_settings(rule, args.get_config(), resource.stack)
            faults = (each for each in rule.judge(resource, settings.limits) if isinstance(each, Fault))
            return mended(args.props, (fault.mend for fault in faults))

        def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
            resource = read_resource(args)
            settings = read_settings(rule, args.get_config(), resource.stack)
            if not rule.applies(resource):
                args.not_applicable(f"the rule is not about {resource.type}")
            self._settle(_verdicts(rule, rule.judge(resource, settings.limits)), settings, report)

        return ResourceValidationPolicy(**_about(rule), validate=validate, remediate=_for_repairs(rule, remediate))

    def stack_policy(self, rule: StackRule) -> Policy:
        """A policy of a rule over several resources."""

        def validate(args: StackValidationArgs, report: ReportViolation) -> None:
            stack = self._read(args)
            settings = read_settings(rule, args.get_config(), stack.name)
            if not any(map(rule.applies, stack.resources)):
                args.not_applicable("the stack has nothing that the rule is about")
            self._settle(_verdicts(rule, rule.check(stack.resources, settings.limits)), settings, report)

        return StackValidationPolicy(**_about(rule), validate=validate)

    def lists(self) -> list[Policy]:
        """Policies that list what the others waived and could not judge; they must come last."""
        return [
            StackValidationPolicy(
                name=WAIVERS_IN_FORCE,
                description="Waivers in force are listed.",
                display_name="Waivers in force are listed",
                validate=self._list_waivers,
                enforcement_level=EnforcementLevel.ADVISORY,
                severity=PolicySeverity.LOW,
            ),
            StackValidationPolicy(
                name=NOT_JUDGED,
                description="What could not be judged is listed.",
                display_name="What could not be judged is listed",
                validate=self._list_unjudged,
                enforcement_level=EnforcementLevel.ADVISORY,
                severity=PolicySeverity.LOW,
            ),
        ]

    def _read(self, args: StackValidationArgs) -> "_Stack":
        """The stack; one request asks every policy about the same one."""
        given = [resource.props for resource in args.resources]
        if not self._stack.is_of(given):
            self._stack = _Stack(given, [read_resource(resource) for resource in args.resources])
        return self._stack

    def _settle(self, verdicts: Iterable[Verdict], settings: Settings, report: ReportViolation) -> None:
        now = self._clock()
        for verdict in verdicts:
            settled = waived(verdict, settings.waivers, now, settings.limits.max_waiver_days)
            if settled.outcome is Outcome.BROKEN:
                report(str(settled), settled.urn)
            else:
                self._ledger.add(settled)

    def _list_waivers(self, args: StackValidationArgs, report: ReportViolation) -> None:
        for verdict in self._ledger.take(Outcome.WAIVED):
            report(f"{verdict.subject}: {verdict.rule}: {verdict.message}. Waived: {verdict.reason}.", verdict.urn)

    def _list_unjudged(self, args: StackValidationArgs, report: ReportViolation) -> None:
        for verdict, rules in by_place(self._ledger.take(Outcome.NOT_JUDGED)):
            report(f"{verdict.subject}: {verdict.field}: not judged: {rules}. {verdict.remedy}.", verdict.urn)


class _Stack:
    """A stack that was read once for all policies."""

    def __init__(self, given: Sequence[object], resources: Sequence[Resource]) -> None:
        self._given = given
        self.resources = resources
        self.name = resources[0].stack if resources else ""
        self._views: dict[bool, StackView] = {}

    def is_of(self, given: Sequence[object]) -> bool:
        """Whether it was read from these very properties."""
        return len(given) == len(self._given) and all(map(operator.is_, given, self._given))

    def view(self, clock: Clock, *, complete: bool) -> StackView:
        """Its clusters."""
        if complete not in self._views:
            self._views[complete] = read_stack(self.resources, clock(), complete=complete)
        return self._views[complete]


def _findings(rule: Rule, view: StackView, settings: Settings) -> Iterator[Verdict]:
    for resource, path in view.unreadable():
        yield _unjudged(rule.id, resource, path)
    for finding in run_rules(view.mesh, [rule], settings.limits):
        yield view.verdict(finding, settings.limits.max_waiver_days)


def _verdicts(rule: ResourceRule | StackRule, judgements: Iterable[Judgement]) -> Iterator[Verdict]:
    for judgement in judgements:
        if isinstance(judgement, Unknown):
            yield _unjudged(rule.id, judgement.resource, judgement.field)
        else:
            yield Verdict(
                rule=rule.id,
                resource=judgement.resource,
                subject=str(judgement.resource),
                field=judgement.field,
                message=judgement.message,
                remedy=rule.remedy,
            )


def _unjudged(rule_id: str, resource: Resource, path: str) -> Verdict:
    return Verdict(
        rule=rule_id,
        resource=resource,
        subject=str(resource),
        field=path,
        remedy=LATER,
        outcome=Outcome.NOT_JUDGED,
    )


def _for_repairs(rule: Rule | ResourceRule, remediate: Remediate) -> ResourceRemediation | None:
    """The remediation of a rule that says that it has one: a mend that nobody asked for may hurt a primary."""
    # The SDK takes plain results as well as awaitable ones; its type names the latter only.
    return cast("ResourceRemediation", remediate) if rule.repair else None


class _About(TypedDict):
    name: str
    description: str
    display_name: str
    enforcement_level: EnforcementLevel
    severity: PolicySeverity
    config_schema: PolicyConfigSchema
    tags: list[str]
    remediation_steps: str
    url: str | None


def _about(rule: AnyRule) -> _About:
    return {
        "name": rule.id,
        "description": f"{rule.title}.",
        "display_name": rule.title,
        "enforcement_level": LEVELS[rule.severity],
        "severity": _SEVERITIES[rule.severity],
        "config_schema": schema_of(rule),
        "tags": ["traffic-mirror"],
        "remediation_steps": f"{rule.remedy}.",
        "url": rule.source if rule.source.startswith("https://") else None,
    }
