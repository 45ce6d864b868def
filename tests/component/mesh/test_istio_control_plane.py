"""IstioControlPlane: releases in order, the gate, canary revisions and tags."""

import json
from collections.abc import Callable
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import pytest

from pulumi_traffic_mirror.clusters import ClusterHandle, ClusterPlatform
from pulumi_traffic_mirror.clusters.gke import GKE, GKE_AUTOPILOT
from pulumi_traffic_mirror.mesh import (
    ImagePullPolicy,
    IstioCharts,
    IstioControlPlane,
    IstioControlPlaneArgs,
    IstiodRevision,
    MeshHandle,
    Size,
)
from pulumi_traffic_mirror.model import AuthorityMode, ValidationError
from tests.support.handles import no_cluster
from tests.support.recording import Recorded, Recording, refused, run_program

ANY = ClusterPlatform()
RELEASE = "kubernetes:helm.sh/v3:Release"
NAMESPACE = "kubernetes:core/v1:Namespace"
WEBHOOKS = "kubernetes:admissionregistration.k8s.io/v1:MutatingWebhookConfiguration"
CLUSTER = no_cluster()
"""For arguments that are refused before a cluster matters."""


def cluster(platform: ClusterPlatform) -> ClusterHandle:
    return ClusterHandle(name="staging", provider=k8s.Provider("staging-provider"), platform=platform)


def recorded(
    *,
    preview: bool = False,
    platform: ClusterPlatform = ANY,
    see: Callable[[IstioControlPlane], None] = lambda _: None,
    **arguments: Any,
) -> Recording:
    def program() -> None:
        plane = IstioControlPlane("istio", IstioControlPlaneArgs(cluster=cluster(platform), **arguments))
        see(plane)
        pulumi.export("version", plane.version)

    return run_program(program, preview=preview, top_level={"staging-provider"})


def handle_for(**arguments: Any) -> MeshHandle:
    seen: list[MeshHandle] = []
    recorded(see=lambda plane: seen.append(plane.handle), **arguments)
    return seen[0]


def values_of(release: Recorded) -> dict[str, Any]:
    return release.inputs["values"]


@pytest.mark.parametrize("preview", [False, True])
def test_namespace_base_and_istiod_follow_each_other_through_the_cluster_s_provider(preview: bool) -> None:
    recording = recorded(preview=preview)
    component = recording.one(IstioControlPlane.TYPE, "istio")
    provider = recording.one("pulumi:providers:kubernetes", "staging-provider")
    children = recording.children_of(component)
    assert {(child.type, child.name) for child in children} == {
        (NAMESPACE, "istio-namespace"),
        (RELEASE, "istio-base"),
        (RELEASE, "istio-istiod"),
    }
    assert {child.provider for child in children} == {provider.urn}
    base, istiod = recording.one(RELEASE, "istio-base"), recording.one(RELEASE, "istio-istiod")
    assert recording.names(base.depends_on) == {"istio-namespace"}
    assert recording.names(istiod.depends_on) == {"istio-namespace", "istio-base"}
    assert (base.input("skipAwait"), istiod.inputs.get("skipAwait")) == (True, None)
    assert recording.exports == {"version": "1.31.0"}


def test_releases_have_fixed_names_and_come_from_istio_s_repository() -> None:
    recording = recorded()
    istiod = recording.one(RELEASE, "istio-istiod")
    assert {key: istiod.inputs[key] for key in ("name", "namespace", "chart", "version", "timeout")} == {
        "name": "istiod",
        "namespace": "istio-system",
        "chart": "istiod",
        "version": "1.31.0",
        "timeout": 600,
    }
    assert istiod.inputs["repositoryOpts"] == {"repo": "https://blob.istio.io/istio-release/charts"}
    # Helm must wait for istiod, or the gate would be none.
    assert "skipAwait" not in istiod.inputs
    assert values_of(recording.one(RELEASE, "istio-base")) == {
        "defaultRevision": "default",
        "global": {"istioNamespace": "istio-system"},
    }


def test_charts_may_be_local_or_in_a_registry() -> None:
    local = recorded(charts=IstioCharts.in_directory("/charts")).one(RELEASE, "istio-istiod")
    assert local.inputs["chart"] == "/charts/istio-control/istio-discovery"
    assert not {"version", "repositoryOpts"} & set(local.inputs)
    registry = recorded(charts=IstioCharts(repository="oci://ghcr.io/istio/release/charts"))
    chart = registry.one(RELEASE, "istio-istiod")
    assert chart.inputs["chart"] == "oci://ghcr.io/istio/release/charts/istiod"
    assert chart.inputs["version"] == "1.31.0"
    assert "repositoryOpts" not in chart.inputs


