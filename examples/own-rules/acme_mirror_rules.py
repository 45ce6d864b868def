"""Acme's own rules: ``pip install`` this package beside traffic-mirror, and ``check`` and the pack know them."""

from collections.abc import Iterator

from pulumi_traffic_mirror.extensions import Case, KubeObject, Report, Scope, Severity, object_rule, problem

OWNER = "acme.example/owner"


@object_rule(
    kinds=("VirtualService",),
    rule_id="acme-routes-have-an-owner",
    title="A VirtualService names the team that owns it",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="Whoever is on call looks for the owner of a mirror first, and finds nobody.",
    source="Acme's handbook, chapter 7",
    remedy=f"Add the annotation {OWNER}",
    decided_by=("VirtualService",),
)
def routes_have_an_owner(case: Case, subject: KubeObject) -> Iterator[Report]:
    """Report VirtualServices without an owner."""
    if not subject.annotation(OWNER):
        yield problem(subject, "metadata.annotations", f"names no owner in {case.cluster.name}")


RULES = (routes_have_an_owner,)
