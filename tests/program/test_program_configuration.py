"""What the configuration of both stacks can say, and how a wrong one is refused: by key, file and what is allowed."""

import dataclasses
import re
from datetime import UTC, datetime
from typing import Any

import pulumi
import pytest
import yaml

from pulumi_traffic_mirror.model import ValidationError
from pulumi_traffic_mirror.program import schema, settings
from pulumi_traffic_mirror.rehearsal.mirror_tls import make_mirror_tls
from tests.program.test_program import ADDRESS, ROOT, TESTING, config, deploy
from tests.support.recording import Recording, Secret, refused, run_program

IMAGE = f"registry.example/greeter@sha256:{'0' * 64}"
ALONE = {"crossCluster": {"absent": True}}
BRANCH = {"image": IMAGE, "started": "2026-11-23T10:00Z", "hours": 336, "headers": {"x-user": "alice"}}


def gke(**changes: Any) -> dict[str, Any]:
    """A cluster's section with changes; None leaves a key out."""
    cluster = {"project": "my-project", "location": "europe-west1", "deletionProtection": True, **changes}
    return {"cluster": {key: value for key, value in cluster.items() if value is not None}}


@pytest.mark.parametrize(
    "tls", ["PRIVATE", {"certificate": "PRIVATE"}, {"certificate": "", "key": "PRIVATE", "ca": "PRIVATE"}]
)
def test_a_certificate_that_is_not_whole_is_refused_without_showing_it(tls: Any) -> None:
    refusal = refused(
        ROOT / "__main__.py",
        ValidationError,
        config={**config("testing"), "traffic-mirror:mirrorTls": tls},
        secret_keys=["traffic-mirror:mirrorTls"],
        outputs=ADDRESS,
        stack="testing",
    )
    assert "traffic-mirror:mirrorTls in Pulumi.testing.yaml = '(secret)': must be an object with" in str(refusal.error)
    assert "PRIVATE" not in str(refusal.error)


@pytest.mark.parametrize(("stack", "keys"), [("staging", {"ca"}), ("testing", {"certificate", "key"})])
def test_without_client_certificates_each_side_needs_only_its_own_part(stack: str, keys: set[str]) -> None:
    whole = dict(make_mirror_tls("grpc-hello-mirror.testing.example")[stack])
    changes: dict[str, Any] = {"mirrors": {"crossCluster": {"absent": True}}} if stack == "staging" else {}
    changes["contract"] = {**config(stack)["traffic-mirror:contract"], "transport": "SIMPLE"}
    changes["mirrorTls"] = {key: text for key, text in whole.items() if key in keys}
    secret = deploy(stack, **changes).one("kubernetes:core/v1:Secret")
    data = secret.inputs["data"]
    assert isinstance(data, Secret)
    assert set(data.value) == ({"ca.crt"} if stack == "staging" else {"tls.crt", "tls.key"})


def plain_text() -> dict[str, Any]:
    """Testing's contract without TLS."""
    given = config("testing")["traffic-mirror:contract"]
    return {**given, "transport": {"reason": "both are on one VPC"}}


def test_without_tls_testing_listens_in_plain_text_and_holds_no_certificate() -> None:
    recording = deploy("testing", contract=plain_text(), mirrorTls=None)
    gateway = recording.one("kubernetes:networking.istio.io/v1:Gateway")
    assert not recording.of_type("kubernetes:core/v1:Secret")
    assert ["tls" in server for server in gateway.inputs["spec"]["servers"]] == [False]


def test_certificates_that_nothing_uses_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"mirrorTls in Pulumi\.testing\.yaml.*contract with TLS"):
        deploy("testing", contract=plain_text(), mirrorTls={"ca": "x"})


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("receiver", "mirrors[1].offer = None: must be the offer that the testing stack exports"),
        (
            "network",
            "cluster.peerWithTesting in Pulumi.staging.yaml = True: needs a testing stack that made its network",
        ),
    ],
)
def test_a_testing_stack_that_is_not_there_yet_is_an_error_with_a_way_out(
    missing: str, words: str, preview: bool
) -> None:
    (outputs,) = TESTING.values()
    refusal = refused(
        ROOT / "__main__.py",
        ValidationError,
        config=config("staging"),
        outputs=ADDRESS,
        stack="staging",
        preview=preview,
        stack_references={name: {key: outputs[key] for key in outputs if key != missing} for name in TESTING},
    )
    assert words in str(refusal.error)
    assert isinstance(refusal.error, pulumi.RunError), "the engine would print a traceback"


