"""GkeCluster: what exists, who owns it, what waits for what, and that no secret leaves it in clear."""

import json
import re
from collections.abc import Callable
from typing import Any

import pulumi
import pulumi_gcp as gcp
import pulumi_kubernetes as k8s
import pytest

from pulumi_traffic_mirror.clusters import ClusterHandle
from pulumi_traffic_mirror.clusters.gke import (
    GKE,
    GKE_AUTOPILOT,
    AuthorizedNetworks,
    AutopilotMode,
    Credentials,
    DnsEndpoint,
    ExistingNetwork,
    GkeCluster,
    GkeClusterArgs,
    NewNetwork,
    ReleaseChannel,
    StandardMode,
)
from pulumi_traffic_mirror.mesh import IstioControlPlane, IstioControlPlaneArgs
from pulumi_traffic_mirror.model import ValidationError
from tests.support.outputs import ACCESS_TOKEN, CA_CERTIFICATE, COMPUTE
from tests.support.recording import UNKNOWN, Recorded, Recording, Secret, refused, run_program

OFFICE_ONLY = AuthorizedNetworks(ranges={"office": "203.0.113.0/24"})
SHARED = "projects/host-project/global/networks/shared"
SHARED_SUBNETWORK = "projects/host-project/regions/europe-west1/subnetworks/nodes"
CLUSTER = "gcp:container/cluster:Cluster"
NODE_POOL = "gcp:container/nodePool:NodePool"
FIREWALL = "gcp:compute/firewall:Firewall"
GRANT = "gcp:projects/iAMMember:IAMMember"
ACCOUNT = "gcp:serviceaccount/account:Account"
PROVIDER = "pulumi:providers:kubernetes"
NETWORK_PARTS = {
    ("gcp:compute/network:Network", "b-network"),
    ("gcp:compute/subnetwork:Subnetwork", "b-subnet"),
    ("gcp:compute/router:Router", "b-router"),
    ("gcp:compute/routerNat:RouterNat", "b-nat"),
}
AUTOPILOT_PARTS = {
    (GkeCluster.TYPE, "b"),
    (ACCOUNT, "b-node-account"),
    (GRANT, "b-grant-node"),
    (GRANT, "b-grant-images"),
    (CLUSTER, "b-cluster"),
    (FIREWALL, "b-istiod-webhook"),
    (PROVIDER, "b-provider"),
}
STANDARD_PARTS = AUTOPILOT_PARTS | {(NODE_POOL, "b-nodes")}

# The provider refuses the first four beside Autopilot; the others Autopilot decides by itself, or replaces the cluster.
NOT_IN_AUTOPILOT = {
    *("enableShieldedNodes", "enableIntranodeVisibility", "removeDefaultNodePool", "defaultMaxPodsPerNode"),
    *("nodeConfig", "nodePools", "initialNodeCount", "datapathProvider", "workloadIdentityConfig", "networkPolicy"),
}


def args(**changes: Any) -> GkeClusterArgs:
    base: dict[str, Any] = {"project": "my-project", "location": "europe-west1", "deletion_protection": True}
    return GkeClusterArgs(**(base | changes))


def recorded(preview: bool = False, **changes: Any) -> Recording:
    return run_program(lambda: GkeCluster("b", args(**changes)), preview=preview, stack="testing")


def shared_network(**changes: Any) -> ExistingNetwork:
    base: dict[str, Any] = {
        "network": SHARED,
        "subnetwork": SHARED_SUBNETWORK,
        "pods_range": "p",
        "services_range": "s",
        "node_cidr": "10.1.0.0/20",
        "pod_cidr": "10.2.0.0/16",
    }
    return ExistingNetwork(**(base | changes))


