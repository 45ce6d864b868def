"""The edges of the rules on clusters, networks, pods and secrets."""

import copy
from typing import Any, Final

import pytest

from pulumi_traffic_mirror_policies.rules.networks import everybody
from tests.policy.driver import UNKNOWN, Given, InProcess, cluster_object

CLUSTER: Final = "gcp:container/cluster:Cluster"
POOL: Final = "gcp:container/nodePool:NodePool"
FIREWALL: Final = "gcp:compute/firewall:Firewall"
POLICY_RULE: Final = "gcp:compute/networkFirewallPolicyRule:NetworkFirewallPolicyRule"
GRANT: Final = "gcp:projects/iAMMember:IAMMember"
BINDING: Final = "gcp:projects/iAMBinding:IAMBinding"
TCP: Final = [{"protocol": "tcp", "ports": ["8000"]}]
LAYERS: Final = [{"ipProtocol": "tcp", "ports": ["8000"]}]
AUTOPILOT: Final = {"enableAutopilot": True}


def places(rule_id: str, *given: Given, **config: Any) -> list[str]:
    """Fields that a rule reports."""
    report = InProcess({rule_id: config}, only=rule_id).judge(given)
    return [line.message.split(": ")[1] for line in report.of(rule_id)]


@pytest.mark.parametrize(
    ("cidr", "answer"),
    [
        ("0.0.0.0/0", True),
        ("::/0", True),
        ("0.0.0.0/1", True),
        ("128.0.0.0/1", True),
        ("10.0.0.0/8", False),
        ("192.0.2.7", False),
        ("2001:db8::/32", False),
        ("2000::/3", True),
        (" 0.0.0.0/0 ", True),
        ("not a range", False),
        ("", False),
    ],
)
def test_everybody_is_more_than_the_largest_private_range(cidr: str, answer: bool) -> None:
    assert everybody(cidr) is answer


@pytest.mark.parametrize(
    ("type_", "props", "found"),
    [
        (FIREWALL, {"allows": TCP}, ["sourceRanges"]),
        (FIREWALL, {"allows": TCP, "sourceTags": ["gateway"]}, []),
        (FIREWALL, {"allows": TCP, "sourceRanges": ["10.0.0.0/8", "::/0"]}, ["sourceRanges[1]"]),
        (FIREWALL, {"allows": TCP, "sourceRanges": ["0.0.0.0/0"], "direction": "EGRESS"}, []),
        (FIREWALL, {"allows": TCP, "sourceRanges": ["0.0.0.0/0"], "disabled": True}, []),
        (FIREWALL, {"denies": TCP, "sourceRanges": ["0.0.0.0/0"]}, []),
        (
            POLICY_RULE,
            {
                "direction": "INGRESS",
                "action": "allow",
                "match": {"srcIpRanges": ["0.0.0.0/0"], "layer4Configs": LAYERS},
            },
            ["match.srcIpRanges[0]"],
        ),
        (POLICY_RULE, {"direction": "INGRESS", "action": "deny", "match": {"srcIpRanges": ["0.0.0.0/0"]}}, []),
    ],
)
def test_a_firewall_that_lets_everybody_in_is_refused(type_: str, props: dict[str, Any], found: list[str]) -> None:
    assert places("firewall-open", Given(type_, "x", props)) == found


def test_ports_that_the_house_makes_public_may_be_open() -> None:
    for type_, props in (
        (FIREWALL, {"allows": TCP, "sourceRanges": ["0.0.0.0/0"]}),
        (
            POLICY_RULE,
            {"direction": "INGRESS", "action": "allow", "match": {"srcIpRanges": ["::/0"], "layer4Configs": LAYERS}},
        ),
    ):
        assert places("firewall-open", Given(type_, "x", props), publicPorts=[8000]) == []
        assert places("firewall-open", Given(type_, "x", props), publicPorts=[443]) != []


def service(annotations: dict[str, str] | None = None, **spec: Any) -> Given:
    metadata = {"name": "entrance", "namespace": "hello", "annotations": annotations or {}}
    return cluster_object({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})


