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

from pulumi_traffic_mirror.operations.calls import CallJob, CallResult, CallSummary, call_from_child
from pulumi_traffic_mirror.operations.outcome import Outcome
from pulumi_traffic_mirror.operations.verify.child import verify_in_child
from pulumi_traffic_mirror.operations.verify.report import Report
from pulumi_traffic_mirror.rehearsal.embedded import embedded_cluster, stage_engine
from pulumi_traffic_mirror.rehearsal.engine import PROVIDER, Engine, discover
from pulumi_traffic_mirror.rehearsal.engine import Outcome as Deployment
from pulumi_traffic_mirror.rehearsal.mirror_tls import make_mirror_tls
from pulumi_traffic_mirror.rehearsal.scenario import (
    CROSS_CLUSTER,
    HOST,
    MIRROR_HOST,
    PORT,
    STAGING,
    TESTING,
    RehearsalOptions,
    stack_config,
    verify_job,
)
from pulumi_traffic_mirror.rehearsal.stage import Stage
from tests.support.inventory import Key, take_inventory

pytestmark = [pytest.mark.stage, pytest.mark.slow_stage, pytest.mark.timeout(900)]

ROLES: Final = (TESTING, STAGING)
PROJECT: Final = Path(__file__).resolve().parents[2]
SECOND_HOST: Final = "second.staging.example"
OLD, NEW, TAG = "blue", "green", "live"
CALLS_PER_SECOND: Final = 20.0
ROOT: Final = "istio-system"
IN_ROOT: Final = {
    "namespace": ROOT,
    "inRootNamespace": {"reason": "it has been there since last year"},
    "keepReplaced": True,
}
GATEWAY: Final = "internal-gateway"
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
    reports: dict[str, Report] = field(default_factory=dict[str, Report])
    traffic: list[CallResult] = field(default_factory=list[CallResult])
    revisions: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    """By step: revisions of the proxies in staging."""
    gateways: set[str] = field(default_factory=set[str])
    """Namespaces with a gateway's pods in staging while it moves."""
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
        self.config: dict[str, Any] = {role: stack_config(options, embedded_cluster(stage, role)) for role in ROLES}
        self.config[STAGING]["istio"] |= {"revision": OLD, "revisionTags": [TAG]}
        self.config[STAGING]["gateway"] |= IN_ROOT

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

    def verify(self, step: str, *, authority: str = HOST, mirrors: tuple[str, ...] = (CROSS_CLUSTER,)) -> None:
        """Call a host of staging, and note what became of the calls and their copies."""
        job = verify_job(
            RehearsalOptions(calls=60, in_cluster_percent=50, cross_cluster_percent=self._percent()),
            *(embedded_cluster(self.stage, role) for role in (STAGING, TESTING)),
            gateway_address=self.stage.gateway_addresses[STAGING],
            warm_up_seconds=30,
        )
        expected = {name: share for name, share in job.expected.items() if name in mirrors}
        self.story.reports[step] = verify_in_child(
            replace(job, host=authority, expected=expected),
            lambda _: None,
            wrap=self.stage.fabric_command,
            timeout_seconds=120,
        )

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
    with stage_engine(stage, discover(stage.bin / "pulumi", stage.bin / PROVIDER), PROJECT) as engine:
        stacks = Stacks(stage, engine, story)
        _bring_up(stacks)
        with stacks.called_all_the_while():
            _move_gateway(stacks)
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
    stacks.verify("testing-appears")


def _move_gateway(stacks: Stacks) -> None:
    """Out of the root namespace: both serve, clients move, the old one goes by hand."""
    gateway = stacks.config[STAGING]["gateway"]
    del gateway["namespace"], gateway["inRootNamespace"]
    stacks.up(STAGING, "gateway moves")
    pods = json.loads(stacks.stage.kubectl(STAGING, "get", "pods", "-A", "-l", f"istio={GATEWAY}", "-o", "json"))
    stacks.story.gateways = {pod["metadata"]["namespace"] for pod in pods["items"]}
    kubeconfig = f"--kubeconfig={stacks.stage.kubeconfigs[STAGING]}"
    stacks.stage.run_in_fabric(["helm", kubeconfig, f"--namespace={ROOT}", "uninstall", "--wait", GATEWAY], timeout=60)
    stacks.stage.kubectl(STAGING, "delete", "secret", "mirror-client", "-n", ROOT)
    # Pods that drain have no routes any more, and verify would read them.
    gone = ("wait", "pods", f"--selector=istio={GATEWAY}", "--for=delete", "--timeout=90s")
    stacks.stage.kubectl(STAGING, *gone, "-n", ROOT, timeout=100)
    del gateway["keepReplaced"]
    stacks.up(STAGING, "gateway has moved")
    stacks.verify("gateway-moved")


