"""Building blocks of every rendered object: plain JSON, no empty and no null keys."""

from collections.abc import Mapping
from typing import Final

from ..jsontypes import JsonObject, JsonValue
from ..mirrors import Mirror
from ..routing import CLUSTER_DOMAIN, Destination

ISTIO_API: Final = "networking.istio.io/v1"
ENVOY_FILTER_API: Final = "networking.istio.io/v1alpha3"
"""EnvoyFilter has no later version. Source: Istio's CRDs up to 1.31."""

ANY_VALUE: Final[JsonObject] = {"regex": ".*"}
"""A header's presence, for conditions that a header must meet."""

SOME_VALUE: Final[JsonObject] = {"regex": ".+"}
"""A header's presence, for ``withoutHeaders``: there Istio treats a missing header as an empty one, so that ``.*``
would leave out every request (measured; TranslateRouteMatch of its pilot)."""


def compact(entries: Mapping[str, JsonValue]) -> JsonObject:
    """``entries`` without those that are None, empty text, empty list or empty object."""
    return {key: value for key, value in entries.items() if value or isinstance(value, (int, float))}


def duration(seconds: float) -> str:
    """Protobuf's JSON form of a duration, e.g. ``"1.5s"``."""
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"


def istio_object(
    kind: str, name: str, namespace: str, spec: JsonObject, annotations: JsonObject | None = None
) -> JsonObject:
    """An Istio networking object with the API version that its kind has."""
    api = ENVOY_FILTER_API if kind == "EnvoyFilter" else ISTIO_API
    metadata = compact({"name": name, "namespace": namespace, "annotations": annotations or {}})
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}


def selecting(labels: Mapping[str, str]) -> JsonObject:
    """The key that keeps an EnvoyFilter to pods with these labels; nothing without labels."""
    return {"workloadSelector": {"labels": dict(sorted(labels.items()))}} if labels else {}


def destination(target: Destination) -> JsonObject:
    """Istio's Destination: always with a port."""
    return compact(
        {
            "host": str(target.host),
            "port": {"number": int(target.port)},
            "subset": str(target.subset) if target.subset else None,
        }
    )


def home(target: Destination, otherwise: str) -> str:
    """Namespace where every proxy finds a target's DestinationRule: that of its Service, or ``otherwise``.

    Istio looks in the proxy's namespace, in the Service's and in its root namespace, nowhere else.
    """
    service, _, domain = target.host.partition(".svc.")
    return service.partition(".")[2] if domain == CLUSTER_DOMAIN else otherwise


def mirror_object_name(route: str, mirror: Mirror) -> str:
    """Name of the objects that belong to one mirror of a route with this name.

    Flagger empties DestinationRules that are called like a Service with one of its own two endings.
    """
    name = f"{route}-{mirror.name}"
    return f"{name}-mirror" if name.endswith(("-canary", "-primary")) else name