@pytest.mark.parametrize(
    ("annotations", "public"),
    [
        ({}, True),
        ({"networking.gke.io/load-balancer-type": "Internal"}, False),
        ({"networking.gke.io/load-balancer-type": "External"}, True),
        ({"service.beta.kubernetes.io/aws-load-balancer-scheme": "internal"}, False),
        ({"service.beta.kubernetes.io/aws-load-balancer-scheme": "internet-facing"}, True),
        ({"service.beta.kubernetes.io/azure-load-balancer-internal": "true"}, False),
    ],
)
def test_a_load_balancer_is_public_unless_its_annotations_say_otherwise(
    annotations: dict[str, str], public: bool
) -> None:
    given = service(annotations, type="LoadBalancer")
    assert bool(places("load-balancer-public", given)) is public
    assert bool(places("load-balancer-open", given)) is public
    assert places("load-balancer-open", given, internalByDefault=True) == []


def test_a_public_load_balancer_may_name_who_reaches_it() -> None:
    named = service(type="LoadBalancer", loadBalancerSourceRanges=["192.0.2.0/24"])
    assert places("load-balancer-open", named) == []
    assert places("load-balancer-public", named) == ["spec.type"]
    halves = service(type="LoadBalancer", loadBalancerSourceRanges=["0.0.0.0/1", "128.0.0.0/1"])
    assert len(places("load-balancer-open", halves)) == 2
    assert places("load-balancer-open", service(type="LoadBalancer", loadBalancerSourceRanges=[]))


def test_services_inside_the_cluster_are_no_load_balancers() -> None:
    assert places("load-balancer-open", service(type="ClusterIP"), service()) == []


@pytest.mark.parametrize(
    ("chart", "values", "refused"),
    [
        ("gateway", {}, True),
        ("/charts/istio/gateway", {}, True),
        ("oci://registry.example/charts/gateway", {"service": {"type": "ClusterIP"}}, False),
        ("gateway", {"service": {"annotations": {"networking.gke.io/load-balancer-type": "Internal"}}}, False),
        ("istiod", {}, False),
        ("ingress-nginx", {"service": {"type": "LoadBalancer"}}, True),
    ],
)
def test_charts_that_make_load_balancers_are_judged(chart: str, values: dict[str, Any], refused: bool) -> None:
    for version in ("v3:Release", "v4:Chart"):
        given = Given(f"kubernetes:helm.sh/{version}", "gateway", {"chart": chart, "values": values})
        assert bool(places("load-balancer-open", given)) is refused


@pytest.mark.parametrize(
    ("props", "found"),
    [
        ({}, ["masterAuthorizedNetworksConfig"]),
        ({"privateClusterConfig": {"enablePrivateEndpoint": True}}, []),
        ({"controlPlaneEndpointsConfig": {"ipEndpointsConfig": {"enabled": False}}}, []),
        (
            {"masterAuthorizedNetworksConfig": {"gcpPublicCidrsAccessEnabled": True, "cidrBlocks": []}},
            ["masterAuthorizedNetworksConfig.gcpPublicCidrsAccessEnabled"],
        ),
    ],
)
def test_a_control_plane_for_everybody_is_refused(props: dict[str, Any], found: list[str]) -> None:
    assert places("gke-endpoint-open", Given(CLUSTER, "x", props)) == found


@pytest.mark.parametrize("rule_id", ["gke-workload-identity", "gke-release-channel", "gke-network-policies"])
def test_what_autopilot_brings_need_not_be_said(rule_id: str) -> None:
    assert places(rule_id, Given(CLUSTER, "x", AUTOPILOT)) == []


def test_autopilot_must_not_be_told_what_its_nodes_are() -> None:
    assert places("gke-node-pools", Given(CLUSTER, "x", {**AUTOPILOT, "nodeConfig": {}})) == ["nodeConfig"]
    assert places("gke-node-pools", Given(CLUSTER, "x", AUTOPILOT)) == []
    assert places("gke-node-pools", Given(CLUSTER, "x", {})) == ["removeDefaultNodePool"]


@pytest.mark.parametrize(
    ("type_", "props", "found"),
    [
        (POOL, {}, ["nodeConfig.serviceAccount"]),
        (POOL, {"nodeConfig": {"serviceAccount": "default"}}, ["nodeConfig.serviceAccount"]),
        (CLUSTER, {"removeDefaultNodePool": True}, []),
        (CLUSTER, {}, ["nodeConfig.serviceAccount"]),
        (CLUSTER, {"nodePools": [{"name": "a"}]}, ["nodePools[0].nodeConfig.serviceAccount"]),
        (CLUSTER, AUTOPILOT, ["clusterAutoscaling.autoProvisioningDefaults.serviceAccount"]),
    ],
)
def test_nodes_need_an_account_of_their_own(type_: str, props: dict[str, Any], found: list[str]) -> None:
    assert places("gke-node-account", Given(type_, "x", props)) == found


