"""Both stacks on the stage, deployed once by the program, for every test that operates their mirrors."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pulumi_traffic_mirror.rehearsal.deployer import EngineDeployer
from pulumi_traffic_mirror.rehearsal.embedded import embedded_cluster, stage_engine
from pulumi_traffic_mirror.rehearsal.engine import PROVIDER, discover
from pulumi_traffic_mirror.rehearsal.progress import PlainProgress
from pulumi_traffic_mirror.rehearsal.rehearse import ClusterPair, Rehearsal, Stopwatch
from pulumi_traffic_mirror.rehearsal.scenario import STAGING, TESTING, RehearsalOptions
from pulumi_traffic_mirror.rehearsal.stage import Stage
from tests.support.lasting import until_last_use_of
from tests.support.mirrored import Mirrored
from tests.support.warm import warm_commands

PROJECT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def mirrored(stage: Stage) -> Iterator[Mirrored]:
    """v1 and v2 in staging (50 %), a receiver in testing (100 %), tried once; gone again after the last use."""
    progress = PlainProgress()
    options = RehearsalOptions(calls=20)
    clusters = {role: embedded_cluster(stage, role) for role in (STAGING, TESTING)}
    with until_last_use_of("mirrored") as end:
        engine = end.enter_context(stage_engine(stage, discover(stage.bin / "pulumi", stage.bin / PROVIDER), PROJECT))
        for role in (TESTING, STAGING):  # the last one goes first: it reads the other's offer
            end.callback(engine.destroy, role)
        pair = ClusterPair(staging=clusters[STAGING], testing=clusters[TESTING], wrap=stage.fabric_command)
        report = Rehearsal(options, pair, EngineDeployer(engine, progress), Stopwatch(progress)).run()
        assert report.outcome.exit_code == 0, report
        warm = end.enter_context(warm_commands(stage.fabric_command(()), cwd=PROJECT, env=engine.environment))
        yield Mirrored(stage=stage, engine=engine, clusters=clusters, warm=warm)
