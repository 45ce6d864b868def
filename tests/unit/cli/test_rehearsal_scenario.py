"""What the rehearsal deploys is what the program accepts, and evidence is sought where the program puts it."""

import json
from dataclasses import asdict
from typing import Any

import pytest
import yaml

from components.model import Destination, Percent, ValidationError
from components.operations.trial import TrialJob
from components.program import Role, StackSettings, load
from components.rehearsal.scenario import RehearsalOptions, Site, mirror_plans, stack_config, trial_job
from tests.support.recording import run_program

# As the command line gives them: values of the model, which are subclasses of plain numbers.
OPTIONS = RehearsalOptions(in_cluster_percent=Percent(50), cross_cluster_percent=Percent(12.5))
STAGING = Site(
    role="staging",
    kubeconfig="/stage/a",
    context="a",
    greeter_image="stage.local/greeter:1",
    istio={"hub": "stage.local"},
)
TESTING = Site(role="testing", kubeconfig="/stage/b", greeter_image="registry.example/greeter@sha256:" + "0" * 64)


def settings(site: Site, **arguments: Any) -> StackSettings:
    read: list[StackSettings] = []
    config: Any = stack_config(OPTIONS, site, **arguments)
    run_program(lambda: read.append(load()), config=config, stack=site.role)
    return read[0]


def job(address: str = "198.18.0.110") -> TrialJob:
    return trial_job(OPTIONS, STAGING, TESTING, gateway_address=address, run_id="run1", timeout_seconds=5)


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


@pytest.mark.parametrize("site", [STAGING, TESTING])
def test_the_configuration_can_be_written_as_yaml(site: Site) -> None:
    assert yaml.safe_load(yaml.safe_dump(stack_config(OPTIONS, site)))["role"] == site.role


def test_both_stacks_have_the_same_contract() -> None:
    assert settings(STAGING).contract.digest == settings(TESTING).contract.digest


def test_only_an_image_without_digest_needs_a_waiver() -> None:
    assert settings(STAGING).greeter.flag("allowTag", default=False)
    assert not settings(TESTING).greeter.flag("allowTag", default=True)


def test_evidence_is_sought_in_the_proxy_clusters_that_the_mirrors_have() -> None:
    found = settings(STAGING)
    places = job().witness.mirrors
    v2 = Destination(f"greeter-v2.{found.namespace}.svc.cluster.local", found.contract.port)
    across = Destination(found.contract.mirror_host, found.contract.port)
    assert places["in-cluster"].proxy_cluster == v2.cluster_name
    assert places["cross-cluster"].proxy_cluster == across.cluster_name
    assert {place.workload.namespace for place in places.values()} == {found.namespace}


def test_copies_may_carry_every_authority_that_testing_accepts() -> None:
    found = settings(TESTING)
    accepted = {f"{host}:{found.contract.port}" for host in found.contract.accepted_hosts}
    assert all(set(plan.authorities) == accepted for plan in mirror_plans(OPTIONS))
    assert job().calls.authority in accepted


def test_the_trial_survives_its_way_to_a_child() -> None:
    assert TrialJob.from_json(json.loads(json.dumps(asdict(job())))) == job()


def test_an_ipv6_gateway_is_put_in_brackets() -> None:
    assert job("fd00::7").calls.address == "[fd00::7]:8000"
    assert job("gateway.example").calls.address == "gateway.example:8000"


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
    ],
)
def test_options_out_of_range_are_refused(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        RehearsalOptions(**{field: value})
    assert caught.value.field == field