def test_roles_are_matched_to_nodes_before_the_account_has_a_name() -> None:
    account = Given("gcp:serviceaccount/account:Account", "nodes", {})
    older = Given("gcp:serviceAccount/account:Account", "nodes", {})
    for made in (account, older):
        pool = Given(POOL, "pool", {"nodeConfig": {"serviceAccount": UNKNOWN}}, origins={"nodeConfig": [made]})
        grant = Given(GRANT, "g", {"role": "roles/storage.admin", "member": UNKNOWN}, origins={"member": [made]})
        assert places("gke-node-roles", made, pool, grant) == ["role"]
        assert places("gke-node-roles", made, pool, grant, nodeRoles=["roles/storage.admin"]) == []
        elsewhere = Given("gcp:serviceaccount/account:Account", "app", {})
        other = Given(
            GRANT, "g", {"role": "roles/storage.admin", "member": "user:a@example.com"}, origins={"member": [elsewhere]}
        )
        assert places("gke-node-roles", made, pool, other) == []


def test_a_binding_that_names_the_nodes_among_others_is_matched() -> None:
    name = "nodes@my-project.iam.gserviceaccount.com"
    pool = Given(POOL, "pool", {"nodeConfig": {"serviceAccount": name}})
    members = ["user:a@example.com", f"serviceAccount:{name}"]
    assert places("gke-node-roles", pool, Given(BINDING, "b", {"role": "roles/owner", "members": members})) == ["role"]


@pytest.mark.parametrize(
    ("type_", "props", "found"),
    [
        (GRANT, {"role": "roles/viewer", "member": "allUsers"}, ["member"]),
        (BINDING, {"role": "roles/owner", "members": ["allAuthenticatedUsers"]}, ["role", "members"]),
        (GRANT, {"role": "roles/viewer", "member": "user:a@example.com"}, []),
    ],
)
def test_wide_grants_are_refused(type_: str, props: dict[str, Any], found: list[str]) -> None:
    assert places("iam-wide-grant", Given(type_, "x", props)) == found


CONTAINER: Final[dict[str, Any]] = {
    "name": "a",
    "image": "registry.example/a@sha256:" + "0" * 64,
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    },
}


def pod(change: dict[str, Any] | None = None, **spec: Any) -> Given:
    container = copy.deepcopy(CONTAINER)
    for path, value in (change or {}).items():
        holder = container
        *above, last = path.split(".")
        for key in above:
            holder = holder[key]
        holder[last] = value
    return cluster_object(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [container], **spec}}
    )


