"""What the providers would answer: outputs per resource type, results per function.

Keys are the providers' own (camelCase): nested snake_case keys give ``None`` without a warning.
All values are invented.
"""

import base64
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from tests.support.wire import Secret, merge

Outputs: TypeAlias = Mapping[str, Any] | Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
"""Outputs of one resource type: fixed, or from the resource's name and its inputs (secrets unwrapped)."""

PROJECT: Final = "test-project"
CA_CERTIFICATE: Final = base64.b64encode(b"-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n").decode()
ACCESS_TOKEN: Final = "not-a-token"


def _gcp_named(name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    own = inputs.get("name", name)
    return {
        "name": own,
        "project": inputs.get("project", PROJECT),
        "selfLink": f"https://example.invalid/{own}",
    }


def _gke_cluster(name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    own = _gcp_named(name, inputs)
    return own | {
        "id": f"projects/{own['project']}/locations/{inputs.get('location', 'europe-west1')}/clusters/{own['name']}",
        "endpoint": "192.0.2.10",
        "masterAuth": {"clusterCaCertificate": CA_CERTIFICATE, "clientKey": Secret("none")},
        "masterVersion": "1.35.3-gke.1000000",
        "controlPlaneEndpointsConfig": {
            "dnsEndpointConfig": {
                "endpoint": f"gke-{own['name']}.{inputs.get('location', 'europe-west1')}.gke.example.invalid"
            }
        },
    }


def _service_account(name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    email = f"{inputs.get('accountId', name)}@{inputs.get('project', PROJECT)}.iam.gserviceaccount.com"
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
    spec = inputs.get("spec", {})
    if spec.get("type") == "ExternalName":
        return outputs
    outputs["spec"] = {"clusterIP": spec.get("clusterIP", "198.18.255.10")}
    if spec.get("type") == "LoadBalancer":
        outputs["status"] = {"loadBalancer": {"ingress": [{"ip": spec.get("loadBalancerIP", "198.18.0.10")}]}}
    return outputs


def _kubernetes_object(name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    metadata = inputs.get("metadata", {})
    return {"metadata": {"name": metadata.get("name", f"{name}-auto")}}


RESOURCE_OUTPUTS: Final[Mapping[str, Outputs]] = {
    "gcp:compute/network:Network": _gcp_named,
    "gcp:compute/subnetwork:Subnetwork": _gcp_named,
    "gcp:compute/router:Router": _gcp_named,
    "gcp:compute/routerNat:RouterNat": _gcp_named,
    "gcp:compute/firewall:Firewall": _gcp_named,
    "gcp:container/cluster:Cluster": _gke_cluster,
    "gcp:container/nodePool:NodePool": _gcp_named,
    "gcp:serviceaccount/account:Account": _service_account,
    "kubernetes:helm.sh/v3:Release": _release,
    "kubernetes:core/v1:Service": _service,
}

FUNCTION_RESULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "gcp:organizations/getClientConfig:getClientConfig": {
        "accessToken": ACCESS_TOKEN,
        "project": PROJECT,
        "region": "europe-west1",
        "zone": "",
    },
}


def outputs_of(token: str, name: str, inputs: Mapping[str, Any], overrides: Mapping[str, Outputs]) -> Mapping[str, Any]:
    """Return what the provider adds to the inputs of a resource once it exists."""
    outputs: dict[str, Any] = {}
    for source in (RESOURCE_OUTPUTS.get(token, _generic(token)), overrides.get(token, {})):
        outputs = merge(outputs, source(name, inputs) if callable(source) else source)
    return outputs


def _generic(token: str) -> Outputs:
    is_object = token.startswith("kubernetes:") and not token.startswith("kubernetes:helm.sh/")
    return _kubernetes_object if is_object else {}
