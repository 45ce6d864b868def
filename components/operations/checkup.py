"""The result of judging mirrors, as JSON and as SARIF."""

from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum, unique
from itertools import accumulate
from typing import Final

from ..extensions import own_rules
from ..model import JsonObject, JsonValue
from ..model.rules import PLAN_RULES, RULES, Finding, Outcome, Scope, Severity, Upgrade
from .manifests import Loaded
from .mending import Replacement, mend
from .unread import JUDGED, Unread

SARIF_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
RULES_PAGE: Final = "https://github.com/pulumi-traffic-mirror/pulumi-traffic-mirror/blob/main/docs/rules.md"
"""Code hosts show a rule's address as it is, so that it must be a whole one."""
LEVELS: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTICE: "note"}


_SCOPES: Final = {rule.id: rule.scope for rule in RULES}
"""Of an organisation's own rules nobody knows whether the objects of one service suffice: they are likely."""


@unique
class Certainty(StrEnum):
    """How sure a finding is."""

    CERTAIN = "certain"
    """The objects that it names say so by themselves, or istiod shows it."""
    LIKELY = "likely"
    """It follows from all objects at hand; what else the cluster has may change it."""
    CANNOT_SEE = "cannot see"
    """It depends on a value that is not known yet."""


@dataclass(frozen=True, kw_only=True)
class Checkup:
    """What was read and what is wrong with it.

    Attributes:
        loaded: The clusters.
        findings: What rules found, waived and unjudged things included.
        upgrade: What another release would change; None when nobody asked.
        by_istiod: The findings that istiod itself shows.
    """

    loaded: Sequence[Loaded]
    findings: Sequence[Finding]
    upgrade: Upgrade | None = None
    by_istiod: frozenset[Finding] = frozenset()

    def certainty(self, finding: Finding) -> Certainty:
        """How sure a finding is."""
        if finding.outcome is Outcome.NOT_JUDGED:
            return Certainty.CANNOT_SEE
        alone = _SCOPES.get(finding.rule) is Scope.ROUTE and not finding.likely
        return Certainty.CERTAIN if alone or finding in self.by_istiod else Certainty.LIKELY

    @property
    def mirrors(self) -> int:
        """How many mirrors there are."""
        return sum(len(each.cluster.routing.mirror_entries) for each in self.loaded)

    @property
    def unread(self) -> list[Unread]:
        """What was given and is not judged."""
        return [unread for each in self.loaded for unread in (*each.unread, *_beyond(each))]

    def place(self, finding: Finding) -> tuple[str, int] | None:
        """File and line of a finding; None when they are not known."""
        for each in self.loaded:
            if each.cluster.name == finding.cluster:
                return each.place(finding.object, finding.field)
        return None


def _beyond(loaded: Loaded) -> Iterator[Unread]:
    for source, path, reason in loaded.cluster.routing.beyond:
        file, line = loaded.place(str(source), path) or (loaded.cluster.name, 1)
        remedy = f"Give the objects that it belongs to: {JUDGED}"
        yield Unread(file=file, line=line, message=f"{source} is not judged: {reason}", remedy=remedy)


def to_json(checkup: Checkup) -> JsonObject:
    """The result for machines."""
    findings: list[JsonValue] = []
    for finding in checkup.findings:
        place = checkup.place(finding)
        sure = checkup.certainty(finding).value
        findings.append(
            {**finding.to_json(), "certainty": sure, **({"file": place[0], "line": place[1]} if place else {})}
        )
    result: JsonObject = {
        "clusters": [
            {
                "name": each.cluster.name,
                "istio": str(each.cluster.istio.version) if each.cluster.istio else None,
                "managed": each.cluster.patched is not None,
                "objects": len(each.cluster.objects),
                "mirrors": len(each.cluster.routing.mirror_entries),
                "ignored": dict(each.ignored),
            }
            for each in checkup.loaded
        ],
        "mirrors": checkup.mirrors,
        "fails": any(finding.fails for finding in checkup.findings),
        "findings": findings,
        "unread": [asdict(each) for each in checkup.unread],
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
    own = own_rules()
    rules = (*RULES, *PLAN_RULES, *own)
    order = {rule.id: index for index, rule in enumerate(rules)}
    driver: JsonObject = {
        "name": "traffic-mirror",
        "rules": [
            {
                "id": rule.id,
                "shortDescription": {"text": rule.title},
                "fullDescription": {"text": rule.why},
                "help": {"text": f"{rule.remedy}. Source: {rule.source}"},
                **({} if rule in own else {"helpUri": f"{RULES_PAGE}#{rule.id}"}),
                "defaultConfiguration": {"level": LEVELS[rule.severity]},
            }
            for rule in rules
        ],
    }
    texts: dict[str, str] = {}
    starts: dict[str, list[int]] = {}
    results: list[JsonValue] = [
        {**_result(checkup, finding, order[finding.rule]), **_fixes(checkup, finding, texts, starts)}
        for finding in checkup.findings
    ]
    run: JsonObject = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    if checkup.unread:
        notes: list[JsonValue] = [_notification(each) for each in checkup.unread]
        run["invocations"] = [{"executionSuccessful": True, "toolExecutionNotifications": notes}]
    return {"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}


def _notification(unread: Unread) -> JsonObject:
    place: JsonObject = {"artifactLocation": {"uri": unread.file}, "region": {"startLine": unread.line}}
    return {
        "level": "warning",
        "message": {"text": f"{unread.message}. {unread.remedy}."},
        "locations": [{"physicalLocation": place}],
    }


def _fixes(checkup: Checkup, finding: Finding, texts: dict[str, str], starts: dict[str, list[int]]) -> JsonObject:
    """A finding's mend as changes of its file's text, where it can be written.

    Args:
        checkup: The result.
        finding: The finding.
        texts: Texts of files that were read before; those that are read are added.
        starts: Where the lines of these begin.
    """
    changes: list[JsonValue] = []
    for file, replaced in mend(checkup.loaded, finding, texts).items():
        if file not in starts:
            starts[file] = [0, *accumulate(len(line) + 1 for line in texts[file].split("\n"))]
        written: list[JsonValue] = [
            {"deletedRegion": _region(starts[file], each), "insertedContent": {"text": each.text}} for each in replaced
        ]
        changes.append({"artifactLocation": {"uri": file}, "replacements": written})
    return {"fixes": [{"description": {"text": finding.remedy}, "artifactChanges": changes}]} if changes else {}


def _region(starts: Sequence[int], replaced: Replacement) -> JsonObject:
    """Where a replacement is: lines and columns from 1, the end column behind the last character."""
    region: JsonObject = {}
    for name, index in (("start", replaced.start), ("end", replaced.end)):
        line = bisect(starts, index)
        region[f"{name}Line"] = line
        region[f"{name}Column"] = index - starts[line - 1] + 1
    return region


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
        "properties": {
            "certainty": checkup.certainty(finding).value,
            **({"mend": [edit.to_json() for edit in finding.mend]} if finding.mend else {}),
        },
    }
    if finding.outcome is Outcome.NOT_JUDGED:
        # SARIF allows a level only where something failed.
        result["level"] = "none"
    if finding.outcome is Outcome.WAIVED:
        result["suppressions"] = [{"kind": "inSource", "justification": finding.reason}]
    return result
