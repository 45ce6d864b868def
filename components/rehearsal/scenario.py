"""What a rehearsal deploys and what it has verified: the program's configuration on one side, a job on the other.

Pure: everything that differs between an embedded stage and clusters that exist comes in as a :class:`RehearsalCluster`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ..model import JsonObject, JsonValue, MirrorContract, Percent, ValidationError
from ..model.checks import bounded
from ..operations.calls import MAX_CALLS, SAY_HELLO
from ..operations.kube import ClusterAccess
from ..operations.verify.job import VerifyJob
from .mirror_tls import CLIENT_NAME

STAGING: Final = "staging"
TESTING: Final = "testing"
IN_CLUSTER: Final = "v2"
"""Name that the program gives the mirror inside staging."""

CROSS_CLUSTER: Final = "testing"
"""Name that it gives the mirror to testing."""

HOST: Final = "grpc-hello.staging.example"
MIRROR_HOST: Final = "grpc-hello-mirror.testing.example"
PORT: Final = 8000
NAMESPACE: Final = "hello"
ISTIO_NAMESPACE: Final = "istio-system"
CONCURRENCY: Final = 16
"""Calls in flight at most."""

CALLS_PER_SECOND: Final = 250.0
"""Half of what the sample service answers on two processors. At full speed on a busy machine testing falls behind by so
many copies that the mirror's brakes rightly drop some, and the rehearsal fails (seen at a load of 8)."""

LONGEST_SECONDS: Final = 86_400.0
"""A day: no rehearsal takes longer, and the system's own waits take no such time as ``inf``."""

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
    """Bound on deploying, calling and gathering evidence, 0.1 to 86,400; what is built or started beforehand does not
    count."""

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
        bounded(self.timeout_seconds, "timeout_seconds", 0.1, LONGEST_SECONDS, "seconds")


@dataclass(frozen=True, kw_only=True)
class RehearsalCluster:
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


def stack_config(options: RehearsalOptions, cluster: RehearsalCluster, *, mirror_to_testing: bool = True) -> JsonObject:
    """Return a stack's configuration by key, without namespace and without its secrets.

    Args:
        options: What to rehearse.
        cluster: The stack's cluster.
        mirror_to_testing: Whether staging mirrors to testing; False while testing is not there yet.
    """
    access: JsonObject = {"kubeconfigPath": cluster.kubeconfig}
    if cluster.context:
        access["context"] = cluster.context
    config: JsonObject = {
        "role": cluster.role,
        "clusterKind": "existing",
        "cluster": access,
        "contract": {
            "hosts": [str(host) for host in CONTRACT.hosts],
            "port": PORT,
            "protocol": CONTRACT.protocol.value,
            "mirrorHost": MIRROR_HOST,
            "transport": "MUTUAL",
            "clientNames": [CLIENT_NAME],
        },
        "istio": dict(cluster.istio),
        "gateway": dict(cluster.gateway),
        "greeter": {
            "image": cluster.greeter_image,
            "allowTag": "@sha256:" not in cluster.greeter_image,
            "replicas": cluster.replicas,
            "namespace": NAMESPACE,
        },
    }
    if cluster.role == STAGING:
        across: JsonObject = (
            {"percent": float(options.cross_cluster_percent)} if mirror_to_testing else {"absent": True}
        )
        config["mirrors"] = {
            "rpcMethods": [SAY_HELLO],
            "inCluster": {"percent": float(options.in_cluster_percent)},
            "crossCluster": across,
        }
    return config


def verify_job(
    options: RehearsalOptions,
    staging: RehearsalCluster,
    testing: RehearsalCluster,
    *,
    gateway_address: str,
    warm_up_seconds: float,
) -> VerifyJob:
    """Return what is to be verified of the deployed stacks.

    Args:
        options: What to rehearse.
        staging: The cluster that owns the traffic.
        testing: The cluster that gets copies.
        gateway_address: Address of staging's gateway, without port.
        warm_up_seconds: Bound on waiting until the mirrors work, > 0.
    """
    address = f"[{gateway_address}]" if ":" in gateway_address else gateway_address
    return VerifyJob(
        staging=staging.access,
        receiving=(testing.access,),
        host=HOST,
        address=f"{address}:{PORT}",
        calls=options.calls,
        rpc=SAY_HELLO,
        concurrency=CONCURRENCY,
        calls_per_second=CALLS_PER_SECOND,
        version="v1",
        warm_up_seconds=warm_up_seconds,
        expected={
            IN_CLUSTER: float(options.in_cluster_percent),
            CROSS_CLUSTER: float(options.cross_cluster_percent),
        },
    )