@pytest.mark.parametrize(("cni", "level"), [(False, "restricted"), (True, "privileged")])
def test_only_istio_cni_takes_pod_security_off_the_root_namespace(cni: bool, level: str) -> None:
    labels = recorded(cni=cni).one(NAMESPACE, "istio-namespace").input("metadata.labels")
    assert labels == {"pod-security.kubernetes.io/enforce": level}


def test_istio_cni_is_refused_where_nothing_may_be_installed_on_nodes() -> None:
    refusal = refused(lambda: IstioControlPlaneArgs(cluster=cluster(GKE_AUTOPILOT), cni=True), ValidationError)
    assert "cni = True: must be off in the cluster staging" in str(refusal.error)


def test_istio_cni_comes_before_istiod_and_knows_gke_and_the_images() -> None:
    given = {"global": {"hub": "values.example/istio", "imagePullSecrets": ["pull"], "logAsJson": True}}
    recording = recorded(cni=True, platform=GKE, values=given)
    cni, istiod = recording.one(RELEASE, "istio-cni"), recording.one(RELEASE, "istio-istiod")
    assert values_of(cni)["global"] == {
        "hub": "values.example/istio",
        "tag": "1.31.0",
        "imagePullSecrets": ["pull"],
        "platform": "gke",
    }
    assert "istio-cni" in recording.names(istiod.depends_on)
    assert values_of(istiod)["cni"] == {"enabled": True}
    elsewhere = recorded(cni=True, values=given, hub="mirror.example/istio", image_pull_policy=ImagePullPolicy.ALWAYS)
    assert values_of(elsewhere.one(RELEASE, "istio-cni"))["global"] == {
        "hub": "mirror.example/istio",
        "tag": "1.31.0",
        "imagePullPolicy": "Always",
        "imagePullSecrets": ["pull"],
    }


def test_a_given_namespace_is_not_created() -> None:
    recording = recorded(create_namespace=False, namespace="mesh")
    assert recording.of_type(NAMESPACE) == ()
    assert recording.one(RELEASE, "istio-istiod").inputs["namespace"] == "mesh"


def test_values_for_a_stage_pass_through() -> None:
    given = {
        "global": {"hub": "stage.local/istio", "tag": "1.31.0", "imagePullPolicy": "IfNotPresent"},
        "env": {"PILOT_ENABLE_ALPN_FILTER": "false"},
        "telemetry": {"enabled": False},
    }
    values = values_of(recorded(values=given, size=Size.SMALL).one(RELEASE, "istio-istiod"))
    assert values["telemetry"] == {"enabled": False}
    assert values["env"] == {"PILOT_ENABLE_ALPN_FILTER": "false"}
    assert values["global"]["hub"] == "stage.local/istio"
    assert values["replicaCount"] == 1


def test_the_gate_holds_istiod_and_every_tag() -> None:
    def see(plane: IstioControlPlane) -> None:
        k8s.core.v1.ConfigMap(
            "istio-after", opts=pulumi.ResourceOptions(parent=plane, depends_on=[*plane.handle.ready])
        )

    recording = recorded(see=see, revision="one", revision_tags=["stable", "default"])
    after = recording.one("kubernetes:core/v1:ConfigMap", "istio-after")
    assert recording.names(after.depends_on) == {"istio-istiod-one", "istio-tag-stable", "istio-tag-default"}


def test_a_canary_runs_beside_and_does_not_serve() -> None:
    recording = recorded(
        version="1.30.1",
        revision="1-30-1",
        revision_tags=["stable"],
        values={"telemetry": {"enabled": False}},
        canary=IstiodRevision(version="1.31.0", revision="1-31-0", values={"traceSampling": 1}),
    )
    old, new = recording.one(RELEASE, "istio-istiod-1-30-1"), recording.one(RELEASE, "istio-istiod-1-31-0")
    assert (old.inputs["name"], new.inputs["name"]) == ("istiod-1-30-1", "istiod-1-31-0")
    assert (old.inputs["version"], new.inputs["version"]) == ("1.30.1", "1.31.0")
    assert values_of(new)["telemetry"] == {"enabled": False}
    assert "traceSampling" not in values_of(old)
    base = recording.one(RELEASE, "istio-base")
    # Newer CRDs serve an older istiod, not the other way round.
    assert base.inputs["version"] == "1.31.0"
    assert values_of(base)["defaultRevision"] == "1-30-1"
    tag = recording.one(WEBHOOKS, "istio-tag-stable")
    assert {hook["clientConfig"]["service"]["name"] for hook in tag.inputs["webhooks"]} == {"istiod-1-30-1"}


