"""Ends on two real clusters: copies stop at the end though nobody acts."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.mirrored import Mirrored

pytestmark = [pytest.mark.stage, pytest.mark.slow_stage]

GUARD_SOURCE = Path(__file__).parents[3] / "components" / "workloads" / "expiry" / "server"
DEPLOY_SECONDS = 40
"""Shortest time from now to the end: longer than a deployment takes, which is refused after the end."""

CRON_SECONDS = 150
"""The guard looks every minute; its pod takes some seconds, and the minute may just have begun."""


def soon() -> datetime:
    """An end two seconds before a full minute, at which the guard looks."""
    earliest = datetime.now(UTC) + timedelta(seconds=DEPLOY_SECONDS + 2)
    return earliest.replace(second=0, microsecond=0) + timedelta(minutes=1, seconds=-2)


def shares(mirrored: Mirrored) -> set[float]:
    """Shares of v2 in the live routes and in the lists that replace them in proxies."""
    routes = mirrored.get("staging", "virtualservice", "hello", "greeter")
    found = {
        mirror["percentage"]["value"]
        for entry in routes["spec"]["http"]
        for mirror in entry.get("mirrors", [])
        if "greeter-v2" in mirror["destination"]["host"]
    }
    filters = mirrored.get("staging", "envoyfilter", "istio-system", "hello-greeter-mirrors")
    for patch in filters["spec"]["configPatches"]:
        for policy in patch["patch"]["value"].get("route", {}).get("request_mirror_policies", []):
            if "greeter-v2" in policy["cluster"]:
                found.add(policy["runtime_fraction"]["default_value"]["numerator"] / 10_000)
    return found


def test_copies_stop_at_the_end_though_nobody_acts_and_the_next_deployment_meets_no_conflict(
    mirrored: Mirrored,
) -> None:
    image = mirrored.stage.add_python_app("stage.local/expiry-guard", source=GUARD_SOURCE, entry="/app/expiry_guard.py")
    end = soon()
    mirrored.configure("traffic-mirror:mirrors.inCluster.expires", f"{end:%Y-%m-%dT%H:%M:%SZ}")
    mirrored.configure("traffic-mirror:expiryGuard.image", image)
    mirrored.configure("traffic-mirror:expiryGuard.allowTag", "true", "bool")
    mirrored.configure("traffic-mirror:expiryGuard.everyMinutes", "1", "int")
    try:
        mirrored.engine.up("staging")
        assert shares(mirrored) == {50}
        deadline = end.timestamp() + CRON_SECONDS
        while shares(mirrored) != {0}:
            assert time.time() < deadline, mirrored.stage.kubectl("staging", "get", "jobs,pods", "-n", "expiry")
            time.sleep(1)
        assert datetime.now(UTC) >= end
        result = mirrored.verify_until(lambda found: found["exit"] == 0, "--expect", "v2=0", "--calls", "60")
        assert result["exit"] == 0, result
        listed = mirrored.command("expire", "--cluster", mirrored.clusters["staging"].kubeconfig, "--json")
        assert listed.returncode == 1
        assert {e["name"]: e["state"] for e in json.loads(listed.stdout)["ends"]}["v2"] == "ended"
        removed = mirrored.command("expire", *mirrored.stack_options, "--apply", "--json")
        assert removed.returncode == 0, removed.stderr
        assert json.loads(removed.stdout)["removed"] == ["traffic-mirror:mirrors.inCluster"]
        live = mirrored.get("staging", "virtualservice", "hello", "greeter")
        assert "greeter-v2" not in json.dumps(live["spec"])
    finally:
        mirrored.pulumi("config", "rm", "--path", "traffic-mirror:mirrors.inCluster")
        mirrored.pulumi("config", "rm", "traffic-mirror:expiryGuard")
        mirrored.configure("traffic-mirror:mirrors.inCluster.percent", "50", "float")
        mirrored.engine.up("staging")
