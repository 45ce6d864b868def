"""The requests that a provider makes of what our components register, by a mapping of our own.

The mapping follows terraform-provider-google (``expand…`` functions, release 8.0). It refuses a property that it does
not know, so that nothing escapes the checks; that the provider maps likewise is not proved by it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any, Final

from tests.support.recording import Recorded, Recording

Body = dict[str, Any]

_SAME: Final = ""
_LEFT: Final = "-"
"""Properties that are the provider's own, or a part of the request's path."""

CLUSTER: Final[Mapping[str, str]] = {
    **dict.fromkeys(("project", "location", "deletionProtection", "removeDefaultNodePool", "networkingMode"), _LEFT),
    **dict.fromkeys(
        (
            *("network", "subnetwork", "resourceLabels", "ipAllocationPolicy", "releaseChannel", "masterAuth"),
            *("anonymousAuthenticationConfig", "rbacBindingConfig", "securityPostureConfig", "costManagementConfig"),
            *("databaseEncryption", "binaryAuthorization", "workloadIdentityConfig", "initialNodeCount", "nodeConfig"),
            *("controlPlaneEndpointsConfig", "nodePoolAutoConfig"),
        ),
        _SAME,
    ),
    "nodeLocations": "locations",
    "maintenancePolicy.recurringWindow.startTime": "maintenancePolicy.window.recurringWindow.window.startTime",
    "maintenancePolicy.recurringWindow.endTime": "maintenancePolicy.window.recurringWindow.window.endTime",
    "maintenancePolicy.recurringWindow.recurrence": "maintenancePolicy.window.recurringWindow.recurrence",
    "privateClusterConfig.enablePrivateNodes": "networkConfig.defaultEnablePrivateNodes",
    "privateClusterConfig.masterIpv4CidrBlock": "privateClusterConfig.masterIpv4CidrBlock",
    "privateClusterConfig.enablePrivateEndpoint": _LEFT,
    "masterAuthorizedNetworksConfig": "controlPlaneEndpointsConfig.ipEndpointsConfig.authorizedNetworksConfig",
    "datapathProvider": "networkConfig.datapathProvider",
    "enableL4IlbSubsetting": "networkConfig.enableL4ilbSubsetting",
    "enableShieldedNodes": "shieldedNodes.enabled",
    "enableLegacyAbac": "legacyAbac.enabled",
    "loggingConfig": "loggingConfig.componentConfig",
    "monitoringConfig.enableComponents": "monitoringConfig.componentConfig.enableComponents",
    "monitoringConfig.managedPrometheus": "monitoringConfig.managedPrometheusConfig",
    "enableAutopilot": "autopilot.enabled",
    "allowNetAdmin": "autopilot.workloadPolicyConfig.allowNetAdmin",
    "clusterAutoscaling.autoProvisioningDefaults": "autoscaling.autoprovisioningNodePoolDefaults",
}
NODE_POOL: Final[Mapping[str, str]] = {
    **dict.fromkeys(("project", "location", "cluster"), _LEFT),
    **dict.fromkeys(("initialNodeCount", "autoscaling", "management", "upgradeSettings", "networkConfig"), _SAME),
    "nodeConfig": "config",
}
NETWORK: Final[Mapping[str, str]] = {
    "project": _LEFT,
    "autoCreateSubnetworks": _SAME,
    "routingMode": "routingConfig.routingMode",
}
SUBNETWORK: Final[Mapping[str, str]] = {
    **dict.fromkeys(("network", "ipCidrRange", "region", "secondaryIpRanges", "privateIpGoogleAccess"), _SAME),
    "project": _LEFT,
}
ROUTER: Final[Mapping[str, str]] = {"project": _LEFT, "region": _SAME, "network": _SAME}
NAT: Final[Mapping[str, str]] = {
    **dict.fromkeys(("project", "region", "router"), _LEFT),
    **dict.fromkeys(("natIpAllocateOption", "sourceSubnetworkIpRangesToNat", "subnetworks", "logConfig"), _SAME),
}
FIREWALL: Final[Mapping[str, str]] = {
    **dict.fromkeys(("network", "description", "direction", "sourceRanges", "targetServiceAccounts"), _SAME),
    "project": _LEFT,
    "allows": "allowed",
}
PEERING: Final[Mapping[str, str]] = {"network": _LEFT, "peerNetwork": "network"}
ACCOUNT: Final[Mapping[str, str]] = {
    "project": _LEFT,
    "accountId": _SAME,
    "displayName": "serviceAccount.displayName",
}

PLURALS: Final = {"sourceIpRangesToNats": "sourceIpRangesToNat", "protocol": "IPProtocol"}
"""Inner names that differ."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One call of Google's API."""

    api: str
    verb: str
    path: str
    body: Body


def requests_of(resource: Recorded) -> Request:
    """The request that makes a resource.

    Raises:
        KeyError: It has a property that the mapping does not know.
    """
    return _MAKERS[resource.type](resource.name, resource.inputs)


def deployment(recording: Recording) -> Iterator[Request]:
    """The requests of a whole recording: what others are made of first."""
    waiting = {each.urn: each for each in recording.resources if each.type.startswith("gcp:")}
    order = TopologicalSorter({urn: waiting.keys() & set(each.depends_on) for urn, each in waiting.items()})
    return (requests_of(waiting[urn]) for urn in order.static_order())


