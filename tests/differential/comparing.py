"""What the linter says or implies about a mesh, against what istiod renders for each proxy."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, cast

from pulumi_traffic_mirror.model.rules import Severity
from pulumi_traffic_mirror.operations.meshes import Domain, domain_of, mesh_settings
from pulumi_traffic_mirror.operations.oracle import (
    Answer,
    Interpreter,
    Oracle,
    OracleError,
    Proxy,
    ProxyKind,
    Question,
    question_of,
)
from pulumi_traffic_mirror.operations.oracle.answers import MirrorFact
from pulumi_traffic_mirror.operations.oracle.rendered import named_entries, named_target
from tests.differential.claims import Claims, claims_of
from tests.differential.maker import Object
from tests.differential.mirrors import Disagreement, JudgedMirror
from tests.differential.naming import told_apart

REFUSED: Final = {"object-refused", "mirror-and-mirrors", "mirror-percent-range"}
"""Rules whose findings may say that the API server or the webhook refuses an object."""

FREEZING: Final = {"envoy-filter-refused-routes", "envoy-filter-authority"}
"""Rules whose findings say that Envoy refuses a whole route configuration."""

JUDGED_KINDS: Final = {
    "VirtualService",
    "HTTPRoute",
    "GRPCRoute",
    "EnvoyFilter",
    "ServiceEntry",
    "DestinationRule",
    "Gateway",
    "Sidecar",
}


@dataclass(frozen=True)
class Result:
    """A mesh, compared.

    Attributes:
        disagreements: What does not hold.
        mirrors: How many istiod renders.
        milliseconds: How long istiod took.
        ended: Why istiod ended at it, so that nothing could be compared; empty where it did not.
        refused: Objects that the API server or Istio's webhook refuses.
    """

    disagreements: list[Disagreement]
    mirrors: int
    milliseconds: float
    ended: str = ""
    refused: frozenset[str] = frozenset()


def compare(objects: Sequence[Object], oracle: Oracle) -> Result:
    """Hold every claim about a mesh against istiod."""
    domain = Domain(domain_of(objects))
    istiod = Interpreter(domain, oracle)
    objects = told_apart([cast("Object", domain.read(each)) for each in objects])
    mesh = mesh_settings(objects)
    question = question_of(named_entries(objects), root_namespace=mesh.root_namespace, mesh=mesh.config)
    try:
        answer = istiod.ask(question)
    except OracleError as error:
        return Result([], 0, 0, str(error))
    if reason := answer.get("error"):
        return Result([Disagreement("istiod-failed", "", reason[:160])], 0, answer["milliseconds"])
    claims = claims_of(objects)
    found = [*_refusals(answer, claims), *_frozen(answer, claims, partial(_of_callers, question, claims, istiod))]
    refused = {fact["object"] for fact in answer.get("objects", []) if fact.get("refused")}
    mirror_entries = claims.cluster.routing.mirror_entries
    frozen = bool(_refused_routes(answer))
    for mirror_entry in mirror_entries if not frozen else ():  # beyond: frozen
        if mirror_entry.route.aborted:
            continue  # Envoy answers before what istiod renders
        if (
            not {str(mirror_entry.source), str(mirror_entry.route.owner), str(mirror_entry.route.source)} & refused
        ):  # beyond: refused
            found += JudgedMirror(mirror_entry, claims, question, answer).disagreements()
    found += [*_unlisted(answer, claims, refused), *_unmade(answer, claims)] if not frozen else ()
    try:
        _ = found and istiod.ask(question)  # it may have ended while it answered, with some of it alone
    except OracleError as error:
        return Result([], 0, 0, str(error))
    mirrors = sum(1 for _ in _mirrors(answer))
    return Result(sorted(set(found)), mirrors, answer["milliseconds"], refused=frozenset(refused))


def _refusals(answer: Answer, claims: Claims) -> Iterable[Disagreement]:
    reasons = {fact["object"]: reason for fact in answer.get("objects", []) if (reason := fact.get("refused"))}
    for subject, reason in reasons.items():
        errors = {each.rule for each in claims.findings if each.object == subject and each.severity is Severity.ERROR}
        if subject.split()[0] in JUDGED_KINDS and not errors & REFUSED:  # beyond: kinds
            yield Disagreement("refused-silent", subject, reason[:120])
    for finding in claims.findings:
        if finding.rule == "object-refused" and finding.object not in reasons:
            yield Disagreement("refused-claimed", finding.object, finding.message[:120])
    for fact in answer.get("objects", []):
        pruned = [path for path in fact.get("pruned", []) if "mirror" in path.lower()]  # beyond: fields
        told = {"field-unknown", "mirror-never-sent"} & claims.about(fact["object"])
        if pruned and fact["object"] not in reasons and not told:
            yield Disagreement("pruned-silent", fact["object"], pruned[0])


def _refused_routes(answer: Answer) -> set[str]:
    """Why Envoy refuses route configurations of some proxies."""
    configs = (config for fact in answer.get("proxies", {}).values() for config in fact["routes"] or [])
    return {config.get("refused", "") for config in configs} - {""}


def _of_callers(question: Question, claims: Claims, istiod: Interpreter) -> Answer:
    """What istiod renders for the sidecars of all workloads, whose labels may let other entries through."""
    places = {each.namespace for each in question.proxies if each.kind is ProxyKind.SIDECAR}
    callers = [
        Proxy(kind=ProxyKind.SIDECAR, namespace=each.namespace, labels=own, gateway=each.name)
        for each, own in claims.cluster.workloads
        if each.namespace in places
    ]
    return istiod.ask(replace(question, proxies=callers))


def _frozen(answer: Answer, claims: Claims, ask_callers: Callable[[], Answer]) -> Iterable[Disagreement]:
    reasons = _refused_routes(answer)
    told = {each.rule for each in claims.findings}
    owners = {route.owner: route.bound for route in claims.cluster.routing.routes}
    unlabelled = any(claims.unlabelled(owner.namespace, bound) for owner, bound in owners.items())  # beyond: labels
    filters = claims.cluster.of("EnvoyFilter")
    chosen = {str(each) for each in filters if each.spec["workloadSelector"].given}  # beyond: labels
    unclear = unlabelled or claims.cluster.patches.removes_places  # beyond: hosts
    unsure = [each for each in claims.findings if each.likely and (unclear or each.object in chosen)]
    claimed = {each.rule for each in claims.findings if each not in unsure} & FREEZING
    if reasons and not told & FREEZING:
        yield Disagreement("envoy-refuses-routes", "", sorted(reasons)[0])
    if (
        claimed and not reasons and "host-routed-twice" not in told and not _refused_routes(ask_callers())
    ):  # beyond: twice
        yield Disagreement("envoy-refusal-claimed", "", ", ".join(claimed))


def _unmade(answer: Answer, claims: Claims) -> Iterable[Disagreement]:
    """Mirrors that an EnvoyFilter is surely said to make, and that no proxy has."""
    there = {mirror["cluster"] for _, _, mirror in _mirrors(answer)}
    if any(each.rule == "host-routed-twice" for each in claims.findings):  # beyond: twice
        return
    if any(each.spec["workloadSelector"].given for each in claims.cluster.of("Sidecar")):  # beyond: labels
        return
    for finding in claims.findings:
        if finding.rule == "envoy-filter-mirrors" and not finding.likely:
            name = finding.message.removeprefix("copies go to ").partition(",")[0]
            if name not in there:
                yield Disagreement("mirror-of-filter-claimed", finding.object, name)


def _mirrors(answer: Answer) -> Iterable[tuple[str, str, MirrorFact]]:
    """Every mirror that some proxy has, with the proxy's name and that of the virtual host."""
    for name, fact in answer.get("proxies", {}).items():
        for config in fact["routes"] or []:
            for host in config["hosts"] or []:
                for holder in (host, *(host["routes"] or [])):
                    for mirror in holder.get("mirrors", []):
                        yield name, host["name"], mirror


def _unlisted(answer: Answer, claims: Claims, refused: set[str]) -> Iterable[Disagreement]:
    """Mirrors that proxies have and the linter does not list."""
    targets = [
        mirror_entry.target
        for mirror_entry in claims.cluster.routing.mirror_entries
        if str(mirror_entry.source) not in refused
    ]
    stand_ins = claims.stand_ins
    listed = {(each.subset, each.host) for each in targets}
    listed |= {(each.subset, stand_ins[each.host]) for each in targets if each.host in stand_ins}
    for name, host, mirror in _mirrors(answer):
        found = named_target(mirror["cluster"])
        told = "envoy-filter-mirrors" in claims.naming(mirror["cluster"])
        if name.startswith("sidecar/") and name.split("/")[1] not in claims.cluster.namespaces:  # beyond: others
            continue
        called, _, port = host.rpartition(":")
        if claims.cluster.service(called) and int(port) not in claims.cluster.ports_of(called):  # beyond: uncalled
            continue
        if mirror["share"] > 0 and found and found[:2] not in listed and not told:
            yield Disagreement("mirror-unlisted", "", f"{mirror['cluster']} at {name.split('/')[0]}")
