"""From a stack's settings to its branches for debugging, and to the guard that ends mirrors on time."""

from collections.abc import Mapping
from typing import Final

import pulumi

from ..mesh import MeshHandle
from ..mirroring import BranchServiceArgs, ExpiryGuardArgs, MirroredService
from ..mirroring.branch import DEFAULT_HOURS
from ..model import HeaderMatch, Match
from ..workloads import MeshNamespace
from .sections import Section
from .settings import StackSettings

BRANCH_KEYS: Final = ("image", "allowTag", "started", "hours", "percent", "headers", "rpcMethods", "command", "env")


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
        with settings.branches.locating({"name": name}):
            found[name].mirror(name)
    return found


def _branch(section: Section, settings: StackSettings, mesh: MeshHandle, namespace: MeshNamespace) -> BranchServiceArgs:
    headers = section.texts_by_name("headers")
    with section.locating({"name": "headers", "value": "headers", "match": "headers"}):
        return BranchServiceArgs(
            mesh=mesh,
            namespace=namespace,
            image=section.text("image"),
            allow_tag=section.flag("allowTag", default=False),
            started=section.text("started"),
            hours=section.number("hours", DEFAULT_HOURS),
            percent=section.number("percent", 100.0),
            port=settings.contract.port,
            protocol=settings.contract.protocol,
            match=Match(
                rpc_methods=section.texts("rpcMethods") or settings.match.rpc_methods,
                headers=[HeaderMatch(name=name, value=value) for name, value in headers.items()],
            ),
            command=section.texts("command"),
            env=_environment(section, settings),
        )


def _environment(section: Section, settings: StackSettings) -> Mapping[str, pulumi.Input[str]]:
    texts = section.texts_by_name("env")
    return {name: pulumi.Output.secret(text) for name, text in texts.items()} if settings.secret_branches else texts


def expiry_guard_args(settings: StackSettings, mesh: MeshHandle, service: MirroredService) -> ExpiryGuardArgs | None:
    """Arguments of the guard that ends mirrors on time; None when the stack has none.

    Raises:
        ValidationError: A key of ``expiryGuard`` is wrong.
    """
    section = settings.expiry_guard
    if not section.is_given:
        return None
    with section.locating():
        return ExpiryGuardArgs(
            mesh=mesh,
            service=service,
            image=section.text("image"),
            allow_tag=section.flag("allowTag", default=False),
            every_minutes=section.whole("everyMinutes", 5),
        )