def mapped(inputs: Mapping[str, Any], table: Mapping[str, str], below: str = "") -> Body:
    """The body of a request, by a table of paths.

    Raises:
        KeyError: A property is not in the table.
    """
    body: Body = {}
    for key, value in inputs.items():
        path = f"{below}.{key}" if below else key
        if path in table:
            if table[path] != _LEFT:
                _put(body, table[path] or path, _inner(value))
        elif isinstance(value, Mapping) and any(known.startswith(f"{path}.") for known in table):
            _lay(body, mapped(value, table, path))
        else:
            raise KeyError(path)
    return body


def _inner(value: Any) -> Any:
    if isinstance(value, Mapping):
        # The provider takes a text where the API has a boolean that may be left out.
        return {
            PLURALS.get(key, key): inner == "TRUE" if inner in ("TRUE", "FALSE") else _inner(inner)
            for key, inner in value.items()
        }
    return [_inner(item) for item in value] if isinstance(value, list) else value


def _put(body: Body, path: str, value: Any) -> None:
    *outer, last = path.split(".")
    for key in outer:
        body = body.setdefault(key, {})
    if isinstance(value, dict):
        _lay(body.setdefault(last, {}), value)
    else:
        body[last] = value


def _lay(under: Body, over: Mapping[str, Any]) -> None:
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(under.get(key), dict):
            _lay(under[key], value)
        else:
            under[key] = value


def _cluster(name: str, inputs: Mapping[str, Any]) -> Request:
    cluster = {"name": name, **mapped(inputs, CLUSTER)}
    cluster["ipAllocationPolicy"]["useIpAliases"] = True
    endpoints = cluster["controlPlaneEndpointsConfig"]["ipEndpointsConfig"]
    if endpoints["enabled"]:
        endpoints["enablePublicEndpoint"] = not inputs["privateClusterConfig"]["enablePrivateEndpoint"]
        endpoints["authorizedNetworksConfig"]["enabled"] = True
    # What the provider sends unasked; in Autopilot it turns intranode visibility on.
    cluster.setdefault("legacyAbac", {"enabled": False})
    cluster.setdefault("shieldedNodes", {"enabled": True})
    autopilot = cluster.setdefault("autopilot", {"enabled": False})["enabled"]
    cluster["networkConfig"]["enableIntraNodeVisibility"] = autopilot
    cluster["resourceLabels"] = {**cluster["resourceLabels"], "goog-pulumi-provisioned": "true"}
    if "privateClusterConfig" in cluster:
        cluster["privateClusterConfig"]["enablePrivateNodes"] = True
    path = f"v1beta1/projects/{inputs['project']}/locations/{inputs['location']}/clusters"
    return Request(api="container", verb="POST", path=path, body={"cluster": cluster})


def _node_pool(name: str, inputs: Mapping[str, Any]) -> Request:
    pool = {"name": name, **mapped(inputs, NODE_POOL)}
    pool["autoscaling"]["enabled"] = True
    place = f"projects/{inputs['project']}/locations/{inputs['location']}/clusters/{inputs['cluster']}"
    return Request(api="container", verb="POST", path=f"v1beta1/{place}/nodePools", body={"nodePool": pool})


def _compute(collection: str, table: Mapping[str, str]) -> "Callable[[str, Mapping[str, Any]], Request]":
    def made(name: str, inputs: Mapping[str, Any]) -> Request:
        place = f"regions/{inputs['region']}" if "region" in inputs else "global"
        path = f"compute/v1/projects/{inputs['project']}/{place}/{collection}"
        return Request(api="compute", verb="POST", path=path, body={"name": name, **mapped(inputs, table)})

    return made


def _nat(name: str, inputs: Mapping[str, Any]) -> Request:
    path = f"compute/v1/projects/{inputs['project']}/regions/{inputs['region']}/routers/{inputs['router']}"
    body = {"nats": [{"name": name, **mapped(inputs, NAT)}]}
    return Request(api="compute", verb="PATCH", path=path, body=body)


def _peering(name: str, inputs: Mapping[str, Any]) -> Request:
    network = inputs["network"].partition("projects/")[2]
    peering = {"name": name, **mapped(inputs, PEERING), "exchangeSubnetRoutes": True}
    path = f"compute/v1/projects/{network}/addPeering"
    return Request(api="compute", verb="POST", path=path, body={"networkPeering": peering})


def _account(_: str, inputs: Mapping[str, Any]) -> Request:
    path = f"v1/projects/{inputs['project']}/serviceAccounts"
    return Request(api="iam", verb="POST", path=path, body=mapped(inputs, ACCOUNT))


def _grant(_: str, inputs: Mapping[str, Any]) -> Request:
    policy = {"bindings": [{"role": inputs["role"], "members": [inputs["member"]]}]}
    path = f"v1/projects/{inputs['project']}:setIamPolicy"
    return Request(api="cloudresourcemanager", verb="POST", path=path, body={"policy": policy})


_MAKERS: Final = {
    "gcp:container/cluster:Cluster": _cluster,
    "gcp:container/nodePool:NodePool": _node_pool,
    "gcp:compute/network:Network": _compute("networks", NETWORK),
    "gcp:compute/subnetwork:Subnetwork": _compute("subnetworks", SUBNETWORK),
    "gcp:compute/router:Router": _compute("routers", ROUTER),
    "gcp:compute/routerNat:RouterNat": _nat,
    "gcp:compute/firewall:Firewall": _compute("firewalls", FIREWALL),
    "gcp:compute/networkPeering:NetworkPeering": _peering,
    "gcp:serviceaccount/account:Account": _account,
    "gcp:projects/iAMMember:IAMMember": _grant,
}