def secrets_in(resource: Recorded) -> set[str]:
    return {key for key, value in resource.inputs.items() if isinstance(value, Secret)}


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({}, STANDARD_PARTS | NETWORK_PARTS),
        ({"location": "europe-west1-b"}, STANDARD_PARTS | NETWORK_PARTS),
        ({"mode": AutopilotMode()}, AUTOPILOT_PARTS | NETWORK_PARTS),
        ({"network": shared_network()}, STANDARD_PARTS),
        ({"network": shared_network(firewall=False)}, STANDARD_PARTS - {(FIREWALL, "b-istiod-webhook")}),
        (
            {"image_projects": ["images-project"]},
            STANDARD_PARTS | NETWORK_PARTS | {(GRANT, "b-grant-images-images-project")},
        ),
    ],
)
def test_exactly_these_resources_exist_under_the_component(
    changes: dict[str, Any], parts: set[tuple[str, str]], preview: bool
) -> None:
    recording = recorded(preview, **changes)
    assert recording.shape == parts
    component = recording.one(GkeCluster.TYPE)
    children = recording.children_of(component)
    assert {(child.type, child.name) for child in children} == parts - {(GkeCluster.TYPE, "b")}
    assert {key for child in children for key in secrets_in(child)} == {"kubeconfig"}


def test_nodes_wait_for_their_rights_and_their_way_out_and_objects_wait_for_nodes() -> None:
    recording = recorded()
    names = {resource.name: recording.names(resource.depends_on) for resource in recording.resources if resource.custom}
    before = {"b-grant-node", "b-grant-images", "b-nat"}
    assert before <= names["b-cluster"]
    assert before | {"b-cluster"} <= names["b-nodes"]
    assert {"b-nodes", "b-istiod-webhook", "b-cluster"} <= names["b-provider"]
    assert names["b-nat"] >= {"b-router", "b-subnet"}


def test_the_nodes_identity_has_the_least_roles() -> None:
    recording = recorded(image_projects=["images-project"])
    member = f"serviceAccount:{recording.one(ACCOUNT).inputs['accountId']}@my-project.iam.gserviceaccount.com"
    grants = {(g.inputs["project"], g.inputs["role"], g.inputs["member"]) for g in recording.of_type(GRANT)}
    assert grants == {
        ("my-project", "roles/container.defaultNodeServiceAccount", member),
        ("my-project", "roles/artifactregistry.reader", member),
        ("images-project", "roles/artifactregistry.reader", member),
    }


def test_two_stacks_and_two_clusters_have_different_accounts() -> None:
    def program() -> None:
        GkeCluster("one", args())
        GkeCluster("two", args(network=shared_network()))

    runs = [run_program(program, stack=stack) for stack in ("staging", "testing")]
    ids = {account.inputs["accountId"] for run in runs for account in run.of_type(ACCOUNT)}
    assert len(ids) == 4
    assert all(6 <= len(each) <= 30 for each in ids)


def test_a_standard_cluster_is_hardened_by_default() -> None:
    cluster = recorded().one(CLUSTER)
    expected = {
        "deletionProtection": True,
        "removeDefaultNodePool": True,
        "initialNodeCount": 1,
        "datapathProvider": "ADVANCED_DATAPATH",
        "enableShieldedNodes": True,
        "enableLegacyAbac": False,
        "networkingMode": "VPC_NATIVE",
        "privateClusterConfig": {"enablePrivateNodes": True},
        "releaseChannel": {"channel": "REGULAR"},
        "workloadIdentityConfig": {"workloadPool": "my-project.svc.id.goog"},
        "masterAuth": {"clientCertificateConfig": {"issueClientCertificate": False}},
        # What is off is said aloud: taken out of the program, it would stay on.
        "databaseEncryption": {"state": "DECRYPTED"},
        "binaryAuthorization": {"evaluationMode": "DISABLED"},
        "anonymousAuthenticationConfig": {"mode": "LIMITED"},
        "controlPlaneEndpointsConfig": {
            "dnsEndpointConfig": {"allowExternalTraffic": True},
            "ipEndpointsConfig": {"enabled": False},
        },
        "ipAllocationPolicy": {"clusterSecondaryRangeName": "pods", "servicesSecondaryRangeName": "services"},
    }
    assert {key: cluster.inputs.get(key) for key in expected} == expected
    assert cluster.input("monitoringConfig.managedPrometheus.enabled") is True
    assert "WORKLOADS" in cluster.input("loggingConfig.enableComponents")
    assert cluster.input("maintenancePolicy.recurringWindow.recurrence") == "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH"
    assert cluster.ignore_changes == ("nodeConfig",)
    assert "masterAuthorizedNetworksConfig" not in cluster.inputs
    assert "nodePools" not in cluster.inputs


