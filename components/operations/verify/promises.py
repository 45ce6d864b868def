"""What objects promise of a mirror: bounds, a mark, and headers that copies must not carry. Pure."""

from ...model.credentials import LEAST_CREDENTIAL_HEADERS
from ...model.rules import ClusterObjects, KubeObject, Node, Route
from ...model.rules.policies import policies
from ...model.rules.routes import Target
from ...model.safety import Brakes


def promised_brakes(
    staging: ClusterObjects,
    route: Route,
    target: Target,
    sender: tuple[str, str],
    *,
    promised: bool,
    own: KubeObject | None = None,
) -> tuple[float, int]:
    """Bounds on a copy's life and on copies in flight, as objects give them to the proxies that send; 0 for none.

    Args:
        staging: Objects of the cluster that owns the traffic.
        route: The route entry that mirrors.
        target: The mirror.
        sender: Kind and namespace of the proxies.
        promised: Whether this library rendered the mirror with a bound.
        own: The EnvoyFilter that makes the mirror, which reaches these proxies.
    """
    context, namespace = sender
    applying = [
        patch
        for patch in staging.patches.of_cluster(target.cluster_name)
        if (patch.source == own and context in patch.contexts) or staging.applies(patch, context, namespace, route)
    ]
    duration = max((bound for patch in applying if (bound := patch.stream_bound)), default=0.0)
    if not duration and promised and staging.patches_all("CLUSTER"):
        # This library renders one with every mirror, so somebody took it away.
        duration = Brakes().max_duration_seconds
    found = policies(staging, route, target, sender)
    limits = [each.setting("connectionPool")["http"]["http2MaxRequests"].integer() or 0 for each in found]
    return duration, min(limits, default=0)


def written_scrub(staging: ClusterObjects, cluster: str) -> tuple[tuple[str, str], frozenset[str]] | None:
    """Mark and removed headers as an EnvoyFilter of this library writes them for a mirror.

    None when none does, or the control plane applies none to routes: what it says is in force nowhere then.
    """
    if not staging.patches_all("HTTP_ROUTE"):
        return None
    for source in staging.of("EnvoyFilter"):
        for patch in source.spec["configPatches"].elements():
            for policy in patch["patch"]["value"]["route"]["request_mirror_policies"].elements():
                if policy["cluster"].text() != cluster:
                    continue
                if found := scrub_of(policy):
                    return found
    return None


def scrub_of(policy: Node) -> tuple[tuple[str, str], frozenset[str]] | None:
    """Mark and removed headers of a mirror policy; None where it sets no mark.

    What every mirror must keep off counts as removed: where it is not written, somebody took it away.
    """
    mutations = policy["request_headers_mutations"].elements()
    removed = frozenset(each["remove"].text() for each in mutations if each["remove"].given)
    marks = [each["append"]["header"] for each in mutations if each["append"].given]
    if not marks:
        return None
    return (marks[0]["key"].text(), marks[0]["value"].text()), removed.union(LEAST_CREDENTIAL_HEADERS)
