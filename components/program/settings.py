"""A stack's configuration, read once and typed: everything that ``__main__.py`` needs to know."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum, unique
from typing import Any, Final, cast

import pulumi
from pulumi.runtime import config as runtime_config

from ..mesh import TlsCredential
from ..model import (
    DnsLabel,
    Expiry,
    Match,
    MirrorContract,
    MirrorTls,
    Percent,
    Protocol,
    Scrub,
    TlsMode,
    ValidationError,
    Waiver,
)
from .credentials import tls_credential
from .sections import Section

NAMESPACE = "traffic-mirror"
"""Configuration namespace: the project's name."""


@unique
class Role(StrEnum):
    """What the stack's cluster is for."""

    STAGING = "staging"
    """Owns the traffic."""
    TESTING = "testing"
    """Receives mirrors."""


@unique
class ClusterChoice(StrEnum):
    """Where the cluster comes from."""

    GKE = "gke"
    EXISTING = "existing"


@unique
class ClusterMode(StrEnum):
    """Who runs the nodes of a GKE cluster."""

    STANDARD = "standard"
    AUTOPILOT = "autopilot"


@unique
class Transport(StrEnum):
    """How mirrors travel between the gateways."""

    MUTUAL = "MUTUAL"
    SIMPLE = "SIMPLE"
    PLAIN_TEXT = "plain-text"


@dataclass(frozen=True, kw_only=True)
class InClusterSettings:
    """The mirror inside staging: share of requests and end."""

    percent: float
    expires: Expiry | None


@dataclass(frozen=True, kw_only=True)
class CrossClusterSettings:
    """The mirror to testing: share of requests, end, and the stack that exports the offer."""

    percent: float
    expires: Expiry | None
    testing_stack: str


@dataclass(frozen=True, kw_only=True)
class StackSettings:
    """Configuration of one stack.

    Attributes:
        role: What the cluster is for.
        cluster_kind: Where the cluster comes from.
        cluster: Details of the cluster.
        kubeconfig: Content of a kubeconfig as a secret; None to find the cluster by path or context.
        contract: What both stacks agree on.
        credential_name: Secret with this side's certificates in the gateway's namespace.
        credential: Those certificates; None when the Secret exists.
        istio: Control plane.
        gateway: Gateway.
        greeter: The sample service.
        match: What may be mirrored.
        in_cluster: Mirror inside staging; None for none.
        cross_cluster: Mirror to testing; None for none.
        branches: Branches for debugging, by name; staging only.
        branch_names: Their names.
        secret_branches: Whether there is a secret among them; then their environment is one.
        expiry_guard: Who ends mirrors on time; empty for nobody.
        recorder: What records at the gateway; empty for nothing.
    """

    role: Role
    cluster_kind: ClusterChoice
    cluster: Section
    kubeconfig: pulumi.Output[str] | None
    contract: MirrorContract
    credential_name: str
    credential: TlsCredential | None
    istio: Section
    gateway: Section
    greeter: Section
    match: Match
    in_cluster: InClusterSettings | None
    cross_cluster: CrossClusterSettings | None
    branches: Section
    branch_names: tuple[str, ...]
    secret_branches: bool
    expiry_guard: Section
    recorder: Section

    @property
    def namespace(self) -> str:
        """Namespace of the sample service."""
        with self.greeter.locating():
            return DnsLabel(self.greeter.text("namespace", "hello"), field="namespace")


CLUSTER_KEYS: Final = {
    ClusterChoice.GKE: (
        *("project", "location", "mode", "nodes", "network", "existingNetwork", "authorizedNetworks"),
        *("controlPlaneCidr", "releaseChannel", "maintenance", "secretsKey", "binaryAuthorization", "imageProjects"),
        *("credentials", "deletionProtection", "labels", "peerWithTesting"),
    ),
    ClusterChoice.EXISTING: ("kubeconfigPath", "context", "location", "identity"),
}
TOP_KEYS: Final = (
    *("role", "clusterKind", "cluster", "kubeconfig", "contract", "mirrorTls", "mirrorTlsSecretName"),
    *("istio", "gateway", "greeter", "mirrors", "branches", "expiryGuard", "recorder"),
)
STAGING_KEYS: Final = ("mirrors", "branches", "expiryGuard")
"""What only the stack that owns the traffic can have."""