def test_no_resource_runs_as_the_default_service_account() -> None:
    recording = recorded()
    email = f"{recording.one(ACCOUNT).inputs['accountId']}@my-project.iam.gserviceaccount.com"
    assert recording.one(CLUSTER).input("nodeConfig.serviceAccount") == email
    assert recording.one(NODE_POOL).input("nodeConfig.serviceAccount") == email
    autopilot = recorded(mode=AutopilotMode()).one(CLUSTER)
    assert autopilot.input("clusterAutoscaling.autoProvisioningDefaults.serviceAccount") == email


def test_the_default_pool_is_hardened_like_ours_for_the_minutes_that_it_lives() -> None:
    recording = recorded()
    ours = recording.one(NODE_POOL).inputs["nodeConfig"]
    first = recording.one(CLUSTER).inputs["nodeConfig"]
    assert first == {key: ours[key] for key in first}
    hardened = {"shieldedInstanceConfig", "workloadMetadataConfig", "kubeletConfig", "metadata", "serviceAccount"}
    assert hardened <= set(first)


def test_the_node_pool_is_hardened_and_upgrades_without_a_gap() -> None:
    pool = recorded(mode=StandardMode(min_nodes=4, max_nodes=9, max_surge=2, spot=True)).one(NODE_POOL)
    assert pool.inputs["upgradeSettings"] == {"strategy": "SURGE", "maxSurge": 2, "maxUnavailable": 0}
    assert pool.inputs["management"] == {"autoRepair": True, "autoUpgrade": True}
    assert pool.inputs["autoscaling"] == {
        "totalMinNodeCount": 4,
        "totalMaxNodeCount": 9,
        "locationPolicy": "BALANCED",
    }
    assert pool.inputs["networkConfig"] == {"enablePrivateNodes": True}
    node = pool.inputs["nodeConfig"]
    assert node["shieldedInstanceConfig"] == {"enableSecureBoot": True, "enableIntegrityMonitoring": True}
    assert node["workloadMetadataConfig"] == {"mode": "GKE_METADATA"}
    assert node["kubeletConfig"] == {"insecureKubeletReadonlyPortEnabled": "FALSE"}
    assert node["metadata"] == {"disable-legacy-endpoints": "true"}
    assert (node["imageType"], node["spot"]) == ("COS_CONTAINERD", True)


@pytest.mark.parametrize(
    ("location", "zones", "nodes", "first"),
    [
        ("europe-west1", (), 2, 1),
        ("europe-west1", (), 4, 2),
        ("europe-west1", ("europe-west1-b",), 3, 3),
        ("europe-west1-b", (), 2, 2),
        ("europe-west1-b", ("europe-west1-c",), 3, 2),
    ],
)
def test_the_first_nodes_per_zone_sum_up_to_the_minimum(
    location: str, zones: tuple[str, ...], nodes: int, first: int
) -> None:
    recording = recorded(location=location, mode=StandardMode(zones=zones, min_nodes=nodes))
    assert recording.one(NODE_POOL).inputs["initialNodeCount"] == first
    # Another minimum or another zone would replace the pool.
    assert recording.one(NODE_POOL).ignore_changes == ("initialNodeCount",)
    assert recording.one(CLUSTER).inputs.get("nodeLocations", []) == list(zones)


