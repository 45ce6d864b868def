"""What objects that rules do read say beside that, by which they hold for some proxies or control planes only."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from typing import Final

from ..model.rules import KubeObject, Node, NotJudgedError, is_istiod
from ..model.rules.control_plane import revision_of
from ..model.rules.gateways import namespace_labels
from ..model.rules.managed import REVISION
from ..model.rules.mesh_config import selects_labels

SCOPED: Final = "PILOT_SCOPE_GATEWAY_TO_NAMESPACE"
"""istiod's environment variable by which a Gateway chooses pods of its own namespace alone.
Source: https://istio.io/latest/docs/reference/commands/pilot-discovery/"""

BY_REVISION: Final = frozenset(
    {
        *("VirtualService", "DestinationRule", "ServiceEntry", "Gateway", "EnvoyFilter", "Sidecar"),
        *("KubernetesGateway", "HTTPRoute", "GRPCRoute"),
    }
)
"""Kinds of which istiod reads those of its own revision alone, where they are labelled."""

PATCHED: Final = frozenset({"CLUSTER", "HTTP_ROUTE", "ROUTE_CONFIGURATION", "VIRTUAL_HOST"})
"""What an EnvoyFilter changes of mirrors."""


def unjudged(objects: Sequence[KubeObject]) -> Iterator[tuple[KubeObject, str, str]]:
    """What is not judged of some objects: the object, the field, and words for it.

    Args:
        objects: Objects of a cluster.
    """
    chosen = any(each.kind == "Gateway" for each in objects)
    planes = [each for each in objects if is_istiod(each)]
    revisions: set[str] = set()
    for each in planes:
        with suppress(NotJudgedError):  # then what is for any revision may be for its own
            revisions.add(revision_of(each.root))
    for each in objects:
        with suppress(NotJudgedError):  # rules say so
            if is_istiod(each):
                yield from _scoped(each) if chosen else ()
            elif each.kind == "EnvoyFilter":
                yield from _by_metadata(each)
            if planes and each.kind in BY_REVISION:
                yield from _of_revision(each, revisions)


def undiscovered(config: Node, objects: Sequence[KubeObject], root_namespace: str) -> str:
    """In words, of which namespaces it is not sure that istiod reads them; empty for none.

    Args:
        config: The mesh's configuration.
        objects: Objects of a cluster.
        root_namespace: Istio's root namespace.
    """
    selectors = config["discoverySelectors"].elements()
    own = {each.name: each.root["metadata"]["labels"] for each in objects if each.kind == "Namespace"}
    used = {each.namespace for each in objects if each.kind not in ("Namespace", "GatewayClass")} - {root_namespace}
    unsure = (
        [name for name in sorted(used) if not _is_selected(selectors, name, own.get(name, Node(None)))]
        if selectors
        else []
    )
    return f"by its discoverySelectors, whether istiod reads {', '.join(unsure[:3])}," if unsure else ""


def _is_selected(selectors: Sequence[Node], name: str, own: Node) -> bool:
    try:
        known = namespace_labels(name, own)
        return any(selects_labels(each, known) for each in selectors)
    except NotJudgedError:
        return False


def _of_revision(subject: KubeObject, revisions: Collection[str]) -> Iterator[tuple[KubeObject, str, str]]:
    revision = subject.root["metadata"]["labels"][REVISION].text()
    if revision and revision not in revisions:
        field = f"metadata.labels.{REVISION}"
        yield subject, field, f"that it is for revision {revision}, which no given istiod is of,"


def _scoped(istiod: KubeObject) -> Iterator[tuple[KubeObject, str, str]]:
    for container in istiod.spec["template"]["spec"]["containers"].elements():
        for variable in container["env"].elements():
            if variable["name"].text() == SCOPED and variable["value"].text().lower() in ("true", "1", "t"):
                yield istiod, variable.path, f"{SCOPED}, by which Gateways have no pods of other namespaces,"


def _by_metadata(envoy_filter: KubeObject) -> Iterator[tuple[KubeObject, str, str]]:
    for patch in envoy_filter.spec["configPatches"].elements():
        chosen = patch["match"]["proxy"]["metadata"]
        if chosen.given and patch["applyTo"].text() in PATCHED:
            yield envoy_filter, chosen.path, "which proxies have this metadata"