_SECRET_NAMES: Final = {Role.STAGING: "mirror-client", Role.TESTING: "mirror-server"}
_SHOWN_KEYS: Final = ("role", "clusterKind", *STAGING_KEYS)

ISTIO_KEYS = (
    *("version", "charts", "hub", "tag", "imagePullPolicy", "size", "cni", "kubernetesVersion", "compatibilityVersion"),
    *("revision", "revisionTags", "canary", "canaryServes", "env", "meshConfig", "values"),
)
GATEWAY_KEYS = ("exposure", "size", "sourceRanges", "globalAccess", "serviceAnnotations", "values")
GREETER_KEYS = ("image", "allowTag", "replicas", "namespace")
CONTRACT_KEYS = (
    *("hosts", "port", "protocol", "mirrorHost", "receiver", "transport", "plainTextReason"),
    *("extraHeaders", "markHeader", "markValue"),
)
GUARD_KEYS = ("image", "allowTag", "everyMinutes")
RECORDER_KEYS = ("image", "allowTag", "samplePercent", "fileSeconds", "jsonPaths", "storage")
MIRROR_KEYS = ("rpcMethods", "inCluster", "crossCluster")


def load(stack: str | None = None) -> StackSettings:
    """Read the stack's configuration.

    Args:
        stack: Name of the stack; names the file in errors. Default the running stack's.

    Raises:
        ValidationError: A key is missing, unknown or wrong; names the key, the file and what is allowed.
    """
    file = f"Pulumi.{stack or pulumi.get_stack()}.yaml"
    config = pulumi.Config(NAMESPACE)

    def section(key: str, allowed: tuple[str, ...]) -> Section:
        return Section(_object(config, key, file), path=f"{NAMESPACE}:{key}", file=file, allowed=allowed)

    top = Section(_given(), path=f"{NAMESPACE}:", file=file, allowed=TOP_KEYS)
    role = top.choice("role", Role)
    kind = top.choice("clusterKind", ClusterChoice)
    _check_fit(top, role, kind)
    mirrors = section("mirrors", MIRROR_KEYS)
    names = _names(_object(config, "branches", file))
    contract = _contract(section("contract", CONTRACT_KEYS))
    with top.locating():
        credential_name = DnsLabel(
            config.get("mirrorTlsSecretName") or _SECRET_NAMES[role], field="mirrorTlsSecretName"
        )
    credential = config.get_secret("mirrorTls")
    return StackSettings(
        role=role,
        cluster_kind=kind,
        cluster=section("cluster", CLUSTER_KEYS[kind]),
        kubeconfig=config.get_secret("kubeconfig"),
        contract=contract,
        credential_name=credential_name,
        credential=tls_credential(
            credential,
            name=credential_name,
            tls=contract.tls,
            calls=role is Role.STAGING,
            key=f"{NAMESPACE}:mirrorTls",
            file=file,
        )
        if credential
        else None,
        istio=section("istio", ISTIO_KEYS),
        gateway=section("gateway", GATEWAY_KEYS),
        greeter=section("greeter", GREETER_KEYS),
        match=_match(mirrors),
        in_cluster=_in_cluster(mirrors) if role is Role.STAGING else None,
        cross_cluster=_cross_cluster(mirrors) if role is Role.STAGING else None,
        branches=section("branches", names),
        branch_names=names,
        secret_branches=_is_secret("branches"),
        expiry_guard=section("expiryGuard", GUARD_KEYS),
        recorder=section("recorder", RECORDER_KEYS),
    )


def _given() -> Mapping[str, str]:
    """Every key of the program, so that one with a wrong name does not count as left out."""
    given: Mapping[str, str] = {**runtime_config.get_config_env(), **runtime_config.CONFIG.get()}
    prefix = f"{NAMESPACE}:"
    keys = [key.removeprefix(prefix) for key in given if key.startswith(prefix)]
    # Errors show values, and those of other keys may be secrets, in particular under a wrong name.
    return {key: given[f"{prefix}{key}"] if key in _SHOWN_KEYS else "(given)" for key in keys}


