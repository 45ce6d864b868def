"""Both stacks live on: shares, hosts, mirrors and control plane change under traffic, and nothing remains at the end.

One deployment of the project's own program takes every step; a client calls staging all the while.
"""

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pytest

from components.operations.calls import CallJob, CallResult, CallSummary, call_from_child
from components.operations.trial import TrialResult, trial_in_child
from components.operations.verdict import Outcome, judge
from components.rehearsal.engine import Engine, discover
from components.rehearsal.engine import Outcome as Deployment
from components.rehearsal.mirror_tls import make_mirror_tls
from components.rehearsal.scenario import (
    CROSS_CLUSTER,
    HOST,
    MIRROR_HOST,
    PORT,
    STAGING,
    TESTING,
    RehearsalOptions,
    stack_config,
    trial_job,
)
from components.rehearsal.stage import Stage
from components.rehearsal.venues import stage_engine, stage_site
from tests.support.inventory import Key, take_inventory

pytestmark = [pytest.mark.stage, pytest.mark.slow_stage, pytest.mark.timeout(900)]

ROLES: Final = (TESTING, STAGING)
PROJECT: Final = Path(__file__).resolve().parents[2]
SECOND_HOST: Final = "second.staging.example"
OLD, NEW, TAG = "blue", "green", "live"
CALLS_PER_SECOND: Final = 20.0
ISTIO_GROUP: Final = ".istio.io"
ROUTING_CHANGES: Final = (
    "update kubernetes:networking.istio.io/v1:VirtualService greeter-virtual-service",
    "update kubernetes:networking.istio.io/v1alpha3:EnvoyFilter greeter-envoy-filter",
)

Inventory = Mapping[Key, Mapping[str, Any]]


@dataclass(kw_only=True)
class Story:
    """What was seen at each step."""

    before: dict[str, Inventory] = field(default_factory=dict[str, Inventory])
    after: dict[str, Inventory] = field(default_factory=dict[str, Inventory])
    steps: dict[str, Deployment] = field(default_factory=dict[str, Deployment])
    generations: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    """By step: objects of staging whose specification changed."""
    trials: dict[str, TrialResult] = field(default_factory=dict[str, TrialResult])
    outcomes: dict[str, Outcome] = field(default_factory=dict[str, Outcome])
    traffic: list[CallResult] = field(default_factory=list[CallResult])
    revisions: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    """By step: revisions of the proxies in staging."""
    control_planes: set[str] = field(default_factory=set[str])
    """Deployments of istiod at the end."""