def test_a_kubernetes_that_istio_does_not_support_is_refused_with_the_table() -> None:
    """GKE tells its version; nobody has to write it down."""
    refusal = refused(
        ROOT / "__main__.py",
        ValidationError,
        config=config("testing"),
        outputs={**ADDRESS, "gcp:container/cluster:Cluster": {"masterVersion": "1.31.9-gke.100"}},
        stack="testing",
    )
    assert "Kubernetes of cluster cluster = '1.31.9-gke.100': must be a version that Istio 1.31" in str(refusal.error)
    assert "Istio 1.31: Kubernetes 1.32 to 1.36" in str(refusal.error)
    assert not refusal.recording.of_type("kubernetes:helm.sh/v3:Release")


def test_a_kubernetes_version_that_is_written_down_wins() -> None:
    recording = run_program(
        ROOT / "__main__.py",
        config={**config("testing"), "traffic-mirror:istio": {"version": "1.31.0", "kubernetesVersion": "1.36"}},
        outputs={**ADDRESS, "gcp:container/cluster:Cluster": {"masterVersion": "1.37.1-gke.100"}},
        stack="testing",
    )
    assert recording.one("kubernetes:helm.sh/v3:Release", "istio-base")


def test_networks_of_both_stacks_that_overlap_are_refused() -> None:
    (outputs,) = TESTING.values()
    same = {"node_cidr": "10.64.0.0/20", "pod_cidr": "10.67.0.0/16", "service_cidr": "10.66.16.0/20"}
    refusal = refused(
        ROOT / "__main__.py",
        ValidationError,
        config=config("staging"),
        outputs=ADDRESS,
        stack="staging",
        stack_references={name: {**outputs, "networkRanges": same} for name in TESTING},
    )
    assert "overlaps with first_ranges.node_cidr (10.64.0.0/20)" in str(refusal.error)


def test_a_cluster_s_section_reaches_gke() -> None:
    changes = gke(
        location="europe-west1-b",
        nodes={"machineType": "e2-standard-2", "minNodes": 1, "maxNodes": 2, "diskSizeGib": 30, "spot": True},
        authorizedNetworks={"office": "203.0.113.0/24"},
        controlPlaneCidr="172.16.4.0/28",
        maintenance={"days": ["SA", "SU"], "startHourUtc": 4, "hours": 8},
        releaseChannel="STABLE",
        secretsKey="projects/p/locations/europe-west1/keyRings/r/cryptoKeys/k",
        credentials="access-token",
        labels={"team": "shop"},
    )
    recording = deploy("testing", **changes)
    cluster, pool = recording.one("gcp:container/cluster:Cluster"), recording.one("gcp:container/nodePool:NodePool")
    assert pool.input("nodeConfig.machineType") == "e2-standard-2"
    assert pool.input("nodeConfig.spot") is True
    assert cluster.input("masterAuthorizedNetworksConfig.cidrBlocks.0.cidrBlock") == "203.0.113.0/24"
    assert cluster.input("privateClusterConfig.masterIpv4CidrBlock") == "172.16.4.0/28"
    assert cluster.input("maintenancePolicy.recurringWindow.recurrence") == "FREQ=WEEKLY;BYDAY=SA,SU"
    assert cluster.input("releaseChannel.channel") == "STABLE"
    assert cluster.input("databaseEncryption.keyName").endswith("/cryptoKeys/k")
    assert cluster.input("resourceLabels.team") == "shop"
    assert [call.token for call in recording.calls] == ["gcp:organizations/getClientConfig:getClientConfig"]


