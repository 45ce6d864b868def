"""What pods, images and environments are held to, place by place."""

from typing import Any

import pytest

from pulumi_traffic_mirror_policies.rules.secrets import TELLING_NAME
from pulumi_traffic_mirror_policies.rules.workloads import begins_with
from tests.policy.driver import InProcess, cluster_object

IMAGE = f"registry.example/greeter@sha256:{'0' * 64}"
HARDENED = {
    "allowPrivilegeEscalation": False,
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
    "capabilities": {"drop": ["ALL"]},
}


def found(
    rule: str, *, container: dict[str, Any] | None = None, notes: dict[str, str] | None = None, **spec: Any
) -> int:
    containers = [{"name": "greeter", "image": IMAGE, "securityContext": HARDENED, **(container or {})}]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "greeter", "namespace": "hello", "annotations": notes or {}},
        "spec": {"containers": containers, **spec},
    }
    return len(InProcess(only=rule).judge([cluster_object(pod)]).of(rule))


@pytest.mark.parametrize(
    "given",
    [
        {"securityContext": {"appArmorProfile": {"type": "Unconfined"}}},
        {"notes": {"container.apparmor.security.beta.kubernetes.io/greeter": "unconfined"}},
        {"securityContext": {"seLinuxOptions": {"type": "spc_t"}}},
        {"securityContext": {"seLinuxOptions": {"role": "system_r"}}},
        {"securityContext": {"windowsOptions": {"hostProcess": True}}},
        {"container": {"securityContext": {**HARDENED, "windowsOptions": {"hostProcess": True}}}},
        {"container": {"livenessProbe": {"httpGet": {"host": "169.254.169.254", "port": 80}}}},
        {"container": {"lifecycle": {"preStop": {"tcpSocket": {"host": "other.example", "port": 1}}}}},
    ],
)
def test_what_the_restricted_standard_refuses_is_refused(given: dict[str, Any]) -> None:
    assert found("pod-restricted", **given) == 1


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"securityContext": {"appArmorProfile": {"type": "Localhost"}, "seLinuxOptions": {"type": "container_t"}}},
        {"notes": {"container.apparmor.security.beta.kubernetes.io/greeter": "localhost/profile"}},
        {"container": {"livenessProbe": {"httpGet": {"path": "/", "port": 80}}}},
    ],
)
def test_what_the_restricted_standard_allows_is_allowed(given: dict[str, Any]) -> None:
    assert found("pod-restricted", **given) == 0


def test_images_in_volumes_need_a_digest_too() -> None:
    assert found("image-digest", volumes=[{"name": "data", "image": {"reference": "registry.example/data:1"}}]) == 1
    assert found("image-digest", volumes=[{"name": "data", "image": {"reference": IMAGE}}, {"name": "tmp"}]) == 0


@pytest.mark.parametrize(
    ("name", "beginning", "allowed"),
    [
        ("a.example/team/x:1", "a.example/team", True),
        ("a.example/team/x:1", "a.example/team/", True),
        ("a.example/team-of-others/x:1", "a.example/team", False),
        ("a.example.evil/x:1", "a.example", False),
        ("a.example/x:1", "a.example/x", True),
    ],
)
def test_allowed_images_begin_with_whole_parts(name: str, beginning: str, allowed: bool) -> None:
    assert begins_with(name, beginning) is allowed


@pytest.mark.parametrize("name", ["PGPASSWORD", "MYSQL_PWD", "SMTP_PASS", "SENTRY_DSN", "JWT_SIGNING_KEY", "apiKey"])
def test_names_of_secrets_are_known(name: str) -> None:
    assert TELLING_NAME.search(name)
    assert found("secret-in-clear", container={"env": [{"name": name, "value": "tr0ub4dor"}]}) == 1
    assert found("secret-in-clear", container={"env": [{"name": name, "value": "true"}]}) == 0


@pytest.mark.parametrize("name", ["PWD", "PASSWORD_FILE", "KEYBOARD", "COMPASS", "TOKENS_PER_SECOND"])
def test_names_of_other_things_are_no_secrets(name: str) -> None:
    assert not TELLING_NAME.search(name)


def test_a_patch_of_a_route_is_told() -> None:
    route = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualServicePatch", "metadata": {"name": "greeter"}}
    assert len(InProcess(only="patch-not-judged").judge([cluster_object(route)]).of("patch-not-judged")) == 1
