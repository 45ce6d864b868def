"""Both stacks on the stage, deployed once by the program, for every test that operates their mirrors."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from components.rehearsal.deployer import EngineDeployer
from components.rehearsal.engine import discover
from components.rehearsal.progress import PlainProgress
from components.rehearsal.rehearse import Place, Stopwatch, rehearse
from components.rehearsal.scenario import STAGING, TESTING, RehearsalOptions
from components.rehearsal.stage import Stage
from components.rehearsal.venues import stage_engine, stage_site
from tests.support.lasting import until_last_use_of
from tests.support.mirrored import Mirrored
from tests.support.warm import warm_commands

PROJECT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def mirrored(stage: Stage) -> Iterator[Mirrored]:
    """v1 and v2 in staging (50 %), a receiver in testing (100 %), tried once; gone again after the last use."""
    progress = PlainProgress()
    options = RehearsalOptions(calls=20)
    sites = {role: stage_site(stage, role) for role in (STAGING, TESTING)}
    with until_last_use_of("mirrored") as end:
        engine = end.enter_context(stage_engine(stage, discover(stage.bin / "pulumi"), PROJECT))
        for role in (TESTING, STAGING):  # the last one goes first: it reads the other's offer
            end.callback(engine.destroy, role)
        place = Place(staging=sites[STAGING], testing=sites[TESTING], wrap=stage.fabric_command)
        report = rehearse(options, place, EngineDeployer(engine, progress), Stopwatch(progress))
        assert report.verdict.outcome.exit_code == 0, report.verdict
        warm = end.enter_context(warm_commands(stage.fabric_command(()), cwd=PROJECT, env=engine.environment))
        yield Mirrored(stage=stage, engine=engine, sites=sites, warm=warm)
