"""From rendered JSON to Pulumi resources."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pulumi
import pulumi_kubernetes as k8s

from ..model import JsonObject


def istio_resource(
    name: str, rendered: JsonObject, opts: pulumi.ResourceOptions, *, spec: pulumi.Input[Any] | None = None
) -> k8s.apiextensions.CustomResource:
    """Register one rendered object.

    Args:
        name: Pulumi name; the object's own name is in ``rendered``.
        rendered: A whole object as the model renders it.
        opts: Parent, provider and dependencies.
        spec: Replaces the rendered spec, for values that are known late.
    """
    metadata = cast("dict[str, Any]", rendered["metadata"])
    return k8s.apiextensions.CustomResource(
        name,
        api_version=str(rendered["apiVersion"]),
        kind=str(rendered["kind"]),
        metadata=k8s.meta.v1.ObjectMetaArgs(**metadata),
        spec=rendered["spec"] if spec is None else spec,
        opts=opts,
    )


def is_plain(value: object) -> bool:
    """Whether a value is known now: nothing in it is an Output."""
    if isinstance(value, Mapping):
        return all(is_plain(item) for item in cast("Mapping[object, object]", value).values())
    if isinstance(value, list | tuple):
        return all(is_plain(item) for item in cast("Sequence[object]", value))
    return value is None or isinstance(value, str | int | float)
