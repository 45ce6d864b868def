"""A server and a caller on the network between the clusters: part of neither mesh, free to misbehave on the wire."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pulumi_traffic_mirror.rehearsal.machine.processes import wait_until
from pulumi_traffic_mirror.rehearsal.stage import Stage

from .outpost import Outpost
from .peers import CONTROL_PORT, SOURCE
from .terms import OUTSIDE, PORTS

CALLER_PORT = CONTROL_PORT + 1
"""Where the caller outside the clusters takes jobs."""


class OutsideCaller:
    """Makes calls in the stage's fabric, from outside the clusters.

    Args:
        stage: The stage.
        outpost: Gives it jobs.
    """

    def __init__(self, stage: Stage, outpost: Outpost) -> None:
        self._outpost = outpost
        self._process = subprocess.Popen(
            stage.fabric_command([sys.executable, str(SOURCE / "caller.py"), "serve"]),
            env={**os.environ, "CONTROL_PORT": str(CALLER_PORT)},
            start_new_session=True,
        )
        wait_until(self._answers, what="the caller outside the clusters answers", timeout=20)

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(timeout=10)

    def run(self, job: Mapping[str, Any], timeout: float) -> str:
        """Do a job and return its result as JSON; see ``workloads/peer/caller.py``."""
        question = self._outpost.start("http", f"http://{OUTSIDE}:{CALLER_PORT}/", job, timeout)
        return question.result(timeout=timeout + 5)

    def _answers(self) -> bool:
        try:
            self._outpost.ask("http", f"http://{OUTSIDE}:{CALLER_PORT}/", None, 10)
        except RuntimeError:
            return False
        return True


class OutsideServer:
    """An echo server in the stage's fabric.

    Args:
        stage: The stage.
        outpost: Asks the server's control port.
    """

    def __init__(self, stage: Stage, outpost: Outpost) -> None:
        self._stage, self._outpost = stage, outpost
        settings = {
            "ECHO_ADDRESS": OUTSIDE,
            "ECHO_PORTS": ",".join(str(port) for port in PORTS.values()),
            "CONTROL_PORT": str(CONTROL_PORT),
            "VERSION": "outside",
        }
        self._process = subprocess.Popen(
            stage.fabric_command([sys.executable, str(SOURCE / "echo.py")]),
            env={**os.environ, **settings},
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_until(self._answers, what="the server outside the clusters answers", timeout=20)

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(timeout=10)

    def ask(self, path: str, order: Mapping[str, Any] | None = None) -> Any:
        """Ask its control port, or give it an order."""
        return json.loads(self._outpost.ask("http", f"http://{OUTSIDE}:{CONTROL_PORT}/{path}", order, 10))

    def seen(self, run: str) -> dict[str, Any]:
        """Return the counts of a run."""
        return self.ask(f"seen?run={run}")

    def records(self, run: str) -> list[dict[str, Any]]:
        """Return the requests of a run."""
        return self.ask(f"records?run={run}")

    @contextmanager
    def misbehaving(self, mode: str, **settings: Any) -> Iterator[None]:
        """Make it misbehave; see ``workloads/peer/echo_state.py``."""
        self.ask("mode", {"name": mode, **settings})
        try:
            yield
        finally:
            self.ask("mode", {"name": "ok"})

    @contextmanager
    def dropped(self) -> Iterator[None]:
        """Drop every packet to its ports, as a firewall without a word does."""
        rules = [["-p", "tcp", "--dport", str(port), "-j", "DROP"] for port in PORTS.values()]
        for rule in rules:
            self._stage.run_in_fabric(["iptables", "-I", "INPUT", *rule], timeout=10)
        try:
            yield
        finally:
            for rule in rules:
                self._stage.run_in_fabric(["iptables", "-D", "INPUT", *rule], timeout=10)

    def _answers(self) -> bool:
        try:
            self.ask("")
        except RuntimeError:
            return False
        return True