def test_the_section_in_the_documentation_makes_a_cluster() -> None:
    text = (ROOT / "docs" / "gke.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    recording = deploy("testing", cluster=yaml.safe_load(block)["traffic-mirror:cluster"])
    assert recording.one("gcp:container/nodePool:NodePool").input("nodeConfig.machineType") == "e2-standard-4"


@pytest.mark.parametrize("autopilot", [False, True])
def test_a_network_that_exists_is_used(autopilot: bool) -> None:
    there = {
        "network": "projects/host-project/global/networks/shared",
        "subnetwork": "projects/host-project/regions/europe-west1/subnetworks/shared",
        "podsRange": "pods",
        "servicesRange": "services",
        "nodeCidr": "10.66.0.0/20",
        "podCidr": "10.67.0.0/16",
        "project": "host-project",
    }
    recording = deploy("testing", **gke(existingNetwork=there, mode="autopilot" if autopilot else None))
    assert not recording.of_type("gcp:compute/network:Network")
    assert recording.one("gcp:container/cluster:Cluster").input("network") == there["network"]
    assert len(recording.of_type("gcp:container/nodePool:NodePool")) == (not autopilot)


def test_the_schema_declares_every_key_with_what_it_may_hold() -> None:
    """A declared key without a default is required, so the two optional secrets cannot be declared."""
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    keys = {key.removeprefix("traffic-mirror:") for key in declared}
    assert keys == set(settings.TOP_KEYS) - {"kubeconfig", "mirrorTls"}
    required = {key.removeprefix("traffic-mirror:") for key, value in declared.items() if "default" not in value}
    assert required == {"role", "clusterKind", "cluster", "contract", "greeter"}


def test_the_schema_is_what_can_be_configured() -> None:
    written = (ROOT / "Pulumi.yaml").read_text(encoding="utf-8")
    assert written == schema.project_file(), "run: python -m pulumi_traffic_mirror.program.schema > Pulumi.yaml"


@pytest.mark.parametrize("kind", settings.GIVEN, ids=lambda kind: kind.__name__)
def test_every_argument_is_a_key_or_set_by_the_program(kind: type) -> None:
    unreachable = {"now", "descriptor_set", "customize"}
    """The clock, bytes and functions, which no configuration can hold."""
    fields = {each.name for each in dataclasses.fields(kind) if each.init}
    assert fields - set(settings.GIVEN[kind]) - unreachable == {snake_case(key) for key in settings.keys(kind)}


def snake_case(key: str) -> str:
    return re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", key)


def test_every_guard_of_every_mirror_can_be_configured() -> None:
    brakes = {"maxRequests": 7, "maxDurationSeconds": 3}
    inside = {"percent": 50, "name": "copies", "brakes": brakes, "scrub": {"extraHeaders": ["x-session"]}}
    reads = {"reason": "methods only read"}
    across = {"percent": 10, "name": "far", "brakes": {"reason": "is a test double"}, "sideEffects": reads}
    match = {"rpcMethods": ["shop.Cart/Get"]}
    recording = deploy("staging", mirrors={"inCluster": {**inside, "match": match}, "crossCluster": across})
    filters = recording.one("kubernetes:networking.istio.io/v1alpha3:EnvoyFilter").inputs["spec"]
    assert "x-session" in str(filters)
    assert "shop.Cart/Get" in str(recording.one("kubernetes:networking.istio.io/v1:VirtualService").inputs)
    rules = recording.of_type("kubernetes:networking.istio.io/v1:DestinationRule")
    (rule,) = [rule for rule in rules if rule.input("spec.host").startswith("greeter-v2.")]
    assert rule.input("spec.trafficPolicy.connectionPool.http.http2MaxRequests") == 7
    shown = {mirror["name"]: str(mirror) for mirror in recording.exports["mirrors"]}
    assert set(shown) == {"copies", "far"}
    assert "is a test double" in shown["far"]
    assert "methods only read" in shown["far"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"greeter": {"image": "greeter:1"}}, "traffic-mirror:greeter.image in Pulumi.staging.yaml"),
        ({"greeter": {}}, "traffic-mirror:greeter.image in Pulumi.staging.yaml"),
        (
            {"greeter": {"image": IMAGE, "namespace": "Hello"}},
            "traffic-mirror:greeter.namespace in Pulumi.staging.yaml",
        ),
        ({"greeter": {"image": IMAGE, "replicas": float("inf")}}, "traffic-mirror:greeter.replicas in Pulumi.staging"),
        (
            {"mirrorTlsSecretName": "My Secret"},
            "traffic-mirror:mirrorTlsSecretName in Pulumi.staging.yaml = 'My Secret'",
        ),
        (
            {"istio": {"version": 1.31}},
            "istio.version in Pulumi.staging.yaml = 1.31: must be a text. Write it as a text",
        ),
        (
            {"contract": {"hosts": "a.staging.example"}},
            "contract.hosts in Pulumi.staging.yaml = 'a.staging.example': must",
        ),
        ({"gateway": {"serviceAnnotations": {"a": None}}}, "gateway.serviceAnnotations.a in Pulumi.staging.yaml"),
        ({"expiryGuard": {"everyMinutes": 1}}, "traffic-mirror:expiryGuard.image in Pulumi.staging.yaml = None"),
        ({"recorder": {"samplePercent": 1}}, "traffic-mirror:recorder.image in Pulumi.staging.yaml = None"),
        (
            {"recorder": {"image": IMAGE, "storage": {"accountAnnotations": {"a": "b"}}}},
            "recorder.storage.url in Pulumi.staging.yaml = None: must be a text. Give it",
        ),
        ({"branches": {"my_bug": BRANCH}}, "traffic-mirror:branches.my_bug in Pulumi.staging.yaml = 'my_bug'"),
        ({"branches": {"bug": {**BRANCH, "headers": {"X-User": "a"}}}}, "branches.bug.headers in Pulumi.staging.yaml"),
        ({"branches": [1]}, "traffic-mirror:branches in Pulumi.staging.yaml = [1]: must be an object. Write"),
        ({"istio": {"version": "1.25.0"}}, "traffic-mirror:istio.version in Pulumi.staging.yaml"),
        ({"istio": {"version": "1.31.0", "kubernetesVersion": "1.28"}}, "traffic-mirror:istio.kubernetesVersion"),
        ({"cluster": {"project": "p"}}, "traffic-mirror:cluster.location in Pulumi.staging.yaml"),
        (gke(location="mars"), "traffic-mirror:cluster.location in Pulumi.staging.yaml"),
        (gke(deletionProtection=None), "traffic-mirror:cluster.deletionProtection in Pulumi.staging.yaml"),
        (gke(location="europe-west1-b", mode="autopilot"), "traffic-mirror:cluster.location in Pulumi.staging.yaml"),
        (gke(mode="autopilot", nodes={"minNodes": 1}), "traffic-mirror:cluster.nodes in Pulumi.staging.yaml"),
        (gke(nodes={"machineType": "big"}), "traffic-mirror:cluster.nodes.machineType in Pulumi.staging.yaml"),
        (gke(nodes={"minNodes": 3, "maxNodes": 2}), "traffic-mirror:cluster.nodes.maxNodes in Pulumi.staging.yaml"),
        (gke(nodes={"zones": ["us-east4-a"]}), "traffic-mirror:cluster.nodes.zones[0] in Pulumi.staging.yaml"),
        (gke(network={"podCidr": "10.64.0.0/16"}), "traffic-mirror:cluster.network"),
        (gke(existingNetwork={"network": "n"}), "traffic-mirror:cluster.existingNetwork.subnetwork in Pulumi"),
        (gke(existingNetwork={}, network={"podCidr": "10.1.0.0/16"}), "traffic-mirror:cluster.network in Pulumi"),
        (gke(authorizedNetworks={"all": "0.0.0.0/0"}), "traffic-mirror:cluster.authorizedNetworks['all'] in Pulumi"),
        ({**gke(mode="autopilot"), "istio": {"cni": True}}, "traffic-mirror:istio.cni in Pulumi.staging.yaml"),
        (gke(controlPlaneCidr="172.16.0.0/28"), "traffic-mirror:cluster.controlPlaneCidr in Pulumi.staging.yaml"),
        (gke(maintenance={"days": ["monday"]}), "traffic-mirror:cluster.maintenance.days in Pulumi.staging.yaml"),
        (gke(maintenance={"hours": 2}), "traffic-mirror:cluster.maintenance.hours in Pulumi.staging.yaml"),
        (gke(secretsKey="my-key"), "traffic-mirror:cluster.secretsKey in Pulumi.staging.yaml"),
        (gke(credentials="password"), "exec-plugin, access-token"),
        (gke(releaseChannel="UNSPECIFIED"), "RAPID, REGULAR, STABLE, EXTENDED"),
        ({"clusterKind": "existing", "cluster": {}}, "traffic-mirror:cluster.kubeconfig"),
        (gke(network={"podCidr": "x"}), "traffic-mirror:cluster.network.podCidr in Pulumi.staging.yaml"),
        ({"gateway": {"exposure": "public"}}, "traffic-mirror:gateway.servers[0].tls"),
        (
            {"mirrors": {"crossCluster": {}}},
            "mirrors.crossCluster.percent in Pulumi.staging.yaml = None",
        ),
        (
            {"mirrors": {"crossCluster": {"percent": 101}}},
            "mirrors.crossCluster.percent in Pulumi.staging.yaml = 101",
        ),
        (
            {"mirrors": {"crossCluster": {"percent": 10**400}}},
            "mirrors.crossCluster.percent in Pulumi.staging.yaml = 1000",
        ),
        (
            {"mirrors": {**ALONE, "inCluster": {"percent": 1, "brakes": {"maxRequests": 0}}}},
            "mirrors.inCluster.brakes.maxRequests in Pulumi",
        ),
        (
            {"mirrors": {**ALONE, "inCluster": {"percent": 1, "brakes": {"maxRequest": 1}}}},
            "mirrors.inCluster.brakes.maxRequest in Pulumi",
        ),
        (
            {"mirrors": {**ALONE, "inCluster": {"percent": 1, "scrub": {"reason": "no"}}}},
            "mirrors.inCluster.scrub.reason in Pulumi.staging",
        ),
        (
            {"mirrors": {"crossCluster": {"percent": 1, "brakes": {"reason": "a good reason", "maxRequests": 1}}}},
            "mirrors.crossCluster.brakes in Pulumi.staging.yaml = '(given)': must have the keys of one form: {maxConn",
        ),
        (
            {"mirrors": {**ALONE, "inCluster": {"percent": 1, "match": {"headers": [{"name": "X-A", "value": "b"}]}}}},
            "mirrors.inCluster.match.headers[0].name in Pulumi.staging.yaml",
        ),
        (
            {"mirrors": {**ALONE, "inCluster": {"percent": 1, "expires": "2020-01-01"}}},
            "mirrors.inCluster.expires in Pulumi.",
        ),
    ],
)
def test_wrong_configuration_is_refused_by_key_and_file(changes: dict[str, Any], words: str) -> None:
    values = {**config("staging"), **{f"traffic-mirror:{key}": value for key, value in changes.items()}}
    refusal = refused(
        ROOT / "__main__.py",
        ValidationError,
        config=values,
        outputs=ADDRESS,
        stack="staging",
        stack_references=TESTING,
    )
    assert words in str(refusal.error)


