"""A ramp on two real clusters, by real deployments: a v2 that gets slow under load is noticed and taken back."""

import json

import pytest

from tests.support.mirrored import Mirrored

pytestmark = [pytest.mark.stage, pytest.mark.slow_stage]

KEY = "traffic-mirror:mirrors.inCluster.percent"


def test_a_v2_that_gets_slow_at_25_percent_goes_back_to_5(mirrored: Mirrored) -> None:
    """v2 takes five calls a second: 1.5 come at 5 %, 7.5 at 25 %."""
    mirrored.configure(KEY, "1", "float")
    mirrored.engine.up("staging")
    sites = mirrored.sites
    options = ("--mirror", "v2", "--key", "mirrors.inCluster.percent", *mirrored.stack_options)
    try:
        with mirrored.deployment("staging", "greeter-v2", WORKERS="2", FAULT_DELAY_SECONDS="0.4"):
            measured = ("--steps", "5,25,100", "--rate", "30", "--hold", "12", "--max-latency", "3")
            kubeconfigs = ("--staging", sites["staging"].kubeconfig, "--testing", sites["testing"].kubeconfig)
            done = mirrored.command("ramp", "run", *options, *kubeconfigs, *measured, "--json", timeout=240)
        assert done.returncode == 1, done.stderr
        state = json.loads(done.stdout)
        assert (state["phase"], state["percent"], state["good"]) == ("rolled back", 5.0, 5.0), state
        assert state["reason"].startswith("at 25 %: ")
        assert "copies in flight" in state["reason"]
        live = mirrored.get("staging", "virtualservice", "hello", "greeter")
        shares = [
            mirror["percentage"]["value"]
            for entry in live["spec"]["http"]
            for mirror in entry.get("mirrors", [])
            if "greeter-v2" in mirror["destination"]["host"]
        ]
        assert set(shares) == {5}
        shown = mirrored.command("ramp", "status", "--project", str(mirrored.engine.project_folder), "--mirror", "v2")
        assert shown.returncode == 1
        assert "v2: 5 % is in force, rolled back" in shown.stdout
    finally:
        mirrored.configure(KEY, "50", "float")
        mirrored.engine.up("staging")
