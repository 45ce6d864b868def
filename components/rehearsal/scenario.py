"""What a rehearsal deploys and where its evidence lies: the program's configuration on one side, a trial on the other.

Pure: everything that differs between an embedded stage and clusters that exist comes in as a :class:`Site`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ..model import JsonObject, JsonValue, MirrorContract, Percent, ValidationError
from ..operations.calls import MAX_CALLS, SAY_HELLO, CallJob
from ..operations.kube import ClusterAccess, PodSelection
from ..operations.mirror_plan import MirrorPlan
from ..operations.trial import TrialJob
from ..operations.witness import MirrorPlace, WitnessJob

STAGING: Final = "staging"
TESTING: Final = "testing"
IN_CLUSTER: Final = "in-cluster"
CROSS_CLUSTER: Final = "cross-cluster"

HOST: Final = "grpc-hello.staging.example"
MIRROR_HOST: Final = "grpc-hello-mirror.testing.example"
PORT: Final = 8000
NAMESPACE: Final = "hello"
ISTIO_NAMESPACE: Final = "istio-system"
GREETER_CONTAINER: Final = "greeter"
PROXY_CONTAINER: Final = "istio-proxy"
GATEWAY_SELECTOR: Final = "istio=internal-gateway"

CONTRACT: Final = MirrorContract(hosts=(HOST,), port=PORT, mirror_host=MIRROR_HOST)


@dataclass(frozen=True, kw_only=True)
class RehearsalOptions:
    """What to rehearse.

    Raises:
        ValidationError: A value is out of its range.
    """

    calls: int = 500
    """Calls that count, 1 to 1,000,000."""

    in_cluster_percent: float = 50.0
    """Share that the mirror in staging gets, 0 to 100."""

    cross_cluster_percent: float = 100.0
    """Share that testing gets, 0 to 100."""

    keep: bool = False
    """Whether everything stays as it is at the end."""

    timeout_seconds: float = 600.0
    """Bound on the whole, > 0; building what is missing beforehand does not count."""

    def __post_init__(self) -> None:
        if not 1 <= self.calls <= MAX_CALLS:
            raise ValidationError(
                field="calls",
                value=self.calls,
                rule=f"must be between 1 and {MAX_CALLS}, because nothing can be told from no call",
                remedy="Use for example 500",
            )
        Percent(self.in_cluster_percent, field="in_cluster_percent")
        Percent(self.cross_cluster_percent, field="cross_cluster_percent")
        if not self.timeout_seconds > 0:
            raise ValidationError(
                field="timeout_seconds",
                value=self.timeout_seconds,
                rule="must be greater than 0",
                remedy="Use for example 600",
            )


@dataclass(frozen=True, kw_only=True)
class Site:
    """One cluster, and the software that is put on it."""

    role: str
    """``staging`` or ``testing``."""

    kubeconfig: str
    """Path of a kubeconfig file."""

    context: str = ""
    """Context in it; empty means its current one."""

    greeter_image: str
    """Image of the sample service."""

    istio: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    """The program's section ``istio``; empty for its defaults, which download Istio's charts and images."""

    gateway: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    """The program's section ``gateway``."""

    replicas: int = 1
    """Pods of each version of the sample service."""

    @property
    def access(self) -> ClusterAccess:
        """How to reach the cluster."""
        return ClusterAccess(name=self.role, kubeconfig=self.kubeconfig, context=self.context)