def test_autopilot_has_no_node_settings_and_allows_the_mesh_its_redirection() -> None:
    cluster = recorded(mode=AutopilotMode()).one(CLUSTER)
    assert cluster.input("loggingConfig.enableComponents") == ["SYSTEM_COMPONENTS", "WORKLOADS", "APISERVER"]
    assert cluster.inputs["enableAutopilot"] is True
    assert cluster.inputs["allowNetAdmin"] is True
    assert not NOT_IN_AUTOPILOT & set(cluster.inputs)
    assert cluster.input("nodePoolAutoConfig.nodeKubeletConfig.insecureKubeletReadonlyPortEnabled") == "FALSE"
    assert cluster.ignore_changes == ()


def test_authorized_networks_replace_the_dns_endpoint() -> None:
    endpoint = AuthorizedNetworks(ranges={"office": "203.0.113.0/24", "ci": "198.51.100.7/32"})
    recording = recorded(endpoint=endpoint)
    cluster = recording.one(CLUSTER)
    assert cluster.inputs["masterAuthorizedNetworksConfig"] == {
        "cidrBlocks": [
            {"cidrBlock": "198.51.100.7/32", "displayName": "ci"},
            {"cidrBlock": "203.0.113.0/24", "displayName": "office"},
        ],
        "gcpPublicCidrsAccessEnabled": False,
    }
    assert cluster.input("controlPlaneEndpointsConfig.ipEndpointsConfig.enabled") is True
    assert cluster.input("controlPlaneEndpointsConfig.dnsEndpointConfig.allowExternalTraffic") is False
    # A range of the control plane's own would replace the cluster when the endpoint is exchanged.
    assert cluster.input("privateClusterConfig.masterIpv4CidrBlock") is None
    assert recording.one(FIREWALL).inputs["sourceRanges"] == ["10.64.0.0/20", "10.65.0.0/16"]


def test_a_control_plane_with_a_range_of_its_own_keeps_it_and_reaches_the_webhook() -> None:
    endpoint = AuthorizedNetworks(ranges={"office": "203.0.113.0/24"}, control_plane_cidr="172.16.0.0/28")
    recording = recorded(endpoint=endpoint)
    assert recording.one(CLUSTER).input("privateClusterConfig.masterIpv4CidrBlock") == "172.16.0.0/28"
    assert recording.one(FIREWALL).inputs["sourceRanges"] == ["10.64.0.0/20", "10.65.0.0/16", "172.16.0.0/28"]


def test_istiods_webhook_is_reached_from_the_cluster_only() -> None:
    recording = recorded()
    rule = recording.one(FIREWALL)
    email = f"{recording.one(ACCOUNT).inputs['accountId']}@my-project.iam.gserviceaccount.com"
    assert rule.inputs["allows"] == [{"protocol": "tcp", "ports": ["15017"]}]
    assert rule.inputs["sourceRanges"] == ["10.64.0.0/20", "10.65.0.0/16"]
    assert rule.inputs["targetServiceAccounts"] == [email]
    assert rule.inputs["direction"] == "INGRESS"


def test_the_own_network_has_no_default_subnets_and_only_its_own_way_out() -> None:
    network = NewNetwork(node_cidr="10.1.0.0/20", pod_cidr="10.2.0.0/16", service_cidr="10.3.0.0/20")
    recording = recorded(network=network)
    assert recording.one("gcp:compute/network:Network").inputs["autoCreateSubnetworks"] is False
    subnet = recording.one("gcp:compute/subnetwork:Subnetwork")
    assert subnet.inputs["ipCidrRange"] == "10.1.0.0/20"
    assert subnet.inputs["privateIpGoogleAccess"] is True
    assert subnet.inputs["secondaryIpRanges"] == [
        {"rangeName": "pods", "ipCidrRange": "10.2.0.0/16"},
        {"rangeName": "services", "ipCidrRange": "10.3.0.0/20"},
    ]
    nat = recording.one("gcp:compute/routerNat:RouterNat")
    assert nat.inputs["sourceSubnetworkIpRangesToNat"] == "LIST_OF_SUBNETWORKS"
    assert nat.inputs["subnetworks"] == [
        {
            "name": f"{COMPUTE}/projects/my-project/regions/europe-west1/subnetworks/b-subnet",
            "sourceIpRangesToNats": ["ALL_IP_RANGES"],
        }
    ]