def steps() -> list[dict[str, Any]]:
    """A whole upgrade: before, beside, promoted, alone."""
    old = {"version": "1.30.1", "revision": "1-30-1", "revision_tags": ["stable"]}
    new = IstiodRevision(version="1.31.0", revision="1-31-0")
    return [
        old,
        {**old, "canary": new},
        {**old, "canary": new, "canary_serves": True},
        {"version": "1.31.0", "revision": "1-31-0", "revision_tags": ["stable"]},
    ]


def test_an_upgrade_moves_the_tag_in_place_and_keeps_the_new_istiod() -> None:
    recordings = [recorded(**step) for step in steps()]
    tags = [recording.one(WEBHOOKS, "istio-tag-stable") for recording in recordings]
    assert len({tag.urn for tag in tags}) == 1
    assert len({tag.input("metadata.name") for tag in tags}) == 1
    assert [tag.input("metadata.labels")["istio.io/rev"] for tag in tags] == ["1-30-1", "1-30-1", "1-31-0", "1-31-0"]
    promoted, alone = (recording.one(RELEASE, "istio-istiod-1-31-0") for recording in recordings[2:])
    assert (promoted.urn, promoted.inputs) == (alone.urn, alone.inputs)


def test_an_upgrade_restarts_proxies_once_when_the_canary_takes_over() -> None:
    handles = [handle_for(**step) for step in steps()]
    assert [handle.data_plane for handle in handles] == ["1-30-1/1.30.1"] * 2 + ["1-31-0/1.31.0"] * 2
    assert {handle.revision for handle in handles} == {"stable"}
    assert [handle.behaviour.scrubs_at_source for handle in handles] == [False, False, True, True]


def test_the_tag_default_serves_namespaces_with_the_plain_label_too() -> None:
    tag = recorded(revision="one", revision_tags=["default"]).one(WEBHOOKS, "istio-tag-default")
    hooks = {hook["name"]: hook for hook in tag.inputs["webhooks"]}
    assert set(hooks) == {
        f"{prefix}sidecar-injector.istio.io" for prefix in ("rev.namespace.", "rev.object.", "namespace.", "object.")
    }
    selected = hooks["namespace.sidecar-injector.istio.io"]["namespaceSelector"]["matchExpressions"]
    assert selected == [{"key": "istio-injection", "operator": "In", "values": ["enabled"]}]
    # istiod writes it; a value of ours would be fought over.
    assert "caBundle" not in json.dumps(tag.inputs["webhooks"])


def test_the_handle_says_what_mirrors_need() -> None:
    handle = handle_for(compatibility_version="1.27", namespace="mesh")
    assert handle.behaviour.authority_mode is AuthorityMode.SUFFIXED
    assert (handle.root_namespace, handle.revision, handle.chart_version) == ("mesh", "", "1.31.0")
    assert handle.injection_labels == {"istio-injection": "enabled"}
    assert handle_for(revision="one").injection_labels == {"istio.io/rev": "one"}


@pytest.mark.parametrize(
    ("arguments", "field", "rule"),
    [
        ({"kubernetes_version": "1.31"}, "kubernetes_version", "Istio 1.31 supports"),
        (
            {
                "kubernetes_version": "1.30",
                "version": "1.28.0",
                "canary": IstiodRevision(version="1.31.0", revision="b"),
            },
            "kubernetes_version",
            "Istio 1.31 supports",
        ),
        ({"namespace": "Istio"}, "namespace", "DNS label"),
        ({"timeout_seconds": 0}, "timeout_seconds", "at least 1"),
        ({"revision": "r" * 47}, "revision", "at most 46 characters"),
        ({"canary_serves": True}, "canary_serves", "needs a canary"),
        ({"cni_values": {"cni": {}}}, "cni_values", "needs cni"),
        ({"canary": IstiodRevision()}, "canary.revision", "other than the first"),
        ({"revision": "a", "canary": IstiodRevision(revision="a")}, "canary.revision", "other than the first"),
        ({"revision": "a", "revision_tags": ["x", "x"]}, "revision_tags[1]", "must differ"),
        ({"revision": "a", "revision_tags": ["a"]}, "revision_tags[0]", "must differ"),
        ({"revision_tags": ["default"]}, "revision_tags[0]", "must differ"),
        ({"revision_tags": ["Stable"]}, "revision_tags[0]", "DNS label"),
        ({"version": "1.40.0"}, "version", "from 1.26 to 1.31"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], field: str, rule: str) -> None:
    with pytest.raises(ValidationError, match=rule) as refusal:
        IstioControlPlaneArgs(cluster=CLUSTER, **arguments)
    assert refusal.value.field == field


def test_kubernetes_must_suit_both_revisions() -> None:
    canary = IstiodRevision(version="1.31.0", revision="b")
    both = IstioControlPlaneArgs(cluster=CLUSTER, kubernetes_version="1.32", version="1.28.0", canary=canary)
    assert both.kubernetes_version == "1.32"
