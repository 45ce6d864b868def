"""What a mesh's configuration says for objects that leave it out. Source: MeshConfig of Istio's API, release 1.31."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from .gateways import labels
from .nodes import Node
from .objects import KubeObject
from .visibility import EXPORT

EXPORTS: Final = {
    "DestinationRule": "defaultDestinationRuleExportTo",
    "GRPCRoute": "defaultVirtualServiceExportTo",
    "HTTPRoute": "defaultVirtualServiceExportTo",
    "Service": "defaultServiceExportTo",
    "ServiceEntry": "defaultServiceExportTo",
    "VirtualService": "defaultVirtualServiceExportTo",
}
"""Where the mesh's configuration says who sees objects that do not say so themselves, by their kind."""

_NARROWED: Final = {"NONE": "~", "NAMESPACE": "."}


def under_mesh(mesh: Node, subject: KubeObject, namespace_labels: Callable[[str], Mapping[str, str]]) -> KubeObject:
    """An object with what the mesh makes of who sees it written in it; itself where nothing changes.

    Args:
        mesh: The mesh's configuration.
        subject: The object.
        namespace_labels: Labels of a namespace.
    """
    if subject.kind not in EXPORTS:
        return subject
    exports = _exports(mesh, subject, namespace_labels)
    if not exports:
        return subject
    if subject.kind == "Service":
        notes = {**_held(subject.annotations), EXPORT: ",".join(exports)}
        changed: dict[str, object] = {"metadata": {**_held(subject.root["metadata"]), "annotations": notes}}
    else:
        changed = {"spec": {**_held(subject.spec), "exportTo": exports}}
    return replace(subject, root=Node({**_held(subject.root), **changed}))


def _held(node: Node) -> dict[str, object]:
    return {key: each.value for key, each in node.entries()}


def _exports(mesh: Node, subject: KubeObject, namespace_labels: Callable[[str], Mapping[str, str]]) -> list[str]:
    """What the mesh makes of who sees an object; nothing where it stays as it is written."""
    if subject.kind == "Service":
        return [] if subject.annotation(EXPORT) else default_exports(mesh, subject.kind)
    if subject.spec["workloadSelector"].given and subject.kind == "DestinationRule":
        return []  # it is for its own namespace, whatever the mesh says
    given = subject.spec["exportTo"]
    written = given.texts()
    if given.given and not _is_list(given, written):
        return []  # it is refused for it
    exports = written or default_exports(mesh, subject.kind)
    visibility = mesh["serviceEntryVisibility"]
    if subject.kind == "ServiceEntry" and exports != ["~"] and visibility["applyToSidecars"].value is True:
        narrowed = _NARROWED.get(_visibility(visibility, namespace_labels(subject.namespace)), "")
        seen_at_home = not exports or not {"*", ".", subject.namespace}.isdisjoint(exports)
        exports = [narrowed if seen_at_home else "~"] if narrowed else exports
    return [] if exports == written else exports


def _is_list(given: Node, written: list[str]) -> bool:
    """Whether what is given is a list of just the texts that were read of it."""
    return isinstance(given.value, Sequence) and [each.value for each in given.elements()] == written


def default_exports(mesh: Node, kind: str) -> list[str]:
    """Who sees objects of a kind that do not say so themselves; nothing where the mesh does not say so either.

    For DestinationRules istiod knows their own namespace here, and nothing else. Source: setDestinationRules of its
    pilot; held against istiod.
    """
    written = mesh[EXPORTS[kind]].texts()
    if kind == "DestinationRule":
        return ["."] if "." in written else []
    return written


def _visibility(visibility: Node, own: Mapping[str, str]) -> str:
    """The visibility of ServiceEntries of a namespace with some labels: by the first policy whose rules all hold."""
    for policy in visibility["policies"].elements():
        selectors = [rule["namespaceSelector"] for rule in policy["matchingRules"].elements()]
        if all(selector.given and selects_labels(selector, own) for selector in selectors):
            return policy["visibility"].text()
    return visibility["defaultVisibility"].text()


def selects_labels(selector: Node, own: Mapping[str, str]) -> bool:
    """Whether a selector of Kubernetes' kind takes something with labels; an empty one takes everything."""
    if not labels(selector["matchLabels"]).items() <= own.items():
        return False
    for each in selector["matchExpressions"].elements():
        value, among = own.get(each["key"].text()), each["values"].texts()
        operator = each["operator"].text()
        holds = {
            "In": value in among,
            "NotIn": value not in among,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not holds.get(operator, False):
            return False
    return True
