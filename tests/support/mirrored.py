"""Two deployed stacks on the stage: their objects can be broken and mended, and commands run against them."""

import copy
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pulumi_traffic_mirror.rehearsal.engine import Engine
from pulumi_traffic_mirror.rehearsal.scenario import RehearsalCluster
from pulumi_traffic_mirror.rehearsal.stage import Stage
from tests.support.warm import WarmCommands

PACKAGE = "pulumi_traffic_mirror.cli"
COMMAND_SECONDS = 120
OF_THE_SERVER = ("resourceVersion", "uid", "creationTimestamp", "generation")
"""Metadata that the API server gives."""

Object = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Mirrored:
    """The stage with both stacks."""

    stage: Stage
    engine: Engine
    clusters: Mapping[str, RehearsalCluster]
    warm: WarmCommands
    """Where :meth:`verify` runs, which is called dozens of times."""

    def get(self, role: str, kind: str, namespace: str, name: str) -> Object:
        """Return an object of a cluster, with whose its fields are."""
        asked = ("get", kind, name, "-n", namespace, "-o", "json", "--show-managed-fields")
        return json.loads(self.stage.kubectl(role, *asked))

    def put(self, role: str, value: Object, verb: str = "replace") -> None:
        """Write an object, whoever changed it meanwhile."""
        metadata = {
            key: each for key, each in value["metadata"].items() if key not in ("managedFields", *OF_THE_SERVER)
        }
        self._write(role, {**value, "metadata": metadata}, verb)

    def put_back(self, role: str, before: Object, verb: str = "replace") -> None:
        """Write an object as it was, and whose its fields were: an engine that applies them next meets no conflict."""
        self.put(role, before, verb)
        # Fields that a request changes become its sender's, whatever it says of them; now none changes any more.
        metadata = {key: each for key, each in before["metadata"].items() if key not in OF_THE_SERVER}
        self._write(role, {**before, "metadata": metadata}, "replace")

    def _write(self, role: str, value: Object, verb: str) -> None:
        value = {key: each for key, each in value.items() if key != "status"}
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(value, file)
            file.flush()
            self.stage.kubectl(role, verb, "-f", file.name)

    @contextmanager
    def changed(
        self, role: str, kind: str, namespace: str, name: str, change: Callable[[Object], object]
    ) -> Generator[None]:
        """Change an object and put it back."""
        before = self.get(role, kind, namespace, name)
        value = copy.deepcopy(before)
        change(value)
        self.put(role, value)
        try:
            yield
        finally:
            self.put_back(role, before)

    @contextmanager
    def deleted(self, role: str, kind: str, namespace: str, name: str) -> Generator[None]:
        """Delete an object and make it anew."""
        before = self.get(role, kind, namespace, name)
        self.stage.kubectl(role, "delete", kind, name, "-n", namespace)
        try:
            yield
        finally:
            self.put_back(role, before, "create")

    @contextmanager
    def deployment(self, role: str, name: str, *, replicas: int = 1, **env: str) -> Generator[None]:
        """Give a greeter another environment or number of pods for a while, and wait for its pods."""
        before = self.get(role, "deployment", "hello", name)
        value = copy.deepcopy(before)
        value["spec"]["replicas"] = replicas
        container = value["spec"]["template"]["spec"]["containers"][0]
        container["env"] += [{"name": key, "value": text} for key, text in env.items()]
        self.put(role, value)
        self._rolled_out(role, name)
        try:
            yield
        finally:
            self.put_back(role, before)
            self._rolled_out(role, name)

    def _rolled_out(self, role: str, name: str) -> None:
        self.stage.kubectl(
            role, "rollout", "status", f"deployment/{name}", "-n", "hello", "--timeout=90s", timeout=COMMAND_SECONDS
        )

    def command(self, *words: str, timeout: float = COMMAND_SECONDS) -> subprocess.CompletedProcess[str]:
        """Run ``traffic-mirror`` where it reaches the clusters, and return what came of it."""
        argv = [sys.executable, "-m", PACKAGE, *words]
        return self.stage.run_in_fabric(
            argv, timeout=timeout, check=False, cwd=Path(__file__).parents[2], env=self.engine.environment
        )

    def pulumi(self, *words: str, stack: str = "staging") -> str:
        """Run the engine's command line on a stack."""
        cli = str(self.engine.installation.cli)
        done = self.stage.run_in_fabric(
            [cli, "--non-interactive", *words, "--stack", stack],
            timeout=COMMAND_SECONDS,
            cwd=self.engine.project_folder,
            env=self.engine.environment,
        )
        return done.stdout

    def configure(self, key: str, value: str, kind: str = "string", *, stack: str = "staging") -> None:
        """Set a value in a stack's configuration."""
        self.pulumi("config", "set", "--path", "--type", kind, key, value, stack=stack)

    @property
    def stack_options(self) -> tuple[str, ...]:
        """Options by which commands find the staging stack; the program runs in their process."""
        program = Path(__file__).parents[2]
        return ("--stack", "staging", "--project", str(self.engine.project_folder), "--program", str(program))

    def verify(self, *words: str) -> Object:
        """Run ``traffic-mirror verify`` and return its result with its exit code as ``exit``."""
        kubeconfigs = [
            word for role in ("staging", "testing") for word in (f"--{role}", self.clusters[role].kubeconfig)
        ]
        done = self.warm.run(["verify", *kubeconfigs, "--json", *words], timeout=COMMAND_SECONDS)
        try:
            return {**json.loads(done.stdout), "exit": done.returncode}
        except ValueError:
            return {"exit": done.returncode, "mirrors": [], "error": done.stderr}

    def verify_until(self, holds: Callable[[Object], bool], *words: str, seconds: float = 45) -> Object:
        """Verify until the result is as expected, because configuration takes a moment, or the time is over."""
        deadline = time.monotonic() + seconds
        while True:
            result = self.verify(*words)
            if holds(result) or time.monotonic() > deadline:
                return result


def first_cause(result: Object, mirror: str) -> str:
    """Return the first cause that a verification names for a mirror; empty when it names none."""
    for found in result["mirrors"]:
        if found["name"] == mirror and found["causes"]:
            return found["causes"][0]["cause"]
    return ""
