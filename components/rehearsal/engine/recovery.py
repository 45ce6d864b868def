"""What a killed engine leaves behind, and how the next one goes on."""

import contextlib
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

import psutil

HELM_RELEASE: Final = "kubernetes:helm.sh/v3:Release"

END_SECONDS = 5.0
"""Time that left-over processes get to end in order."""


def adopt_pending(deployment: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return a stack's state in which everything that was being created counts as made, and the names of these.

    The engine notes an operation before it begins and forgets it when told to go on, whereas what was half made stays
    in the cluster: of a Helm release webhooks that refuse pods, and cluster roles. With an entry of its own it is
    found by a refresh, or dropped where it never came to be, and removed like everything else.

    Args:
        deployment: What :meth:`pulumi.automation.Stack.export_stack` returns; secrets in it stay encrypted.

    Returns:
        The new state, and the URNs that it has more.
    """
    resources: list[dict[str, Any]] = list(deployment.get("resources") or [])
    known = {str(resource["urn"]) for resource in resources}
    adopted: list[str] = []
    operations: list[dict[str, Any]] = list(deployment.get("pending_operations") or [])
    for operation in operations:
        resource = cast("dict[str, Any]", operation["resource"])
        inputs = cast("dict[str, Any]", resource.get("inputs") or {})
        identity = _identity(str(resource.get("type", "")), inputs)
        if operation.get("type") != "creating" or not identity:
            continue
        entry: dict[str, Any] = {**resource, "id": identity, "outputs": inputs}
        if resource["urn"] in known:
            # A replacement, with a name of its own: the entry beside it is what it was to replace.
            entry["delete"] = True
        resources.append(entry)
        adopted.append(str(resource["urn"]))
    return {**deployment, "resources": resources, "pending_operations": []}, tuple(adopted)


def _identity(resource_type: str, inputs: Mapping[str, Any]) -> str:
    """Return the ID that the Kubernetes provider gives an object; empty where its name cannot be told."""
    if not resource_type.startswith("kubernetes:"):
        return ""
    named: Any = inputs if resource_type == HELM_RELEASE else inputs.get("metadata")
    if not isinstance(named, Mapping):
        return ""
    parts = [cast("Mapping[str, object]", named).get(key) for key in ("namespace", "name")]
    if not isinstance(parts[1], str):
        return ""
    return "/".join(part for part in parts if isinstance(part, str) and part)


def end_leftovers(pulumi_home: Path) -> int:
    """End every process that an earlier engine with this home left running; return how many there were.

    They are known by ``PULUMI_HOME`` in their environment, which only the engine sets to its own folder.
    """
    found = [process for process in psutil.process_iter() if _belongs(process, pulumi_home)]
    end_processes(found)
    return len(found)


def end_processes(found: Sequence[psutil.Process]) -> None:
    """Ask processes to end, then make them."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)
        _, alive = psutil.wait_procs(found, timeout=END_SECONDS)
        if not alive:
            return


def _belongs(process: psutil.Process, pulumi_home: Path) -> bool:
    try:
        mine = process.pid == psutil.Process().pid
        return not mine and process.environ().get("PULUMI_HOME") == str(pulumi_home)
    except (psutil.Error, OSError):
        return False
