"""The configuration of a cluster: what was costly to find stays as it is."""

import json
import tomllib
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from pulumi_traffic_mirror.rehearsal.cluster import commands, files
from pulumi_traffic_mirror.rehearsal.cluster.addresses import plan_addresses
from pulumi_traffic_mirror.rehearsal.cluster.pki import ClusterSecrets, make_secrets

STAGING, TESTING = plan_addresses(["staging", "testing"])
FOLDER = files.ClusterFolder(root=Path("/s/clusters/staging"))


@pytest.fixture(scope="module")
def cluster_secrets(tmp_path_factory: pytest.TempPathFactory) -> ClusterSecrets:
    return make_secrets(
        tmp_path_factory.mktemp("pki"),
        role="staging",
        node_name=STAGING.node_name,
        node=STAGING.node,
        api_service=STAGING.api_service,
    )


def test_containerd_shares_nothing_with_another_cluster() -> None:
    one = tomllib.loads(files.containerd_config(FOLDER))
    other = tomllib.loads(files.containerd_config(files.ClusterFolder(root=Path("/s/clusters/testing"))))
    cri = one["plugins"]["io.containerd.grpc.v1.cri"]
    runc = cri["containerd"]["runtimes"]["runc"]["options"]
    assert runc["Root"].startswith("/s/clusters/staging/")
    assert runc["SystemdCgroup"] is False
    assert cri["restrict_oom_score_adj"] is True
    assert cri["sandbox_image"] == files.PAUSE_IMAGE
    for key in ("root", "state"):
        assert one[key] != other[key]
    assert "io.containerd.internal.v1.opt" in one["disabled_plugins"], "it makes /opt/containerd"


def test_the_kubelet_neither_pulls_nor_collects_images_and_asks_who_calls() -> None:
    config = yaml.safe_load(files.kubelet_config(STAGING, FOLDER))
    assert config["imagePullCredentialsVerificationPolicy"] == "NeverVerify"
    assert config["imageGCHighThresholdPercent"] == 100
    assert config["enforceNodeAllocatable"] == []
    assert config["failCgroupV1"] is False
    assert config["cgroupRoot"] == "/tm-staging"
    assert config["authentication"]["anonymous"]["enabled"] is False
    assert config["podLogsDir"].startswith("/s/clusters/staging/")


def test_the_pod_network_has_no_default_route_beside_the_default_gateway() -> None:
    config = json.loads(files.pod_network(STAGING, FOLDER))
    bridge = config["plugins"][0]
    assert bridge["isDefaultGateway"] is True
    assert bridge["ipMasq"] is True
    assert "routes" not in bridge["ipam"]
    assert bridge["ipam"]["ranges"] == [[{"subnet": str(STAGING.pods)}]]


def test_kube_proxy_leaves_the_connection_table_alone() -> None:
    assert yaml.safe_load(files.proxy_config(STAGING, FOLDER))["conntrack"] == {
        "maxPerCore": 0,
        "min": 0,
        "tcpEstablishedTimeout": "0s",
        "tcpCloseWaitTimeout": "0s",
    }


def test_a_kubeconfig_has_one_context_named_after_the_role() -> None:
    config = yaml.safe_load(files.kubeconfig(TESTING, authority=b"CA", token="t"))
    assert config["current-context"] == "testing"
    assert config["clusters"][0]["cluster"]["server"] == "https://198.18.0.20:6443"
    assert config["users"][0]["user"] == {"token": "t"}


def test_hosts_are_written_one_per_line_in_order() -> None:
    assert files.hosts_file({"b.example": "1.1.1.2", "a.example": "1.1.1.1"}) == (
        "1.1.1.1 a.example\n1.1.1.2 b.example\n"
    )


def test_no_command_line_has_a_secret(cluster_secrets: ClusterSecrets) -> None:
    program = Path("/bin/x")
    lines = [
        commands.etcd(program, FOLDER),
        commands.api_server(program, STAGING, cluster_secrets),
        commands.controller_manager(program, FOLDER, cluster_secrets),
        commands.scheduler(program, FOLDER),
        commands.kubelet(program, STAGING, FOLDER),
    ]
    assert not [word for line in lines for word in line if cluster_secrets.token in word]


def test_a_node_program_enters_both_namespaces_in_one_step() -> None:
    assert commands.in_node("tm-staging", 7, ["kubelet"]) == [
        "nsenter",
        "--net=/run/netns/tm-staging",
        "--mount=/proc/7/ns/mnt",
        "kubelet",
    ]


def test_secrets_are_for_root_only_and_new_each_time(cluster_secrets: ClusterSecrets, tmp_path: Path) -> None:
    again = make_secrets(
        tmp_path,
        role="staging",
        node_name=STAGING.node_name,
        node=STAGING.node,
        api_service=STAGING.api_service,
    )
    assert again.token != cluster_secrets.token
    assert [file.name for file in again.folder.iterdir() if file.stat().st_mode & 0o077] == []
    assert again.folder.stat().st_mode & 0o077 == 0
    assert again.token in again.tokens.read_text()


@pytest.mark.parametrize(
    "name",
    [
        x509.DNSName("kubernetes.default.svc"),
        x509.IPAddress(STAGING.node),
        x509.IPAddress(STAGING.api_service),
    ],
)
def test_the_api_server_is_trusted_under_every_name_that_clients_use(
    cluster_secrets: ClusterSecrets, name: x509.DNSName | x509.IPAddress
) -> None:
    authority = x509.load_pem_x509_certificate(cluster_secrets.authority.read_bytes())
    server = x509.load_pem_x509_certificate(cluster_secrets.certificate("apiserver").read_bytes())
    verifier = PolicyBuilder().store(Store([authority])).build_server_verifier(name)
    assert verifier.verify(server, [])[0] == server
