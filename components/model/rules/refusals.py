"""Rules on what never reaches istiod: objects that the API server or Istio's webhook refuses, fields that are dropped.

Only what concerns mirrors and their routes is looked at. Written after the CustomResourceDefinitions and the
validation of Istio 1.31 and of the Gateway API 1.6, and held against both.
"""

from collections.abc import Iterator
from typing import Final

from .mends import rename
from .objects import ROUTES, KubeObject
from .refusedlater import refused_later
from .registry import Case, Report, Rule, Scope, Severity, object_rule, problem
from .shapes import unknown_fields

VALIDATION: Final = "https://istio.io/latest/docs/ops/configuration/mesh/validation/"
PRUNING: Final = (
    "https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#field-pruning"
)

REFUSABLE: Final = (
    *("VirtualService", "HTTPRoute", "GRPCRoute", "DestinationRule", "ServiceEntry", "EnvoyFilter"),
    *("Gateway", "KubernetesGateway", "Sidecar"),
)
"""Kinds of which it is known what is refused."""

NAMED: Final = (*REFUSABLE, "Service")
"""These, and such of which names, labels and annotations are looked at."""


@object_rule(
    kinds=NAMED,
    rule_id="object-refused",
    decided_by=NAMED,
    title="The cluster takes the object",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="What the API server or Istio's webhook refuses is not there, with everything that it says.",
    source=f"Held against both; {VALIDATION}",
    remedy="Correct the field",
)
def object_refused(case: Case, subject: KubeObject) -> Iterator[Report]:
    """Report what is refused, with the reason that is given for it.

    What only some releases refuse is there with the others, so it counts for all other rules.
    """
    found = case.cluster.refusals(subject)
    for node, reason in found:
        yield problem(subject, node, f"it is refused: {reason}")
    for node, reason in refused_later(subject) if not found else ():
        yield problem(subject, node, f"not every release of the Gateway API takes it: {reason}", likely=True)


@object_rule(
    kinds=ROUTES,
    rule_id="field-unknown",
    decided_by=ROUTES,
    title="Fields are those that Istio knows",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="The API server drops a field that the object's definition does not have: a share that is dropped is 100 %, or"
    " 0 where only its number is, and a mirror that is dropped mirrors nothing.",
    source=PRUNING,
    remedy="Spell the field as the reference does",
)
def field_unknown(case: Case, subject: KubeObject) -> Iterator[Report]:
    """Report unknown fields of routes."""
    for place, name, known in unknown_fields(subject) if not case.cluster.is_plain(subject) else ():
        value = place[name]
        close = next((each for each in sorted(known) if _plain(each) == _plain(name)), "")
        hint = f"; {close} is meant" if close else ""
        mend = rename(value, close) if close and not place[close].given else ()
        yield problem(subject, value, f"{name} is no field here, so it is dropped{hint}", mend=mend)


def _plain(name: str) -> str:
    """A name without what a slip of the pen changes most: case, underscores, and vowels."""
    return "".join(each for each in name.lower() if each not in "_-aeiou")


RULES: Final[tuple[Rule, ...]] = (object_refused, field_unknown)
