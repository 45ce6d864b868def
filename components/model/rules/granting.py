"""Whether a mirror of the Gateway API may go to another namespace: what ReferenceGrants say there."""

from .clusters import ClusterObjects
from .mirror_entries import MirrorEntry
from .objects import GATEWAY_GROUP, KubeObject, service_name


def ungranted(cluster: ClusterObjects, mirror_entry: MirrorEntry) -> str:
    """Why a gateway leaves a mirror out that nothing grants its target in another namespace; empty where it does not.

    Raises:
        NotJudgedError: None of the grants at hand does, and one's namespace is not known yet.
    """
    service, own = service_name(mirror_entry.target.host), mirror_entry.source
    if not (mirror_entry.route.native and mirror_entry.at_gateway and cluster.complete and service):
        return ""
    name, namespace = service
    kind = mirror_entry.destination["kind"].text("Service")
    if namespace == own.namespace or any(
        grant.namespace == namespace and _grants(grant, own, kind, name) for grant in cluster.of("ReferenceGrant")
    ):
        return ""
    for unknown in cluster.homeless("ReferenceGrant"):
        raise unknown
    return f"no ReferenceGrant in {namespace} lets {own.kind}s of {own.namespace} refer to {kind} {name}"


def _grants(grant: KubeObject, route: KubeObject, kind: str, name: str) -> bool:
    """Whether a ReferenceGrant lets a route refer to an object of the grant's namespace."""
    given = [
        (node["kind"].text(), node["group"].text(), node["namespace"].text()) for node in grant.spec["from"].elements()
    ]
    named = [(node["kind"].text(), node["name"].text(name)) for node in grant.spec["to"].elements()]
    return (route.kind, GATEWAY_GROUP, route.namespace) in given and (kind, name) in named
