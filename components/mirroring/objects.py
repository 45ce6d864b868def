"""From rendered JSON to Pulumi resources."""

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
