"""Findings beside what istiod itself renders: confirmed, contradicted, and what no rule had seen."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from ...model.rules import RULES, ClusterObjects, Finding, KubeObject, MirrorEntry, Outcome, Severity
from .answers import Answer
from .gaps import sending_gap, target_gap
from .process import Oracle, OracleError
from .question import Question, by_age, question_of
from .rendered import named_entries, on_one_line, refusals
from .showing import ABSENT, EMPTY, UNANSWERED, UNBOUNDED, UNSENT, Shown, shown
from .speaking import Interpreter

REFUSED: Final = "object-refused"

_EXPLAINED: Final = {
    UNSENT: frozenset(
        (
            *(UNSENT, UNANSWERED, "mirror-not-granted", "mirror-ambient-without-waypoint"),
            *("gateway-undefined", "gateway-host", "gateway-namespace", "gateway-selector", "host-routed-twice"),
            *("mirror-policy-drift", "mirror-percent-range"),
        )
    ),
    ABSENT: frozenset(
        (
            *(ABSENT, "mirror-target-port-undefined", "mirror-target-hidden", "mirror-subset-undefined"),
            *("mirror-target-no-port", "service-entry-hidden", "mirror-not-granted"),
        )
    ),
    UNANSWERED: frozenset({UNANSWERED}),
    EMPTY: frozenset({EMPTY, "service-entry-without-address", "mirror-target-headless"}),
    UNBOUNDED: frozenset({UNBOUNDED}),
}
"""What istiod shows, with the rules that may have said so already."""

_WORDS: Final = {
    UNSENT: "renders it at no proxy that was asked for",
    ABSENT: "renders it, and no cluster for its target",
    UNANSWERED: "renders it, and no cluster for its primary, so that its proxy answers 503 and copies nothing",
    EMPTY: "renders it, and no endpoint of its target",
    UNBOUNDED: "renders it with nothing that ends a copy",
}
_WEIGHT: Final = {severity: index for index, severity in enumerate(Severity)}

UNSERVED: Final = "no kind "
"""Begins what is said of an object whose version the definitions do not serve."""

_DEPENDENT: Final = frozenset({EMPTY})
"""Rules whose findings are not certain even where istiod shows them: another file may have the pods."""


@dataclass(frozen=True, kw_only=True)
class Confirmed:
    """Findings after istiod was asked.

    Attributes:
        findings: All that stand.
        by_istiod: Those of them that are certain because istiod shows them.
    """

    findings: Sequence[Finding]
    by_istiod: frozenset[Finding] = field(default=frozenset())


def confirm(cluster: ClusterObjects, findings: Sequence[Finding], oracle: Oracle | Interpreter) -> Confirmed:
    """Ask istiod about one cluster.

    Raises:
        OracleError: It gives no answer, or fails.
    """
    objects = [each.root.value if isinstance(each, KubeObject) else each for each in cluster.objects]
    question = question_of(named_entries(objects), root_namespace=cluster.root_namespace, mesh=cluster.mesh_config)
    answers = [_ask(cluster, by_age(question), oracle)]
    if cluster.routing.sent:
        answers.append(_ask(cluster, by_age(question, reverse=True), oracle))
    said = f"istiod {answers[0]['version']}"
    own = [each for each in findings if each.cluster == cluster.name and each.outcome is not Outcome.WAIVED]
    kept = [each for each in findings if each not in own]
    told: list[Finding] = []
    for finding, fact in _paired(cluster, question, answers, own, said):
        if finding in own:
            own.remove(finding)
        if fact and not any(_alike(fact, each) for each in told):  # of its primary each mirror of an entry tells
            told.append(fact)
    standing = sorted([*kept, *own, *told], key=lambda each: (_WEIGHT[each.severity], each.cluster, each.object))
    certain = (each for each in told if each.outcome is Outcome.BROKEN and not _may_change(each))
    return Confirmed(findings=standing, by_istiod=frozenset(certain))


def _ask(cluster: ClusterObjects, question: Question, oracle: Oracle | Interpreter) -> Answer:
    try:
        answer = oracle.ask(question)
    except TypeError as error:  # JSON has no word for what is not known yet
        raise OracleError(
            f"istiod cannot tell for {cluster.name}: some values are not known yet", remedy="Check without --istiod"
        ) from error
    if reason := answer.get("error"):
        raise OracleError(
            f"istiod cannot tell for {cluster.name}: {on_one_line(reason)}", remedy="Check without --istiod"
        )
    return answer


def _paired(
    cluster: ClusterObjects, question: Question, answers: Sequence[Answer], findings: Sequence[Finding], said: str
) -> Iterator[tuple[Finding | None, Finding | None]]:
    """Each finding that istiod shows or contradicts, with what then stands in its place; new ones beside none."""
    refused = refusals(answers[0])
    told = [each for each in findings if each.rule == REFUSED]
    for finding in told:
        reason = refused.get(finding.object, "")
        yield finding, _told(finding, f"{said} and the API server say: {reason}") if reason else None
    known = {each.object for each in told}
    for subject, reason in [pair for pair in refused.items() if pair[0] not in known]:
        made = _made(cluster, REFUSED, subject, "spec", f"it is refused: {reason}")
        # A version that some release serves no rule takes for refused, and istiod is asked with the newest definitions.
        yield None, replace(made, likely=reason.startswith(UNSERVED))
    if any(map(_freezes, answers)):
        return  # proxies then keep the routes that they had, and a rule names the EnvoyFilter
    for mirror_entry in cluster.routing.sent:
        route = mirror_entry.route
        if refused.keys().isdisjoint(map(str, (mirror_entry.source, route.owner, route.source))):
            yield from _of_site(cluster, mirror_entry, findings, shown(cluster, mirror_entry, question, answers), said)


def _freezes(answer: Answer) -> bool:
    """Whether Envoy refuses a whole route configuration of some proxy."""
    configs = (config for fact in answer.get("proxies", {}).values() for config in fact["routes"] or [])
    return any(config.get("refused") for config in configs)


def _of_site(
    cluster: ClusterObjects, mirror_entry: MirrorEntry, findings: Sequence[Finding], seen: Shown, said: str
) -> Iterator[tuple[Finding | None, Finding | None]]:
    subject, path = str(mirror_entry.source), mirror_entry.node.path
    route = mirror_entry.route
    near = {each.rule for each in findings if each.object in (subject, str(route.owner), str(route.source))}
    near |= {each.rule for each in findings if mirror_entry.target.host in each.message}
    if gap := _gap(cluster, mirror_entry, seen):
        if not near & {each for rule in seen.facts | seen.unsettled for each in _EXPLAINED[rule]}:
            yield None, _open(cluster, subject, path, f"{said} cannot show it: {gap}")
        return
    for rule, explained in _EXPLAINED.items():
        place = (str(route.source), route.entry.path) if rule == UNANSWERED else (subject, path)
        own = next((each for each in findings if (each.rule, each.object, each.field) == (rule, *place)), None)
        if rule in seen.facts:
            if own:
                yield own, _told(own, f"{said} {_WORDS[rule]}")
            elif not near & explained:
                yield None, _made(cluster, rule, *place, f"{said} {_WORDS[rule]}")
        elif own and rule in seen.denied and (rule == UNSENT or not sending_gap(cluster, mirror_entry)):
            yield own, None  # istiod renders the contrary, at every proxy that may send it


def _gap(cluster: ClusterObjects, mirror_entry: MirrorEntry, seen: Shown) -> str:
    """What is not at hand and may be why istiod does not render a mirror, or a cluster of it; empty for nothing."""
    if UNSENT in seen.facts:
        return sending_gap(cluster, mirror_entry)
    if seen.facts & {ABSENT, UNANSWERED} and (gap := target_gap(cluster, mirror_entry)):
        return gap
    return "which of the objects are older decides it" if seen.unsettled & {UNSENT, ABSENT, UNANSWERED} else ""


def _may_change(finding: Finding) -> bool:
    """Whether another file, or another release of the definitions, may change what istiod shows."""
    return finding.rule in _DEPENDENT or (finding.rule == REFUSED and finding.likely)


def _alike(one: Finding, other: Finding) -> bool:
    return (one.rule, one.object, one.field) == (other.rule, other.object, other.field)


def _told(finding: Finding, fact: str) -> Finding:
    return replace(finding, message=f"{finding.message}; {fact}")


def _open(cluster: ClusterObjects, subject: str, path: str, message: str) -> Finding:
    made = _made(cluster, UNSENT, subject, path, message)
    return replace(made, outcome=Outcome.NOT_JUDGED, remedy="Give everything that concerns the mirror")


def _made(cluster: ClusterObjects, rule_id: str, subject: str, path: str, message: str) -> Finding:
    rule = next(each for each in RULES if each.id == rule_id)
    return Finding(
        rule=rule_id,
        severity=Severity.ERROR,
        cluster=cluster.name,
        object=subject,
        field=path,
        message=message,
        remedy=rule.remedy,
    )
