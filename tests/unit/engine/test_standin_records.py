"""What is recorded of an object, names that are generated, and the provider's own options."""

import base64
from typing import Any

import pytest

from components.rehearsal.standin_provider import checkpoint
from components.rehearsal.standin_provider.errors import ProviderError, RefusedError
from components.rehearsal.standin_provider.helm import resource_names
from components.rehearsal.standin_provider.manager import Naming, Task
from components.rehearsal.standin_provider.naming import is_autonamed, named
from components.rehearsal.standin_provider.settings import (
    Settings,
    active_server,
    decode_settings,
    difference,
    refuse_unknown_options,
)
from components.rehearsal.standin_provider.values import UNKNOWN, Secret

TASK = Task(urn="urn:pulumi:dev::tiny::kubernetes:core/v1:ConfigMap::words", token="kubernetes:core/v1:ConfigMap")
LIVE = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "c", "namespace": "n", "uid": "1", "managedFields": [{"manager": "m", "operation": "Apply"}]},
    "data": {"a": "1", "b": "2"},
}


def test_a_record_can_be_read_back() -> None:
    inputs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": Secret("1")}}
    state = checkpoint.record(LIVE, inputs, "m")
    assert state["data"] == {"a": Secret("1"), "b": "2"}
    recorded = checkpoint.parse(state)
    assert recorded.live == LIVE
    assert recorded.inputs["data"] == {"a": "1"}
    assert (recorded.manager, recorded.initial_api_version) == ("m", "v1")


def test_schema_keys_with_dashes_survive() -> None:
    inputs = {"schema": {"x_kubernetes_preserve_unknown_fields": True, "x_other": 1}}
    obj = checkpoint.to_object(inputs)
    assert obj == {"schema": {"x-kubernetes-preserve-unknown-fields": True, "x_other": 1}}
    assert checkpoint.record(obj, inputs, "m")["schema"] == inputs["schema"]


def test_fields_of_the_server_are_not_applied() -> None:
    obj = checkpoint.to_object({"metadata": {"name": "a", "uid": "1", "resourceVersion": "2", "managedFields": []}})
    assert obj["metadata"] == {"name": "a"}


def test_a_refresh_reads_what_the_program_set_and_nothing_else() -> None:
    live = {"spec": {"a": 2, "b": 3, "list": [{"x": 1, "y": 2}]}, "status": {}}
    inputs = {"spec": {"a": 1, "list": [{"x": 1}], "gone": 1}}
    assert checkpoint.live_inputs(live, inputs) == {"spec": {"a": 2, "list": [{"x": 1}]}}
    longer = {"spec": {"list": [{"x": 1, "y": 2}, {"x": 2}]}}
    assert checkpoint.live_inputs(longer, inputs) == longer


def test_write_only_data_of_a_secret_is_read_back() -> None:
    live = {"data": {"a": base64.b64encode(b"new").decode(), "b": "eA=="}}
    assert checkpoint.live_inputs(live, {"stringData": {"a": "old", "c": "x"}}) == {"stringData": {"a": "new"}}


def test_the_field_manager_follows_from_the_resource_unless_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_HOME", "/one")
    first = checkpoint.field_manager({}, "urn:a")
    assert checkpoint.field_manager({}, "urn:a") == first
    assert checkpoint.field_manager({}, "urn:b") != first
    assert checkpoint.field_manager({}, "urn:a", "recorded") == "recorded"
    annotated = {"metadata": {"annotations": {"pulumi.com/patchFieldManager": "mine"}}}
    assert checkpoint.field_manager(annotated, "urn:a", "recorded") == "mine"
    monkeypatch.setenv("PULUMI_HOME", "/two")
    assert checkpoint.field_manager({}, "urn:a") != first, "another engine is another owner"


def test_an_object_is_ours_when_we_applied_it() -> None:
    assert checkpoint.made_by(LIVE, "m")
    assert not checkpoint.made_by(LIVE, "n")


