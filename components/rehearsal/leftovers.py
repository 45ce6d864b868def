"""What Istio leaves in a cluster when its Helm releases are gone, and its removal where a rehearsal brought it.

Helm keeps CRDs on purpose, istiod writes ConfigMaps into everybody's namespaces, and a release that was half installed
leaves webhooks that refuse pods. Only what was not there before the rehearsal counts, and of it only what is Istio's.
"""

import importlib
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, cast

from ..operations.errors import OperationError
from ..operations.kube import FORBIDDEN, REQUEST_SECONDS, ClusterAccess, open_client
from .errors import StageError
from .progress import Progress
from .scenario import ISTIO_NAMESPACE

NOT_FOUND: Final = 404
CONFLICT: Final = 409

ISTIODS_LABEL: Final = "istio.io/config=true"
"""On every ConfigMap that istiod writes. Source: istio/istio security/pkg/k8s/configutil."""

GONE_SECONDS: Final = 60.0
"""Bound on waiting until everything that was deleted is gone; CRDs take a few seconds."""

POLL_SECONDS: Final = 0.5

Item = Mapping[str, Any]
"""An object as the API gives it."""


def _within(item: Item, *path: str) -> Any:  # noqa: ANN401 -- an object of the API
    """Return what is at a path in an object; None where there is nothing."""
    found: Any = item
    for key in path:
        found = found.get(key) if found else None
    return found


def _by_helm(item: Item) -> bool:
    """Whether Helm made it for a release of Istio's namespace."""
    return _within(item, "metadata", "annotations", "meta.helm.sh/release-namespace") == ISTIO_NAMESPACE


def _is_istio_crd(item: Item) -> bool:
    return str(item["metadata"]["name"]).endswith(".istio.io")


def _of_istio_controller(item: Item) -> bool:
    return str(_within(item, "spec", "controllerName")).startswith("istio.io/")


@dataclass(frozen=True)
class Kind:
    """A kind of objects that Istio leaves."""

    group: str
    """API group and version; empty for the core group's ``v1``."""

    plural: str
    is_istios: Callable[[Item], bool]
    """Tells whether an object of the kind is Istio's."""


CRDS: Final = Kind("apiextensions.k8s.io/v1", "customresourcedefinitions", _is_istio_crd)

KINDS: Final = (
    Kind("admissionregistration.k8s.io/v1", "validatingwebhookconfigurations", _by_helm),
    Kind("admissionregistration.k8s.io/v1", "mutatingwebhookconfigurations", _by_helm),
    Kind("rbac.authorization.k8s.io/v1", "clusterrolebindings", _by_helm),
    Kind("rbac.authorization.k8s.io/v1", "clusterroles", _by_helm),
    Kind("gateway.networking.k8s.io/v1", "gatewayclasses", _of_istio_controller),
    CRDS,
    Kind("", "configmaps", bool),
)
"""Where to look, in the order of removal."""


