"""Previews that replace or delete clusters and nodes: said before anybody agrees to them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.cli.app import main
from pulumi_traffic_mirror.model.rules import PLAN_RULES, Mesh, Node, PlannedLoss, Severity, planned_losses, run_rules

CLUSTER = "gcp:container/cluster:Cluster"
POOL = "gcp:container/nodePool:NodePool"


def step(
    operation: str,
    kind: str = CLUSTER,
    *,
    protected: bool = False,
    reasons: tuple[str, ...] = (),
    detailed: Mapping[str, str] | None = None,
) -> Any:
    urn = f"urn:pulumi:staging::mirror::trafficmirror:index:GkeCluster${kind}::b-{kind[-7:].lower()}"
    state = {"urn": urn, "type": kind, "inputs": {}, "outputs": {"deletionProtection": protected}}
    old = {} if operation in ("create", "create-replacement") and not reasons else {"oldState": state}
    new = {} if operation.startswith("delete") else {"newState": state}
    differences = {path: {"kind": sort, "inputDiff": False} for path, sort in (detailed or {}).items()} or None
    return {"op": operation, "urn": urn, **old, **new, "replaceReasons": list(reasons), "detailedDiff": differences}


def losses(*steps: Any) -> list[PlannedLoss]:
    return planned_losses("staging", Node(list(steps)).elements())


def preview(folder: Path, *steps: Any, **more: Any) -> str:
    path = folder / "preview.json"
    path.write_text(json.dumps({"config": {}, "steps": steps, "changeSummary": {"replace": 1}, **more}))
    return str(path)


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([step("create"), step("update"), step("same"), step("refresh"), step("read")], []),
        ([step("replace", "gcp:compute/firewall:Firewall", reasons=("direction",))], []),
        (
            [step("replace", reasons=("subnetwork",))],
            ["the cluster is replaced because of subnetwork: everything in it"],
        ),
        ([step("replace", POOL, reasons=("nodeConfig",))], ["the nodes are replaced because of nodeConfig: every pod"]),
        # With --show-replacement-steps, the replacement is told as its parts.
        (
            [step("create-replacement", reasons=("network",)), step("delete-replaced", reasons=("network",))],
            ["the cluster is replaced because of network: "],
        ),
        (
            [
                step(
                    "replace",
                    POOL,
                    reasons=("nodeConfig",),
                    detailed={"nodeConfig.machineType": "update", "nodeConfig.spot": "update-replace"},
                )
            ],
            ["the nodes are replaced because of nodeConfig.spot: every pod"],
        ),
        (
            [step("delete"), step("delete", POOL)],
            ["the cluster is deleted: all in it ends", "the nodes are deleted: "],
        ),
        # What an earlier run could not delete.
        ([step("delete-replaced")], ["the cluster is deleted: all in it ends"]),
        (
            [step("replace", "azure-native:containerservice/v20250801:ManagedCluster", reasons=("dnsPrefix",))],
            ["the cluster is replaced because of dnsPrefix"],
        ),
        (
            [step("replace", "azure-native:containerservice:AgentPool", reasons=("vmSize",))],
            ["the nodes are replaced because of vmSize"],
        ),
    ],
)
def test_what_ends_workloads_is_said_once_with_its_reason(steps: list[Any], said: list[str]) -> None:
    findings = run_rules(Mesh(clusters=[], losses=losses(*steps)), PLAN_RULES)
    assert len(findings) == len(said)
    for finding, words in zip(findings, said, strict=True):
        assert finding.message.startswith(words)
        assert (finding.rule, finding.severity) == ("plan-ends-workloads", Severity.WARNING)
        assert finding.fails


def test_a_protected_cluster_that_a_plan_deletes_is_an_error_of_its_own() -> None:
    mesh = Mesh(clusters=[], losses=losses(step("replace", protected=True, reasons=("subnetwork",))))
    first, _ = run_rules(mesh, PLAN_RULES)
    assert (first.rule, first.severity, first.field) == (
        "plan-is-refused-half-way",
        Severity.ERROR,
        "deletionProtection",
    )
    assert "builds the second one and then fails to delete it" in first.message
    assert "changes nothing else" in first.remedy


def test_a_step_without_its_old_state_is_still_a_loss() -> None:
    """As the engine writes it for a state that it cannot turn into JSON."""
    bare = step("replace", reasons=("network",))
    del bare["oldState"]
    (loss,) = losses(bare)
    assert (loss.kind, loss.replaced, loss.locked) == (CLUSTER, True, False)


@pytest.mark.parametrize("broken", [None, 1, "x", [], {}, {"op": 1}, {"op": "replace", "oldState": []}, {"urn": {}}])
def test_steps_that_are_none_take_nothing_away(broken: Any) -> None:
    assert losses(broken, step("create")) == []


def test_check_fails_with_rule_and_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = preview(tmp_path, step("replace", reasons=("subnetwork",)))
    assert main(["check", "--cluster", f"staging={path}"]) == 1
    printed = capsys.readouterr().out
    assert "plan-ends-workloads" in printed
    assert "Beside that: 1 warning." in printed


def test_check_as_json_and_sarif_names_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = preview(tmp_path, step("replace", POOL, reasons=("nodeConfig",)))
    assert main(["check", path, "--json"]) == 1
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert (finding["rule"], finding["object"], finding["file"]) == ("plan-ends-workloads", f"{POOL} b-odepool", path)
    assert main(["check", path, "--sarif"]) == 1
    run: Mapping[str, Any] = json.loads(capsys.readouterr().out)["runs"][0]
    (result,) = run["results"]
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == "plan-ends-workloads"


def test_a_preview_that_keeps_its_clusters_passes(tmp_path: Path) -> None:
    assert main(["check", preview(tmp_path, step("update"))]) == 0


def test_a_preview_that_ended_with_an_error_is_not_taken_for_the_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = [{"message": "b-cluster is protected", "severity": "error"}]
    assert main(["check", preview(tmp_path, step("update"), diagnostics=said)]) == 2
    assert "the preview ended with an error" in capsys.readouterr().out
    warned = [{"message": "no", "severity": "warning"}]
    assert main(["check", preview(tmp_path, step("update"), diagnostics=warned)]) == 0


def test_what_a_preview_hides_as_secret_is_not_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kind = "kubernetes:networking.istio.io/v1:VirtualService"
    route = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "v"}}
    state = {"urn": f"urn:pulumi:s::p::{kind}::v", "type": kind, "inputs": {**route, "spec": {"http": "[secret]"}}}
    path = preview(tmp_path, {"op": "create", "urn": state["urn"], "newState": state})
    assert main(["check", path]) == 2
    assert "not judged" in capsys.readouterr().out
