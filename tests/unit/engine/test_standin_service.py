"""The provider as a process: handshake, refusals, a cluster that is not there, and both names of the package."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2 as rpc

from components.rehearsal.standin_provider.install import install
from components.rehearsal.standin_provider.values import SIGNATURE_KEY, Secret, decode, encode
from tests.support import provider_process
from tests.support.provider_process import ProviderFailedError, ProviderProcess

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
DEAD = """
clusters: [{name: a, cluster: {server: "https://127.0.0.1:9"}}]
contexts: [{name: a, context: {cluster: a}}]
current-context: a
"""


def environment(root: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(root), "TRAFFIC_MIRROR_STANDIN_VERSION": "4.34.2"}


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProviderProcess]:
    """A provider whose cluster does not answer."""
    with provider_process.running(tmp_path_factory.mktemp("provider"), environment(ROOT)) as process:
        process.configure(kubeconfig=DEAD)
        yield process


def config_map(**data: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"}, "data": data}


def test_it_says_what_it_is_and_takes_secrets(provider: ProviderProcess) -> None:
    assert provider.call("Handshake", rpc.ProviderHandshakeRequest()).accept_secrets
    assert provider.call("GetPluginInfo", empty_pb2.Empty()).version == "4.34.2"
    assert "stand-in" in provider.call("GetSchema", rpc.GetSchemaRequest()).schema


def test_what_it_does_not_do_it_refuses_by_name(provider: ProviderProcess) -> None:
    calls = {
        "Invoke": rpc.InvokeRequest(tok="kubernetes:yaml:decode"),
        "Call": rpc.CallRequest(tok="kubernetes:x:y"),
        "Construct": rpc.ConstructRequest(type="kubernetes:helm.sh/v4:Chart"),
    }
    names = {"Invoke": "kubernetes:yaml:decode", "Call": "kubernetes:x:y", "Construct": "kubernetes:helm.sh/v4:Chart"}
    for method, request in calls.items():
        with pytest.raises(ProviderFailedError, match=f"{names[method]} is not supported by the stand-in"):
            provider.call(method, request)


def test_a_preview_works_without_the_cluster_and_an_update_says_what_is_wrong(provider: ProviderProcess) -> None:
    resource = provider.resource("kubernetes:core/v1:ConfigMap")
    assert resource.preview(config_map(a="1"))["data"] == {"a": "1"}
    with pytest.raises(ProviderFailedError, match=r"127\.0\.0\.1:9 is unreachable"):
        resource.create(config_map(a="1"))


def test_a_diff_works_without_the_cluster(provider: ProviderProcess) -> None:
    resource = provider.resource("kubernetes:core/v1:ConfigMap")
    resource.id, resource.inputs = "n/c", config_map(a="1")
    resource.state = {**config_map(a="1"), "__inputs": config_map(a="1")}
    assert resource.diff(config_map(a="1")).changes == 1
    changed = resource.diff(config_map(a="2"))
    assert (list(changed.replaces), changed.deleteBeforeReplace) == (["data.a"], True)


def test_secrets_come_back_as_secrets(provider: ProviderProcess) -> None:
    checked = provider.resource("kubernetes:core/v1:ConfigMap").check(config_map(a=Secret("sesame")))
    assert checked["data"] == {"a": Secret("sesame")}
    assert SIGNATURE_KEY in str(encode(checked))


def test_a_message_never_repeats_a_secret(provider: ProviderProcess) -> None:
    wrong = config_map()
    wrong["metadata"]["annotations"] = {"pulumi.com/waitFor": Secret("open sesame")}
    with pytest.raises(ProviderFailedError) as failed:
        provider.resource("kubernetes:core/v1:ConfigMap").check(wrong)
    assert "waitFor" in str(failed.value)
    assert "sesame" not in str(failed.value)


def test_a_provider_configuration_is_compared(provider: ProviderProcess) -> None:
    old = encode({"kubeconfig": DEAD})
    request = rpc.DiffRequest(old_inputs=old, olds=old, news=encode({"kubeconfig": DEAD.replace(":9", ":10")}))
    answer = provider.call("DiffConfig", request)
    assert (answer.changes, list(answer.replaces)) == (2, ["kubeconfig"])


def test_an_unusable_kubeconfig_is_told_when_it_is_needed(tmp_path: Path) -> None:
    with provider_process.running(tmp_path, environment(ROOT)) as process:
        process.configure(kubeconfig="/nowhere/kubeconfig")
        with pytest.raises(ProviderFailedError, match="kubeconfig"):
            process.resource("kubernetes:core/v1:ConfigMap").check(config_map())


def test_it_runs_under_the_wheels_name_too(tmp_path: Path) -> None:
    (tmp_path / "pulumi_traffic_mirror").symlink_to(ROOT / "components")
    package = "pulumi_traffic_mirror.rehearsal.standin_provider"
    with provider_process.running(tmp_path, environment(tmp_path), package) as process:
        assert process.call("GetPluginInfo", empty_pb2.Empty()).version == "4.34.2"


def test_the_installed_plugin_is_a_program_that_answers(tmp_path: Path) -> None:
    folder = install(tmp_path, "4.34.2")
    assert folder == tmp_path / "plugins" / "resource-kubernetes-v4.34.2"
    with subprocess.Popen(
        [folder / "pulumi-resource-kubernetes"], stdout=subprocess.PIPE, env={"PATH": os.environ["PATH"]}
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip().isdigit()
        process.terminate()


def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    install(tmp_path, "4.34.2")
    plugin = tmp_path / "plugins" / "resource-kubernetes-v4.34.2" / "pulumi-resource-kubernetes"
    script = (
        "import os, subprocess, sys\n"
        "child = subprocess.Popen([sys.argv[1]], stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "os._exit(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, plugin], stdout=subprocess.PIPE, text=True, check=True, timeout=20
    )
    wait_for_end(int(done.stdout))


def wait_for_end(pid: int) -> None:
    try:
        psutil.Process(pid).wait(timeout=20)
    except psutil.NoSuchProcess:
        return


def test_decoding_refuses_what_no_kubernetes_object_can_hold() -> None:
    asset = encode({"a": {SIGNATURE_KEY: "c44067f5952c0a294b673a41bacd8c17", "text": "x"}})
    with pytest.raises(ValueError, match="assets"):
        decode(asset)