def _check_fit(top: Section, role: Role, kind: ClusterChoice) -> None:
    """Refuse what would be read by nobody."""
    if role is Role.TESTING:
        for key in STAGING_KEYS:
            if top.text(key, "{}") not in ("{}", "null"):
                raise top.fault(key, "(given)", "belongs to the role staging, which owns the traffic", "Remove it")
    if kind is ClusterChoice.GKE and top.has("kubeconfig"):
        raise top.fault(
            "kubeconfig", "(given)", "belongs to clusterKind existing; a GKE cluster makes its own", "Remove it"
        )


def _is_secret(key: str) -> bool:
    """Whether a key, or anything in it, is encrypted in the file."""
    name = f"{NAMESPACE}:{key}"
    return runtime_config.is_config_secret(name) or name in runtime_config.get_config_secret_keys_env()


def _object(config: pulumi.Config, key: str, file: str) -> Any:  # noqa: ANN401 -- any JSON; Section checks it
    if key != "branches" and _is_secret(key):
        raise ValidationError(
            field=f"{NAMESPACE}:{key} in {file}",
            value="(secret)",
            rule="must not hold a secret, which the stack's state would show as plain text",
            remedy="Write it without --secret; kubeconfig, mirrorTls and the env of branches are kept secret",
        )
    try:
        return config.get_object(key)
    except pulumi.ConfigTypeError:
        raise ValidationError(
            field=f"{NAMESPACE}:{key} in {file}",
            value="(secret)" if _is_secret(key) else config.get(key),
            rule="must be an object",
            remedy="Write a mapping",
        ) from None


def _names(given: object) -> tuple[str, ...]:
    """Keys of an object whose keys are free."""
    return tuple(str(name) for name in cast("Mapping[object, object]", given)) if isinstance(given, Mapping) else ()


def _contract(section: Section) -> MirrorContract:
    transport = section.choice("transport", Transport, Transport.MUTUAL)
    with section.locating({"reason": "plainTextReason"}):
        return MirrorContract(
            hosts=section.texts("hosts"),
            port=section.whole("port", 8000),
            protocol=section.choice("protocol", Protocol, Protocol.GRPC),
            receiver=section.text("receiver", "testing"),
            mirror_host=section.text("mirrorHost", ""),
            transport=Waiver(reason=section.text("plainTextReason"))
            if transport is Transport.PLAIN_TEXT
            else MirrorTls(mode=TlsMode(transport.value)),
            scrub=Scrub(
                extra_headers=section.texts("extraHeaders"),
                mark_header=section.text("markHeader", "x-traffic-mirror"),
                mark_value=section.text("markValue", "mirror"),
            ),
        )


def _match(mirrors: Section) -> Match:
    with mirrors.locating():
        return Match(rpc_methods=mirrors.texts("rpcMethods") or ("helloworld.Greeter/SayHello",))


def _end(section: Section) -> Expiry | None:
    if not section.has("expires"):
        return None
    with section.locating():
        end = Expiry.parse(section.text("expires"))
    if end.has_passed(datetime.now(UTC)):
        raise section.fault("expires", str(end), "must not have passed", "Remove the mirror, or give it a later end")
    return end


def _in_cluster(mirrors: Section) -> InClusterSettings | None:
    if not mirrors.has("inCluster"):
        return None
    section = mirrors.section("inCluster", ("percent", "expires"))
    return InClusterSettings(percent=_percent(section), expires=_end(section))


def _percent(section: Section) -> float:
    with section.locating():
        return Percent(section.number("percent", 100.0), field="percent")


def _cross_cluster(mirrors: Section) -> CrossClusterSettings | None:
    """Read the mirror to testing; leaving it out must be said, because forgetting it would look like success."""
    section = mirrors.section("crossCluster", ("percent", "expires", "testingStack", "absent"))
    if section.flag("absent", default=False):
        pulumi.warn("Nothing is mirrored to testing: mirrors.crossCluster.absent is true")
        return None
    return CrossClusterSettings(
        percent=_percent(section),
        expires=_end(section),
        testing_stack=section.text("testingStack", "") or f"organization/{pulumi.get_project()}/testing",
    )
