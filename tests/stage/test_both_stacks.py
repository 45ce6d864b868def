"""The project's own two stacks on two clusters, under the policy pack: with the stand-in, and with the real plugins."""

import json
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest

from components.rehearsal.engine import DeploymentEvent, Engine, EngineError, EventKind, Installation, discover
from components.rehearsal.engine.installation import sdk_version
from components.rehearsal.mirror_tls import make_mirror_tls
from components.rehearsal.namespaces import call_inside
from components.rehearsal.scenario import MIRROR_HOST, STAGING, TESTING, RehearsalOptions, stack_config
from components.rehearsal.stage import Stage
from components.rehearsal.standin_provider.cluster import Cluster
from components.rehearsal.standin_provider.settings import Settings
from components.rehearsal.venues import stage_engine, stage_site
from tests.support import stock_pulumi

pytestmark = [pytest.mark.stage, pytest.mark.timeout(900)]

ROLES: Final = (TESTING, STAGING)
"""Testing first: staging reads its offer."""

PROJECT: Final = Path(__file__).resolve().parents[2]
PACK: Final = PROJECT / "policies"
ON_PREMISES: Final = PROJECT / "examples" / "ci" / "policies.on-premises.json"
ROUTE: Final = "kubernetes:networking.istio.io/v1:VirtualService"
ASSIGNED: Final = ("clusterIP", "clusterIPs", "nodePort", "healthCheckNodePort")
"""Fields that a cluster chooses anew for each object."""