def _change_routing(stacks: Stacks) -> None:
    stacks.config[STAGING]["mirrors"]["crossCluster"]["percent"] = 50.0
    stacks.up(STAGING, "percent")
    for role in ROLES:
        stacks.config[role]["contract"]["hosts"] = [HOST, SECOND_HOST]
        stacks.up(role, f"second host in {role}")
    stacks.config[STAGING]["mirrors"]["crossCluster"]["percent"] = 100.0
    del stacks.config[STAGING]["mirrors"]["inCluster"]
    stacks.up(STAGING, "a mirror less")
    stacks.verify("second-host", authority=SECOND_HOST)


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
    stacks.verify("canary")


def test_a_change_of_percent_changes_one_virtual_service_and_its_envoy_filter(story: Story) -> None:
    assert story.steps["percent"].changed == ROUTING_CHANGES
    assert story.generations["percent"] == {"VirtualService greeter", "EnvoyFilter hello-greeter-mirrors"}


def test_testing_may_come_after_staging(story: Story) -> None:
    lines = [line for line in story.steps["testing appears"].changed if line.startswith("create kubernetes:")]
    created = {line.split(" ")[-1] for line in lines}
    assert created == {"greeter-testing-destination-rule", "greeter-testing-service-entry"}
    assert story.reports["testing-appears"].outcome is Outcome.HOLDS, story.reports["testing-appears"]


def test_a_gateway_moves_out_of_the_root_namespace_while_both_serve(story: Story) -> None:
    assert story.gateways == {ROOT, GATEWAY}
    assert story.steps["gateway has moved"].changed == ()
    # Not the whole verdict: the client goes on calling, and a copy of its calls may be on its way just then.
    arrivals = story.reports["gateway-moved"].subject(CROSS_CLUSTER).arrivals
    assert arrivals is not None
    assert (arrivals.calls, arrivals.credentials, arrivals.marks) == (60, {}, {"mirror": 60})


def test_a_second_host_is_mirrored_too(story: Story) -> None:
    for role in ROLES:
        operations = Counter(line.split(" ")[0] for line in story.steps[f"second host in {role}"].changed)
        assert set(operations) == {"update"}, operations
    assert story.reports["second-host"].outcome is Outcome.HOLDS, story.reports["second-host"]
    arrivals = story.reports["second-host"].subject(CROSS_CLUSTER).arrivals
    assert arrivals is not None
    assert set(arrivals.authorities) == {f"{SECOND_HOST}:{PORT}"}


def test_a_mirror_that_is_taken_away_takes_its_objects_along(story: Story) -> None:
    lines = story.steps["a mirror less"].changed
    assert [line for line in lines if line.startswith("update ")] == [ROUTING_CHANGES[0]]
    # Gateways alone need the filter now: it moves from the root namespace to theirs, the new one before the old goes.
    assert [line.split(" ")[-1] for line in lines if line.startswith("replace ")] == ["greeter-envoy-filter"]
    deleted = [line.split(" ")[-1] for line in lines if line.startswith("delete ")]
    assert deleted
    assert all("v2" in name for name in deleted), deleted


def test_proxies_move_to_the_other_revision_only_when_it_serves(story: Story) -> None:
    assert story.revisions["a mirror less"] == {OLD}
    assert story.revisions["canary beside"] == {OLD}
    assert story.revisions["canary serves"] == {NEW}
    assert story.revisions["canary alone"] == {NEW}
    assert story.control_planes == {f"istiod-{NEW}"}


def test_copies_arrive_under_the_other_revision_s_authority(story: Story) -> None:
    assert story.reports["canary"].outcome is Outcome.HOLDS, story.reports["canary"]
    arrivals = story.reports["canary"].subject(CROSS_CLUSTER).arrivals
    assert arrivals is not None
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
