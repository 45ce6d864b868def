"""A stack with one ``GkeCluster``, deployed by the real engine where nothing is.

Each operation has a process of its own: the Automation API leaves event loops and sockets of the programs that it runs
to the garbage collector, which would fail whatever test comes next.
"""

import json
import pickle
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pulumi import automation

from pulumi_traffic_mirror.clusters.gke import GkeCluster, GkeClusterArgs
from pulumi_traffic_mirror.rehearsal.engine import Installation
from pulumi_traffic_mirror.rehearsal.engine.home import EngineHome
from tests.support import google_provider

BASE: Final[Mapping[str, Any]] = {"project": "my-project", "location": "europe-west1", "deletion_protection": False}
LONGEST_SECONDS: Final = 300
"""Of one operation; it takes five on a quiet machine."""


class RefusedError(Exception):
    """The engine ended an operation with an error; the text is what it wrote."""


@dataclass(frozen=True, kw_only=True)
class _Order:
    operation: str
    options: Mapping[str, Any]
    folder: str
    environment: Mapping[str, str]
    arguments: Mapping[str, Any]


class GoogleStack:
    """One stack; keyword arguments are those of ``GkeClusterArgs`` that differ from :data:`BASE`."""

    def __init__(self, folder: Path, installation: Installation) -> None:
        home = EngineHome(root=folder / "engine")
        home.prepare(installation)
        google_provider.install(home.pulumi)
        self._fate = folder / "fate.json"
        self._folder = home.project
        self._environment = {
            **home.environment(installation, no_proxy=(), base={"HOME": str(folder)}),
            google_provider.FATE: str(self._fate),
        }
        self.fate()

    def fate(self, **fate: list[str]) -> None:
        """Whose creation ``fails``, and what is ``gone``."""
        self._fate.write_text(json.dumps(fate), encoding="utf-8")

    def run(self, operation: str, *, options: Mapping[str, Any] | None = None, **arguments: Any) -> str:
        """Run an operation of :class:`pulumi.automation.Stack`; what it wrote.

        Raises:
            RefusedError: It failed.
        """
        order = _Order(
            operation=operation,
            options=options or {},
            folder=str(self._folder),
            environment=self._environment,
            arguments={**BASE, **arguments},
        )
        done = subprocess.run(
            [sys.executable, "-m", __name__],
            input=pickle.dumps(order),
            capture_output=True,
            cwd=Path(__file__).parents[2],
            env=self._environment,
            check=False,
            timeout=LONGEST_SECONDS,
        )
        if done.returncode:
            raise RefusedError(done.stderr.decode())
        return done.stdout.decode()

    def preview(self, **arguments: Any) -> Path:
        """What ``pulumi preview --json`` writes, in a file."""
        path = self._folder / "preview.json"
        path.write_text(self.run("preview", options={"json": True}, **arguments), encoding="utf-8")
        return path

    def resources(self) -> set[str]:
        """Names of what is in the state."""
        state: Any = json.loads(self.run("export_stack"))
        return {each["urn"].split("::", 3)[3] for each in state.get("resources", ())}


def main() -> int:
    """Carry out an order."""
    order: _Order = pickle.load(sys.stdin.buffer)  # noqa: S301 the parent's own

    def program() -> None:
        GkeCluster("b", GkeClusterArgs(**order.arguments))

    options = automation.LocalWorkspaceOptions(work_dir=order.folder)
    stack = automation.create_or_select_stack("testing", "gke", program, opts=options)
    try:
        result = getattr(stack, order.operation)(**order.options)
    except automation.CommandError as error:
        sys.stderr.write(str(error))
        return 1
    sys.stdout.write(result.stdout if hasattr(result, "stdout") else json.dumps(result.deployment))
    return 0


if __name__ == "__main__":
    # Under its name, by which what it unpickles knows it.
    from tests.support.google_stack import main as run

    sys.exit(run())
