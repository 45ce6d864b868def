"""The project's own two stacks on two clusters, under the policy pack."""

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest

from pulumi_traffic_mirror.rehearsal.embedded import embedded_cluster, stage_engine
from pulumi_traffic_mirror.rehearsal.engine import (
    PROVIDER,
    DeploymentEvent,
    Engine,
    EngineError,
    EventKind,
    Installation,
    discover,
)
from pulumi_traffic_mirror.rehearsal.mirror_tls import make_mirror_tls
from pulumi_traffic_mirror.rehearsal.scenario import MIRROR_HOST, STAGING, TESTING, RehearsalOptions, stack_config
from pulumi_traffic_mirror.rehearsal.stage import Stage

pytestmark = [pytest.mark.stage, pytest.mark.timeout(900)]

ROLES: Final = (TESTING, STAGING)
"""Testing first: staging reads its offer."""

PROJECT: Final = Path(__file__).resolve().parents[2]
PACK: Final = PROJECT / "policies"
ON_PREMISES: Final = PROJECT / "examples" / "ci" / "policies.on-premises.json"
ROUTE: Final = "kubernetes:networking.istio.io/v1:VirtualService"


class Stacks:
    """Both stacks, deployed by one engine."""

    def __init__(self, stage: Stage, installation: Installation, tls: Mapping[str, Any]) -> None:
        self.stage = stage
        self.engine: Engine = stage_engine(stage, installation, PROJECT)
        self.tls = tls

    def configure(self, percent: float, roles: tuple[str, ...] = ROLES) -> None:
        """Set what the stacks are to be."""
        options = RehearsalOptions(cross_cluster_percent=percent)
        for role in roles:
            config = stack_config(options, embedded_cluster(self.stage, role))
            self.engine.set_config(role, config, secrets={"mirrorTls": json.dumps(self.tls[role])})


@pytest.fixture(scope="module")
def tls() -> Mapping[str, Any]:
    """Certificates of the mirror, the same for all runs."""
    return {role: dict(pem) for role, pem in make_mirror_tls(MIRROR_HOST).items()}


@pytest.fixture(scope="module")
def deployed(stage: Stage, tls: Mapping[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What becomes of both stacks; they are gone again when this is returned."""
    stacks = Stacks(stage, discover(stage.bin / "pulumi", stage.bin / PROVIDER, {"PATH": "/usr/bin:/bin"}), tls)
    strict = tmp_path_factory.mktemp("policies") / "strict.json"
    limits = {"mirror-percent-limit": {"maxPercentByStack": {STAGING: 10}}}
    strict.write_text(json.dumps(json.loads(ON_PREMISES.read_text()) | limits))
    with stacks.engine as engine:
        stacks.configure(100)
        said: dict[str, list[str]] = {}
        ups = {}
        for role in ROLES:
            engine.preview(role, policy_packs=[PACK], policy_config=ON_PREMISES, on_event=keep(said, "preview"))
            ups[role] = engine.up(role, policy_packs=[PACK], policy_config=ON_PREMISES, on_event=keep(said, "up"))
        made: dict[str, Any] = {"ups": ups, "said": said}
        made["again"] = {role: engine.up(role) for role in ROLES}
        made["refreshed"] = {role: engine.refresh(role) for role in ROLES}
        made["refusals"] = [
            refusal(deploy, STAGING, policy_packs=[PACK], policy_config=strict)
            for deploy in (engine.preview, engine.up)
        ]
        stacks.configure(10, (STAGING,))
        made["preview"] = engine.preview(STAGING)
        made["percent"] = engine.up(STAGING)
        with ThreadPoolExecutor() as pool:
            made["destroyed"] = dict(zip(ROLES, pool.map(engine.destroy, ROLES), strict=True))
    return made


def keep(said: dict[str, list[str]], step: str) -> Callable[[DeploymentEvent], None]:
    """Collect what policies say during a step."""

    def collect(event: DeploymentEvent) -> None:
        if event.kind is EventKind.POLICY:
            said.setdefault(step, []).append(event.message)

    return collect


def refusal(deploy: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    """Why a deployment is refused."""
    with pytest.raises(EngineError) as caught:
        deploy(*arguments, **options)
    return str(caught.value)


def test_an_update_breaks_no_rule_and_a_preview_lists_what_it_does_not_know(deployed: dict[str, Any]) -> None:
    assert deployed["said"].keys() <= {"preview"}
    assert {line.split(":")[0] for line in deployed["said"].get("preview", [])} <= {"not-judged"}


def test_a_stricter_house_refuses_the_same_stack(deployed: dict[str, Any]) -> None:
    for said in deployed["refusals"]:
        assert "at most 10 % are allowed" in said


def test_both_stacks_come_up_and_a_second_up_changes_nothing(deployed: dict[str, Any]) -> None:
    for role in ROLES:
        assert set(deployed["ups"][role].changes) == {"create"}
        assert deployed["again"][role].unchanged, deployed["again"][role].changed


def test_a_refresh_finds_nothing_that_differs(deployed: dict[str, Any]) -> None:
    for role in ROLES:
        assert deployed["refreshed"][role].unchanged, deployed["refreshed"][role].changed


def test_another_percentage_changes_the_routing_and_nothing_else(deployed: dict[str, Any]) -> None:
    changed = deployed["percent"].changed
    assert deployed["preview"].changed == changed
    assert any(line.startswith(f"update {ROUTE}") for line in changed)
    kinds = {line.split(" ")[1].rpartition(":")[2] for line in changed}
    assert kinds <= {"VirtualService", "EnvoyFilter"}, changed


def test_destroying_both_stacks_leaves_nothing_of_theirs(stage: Stage, deployed: dict[str, Any]) -> None:
    for role in ROLES:
        assert deployed["destroyed"][role].changes["delete"] == deployed["ups"][role].changes["create"]
        assert not {"hello", "internal-gateway", "istio-system"} & namespaces(stage, role)


def namespaces(stage: Stage, role: str) -> set[str]:
    """Names of a cluster's namespaces."""
    command = ["kubectl", f"--kubeconfig={stage.kubeconfigs[role]}", "get", "namespaces", "--output=name"]
    done = stage.run_in_fabric(command, timeout=60)
    return {line.rpartition("/")[2] for line in done.stdout.splitlines()}
