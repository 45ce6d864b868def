"""Parts of objects by which others are found: while one is not known, a rule that goes by it would stay silent."""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum, unique
from typing import Final

from .clusters import WORKLOADS, ClusterObjects
from .nodes import UNKNOWN, Node
from .objects import KubeObject


@unique
class Lookup(StrEnum):
    """What is found by parts of other objects."""

    PODS = "pods"
    """Which pods a Gateway or a Service consists of: selectors, and the labels of pods."""
    LISTENERS = "listeners"
    """What a gateway listens for."""


_POD_LABELS: Final = ("spec", "template", "metadata", "labels")
PARTS: Final[Mapping[str, Mapping[Sequence[str], Lookup]]] = {
    "Gateway": {("spec", "selector"): Lookup.PODS, ("spec", "servers"): Lookup.LISTENERS},
    "Service": {("spec", "selector"): Lookup.PODS},
    **{kind: {_POD_LABELS: Lookup.PODS} for kind in WORKLOADS},
    "Pod": {("metadata", "labels"): Lookup.PODS},
}
"""Parts by kind and path, and what is found by each."""


def unknown_parts(cluster: ClusterObjects) -> Sequence[tuple[KubeObject, str, Lookup]]:
    """Places in a cluster's objects that are not known yet, and what would be found by each."""
    return cluster.once("unknown parts", lambda: list(_unknown_parts(cluster)))


def _unknown_parts(cluster: ClusterObjects) -> Iterator[tuple[KubeObject, str, Lookup]]:
    for kind, parts in PARTS.items():
        for subject in cluster.of(kind):
            for path, lookup in parts.items():
                yield from ((subject, place, lookup) for place in unknown_places(_below(subject.root, path)))


def _below(node: Node, path: Sequence[str]) -> Node:
    """The place at ``path``, or the first unknown one on the way."""
    for key in path:
        if node.value is UNKNOWN:
            break
        node = node[key]
    return node


def unknown_places(root: Node) -> Iterator[str]:
    """Paths of all unknown values below ``root``, itself included."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.value is UNKNOWN:
            yield node.path
        else:
            waiting += [inner for _, inner in node.entries()] + node.elements()
