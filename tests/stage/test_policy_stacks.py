"""Both stacks on two real clusters under the policy pack: previewed, deployed, and refused by a stricter house."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from components.rehearsal.engine import DeploymentEvent, Engine, EngineError, EventKind, discover
from components.rehearsal.mirror_tls import make_mirror_tls
from components.rehearsal.scenario import MIRROR_HOST, STAGING, TESTING, RehearsalOptions, stack_config
from components.rehearsal.stage import Stage
from components.rehearsal.venues import stage_engine, stage_site

pytestmark = [pytest.mark.stage, pytest.mark.timeout(900)]

PROJECT: Final = Path(__file__).resolve().parents[2]
PACK: Final = PROJECT / "policies"
ON_PREMISES: Final = PROJECT / "examples" / "ci" / "policies.on-premises.json"


@pytest.fixture
def engine(stage: Stage) -> Iterator[Engine]:
    """An engine that leaves nothing of the stacks behind."""
    with stage_engine(stage, discover(stage.bin / "pulumi"), PROJECT) as running:
        for role, credential in make_mirror_tls(MIRROR_HOST).items():
            config = stack_config(RehearsalOptions(), stage_site(stage, role))
            running.set_config(role, config, secrets={"mirrorTls": json.dumps(dict(credential))})
        yield running
        # Staging first: it reads testing's offer.
        running.destroy(STAGING)
        running.destroy(TESTING)


def test_both_stacks_are_deployed_under_the_pack(engine: Engine, tmp_path: Path) -> None:
    said: dict[str, list[str]] = {}

    def keep(event: DeploymentEvent) -> None:
        if event.kind is EventKind.POLICY:
            said.setdefault(step, []).append(event.message)

    for role in (TESTING, STAGING):
        step = f"preview {role}"
        engine.preview(role, policy_packs=[PACK], policy_config=ON_PREMISES, on_event=keep)
        step = f"up {role}"
        engine.up(role, policy_packs=[PACK], policy_config=ON_PREMISES, on_event=keep)
    # What a preview does not know is listed, and the update judges it.
    assert {line.split(":")[0] for lines in said.values() for line in lines} <= {"not-judged"}
    assert [step for step in said if step.startswith("up")] == []

    strict = tmp_path / "strict.json"
    settings = json.loads(ON_PREMISES.read_text()) | {"mirror-percent-limit": {"maxPercentByStack": {STAGING: 10}}}
    strict.write_text(json.dumps(settings))
    for deploy in (engine.preview, engine.up):
        with pytest.raises(EngineError, match="at most 10 % are allowed"):
            deploy(STAGING, policy_packs=[PACK], policy_config=strict)
    assert engine.preview(TESTING, policy_packs=[PACK], policy_config=strict).changes.keys() <= {"same"}
