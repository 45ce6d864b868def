"""Objects under the stand-in provider, on a real API server."""

import base64
from typing import Any

import pytest

from components.rehearsal.standin_provider.values import UNKNOWN, Secret, has_secret, plain
from tests.support.apiserver import ApiServer
from tests.support.manifests import CONFIG_MAP, DEPLOYMENT, SERVICE, config_map, deployment, service
from tests.support.provider_process import ProviderFailedError, ProviderProcess

pytestmark = pytest.mark.stage


def test_the_state_is_the_live_object_with_its_inputs(provider: ProviderProcess, namespace: str) -> None:
    resource = provider.resource(CONFIG_MAP)
    state = resource.create(config_map(namespace, greeting="hello"))
    assert resource.id == f"{namespace}/c"
    assert state["data"] == {"greeting": "hello"}
    assert state["metadata"]["uid"]
    assert state["__inputs"] == config_map(namespace, greeting="hello")
    assert state["__initialApiVersion"] == "v1"


def test_the_same_inputs_are_no_change_and_others_are_an_update(
    provider: ProviderProcess, apiserver: ApiServer, namespace: str
) -> None:
    resource = provider.resource(CONFIG_MAP)
    resource.create(config_map(namespace, greeting="hello"))
    assert resource.diff(config_map(namespace, greeting="hello")).changes == 1
    changed = resource.diff(config_map(namespace, greeting="bye"))
    assert list(changed.detailedDiff) == ["data.greeting"]
    assert not changed.replaces
    resource.update(config_map(namespace, greeting="bye"), preview=True)
    assert (apiserver.get("v1", "ConfigMap", "c", namespace) or {})["data"] == {"greeting": "hello"}
    resource.update(config_map(namespace, farewell="bye"))
    assert (apiserver.get("v1", "ConfigMap", "c", namespace) or {})["data"] == {"farewell": "bye"}


def test_a_name_that_is_left_open_is_made_once_and_kept(provider: ProviderProcess, namespace: str) -> None:
    resource = provider.resource(CONFIG_MAP, "greeting")
    open_name = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": namespace}, "data": {"a": "1"}}
    state = resource.create(open_name)
    assert state["metadata"]["name"].startswith("greeting-")
    assert resource.diff(open_name).changes == 1
    renamed = resource.diff(config_map(namespace, a="1"))
    assert "metadata.name" in renamed.replaces


def test_an_object_without_namespace_goes_to_the_default_one(provider: ProviderProcess, apiserver: ApiServer) -> None:
    resource = provider.resource(CONFIG_MAP)
    inputs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "homeless"}, "data": {}}
    resource.create(inputs)
    assert resource.id == "default/homeless"
    assert resource.diff(inputs).changes == 1
    resource.delete()
    assert apiserver.get("v1", "ConfigMap", "homeless", "default") is None


def test_secrets_stay_secret_whatever_the_server_makes_of_them(provider: ProviderProcess, namespace: str) -> None:
    resource = provider.resource("kubernetes:core/v1:Secret")
    inputs = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "namespace": namespace},
        "stringData": {"password": Secret("open sesame")},
    }
    state = resource.create(inputs)
    assert isinstance(state["data"], Secret)
    assert base64.b64decode(plain(state["data"])["password"]) == b"open sesame"
    assert has_secret(state["__inputs"])
    resource.refresh()
    assert has_secret(resource.inputs)
    assert resource.diff(inputs).changes == 1
    with pytest.raises(ProviderFailedError) as failed:
        resource.update(
            {**inputs, "metadata": {"name": "s", "namespace": namespace, "labels": {"x": Secret("open sesame")}}}
        )
    assert "open sesame" not in str(failed.value)
    assert "open sesame" not in provider.log.read_text(encoding="utf-8")


def test_a_preview_shows_the_servers_defaults_and_makes_nothing(
    provider: ProviderProcess, apiserver: ApiServer, namespace: str
) -> None:
    resource = provider.resource(SERVICE)
    preview = resource.preview(service(namespace))
    assert preview["spec"]["sessionAffinity"] == "None"
    assert "status" not in preview
    assert apiserver.get("v1", "Service", "s", namespace) is None


def test_a_preview_with_unknown_values_works(provider: ProviderProcess, namespace: str) -> None:
    resource = provider.resource(CONFIG_MAP)
    assert resource.preview(config_map(namespace, greeting=UNKNOWN))["data"]["greeting"] is UNKNOWN
    resource.create(config_map(namespace, greeting="hello"))
    assert list(resource.diff(config_map(namespace, greeting=UNKNOWN)).detailedDiff) == ["data.greeting"]
    assert resource.update(config_map(namespace, greeting=UNKNOWN), preview=True)["data"]["greeting"] is UNKNOWN


def test_an_invalid_object_fails_in_the_preview_already(provider: ProviderProcess, namespace: str) -> None:
    broken = service(namespace)
    broken["spec"]["ports"] = [{"port": 70000}]
    with pytest.raises(ProviderFailedError, match=r"spec\.ports\[0\]\.port"):
        provider.resource(SERVICE).preview(broken)


def test_what_the_server_calls_immutable_needs_a_new_object(provider: ProviderProcess, namespace: str) -> None:
    resource = provider.resource(DEPLOYMENT)
    resource.create(deployment(namespace))
    answer = resource.diff(deployment(namespace, label="b"))
    assert "spec.selector.matchLabels.app" in answer.replaces
    assert answer.deleteBeforeReplace
    # Nobody lists this field: the server itself says so in the dry run.
    quota = provider.resource("kubernetes:storage.k8s.io/v1:StorageClass")
    storage = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": namespace}}
    quota.create({**storage, "provisioner": "one.example"})
    assert quota.diff({**storage, "provisioner": "two.example"}).replaces == ["provisioner"]
    quota.delete()