@pytest.mark.parametrize(
    ("change", "spec"),
    [
        ({"securityContext.privileged": True}, {}),
        ({"securityContext.allowPrivilegeEscalation": True}, {}),
        ({"securityContext.allowPrivilegeEscalation": None}, {}),
        ({"securityContext.capabilities": {"drop": ["NET_RAW"]}}, {}),
        ({"securityContext.capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}}, {}),
        ({"securityContext.runAsNonRoot": False}, {}),
        ({"securityContext.runAsUser": 0}, {}),
        ({"securityContext.seccompProfile": {"type": "Unconfined"}}, {}),
        ({"securityContext.procMount": "Unmasked"}, {}),
        ({"ports": [{"containerPort": 80, "hostPort": 80}]}, {}),
        ({}, {"hostNetwork": True}),
        ({}, {"hostPID": True}),
        ({}, {"hostIPC": True}),
        ({}, {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}),
        ({}, {"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}}),
        ({}, {"initContainers": [{"name": "b"}]}),
        ({}, {"ephemeralContainers": [{"name": "b"}]}),
    ],
)
def test_pods_that_are_not_restricted_are_refused(change: dict[str, Any], spec: dict[str, Any]) -> None:
    assert places("pod-restricted", pod(change, **spec))


@pytest.mark.parametrize(
    ("change", "spec"),
    [
        ({}, {}),
        ({"securityContext.capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}, {}),
        ({"securityContext.runAsNonRoot": None}, {"securityContext": {"runAsNonRoot": True}}),
        ({"securityContext.seccompProfile": None}, {"securityContext": {"seccompProfile": {"type": "Localhost"}}}),
        ({}, {"volumes": [{"name": "v", "emptyDir": {}}]}),
        ({}, {"securityContext": {"sysctls": [{"name": "net.ipv4.tcp_syncookies", "value": "1"}]}}),
    ],
)
def test_restricted_pods_are_accepted(change: dict[str, Any], spec: dict[str, Any]) -> None:
    assert places("pod-restricted", pod(change, **spec)) == []


@pytest.mark.parametrize(
    ("api", "kind", "wrap"),
    [
        ("apps/v1", "Deployment", lambda spec: {"template": {"spec": spec}}),
        ("apps/v1", "StatefulSet", lambda spec: {"template": {"spec": spec}}),
        ("batch/v1", "Job", lambda spec: {"template": {"spec": spec}}),
        ("batch/v1", "CronJob", lambda spec: {"jobTemplate": {"spec": {"template": {"spec": spec}}}}),
    ],
)
def test_pods_are_found_in_every_workload(api: str, kind: str, wrap: Any) -> None:
    spec = wrap({"containers": [{"name": "a", "image": "a:1"}]})
    given = cluster_object({"apiVersion": api, "kind": kind, "metadata": {"name": "w"}, "spec": spec})
    assert places("image-digest", given)
    assert places("pod-restricted", given)


@pytest.mark.parametrize(
    "type_",
    ["kubernetes:apps/v1:DeploymentPatch", "kubernetes:apps/v1:DeploymentList", "kubernetes:example.com/v1:Deployment"],
)
def test_what_is_no_workload_is_not_judged_as_one(type_: str) -> None:
    assert (
        places("image-digest", Given(type_, "x", {"spec": {"template": {"spec": {"containers": [{"image": "a"}]}}}}))
        == []
    )


@pytest.mark.parametrize(
    ("image", "allowed", "refused"),
    [
        ("registry.example/a@sha256:" + "0" * 64, [], False),
        ("registry.example/a:1@sha256:" + "0" * 64, [], False),
        ("auto", [], False),
        ("stage.local/a:1", [], True),
        ("stage.local/a:1", ["stage.local/"], False),
        ("a", ["stage.local/"], True),
    ],
)
def test_images_need_a_digest_unless_they_are_allowed(image: str, allowed: list[str], refused: bool) -> None:
    assert bool(places("image-digest", pod({"image": image}), allowedImages=allowed)) is refused


SECRETS: Final = {
    "key": "-----BEGIN RSA PRIVATE " + "KEY-----\nMIIE",
    "plain key": "-----BEGIN PRIVATE " + "KEY-----",
    "google": "AIza" + "B" * 35,
    "aws": "AKIA" + "ABCDEFGHIJKLMNOP",
    "github": "ghp_" + "a" * 36,
    "slack": "xoxb-" + "1" * 12,
    "jwt": "eyJ" + "a" * 20 + ".eyJ" + "b" * 20 + "." + "c" * 20,
    "address": "postgres://app:" + "s3cret" + "@db.example/app",
}


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_credentials_are_seen_by_their_form(name: str) -> None:
    text = f"a line\n{SECRETS[name]}\n"
    given = cluster_object({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"x": text}})
    assert places("secret-in-clear", given) == ["data.x"]
    report = InProcess(only="secret-in-clear").judge([given])
    assert SECRETS[name] not in report.said[0].message


@pytest.mark.parametrize(
    "text",
    ["-----BEGIN CERTIFICATE-----", "https://example.com:8000/a@b", "postgres://app:${PASSWORD}@db", "AIzaShort"],
)
def test_what_only_looks_like_a_credential_is_none(text: str) -> None:
    given = cluster_object({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"x": text}})
    assert places("secret-in-clear", given) == []


@pytest.mark.parametrize(
    ("name", "refused"),
    [("PASSWORD", True), ("api_key", True), ("GITHUB_TOKEN", True), ("TOKENS_PER_SECOND", False), ("KEYBOARD", False)],
)
def test_variables_are_seen_by_their_name(name: str, refused: bool) -> None:
    given = pod({"env": [{"name": name, "value": "x"}]})
    assert bool(places("secret-in-clear", given)) is refused
    assert places("secret-in-clear", pod({"env": [{"name": name, "valueFrom": {}}, {"name": name, "value": ""}]})) == []


def test_labels_of_the_house_are_asked_of_objects_and_clusters() -> None:
    bare = cluster_object({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "labels": {"team": "a"}}})
    cluster = Given(CLUSTER, "x", {"resourceLabels": {"team": "a"}})
    assert places("required-labels", bare, cluster, labels=["team"]) == []
    assert places("required-labels", bare, cluster, labels=["team", "cost"]) == ["metadata.labels", "resourceLabels"]
    assert places("required-labels", bare, cluster) == []