class Stacks:
    """Both stacks on the stage, each with its present configuration."""

    def __init__(self, stage: Stage, engine: Engine, story: Story) -> None:
        self.stage = stage
        self.engine = engine
        self.story = story
        self.tls = {role: json.dumps(dict(pem)) for role, pem in make_mirror_tls(MIRROR_HOST).items()}
        options = RehearsalOptions(in_cluster_percent=50, cross_cluster_percent=100)
        self.config: dict[str, Any] = {role: stack_config(options, stage_site(stage, role)) for role in ROLES}
        self.config[STAGING]["istio"] |= {"revision": OLD, "revisionTags": [TAG]}

    def up(self, role: str, step: str = "") -> Deployment:
        """Deploy a stack as it is configured, and note it as ``step``."""
        self.engine.set_config(role, self.config[role], secrets={"mirrorTls": self.tls[role]})
        before = self._generations() if step else {}
        deployment = self.engine.up(role)
        if step:
            now = self._generations()
            self.story.steps[step] = deployment
            self.story.generations[step] = {key for key, value in now.items() if before.get(key) != value}
            self.story.revisions[step] = self._revisions()
        return deployment

    def _generations(self) -> dict[str, int]:
        kinds = "virtualservices,destinationrules,serviceentries,gateways.networking.istio.io,envoyfilters,deployments"
        items = json.loads(self.stage.kubectl(STAGING, "get", kinds, "-A", "-o", "json"))["items"]
        return {f"{item['kind']} {item['metadata']['name']}": item["metadata"]["generation"] for item in items}

    def _revisions(self) -> set[str]:
        pods = json.loads(self.stage.kubectl(STAGING, "get", "pods", "-A", "-o", "json"))["items"]
        found: set[str] = set()
        for pod in pods:
            note = pod["metadata"].get("annotations", {}).get("sidecar.istio.io/status")
            if note and not pod["metadata"].get("deletionTimestamp"):
                found.add(json.loads(note)["revision"])
        return found

    def trial(self, step: str, *, authority: str = HOST, mirrors: tuple[str, ...] = (CROSS_CLUSTER,)) -> None:
        """Call a host of staging, and judge what became of the calls and their copies."""
        job = trial_job(
            RehearsalOptions(calls=60, in_cluster_percent=50, cross_cluster_percent=self._percent()),
            *(stage_site(self.stage, role) for role in (STAGING, TESTING)),
            gateway_address=self.stage.gateway_addresses[STAGING],
            run_id=step,
            timeout_seconds=30,
        )
        accepted = tuple(f"{form}:{PORT}" for form in (authority, f"{authority}-shadow"))
        plans = tuple(replace(plan, authorities=accepted) for plan in job.mirrors if plan.name in mirrors)
        places = {name: place for name, place in job.witness.mirrors.items() if name in mirrors}
        job = replace(
            job,
            calls=replace(job.calls, authority=f"{authority}:{PORT}"),
            mirrors=plans,
            witness=replace(job.witness, mirrors=places),
        )
        result = trial_in_child(job, lambda _: None, wrap=self.stage.fabric_command, timeout_seconds=120)
        self.story.trials[step] = result
        self.story.outcomes[step] = judge(
            version="v1", mirrors=plans, calls=result.calls, evidence=result.evidence
        ).outcome

    def _percent(self) -> float:
        return float(self.config[STAGING]["mirrors"]["crossCluster"].get("percent", 100))

    @contextmanager
    def called_all_the_while(self) -> Iterator[None]:
        """Call staging in the background, over one client."""
        job = CallJob(
            address=f"{self.stage.gateway_addresses[STAGING]}:{PORT}",
            authority=f"{HOST}:{PORT}",
            run_id="all-the-while",
            count=100_000,
            concurrency=4,
            calls_per_second=CALLS_PER_SECOND,
        )
        over = threading.Event()

        def call() -> None:
            for result in call_from_child(job, wrap=self.stage.fabric_command, timeout_seconds=600):
                self.story.traffic.append(result)
                if over.is_set():
                    break

        with ThreadPoolExecutor(1) as pool:
            calling = pool.submit(call)
            try:
                yield
            finally:
                over.set()
                calling.result()


@pytest.fixture(scope="module")
def story(stage: Stage) -> Story:
    """The whole story, once."""
    story = Story()
    story.before = {role: take_inventory(stage, role) for role in ROLES}
    with stage_engine(stage, discover(stage.bin / "pulumi"), PROJECT) as engine:
        stacks = Stacks(stage, engine, story)
        _bring_up(stacks)
        with stacks.called_all_the_while():
            _change_routing(stacks)
            _change_revision(stacks)
        deployments = json.loads(stage.kubectl(STAGING, "get", "deployments", "-A", "-l", "app=istiod", "-o", "json"))
        story.control_planes = {item["metadata"]["name"] for item in deployments["items"]}
        # Staging first: it reads testing's offer.
        engine.destroy(STAGING)
        engine.destroy(TESTING)
    story.after = {role: take_inventory(stage, role) for role in ROLES}
    return story


def _bring_up(stacks: Stacks) -> None:
    """Both at once, as a rehearsal does: staging first without its mirror to testing, which it says."""
    across = stacks.config[STAGING]["mirrors"]["crossCluster"]
    stacks.config[STAGING]["mirrors"]["crossCluster"] = {"absent": True}
    with ThreadPoolExecutor() as pool:
        list(pool.map(stacks.up, ROLES))
    stacks.config[STAGING]["mirrors"]["crossCluster"] = across
    stacks.up(STAGING, "testing appears")
    stacks.trial("testing-appears")


def _change_routing(stacks: Stacks) -> None:
    stacks.config[STAGING]["mirrors"]["crossCluster"]["percent"] = 50.0
    stacks.up(STAGING, "percent")
    for role in ROLES:
        stacks.config[role]["contract"]["hosts"] = [HOST, SECOND_HOST]
        stacks.up(role, f"second host in {role}")
    stacks.config[STAGING]["mirrors"]["crossCluster"]["percent"] = 100.0
    del stacks.config[STAGING]["mirrors"]["inCluster"]
    stacks.up(STAGING, "a mirror less")
    stacks.trial("second-host", authority=SECOND_HOST)