def test_a_shared_network_is_used_as_it_is_and_its_rule_lives_in_its_project() -> None:
    recording = recorded(network=shared_network())
    cluster = recording.one(CLUSTER)
    assert (cluster.inputs["network"], cluster.inputs["subnetwork"]) == (SHARED, SHARED_SUBNETWORK)
    assert cluster.inputs["ipAllocationPolicy"] == {
        "clusterSecondaryRangeName": "p",
        "servicesSecondaryRangeName": "s",
    }
    rule = recording.one(FIREWALL)
    assert (rule.inputs["project"], rule.inputs["network"]) == ("host-project", SHARED)
    assert rule.inputs["sourceRanges"] == ["10.1.0.0/20", "10.2.0.0/16"]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("changes", "project"),
    [
        ({"network": "vpc", "subnetwork": "nodes"}, "my-project"),
        ({"network": "vpc", "subnetwork": "nodes", "project": "host-project"}, "host-project"),
        ({"network": "projects/host-project/global/networks/vpc", "subnetwork": "nodes"}, "host-project"),
        ({"network": "vpc", "subnetwork": SHARED_SUBNETWORK}, "host-project"),
        ({"network": f"{COMPUTE}/{SHARED}", "subnetwork": f"{COMPUTE}/{SHARED_SUBNETWORK}"}, "host-project"),
    ],
)
def test_names_of_a_network_that_exists_are_completed_with_its_project(
    changes: dict[str, str], project: str, late: bool
) -> None:
    def program() -> None:
        given = {**changes}
        if late:
            given |= {key: pulumi.Output.from_input(given[key]) for key in ("network", "subnetwork")}
        cluster = GkeCluster("b", args(network=shared_network(**given)))
        pulumi.export("network", cluster.network)

    recording = run_program(program)
    cluster, rule = recording.one(CLUSTER), recording.one(FIREWALL)
    assert re.fullmatch(rf"projects/{project}/global/networks/(vpc|shared)", cluster.inputs["network"])
    assert cluster.inputs["subnetwork"] == f"projects/{project}/regions/europe-west1/subnetworks/nodes"
    assert (rule.inputs["project"], rule.inputs["network"]) == (project, cluster.inputs["network"])
    assert recording.exports["network"] == cluster.inputs["network"]


def test_a_network_name_that_is_known_late_is_held_to_the_same() -> None:
    late = shared_network
    refusal = refused(
        lambda: GkeCluster("b", args(network=late(subnetwork=pulumi.Output.from_input("regions/r/subnetworks/s")))),
        ValidationError,
    )
    assert "network.subnetwork = 'regions/r/subnetworks/s': must be projects/" in str(refusal.error)
    assert not refusal.recording.of_type(CLUSTER)


def test_options_of_the_arguments_reach_the_cluster() -> None:
    key = "projects/p/locations/europe-west1/keyRings/r/cryptoKeys/k"
    cluster = recorded(
        deletion_protection=False,
        release_channel=ReleaseChannel.STABLE,
        secrets_key=key,
        binary_authorization=True,
        labels={"team": "mesh", "managed-by": "us"},
    ).one(CLUSTER)
    assert cluster.inputs["deletionProtection"] is False
    assert cluster.inputs["releaseChannel"] == {"channel": "STABLE"}
    assert cluster.inputs["databaseEncryption"] == {"state": "ENCRYPTED", "keyName": key}
    assert cluster.inputs["binaryAuthorization"] == {"evaluationMode": "PROJECT_SINGLETON_POLICY_ENFORCE"}
    assert cluster.inputs["resourceLabels"] == {"managed-by": "us", "cluster-component": "b", "team": "mesh"}


