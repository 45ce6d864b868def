"""What a taken gateway or guard could reach, on a real API server: no more than its own."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from pulumi_traffic_mirror.rehearsal.mirror_tls import CLIENT_NAME
from tests.support.mirrored import Mirrored, Object

pytestmark = [pytest.mark.stage, pytest.mark.slow_stage]

GUARD_SOURCE: Final = Path(__file__).parents[3] / "components" / "workloads" / "expiry" / "server"
GATEWAY: Final = "system:serviceaccount:internal-gateway:internal-gateway"
GUARD: Final = "system:serviceaccount:expiry:expiry"
OWN, OTHER = "hello-greeter-mirrors", "somebody-elses"
NOTHING: Final = json.dumps({"metadata": {"annotations": {"tried": "yes"}}})


@pytest.fixture
def guarded(mirrored: Mirrored) -> Iterator[Mirrored]:
    """Both stacks with a guard, and a filter of somebody else in the root namespace, which does nothing."""
    image = mirrored.stage.add_python_app("stage.local/expiry-guard", source=GUARD_SOURCE, entry="/app/expiry_guard.py")
    mirrored.configure("traffic-mirror:expiryGuard.image", image)
    mirrored.configure("traffic-mirror:expiryGuard.allowTag", "true", "bool")
    mirrored.engine.up("staging")
    metadata = {"name": OTHER, "namespace": "istio-system"}
    selector = {"labels": {"app": "nobody"}}
    spec = {"workloadSelector": selector, "configPatches": []}
    filter_ = {"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter", "metadata": metadata, "spec": spec}
    mirrored.put("staging", filter_, "create")
    try:
        yield mirrored
    finally:
        mirrored.stage.kubectl("staging", "delete", "envoyfilter", OTHER, "-n", "istio-system")
        mirrored.pulumi("config", "rm", "traffic-mirror:expiryGuard")
        mirrored.engine.up("staging")


def asked(mirrored: Mirrored, account: str, *words: str) -> subprocess.CompletedProcess[str]:
    stage = mirrored.stage
    kubectl = [str(stage.bin / "kubectl"), f"--kubeconfig={stage.kubeconfigs['staging']}", f"--as={account}"]
    return stage.run_in_fabric([*kubectl, *words], check=False, timeout=60)


def may(mirrored: Mirrored, account: str, verb: str, what: str, namespace: str) -> bool:
    """Ask the API server by a SelfSubjectAccessReview."""
    done = asked(mirrored, account, "auth", "can-i", verb, what, "-n", namespace)
    assert done.stdout.strip() in {"yes", "no"}, done.stderr
    return done.stdout.strip() == "yes"


def refused(mirrored: Mirrored, account: str, *words: str) -> bool:
    """Whether the API server forbids what is asked for in the root namespace."""
    done = asked(mirrored, account, *words, "-n", "istio-system")
    assert done.returncode == 0 or "Forbidden" in done.stderr, done.stderr
    return done.returncode != 0


def test_whoever_takes_the_gateway_does_not_get_the_key_of_the_mesh_s_ca(mirrored: Mirrored) -> None:
    secret = "istio-ca-secret"
    assert mirrored.get("staging", "secret", "istio-system", secret)["metadata"]["name"] == secret
    assert may(mirrored, GATEWAY, "get", "secret/mirror-client", "internal-gateway"), "its own, so that asking tells"
    for verb in ("get", "list", "watch"):
        assert not may(mirrored, GATEWAY, verb, "secrets", "istio-system")
    assert refused(mirrored, GATEWAY, "get", "secret", secret, "-o", "name")


def test_a_certificate_with_another_name_sends_no_mirrors(mirrored: Mirrored) -> None:
    """Of the same authority: the rehearsal's contract names its client, and copies arrive."""

    def renamed(gateway: Object) -> None:
        (server,) = gateway["spec"]["servers"]
        assert server["tls"]["subjectAltNames"] == [CLIENT_NAME]
        server["tls"]["subjectAltNames"] = ["another.example"]

    assert mirrored.verify_until(lambda found: found["exit"] == 0, "--calls", "60")["exit"] == 0
    with mirrored.changed("testing", "gateway.networking.istio.io", "internal-gateway", "internal-gateway", renamed):
        result = mirrored.verify_until(lambda found: found["exit"] == 1, "--calls", "60", seconds=90)
        assert result["exit"] == 1, result
    assert mirrored.verify_until(lambda found: found["exit"] == 0, "--calls", "60", seconds=90)["exit"] == 0


def test_whoever_takes_the_guard_changes_no_filter_but_its_own(guarded: Mirrored) -> None:
    patch = ("patch", "envoyfilter", "--type=merge", f"--patch={NOTHING}", "--dry-run=server")
    assert may(guarded, GUARD, "patch", f"envoyfilters.networking.istio.io/{OWN}", "istio-system")
    assert not refused(guarded, GUARD, *patch, OWN)
    assert not may(guarded, GUARD, "patch", f"envoyfilters.networking.istio.io/{OTHER}", "istio-system")
    assert refused(guarded, GUARD, *patch, OTHER)
    for verb in ("create", "delete", "update", "list"):
        assert not may(guarded, GUARD, verb, "envoyfilters.networking.istio.io", "istio-system")
    assert not may(guarded, GUARD, "get", "secrets", "expiry")
