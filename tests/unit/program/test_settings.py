"""The program's configuration: what it accepts, and how it says what is wrong."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from pulumi_traffic_mirror.model import MirrorTls, Protocol, ValidationError, Waiver
from pulumi_traffic_mirror.program import ClusterChoice, Role, StackSettings, load
from tests.support.recording import Recording, run_program

CONTRACT: dict[str, Any] = {"hosts": ["grpc-hello.staging.example"], "mirrorHost": "grpc-hello-mirror.testing.example"}
ALONE: dict[str, Any] = {"crossCluster": {"absent": True}}
STAGING: dict[str, Any] = {
    "role": "staging",
    "clusterKind": "existing",
    "contract": CONTRACT,
    "mirrors": {"inCluster": {"percent": 50}, "crossCluster": {"percent": 10.5, "expires": "2027-01-31"}},
}


def settings(config: Mapping[str, Any], stack: str = "staging") -> tuple[StackSettings, Recording]:
    read: list[StackSettings] = []
    recording = run_program(lambda: read.append(load()), config=config, stack=stack)
    return read[0], recording


def test_a_staging_stack_is_read() -> None:
    found, _ = settings(STAGING)
    assert found.role is Role.STAGING
    assert found.cluster_kind is ClusterChoice.EXISTING
    assert found.contract.hosts == ("grpc-hello.staging.example",)
    assert found.contract.protocol is Protocol.GRPC
    assert found.contract.transport == MirrorTls()
    assert found.in_cluster is not None
    assert found.in_cluster.percent == 50
    assert found.cross_cluster is not None
    assert found.cross_cluster.percent == 10.5
    assert str(found.cross_cluster.expires) == "2027-01-31T23:59:59Z"
    assert found.testing_stack == "organization/traffic-mirror/testing"
    assert found.match.rpc_methods == ("helloworld.Greeter/SayHello",)


def test_a_testing_stack_mirrors_nothing() -> None:
    found, _ = settings({**without("mirrors")(STAGING), "role": "testing"})
    assert found.in_cluster is None
    assert found.cross_cluster is None


@pytest.mark.parametrize("key", ["mirrors", "branches", "expiryGuard"])
def test_what_only_staging_can_have_is_refused_in_testing(key: str) -> None:
    testing = {**without("mirrors")(STAGING), "role": "testing"}
    with pytest.raises(ValidationError, match=rf"traffic-mirror:{key} in Pulumi\.testing\.yaml.*role staging"):
        settings({**testing, key: {"image": "x"}}, stack="testing")
    assert settings({**testing, key: {}}, stack="testing")[0].role is Role.TESTING


@pytest.mark.parametrize(
    ("change", "named"),
    [({"mirrorTLS": {"key": "not-a-key"}}, "mirrorTls"), ({"cluster": {"kubeconfig": "not-a-key"}}, "kubeconfigPath")],
)
def test_a_secret_in_a_wrong_place_is_not_shown(change: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match="is no key here") as caught:
        settings({**STAGING, **change})
    assert "not-a-key" not in str(caught.value)
    assert named in str(caught.value)


def test_plain_text_needs_its_reason() -> None:
    contract = {**CONTRACT, "transport": {"reason": ""}}
    with pytest.raises(ValidationError, match=r"contract\.transport\.reason in Pulumi\.staging\.yaml"):
        settings({**STAGING, "contract": contract})
    found, _ = settings({**STAGING, "contract": {**CONTRACT, "transport": {"reason": "both on one private network"}}})
    assert found.contract.transport == Waiver(reason="both on one private network")


def test_leaving_testing_out_is_said_aloud() -> None:
    found, recording = settings({**STAGING, "mirrors": {"crossCluster": {"absent": True}}})
    assert found.cross_cluster is None
    assert [line.severity for line in recording.logs] == ["WARNING"]
    assert "Nothing is mirrored to testing" in recording.logs[0].message


def without(key: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda config: {name: value for name, value in config.items() if name != key}


def with_(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda config: {**config, **changes}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without("role"), ["traffic-mirror:role", "staging, testing"]),
        (with_(role="production"), ["traffic-mirror:role", "'production'", "staging, testing"]),
        (without("clusterKind"), ["traffic-mirror:clusterKind", "gke, existing"]),
        (with_(clusterKind="eks"), ["traffic-mirror:clusterKind", "'eks'", "gke, existing"]),
        (without("contract"), ["traffic-mirror:contract.hosts", "non-empty list"]),
        (with_(contract="hosts"), ["traffic-mirror:contract", "must be an object"]),
        (with_(contract=["a"]), ["traffic-mirror:contract", "must be an object"]),
        (with_(contract={**CONTRACT, "host": "x"}), ["traffic-mirror:contract.host", "is no key", "hosts, port"]),
        (with_(contract={**CONTRACT, "port": "8000"}), ["traffic-mirror:contract.port", "must be a number"]),
        (with_(contract={**CONTRACT, "port": 80.5}), ["traffic-mirror:contract.port", "whole number"]),
        (with_(contract={**CONTRACT, "port": 0}), ["traffic-mirror:contract.port", "1 to 65535"]),
        (with_(contract={**CONTRACT, "hosts": "a.example"}), ["traffic-mirror:contract.hosts", "list of texts"]),
        (with_(contract={**CONTRACT, "hosts": ["A.example"]}), ["traffic-mirror:contract.hosts[0]", "lower case"]),
        (with_(contract={**CONTRACT, "protocol": "TCP"}), ["traffic-mirror:contract.protocol", "GRPC, HTTP2, HTTP"]),
        (with_(contract={**CONTRACT, "transport": "off"}), ["traffic-mirror:contract.transport", "SIMPLE, MUTUAL"]),
        (with_(mirrors={**ALONE, "inCluster": {"percentage": 5}}), ["mirrors.inCluster.percentage", "percent, name"]),
        (with_(mirrors={**ALONE, "inCluster": {"percent": True}}), ["mirrors.inCluster.percent", "must be a number"]),
        (with_(mirrors={"crossCluster": {"percent": 1, "expires": "friday"}}), ["expires", "ISO 8601"]),
        (with_(mirrors={"crossCluster": {"absent": "yes"}}), ["crossCluster.absent", "true or false"]),
        (
            with_(mirrors={"rpcMethods": ["SayHello"]}),
            ["traffic-mirror:mirrors.rpcMethods[0]", "package.Service/Method"],
        ),
        (with_(mirror={"inCluster": {}}), ["traffic-mirror:mirror ", "is no key here", "mirrors"]),
        (with_(mirrors={**ALONE, "inCluster": {"percent": 101}}), ["traffic-mirror:mirrors.inCluster.percent", "101"]),
        (with_(mirrors={"crossCluster": {"percent": -1}}), ["traffic-mirror:mirrors.crossCluster.percent", "-1"]),
        (
            with_(mirrors={**ALONE, "inCluster": {"percent": 1, "expires": "2020-01-01"}}),
            ["mirrors.inCluster.expires", "not have passed"],
        ),
        (with_(cluster={"project": "my-project"}), ["traffic-mirror:cluster.project", "kubeconfigPath, context"]),
        (with_(clusterKind="gke", cluster={"kubeconfigPath": "x"}), ["traffic-mirror:cluster.kubeconfigPath", "nodes"]),
        (with_(clusterKind="gke", kubeconfig="x"), ["traffic-mirror:kubeconfig", "clusterKind existing"]),
        (with_(istio={"versoin": "1.31.0"}), ["traffic-mirror:istio.versoin", "version, revision"]),
    ],
)
def test_a_wrong_key_names_key_and_what_is_allowed(
    change: Callable[[dict[str, Any]], dict[str, Any]], words: list[str]
) -> None:
    with pytest.raises(ValidationError) as caught:
        settings(change(STAGING))
    for word in [*words, "in Pulumi.staging.yaml"]:
        assert word in str(caught.value)


def test_the_file_named_is_the_running_stack_s() -> None:
    with pytest.raises(ValidationError, match=r"in Pulumi\.green\.yaml"):
        settings({"role": "staging"}, stack="green")
