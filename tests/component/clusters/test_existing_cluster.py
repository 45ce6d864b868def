"""ExistingCluster: one provider, its kubeconfig secret and minimal, and nothing created for a wrong one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import pytest

from pulumi_traffic_mirror.clusters import ClusterHandle, ClusterPlatform, ExistingCluster, ExistingClusterArgs
from pulumi_traffic_mirror.clusters.gke import GKE
from pulumi_traffic_mirror.clusters.provider import UPSERT_VARIABLE
from pulumi_traffic_mirror.model import ValidationError
from tests.support.recording import Recording, Secret, refused, run_program

PROVIDER = "pulumi:providers:kubernetes"
SERVER = "https://198.18.0.1:6443"
WHOLE: dict[str, Any] = {
    "current-context": "one",
    "contexts": [
        {"name": "one", "context": {"cluster": "c", "user": "u"}},
        {"name": "two", "context": {"cluster": "c2", "user": "u"}},
    ],
    "clusters": [{"name": "c", "cluster": {"server": SERVER}}, {"name": "c2", "cluster": {"server": "https://two"}}],
    "users": [{"name": "u", "user": {"token": "not-a-real-token"}}, {"name": "other", "user": {"token": "foreign"}}],
}
TEXT = json.dumps(WHOLE)


def recorded(args: Callable[[], ExistingClusterArgs], *, preview: bool = False, **config: Any) -> Recording:
    def program() -> None:
        handle = ExistingCluster("staging", args()).handle
        k8s.core.v1.ConfigMap("inside", opts=pulumi.ResourceOptions(provider=handle.provider))

    return run_program(program, preview=preview, top_level={"inside"}, **config)


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize("secret", [False, True])
def test_content_becomes_one_provider_with_a_secret_and_minimal_kubeconfig(preview: bool, secret: bool) -> None:
    def args() -> ExistingClusterArgs:
        return ExistingClusterArgs(kubeconfig=pulumi.Output.secret(TEXT) if secret else TEXT)

    recording = recorded(args, preview=preview)
    component = recording.one(ExistingCluster.TYPE, "staging")
    provider = recording.one(PROVIDER, "staging-provider")
    assert recording.shape == {
        (ExistingCluster.TYPE, "staging"),
        (PROVIDER, "staging-provider"),
        ("kubernetes:core/v1:ConfigMap", "inside"),
    }
    assert provider.parent == component.urn
    assert isinstance(provider.inputs["kubeconfig"], Secret)
    assert json.loads(provider.inputs["kubeconfig"].value)["clusters"] == WHOLE["clusters"][:1]
    assert "foreign" not in provider.inputs["kubeconfig"].value
    assert {key: value for key, value in provider.inputs.items() if key != "kubeconfig"} == {
        "clusterIdentifier": SERVER,
        "enableServerSideApply": "true",
        "enableConfigMapMutable": "true",
        "enableSecretMutable": "true",
    }
    assert component.outputs == {"server": SERVER}
    assert recording.one("kubernetes:core/v1:ConfigMap").provider == provider.urn


def test_options_of_the_component_stay_with_the_component() -> None:
    def program() -> None:
        options = pulumi.ResourceOptions(protect=True, aliases=[pulumi.Alias(name="old")])
        ExistingCluster("staging", ExistingClusterArgs(kubeconfig=TEXT), options)

    recording = run_program(program)
    assert recording.one(ExistingCluster.TYPE).aliases == ("name=old",)
    assert recording.one(PROVIDER).aliases == ()
    assert recording.one(PROVIDER).protect is True


def test_context_identity_and_platform_are_taken_over() -> None:
    handles: list[ClusterHandle] = []

    def program() -> None:
        args = ExistingClusterArgs(kubeconfig=TEXT, context="two", identity="mine", platform=GKE)
        handles.append(ExistingCluster("b", args).handle)

    recording = run_program(program)
    assert recording.one(PROVIDER).inputs["clusterIdentifier"] == "mine"
    assert json.loads(recording.one(PROVIDER).inputs["kubeconfig"].value)["current-context"] == "two"
    (handle,) = handles
    assert (handle.name, handle.platform, handle.ready) == ("b", GKE, ())


def test_a_file_and_the_files_of_kubectl_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config"
    path.write_text(TEXT)
    by_path = recorded(lambda: ExistingClusterArgs(kubeconfig_path=path))
    monkeypatch.setenv("KUBECONFIG", str(path))
    by_context = recorded(lambda: ExistingClusterArgs(context="one"))
    monkeypatch.delenv("KUBECONFIG")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".kube").mkdir()
    path.rename(tmp_path / ".kube/config")
    by_home = recorded(lambda: ExistingClusterArgs(kubeconfig_path="~/.kube/config"))
    by_default = recorded(lambda: ExistingClusterArgs(context="one"))
    by_content = recorded(lambda: ExistingClusterArgs(kubeconfig=TEXT))
    configs = [each.one(PROVIDER).inputs for each in (by_path, by_context, by_home, by_default, by_content)]
    assert all(each == configs[0] for each in configs)


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize(
    ("args", "field"),
    [
        (lambda: ExistingClusterArgs(kubeconfig=": ["), "kubeconfig"),
        (lambda: ExistingClusterArgs(kubeconfig=pulumi.Output.secret("~/.kube/config")), "kubeconfig"),
        (lambda: ExistingClusterArgs(kubeconfig=TEXT, context="three"), "context"),
        (lambda: ExistingClusterArgs(kubeconfig=pulumi.Output.secret(TEXT), context="three"), "context"),
        (lambda: ExistingClusterArgs(kubeconfig_path="/nonexistent/config"), "kubeconfig_path"),
        (lambda: ExistingClusterArgs(kubeconfig_path="~nobody-at-all/config"), "kubeconfig_path"),
        (lambda: ExistingClusterArgs(kubeconfig_path="a\0b"), "kubeconfig_path"),
        (lambda: ExistingClusterArgs(context="nowhere"), "context"),
        (ExistingClusterArgs, "kubeconfig"),
        (lambda: ExistingClusterArgs(kubeconfig=TEXT, kubeconfig_path="x"), "kubeconfig_path"),
        (lambda: ExistingClusterArgs(context=""), "context"),
        (lambda: ExistingClusterArgs(kubeconfig=TEXT, identity=""), "identity"),
        (lambda: ExistingClusterArgs(kubeconfig=TEXT, platform="gke"), "platform"),  # pyright: ignore[reportArgumentType]
        (lambda: ClusterPlatform(internal_load_balancer={"": "x"}), "platform.internal_load_balancer"),
        (lambda: ClusterPlatform(global_access={"a": 1}), "platform.global_access['a']"),  # pyright: ignore[reportArgumentType]
        (lambda: ClusterPlatform(istio_platform=""), "platform.istio_platform"),
        (lambda: ClusterPlatform(node_agents="no"), "platform.node_agents"),  # pyright: ignore[reportArgumentType]
    ],
)
def test_wrong_ones_are_refused_before_anything_is_created(
    args: Callable[[], ExistingClusterArgs], field: str, preview: bool
) -> None:
    def program() -> None:
        handle = ExistingCluster("staging", args()).handle
        k8s.core.v1.ConfigMap("inside", opts=pulumi.ResourceOptions(provider=handle.provider))

    refusal = refused(program, ValidationError, preview=preview)
    assert isinstance(refusal.error, ValidationError)
    assert refusal.error.field == field
    assert "not-a-real-token" not in str(refusal.error)
    assert all(not resource.custom for resource in refusal.recording.resources)


def test_the_arguments_do_not_show_the_kubeconfig() -> None:
    assert "not-a-real-token" not in repr(ExistingClusterArgs(kubeconfig=TEXT))


@pytest.mark.parametrize(("value", "warned"), [(None, 0), ("false", 0), ("", 0), ("true", 1), ("1", 1)])
def test_creating_over_what_exists_is_warned_of(
    value: str | None, warned: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(UPSERT_VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(UPSERT_VARIABLE, value)
    recording = recorded(lambda: ExistingClusterArgs(kubeconfig=TEXT))
    assert len(recording.logs) == warned
    assert all("renamed without an alias" in line.message for line in recording.logs)
    assert (recording.one(PROVIDER).inputs.get("upsertExistingObjects") == "true") is bool(warned)
