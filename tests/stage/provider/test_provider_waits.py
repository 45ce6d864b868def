"""How the stand-in provider waits: until objects are up or gone, a cancel or a signal; on a real API server."""

import os
import signal
import threading
import time
from typing import Any

import psutil
import pytest

from components.rehearsal.processes import wait_until
from tests.support.apiserver import ApiServer
from tests.support.manifests import CONFIG_MAP, DEPLOYMENT, SERVICE, config_map, deployment, service
from tests.support.provider_process import ProviderFailedError, ProviderProcess

pytestmark = pytest.mark.stage


def test_a_deployment_is_up_when_its_pods_are(provider: ProviderProcess, apiserver: ApiServer, namespace: str) -> None:
    state = provider.resource(DEPLOYMENT).create(deployment(namespace))
    assert state["status"]["availableReplicas"] == 2
    assert (apiserver.get("apps/v1", "Deployment", "d", namespace) or {})["status"]["readyReplicas"] == 2


def test_a_deployment_that_does_not_come_up_is_recorded_with_the_reason(
    provider: ProviderProcess, namespace: str
) -> None:
    resource = provider.resource(DEPLOYMENT)
    with pytest.raises(ProviderFailedError, match=r"0 of 2 pods.*ErrImagePull no such image") as failed:
        resource.create(deployment(namespace, image="broken"), timeout=3)
    assert failed.value.partial is not None
    assert resource.state["spec"]["replicas"] == 2
    with pytest.raises(ProviderFailedError, match="0 of 2 pods"):
        resource.read()
    assert resource.update(deployment(namespace))["status"]["availableReplicas"] == 2


def test_a_job_that_fails_is_not_waited_for(provider: ProviderProcess, namespace: str) -> None:
    def job(name: str, image: str) -> dict[str, Any]:
        pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": image}]}
        spec = {"backoffLimit": 0, "template": {"spec": pod}}
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "namespace": namespace},
            "spec": spec,
        }

    state = provider.resource("kubernetes:batch/v1:Job", "good").create(job("good", "works"), timeout=60)
    assert state["status"]["succeeded"] == 1
    begun = time.monotonic()
    with pytest.raises(ProviderFailedError, match="the job failed"):
        provider.resource("kubernetes:batch/v1:Job", "bad").create(job("bad", "fails"), timeout=60)
    assert time.monotonic() - begun < 30


def test_a_service_waits_for_pods_and_a_load_balancer_for_its_address(
    provider: ProviderProcess, apiserver: ApiServer, namespace: str
) -> None:
    provider.resource(DEPLOYMENT).create(deployment(namespace))
    begun = time.monotonic()
    provider.resource(SERVICE).create(service(namespace))
    assert time.monotonic() - begun < 8
    balancer = service(namespace, "LoadBalancer")
    balancer["metadata"]["name"] = "lb"
    resource = provider.resource(SERVICE, "lb")
    with pytest.raises(ProviderFailedError, match="load balancer's address"):
        resource.create(balancer, timeout=1)
    path = f"/api/v1/namespaces/{namespace}/services/lb/status"
    status = {"loadBalancer": {"ingress": [{"ip": "198.18.0.9"}]}}
    threading.Timer(0.5, lambda: apiserver.request("PATCH", path, {"status": status})).start()
    state = resource.update(balancer, timeout=20)
    assert state["status"]["loadBalancer"]["ingress"][0]["ip"] == "198.18.0.9"


def test_a_wait_that_the_program_chooses_replaces_ours(provider: ProviderProcess, namespace: str) -> None:
    lonely = service(namespace, label="nobody")
    lonely["metadata"]["annotations"] = {"pulumi.com/waitFor": "jsonpath={.spec.clusterIP}"}
    begun = time.monotonic()
    state = provider.resource(SERVICE).create(lonely)
    assert time.monotonic() - begun < 5
    assert state["spec"]["clusterIP"].startswith("10.96.")


def test_a_kind_is_ready_when_it_can_be_used(provider: ProviderProcess, apiserver: ApiServer, namespace: str) -> None:
    group = "mirror.example"
    schema = {"type": "object", "x_kubernetes_preserve_unknown_fields": True}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"routes.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "routes", "singular": "route", "kind": "Route"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }
    route = {
        "apiVersion": f"{group}/v1",
        "kind": "Route",
        "metadata": {"name": "r", "namespace": namespace},
        "spec": {"hosts": ["a.example"]},
    }
    custom = provider.resource(f"kubernetes:{group}/v1:Route", "route")
    assert custom.preview(route)["spec"] == {"hosts": ["a.example"]}
    later = threading.Thread(target=custom.create, args=(route,))
    later.start()
    kind = provider.resource("kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition", "crd")
    kind.create(definition)
    assert kind.diff(definition).changes == 1
    later.join(timeout=60)
    assert (apiserver.get(f"{group}/v1", "Route", "r", namespace) or {})["spec"] == {"hosts": ["a.example"]}
    assert custom.diff(route).changes == 1
    kind.delete()
    custom.delete()
    assert custom.read()[0] == ""


def test_a_deletion_waits_for_finalizers_and_names_them(
    provider: ProviderProcess, apiserver: ApiServer, namespace: str
) -> None:
    resource = provider.resource(CONFIG_MAP)
    inputs = config_map(namespace, a="1")
    inputs["metadata"]["finalizers"] = ["mirror.example/hold"]
    resource.create(inputs)
    with pytest.raises(ProviderFailedError, match=r"still there.*mirror\.example/hold"):
        resource.delete(timeout=1)
    path = f"/api/v1/namespaces/{namespace}/configmaps/c"
    threading.Timer(0.5, lambda: apiserver.request("PATCH", path, {"metadata": {"finalizers": None}})).start()
    resource.delete(timeout=20)
    assert apiserver.get("v1", "ConfigMap", "c", namespace) is None


def test_a_deletion_takes_the_pods_along(provider: ProviderProcess, apiserver: ApiServer, namespace: str) -> None:
    resource = provider.resource(DEPLOYMENT)
    resource.create(deployment(namespace))
    resource.delete()
    assert apiserver.request("GET", f"/api/v1/namespaces/{namespace}/pods")["items"] == []


def test_a_cancel_ends_a_wait_at_once(own_provider: ProviderProcess, namespace: str) -> None:
    resource = own_provider.resource(DEPLOYMENT)
    threading.Timer(1, own_provider.cancel).start()
    begun = time.monotonic()
    with pytest.raises(ProviderFailedError, match="cancelled") as failed:
        resource.create(deployment(namespace, image="broken"), timeout=60)
    assert failed.value.partial is not None, "the engine must know that the object exists"
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_promptly_while_it_waits(
    own_provider: ProviderProcess, namespace: str, number: signal.Signals
) -> None:
    resource = own_provider.resource(DEPLOYMENT)
    waiting = threading.Thread(target=ignore_failure, args=(resource.create, deployment(namespace, image="broken")))
    waiting.start()
    begun = time.monotonic()
    os.kill(own_provider.process.pid, number)
    wait_until(lambda: ended(own_provider.process), what="the provider ends", timeout=5)
    assert time.monotonic() - begun < 3
    waiting.join(timeout=10)


def ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def ignore_failure(function: Any, *arguments: Any) -> None:
    try:
        function(*arguments)
    except ProviderFailedError:
        return
