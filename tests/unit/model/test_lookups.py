"""Parts by which objects are found, while they are not known yet: no rule loses a finding in silence."""

import copy
import dataclasses
from collections.abc import Iterator
from typing import Any, cast

import pytest

from pulumi_traffic_mirror.model.rules import RULES, UNKNOWN, Finding, Mesh, Outcome, Rule, RuleSettings, run_rules
from pulumi_traffic_mirror.model.rules.lookups import PARTS, Lookup
from tests.unit.model.rule_cases import CASES

BY_ID = {rule.id: rule for rule in RULES}


def unknown_variants(mesh: Mesh) -> Iterator[tuple[Lookup, Mesh]]:
    """The mesh with one part that is looked up by made unknown, for each that it has."""
    for at, cluster in enumerate(mesh.clusters):
        for index, given in enumerate(cluster.objects):
            plain = cast("dict[str, Any]", given)
            native = plain["kind"] == "Gateway" and "istio" not in plain["apiVersion"]
            for path, lookup in ({} if native else PARTS.get(plain["kind"], {})).items():
                objects = [*cluster.objects]
                objects[index] = changed = copy.deepcopy(plain)
                parent: dict[str, Any] | None = changed
                for key in path[:-1]:
                    parent = parent.get(key) if parent else None
                if not parent or path[-1] not in parent:
                    continue
                parent[path[-1]] = UNKNOWN
                clusters = [*mesh.clusters]
                clusters[at] = dataclasses.replace(cluster, objects=objects)
                yield lookup, dataclasses.replace(mesh, clusters=clusters)


def lost(rule: Rule, settings: RuleSettings, mesh: Mesh) -> Iterator[Lookup]:
    """What a rule misses without a word while it is not known."""

    def judged(findings: list[Finding]) -> set[str]:
        return {str(each) for each in findings if each.outcome is not Outcome.NOT_JUDGED}

    for whole in (True, False):
        seen = dataclasses.replace(mesh, clusters=[dataclasses.replace(each, complete=whole) for each in mesh.clusters])
        known = judged(run_rules(seen, [rule], settings))
        for lookup, variant in unknown_variants(seen):
            found = run_rules(variant, [rule], settings)
            assert judged(found) <= known, "what is not known must not break a rule"
            if judged(found) < known and len(judged(found)) == len(found):
                yield lookup


@pytest.mark.parametrize("rule_id", sorted(BY_ID))
def test_a_rule_declares_exactly_what_it_would_miss_in_silence(rule_id: str) -> None:
    rule = BY_ID[rule_id]
    alone = dataclasses.replace(rule, finds_by=())
    cases = [case for case in CASES if case.rule == rule_id]
    missed = {found for case in cases for found in lost(alone, case.settings or RuleSettings(), case.fails())}
    assert missed == set(rule.finds_by)
    assert not any(found for case in cases for found in lost(rule, case.settings or RuleSettings(), case.fails()))