@pytest.mark.parametrize("key", ["my-key", "projects/p/locations/us-east1/keyRings/r/cryptoKeys/k"])
def test_a_key_that_is_known_late_is_held_to_the_same(key: str) -> None:
    refusal = refused(lambda: GkeCluster("b", args(secrets_key=pulumi.Output.from_input(key))), ValidationError)
    assert f"secrets_key = '{key}': must be" in str(refusal.error)
    assert not refusal.recording.of_type(CLUSTER)


def kubeconfig_of(recording: Recording) -> dict[str, Any]:
    held = recording.one(PROVIDER).inputs["kubeconfig"]
    assert isinstance(held, Secret)
    return json.loads(held.value)


def test_the_kubeconfig_asks_the_plugin_and_calls_the_dns_endpoint() -> None:
    config = kubeconfig_of(recorded())
    (cluster,), (user,) = config["clusters"], config["users"]
    # Its certificate is of a public authority; the cluster's own would make every call fail.
    assert cluster["cluster"] == {"server": "https://gke-b-cluster.europe-west1.gke.example.invalid"}
    assert user["user"]["exec"]["command"] == "gke-gcloud-auth-plugin"
    assert user["user"]["exec"]["apiVersion"] == "client.authentication.k8s.io/v1beta1"
    assert config["current-context"] == config["contexts"][0]["name"]
    assert config["contexts"][0]["context"] == {"cluster": cluster["name"], "user": user["name"]}


def test_the_kubeconfig_of_an_ip_endpoint_trusts_the_clusters_own_certificate() -> None:
    endpoint = AuthorizedNetworks(ranges={"office": "203.0.113.0/24"})
    (cluster,) = kubeconfig_of(recorded(endpoint=endpoint))["clusters"]
    assert cluster["cluster"] == {"server": "https://192.0.2.10", "certificate-authority-data": CA_CERTIFICATE}


def test_a_token_is_used_on_request_and_stays_secret() -> None:
    recording = recorded(credentials=Credentials.ACCESS_TOKEN)
    assert kubeconfig_of(recording)["users"][0]["user"] == {"token": ACCESS_TOKEN}
    assert ACCESS_TOKEN not in json.dumps(recording.snapshot())
    component = recording.one(GkeCluster.TYPE)
    assert component.outputs is not None
    assert isinstance(component.outputs["kubeconfig"], Secret)


def test_provider_outputs_and_handle_speak_of_the_same_cluster() -> None:
    handles: list[ClusterHandle] = []

    def program() -> None:
        cluster = GkeCluster("b", args(location="europe-west1-b"))
        handles.append(cluster.handle)
        k8s.core.v1.ConfigMap("inside", opts=pulumi.ResourceOptions(provider=cluster.handle.provider))

    recording = run_program(program, top_level={"inside"})
    identity = "projects/my-project/locations/europe-west1-b/clusters/b-cluster"
    assert recording.one(PROVIDER).inputs["clusterIdentifier"] == identity
    assert recording.one("kubernetes:core/v1:ConfigMap").provider == recording.one(PROVIDER).urn
    (handle,) = handles
    assert (handle.name, handle.platform) == ("b", GKE)
    assert len(handle.ready) == 2


@pytest.mark.parametrize("endpoint", [DnsEndpoint(), AuthorizedNetworks(ranges={"office": "203.0.113.0/24"})])
def test_before_the_cluster_exists_its_identity_and_kubeconfig_are_unknown_and_still_secret(endpoint: Any) -> None:
    provider = recorded(preview=True, endpoint=endpoint).one(PROVIDER)
    assert provider.inputs["clusterIdentifier"] is UNKNOWN
    assert provider.inputs["kubeconfig"] == Secret(UNKNOWN)
    component = recorded(preview=True, endpoint=endpoint).one(GkeCluster.TYPE)
    assert component.outputs is not None
    assert component.outputs["kubeconfig"] == Secret(UNKNOWN)
    assert component.outputs["server"] is UNKNOWN


