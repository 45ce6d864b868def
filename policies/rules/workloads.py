"""Rules on pods: which images they run and how little they may do."""

from collections.abc import Iterator, Sequence
from typing import Final

from pulumi_traffic_mirror.model.rules import Node, Severity

from ..resources import Resource
from .registry import Fault, Judgement, OrganisationLimits, ResourceRule, fault, guarded, of_kind

WORKLOADS: Final = ("Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job")
STANDARDS: Final = "https://kubernetes.io/docs/concepts/security/pod-security-standards/"
SAFE_VOLUMES: Final = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
"""Volume types that the restricted standard allows. Source: Pod Security Standards."""

SAFE_SYSCTLS: Final = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_wmem",
    }
)
"""Settings that the standards allow. Source: Pod Security Standards."""

APP_ARMOR: Final = "container.apparmor.security.beta.kubernetes.io/"
"""Annotation with a container's AppArmor profile, before Kubernetes 1.30 had fields for it."""

SELINUX_TYPES: Final = frozenset({"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"})
"""Types that the standards allow. Source: Pod Security Standards."""

INJECTED_IMAGE: Final = "auto"
"""What Istio's injection replaces by the proxy's own image.
Source: https://istio.io/latest/docs/setup/additional-setup/gateway/."""

is_workload: Final = of_kind(*WORKLOADS, "CronJob", groups=("", "apps", "batch"))


def pod_spec(resource: Resource) -> Node:
    """Where a workload describes its pods."""
    return resource.props["spec"] if resource.kind == "Pod" else _template(resource)["spec"]


def _template(resource: Resource) -> Node:
    spec = resource.props["spec"]
    return (spec["jobTemplate"]["spec"] if resource.kind == "CronJob" else spec)["template"]


def containers(resource: Resource) -> list[Node]:
    """Every container of a workload's pods."""
    spec = pod_spec(resource)
    kinds = ("containers", "initContainers", "ephemeralContainers")
    return [container for kind in kinds for container in spec[kind].elements()]


def _digests(resource: Resource, limits: OrganisationLimits) -> Iterator[Judgement]:
    images = [container["image"] for container in containers(resource)]
    volumes = [volume["image"]["reference"] for volume in pod_spec(resource)["volumes"].elements()]
    for image in [*images, *(each for each in volumes if each.given)]:
        yield from guarded(resource, _digest(resource, image, limits.allowed_images))


def begins_with(name: str, beginning: str) -> bool:
    """Whether an image's name begins with whole parts: ``a.example/team`` begins no ``a.example/team-of-others/x``."""
    rest = name.removeprefix(beginning)
    return name.startswith(beginning) and (beginning.endswith(("/", ":")) or not rest or rest[0] in "/:")


def _digest(resource: Resource, image: Node, allowed: Sequence[str]) -> Iterator[Fault]:
    name = image.text()
    if "@sha256:" in name or name == INJECTED_IMAGE or any(begins_with(name, each) for each in allowed):
        return
    yield fault(resource, image, f"{name!r} is whatever its registry says at the moment")


def _restricted(resource: Resource, limits: OrganisationLimits) -> Iterator[Judgement]:
    spec = pod_spec(resource)
    if not spec.given:
        yield fault(resource, spec, "there is no pod to judge")
        return
    for check in (_host, _volumes, _sysctls, _profiles):
        yield from guarded(resource, check(resource, spec))
    for container in containers(resource):
        for check in _CONTAINER_CHECKS:
            yield from guarded(resource, check(resource, spec, container))


def _host(resource: Resource, spec: Node) -> Iterator[Fault]:
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec[key].known is True:
            yield fault(resource, spec[key], "the pod shares a namespace with its node")


def _volumes(resource: Resource, spec: Node) -> Iterator[Fault]:
    for volume in spec["volumes"].elements():
        for kind, _ in volume.entries():
            if kind != "name" and kind not in SAFE_VOLUMES:
                yield fault(resource, volume[kind], f"volumes of the type {kind} are not restricted")


def _sysctls(resource: Resource, spec: Node) -> Iterator[Fault]:
    for setting in spec["securityContext"]["sysctls"].elements():
        name = setting["name"]
        if name.text() not in SAFE_SYSCTLS:
            yield fault(resource, name, f"the kernel setting {name.text()!r} reaches beyond the pod")


def _profiles(resource: Resource, spec: Node) -> Iterator[Fault]:
    """What pod and containers say of AppArmor, SELinux and Windows' host processes."""
    for owner in [spec, *containers(resource)]:
        yield from _profile(resource, owner["securityContext"])
    pod = resource.props if resource.kind == "Pod" else _template(resource)
    for key, value in pod["metadata"]["annotations"].entries():
        if key.startswith(APP_ARMOR) and not (
            value.text() == "runtime/default" or value.text().startswith("localhost/")
        ):
            yield fault(resource, value, "AppArmor does not bound the container")


