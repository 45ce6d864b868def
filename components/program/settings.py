"""A stack's configuration, read once and typed: everything that ``__main__.py`` needs to know."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum, unique
from typing import Any, Final, TypeVar, cast

import pulumi
from pulumi.runtime import config as runtime_config

from ..clusters import ExistingClusterArgs
from ..clusters.gke import GkeClusterArgs
from ..mesh import IstioControlPlaneArgs, MeshGatewayArgs, TlsCredential
from ..mirroring import BranchServiceArgs, ExpiryGuardArgs, MirrorOverlayArgs, ReplayJobArgs, TrafficRecorderArgs
from ..model import (
    CrossClusterMirror,
    Destination,
    DnsLabel,
    InClusterMirror,
    Match,
    MirrorContract,
    ValidationError,
)
from ..model.recording import RecorderSettings
from ..model.replaying import ReplaySettings
from ..model.routing import service_host
from ..workloads import GreeterArgs
from .credentials import tls_credential
from .sections import Section, keys_of

NAMESPACE = "traffic-mirror"
"""Configuration namespace: the project's name."""

REWRITE: Final = "greeter-v2"
"""Who gets the mirrors inside staging."""

_Mirror = TypeVar("_Mirror", InClusterMirror, CrossClusterMirror)


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
        match: What may be mirrored where a mirror does not say it.
        in_cluster: Mirror inside staging; None for none.
        cross_cluster: Mirror to testing; None for none.
        testing_stack: Stack that exports the offer; empty without a mirror to it.
        overlays: Mirrors on routing that somebody else owns, by name; staging only.
        overlay_names: Their names.
        branches: Branches for debugging, by name; staging only.
        branch_names: Their names.
        secret_branches: Whether there is a secret among them; then their environment is one.
        expiry_guard: Who ends mirrors on time; empty for nobody.
        recorder: What records at the gateway; empty for nothing.
        replays: Recordings that are sent again, by name.
        replay_names: Their names.
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
    in_cluster: InClusterMirror | None
    cross_cluster: CrossClusterMirror | None
    testing_stack: str
    overlays: Section
    overlay_names: tuple[str, ...]
    branches: Section
    branch_names: tuple[str, ...]
    secret_branches: bool
    expiry_guard: Section
    recorder: Section
    replays: Section
    replay_names: tuple[str, ...]

    @property
    def namespace(self) -> str:
        """Namespace of the sample service."""
        return _namespace(self.greeter)

    @property
    def mirrors(self) -> tuple[InClusterMirror | CrossClusterMirror, ...]:
        """The mirrors beside those of branches."""
        return tuple(mirror for mirror in (self.in_cluster, self.cross_cluster) if mirror)


GIVEN: Final[Mapping[type, tuple[str, ...]]] = {
    GkeClusterArgs: ("mode", "network", "endpoint"),
    ExistingClusterArgs: ("kubeconfig",),
    MirrorContract: (),
    IstioControlPlaneArgs: ("cluster",),
    MeshGatewayArgs: ("mesh", "servers", "credentials"),
    GreeterArgs: ("cluster", "mesh", "version", "service_name", "port"),
    InClusterMirror: ("service", "subset", "subset_labels", "shared_service", "unbounded_life"),
    CrossClusterMirror: ("contract", "client_credential", "unbounded_life"),
    BranchServiceArgs: ("mesh", "namespace", "port", "protocol", "match"),
    ExpiryGuardArgs: ("mesh", "service"),
    MirrorOverlayArgs: ("mesh",),
    TrafficRecorderArgs: ("mesh", "at", "namespace", "settings", "keep_request_ids"),
    RecorderSettings: ("side", "mark_header", "storage"),
    ReplayJobArgs: ("cluster", "namespace", "settings"),
    ReplaySettings: (),
}
"""What the configuration fills, with the arguments that the program sets or that its own Istio has no use for; all
others are keys."""


def keys(kind: type) -> tuple[str, ...]:
    """Keys of one of :data:`GIVEN`."""
    return keys_of(kind, *GIVEN[kind])


CLUSTER_KEYS: Final = {
    ClusterChoice.GKE: (
        *keys(GkeClusterArgs),
        *("mode", "nodes", "network", "existingNetwork", "authorizedNetworks", "controlPlaneCidr", "peerWithTesting"),
    ),
    ClusterChoice.EXISTING: keys(ExistingClusterArgs),
}
BRANCH_KEYS: Final = (*keys(BranchServiceArgs), "headers", "rpcMethods")
RECORDER_KEYS: Final = (*keys(TrafficRecorderArgs), *keys(RecorderSettings), "storage")
REPLAY_KEYS: Final = (*keys(ReplayJobArgs), *keys(ReplaySettings))
OVERLAY_KEYS: Final = keys(MirrorOverlayArgs)
MIRROR_KEYS: Final = ("rpcMethods", "inCluster", "crossCluster", "overlay")
CROSS_CLUSTER_KEYS: Final = (*keys(CrossClusterMirror), "testingStack", "absent")

