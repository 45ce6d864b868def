"""BranchService: what it runs, for whom, until when; and ExpiryGuard: what it may do."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pulumi_traffic_mirror.mesh import MeshHandle
from pulumi_traffic_mirror.mirroring import (
    BranchService,
    BranchServiceArgs,
    ExpiryGuard,
    ExpiryGuardArgs,
    MirroredService,
    MirroredServiceArgs,
    MirrorOverlay,
    MirrorOverlayArgs,
)
from pulumi_traffic_mirror.model import (
    Destination,
    GatewayHosts,
    GatewayRef,
    HeaderMatch,
    InClusterMirror,
    Match,
    ValidationError,
    Waiver,
    WaypointService,
)
from tests.support.handles import mesh, no_mesh
from tests.support.recording import Recording, refused, run_program

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
STARTED = "2026-11-23T10:00Z"
IMAGE = f"registry.example/greeter@sha256:{'0' * 64}"
ALICE = Match(rpc_methods=["helloworld.Greeter/SayHello"], headers=[HeaderMatch(name="x-user", value="alice")])
EVERYBODY = Match(rpc_methods=["helloworld.Greeter/SayHello"])
VIRTUAL_SERVICE = "kubernetes:networking.istio.io/v1:VirtualService"
ENVOY_FILTER = "kubernetes:networking.istio.io/v1alpha3:EnvoyFilter"
BRANCH = "trafficmirror:index:BranchService"
GUARD = "trafficmirror:index:ExpiryGuard"


def branch_args(handle: MeshHandle, **changes: Any) -> BranchServiceArgs:
    values: dict[str, Any] = {"image": IMAGE, "started": STARTED, "match": ALICE, "now": NOW, **changes}
    return BranchServiceArgs(mesh=handle, **values)


def service(handle: MeshHandle, *mirrors: InClusterMirror, now: datetime = NOW) -> MirroredService:
    v2 = InClusterMirror(
        name="v2", service=Destination("greeter-v2.hello.svc.cluster.local", 8000), percent=50, match=EVERYBODY
    )
    return MirroredService(
        "greeter",
        MirroredServiceArgs(
            mesh=handle,
            gateway=GatewayRef(name="internal-gateway", namespace="istio-system"),
            namespace="hello",
            hosts=["grpc-hello.staging.example"],
            primary=Destination("greeter.hello.svc.cluster.local", 8000),
            mirrors=[v2, *mirrors],
            now=now,
        ),
    )


def record(now: datetime = NOW, *, preview: bool = False, guard: bool = False, **changes: Any) -> Recording:
    def program() -> None:
        handle = mesh()
        branch = BranchService("alices-bug", branch_args(handle, now=now, **changes))
        mirrored = service(handle, *branch.mirrors, now=now)
        if guard:
            ExpiryGuard("expiry", ExpiryGuardArgs(mesh=handle, service=mirrored, image=IMAGE))

    return run_program(program, preview=preview)


def test_a_branch_runs_beside_the_versions_under_a_label_and_service_of_its_own() -> None:
    recording = record(command=["python3", "-m", "debugger"], env={"VERSION": "branch"})
    component = recording.one(BRANCH)
    assert {child.name for child in recording.children_of(component)} == {
        "alices-bug-service-account",
        "alices-bug-service",
        "alices-bug-deployment",
        "alices-bug-network-policy",
    }
    deployment = recording.one("kubernetes:apps/v1:Deployment")
    labels = deployment.input("spec.template.metadata.labels")
    assert labels == {"app": "alices-bug", "traffic-mirror-branch": "alices-bug"}
    assert recording.one("kubernetes:core/v1:Service").input("spec.selector") == labels
    container = deployment.input("spec.template.spec.containers.0")
    assert container["command"] == ["python3", "-m", "debugger"]
    assert {"name": "VERSION", "value": "branch"} in container["env"]
    assert deployment.input("metadata.annotations")["pulumi-traffic-mirror/expires"] == "2026-11-24T10:00:00Z"


def test_a_branch_is_as_hardened_as_the_rest_unless_it_says_otherwise() -> None:
    recording = record(gateway_namespaces=["edge"])
    pod = recording.one("kubernetes:apps/v1:Deployment").input("spec.template.spec")
    assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsNonRoot"]) == (65532, True)
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 -- in the container
    policy = recording.one("kubernetes:networking.k8s.io/v1:NetworkPolicy")
    assert "edge" in str(policy.input("spec.ingress.0.from"))
    assert policy.input("spec.ingress.0.ports") == [{"port": 8000, "protocol": "TCP"}]
    loose = record(user=None, read_only_root=False).one("kubernetes:apps/v1:Deployment").input("spec.template.spec")
    assert "runAsUser" not in loose["securityContext"]
    assert loose["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is False


def test_only_matching_requests_go_to_the_branch_beside_the_other_mirrors() -> None:
    entries = record().one(VIRTUAL_SERVICE).input("spec.http")
    hosts: dict[str, set[str]] = {}
    for entry in entries:
        if entry.get("mirrors") and "istio-system" in str(entry["match"]):
            who = "alice" if "alice" in str(entry["match"]) else "others"
            # Proxies take the first entry that fits.
            hosts.setdefault(who, {mirror["destination"]["host"] for mirror in entry["mirrors"]})
    v2, branch = "greeter-v2.hello.svc.cluster.local", "alices-bug.hello.svc.cluster.local"
    assert hosts == {"alice": {v2, branch}, "others": {v2}}


def test_the_end_is_a_day_after_the_start_and_written_on_the_routes() -> None:
    notes = record().one(VIRTUAL_SERVICE).input("metadata.annotations")
    assert notes["pulumi-traffic-mirror/expires.alices-bug"] == "2026-11-24T10:00:00Z"
    later = record(hours=336).one(VIRTUAL_SERVICE).input("metadata.annotations")
    assert later["pulumi-traffic-mirror/expires.alices-bug"] == "2026-12-07T10:00:00Z"


@pytest.mark.parametrize("preview", [False, True])
def test_after_the_end_nothing_remains_and_a_warning_says_so(preview: bool) -> None:
    recording = record(now=NOW + timedelta(days=1), preview=preview)
    assert recording.children_of(recording.one(BRANCH)) == ()
    assert "alices-bug" not in str(recording.one(VIRTUAL_SERVICE).input("spec"))
    warnings = [line.message for line in recording.logs if line.severity == "WARNING"]
    assert warnings == [
        "The branch alices-bug ended at 2026-11-24T10:00:00Z: this deployment removes it. Drop it from the program"
    ]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"hours": 337}, "hours"),
        ({"hours": 0}, "hours"),
        ({"hours": True}, "hours"),
        ({"started": "2026-11-23"}, "started"),
        ({"started": "yesterday"}, "started"),
        ({"started": "0001-01-01T00:00+05:00"}, "started"),
        ({"started": "2027-11-23T10:00Z"}, "started"),
        ({"match": EVERYBODY}, "match"),
        ({"percent": 101}, "percent"),
        ({"port": 0}, "port"),
        ({"user": 0}, "user"),
        ({"gateway_namespaces": ["edge", "*"]}, "gateway_namespaces[1]"),
        ({"namespace": "Hello"}, "namespace"),
        ({"image": "registry.example/greeter:latest"}, "image"),
    ],
)
def test_bad_values_are_refused(changes: dict[str, Any], field: str) -> None:
    error = refused(lambda: branch_args(mesh(), **changes), ValidationError).error
    assert isinstance(error, ValidationError)
    assert error.field == field


def test_the_guard_may_get_and_patch_two_objects_by_name_and_nothing_else() -> None:
    recording = record(guard=True)
    roles = recording.of_type("kubernetes:rbac.authorization.k8s.io/v1:Role")
    granted = {
        role.input("metadata.namespace"): (rule["resources"], rule["resourceNames"], rule["verbs"])
        for role in roles
        for rule in role.input("rules")
    }
    routes, filters = recording.one(VIRTUAL_SERVICE), recording.one(ENVOY_FILTER)
    verbs = ["get", "patch"]
    assert granted == {
        "hello": (["virtualservices"], [routes.input("metadata.name")], verbs),
        "istio-system": (["envoyfilters"], [filters.input("metadata.name")], verbs),
    }
    bindings = recording.of_type("kubernetes:rbac.authorization.k8s.io/v1:RoleBinding")
    assert {(b.input("subjects.0.name"), b.input("subjects.0.namespace")) for b in bindings} == {("expiry", "expiry")}
    assert not recording.of_type("kubernetes:rbac.authorization.k8s.io/v1:ClusterRole")


def test_the_guard_s_account_is_where_nobody_else_runs_pods() -> None:
    """Its rights by name do not bound what it writes into a filter of every proxy."""
    recording = record(guard=True)
    namespace = recording.one("kubernetes:core/v1:Namespace")
    assert namespace.input("metadata.name") == "expiry"
    for token in ("kubernetes:core/v1:ServiceAccount", "kubernetes:batch/v1:CronJob"):
        (found,) = [each for each in recording.of_type(token) if each.name.startswith("expiry-")]
        assert found.input("metadata.namespace") == "expiry"
    account = recording.one("kubernetes:core/v1:ServiceAccount", "expiry-service-account")
    assert namespace.name in recording.names(account.depends_on)


def test_the_guard_looks_every_five_minutes_at_the_routes_that_are_there() -> None:
    recording = record(guard=True)
    job = recording.one("kubernetes:batch/v1:CronJob")
    assert job.input("spec.schedule") == "*/5 * * * *"
    pod = job.input("spec.jobTemplate.spec.template")
    environment = {each["name"]: each["value"] for each in pod["spec"]["containers"][0]["env"]}
    assert environment == {
        "VIRTUAL_SERVICE": "hello/greeter",
        "ENVOY_FILTER": "istio-system/hello-greeter-mirrors",
    }
    assert pod["metadata"]["labels"]["sidecar.istio.io/inject"] == "false"
    assert recording.one(VIRTUAL_SERVICE).name in recording.names(
        recording.one("kubernetes:core/v1:ServiceAccount", "expiry-service-account").depends_on
    )


def test_a_guard_without_a_filter_has_one_role() -> None:
    waiver = Waiver(reason="v2 is bounded by its own limits")

    def program() -> None:
        handle = mesh()
        mirror = InClusterMirror(
            percent=100,
            name="v2",
            service=Destination("greeter-v2.hello.svc.cluster.local", 8000),
            match=EVERYBODY,
            brakes=waiver,
            scrub=waiver,
        )
        args = MirroredServiceArgs(
            mesh=handle,
            namespace="hello",
            primary=Destination("greeter.hello.svc.cluster.local", 8000),
            mirrors=[mirror],
            now=NOW,
        )
        ExpiryGuard("expiry", ExpiryGuardArgs(mesh=handle, service=MirroredService("greeter", args), image=IMAGE))

    recording = run_program(program)
    assert len(recording.of_type("kubernetes:rbac.authorization.k8s.io/v1:Role")) == 1


def test_the_guard_of_an_overlay_may_change_its_filters_only() -> None:
    def program() -> None:
        handle = mesh()
        mirror = InClusterMirror(percent=100, name="next", service=Destination("next.labs.svc.cluster.local", 80))
        on = [GatewayHosts(hosts=["shop.example"]), WaypointService("orders.shop.svc.cluster.local", 80)]
        args = MirrorOverlayArgs(mesh=handle, on=on, mirrors=[mirror], namespace="web", now=NOW)
        ExpiryGuard("expiry", ExpiryGuardArgs(mesh=handle, service=MirrorOverlay("shop", args), image=IMAGE))

    recording = run_program(program)
    roles = recording.of_type("kubernetes:rbac.authorization.k8s.io/v1:Role")
    rights = {
        (role.inputs["metadata"]["namespace"], rule["resources"][0], *rule["resourceNames"])
        for role in roles
        for rule in role.inputs["rules"]
    }
    filters = {("istio-system", "web-shop-overlay"), ("shop", "web-shop-waypoint-overlay")}
    assert rights == {(namespace, "envoyfilters", name) for namespace, name in filters}
    job = recording.one("kubernetes:batch/v1:CronJob").inputs["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    environment = {each["name"]: each["value"] for each in job["containers"][0]["env"]}
    assert environment["VIRTUAL_SERVICE"] == ""
    assert set(environment["ENVOY_FILTER"].split(",")) == {"/".join(each) for each in filters}


@pytest.mark.parametrize(
    ("changes", "name", "field"),
    [
        ({"every_minutes": 0}, "expiry", "every_minutes"),
        ({"every_minutes": 60}, "expiry", "every_minutes"),
        ({"image": "registry.example/guard:1"}, "expiry", "image"),
        ({"namespace": "hello"}, "expiry", "namespace"),
        ({}, "hello", "namespace"),
        ({}, "x" * 53, "name"),
        ({}, "Expiry", "name"),
    ],
)
def test_bad_values_of_the_guard_are_refused(changes: dict[str, Any], name: str, field: str) -> None:
    def program() -> None:
        handle = mesh()
        values: dict[str, Any] = {"image": IMAGE, **changes}
        ExpiryGuard(name, ExpiryGuardArgs(mesh=handle, service=service(handle), **values))

    error = refused(program, ValidationError).error
    assert isinstance(error, ValidationError)
    assert error.field == field


def test_a_guard_in_another_cluster_than_its_service_is_refused() -> None:
    """It would look at routes that are not there, and end nothing."""

    def program() -> None:
        ExpiryGuard("expiry", ExpiryGuardArgs(mesh=no_mesh("testing"), service=service(mesh()), image=IMAGE))

    error = refused(program, ValidationError).error
    assert "mesh = 'testing': must be the mesh of the service's cluster" in str(error)


@pytest.mark.parametrize("name", ["Branch", "b" * 41])
def test_a_name_that_does_not_fit_is_refused_before_anything_is_registered(name: str) -> None:
    refusal = refused(lambda: BranchService(name, branch_args(mesh())), ValidationError)
    assert not refusal.recording.of_type(BRANCH)


def test_tokens_never_change() -> None:
    assert (BranchService.TYPE, ExpiryGuard.TYPE) == (BRANCH, GUARD)
