"""The result of judging mirrors, as JSON and as SARIF."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..model import JsonObject, JsonValue
from ..model.rules import RULES, Finding, Outcome, Severity, Upgrade
from .manifests import Loaded

SARIF_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
RULES_PAGE: Final = "docs/rules.md"
LEVELS: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTICE: "note"}


@dataclass(frozen=True, kw_only=True)
class Checkup:
    """What was read and what is wrong with it.

    Attributes:
        loaded: The clusters.
        findings: What rules found, waived and unjudged things included.
        upgrade: What another release would change; None when nobody asked.
    """

    loaded: Sequence[Loaded]
    findings: Sequence[Finding]
    upgrade: Upgrade | None = None

    @property
    def mirrors(self) -> int:
        """How many mirrors there are."""
        return sum(len(each.cluster.routing.sites) for each in self.loaded)

    def place(self, finding: Finding) -> tuple[str, int] | None:
        """File and line of a finding; None when they are not known."""
        for each in self.loaded:
            if each.cluster.name == finding.cluster:
                return each.place(finding.object, finding.field)
        return None


def to_json(checkup: Checkup) -> JsonObject:
    """The result for machines."""
    findings: list[JsonValue] = []
    for finding in checkup.findings:
        place = checkup.place(finding)
        findings.append({**finding.to_json(), **({"file": place[0], "line": place[1]} if place else {})})
    result: JsonObject = {
        "clusters": [
            {
                "name": each.cluster.name,
                "istio": str(each.cluster.istio.version) if each.cluster.istio else None,
                "objects": len(each.cluster.objects),
                "mirrors": len(each.cluster.routing.sites),
                "ignored": dict(each.ignored),
            }
            for each in checkup.loaded
        ],
        "mirrors": checkup.mirrors,
        "fails": any(finding.fails for finding in checkup.findings),
        "findings": findings,
    }
    if checkup.upgrade:
        result["upgrade"] = {
            "changes": [change.to_json() for change in checkup.upgrade.changes],
            "appearing": [finding.to_json() for finding in checkup.upgrade.appearing],
            "vanishing": [finding.to_json() for finding in checkup.upgrade.vanishing],
        }
    return result


def to_sarif(checkup: Checkup) -> JsonObject:
    """The result in the Static Analysis Results Interchange Format 2.1.0, which code hosts show beside the lines."""
    order = {rule.id: index for index, rule in enumerate(RULES)}
    driver: JsonObject = {
        "name": "traffic-mirror",
        "rules": [
            {
                "id": rule.id,
                "shortDescription": {"text": rule.title},
                "fullDescription": {"text": rule.why},
                "help": {"text": f"{rule.remedy}. Source: {rule.source}"},
                "helpUri": f"{RULES_PAGE}#{rule.id}",
                "defaultConfiguration": {"level": LEVELS[rule.severity]},
            }
            for rule in RULES
        ],
    }
    results: list[JsonValue] = [_result(checkup, finding, order[finding.rule]) for finding in checkup.findings]
    return {"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}


def _result(checkup: Checkup, finding: Finding, index: int) -> JsonObject:
    name = f"{finding.cluster}: {finding.object}: {finding.field}"
    location: JsonObject = {"logicalLocations": [{"fullyQualifiedName": name}]}
    place = checkup.place(finding)
    if place:
        location["physicalLocation"] = {
            "artifactLocation": {"uri": place[0]},
            "region": {"startLine": place[1]},
        }
    result: JsonObject = {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": LEVELS[finding.severity],
        "kind": "open" if finding.outcome is Outcome.NOT_JUDGED else "fail",
        "message": {"text": f"{finding.object}: {finding.message}. {finding.remedy}."},
        "locations": [location],
    }
    if finding.outcome is Outcome.NOT_JUDGED:
        # SARIF allows a level only where something failed.
        result["level"] = "none"
    if finding.outcome is Outcome.WAIVED:
        result["suppressions"] = [{"kind": "inSource", "justification": finding.reason}]
    return result
