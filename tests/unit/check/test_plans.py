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


def step(operation: str, kind: str = CLUSTER, *, protected: bool = False, reasons: tuple[str, ...] = ()) -> Any:
    urn = f"urn:pulumi:staging::mirror::trafficmirror:index:GkeCluster${kind}::b-{kind[-7:].lower()}"
    state = {"urn": urn, "type": kind, "inputs": {}, "outputs": {"deletionProtection": protected}}
    old = {} if operation in ("create", "create-replacement") and not reasons else {"oldState": state}
    new = {} if operation.startswith("delete") else {"newState": state}
    return {"op": operation, "urn": urn, **old, **new, "replaceReasons": list(reasons), "detailedDiff": None}


def losses(*steps: Any) -> list[PlannedLoss]:
    return planned_losses("staging", Node(list(steps)).elements())


def preview(folder: Path, *steps: Any) -> str:
    path = folder / "preview.json"
    path.write_text(json.dumps({"config": {}, "steps": steps, "changeSummary": {"replace": 1}}))
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
        ([step("delete"), step("delete", POOL)], ["the cluster is deleted: ", "the nodes are deleted: "]),
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
