"""Rules on GKE's nodes: who they are and what they may do."""

from collections.abc import Iterator, Sequence
from typing import Final

from pulumi_traffic_mirror.model.rules import Node, NotJudgedError, Severity

from ..resources import Resource
from .gke import CLUSTER, is_autopilot
from .registry import (
    Fault,
    Judgement,
    OrganisationLimits,
    ResourceRule,
    StackRule,
    Unknown,
    fault,
    guarded,
    not_known,
    of_type,
)

NODE_POOL: Final = "gcp:container/nodePool:NodePool"
DEFAULT_ACCOUNT: Final = "-compute@developer.gserviceaccount.com"
"""End of the name of Compute Engine's default service account.
Source: https://cloud.google.com/compute/docs/access/service-accounts."""

ACCOUNT: Final = "gcp:serviceaccount/account:account::"
"""Type of a service account in a URN, in lower case: version 10 of the provider changed the spelling."""

GRANTS: Final = ("gcp:projects/iAMMember:IAMMember", "gcp:projects/iAMBinding:IAMBinding")
BASIC_ROLES: Final = ("roles/owner", "roles/editor")
PUBLIC_MEMBERS: Final = ("allUsers", "allAuthenticatedUsers")


def _node_configs(resource: Resource) -> list[Node]:
    """Where a pool or a cluster says what its nodes are."""
    if resource.type == NODE_POOL:
        return [resource.props["nodeConfig"]]
    if is_autopilot(resource):
        return [resource.props.at("clusterAutoscaling", "autoProvisioningDefaults")]
    inline = [pool["nodeConfig"] for pool in resource.props["nodePools"].elements()]
    own = resource.props["nodeConfig"]
    keeps_own = not inline and resource.props["removeDefaultNodePool"].known is not True
    return [*inline, *([own] if own.given or keeps_own else [])]


def _account(resource: Resource, limits: OrganisationLimits) -> Iterator[Judgement]:
    for config in _node_configs(resource):
        yield from guarded(resource, _own_account(resource, config))


def _own_account(resource: Resource, config: Node) -> Iterator[Fault]:
    account = config["serviceAccount"]
    if not account.given:
        yield fault(resource, account, "nodes run as the project's default service account")
        return
    name = account.text()
    if name in ("", "default") or name.endswith(DEFAULT_ACCOUNT):
        yield fault(resource, account, f"nodes run as the project's default service account {name!r}")


def _account_urns(resource: Resource, config: Node) -> tuple[str, ...]:
    """URNs of the accounts that a node configuration comes from; known before the accounts' names are."""
    urns = resource.origins.get(config.path.partition(".")[0].partition("[")[0], ())
    return tuple(urn for urn in urns if ACCOUNT in urn.lower())


def _metadata_mode(pool: Resource, limits: OrganisationLimits) -> Iterator[Judgement]:
    mode = pool.props.at("nodeConfig", "workloadMetadataConfig", "mode")
    if mode.text() != "GKE_METADATA":
        yield fault(pool, mode, "pods reach the metadata server of the machine and with it the node's identity")


def _secure_boot(pool: Resource, limits: OrganisationLimits) -> Iterator[Judgement]:
    secure = pool.props.at("nodeConfig", "shieldedInstanceConfig", "enableSecureBoot")
    if secure.known is not True:
        yield fault(pool, secure, "nodes boot unsigned components")


def _upkeep(pool: Resource, limits: OrganisationLimits) -> Iterator[Judgement]:
    for key, what in (("autoUpgrade", "upgraded"), ("autoRepair", "repaired")):
        yield from guarded(pool, _kept(pool, key, what))


def _kept(pool: Resource, key: str, what: str) -> Iterator[Fault]:
    kept = pool.props["management"][key]
    if kept.known is False:
        yield fault(pool, kept, f"nodes are not {what} by themselves")


def _node_roles(resources: Sequence[Resource], limits: OrganisationLimits) -> Iterator[Judgement]:
    names, urns, unknown = _node_accounts(resources)
    yield from unknown
    for grant in resources:
        if grant.type in GRANTS:
            yield from guarded(grant, _one_grant(grant, names, urns, limits))