def test_an_open_name_is_generated_once() -> None:
    first = named(TASK, {}, {"metadata": {"labels": {"a": "b"}}}, Naming(seed=b"1"))
    name = first["metadata"]["name"]
    assert name.startswith("words-")
    assert len(name) == len("words-") + 8
    assert is_autonamed(first)
    assert first["metadata"]["labels"] == {"a": "b"}
    assert named(TASK, first, {"metadata": {}}, Naming(seed=b"2"))["metadata"]["name"] == name
    assert named(TASK, {}, {}, Naming(proposed="wanted"))["metadata"]["name"] == "wanted"
    with pytest.raises(ProviderError, match="disabled"):
        named(TASK, {}, {}, Naming(disabled=True))


@pytest.mark.parametrize("metadata", [{"name": "mine"}, {"name": UNKNOWN}, UNKNOWN, Secret({"name": "mine"})])
def test_a_name_of_the_program_is_left_alone(metadata: Any) -> None:
    assert named(TASK, {}, {"metadata": metadata}, Naming()) == {"metadata": metadata}


def kubeconfig(server: str, context: str = "one") -> str:
    return f"""
clusters: [{{name: one, cluster: {{server: "{server}"}}}}, {{name: two, cluster: {{server: "https://two"}}}}]
contexts: [{{name: one, context: {{cluster: one}}}}, {{name: two, context: {{cluster: two}}}}]
current-context: {context}
"""


def test_the_active_server_follows_context_and_cluster() -> None:
    content = kubeconfig("https://one")
    assert active_server(Settings(kubeconfig=content)) == "https://one"
    assert active_server(Settings(kubeconfig=content, context="two")) == "https://two"
    assert active_server(Settings(kubeconfig=content, cluster="two")) == "https://two"
    assert active_server(Settings(kubeconfig="/some/path")) == ""


def test_another_cluster_replaces_the_provider_and_a_new_token_does_not() -> None:
    old = {"kubeconfig": kubeconfig("https://one")}
    assert difference(old, old).changed == ()
    assert difference(old, {"kubeconfig": kubeconfig("https://other")}).replaces == ("kubeconfig",)
    assert difference(old, {"kubeconfig": kubeconfig("https://one") + "users: []"}).replaces == ()
    assert difference(old, {"kubeconfig": UNKNOWN}).replaces == ("kubeconfig",)
    fixed = {**old, "clusterIdentifier": "x"}
    assert difference(fixed, {"kubeconfig": kubeconfig("https://other"), "clusterIdentifier": "x"}).replaces == ()
    assert difference(fixed, {**fixed, "clusterIdentifier": "y"}).replaces == ("clusterIdentifier",)


def test_options_are_decoded_and_unknown_ones_refused() -> None:
    found = decode_settings({"enableSecretMutable": "true", "namespace": Secret("n"), "kubeconfig": UNKNOWN})
    assert found == Settings(secret_mutable=True, namespace="n")
    assert "sesame" not in repr(Settings(kubeconfig="sesame"))
    refuse_unknown_options({"kubeconfig": "x", "enableServerSideApply": "true", "version": "4.34.2"})
    with pytest.raises(RefusedError, match="'renderYamlToDirectory'"):
        refuse_unknown_options({"renderYamlToDirectory": "x"})
    with pytest.raises(RefusedError, match="enableServerSideApply"):
        refuse_unknown_options({"enableServerSideApply": False})


def test_objects_of_a_chart_are_grouped_as_the_real_provider_does() -> None:
    manifest = """
---
apiVersion: v1
kind: Service
metadata: {name: b, namespace: n}
---
# nothing
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: a}
---
apiVersion: v1
kind: Service
metadata: {name: a, namespace: n}
"""
    assert resource_names(manifest) == {"Service/v1": ["n/a", "n/b"], "Deployment.apps/apps/v1": ["a"]}