FAILED: dict[str, Any] = {"id": "projects/my-project/locations/europe-west1/clusters/b-cluster"}
"""What the state says of a cluster whose creation ended with an error: its inputs, and that it exists."""

REFRESHED: dict[str, Any] = {
    **FAILED,
    "endpoint": "",
    "masterVersion": "1.35.1-gke.100",
    "nodePools": [{"name": "default-pool"}],
}
"""The same after `pulumi refresh`."""

HEALTHY: dict[str, Any] = {
    **FAILED,
    "masterVersion": "1.35.1-gke.100",
    "nodePools": [{"name": "b-nodes-1234567"}],
}


def test_nothing_is_installed_on_nodes_that_google_runs() -> None:
    handles: list[ClusterHandle] = []
    run_program(lambda: handles.append(GkeCluster("b", args(mode=AutopilotMode())).handle))
    assert handles[0].platform == GKE_AUTOPILOT
    assert not GKE_AUTOPILOT.node_agents


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (FAILED, "a cluster without a version of Kubernetes"),
        (FAILED | {"masterVersion": "", "endpoint": ""}, "a cluster without a version of Kubernetes"),
        (REFRESHED, "the node pool 'default-pool' is still there"),
    ],
)
@pytest.mark.parametrize("endpoint", [DnsEndpoint(), OFFICE_ONLY])
@pytest.mark.parametrize("mode", [StandardMode(), AutopilotMode()])
def test_a_cluster_whose_creation_failed_can_be_previewed_again(
    mode: Any, endpoint: Any, state: dict[str, Any], said: str
) -> None:
    def program() -> None:
        handle = GkeCluster("b", args(endpoint=endpoint, mode=mode)).handle
        IstioControlPlane("istio", IstioControlPlaneArgs(cluster=handle, version="1.31.0"))

    recording = run_program(program, preview=True, existing={"b-cluster": state})
    assert recording.one(PROVIDER).inputs["clusterIdentifier"] == FAILED["id"]
    assert recording.one(PROVIDER).inputs["kubeconfig"] == Secret(UNKNOWN)
    if state is REFRESHED and isinstance(mode, AutopilotMode):
        assert recording.logs == []  # its pools are Google's
        return
    (warning,) = recording.logs
    assert said in warning.message
    assert "delete it in Google Cloud, run `pulumi refresh` and then `pulumi up`" in warning.message
    assert warning.urn == recording.one(CLUSTER).urn


@pytest.mark.parametrize("mode", [StandardMode(), AutopilotMode()])
def test_a_cluster_that_works_is_warned_of_by_nothing(mode: Any) -> None:
    def program() -> None:
        GkeCluster("b", args(mode=mode))

    assert run_program(program, preview=True, existing={"b-cluster": HEALTHY}).logs == []
    assert run_program(program, preview=True).logs == []
    assert run_program(program).logs == []


@pytest.mark.parametrize("endpoint", [DnsEndpoint(), OFFICE_ONLY])
def test_a_cluster_without_the_endpoint_is_an_error_and_not_a_wrong_address(endpoint: Any) -> None:
    none = {CLUSTER: {"endpoint": "", "controlPlaneEndpointsConfig": {"dnsEndpointConfig": {"endpoint": ""}}}}
    refusal = refused(lambda: GkeCluster("b", args(endpoint=endpoint)), ValidationError, outputs=none)
    assert "which the cluster does not have after this update" in str(refusal.error)
    assert "delete it in Google Cloud" in str(refusal.error)


