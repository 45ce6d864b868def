"""Rules on what never reaches istiod: objects that the API server or Istio's webhook refuses, fields that are dropped.

Only what concerns mirrors and their routes is looked at. Written after the CustomResourceDefinitions and the
validation of Istio 1.31 and of the Gateway API 1.6, and held against both.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, cast

from .mends import rename
from .nodes import Node
from .objects import KubeObject
from .registry import Case, Report, Rule, Scope, Severity, object_rule, problem

VALIDATION: Final = "https://istio.io/latest/docs/ops/configuration/mesh/validation/"
PRUNING: Final = (
    "https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#field-pruning"
)

REFUSABLE: Final = (
    *("VirtualService", "HTTPRoute", "GRPCRoute", "DestinationRule", "ServiceEntry", "EnvoyFilter"),
    *("Gateway", "KubernetesGateway", "Sidecar"),
)
"""Kinds of which it is known what is refused."""

ENTRY_FIELDS: Final = frozenset(
    (
        *("corsPolicy", "delegate", "directResponse", "fault", "headers", "match", "mirror", "mirrorPercent"),
        *(
            "mirrorPercentage",
            "mirror_percent",
            "mirrors",
            "name",
            "redirect",
            "retries",
            "rewrite",
            "route",
            "timeout",
        ),
    )
)
"""Fields of an entry of a VirtualService: the only one in snake case is an old one that Istio kept."""

MATCH_FIELDS: Final = frozenset(
    (
        *("authority", "gateways", "headers", "ignoreUriCase", "method", "name", "port", "queryParams", "scheme"),
        *("sourceLabels", "sourceNamespace", "statPrefix", "uri", "withoutHeaders"),
    )
)
SPEC_FIELDS: Final = frozenset({"exportTo", "gateways", "hosts", "http", "tcp", "tls"})
ROUTE_FIELDS: Final = frozenset({"destination", "headers", "weight"})
DESTINATION_FIELDS: Final = frozenset({"host", "port", "subset"})
MIRROR_FIELDS: Final = frozenset({"destination", "percentage"})
SHARE_FIELDS: Final = frozenset({"value"})


@object_rule(
    kinds=REFUSABLE,
    rule_id="object-refused",
    decided_by=REFUSABLE,
    title="The cluster takes the object",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="What the API server or Istio's webhook refuses is not there, with everything that it says.",
    source=f"Held against both; {VALIDATION}",
    remedy="Correct the field",
)
def object_refused(case: Case, subject: KubeObject) -> Iterator[Report]:
    """Report what is refused, with the reason that is given for it."""
    for node, reason in case.cluster.refusals(subject):
        yield problem(subject, node, f"it is refused: {reason}")


@object_rule(
    kinds=("VirtualService",),
    rule_id="field-unknown",
    decided_by=("VirtualService",),
    title="Fields are those that Istio knows",
    severity=Severity.ERROR,
    scope=Scope.ROUTE,
    why="The API server drops a field that the object's definition does not have: a share that is dropped is 100 %, or"
    " 0 where only its number is, and a mirror that is dropped mirrors nothing.",
    source=PRUNING,
    remedy="Spell the field as the reference does",
)
def field_unknown(case: Case, subject: KubeObject) -> Iterator[Report]:
    """Report unknown fields of routes and of their mirrors."""
    del case
    spec = subject.spec
    for node, known in _known_fields(spec):
        given = node.value
        if not isinstance(given, Mapping) or known.issuperset(cast("Mapping[object, object]", given)):
            continue  # the quick test comes first: nearly all fields are spelled as they should
        for name, value in node.entries():
            if name not in known:
                close = next((each for each in sorted(known) if _plain(each) == _plain(name)), "")
                hint = f"; {close} is meant" if close else ""
                mend = rename(value, close) if close and not node[close].given else ()
                yield problem(subject, value, f"{name} is no field here, so it is dropped{hint}", mend=mend)


def _known_fields(spec: Node) -> Iterator[tuple[Node, frozenset[str]]]:
    yield spec, SPEC_FIELDS
    for entry in spec["http"].elements():
        yield entry, ENTRY_FIELDS
        yield from _each(entry["match"].elements(), MATCH_FIELDS)
        for route in entry["route"].elements():
            yield route, ROUTE_FIELDS
            yield route["destination"], DESTINATION_FIELDS
        yield entry["mirror"], DESTINATION_FIELDS
        yield entry["mirrorPercentage"], SHARE_FIELDS
        for mirror in entry["mirrors"].elements():
            yield mirror, MIRROR_FIELDS
            yield mirror["destination"], DESTINATION_FIELDS
            yield mirror["percentage"], SHARE_FIELDS


def _each(nodes: Sequence[Node], known: frozenset[str]) -> Iterator[tuple[Node, frozenset[str]]]:
    return ((node, known) for node in nodes)


def _plain(name: str) -> str:
    """A name without what a slip of the pen changes most: case, underscores, and vowels."""
    return "".join(each for each in name.lower() if each not in "_-aeiou")


RULES: Final[tuple[Rule, ...]] = (object_refused, field_unknown)