def _node_accounts(resources: Sequence[Resource]) -> tuple[set[str], set[str], list[Unknown]]:
    """Names of the accounts that nodes run as, URNs of those that this program makes, and what is not known of them."""
    names: set[str] = set()
    urns: set[str] = set()
    unknown: list[Unknown] = []
    for resource in resources:
        if resource.type not in (NODE_POOL, CLUSTER):
            continue
        try:
            for config in _node_configs(resource):
                made_here = _account_urns(resource, config)
                urns.update(made_here)
                if not made_here:
                    names.add(config["serviceAccount"].text())
        except NotJudgedError as place:
            unknown.append(not_known(resource, place.path))
    return names - {""}, urns, unknown


def _one_grant(grant: Resource, names: set[str], urns: set[str], limits: OrganisationLimits) -> Iterator[Fault]:
    origins = {urn for key in ("member", "members") for urn in grant.origins.get(key, ())}
    if not urns & origins:
        members = [*grant.props["members"].texts(), grant.props["member"].text()]
        if not any(member.removeprefix("serviceAccount:") in names for member in members):
            return
    role = grant.props["role"]
    if role.text() not in limits.node_roles:
        yield fault(grant, role, f"nodes may do all that {role.text()!r} allows")


def _basic_roles(grant: Resource, limits: OrganisationLimits) -> Iterator[Judgement]:
    yield from guarded(grant, _basic(grant))
    yield from guarded(grant, _public(grant))


def _basic(grant: Resource) -> Iterator[Fault]:
    role = grant.props["role"]
    if role.text() in BASIC_ROLES:
        yield fault(grant, role, f"{role.text()} covers nearly every service of the project")


def _public(grant: Resource) -> Iterator[Fault]:
    for place in (grant.props["member"], grant.props["members"]):
        if any(member in PUBLIC_MEMBERS for member in place.texts()):
            yield fault(grant, place, "the role is given to everybody")


RULES: Final = (
    ResourceRule(
        id="gke-node-account",
        title="Nodes run as an account of their own",
        severity=Severity.ERROR,
        why="The default service account may edit the whole project in many organisations.",
        source="https://cloud.google.com/kubernetes-engine/docs/how-to/service-accounts",
        remedy="Make a service account with the roles that nodes need, and name it in nodeConfig.serviceAccount",
        applies=of_type(NODE_POOL, CLUSTER),
        check=_account,
    ),
    ResourceRule(
        id="gke-metadata-server",
        title="Pods do not see the node's identity",
        severity=Severity.ERROR,
        why="A pod that reads the machine's metadata gets a token of the node's service account.",
        source="https://cloud.google.com/kubernetes-engine/docs/how-to/workload-identity",
        remedy="Set nodeConfig.workloadMetadataConfig.mode to GKE_METADATA",
        applies=of_type(NODE_POOL),
        check=_metadata_mode,
    ),
    ResourceRule(
        id="gke-secure-boot",
        title="Nodes boot signed components only",
        severity=Severity.WARNING,
        why="A changed kernel or boot loader sees everything and is seen by nothing.",
        source="https://cloud.google.com/kubernetes-engine/docs/how-to/shielded-gke-nodes",
        remedy="Set nodeConfig.shieldedInstanceConfig.enableSecureBoot to true",
        applies=of_type(NODE_POOL),
        check=_secure_boot,
    ),
    ResourceRule(
        id="gke-node-upkeep",
        title="Nodes are upgraded and repaired by themselves",
        severity=Severity.WARNING,
        why="Nodes that nobody upgrades keep known faults; broken ones keep their pods.",
        source="https://cloud.google.com/kubernetes-engine/docs/concepts/node-auto-upgrades",
        remedy="Leave management.autoUpgrade and management.autoRepair on",
        applies=of_type(NODE_POOL),
        check=_upkeep,
    ),
    StackRule(
        id="gke-node-roles",
        settings=("node_roles",),
        title="Nodes may do no more than nodes need",
        severity=Severity.ERROR,
        why="Whoever escapes from a container has the rights of the node.",
        source="https://cloud.google.com/kubernetes-engine/docs/how-to/service-accounts",
        remedy="Take the role off, or name it in nodeRoles",
        applies=of_type(*GRANTS),
        check=_node_roles,
    ),
    ResourceRule(
        id="iam-wide-grant",
        title="Nobody gets a basic role, and nobody is everybody",
        severity=Severity.ERROR,
        why="Owner and editor cover nearly every service; allUsers is the internet.",
        source="https://cloud.google.com/iam/docs/roles-overview",
        remedy="Grant the predefined role that the task needs, to the account that does it",
        applies=of_type(*GRANTS, "gcp:projects/iAMPolicy:IAMPolicy"),
        check=_basic_roles,
    ),
)
