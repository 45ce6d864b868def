"""Managed Cloud Service Mesh is known by what it leaves in a cluster, also where namespaces name no revision."""

from typing import Any

import pytest

from pulumi_traffic_mirror.model import IstioBehaviour
from pulumi_traffic_mirror.model.istio import MANAGED_PATCHES
from pulumi_traffic_mirror.model.rules import UNKNOWN, ClusterObjects, Mesh, Node, managed_sign, run_rules
from tests.unit.model.samples import Object, findings, sending


def item(kind: str, name: str, namespace: str = "istio-system", **metadata: Any) -> Object:
    return {"kind": kind, "metadata": {"name": name, "namespace": namespace, **metadata}}


def space(**metadata: Any) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "hello", **metadata}}


INJECTED = space(labels={"istio-injection": "enabled"})
PROXIES = space(
    labels={"istio-injection": "enabled"}, annotations={"mesh.cloud.google.com/proxy": '{"managed":"true"}'}
)
CONTROLLER = {"apiVersion": "apps/v1", **item("Deployment", "mdp-controller", "kube-system")}
ISTIOD = {
    "apiVersion": "apps/v1",
    **item("Deployment", "istiod", labels={"app": "istiod"}),
    "spec": {"template": {"spec": {"containers": [{"image": "mirror.example/pilot@sha256:0"}]}}},
}


@pytest.mark.parametrize(
    ("found", "sign"),
    [
        (item("ConfigMap", "istio-asm-managed"), "ConfigMap istio-asm-managed"),
        (item("ConfigMap", "istio-asm-managed-rapid"), "ConfigMap istio-asm-managed-rapid"),
        (item("ControlPlaneRevision", "asm-managed-stable"), "ControlPlaneRevision asm-managed-stable"),
        (
            item("MutatingWebhookConfiguration", "istiod-asm-managed"),
            "MutatingWebhookConfiguration istiod-asm-managed",
        ),
        (CONTROLLER, "Deployment kube-system/mdp-controller"),
        (PROXIES, "mesh.cloud.google.com/proxy of Namespace hello"),
        (space(labels={"istio.io/rev": "asm-managed"}), "istio.io/rev asm-managed of Namespace hello"),
        (INJECTED, ""),
        (space(labels={"istio.io/rev": "asm-1283"}), ""),
        (item("ConfigMap", "istio"), ""),
        (item("ConfigMap", "istio-asm-1283"), ""),
        (item("MutatingWebhookConfiguration", "istiod-asm-1283"), ""),
        (item("Deployment", "mdp-controller", "shop"), ""),
        ({"kind": "ConfigMap", "metadata": UNKNOWN}, ""),
    ],
)
def test_what_only_a_managed_mesh_has_is_a_sign(found: Object, sign: str) -> None:
    assert managed_sign(Node(found)) == sign


@pytest.mark.parametrize(
    ("objects", "given", "managed"),
    [
        ([INJECTED], {}, False),
        ([INJECTED], {"managed_sign": "ConfigMap istio-asm-managed"}, True),
        ([PROXIES], {}, True),
        ([INJECTED, CONTROLLER], {}, True),
        # An istiod in the cluster is the control plane, of whatever release; what asks for another one is told.
        ([INJECTED, CONTROLLER, ISTIOD], {}, False),
        ([PROXIES, ISTIOD], {"managed_sign": "ConfigMap istio-asm-managed"}, False),
        ([space(labels={"istio.io/rev": "asm-managed"}), ISTIOD], {}, True),
        # What was declared holds.
        ([PROXIES], {"istio": IstioBehaviour.of_release("1.31.0")}, False),
        ([INJECTED], {"istio": IstioBehaviour.of_release("1.28.3-asm.4")}, True),
    ],
)
def test_signs_count_where_no_other_control_plane_is_known(
    objects: list[Object], given: dict[str, Any], managed: bool
) -> None:
    cluster = ClusterObjects(name="staging", objects=objects, **given)
    assert cluster.patched == (MANAGED_PATCHES if managed else None)


def test_a_filter_that_is_not_in_force_is_told_with_the_sign() -> None:
    cluster = ClusterObjects(name="staging", objects=sending(), managed_sign="ConfigMap istio-asm-managed")
    said = [each.message for each in findings(Mesh(clusters=[cluster]), "envoy-filter-too-new")]
    assert any("those of HTTP_FILTER alone (managed, by ConfigMap istio-asm-managed)" in each for each in said)
    plain = ClusterObjects(name="staging", objects=sending())
    assert not [each for each in run_rules(Mesh(clusters=[plain])) if each.rule == "envoy-filter-too-new"]
