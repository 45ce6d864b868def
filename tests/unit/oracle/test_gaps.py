"""What istiod does not render for want of objects that were not given: random meshes that lack some."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy

import pytest

from pulumi_traffic_mirror.operations.oracle import Oracle, confirm, question_of
from pulumi_traffic_mirror.operations.oracle.rendered import named_entries
from pulumi_traffic_mirror.operations.oracle.showing import ABSENT, EMPTY, UNANSWERED, UNSENT, shown
from tests.differential.claims import claims_of
from tests.differential.maker import Object
from tests.differential.meshes import mesh
from tests.differential.naming import told_apart

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SEEDS = (*range(300_000, 300_008), 301_020)
LEFT_OUT = ("Service", "ServiceEntry", "Gateway", "Deployment", "Namespace", "ConfigMap", "DestinationRule")
MISSING = (UNSENT, ABSENT, UNANSWERED, EMPTY)


def facts(objects: Sequence[Object], oracle: Oracle) -> Mapping[tuple[str, str], frozenset[str]]:
    """What istiod shows of each mirror, by its object and place."""
    cluster = claims_of(objects).cluster
    question = question_of(named_entries(objects), mesh=cluster.mesh_config)
    answers = [oracle.ask(question)]
    sent = cluster.routing.sent
    return {(str(each.source), each.node.path): shown(cluster, each, question, answers).facts for each in sent}


def cuts(objects: Sequence[Object]) -> Iterator[list[Object]]:
    """What is left of objects without all of a kind, or without one Service."""
    yield from ([each for each in objects if each["kind"] != kind] for kind in LEFT_OUT)
    services = [each for each in objects if each["kind"] == "Service"]
    yield from ([each for each in objects if each is not service] for service in services)


def test_nothing_is_certain_only_because_something_is_not_given(oracle: Oracle) -> None:
    wrong: list[tuple[int, str]] = []
    certain = 0
    for seed in SEEDS:
        known = facts(told_apart(mesh(seed)), oracle)
        for left in cuts(told_apart(mesh(seed))):
            claims = claims_of(deepcopy(left))
            found = confirm(claims.cluster, claims.findings, oracle).by_istiod
            for finding in (each for each in found if each.rule in MISSING):
                mirrors = [
                    place for place in known if place[0] == finding.object and place[1].startswith(finding.field)
                ]
                certain += 1
                if mirrors and not any(finding.rule in known[place] for place in mirrors):
                    wrong.append((seed, str(finding)))
    assert wrong == []
    assert certain