TOP_KEYS: Final = (
    *("role", "clusterKind", "cluster", "kubeconfig", "contract", "mirrorTls", "mirrorTlsSecretName"),
    *("istio", "gateway", "greeter", "mirrors", "branches", "expiryGuard", "recorder", "replays"),
)
STAGING_KEYS: Final = ("mirrors", "branches", "expiryGuard")
"""What only the stack that owns the traffic can have."""

_SECRET_NAMES: Final = {Role.STAGING: "mirror-client", Role.TESTING: "mirror-server"}
_SHOWN_KEYS: Final = ("role", "clusterKind", *STAGING_KEYS)


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
    across = mirrors.section("crossCluster", CROSS_CLUSTER_KEYS)
    names = _names(_object(config, "branches", file))
    replays = _names(_object(config, "replays", file))
    overlays = _names(mirrors.mapping("overlay"))
    contract = section("contract", keys(MirrorContract)).fill(MirrorContract)
    greeter = section("greeter", keys(GreeterArgs))
    with top.naming_keys():
        credential_name = DnsLabel(
            config.get("mirrorTlsSecretName") or _SECRET_NAMES[role], field="mirrorTlsSecretName"
        )
    credential = config.get_secret("mirrorTls")
    match = _match(mirrors)
    to_testing = _cross_cluster(across, match, contract, credential_name) if role is Role.STAGING else None
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
        istio=section("istio", keys(IstioControlPlaneArgs)),
        gateway=section("gateway", keys(MeshGatewayArgs)),
        greeter=greeter,
        match=match,
        in_cluster=_in_cluster(mirrors, match, contract, greeter) if role is Role.STAGING else None,
        cross_cluster=to_testing,
        testing_stack=_testing_stack(across) if to_testing else "",
        overlays=mirrors.section("overlay", overlays),
        overlay_names=overlays,
        branches=section("branches", names),
        branch_names=names,
        secret_branches=_is_secret("branches"),
        expiry_guard=section("expiryGuard", keys(ExpiryGuardArgs)),
        recorder=section("recorder", RECORDER_KEYS),
        replays=section("replays", replays),
        replay_names=replays,
    )


def _given() -> Mapping[str, str]:
    """Every key of the program, so that one with a wrong name does not count as left out."""
    given: Mapping[str, str] = {**runtime_config.get_config_env(), **runtime_config.CONFIG.get()}
    prefix = f"{NAMESPACE}:"
    names = [key.removeprefix(prefix) for key in given if key.startswith(prefix)]
    # Errors show values, and those of other keys may be secrets, in particular under a wrong name.
    return {key: given[f"{prefix}{key}"] if key in _SHOWN_KEYS else "(given)" for key in names}


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


def _namespace(greeter: Section) -> str:
    with greeter.naming_keys():
        return DnsLabel(greeter.text("namespace", "hello"), field="namespace")


def _match(mirrors: Section) -> Match:
    with mirrors.naming_keys():
        return Match(rpc_methods=mirrors.texts("rpcMethods") or ("helloworld.Greeter/SayHello",))


def _in_cluster(mirrors: Section, match: Match, contract: MirrorContract, greeter: Section) -> InClusterMirror | None:
    if not mirrors.has("inCluster"):
        return None
    section = mirrors.section("inCluster", keys(InClusterMirror))
    rewrite = Destination(service_host(REWRITE, _namespace(greeter)), contract.port)
    named = {} if section.has("name") else {"name": "v2"}
    return _mirror(section, InClusterMirror, {"service": rewrite, **named}, match)


def _cross_cluster(
    section: Section, match: Match, contract: MirrorContract, credential_name: str
) -> CrossClusterMirror | None:
    """Read the mirror to testing; leaving it out must be said, because forgetting it would look like success."""
    if section.flag("absent", default=False):
        pulumi.warn("Nothing is mirrored to testing: mirrors.crossCluster.absent is true")
        return None
    if not section.has("percent"):
        raise section.fault(
            "percent", None, "must be given", "Write the share in per cent, or absent: true for no mirror to testing"
        )
    given = {"contract": contract, "client_credential": credential_name if contract.tls else ""}
    return _mirror(section, CrossClusterMirror, given, match)


def _testing_stack(across: Section) -> str:
    return across.text("testingStack", "") or f"organization/{pulumi.get_project()}/testing"


def _mirror(section: Section, kind: type[_Mirror], given: Mapping[str, object], match: Match) -> _Mirror:
    """A mirror as its keys describe it, with the common match unless it says itself what may be mirrored."""
    common = {} if section.has("match") or section.has("sideEffects") else {"match": match}
    mirror = section.fill(kind, {**given, **common})
    if mirror.expires and mirror.expires.has_passed(datetime.now(UTC)):
        raise section.fault(
            "expires", str(mirror.expires), "must not have passed", "Remove the mirror, or give it a later end"
        )
    return mirror