def test_values_that_yaml_reads_as_something_else_are_the_texts_that_were_written() -> None:
    """Clouds compare annotations with "true"; for "True" a load balancer was public."""
    internal = "service.beta.kubernetes.io/azure-load-balancer-internal"
    recording = deploy("staging", gateway={"serviceAnnotations": {internal: True, "port": 80}})
    annotations = recording.one("kubernetes:helm.sh/v3:Release", "gateway-release").inputs["values"]["service"]
    assert {key: annotations["annotations"][key] for key in (internal, "port")} == {internal: "true", "port": "80"}


def secret_run(key: str, value: Any) -> Recording:
    return run_program(
        ROOT / "__main__.py",
        config={**config("staging"), f"traffic-mirror:{key}": value},
        secret_keys=[f"traffic-mirror:{key}"],
        stack="staging",
        outputs=ADDRESS,
        stack_references=TESTING,
    )


def test_a_secret_in_a_branch_s_environment_stays_one() -> None:
    branch = {**BRANCH, "started": datetime.now(UTC).isoformat(), "env": {"PASSWORD": "PRIVATE"}}
    recording = secret_run("branches", {"bug": branch})
    assert recording.one("kubernetes:apps/v1:Deployment", "bug-deployment")
    assert "PRIVATE" not in repr([recording.snapshot(), recording.exports, recording.logs])