def test_another_spelling_of_the_same_quantity_is_no_change(provider: ProviderProcess, namespace: str) -> None:
    def requests(cpu: str) -> dict[str, Any]:
        made = deployment(namespace)
        made["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": cpu}}
        return made

    resource = provider.resource(DEPLOYMENT)
    resource.create(requests("1"))
    assert resource.diff(requests("1000m")).changes == 1
    assert resource.diff(requests("500m")).changes == 2


def test_an_object_of_somebody_else_is_not_taken_over(
    provider: ProviderProcess, apiserver: ApiServer, namespace: str
) -> None:
    apiserver.apply(config_map(namespace, greeting="theirs"))
    with pytest.raises(ProviderFailedError, match="exists already"):
        provider.resource(CONFIG_MAP).create(config_map(namespace, greeting="ours"))
    assert (apiserver.get("v1", "ConfigMap", "c", namespace) or {})["data"] == {"greeting": "theirs"}


def test_an_object_of_a_killed_run_is_taken_up_again(provider: ProviderProcess, namespace: str) -> None:
    provider.resource(CONFIG_MAP).create(config_map(namespace, greeting="hello"))
    again = provider.resource(CONFIG_MAP)
    assert again.create(config_map(namespace, greeting="bye"))["data"] == {"greeting": "bye"}


def test_a_field_of_somebody_else_is_a_conflict_that_names_the_way_out(
    provider: ProviderProcess, apiserver: ApiServer, namespace: str
) -> None:
    resource = provider.resource(CONFIG_MAP)
    resource.create(config_map(namespace, greeting="hello"))
    apiserver.apply(config_map(namespace, greeting="theirs"))
    with pytest.raises(ProviderFailedError, match="patchForce"):
        resource.update(config_map(namespace, greeting="ours"))
    forced = config_map(namespace, greeting="ours")
    forced["metadata"]["annotations"] = {"pulumi.com/patchForce": "true"}
    assert resource.update(forced)["data"] == {"greeting": "ours"}


def test_a_refresh_sees_drift_and_the_next_update_repairs_it(
    provider: ProviderProcess, apiserver: ApiServer, namespace: str
) -> None:
    resource = provider.resource(CONFIG_MAP)
    inputs = config_map(namespace, greeting="hello")
    inputs["metadata"]["annotations"] = {"pulumi.com/patchForce": "true"}
    resource.create(inputs)
    apiserver.apply(config_map(namespace, greeting="theirs"))
    assert resource.diff(inputs).changes == 1, "a plain preview looks at the inputs only"
    resource.refresh()
    assert resource.inputs["data"] == {"greeting": "theirs"}
    assert list(resource.diff(inputs).detailedDiff) == ["data.greeting"]
    resource.update(inputs)
    assert (apiserver.get("v1", "ConfigMap", "c", namespace) or {})["data"] == {"greeting": "hello"}


def test_an_object_that_somebody_deleted_is_gone_after_a_refresh(
    provider: ProviderProcess, apiserver: ApiServer, namespace: str
) -> None:
    resource = provider.resource(CONFIG_MAP)
    resource.create(config_map(namespace, a="1"))
    apiserver.cluster.delete(apiserver.kind("v1", "ConfigMap"), "c", namespace, "Background")
    with pytest.raises(ProviderFailedError, match="--refresh"):
        resource.update(config_map(namespace, a="2"))
    assert resource.read() == ("", {}, {})
    resource.delete()


def test_an_import_reads_inputs_from_the_live_object(
    provider: ProviderProcess, apiserver: ApiServer, namespace: str
) -> None:
    apiserver.apply(config_map(namespace, greeting="theirs"))
    resource = provider.resource(CONFIG_MAP)
    resource.id = f"{namespace}/c"
    _, state, inputs = resource.read()
    assert inputs == config_map(namespace, greeting="theirs")
    assert state["metadata"]["uid"]


@pytest.mark.parametrize(
    ("token", "kind", "words"),
    [
        ("kubernetes:apps/v1:StatefulSet", "StatefulSet", "StatefulSet"),
        ("kubernetes:core/v1:ConfigMapPatch", "ConfigMap", "ConfigMapPatch"),
        ("kubernetes:core/v1:ConfigMapList", "ConfigMapList", "ConfigMapList"),
        ("kubernetes:helm.sh/v4:Chart", "Chart", "helm.sh/v4:Chart"),
    ],
)
def test_what_it_does_not_do_is_refused_by_name(provider: ProviderProcess, token: str, kind: str, words: str) -> None:
    with pytest.raises(ProviderFailedError, match=f"{words}.*not supported by the stand-in"):
        provider.resource(token).check({"apiVersion": "v1", "kind": kind, "metadata": {"name": "x"}})


def test_an_unknown_option_is_refused_by_name(own_provider: ProviderProcess, apiserver: ApiServer) -> None:
    with pytest.raises(ProviderFailedError, match="renderYamlToDirectory"):
        own_provider.configure(kubeconfig=apiserver.content, renderYamlToDirectory="manifests")
    with pytest.raises(ProviderFailedError, match="enableServerSideApply"):
        own_provider.configure(kubeconfig=apiserver.content, enableServerSideApply="false")