def _profile(resource: Resource, security: Node) -> Iterator[Fault]:
    armour = security["appArmorProfile"]["type"]
    if armour.text("RuntimeDefault") not in ("RuntimeDefault", "Localhost"):
        yield fault(resource, armour, "AppArmor does not bound the container")
    options = security["seLinuxOptions"]
    if options["type"].text() not in SELINUX_TYPES:
        yield fault(resource, options["type"], f"the SELinux type {options['type'].text()} is not a container's")
    for key in ("user", "role"):
        if options[key].text():
            yield fault(resource, options[key], f"a SELinux {key} of its own reaches beyond a container's")
    windows = security["windowsOptions"]["hostProcess"]
    if windows.known is True:
        yield fault(resource, windows, "the container is a process of its Windows node")


def _effective(spec: Node, container: Node, key: str) -> Node:
    """A setting of the container, or else of its pod."""
    own = container["securityContext"][key]
    return own if own.given else spec["securityContext"][key]


def _privilege(resource: Resource, spec: Node, container: Node) -> Iterator[Fault]:
    privileged = container["securityContext"]["privileged"]
    if privileged.known is True:
        yield fault(resource, privileged, "the container has every right on its node")


def _escalation(resource: Resource, spec: Node, container: Node) -> Iterator[Fault]:
    escalation = container["securityContext"]["allowPrivilegeEscalation"]
    if escalation.known is not False:
        yield fault(resource, escalation, "processes may gain rights that the container was not given")


def _capabilities(resource: Resource, spec: Node, container: Node) -> Iterator[Fault]:
    capabilities = container["securityContext"]["capabilities"]
    if "ALL" not in capabilities["drop"].texts():
        yield fault(resource, capabilities["drop"], "capabilities are kept")
    for name in capabilities["add"].texts():
        if name != "NET_BIND_SERVICE":
            yield fault(resource, capabilities["add"], f"the capability {name} is added")


def _user(resource: Resource, spec: Node, container: Node) -> Iterator[Fault]:
    non_root = _effective(spec, container, "runAsNonRoot")
    if non_root.known is not True:
        yield fault(resource, non_root, "the container may run as root")
    user = _effective(spec, container, "runAsUser")
    if user.number() == 0:
        yield fault(resource, user, "the container runs as root")


def _seccomp(resource: Resource, spec: Node, container: Node) -> Iterator[Fault]:
    profile = _effective(spec, container, "seccompProfile")["type"]
    if profile.text() not in ("RuntimeDefault", "Localhost"):
        yield fault(resource, profile, "every system call is allowed")


def _proc(resource: Resource, spec: Node, container: Node) -> Iterator[Fault]:
    mount = container["securityContext"]["procMount"]
    if mount.text("Default") != "Default":
        yield fault(resource, mount, "the kernel's files are not masked")


def _host_ports(resource: Resource, spec: Node, container: Node) -> Iterator[Fault]:
    for port in container["ports"].elements():
        if port["hostPort"].number():
            yield fault(resource, port["hostPort"], "the container listens on its node's address")


def _asked_hosts(resource: Resource, spec: Node, container: Node) -> Iterator[Fault]:
    """Hosts of probes and hooks: the node's kubelet asks there, with its own reach."""
    probes = [container[name] for name in ("livenessProbe", "readinessProbe", "startupProbe")]
    hooks = [container["lifecycle"][name] for name in ("postStart", "preStop")]
    for action in [*probes, *hooks]:
        for kind in ("httpGet", "tcpSocket"):
            if action[kind]["host"].text():
                yield fault(resource, action[kind]["host"], "the node asks another host than the pod")


_CONTAINER_CHECKS: Final = (_privilege, _escalation, _capabilities, _user, _seccomp, _proc, _host_ports, _asked_hosts)

RULES: Final = (
    ResourceRule(
        id="image-digest",
        settings=("allowed_images",),
        title="Images are named by their digest",
        severity=Severity.ERROR,
        why="A tag can be moved: what was tested is not what runs, and two pods of one version differ.",
        source="https://kubernetes.io/docs/concepts/containers/images/#image-names",
        remedy="Name the image as <name>@sha256:<digest>, or its beginning in allowedImages",
        applies=is_workload,
        check=_digests,
    ),
    ResourceRule(
        id="pod-restricted",
        title="Pods meet the restricted standard",
        severity=Severity.ERROR,
        why="A service that gets real requests is attacked with real requests, and so is its copy.",
        source=STANDARDS,
        remedy="Set runAsNonRoot, seccompProfile RuntimeDefault, allowPrivilegeEscalation false and drop ALL",
        applies=is_workload,
        check=_restricted,
    ),
)