@pytest.mark.parametrize("value", [{"image": IMAGE, "namespace": "PRIVATE"}, "PRIVATE"])
def test_a_secret_that_would_become_plain_is_refused_without_showing_it(value: Any) -> None:
    with pytest.raises(ValidationError, match=r"greeter in Pulumi\.staging\.yaml = '\(secret\)': must not") as refusal:
        secret_run("greeter", value)
    assert "PRIVATE" not in str(refusal.value)


SHOP: dict[str, Any] = {
    "on": [{"hosts": ["shop.example.com"]}, {"host": "orders.shop.svc.cluster.local", "port": 80}],
    "mirrors": [
        {
            "service": {"host": "orders-next.shop.svc.cluster.local", "port": 80},
            "percent": 10,
            "match": {"pathPrefixes": ["/api/orders"]},
        }
    ],
    "namespace": "shop",
}


def overlays(**changes: Any) -> dict[str, Any]:
    """Mirrors with an overlay; None leaves a key out."""
    given = {key: value for key, value in {**SHOP, **changes}.items() if value is not None}
    return {"crossCluster": {"absent": True}, "overlay": {"shop": given}}


def test_an_overlay_is_configured_by_name() -> None:
    recording = deploy("staging", mirrors=overlays())
    (filter_,) = [
        each
        for each in recording.of_type("kubernetes:networking.istio.io/v1alpha3:EnvoyFilter")
        if each.input("metadata.name") == "shop-shop-overlay"
    ]
    hosts = [
        patch["match"]["routeConfiguration"]["vhost"]
        for patch in filter_.input("spec.configPatches")
        if patch["applyTo"] == "HTTP_ROUTE"
    ]
    assert [host.get("domainName") or host["name"] for host in hosts] == [
        "shop.example.com",
        "orders.shop.svc.cluster.local:80",
    ]
    assert "/api/orders/" in str(filter_.input("spec"))


