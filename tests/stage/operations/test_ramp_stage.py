"""A ramp on two real clusters, by real deployments: a v2 that gets slow is taken back, and a kill loses nothing."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.operations.ramp.state import Phase
from pulumi_traffic_mirror.rehearsal.engine.backend import stale_lock
from pulumi_traffic_mirror.rehearsal.machine.processes import wait_until
from tests.support.mirrored import PACKAGE, Mirrored

pytestmark = [pytest.mark.stage, pytest.mark.slow_stage]

KEY = "traffic-mirror:mirrors.inCluster.percent"
ROOT = Path(__file__).parents[3]


def which(mirrored: Mirrored) -> tuple[str, ...]:
    return ("--mirror", "v2", *mirrored.stack_options)


def measured(mirrored: Mirrored, steps: str, hold: str) -> tuple[str, ...]:
    clusters = mirrored.clusters
    kubeconfigs = ("--staging", clusters["staging"].kubeconfig, "--testing", clusters["testing"].kubeconfig)
    calls = ("--steps", steps, "--rate", "30", "--hold", hold, "--max-latency", "10")
    return ("--key", "mirrors.inCluster.percent", *kubeconfigs, *calls)


def shares(mirrored: Mirrored) -> set[float]:
    """Shares of v2 in the live routes."""
    live = mirrored.get("staging", "virtualservice", "hello", "greeter")
    return {
        mirror["percentage"]["value"]
        for entry in live["spec"]["http"]
        for mirror in entry.get("mirrors", [])
        if "greeter-v2" in mirror["destination"]["host"]
    }


def status(mirrored: Mirrored) -> subprocess.CompletedProcess[str]:
    return mirrored.command("ramp", "status", "--project", str(mirrored.engine.project_folder), "--mirror", "v2")


@contextmanager
def at(mirrored: Mirrored, percent: int) -> Generator[None]:
    """Deploy another share of v2 for a while."""
    state = mirrored.engine.project_folder / ".traffic-mirror" / "ramp.staging.v2.json"
    state.unlink(missing_ok=True)
    if percent != 50:
        mirrored.configure(KEY, str(percent), "float")
        mirrored.engine.up("staging")
    try:
        yield
    finally:
        state.unlink(missing_ok=True)
        mirrored.configure(KEY, "50", "float")
        mirrored.engine.up("staging")


def ended_while(mirrored: Mirrored, number: int, phase: Phase, percent: float, *words: str) -> tuple[int, str]:
    """Run a ramp, send it a signal in a phase of a step, and return its exit code and what it said."""
    command = mirrored.stage.fabric_command([sys.executable, "-m", PACKAGE, "ramp", *words])
    file = mirrored.engine.project_folder / ".traffic-mirror" / "ramp.staging.v2.json"

    def is_there() -> bool:
        state: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        assert process.poll() is None, process.communicate()
        return (state.get("phase"), state.get("target")) == (phase.value, percent)

    with subprocess.Popen(
        command, cwd=ROOT, env=mirrored.engine.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            wait_until(is_there, what=f"{phase.value} {percent:g} %", timeout=120)
            os.kill(process.pid, number)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    return process.returncode, said


def test_a_v2_that_gets_slow_at_25_percent_goes_back_to_5(mirrored: Mirrored) -> None:
    """v2 takes five calls a second: 1.5 come at 5 %, 7.5 at 25 %."""
    with at(mirrored, 1):
        with mirrored.deployment("staging", "greeter-v2", WORKERS="2", FAULT_DELAY_SECONDS="0.4"):
            # At 5 % two copies may happen to be in flight, which are 1.3 s of copies; at 25 % they pile up.
            given = (*which(mirrored), *measured(mirrored, "5,25,100", "8"), "--max-in-flight", "1.5")
            done = mirrored.command("ramp", "run", *given, "--json", timeout=240)
        assert done.returncode == 1, done.stderr
        state = json.loads(done.stdout)
        assert (state["phase"], state["percent"], state["good"]) == ("rolled back", 5.0, 5.0), state
        assert state["reason"].startswith("at 25 %: ")
        assert "copies in flight" in state["reason"]
        assert shares(mirrored) == {5}
        shown = status(mirrored)
        assert shown.returncode == 1
        assert "v2: 5 % is in force, rolled back" in shown.stdout


def test_a_killed_ramp_keeps_its_step_and_goes_on(mirrored: Mirrored) -> None:
    with at(mirrored, 50):
        given = measured(mirrored, "60,75", "4")
        code, _ = ended_while(mirrored, signal.SIGKILL, Phase.MEASURING, 60, "run", *which(mirrored), *given)
        assert code == -signal.SIGKILL
        shown = status(mirrored)
        assert (shown.returncode, "v2: 60 % is in force, interrupted" in shown.stdout) == (1, True), shown
        assert shares(mirrored) == {60}
        code, said = ended_while(mirrored, signal.SIGINT, Phase.MEASURING, 75, "resume", *which(mirrored))
        assert (code, "75 % is in force. Go on with 'ramp resume'" in said) == (130, True), said
        shown = status(mirrored)
        assert (shown.returncode, "v2: 75 % is in force, interrupted" in shown.stdout) == (1, True), shown
        assert shares(mirrored) == {75}


def test_a_ramp_killed_while_it_deploys_goes_on_from_its_last_good_step(mirrored: Mirrored) -> None:
    with at(mirrored, 50):
        given = measured(mirrored, "60", "4")
        code, _ = ended_while(mirrored, signal.SIGKILL, Phase.APPLYING, 60, "run", *which(mirrored), *given)
        assert code == -signal.SIGKILL
        shown = status(mirrored)
        assert (shown.returncode, "interrupted" in shown.stdout) == (1, True), shown
        assert shares(mirrored) in ({50}, {60})
        # The engine notices that the program is gone, and gives the stack back.
        backend = Path(mirrored.engine.environment["PULUMI_BACKEND_URL"].removeprefix("file://"))
        wait_until(lambda: not stale_lock(backend, "staging"), what="the stack is free again", timeout=60)
        done = mirrored.command("ramp", "resume", *which(mirrored), "--json", timeout=240)
        assert done.returncode == 0, done.stderr
        state = json.loads(done.stdout)
        assert (state["phase"], state["percent"], state["good"]) == ("done", 60.0, 60.0), state
        assert shares(mirrored) == {60}