BOOKKEEPING: Final = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "uid")


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
            config = stack_config(options, stage_site(self.stage, role))
            self.engine.set_config(role, config, secrets={"mirrorTls": json.dumps(self.tls[role])})

    def by_hand(self, *arguments: str) -> None:
        """Run the CLI as a user would, inside the stage's network."""
        done = subprocess.run(
            self.stage.fabric_command(("pulumi", *arguments, "--non-interactive")),
            cwd=self.engine.project_folder,
            env=self.engine.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def outputs(self) -> dict[str, dict[str, Any]]:
        """Outputs of both stacks, and whether each is a secret."""
        return {
            role: {key: (item.value, item.secret) for key, item in self.engine.outputs(role).items()} for role in ROLES
        }

    def objects(self) -> dict[str, Any]:
        """Every object of both stacks as the clusters have it, without what differs between any two runs."""
        found: dict[str, Any] = {}
        for role in ROLES:
            cluster = Cluster(Settings(kubeconfig=str(self.stage.kubeconfigs[role])))
            state: Any = self.engine.export(role)
            for resource in state["resources"]:
                if resource["custom"] and resource["type"].startswith("kubernetes:"):
                    found[f"{role} {resource['urn'].split('::', 2)[2]}"] = self._live(cluster, resource)
        return found

    def _live(self, cluster: Cluster, resource: Mapping[str, Any]) -> Any:
        outputs: dict[str, Any] = resource["outputs"]
        if resource["type"] == "kubernetes:helm.sh/v3:Release":
            return {"status": {**outputs["status"], "revision": 0}, "names": outputs["resourceNames"]}
        namespace, _, name = resource["id"].rpartition("/")

        def read() -> dict[str, Any] | None:
            kind = cluster.find_kind(outputs["apiVersion"], outputs["kind"])
            assert kind is not None
            return cluster.get(kind, name, namespace)

        live = call_inside(fabric(self.stage), read)
        assert live is not None, f"{resource['urn']} is not in the cluster"
        return comparable(live)


def comparable(value: Any) -> Any:
    """An object without what the server and the cluster choose anew each time."""
    if isinstance(value, list):
        return [comparable(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {key: comparable(item) for key, item in value.items() if key not in (*ASSIGNED, *BOOKKEEPING, "status")}
    annotations = kept.get("annotations")
    if isinstance(annotations, dict):
        kept["annotations"] = {key: item for key, item in annotations.items() if "kubernetes.io" not in key}
    return kept


@pytest.fixture(scope="module")
def tls() -> Mapping[str, Any]:
    """Certificates of the mirror, the same for all runs."""
    return {role: dict(pem) for role, pem in make_mirror_tls(MIRROR_HOST).items()}


@pytest.fixture(scope="module")
def with_standin(stage: Stage, tls: Mapping[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the stand-in makes of both stacks; they are gone again when this is returned."""
    stacks = Stacks(stage, discover(stage.bin / "pulumi", {"PATH": "/usr/bin:/bin"}), tls)
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
        made = {"objects": stacks.objects(), "outputs": stacks.outputs(), "ups": ups, "said": said}
        made["again"] = {role: engine.up(role) for role in ROLES}
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


def test_an_update_breaks_no_rule_and_a_preview_lists_what_it_does_not_know(with_standin: dict[str, Any]) -> None:
    assert with_standin["said"].keys() <= {"preview"}
    assert {line.split(":")[0] for line in with_standin["said"].get("preview", [])} <= {"not-judged"}


def test_a_stricter_house_refuses_the_same_stack(with_standin: dict[str, Any]) -> None:
    for said in with_standin["refusals"]:
        assert "at most 10 % are allowed" in said


def test_both_stacks_come_up_and_a_second_up_changes_nothing(with_standin: dict[str, Any]) -> None:
    for role in ROLES:
        assert set(with_standin["ups"][role].changes) == {"create"}
        assert with_standin["again"][role].unchanged, with_standin["again"][role].changed


def test_another_percentage_changes_the_routing_and_nothing_else(with_standin: dict[str, Any]) -> None:
    changed = with_standin["percent"].changed
    assert with_standin["preview"].changed == changed
    assert any(line.startswith(f"update {ROUTE}") for line in changed)
    kinds = {line.split(" ")[1].rpartition(":")[2] for line in changed}
    assert kinds <= {"VirtualService", "EnvoyFilter"}, changed


def test_destroying_both_stacks_leaves_nothing_of_theirs(stage: Stage, with_standin: dict[str, Any]) -> None:
    for role in ROLES:
        assert with_standin["destroyed"][role].changes["delete"] == with_standin["ups"][role].changes["create"]
        assert not {"hello", "istio-system"} & namespaces(stage, role)


def namespaces(stage: Stage, role: str) -> set[str]:
    """Names of a cluster's namespaces."""
    cluster = Cluster(Settings(kubeconfig=str(stage.kubeconfigs[role])))

    def read() -> list[dict[str, Any]]:
        kind = cluster.find_kind("v1", "Namespace")
        assert kind is not None
        return cluster.select(kind, "", "")

    return {item["metadata"]["name"] for item in call_inside(fabric(stage), read)}


def fabric(stage: Stage) -> str:
    """Name of the namespace from which the clusters can be reached."""
    return stage.fabric_command(())[1].rpartition("/")[2]


@pytest.mark.slow_stage
@pytest.mark.skipif(not stock_pulumi.available(), reason="the real plugins are not on this machine")
def test_the_real_plugins_make_the_same_by_hand(
    stage: Stage, tls: Mapping[str, Any], with_standin: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    variables = stock_pulumi.install(tmp_path_factory.mktemp("stock"), stage.bin / "pulumi", sdk_version())
    installation = discover(None, variables)
    assert not installation.standin
    stacks = Stacks(stage, installation, tls)
    with stacks.engine:
        stacks.configure(100)
        for role in ROLES:
            stacks.by_hand("up", "--yes", "--stack", role)
        assert stacks.outputs() == with_standin["outputs"]
        made, wanted = stacks.objects(), with_standin["objects"]
        assert sorted(made) == sorted(wanted)
        for name in wanted:
            assert made[name] == wanted[name], name
        for role in ROLES:
            stacks.by_hand("preview", "--stack", role, "--expect-no-changes")
        for role in reversed(ROLES):
            stacks.by_hand("destroy", "--yes", "--stack", role)
