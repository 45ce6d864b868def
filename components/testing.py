"""Mocks for unit tests of programs that use these components: no engine, no cluster, no cloud.

Mocks that only echo their inputs know nothing of what a provider fills in: the address of a gateway's load balancer,
the status of a Helm release, the endpoint of a GKE cluster. :class:`ProviderMocks` answers with the same shapes as the
Kubernetes and Google providers, and keeps what the program registered::

    mocks = ProviderMocks(stack_references={"organization/shop/testing": {"receiver": offer}})
    pulumi.runtime.set_mocks(mocks, project="shop", stack="staging")

All values are invented. A mock proves what a program registers, never that a cluster takes it: for that there is
``traffic-mirror rehearse``.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import pulumi

from .mesh.charts import merged

__all__ = ["ProviderMocks", "Registered", "function_results", "resource_outputs"]

_PROJECT: Final = "test-project"
_COMPUTE: Final = "https://www.googleapis.com/compute/v1"
_CA_CERTIFICATE: Final = base64.b64encode(b"-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n").decode()
_STACK_REFERENCE: Final = "pulumi:pulumi:StackReference"


@dataclass(frozen=True, kw_only=True)
class Registered:
    """One resource that a program registered."""

    type: str
    """Type token, e.g. ``"kubernetes:core/v1:Service"``."""
    name: str
    """Pulumi name."""
    inputs: Mapping[str, Any]
    """Its inputs under the provider's own names (camelCase), secrets in clear."""


class ProviderMocks(pulumi.runtime.Mocks):
    """Answers like the Kubernetes and Google providers.

    Attributes:
        registered: Everything the program registered, in that order; components, which have no inputs, included.
    """

    def __init__(
        self,
        *,
        outputs: Mapping[str, Mapping[str, Any]] | None = None,
        stack_references: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Answer with these as well.

        Args:
            outputs: Type token to outputs laid over what a provider would answer.
            stack_references: Full name of a stack to its outputs.
        """
        self.registered: list[Registered] = []
        self._outputs = dict(outputs or {})
        self._stacks = dict(stack_references or {})

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[Any, Any]]:
        """Return a resource's ID and outputs; Pulumi calls it."""
        inputs = cast("dict[str, Any]", args.inputs)  # pyright: ignore[reportUnknownMemberType] -- the SDK leaves it bare
        self.registered.append(Registered(type=args.typ, name=args.name, inputs=inputs))
        if args.typ == _STACK_REFERENCE:
            named = self._stacks.get(inputs.get("name", args.name), {})
            given: dict[str, Any] = {"outputs": dict(named), "secretOutputNames": []}
        else:
            # A Service that is read is a gateway's: it has a load balancer.
            asked = {**inputs, "spec": {"type": "LoadBalancer"}} if args.resource_id else inputs
            given = merged(resource_outputs(args.typ, args.name, asked), self._outputs.get(args.typ, {}))
        identity = args.resource_id or given.get("id") or f"{args.name}-id"
        return identity, merged(inputs, given)

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        """Return what a provider's function answers; Pulumi calls it."""
        return dict(function_results(args.token) or {}), None

    def of_type(self, token: str) -> list[Registered]:
        """Return what was registered of one type.

        Args:
            token: Type token, e.g. ``"kubernetes:networking.istio.io/v1:VirtualService"``.
        """
        return [each for each in self.registered if each.type == token]


def resource_outputs(token: str, name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a provider adds to the inputs of a resource once it exists, under its own names (camelCase).

    Args:
        token: Type token.
        name: Pulumi name.
        inputs: Inputs under the provider's own names.
    """
    if answer := _RESOURCES.get(token):
        return answer(name, inputs)
    is_object = token.startswith("kubernetes:") and not token.startswith("kubernetes:helm.sh/")
    return _kubernetes_object(name, inputs) if is_object else {}


def function_results(token: str) -> Mapping[str, Any] | None:
    """Return what a provider's function answers; None for functions that no component calls.

    Args:
        token: The function's token.
    """
    return _FUNCTIONS.get(token)


def _part(inputs: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    part = inputs.get(key)
    return cast("Mapping[str, Any]", part) if isinstance(part, Mapping) else {}


def _gcp_named(name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    own = inputs.get("name", name)
    return {
        "name": own,
        "project": inputs.get("project", _PROJECT),
        "selfLink": f"{_COMPUTE}/projects/{inputs.get('project', _PROJECT)}/global/networks/{own}",
    }


def _subnetwork(name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    own = _gcp_named(name, inputs)
    path = f"projects/{own['project']}/regions/{inputs.get('region', 'europe-west1')}/subnetworks/{own['name']}"
    return own | {"selfLink": f"{_COMPUTE}/{path}"}


def _gke_cluster(name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    own = _gcp_named(name, inputs)
    return own | {
        "id": f"projects/{own['project']}/locations/{inputs.get('location', 'europe-west1')}/clusters/{own['name']}",
        "endpoint": "192.0.2.10",
        "masterAuth": {"clusterCaCertificate": _CA_CERTIFICATE, "clientKey": "none"},
        "masterVersion": "1.35.3-gke.1000000",
        "controlPlaneEndpointsConfig": {
            "dnsEndpointConfig": {
                "endpoint": f"gke-{own['name']}.{inputs.get('location', 'europe-west1')}.gke.example.invalid"
            }
        },
    }


def _service_account(name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    email = f"{inputs.get('accountId', name)}@{inputs.get('project', _PROJECT)}.iam.gserviceaccount.com"
    return {
        "email": email,
        "member": f"serviceAccount:{email}",
        "name": f"projects/-/serviceAccounts/{email}",
    }


def _release(name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    own = inputs.get("name", name)
    namespace = inputs.get("namespace", "default")
    status = {
        "name": own,
        "namespace": namespace,
        "chart": inputs.get("chart", ""),
        "version": inputs.get("version", ""),
        "appVersion": inputs.get("version", ""),
        "revision": 1,
        "status": "deployed",
    }
    return {"name": own, "namespace": namespace, "status": status, "resourceNames": {}}


def _service(name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    outputs = _kubernetes_object(name, inputs)
    spec = _part(inputs, "spec")
    if spec.get("type") == "ExternalName":
        return outputs
    outputs["spec"] = {"clusterIP": spec.get("clusterIP", "198.18.255.10")}
    if spec.get("type") == "LoadBalancer":
        outputs["status"] = {"loadBalancer": {"ingress": [{"ip": spec.get("loadBalancerIP", "198.18.0.10")}]}}
    return outputs


def _kubernetes_object(name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    metadata = _part(inputs, "metadata")
    return {"metadata": {"name": metadata.get("name", f"{name}-auto")}}


_RESOURCES: Final[Mapping[str, Callable[[str, Mapping[str, Any]], dict[str, Any]]]] = {
    "gcp:compute/network:Network": _gcp_named,
    "gcp:compute/subnetwork:Subnetwork": _subnetwork,
    "gcp:compute/router:Router": _gcp_named,
    "gcp:compute/routerNat:RouterNat": _gcp_named,
    "gcp:compute/firewall:Firewall": _gcp_named,
    "gcp:container/cluster:Cluster": _gke_cluster,
    "gcp:container/nodePool:NodePool": _gcp_named,
    "gcp:serviceaccount/account:Account": _service_account,
    "kubernetes:helm.sh/v3:Release": _release,
    "kubernetes:core/v1:Service": _service,
}

_FUNCTIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "gcp:organizations/getClientConfig:getClientConfig": {
        "accessToken": "not-a-token",
        "project": _PROJECT,
        "region": "europe-west1",
        "zone": "",
    },
}
