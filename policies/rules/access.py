"""Rules on what an object opens: nodes' ports, addresses of others, every right, and changes that nobody judges."""

from collections.abc import Iterator
from typing import Final

from pulumi_traffic_mirror.model.rules import Severity
from pulumi_traffic_mirror.model.rules.objects import GROUPS

from ..resources import KUBERNETES, Resource
from .registry import Judgement, OrganisationLimits, ResourceRule, fault, of_kind
from .workloads import WORKLOADS

RBAC: Final = "rbac.authorization.k8s.io"
PATCH: Final = "Patch"
JUDGED: Final = frozenset({*GROUPS, *WORKLOADS, "CronJob", "Gateway", "RoleBinding", "ClusterRoleBinding"})
"""Kinds that rules of this pack read."""


def _node_port(resource: Resource, limits: OrganisationLimits) -> Iterator[Judgement]:
    kind = resource.props["spec"]["type"]
    if kind.text() == "NodePort":
        yield fault(resource, kind, "every node of the cluster listens for it")


def _external_addresses(resource: Resource, limits: OrganisationLimits) -> Iterator[Judgement]:
    addresses = resource.props["spec"]["externalIPs"]
    if addresses.elements():
        yield fault(resource, addresses, "whatever the cluster's pods send to these addresses goes to the Service")


def _every_right(resource: Resource, limits: OrganisationLimits) -> Iterator[Judgement]:
    role = resource.props["roleRef"]["name"]
    if role.text() == "cluster-admin":
        yield fault(resource, role, "whoever is bound may do everything")


def _is_patch(resource: Resource) -> bool:
    return resource.type.startswith(KUBERNETES) and resource.type.endswith(PATCH)


def _patched(resource: Resource, limits: OrganisationLimits) -> Iterator[Judgement]:
    kind = resource.type.rpartition(":")[2].removesuffix(PATCH)
    if kind in JUDGED:
        yield fault(resource, "metadata", f"what it makes of the {kind} is judged by no rule")


RULES: Final = (
    ResourceRule(
        id="service-node-port",
        title="Services open no port on every node",
        severity=Severity.WARNING,
        why="Whoever reaches a node reaches the Service, past gateways, their TLS and load balancers' ranges.",
        source="https://kubernetes.io/docs/concepts/services-networking/service/#type-nodeport",
        remedy="Use ClusterIP behind a gateway, or an internal load balancer",
        applies=of_kind("Service"),
        check=_node_port,
    ),
    ResourceRule(
        id="service-external-addresses",
        title="Services take no addresses of others",
        severity=Severity.ERROR,
        why="A Service with external addresses gets what pods send to them, whoever they belong to.",
        source="https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#denyserviceexternalips",
        remedy="Use a load balancer, whose address the cluster assigns",
        applies=of_kind("Service"),
        check=_external_addresses,
    ),
    ResourceRule(
        id="binding-cluster-admin",
        title="Nobody is bound to cluster-admin",
        severity=Severity.ERROR,
        why="One taken account is then the whole cluster, the mesh's CA and every Secret.",
        source="https://kubernetes.io/docs/concepts/security/rbac-good-practices/",
        remedy="Grant the verbs on the objects that it needs, by name where there are few",
        applies=of_kind("RoleBinding", "ClusterRoleBinding", groups=(RBAC,)),
        check=_every_right,
    ),
    ResourceRule(
        id="patch-not-judged",
        title="Objects that rules judge are not changed by patches",
        severity=Severity.WARNING,
        why="A patch holds a part of an object only, so that no rule sees what becomes of the whole.",
        source="https://www.pulumi.com/registry/packages/kubernetes/how-to-guides/managing-resources-with-server-side-apply/",
        remedy="Change the object where it is defined, or judge the live cluster: traffic-mirror check --context",
        applies=_is_patch,
        check=_patched,
    ),
)