def _change_revision(stacks: Stacks) -> None:
    """The other revision is configured differently: it appends the suffix to the authority of mirrors."""
    istio = stacks.config[STAGING]["istio"]
    other = {"version": istio["version"], "revision": NEW, "env": {"DISABLE_SHADOW_HOST_SUFFIX": "false"}}
    istio["canary"] = other
    stacks.up(STAGING, "canary beside")
    istio["canaryServes"] = True
    stacks.up(STAGING, "canary serves")
    del istio["canary"], istio["canaryServes"]
    istio |= other
    stacks.up(STAGING, "canary alone")
    stacks.trial("canary")


def test_a_change_of_percent_changes_one_virtual_service_and_its_envoy_filter(story: Story) -> None:
    assert story.steps["percent"].changed == ROUTING_CHANGES
    assert story.generations["percent"] == {"VirtualService greeter", "EnvoyFilter hello-greeter-mirrors"}


def test_testing_may_come_after_staging(story: Story) -> None:
    lines = [line for line in story.steps["testing appears"].changed if line.startswith("create kubernetes:")]
    created = {line.split(" ")[-1] for line in lines}
    assert created == {"greeter-testing-destination-rule", "greeter-testing-service-entry"}
    assert story.outcomes["testing-appears"] is Outcome.HOLDS


def test_a_second_host_is_mirrored_too(story: Story) -> None:
    for role in ROLES:
        operations = Counter(line.split(" ")[0] for line in story.steps[f"second host in {role}"].changed)
        assert set(operations) == {"update"}, operations
    assert story.outcomes["second-host"] is Outcome.HOLDS
    arrivals = story.trials["second-host"].evidence.arrivals[CROSS_CLUSTER]
    assert set(arrivals.authorities) == {f"{SECOND_HOST}:{PORT}"}


def test_a_mirror_that_is_taken_away_takes_its_objects_along(story: Story) -> None:
    lines = story.steps["a mirror less"].changed
    assert [line for line in lines if line.startswith("update")] == list(ROUTING_CHANGES)
    deleted = [line.split(" ")[-1] for line in lines if line.startswith("delete")]
    assert deleted
    assert all("v2" in name for name in deleted), deleted


def test_proxies_move_to_the_other_revision_only_when_it_serves(story: Story) -> None:
    assert story.revisions["a mirror less"] == {OLD}
    assert story.revisions["canary beside"] == {OLD}
    assert story.revisions["canary serves"] == {NEW}
    assert story.revisions["canary alone"] == {NEW}
    assert story.control_planes == {f"istiod-{NEW}"}


def test_copies_arrive_under_the_other_revision_s_authority(story: Story) -> None:
    assert story.outcomes["canary"] is Outcome.HOLDS
    arrivals = story.trials["canary"].evidence.arrivals[CROSS_CLUSTER]
    assert set(arrivals.authorities) == {f"{HOST}-shadow:{PORT}"}


def test_no_call_fails_through_all_the_changes(story: Story) -> None:
    summary = CallSummary.of(story.traffic)
    assert summary.failures == {}
    assert summary.answered_by == {"v1": summary.total}
    # Two calls a second would do; fewer mean that the client stood still.
    assert summary.total >= 2 * sum(step.seconds for step in story.steps.values())


def test_destroying_leaves_nothing_but_what_istio_itself_keeps(story: Story) -> None:
    for role in ROLES:
        before, after = story.before[role], story.after[role]
        remains = {key for key in after.keys() - before.keys() if not _kept_by_istio(key, after[key])}
        assert remains == set()
        assert before.keys() - after.keys() == set()


def _kept_by_istio(key: Key, metadata: Mapping[str, Any]) -> bool:
    """Definitions, whose deletion would delete everybody's objects; and what istiod writes into every namespace."""
    kind, _, name = key
    if kind == "ConfigMap":
        return metadata.get("labels", {}).get("istio.io/config") == "true"
    return kind.startswith(("CustomResourceDefinition.", "APIService.")) and name.endswith(ISTIO_GROUP)
