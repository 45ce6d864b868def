"""What GkeCluster registers, held against what Google's provider says of each property."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest

from pulumi_traffic_mirror.clusters.gke import (
    AuthorizedNetworks,
    AutopilotMode,
    ExistingNetwork,
    GkeClusterArgs,
    MaintenanceWindow,
    NewNetwork,
    StandardMode,
)
from tests.support.gke_changes import BEGIN, CHANGES, END, PAGE, VARIANTS, Change, recorded, row
from tests.support.provider_facts import CLUSTER, FACTS, NODE_POOL, facts_of, in_snake_case, property_paths
from tests.support.recording import Recorded

PARTS = {
    "": GkeClusterArgs,
    "mode.": StandardMode,
    "network.": NewNetwork | ExistingNetwork,
    "endpoint.": AuthorizedNetworks,
    "maintenance.": MaintenanceWindow,
}


def described() -> set[str]:
    return {name for change in CHANGES for name in change.argument.split(", ")}


def written() -> list[str]:
    table = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    return table.strip().splitlines(keepends=True)[2:]


def google(arguments: Any) -> Iterator[Recorded]:
    return (each for each in recorded(arguments).resources if each.type.startswith("gcp:"))


@pytest.mark.parametrize("change", CHANGES, ids=lambda each: f"{each.argument} {each.what}")
def test_the_page_says_what_a_change_does(change: Change) -> None:
    assert row(change).strip() in map(str.strip, written())


def test_the_page_has_no_row_more_and_every_argument() -> None:
    assert len(written()) == len(CHANGES)
    arguments = {
        f"{prefix}{each.name}"
        for prefix, kinds in PARTS.items()
        for kind in getattr(kinds, "__args__", (kinds,))
        for each in fields(kind)
    }
    # Whole choices stand in their own rows; what `customize` does is up to its functions.
    assert described() | {"maintenance", "customize"} == arguments | {"mode", "network", "endpoint"}


@pytest.mark.parametrize("variant", range(len(VARIANTS)))
def test_the_provider_knows_each_property_and_none_excludes_another(variant: int) -> None:
    for resource in google(VARIANTS[variant]):
        given = dict(property_paths(resource.inputs))
        names = {in_snake_case(path) for path in given}
        for path in given:
            facts = facts_of(resource.type, path)
            assert facts is not None, f"{resource.type} has no {path}"
            excluded = {name.replace(".0.", ".") for name in facts.get("conflictsWith", ())}
            assert not excluded & names, path
        required = {path for path, facts in FACTS[resource.type].items() if facts.get("required")}
        parents = {path.rpartition(".")[0] for path in given} - {""}
        assert {path for path in required if path.rpartition(".")[0] in {"", *parents}} <= set(given)


@pytest.mark.parametrize("mode", [StandardMode(), AutopilotMode()])
def test_what_would_be_kept_when_it_is_taken_away_is_always_said(mode: Any) -> None:
    cluster = recorded({"mode": mode}).one(CLUSTER)
    for block, off in (
        ("databaseEncryption", {"state": "DECRYPTED"}),
        ("binaryAuthorization", {"evaluationMode": "DISABLED"}),
    ):
        assert cluster.inputs[block] == off


def test_nothing_that_follows_an_argument_of_the_nodes_replaces_them_unasked() -> None:
    pool = recorded({}).one(NODE_POOL)
    forcing = {path for path, _ in property_paths(pool.inputs) if (facts_of(NODE_POOL, path) or {}).get("forceNew")}
    whole = {"nodeConfig", "nodeConfig.shieldedInstanceConfig"}
    # Names and hardening never change; spot is the one argument that has to.
    constant = {
        *(
            "project",
            "location",
            "cluster",
            "nodeConfig.metadata",
            "nodeConfig.oauthScopes",
            "nodeConfig.serviceAccount",
        ),
        *(f"nodeConfig.shieldedInstanceConfig.enable{what}" for what in ("SecureBoot", "IntegrityMonitoring")),
    }
    assert forcing - set(pool.ignore_changes) - whole - constant == {"nodeConfig.spot"}
