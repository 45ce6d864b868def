"""Branches and the expiry guard by configuration alone."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pulumi_traffic_mirror.model import ValidationError
from tests.program.test_program import ADDRESS, ROOT, TESTING, config
from tests.support.recording import Recording, refused, run_program

IMAGE = f"registry.example/greeter@sha256:{'0' * 64}"


def branch(**changes: Any) -> dict[str, Any]:
    started = f"{datetime.now(UTC) - timedelta(hours=1):%Y-%m-%dT%H:%MZ}"
    return {"image": IMAGE, "started": started, "headers": {"x-user": "alice"}, **changes}


def staging(**changes: Any) -> dict[str, Any]:
    return {**config("staging"), **{f"traffic-mirror:{key}": value for key, value in changes.items()}}


def deploy(**changes: Any) -> Recording:
    return run_program(
        ROOT / "__main__.py", config=staging(**changes), stack="staging", outputs=ADDRESS, stack_references=TESTING
    )


def test_a_branch_of_the_configuration_gets_its_own_mirror() -> None:
    recording = deploy(branches={"alices-bug": branch(env={"VERSION": "branch"})})
    routes = recording.one("kubernetes:networking.istio.io/v1:VirtualService").input("spec.http")
    taking = [entry for entry in routes if "alices-bug" in str(entry.get("mirrors"))]
    assert taking
    assert all("alice" in str(entry["match"]) for entry in taking)


def test_a_branch_that_has_ended_leaves_with_the_next_deployment() -> None:
    recording = deploy(branches={"old": branch(started="2020-01-01T00:00Z")})
    assert not [resource for resource in recording.resources if resource.name.startswith("old-")]
    assert any("The branch old ended" in line.message for line in recording.logs)


def test_the_guard_is_there_when_it_has_an_image() -> None:
    assert not deploy().of_type("trafficmirror:index:ExpiryGuard")
    recording = deploy(expiryGuard={"image": IMAGE, "everyMinutes": 1})
    assert recording.one("kubernetes:batch/v1:CronJob").input("spec.schedule") == "* * * * *"


def test_every_overlay_has_a_guard_of_its_own() -> None:
    shop = {
        "on": [{"hosts": ["shop.example.com"]}],
        "mirrors": [{"percent": 100, "service": {"host": "next.shop.svc.cluster.local", "port": 80}}],
        "namespace": "shop",
    }
    recording = deploy(
        expiryGuard={"image": IMAGE}, mirrors={"crossCluster": {"absent": True}, "overlay": {"shop": shop}}
    )
    jobs = recording.of_type("kubernetes:batch/v1:CronJob")
    assert {(job.input("metadata.namespace"), job.input("metadata.name")) for job in jobs} == {
        ("expiry", "expiry"),
        ("expiry-shop", "expiry-shop"),
    }


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"branches": {"a": {"image": IMAGE}}}, "traffic-mirror:branches.a.started in Pulumi.staging.yaml"),
        ({"branches": {"a": branch(days=3)}}, "traffic-mirror:branches.a.days in Pulumi.staging.yaml"),
        ({"branches": {"a": branch(hours=400)}}, "traffic-mirror:branches.a.hours in Pulumi.staging.yaml = 400"),
        ({"branches": {"a": branch(headers={})}}, "traffic-mirror:branches.a.headers in Pulumi.staging.yaml"),
        ({"branches": ["a"]}, "traffic-mirror:branches in Pulumi.staging.yaml"),
        ({"expiryGuard": {"image": "guard:1"}}, "traffic-mirror:expiryGuard.image in Pulumi.staging.yaml"),
    ],
)
def test_wrong_keys_are_located(changes: dict[str, Any], said: str) -> None:
    refusal = refused(
        ROOT / "__main__.py",
        ValidationError,
        config=staging(**changes),
        stack="staging",
        outputs=ADDRESS,
        stack_references=TESTING,
    )
    assert said in str(refusal.error)
