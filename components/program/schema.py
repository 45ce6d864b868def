"""Writes ``Pulumi.yaml`` from what can be configured: ``python -m pulumi_traffic_mirror.program.schema``."""

import sys
import textwrap
from typing import Final

from ..clusters import ExistingClusterArgs
from ..clusters.gke import ExistingNetwork, GkeClusterArgs, NewNetwork, StandardMode
from ..mesh import IstioControlPlaneArgs, MeshGatewayArgs
from ..mirroring import BranchServiceArgs, ExpiryGuardArgs, MirrorOverlayArgs, ReplayJobArgs, TrafficRecorderArgs
from ..model import CrossClusterMirror, InClusterMirror, MirrorContract
from ..model.recording import RecorderSettings
from ..model.replaying import ReplaySettings
from ..workloads import GreeterArgs
from .recorders import STORAGE_KEYS
from .sections import described_keys
from .settings import GIVEN

_HEAD: Final = """\
# Written by `python -m pulumi_traffic_mirror.program.schema > Pulumi.yaml`.
name: traffic-mirror
description: A staging environment with real traffic - staging answers, testing receives mirrors.
runtime:
  name: python
  options:
    toolchain: pip
    virtualenv: .venv
requiredPulumiVersion: ">=3.219.0"
config:
  # A declared key without a default is required, so two secrets are read without being declared here: kubeconfig (text,
  # for clusterKind existing) and mirrorTls {certificate, key, ca} in PEM, both with the prefix traffic-mirror:.
"""

WIDTH: Final = 140


def _keys(kind: type) -> str:
    return described_keys(kind, *GIVEN[kind])


def _entries() -> list[tuple[str, str, str | None, str]]:
    """Key, type, default (None where the key is required) and description of each section."""
    return [
        (
            "role",
            "string",
            None,
            "What this stack's cluster is for, staging (owns the traffic) or testing (receives mirrors).",
        ),
        ("clusterKind", "string", None, "Where the cluster comes from, gke or existing."),
        (
            "cluster",
            "object",
            None,
            f"gke: {_keys(GkeClusterArgs)}, mode (standard or autopilot), nodes {{{described_keys(StandardMode)}}}, "
            f"network {{{described_keys(NewNetwork)}}}, existingNetwork {{{described_keys(ExistingNetwork)}}}, "
            "authorizedNetworks {name: range}, controlPlaneCidr, peerWithTesting. "
            f"existing: {_keys(ExistingClusterArgs)}.",
        ),
        (
            "contract",
            "object",
            None,
            f"What both stacks agree on, the same in both files. {_keys(MirrorContract)}. "
            "transport is MUTUAL (the default), SIMPLE, or the reason for plain text.",
        ),
        (
            "mirrorTlsSecretName",
            "string",
            '""',
            "Name of the Secret with this side's certificate; default mirror-client or mirror-server.",
        ),
        ("istio", "object", "{}", f"Control plane. {_keys(IstioControlPlaneArgs)}."),
        ("gateway", "object", "{}", f"Gateway. {_keys(MeshGatewayArgs)}."),
        ("greeter", "object", None, f"The sample service. {_keys(GreeterArgs)}; image with its digest."),
        (
            "mirrors",
            "object",
            "{}",
            "staging only. rpcMethods (where a mirror has no match of its own; default helloworld.Greeter/SayHello), "
            f"inCluster {{{_keys(InClusterMirror)}}}, "
            f"crossCluster {{{_keys(CrossClusterMirror)}, testingStack, absent}}, "
            f"overlay {{by name: {described_keys(MirrorOverlayArgs, 'mesh', 'mirrors')}, "
            "mirrors (like inCluster with service {host, port}, or like crossCluster with contract and offer)}. "
            "A reason stands for a guard that is waived.",
        ),
        ("branches", "object", "{}", f"staging only. By name: {_keys(BranchServiceArgs)}, headers, rpcMethods."),
        ("expiryGuard", "object", "{}", f"staging only. {_keys(ExpiryGuardArgs)}."),
        (
            "recorder",
            "object",
            "{}",
            f"Records what the gateway gets. {_keys(TrafficRecorderArgs)}, {_keys(RecorderSettings)}, "
            f"storage {{{', '.join(STORAGE_KEYS)}}}.",
        ),
        (
            "replays",
            "object",
            "{}",
            f"Recordings that are sent again, each by a Job. By name: {_keys(ReplayJobArgs)}, {_keys(ReplaySettings)}.",
        ),
    ]


def project_file() -> str:
    """The whole of ``Pulumi.yaml``."""
    parts = [_HEAD]
    for key, kind, default, text in _entries():
        parts.append(f"  traffic-mirror:{key}:\n    type: {kind}\n")
        if default is not None:
            parts.append(f"    default: {default}\n")
        folded = textwrap.fill(
            text,
            WIDTH,
            initial_indent=" " * 6,
            subsequent_indent=" " * 6,
            break_on_hyphens=False,
            break_long_words=False,
        )
        parts.append(f"    description: >-\n{folded}\n")
    return "".join(parts)


if __name__ == "__main__":
    sys.stdout.write(project_file())
