"""Revision tags: names for a revision that can move to another one.

Istio's chart makes a tag part of the release of one istiod. Two releases cannot hand an object over: one has to delete
it first, and until the other has made it again, pods start without a proxy. So each tag is an object of its own here,
and moving it is one update in place.
"""

from typing import Final

import pulumi
import pulumi_kubernetes as k8s

_SELECTOR = k8s.meta.v1.LabelSelectorRequirementArgs
_INJECT: Final = "sidecar.istio.io/inject"
_REVISION: Final = "istio.io/rev"
_NAMESPACE_SWITCH: Final = "istio-injection"
_NOT_OPTED_OUT: Final = _SELECTOR(key=_INJECT, operator="NotIn", values=["false"])


def tag_webhooks(
    name: str, *, tag: str, revision: str, namespace: str, opts: pulumi.ResourceOptions
) -> k8s.admissionregistration.v1.MutatingWebhookConfiguration:
    """Register the webhooks of one tag, as Istio's chart and ``istioctl tag set`` define them.

    The CA is left out on purpose: istiod writes it into every configuration that carries its revision's label.

    Args:
        name: Pulumi name.
        tag: The tag; ``default`` also serves namespaces labelled ``istio-injection=enabled``.
        revision: Revision that it stands for; empty for the unnamed one.
        namespace: Namespace of the control plane.
        opts: Parent, provider and dependencies.
    """
    absent = [_absent(_REVISION), _absent(_NAMESPACE_SWITCH)]
    tagged = _SELECTOR(key=_REVISION, operator="In", values=[tag])
    selections = [
        ("rev.namespace.", [tagged, _absent(_NAMESPACE_SWITCH)], [_NOT_OPTED_OUT]),
        ("rev.object.", absent, [_NOT_OPTED_OUT, tagged]),
    ]
    if tag == "default":
        enabled = _SELECTOR(key=_NAMESPACE_SWITCH, operator="In", values=["enabled"])
        asked = _SELECTOR(key=_INJECT, operator="In", values=["true"])
        selections += [
            ("namespace.", [enabled], [_NOT_OPTED_OUT]),
            ("object.", [_absent(_NAMESPACE_SWITCH), _absent(_REVISION)], [asked, _absent(_REVISION)]),
        ]
    service = f"istiod-{revision}" if revision else "istiod"
    return k8s.admissionregistration.v1.MutatingWebhookConfiguration(
        name,
        metadata=k8s.meta.v1.ObjectMetaArgs(
            name=f"istio-revision-tag-{tag}" + ("" if namespace == "istio-system" else f"-{namespace}"),
            labels={"istio.io/tag": tag, _REVISION: revision or "default", "app": "sidecar-injector"},
        ),
        webhooks=[_webhook(prefix, service, namespace, spaces, pods) for prefix, spaces, pods in selections],
        opts=opts,
    )


def _absent(label: str) -> k8s.meta.v1.LabelSelectorRequirementArgs:
    return _SELECTOR(key=label, operator="DoesNotExist")


def _webhook(
    prefix: str,
    service: str,
    namespace: str,
    namespaces: list[k8s.meta.v1.LabelSelectorRequirementArgs],
    pods: list[k8s.meta.v1.LabelSelectorRequirementArgs],
) -> k8s.admissionregistration.v1.MutatingWebhookArgs:
    return k8s.admissionregistration.v1.MutatingWebhookArgs(
        name=f"{prefix}sidecar-injector.istio.io",
        client_config=k8s.admissionregistration.v1.WebhookClientConfigArgs(
            service=k8s.admissionregistration.v1.ServiceReferenceArgs(
                name=service, namespace=namespace, path="/inject", port=443
            )
        ),
        side_effects="None",
        rules=[
            k8s.admissionregistration.v1.RuleWithOperationsArgs(
                operations=["CREATE"], api_groups=[""], api_versions=["v1"], resources=["pods"]
            )
        ],
        # A pod that should have a proxy and cannot get one must not start without.
        failure_policy="Fail",
        reinvocation_policy="Never",
        admission_review_versions=["v1"],
        namespace_selector=k8s.meta.v1.LabelSelectorArgs(match_expressions=namespaces),
        object_selector=k8s.meta.v1.LabelSelectorArgs(match_expressions=pods),
    )