def test_an_overlay_lies_in_the_sample_s_namespace_unless_it_names_one() -> None:
    recording = deploy("staging", mirrors=overlays(namespace=None))
    names = {each.input("metadata.name") for each in recording.resources if each.type.endswith(":EnvoyFilter")}
    assert "hello-shop-overlay" in names


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"on": None}, "traffic-mirror:mirrors.overlay.shop.on in Pulumi.staging.yaml"),
        (
            {"on": []},
            "mirrors.overlay.shop.on in Pulumi.staging.yaml = []: must name at least one place",
        ),
        ({"on": [{"host": "orders"}]}, "traffic-mirror:mirrors.overlay.shop.on[0]"),
        ({"on": [{"hosts": ["*"]}]}, "traffic-mirror:mirrors.overlay.shop.on[0].hosts[0]"),
        ({"mirrors": [{"percent": 101}]}, "traffic-mirror:mirrors.overlay.shop.mirrors[0]"),
        ({"percent": 10}, "traffic-mirror:mirrors.overlay.shop.percent in Pulumi.staging.yaml"),
        ({"protocol": "TCP"}, "traffic-mirror:mirrors.overlay.shop.protocol"),
    ],
)
def test_a_wrong_key_of_an_overlay_is_named(changes: dict[str, Any], words: str) -> None:
    refusal = refused(
        ROOT / "__main__.py",
        ValidationError,
        config={**config("staging"), "traffic-mirror:mirrors": overlays(**changes)},
        outputs=ADDRESS,
        stack="staging",
    )
    assert words in str(refusal.error)


@pytest.mark.parametrize("role", ["staging", "testing"])
def test_the_gateway_s_api_is_that_of_the_routes(role: str) -> None:
    recording = deploy(role, gateway={"api": "gateway"})
    kinds = {each.type.rpartition(":")[2] for each in recording.resources if ":gateway.networking.k8s.io/" in each.type}
    assert kinds == {"Gateway", "GRPCRoute"}
    assert not recording.of_type("kubernetes:networking.istio.io/v1:VirtualService")


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("istio.version", {"istio": {"version": "9"}}),
        ("gateway.", {"gateway": {"namespace": "Not A Label"}}),
        ("greeter.image", {"greeter": {"image": "registry.example/greeter:latest"}}),
        ("recorder.image", {"recorder": {"image": "registry.example/recorder:latest"}}),
        ("recorder.storage.volumeGib", {"recorder": {"image": IMAGE, "storage": {"volumeGib": 0}}}),
        ("replays.monday.", {"replays": {"monday": {"image": IMAGE, "recording": "gs://a", "target": "x"}}}),
        ("branches.alice.hours", {"branches": {"alice": {**BRANCH, "hours": "long"}}}),
        ("expiryGuard.everyMinutes", {"expiryGuard": {"image": IMAGE, "everyMinutes": 60}}),
        ("mirrors.overlay.api.", {"mirrors": {**ALONE, "overlay": {"api": {"on": {"hosts": ["a b"]}}}}}),
        ("cluster.peerWithTesting", {"clusterKind": "gke", "kubeconfig": None, **gke(peerWithTesting="yes")}),
    ],
)
def test_nothing_is_registered_where_any_part_is_wrong(key: str, changes: dict[str, Any]) -> None:
    values = {**config("staging"), **{f"traffic-mirror:{name}": value for name, value in changes.items()}}
    refusal = refused(
        ROOT / "__main__.py",
        ValidationError,
        config={name: value for name, value in values.items() if value is not None},
        secret_keys=["traffic-mirror:kubeconfig", "traffic-mirror:mirrorTls"],
        outputs=ADDRESS,
        stack="staging",
        stack_references=TESTING,
    )
    assert f"traffic-mirror:{key}" in str(refusal.error)
    assert not refusal.recording.shape