def stack_config(options: RehearsalOptions, site: Site, *, mirror_to_testing: bool = True) -> JsonObject:
    """Return a stack's configuration by key, without namespace and without its secrets.

    Args:
        options: What to rehearse.
        site: The stack's cluster.
        mirror_to_testing: Whether staging mirrors to testing; False while testing is not there yet.
    """
    cluster: JsonObject = {"kubeconfigPath": site.kubeconfig}
    if site.context:
        cluster["context"] = site.context
    config: JsonObject = {
        "role": site.role,
        "clusterKind": "existing",
        "cluster": cluster,
        "contract": {
            "hosts": [str(host) for host in CONTRACT.hosts],
            "port": PORT,
            "protocol": CONTRACT.protocol.value,
            "mirrorHost": MIRROR_HOST,
            "transport": "MUTUAL",
        },
        "istio": dict(site.istio),
        "gateway": dict(site.gateway),
        "greeter": {
            "image": site.greeter_image,
            "allowTag": "@sha256:" not in site.greeter_image,
            "replicas": site.replicas,
            "namespace": NAMESPACE,
        },
    }
    if site.role == STAGING:
        across: JsonObject = (
            {"percent": float(options.cross_cluster_percent)} if mirror_to_testing else {"absent": True}
        )
        config["mirrors"] = {
            "rpcMethods": [SAY_HELLO],
            "inCluster": {"percent": float(options.in_cluster_percent)},
            "crossCluster": across,
        }
    return config


def mirror_plans(options: RehearsalOptions) -> tuple[MirrorPlan, ...]:
    """Return what each mirror should get."""
    # A control plane that appends the suffix does so inside the cluster too.
    accepted = tuple(f"{host}:{PORT}" for host in CONTRACT.accepted_hosts)
    mark = str(CONTRACT.terms["markValue"])
    return (
        MirrorPlan(
            name=IN_CLUSTER,
            label="greeter v2",
            percent=options.in_cluster_percent,
            authorities=accepted,
            sender_cluster=STAGING,
            receiver_cluster=STAGING,
            mark=mark,
        ),
        MirrorPlan(
            name=CROSS_CLUSTER,
            label="greeter",
            percent=options.cross_cluster_percent,
            authorities=accepted,
            sender_cluster=STAGING,
            receiver_cluster=TESTING,
            mark=mark,
        ),
    )


def trial_job(
    options: RehearsalOptions,
    staging: Site,
    testing: Site,
    *,
    gateway_address: str,
    run_id: str,
    timeout_seconds: float,
) -> TrialJob:
    """Return the trial of the deployed stacks.

    Args:
        options: What to rehearse.
        staging: The cluster that owns the traffic.
        testing: The cluster that gets copies.
        gateway_address: Address of staging's gateway, without port.
        run_id: Tag of the calls, new for each run.
        timeout_seconds: Bound on waiting until the mirrors work, > 0.
    """
    address = f"[{gateway_address}]" if ":" in gateway_address else gateway_address
    gateway = _gateway(STAGING)
    return TrialJob(
        calls=CallJob(address=f"{address}:{PORT}", authority=f"{HOST}:{PORT}", run_id=run_id, count=options.calls),
        witness=WitnessJob(
            clusters=(staging.access, testing.access),
            primary=_greeter(STAGING, "v1"),
            mirrors={
                IN_CLUSTER: MirrorPlace(
                    workload=_greeter(STAGING, "v2"),
                    sender=gateway,
                    proxy_cluster=f"outbound|{PORT}||greeter-v2.{NAMESPACE}.svc.cluster.local",
                ),
                CROSS_CLUSTER: MirrorPlace(
                    workload=_greeter(TESTING, "v1"),
                    sender=gateway,
                    proxy_cluster=f"outbound|{PORT}||{MIRROR_HOST}",
                    receiving_gateway=_gateway(TESTING),
                ),
            },
            control_planes=tuple(
                PodSelection(cluster=role, namespace=ISTIO_NAMESPACE, selector="app=istiod", container="discovery")
                for role in (STAGING, TESTING)
            ),
        ),
        version="v1",
        mirrors=mirror_plans(options),
        warm_up_seconds=timeout_seconds,
    )


def _greeter(role: str, version: str) -> PodSelection:
    return PodSelection(
        cluster=role,
        namespace=NAMESPACE,
        selector=f"app=greeter,version={version}",
        container=GREETER_CONTAINER,
    )


def _gateway(role: str) -> PodSelection:
    return PodSelection(cluster=role, namespace=ISTIO_NAMESPACE, selector=GATEWAY_SELECTOR, container=PROXY_CONTAINER)
