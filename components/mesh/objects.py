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
    metadata = cast("k8s.meta.v1.ObjectMetaArgs", rendered["metadata"])
    return k8s.apiextensions.CustomResource(
        name,
        api_version=str(rendered["apiVersion"]),
        kind=str(rendered["kind"]),
        metadata=metadata,
        spec=rendered["spec"] if spec is None else spec,
        opts=opts,
    )


def existing_service(
    name: str, identity: pulumi.Input[str], *, service: str, namespace: str, opts: pulumi.ResourceOptions
) -> k8s.core.v1.Service:
    """Read a Service that something else made, in such a way that a refresh finds it as an ``up`` left it.

    After ``Service.get`` every refresh reports a change: where the program gives nothing but an ID, the provider calls
    the whole object its inputs, but a refresh only the object's name. Given the name, both call only that inputs.
    Source: pulumi-kubernetes, provider/pkg/provider/provider.go, Read.

    Args:
        name: Pulumi name.
        identity: ``<namespace>/<name>``; may be known late.
        service: Name of the Service.
        namespace: Its namespace.
        opts: Parent, provider and dependencies.
    """
    # It is read as it is: whoever made it waits for it.
    metadata = k8s.meta.v1.ObjectMetaArgs(
        name=service, namespace=namespace, annotations={"pulumi.com/skipAwait": "true"}
    )
    given = k8s.core.v1.ServiceInitArgs(api_version="v1", kind="Service", metadata=metadata)
    # What is not given is an output too.
    given.__dict__.update(spec=None, status=None)
    read = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(id=identity))
    return k8s.core.v1.Service(name, opts=read, __props__=given)
