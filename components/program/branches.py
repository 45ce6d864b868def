"""From a stack's settings to its branches for debugging, and to the guard that ends mirrors on time."""

from collections.abc import Mapping

import pulumi

from ..mesh import MeshHandle, MeshNamespace
from ..mirroring import BranchServiceArgs, ExpiryGuardArgs, MirroredService, MirrorOverlay
from ..model import HeaderMatch, Match
from .arguments import called_by
from .sections import Section
from .settings import BRANCH_KEYS, StackSettings


def branches_args(
    settings: StackSettings, mesh: MeshHandle, namespace: MeshNamespace
) -> Mapping[str, BranchServiceArgs]:
    """Arguments of the stack's branches, by name.

    Raises:
        ValidationError: A key of ``branches`` is wrong.
    """
    found: dict[str, BranchServiceArgs] = {}
    for name in settings.branch_names:
        found[name] = _branch(settings.branches.section(name, BRANCH_KEYS), settings, mesh, namespace)
        with settings.branches.naming_keys({"name": name}):
            found[name].mirror(name)
    return found


def _branch(section: Section, settings: StackSettings, mesh: MeshHandle, namespace: MeshNamespace) -> BranchServiceArgs:
    names = {"name": "headers", "value": "headers", "match": "headers"}
    with section.naming_keys(names):
        match = Match(
            rpc_methods=section.texts("rpcMethods") or settings.match.rpc_methods,
            headers=[HeaderMatch(name=name, value=value) for name, value in section.texts_by_name("headers").items()],
        )
    given = {
        "mesh": mesh,
        "namespace": namespace,
        "port": settings.contract.port,
        "protocol": settings.contract.protocol,
        "match": match,
        "env": _environment(section, settings),
        **called_by(section, settings, mesh),
    }
    return section.fill(BranchServiceArgs, given, names)


def _environment(section: Section, settings: StackSettings) -> Mapping[str, pulumi.Input[str]]:
    texts = section.texts_by_name("env")
    return {name: pulumi.Output.secret(text) for name, text in texts.items()} if settings.secret_branches else texts


def expiry_guard_args(
    settings: StackSettings, mesh: MeshHandle, service: MirroredService, overlays: Mapping[str, MirrorOverlay]
) -> Mapping[str, ExpiryGuardArgs]:
    """Arguments of the guards that end mirrors on time, by name: the service's, and one for each overlay.

    None when the stack has no guard.

    Raises:
        ValidationError: A key of ``expiryGuard`` is wrong.
    """
    section = settings.expiry_guard
    if not section.is_given:
        return {}
    watched = {"expiry": service, **{f"expiry-{name}": overlay for name, overlay in overlays.items()}}
    return {name: section.fill(ExpiryGuardArgs, {"mesh": mesh, "service": each}) for name, each in watched.items()}