@dataclass(frozen=True)
class Found:
    """An object that is there."""

    kind: Kind
    item: Item

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.item["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Its namespace; empty where it has none."""
        return str(self.item["metadata"].get("namespace") or "")

    def __str__(self) -> str:
        return "/".join(part for part in (self.kind.plural, self.namespace, self.name) if part)


class IstioLeftovers:
    """Istio's objects outside its own namespaces, in one cluster.

    Raises:
        OperationError: The kubeconfig cannot be used.
    """

    def __init__(self, access: ClusterAccess) -> None:
        self._access = access
        self._client: Any = importlib.import_module("kubernetes.client")
        self._api: Any = open_client(access)

    def found(self) -> tuple[str, ...]:
        """Return what is there, each as ``<kind>/<namespace>/<name>`` or ``<kind>/<name>``, in the order of removal.

        Raises:
            OperationError: The cluster cannot be reached, or listing is not permitted.
        """
        return tuple(str(found) for found in self._objects())

    def remove(self, before: Sequence[str], progress: Progress) -> None:
        """Remove what is there and was not there before, and wait until it is gone.

        A CRD of which somebody has objects stays, and is told.

        Args:
            before: What :meth:`found` returned before the rehearsal.
            progress: Told what stays.

        Raises:
            OperationError: The cluster cannot be reached, or deleting is not permitted.
            StageError: Something does not go away.
        """
        kept = set(before)
        end = time.monotonic() + GONE_SECONDS
        while added := [found for found in self._objects() if str(found) not in kept]:
            if time.monotonic() > end:
                raise StageError(
                    f"Istio's leftovers in {self._access.name} do not go away: {', '.join(map(str, added))}",
                    remedy="Look what holds them, then run: traffic-mirror rehearse down",
                )
            for found in added:
                if found.kind is CRDS and self._in_use(found):
                    kept.add(str(found))
                    progress.note(f"{self._access.name}: {found} stays, because somebody has objects of it")
                elif not found.item["metadata"].get("deletionTimestamp"):
                    self._delete(found)
            time.sleep(POLL_SECONDS)

    def _objects(self) -> Iterator[Found]:
        for kind in KINDS:
            for item in self._list(kind):
                if kind.is_istios(item):
                    yield Found(kind, item)

    def _in_use(self, crd: Found) -> bool:
        spec = crd.item["spec"]
        version = next(version["name"] for version in spec["versions"] if version["served"])
        kind = Kind(f"{spec['group']}/{version}", spec["names"]["plural"], lambda _: True)
        return bool(self._list(kind, limit=1))

    def _list(self, kind: Kind, **options: object) -> list[Item]:
        with self._asking("list", kind.plural):
            if kind.group:
                group, _, version = kind.group.partition("/")
                answer = self._client.CustomObjectsApi(self._api).list_cluster_custom_object(
                    group, version, kind.plural, _request_timeout=REQUEST_SECONDS, **options
                )
            else:
                listed = self._client.CoreV1Api(self._api).list_config_map_for_all_namespaces(
                    label_selector=ISTIODS_LABEL, _request_timeout=REQUEST_SECONDS
                )
                answer = self._api.sanitize_for_serialization(listed)
            return cast("list[Item]", answer.get("items") or [])
        return []

    def _delete(self, found: Found) -> None:
        with self._asking("delete", str(found)):
            if found.kind.group:
                group, _, version = found.kind.group.partition("/")
                self._client.CustomObjectsApi(self._api).delete_cluster_custom_object(
                    group, version, found.kind.plural, found.name, _request_timeout=REQUEST_SECONDS
                )
            else:
                self._client.CoreV1Api(self._api).delete_namespaced_config_map(
                    found.name, found.namespace, _request_timeout=REQUEST_SECONDS
                )

    @contextmanager
    def _asking(self, verb: str, what: str) -> Generator[None]:
        """Raise what goes wrong in words; what is not there is no error."""
        urllib3: Any = importlib.import_module("urllib3.exceptions")
        try:
            yield
        except self._client.ApiException as error:
            if error.status in (NOT_FOUND, CONFLICT):
                return
            if error.status == FORBIDDEN:
                raise OperationError(
                    f"No permission to {verb} {what} of {self._access.name}, which a rehearsal may have to remove",
                    remedy=f"Grant the verb {verb!r} on {what.partition('/')[0]!r} to the user of the kubeconfig",
                ) from error
            raise OperationError(
                f"Cannot {verb} {what} of {self._access.name}: {error.status} {error.reason}",
                remedy="Look at the cluster",
            ) from error
        except (urllib3.HTTPError, OSError) as error:
            raise OperationError(
                f"The API server of {self._access.name} cannot be reached: "
                f"{(str(error).splitlines() or ['no answer'])[0][:300]}",
                remedy="Check the kubeconfig, the network and that the cluster runs",
            ) from error
