"""What the rehearsal deploys is what the program accepts, and what is verified is what it deploys."""

import json
from typing import Any

import pytest
import yaml

from pulumi_traffic_mirror.model import Percent, ValidationError
from pulumi_traffic_mirror.operations.verify.job import VerifyJob
from pulumi_traffic_mirror.program import Role, StackSettings, load
from pulumi_traffic_mirror.rehearsal.scenario import RehearsalCluster, RehearsalOptions, stack_config, verify_job
from tests.support.recording import run_program

# As the command line gives them: values of the model, which are subclasses of plain numbers.
OPTIONS = RehearsalOptions(in_cluster_percent=Percent(50), cross_cluster_percent=Percent(12.5))
STAGING = RehearsalCluster(
    role="staging",
    kubeconfig="/stage/a",
    context="a",
    greeter_image="stage.local/greeter:1",
    istio={"hub": "stage.local"},
)
TESTING = RehearsalCluster(
    role="testing", kubeconfig="/stage/b", greeter_image="registry.example/greeter@sha256:" + "0" * 64
)


def settings(cluster: RehearsalCluster, **arguments: Any) -> StackSettings:
    read: list[StackSettings] = []
    config: Any = stack_config(OPTIONS, cluster, **arguments)
    run_program(lambda: read.append(load()), config=config, stack=cluster.role)
    return read[0]


def job(address: str = "198.18.0.110") -> VerifyJob:
    return verify_job(OPTIONS, STAGING, TESTING, gateway_address=address, warm_up_seconds=5)


def test_the_program_accepts_staging_with_both_mirrors() -> None:
    found = settings(STAGING)
    assert found.role is Role.STAGING
    assert found.in_cluster is not None
    assert found.in_cluster.percent == 50
    assert found.cross_cluster is not None
    assert found.cross_cluster.percent == 12.5
    assert found.istio.text("hub") == "stage.local"
    assert found.cluster.text("kubeconfigPath") == "/stage/a"


def test_staging_can_come_up_before_testing_is_there() -> None:
    assert settings(STAGING, mirror_to_testing=False).cross_cluster is None


@pytest.mark.parametrize("cluster", [STAGING, TESTING])
def test_the_configuration_can_be_written_as_yaml(cluster: RehearsalCluster) -> None:
    assert yaml.safe_load(yaml.safe_dump(stack_config(OPTIONS, cluster)))["role"] == cluster.role


def test_both_stacks_have_the_same_contract() -> None:
    assert settings(STAGING).contract.digest == settings(TESTING).contract.digest


def test_only_an_image_without_digest_needs_a_waiver() -> None:
    assert settings(STAGING).greeter.flag("allowTag", default=False)
    assert not settings(TESTING).greeter.flag("allowTag", default=True)


def test_what_is_verified_is_what_the_program_deploys() -> None:
    found = settings(STAGING)
    assert job().host in found.contract.hosts
    assert set(job().expected.values()) == {50, 12.5}
    assert [access.name for access in (job().staging, *job().receiving)] == ["staging", "testing"]


def test_the_job_survives_its_way_to_a_child() -> None:
    assert VerifyJob.from_json(json.loads(json.dumps(job().to_json()))) == job()


def test_an_ipv6_gateway_is_put_in_brackets() -> None:
    assert job("fd00::7").address == "[fd00::7]:8000"
    assert job("gateway.example").address == "gateway.example:8000"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("calls", 0),
        ("calls", -1),
        ("calls", 1_000_001),
        ("in_cluster_percent", 101),
        ("cross_cluster_percent", -1),
        ("cross_cluster_percent", float("nan")),
        ("timeout_seconds", 0),
        ("timeout_seconds", float("nan")),
        ("timeout_seconds", float("inf")),
        ("timeout_seconds", 86_401),
    ],
)
def test_options_out_of_range_are_refused(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        RehearsalOptions(**{field: value})
    assert caught.value.field == field
