"""Reading the objects of a live cluster for the rules."""

import importlib
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from ..model.istio import IstioBehaviour
from .errors import OperationError
from .kube import FORBIDDEN, REQUEST_SECONDS, ClusterAccess, grant, open_client
from .manifest_files import Entry
from .manifests import Loaded, gather
from .meshes import configuration_places
from .places import Origin
from .unread import Unread

ISTIO: Final = "networking.istio.io/v1"
GATEWAY_API: Final = "gateway.networking.k8s.io/v1"
RESOURCES: Final = (
    (ISTIO, "virtualservices", "VirtualService"),
    (ISTIO, "destinationrules", "DestinationRule"),
    (ISTIO, "serviceentries", "ServiceEntry"),
    (ISTIO, "gateways", "Gateway"),
    (ISTIO, "sidecars", "Sidecar"),
    ("networking.istio.io/v1alpha3", "envoyfilters", "EnvoyFilter"),
    (GATEWAY_API, "gatewayclasses", "GatewayClass"),
    (GATEWAY_API, "gateways", "Gateway"),
    (GATEWAY_API, "httproutes", "HTTPRoute"),
    (GATEWAY_API, "grpcroutes", "GRPCRoute"),
    (GATEWAY_API, "listenersets", "ListenerSet"),
    ("gateway.networking.x-k8s.io/v1alpha1", "xlistenersets", "XListenerSet"),
    ("gateway.networking.k8s.io/v1beta1", "referencegrants", "ReferenceGrant"),
    ("v1", "services", "Service"),
    ("v1", "namespaces", "Namespace"),
    ("apps/v1", "deployments", "Deployment"),
    ("apps/v1", "statefulsets", "StatefulSet"),
    ("apps/v1", "daemonsets", "DaemonSet"),
)
"""What is read: API version, resource, kind. Secrets and pods are not."""

CONTROLLERS: Final = (
    ("flagger.app/v1beta1", "canaries", "Canary"),
    ("argoproj.io/v1alpha1", "rollouts", "Rollout"),
)
"""What is read as well where objects are judged: what rewrites routes."""

SECURITY: Final = "security.istio.io/v1"
DECIDING: Final = (
    (SECURITY, "authorizationpolicies", "AuthorizationPolicy"),
    (SECURITY, "requestauthentications", "RequestAuthentication"),
    (SECURITY, "peerauthentications", "PeerAuthentication"),
    ("extensions.istio.io/v1alpha1", "wasmplugins", "WasmPlugin"),
    ("telemetry.istio.io/v1", "telemetries", "Telemetry"),
    (ISTIO, "workloadentries", "WorkloadEntry"),
    ("networking.istio.io/v1beta1", "proxyconfigs", "ProxyConfig"),
    (GATEWAY_API, "backendtlspolicies", "BackendTLSPolicy"),
    (GATEWAY_API, "tlsroutes", "TLSRoute"),
    ("gateway.networking.k8s.io/v1alpha2", "tlsroutes", "TLSRoute"),
    ("gateway.networking.k8s.io/v1alpha2", "tcproutes", "TCPRoute"),
    ("gateway.networking.x-k8s.io/v1alpha1", "xbackendtrafficpolicies", "XBackendTrafficPolicy"),
    ("inference.networking.k8s.io/v1", "inferencepools", "InferencePool"),
    ("multicluster.x-k8s.io/v1alpha1", "serviceimports", "ServiceImport"),
    ("networking.k8s.io/v1", "ingresses", "Ingress"),
)
"""What decides about requests as well, and no rule reads."""

PAGE: Final = 500
"""Objects asked for at once; kubectl's own page size."""

NOT_FOUND: Final = 404


class ForbiddenError(OperationError):
    """Something may not be listed."""


