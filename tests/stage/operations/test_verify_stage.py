"""Deliberately broken set-ups on two real clusters: each is diagnosed by its right cause, and a healthy one holds."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from pulumi_traffic_mirror.operations.verify.causes import Cause
from tests.support.mirrored import Mirrored, Object, first_cause

pytestmark = [pytest.mark.stage, pytest.mark.slow_stage]

CALLS = ("--calls", "60")
V2 = "v2"
TESTING = "testing"
ACROSS = "outbound|8000||grpc-hello-mirror.testing.example"
INSIDE = "outbound|8000||greeter-v2.hello.svc.cluster.local"
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

Break = Callable[[Mirrored], AbstractContextManager[Any]]


def receiver(change: Callable[[Object], object]) -> Break:
    return lambda m: m.changed("testing", "virtualservice", "hello", "greeter", change)


def entry(change: Callable[[Object], object]) -> Break:
    return lambda m: m.changed("staging", "serviceentry", "hello", "greeter-testing", change)


def rule(change: Callable[[Object], object]) -> Break:
    return lambda m: m.changed("staging", "destinationrule", "hello", "greeter-testing", change)


def policies(change: Callable[[list[Object]], object]) -> Break:
    """Change the lists of mirrors that the EnvoyFilter gives to routes."""

    def each(value: Object) -> None:
        for patch in value["spec"]["configPatches"]:
            if patch["applyTo"] == "HTTP_ROUTE":
                change(patch["patch"]["value"]["route"]["request_mirror_policies"])

    return lambda m: m.changed("staging", "envoyfilter", "istio-system", "hello-greeter-mirrors", each)


def clusters(change: Callable[[Object], object]) -> Break:
    """Change what the EnvoyFilter says about the cluster of the mirror to testing."""

    def each(value: Object) -> None:
        for patch in value["spec"]["configPatches"]:
            if patch["applyTo"] == "CLUSTER" and patch["match"]["cluster"]["name"] == ACROSS:
                change(patch["patch"]["value"]["typed_extension_protocol_options"][HTTP_OPTIONS])

    return lambda m: m.changed("staging", "envoyfilter", "istio-system", "hello-greeter-mirrors", each)


def both(*breaks: Break) -> Break:
    @contextmanager
    def together(m: Mirrored) -> Any:
        with ExitStack() as stack:
            for each in breaks:
                stack.enter_context(each(m))
            yield

    return together


def without(policy_cluster: str) -> Callable[[list[Object]], object]:
    def change(found: list[Object]) -> None:
        found[:] = [policy for policy in found if policy["cluster"] != policy_cluster]

    return change


def mutations(cluster: str, drop: str) -> Callable[[list[Object]], object]:
    """Drop the removal of a header, or the mark, from what happens to the copies of one mirror."""

    def change(found: list[Object]) -> None:
        for policy in found:
            if policy["cluster"] == cluster:
                kept = [each for each in policy["request_headers_mutations"] if drop not in str(each)]
                policy["request_headers_mutations"] = kept

    return change


def share(cluster: str, numerator: int) -> Callable[[list[Object]], object]:
    def change(found: list[Object]) -> None:
        for policy in found:
            if policy["cluster"] == cluster:
                policy["runtime_fraction"]["default_value"]["numerator"] = numerator

    return change


def setting(*path: str, to: Any) -> Callable[[Object], object]:
    """Set a value below ``spec``; None removes it."""

    def change(value: Object) -> None:
        node: Any = value["spec"]
        for key in path[:-1]:
            node = node[int(key)] if isinstance(node, list) else node[key]
        if to is None:
            del node[path[-1]]
        else:
            node[path[-1]] = to

    return change


CASES: list[tuple[str, Break, str, Cause]] = [
    (
        "testing has no route",
        lambda m: m.deleted("testing", "virtualservice", "hello", "greeter"),
        TESTING,
        Cause.NOT_ACCEPTED,
    ),
    (
        "testing routes the mirror target's own name",
        receiver(setting("hosts", to=["grpc-hello-mirror.testing.example"])),
        TESTING,
        Cause.NOT_ACCEPTED,
    ),
    (
        "testing takes the suffixed authority only",
        receiver(setting("hosts", to=["grpc-hello.staging.example-shadow"])),
        TESTING,
        Cause.NOT_ACCEPTED,
    ),
    ("the filter's list lacks the mirror", policies(without(ACROSS)), TESTING, Cause.NO_POLICY),
    ("the filter's share differs", policies(share(ACROSS, 100_000)), TESTING, Cause.OTHER_PERCENT),
    (
        "the gateway does not take the calls' host",
        lambda m: m.changed(
            "staging",
            "gateway.networking.istio.io",
            "internal-gateway",
            "internal-gateway",
            setting("servers", "0", "hosts", to=["other.staging.example"]),
        ),
        TESTING,
        Cause.NO_ROUTE,
    ),
    (
        "the mirror's host is unknown",
        lambda m: m.deleted("staging", "serviceentry", "hello", "greeter-testing"),
        TESTING,
        Cause.CLUSTER_MISSING,
    ),
    ("v2 has no pod", lambda m: m.deployment("staging", "greeter-v2", replicas=0), V2, Cause.NO_ENDPOINTS),
    (
        "nobody listens at the address",
        entry(setting("endpoints", to=[{"address": "198.18.0.120", "ports": {"grpc": 8001}}])),
        TESTING,
        Cause.CONNECT,
    ),
    (
        "another server name",
        rule(setting("trafficPolicy", "tls", "sni", to="other.testing.example")),
        TESTING,
        Cause.TLS,
    ),
    ("plain text to a TLS listener", rule(setting("trafficPolicy", "tls", to=None)), TESTING, Cause.TLS),
    (
        "the certificate's secret is missing",
        rule(setting("trafficPolicy", "tls", "credentialName", to="absent")),
        TESTING,
        Cause.TLS,
    ),
    (
        "another name in the certificate",
        rule(setting("trafficPolicy", "tls", "subjectAltNames", to=["other.testing.example"])),
        TESTING,
        Cause.TLS,
    ),
    (
        "too few requests allowed to a slow mirror",
        both(
            rule(setting("trafficPolicy", "connectionPool", "http", "http2MaxRequests", to=1)),
            lambda m: m.deployment("testing", "greeter-v1", FAULT_DELAY_SECONDS="0.5"),
        ),
        TESTING,
        Cause.OVERFLOW,
    ),
    (
        "testing never answers",
        lambda m: m.deployment("testing", "greeter-v1", FAULT_HANG_RATE="1"),
        TESTING,
        Cause.TIMEOUT,
    ),
    (
        "testing has no pod",
        lambda m: m.deployment("testing", "greeter-v1", replicas=0),
        TESTING,
        Cause.LOST_BEHIND_GATEWAY,
    ),
    ("v2 keeps its mark off", policies(mutations(INSIDE, "x-traffic-mirror")), V2, Cause.MARK_MISSING),
    ("v2 gets credentials", policies(mutations(INSIDE, "'authorization'")), V2, Cause.CREDENTIALS_SEEN),
    (
        "the proxy refuses the mirror's cluster",
        clusters(lambda options: options.pop("explicit_http_config")),
        TESTING,
        Cause.REJECTED,
    ),
    (
        "gRPC by HTTP/1.1",
        clusters(lambda options: options.update(explicit_http_config={"http_protocol_options": {}})),
        TESTING,
        Cause.WRONG_PROTOCOL,
    ),
]


def test_a_healthy_set_up_holds(mirrored: Mirrored) -> None:
    result = mirrored.verify_until(lambda found: found["exit"] == 0, "--calls", "200")
    assert result["exit"] == 0, result
    assert result["gaps"] == []
    assert {mirror["name"]: mirror["outcome"] for mirror in result["mirrors"]} == {V2: "holds", TESTING: "holds"}
    across = next(mirror for mirror in result["mirrors"] if mirror["name"] == TESTING)
    assert (across["copies"], across["source"]) == (200, "log of the application")


def test_watching_without_traffic_never_passes(mirrored: Mirrored) -> None:
    result = mirrored.verify("--watch", "2")
    assert result["exit"] == 2
    assert {first_cause(result, name) for name in (V2, TESTING)} == {Cause.NO_CALLS.value}


def test_a_gateway_that_cannot_be_reached_is_told_from_mirrors_that_fail(mirrored: Mirrored) -> None:
    result = mirrored.verify("--calls", "8", "--gateway", "198.18.0.199:8000")
    assert result["exit"] == 2
    assert (result["unreached"], result["primary"]["outcome"]) == ("198.18.0.199:8000", "cannot tell"), result
    assert {first_cause(result, name) for name in (V2, TESTING)} == {Cause.NO_CALLS.value}


@pytest.mark.parametrize(("break_", "mirror", "cause"), [pytest.param(*case[1:], id=case[0]) for case in CASES])
def test_a_broken_set_up_is_diagnosed(mirrored: Mirrored, break_: Break, mirror: str, cause: Cause) -> None:
    def diagnosed(result: Object) -> bool:
        return first_cause(result, mirror) == cause.value

    with break_(mirrored):
        result = mirrored.verify_until(diagnosed, *CALLS)
    assert diagnosed(result), result
    assert result["exit"] == 1


def test_what_a_test_has_put_back_is_the_engine_s_again(mirrored: Mirrored) -> None:
    """Else the next deployment of another share would meet a conflict."""

    def owners(role: str, kind: str) -> list[tuple[str, object]]:
        found = mirrored.get(role, kind, "hello", "greeter")
        return [(each["manager"], each["fieldsV1"]) for each in found["metadata"]["managedFields"]]

    kind = "virtualservice"
    before = {role: owners(role, kind) for role in ("staging", "testing")}
    assert all(before.values())
    with mirrored.changed("staging", kind, "hello", "greeter", setting("hosts", to=["other.staging.example"])):
        assert owners("staging", kind) != before["staging"]
    with mirrored.deleted("testing", kind, "hello", "greeter"):
        pass
    assert {role: owners(role, kind) for role in before} == before


ROLES = (
    ("istio-system", "mesh"),
    ("istio-system", "istiod"),
    ("internal-gateway", "gateway"),
    ("hello", "application"),
)
"""Namespaced roles that ``verify --role`` prints."""


def with_least_rights(mirrored: Mirrored, role: str, folder: Path) -> str:
    """Bind what ``verify --role`` prints to an account of its own, and return a kubeconfig of that account."""
    kubectl = mirrored.stage.kubectl
    granted = folder / "role.yaml"
    granted.write_text(mirrored.command("verify", "--role").stdout, encoding="utf-8")
    kubectl(role, "apply", "-f", str(granted))
    kubectl(role, "create", "serviceaccount", "verifier", "-n", "hello")
    account, name = "--serviceaccount=hello:verifier", "traffic-mirror-verify"
    kubectl(role, "create", "clusterrolebinding", name, f"--clusterrole={name}", account)
    for namespace, part in ROLES:
        kubectl(role, "create", "rolebinding", f"{name}-{part}", "-n", namespace, f"--role={name}-{part}", account)
    # Both use it inside the mesh, so that sidecars are asked too.
    given = ("--verb=create,get", "--resource=pods/portforward", "-n", "hello")
    kubectl(role, "create", "role", f"{name}-callers", *given)
    kubectl(role, "create", "rolebinding", f"{name}-callers", "-n", "hello", f"--role={name}-callers", account)
    document = yaml.safe_load(Path(mirrored.clusters[role].kubeconfig).read_text(encoding="utf-8"))
    token = kubectl(role, "create", "token", "verifier", "-n", "hello").strip()
    document["users"] = [{"name": user["name"], "user": {"token": token}} for user in document["users"]]
    path = folder / f"{role}.kubeconfig"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return str(path)


def test_verify_needs_no_more_than_the_role_that_it_prints(mirrored: Mirrored, tmp_path: Path) -> None:
    roles = ("staging", "testing")
    given = [word for role in roles for word in (f"--{role}", with_least_rights(mirrored, role, tmp_path))]
    try:
        done = mirrored.command("verify", *given, "--calls", "60", "--json")
        assert (done.returncode, json.loads(done.stdout)["gaps"]) == (0, []), done.stdout + done.stderr
        bindings = ("delete", "rolebinding", "-n")
        mirrored.stage.kubectl("staging", *bindings, "istio-system", "traffic-mirror-verify-istiod")
        untold = mirrored.command("verify", *given, "--calls", "60", "--json")
        report = json.loads(untold.stdout)
        right = "No permission to list pods in namespace"
        assert untold.returncode == 2
        assert report["gaps"] == [f"which proxies of staging refused a configuration: {right} istio-system of staging"]
        assert {each["name"]: each["outcome"] for each in report["mirrors"]} == dict.fromkeys(
            (V2, TESTING), "cannot tell"
        )
        mirrored.stage.kubectl("staging", *bindings, "internal-gateway", "traffic-mirror-verify-gateway")
        refused = mirrored.command("verify", *given, "--calls", "60")
        assert refused.returncode == 2
        assert "No permission to list pods in namespace internal-gateway of staging" in refused.stderr
    finally:
        for role in roles:
            mirrored.stage.kubectl(role, "delete", "serviceaccount", "verifier", "-n", "hello")
            mirrored.stage.kubectl(role, "delete", "clusterrole,clusterrolebinding", "traffic-mirror-verify")
            for namespace, part in (*ROLES, ("hello", "callers")):
                named = ("role,rolebinding", f"traffic-mirror-verify-{part}", "-n", namespace, "--ignore-not-found")
                mirrored.stage.kubectl(role, "delete", *named)


def test_a_share_that_is_not_met_is_told_from_the_expected_one(mirrored: Mirrored) -> None:
    result = mirrored.verify("--calls", "100", "--expect", "v2=90")
    assert (result["exit"], first_cause(result, V2)) == (1, Cause.OTHER_PERCENT.value)