@pytest.mark.parametrize(
    ("made", "warned"),
    [
        ({"clusterIpv4Cidr": "10.65.0.0/16", "servicesIpv4Cidr": "10.64.16.0/20"}, []),
        ({"clusterIpv4Cidr": "10.99.0.0/16", "servicesIpv4Cidr": "10.64.16.0/20"}, ["pod_cidr"]),
        ({"clusterIpv4Cidr": "10.99.0.0/16", "servicesIpv4Cidr": "10.98.0.0/20"}, ["pod_cidr", "service_cidr"]),
    ],
)
def test_other_ranges_than_the_clusters_own_are_warned_of(made: dict[str, str], warned: list[str]) -> None:
    state = {"b-cluster": {**HEALTHY, **made}}
    recording = run_program(lambda: GkeCluster("b", args()), preview=True, existing=state)
    assert [line.message.split(" =")[0] for line in recording.logs] == [f"network.{field}" for field in warned]
    assert all("cannot be changed" in line.message for line in recording.logs)


def test_ranges_of_a_network_that_exists_are_compared_as_well() -> None:
    state = {"b-cluster": {**HEALTHY, "clusterIpv4Cidr": "10.99.0.0/16", "servicesIpv4Cidr": "10.98.0.0/20"}}
    recording = run_program(lambda: GkeCluster("b", args(network=shared_network())), preview=True, existing=state)
    (warning,) = recording.logs
    assert "network.pod_cidr = '10.2.0.0/16': the cluster was made with 10.99.0.0/16" in warning.message


@pytest.mark.parametrize("protected", [True, False])
def test_what_holds_a_protected_cluster_is_protected_as_well(protected: bool) -> None:
    recording = recorded(deletion_protection=protected, image_projects=["images-project"])
    kept = {resource.name for resource in recording.resources if resource.protect}
    # Not the firewall rule and the other registry's grant, which come and go with arguments.
    everything = {
        *("b-cluster", "b-nodes", "b-node-account", "b-grant-node", "b-grant-images"),
        *("b-network", "b-subnet", "b-router", "b-nat"),
    }
    assert kept == (everything if protected else set())


@pytest.mark.parametrize("mode", [StandardMode(), AutopilotMode()])
def test_google_and_pulumi_protect_the_cluster_alike(mode: Any) -> None:
    for protected in (True, False):
        cluster = recorded(deletion_protection=protected, mode=mode).one(CLUSTER)
        assert cluster.inputs["deletionProtection"] is cluster.protect is protected


def test_children_inherit_provider_and_protection_but_not_aliases() -> None:
    def program() -> None:
        provider = gcp.Provider("google", project="my-project")
        options = pulumi.ResourceOptions(provider=provider, protect=True, aliases=[pulumi.Alias(name="old")])
        GkeCluster("b", args(deletion_protection=False), options)

    recording = run_program(program)
    google = recording.one("pulumi:providers:gcp").urn
    children = recording.children_of(recording.one(GkeCluster.TYPE))
    ours = [child for child in children if child.type.startswith("gcp:")]
    assert len(ours) == 10
    assert {child.provider for child in ours} == {google}
    assert all(child.protect for child in children)
    assert all("name=old" not in child.aliases for child in children)


def test_the_token_is_asked_through_the_components_own_provider() -> None:
    def program() -> None:
        provider = gcp.Provider("google", project="my-project")
        GkeCluster("b", args(credentials=Credentials.ACCESS_TOKEN), pulumi.ResourceOptions(provider=provider))

    recording = run_program(program)
    (call,) = recording.calls
    assert call.token == "gcp:organizations/getClientConfig:getClientConfig"
    assert call.provider == recording.one("pulumi:providers:gcp").urn


@pytest.mark.parametrize(
    ("build", "field"),
    [
        (lambda: GkeCluster("Testing", args()), "name"),
        (lambda: GkeCluster("a-name-that-is-far-too-long", args()), "name"),
        (lambda: GkeCluster("b", args(project="42")), "project"),
        (lambda: GkeCluster("b", args(location="europe-west1-b", mode=AutopilotMode())), "location"),
    ],
)
def test_bad_input_is_refused_before_anything_is_registered(build: Callable[[], object], field: str) -> None:
    refusal = refused(build, ValidationError)
    assert isinstance(refusal.error, ValidationError)
    assert refusal.error.field == field
    assert refusal.recording.resources == ()
