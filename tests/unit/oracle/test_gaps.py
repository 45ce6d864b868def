"""What istiod does not render for want of objects that were not given: random meshes that lack some."""

from collections.abc import Iterator, Mapping, Sequence

import pytest

from pulumi_traffic_mirror.operations.oracle import Oracle, confirm, question_of
from pulumi_traffic_mirror.operations.oracle.confirming import ABSENT, EMPTY, UNANSWERED, UNSENT, shown
from pulumi_traffic_mirror.operations.oracle.rendered import named_entries
from pulumi_traffic_mirror.rehearsal.toolchain import OracleFiles
from tests.differential.claims import claims_of
from tests.differential.maker import Object
from tests.differential.meshes import mesh
from tests.differential.naming import told_apart
from tests.support.oracle import start_oracle

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SEEDS = (*range(300_000, 300_008), 301_020)
LEFT_OUT = ("Service", "ServiceEntry", "Gateway", "Deployment", "Namespace", "ConfigMap")
MISSING = (UNSENT, ABSENT, UNANSWERED, EMPTY)


@pytest.fixture(scope="module")
def oracle(oracle_files: OracleFiles) -> Iterator[Oracle]:
    with start_oracle(oracle_files) as started:
        yield started


def facts(objects: Sequence[Object], oracle: Oracle) -> Mapping[tuple[str, str], set[str]]:
    """What istiod shows of each mirror, by its object and place."""
    cluster = claims_of(objects).cluster
    question = question_of(named_entries(objects), mesh=cluster.mesh_config)
    answer = oracle.ask(question)
    return {(str(each.source), each.node.path): shown(each, question, answer) for each in cluster.routing.sent}


def test_nothing_is_certain_only_because_something_is_not_given(oracle: Oracle) -> None:
    wrong: list[tuple[int, str, str]] = []
    certain = 0
    for seed in SEEDS:
        known = facts(told_apart(mesh(seed)), oracle)
        for kind in LEFT_OUT:
            claims = claims_of([each for each in told_apart(mesh(seed)) if each["kind"] != kind])
            found = confirm(claims.cluster, claims.findings, oracle).by_istiod
            for finding in (each for each in found if each.rule in MISSING):
                mirrors = [
                    place for place in known if place[0] == finding.object and place[1].startswith(finding.field)
                ]
                certain += 1
                if mirrors and not any(finding.rule in known[place] for place in mirrors):
                    wrong.append((seed, kind, str(finding)))
    assert wrong == []
    assert certain
