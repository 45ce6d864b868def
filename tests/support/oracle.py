"""The oracle for tests, and objects to ask it about."""

from typing import Any

from pulumi_traffic_mirror.operations.oracle import Oracle
from pulumi_traffic_mirror.rehearsal.places import cache_directory
from pulumi_traffic_mirror.rehearsal.progress import PlainProgress
from pulumi_traffic_mirror.rehearsal.toolchain import OracleFiles, ensure_oracle


def start_oracle(files: OracleFiles | None = None) -> Oracle:
    """An oracle that is started by its first question; built first where the cache has none, which is told."""
    found = files or ensure_oracle(cache_directory(), PlainProgress())
    return Oracle(found.command)


def made(version: str, kind: str, name: str, namespace: str = "shop", **spec: object) -> dict[str, Any]:
    """An object."""
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}