def read_cluster(
    access: ClusterAccess,
    istio: IstioBehaviour | None = None,
    *,
    root_namespace: str = "",
    domain: str = "",
    controllers: bool = False,
    deciding: bool = False,
) -> Loaded:
    """Read every object of a cluster that rules look at; needs ``list`` on these kinds in all namespaces.

    Args:
        access: How to reach it; its name is what findings call the cluster.
        istio: Behaviour of its control plane; None to read it from istiod's Deployment.
        root_namespace: Istio's root namespace there; empty to read it from the mesh's configuration.
        domain: Domain of its Services; empty to read it from istiod's Deployment.
        controllers: Whether the objects of Flagger and Argo Rollouts are read too.
        deciding: Whether all else that decides about requests is read too; what may not be listed is told as unread.

    Raises:
        OperationError: The kubeconfig cannot be used, the cluster cannot be reached, or listing is not permitted.
    """
    api = open_client(access)
    resources = (*RESOURCES, *(CONTROLLERS if controllers else ()))
    entries = [entry for resource in resources for entry in _list(api, access.name, resource)]
    for resource in DECIDING if deciding else ():
        try:
            entries += _list(api, access.name, resource)
        except ForbiddenError as error:
            said = Unread(file=f"cluster {access.name}", line=1, message=error.problem, remedy=error.remedy)
            entries.append(Entry(value={}, origin=Origin(file=said.file), unread=said))
    for place in configuration_places((entry.value for entry in entries), root_namespace):
        if said := _mesh(api, access.name, place):
            entries.append(said)
            break
    return gather(access.name, entries, istio, complete=True, root_namespace=root_namespace, domain=domain)


def _list(api: Any, cluster: str, resource: tuple[str, str, str]) -> Iterator[Entry]:  # noqa: ANN401 -- untyped
    version, plural, kind = resource
    token = ""
    while True:
        page = _page(api, cluster, version, plural, token)
        for item in cast("list[Mapping[str, object]]", page.get("items") or []):
            origin = Origin(file=f"cluster {cluster}")
            yield Entry(value={**item, "apiVersion": version, "kind": kind}, origin=origin)
        metadata = cast("Mapping[str, object]", page.get("metadata") or {})
        token = str(metadata.get("continue") or "")
        if not token:
            return


def _mesh(api: Any, cluster: str, place: tuple[str, str]) -> Entry | None:  # noqa: ANN401 -- untyped
    """A ConfigMap with the mesh's configuration, if it is there; where it may not be read, that this is so."""
    client: Any = importlib.import_module("kubernetes.client")
    origin = Origin(file=f"cluster {cluster}")
    namespace, name = place
    try:
        found = client.CoreV1Api(api).read_namespaced_config_map(name, namespace, _request_timeout=REQUEST_SECONDS)
    except client.ApiException as error:
        if error.status != FORBIDDEN:
            return None
        message = f"the mesh's configuration, ConfigMap {namespace}/{name}, may not be read"
        remedy = f"Allow to get it, or take Istio's defaults for what holds; {grant('get', 'configmaps')}"
        return Entry(value={}, origin=origin, unread=Unread(file=origin.file, line=1, message=message, remedy=remedy))
    return Entry(value={**api.sanitize_for_serialization(found), "kind": "ConfigMap"}, origin=origin)


def _page(api: Any, cluster: str, version: str, plural: str, token: str) -> Mapping[str, object]:  # noqa: ANN401 -- untyped
    """One page of a list; an empty one when the cluster does not have the kind."""
    client: Any = importlib.import_module("kubernetes.client")
    urllib3: Any = importlib.import_module("urllib3.exceptions")
    group, _, release = version.rpartition("/")
    options = {"limit": PAGE, "_request_timeout": REQUEST_SECONDS, **({"_continue": token} if token else {})}
    try:
        if group:
            custom = client.CustomObjectsApi(api)
            return cast("Mapping[str, object]", custom.list_cluster_custom_object(group, release, plural, **options))
        core = client.CoreV1Api(api)
        listed = core.list_namespace if plural == "namespaces" else core.list_service_for_all_namespaces
        return cast("Mapping[str, object]", api.sanitize_for_serialization(listed(**options)))
    except client.ApiException as error:
        if error.status == NOT_FOUND:
            return {}
        if error.status == FORBIDDEN:
            raise ForbiddenError(
                f"No permission to list {plural} of all namespaces in {cluster}",
                remedy=grant("list", plural),
            ) from error
        raise OperationError(
            f"Cannot list {plural} in {cluster}: {error.status} {error.reason}", remedy="Look at the cluster"
        ) from error
    except (urllib3.HTTPError, OSError) as error:
        raise OperationError(
            f"The API server of {cluster} cannot be reached: {(str(error).splitlines() or ['no answer'])[0][:300]}",
            remedy="Check the kubeconfig, the network and that the cluster runs",
        ) from error
