"""The pack under the real engine: previews of programs without the library, no cluster needed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from pulumi_traffic_mirror.rehearsal.engine import (
    DeploymentEvent,
    Engine,
    EngineError,
    EventKind,
    Installation,
    discover,
)
from pulumi_traffic_mirror.rehearsal.engine.installation import PROVIDER
from pulumi_traffic_mirror.rehearsal.toolchain import Toolchain
from tests.policy.driver import PACK

pytestmark = [pytest.mark.stage, pytest.mark.timeout(300)]

PROGRAMS: Final = Path(__file__).parent / "programs"
NOWHERE: Final = json.dumps(
    {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "none", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "nobody", "user": {"token": "not-a-token"}}],
        "contexts": [{"name": "none", "context": {"cluster": "none", "user": "nobody"}}],
        "current-context": "none",
    }
)
"""A cluster that does not answer: previews of new resources do without it."""

WAIVER: Final = {"resource": "greeter", "reason": "is rebuilt by March", "until": "2999-03-31"}


@pytest.fixture(scope="module")
def installation(toolchain: Toolchain) -> Installation:
    return discover(toolchain.program("pulumi"), toolchain.program(PROVIDER))


class Preview:
    """Previews a program and keeps what the policies said."""

    def __init__(self, installation: Installation, state: Path) -> None:
        self._installation = installation
        self._state = state
        self.said: list[str] = []
        self.log = ""

    def run(self, program: str, policies: Mapping[str, Any] | None = None, **config: Any) -> Mapping[str, int]:
        """Preview; the changes that it would make."""
        settings = None
        if policies is not None:
            settings = self._state / "policies.json"
            settings.write_text(json.dumps(policies))
        with Engine(PROGRAMS / program, self._state / program, self._installation) as engine:
            engine.set_config("staging", config, secrets={"kubeconfig": NOWHERE})
            try:
                outcome = engine.preview("staging", policy_packs=[PACK], policy_config=settings, on_event=self._keep)
            finally:
                logs = (self._state / program / "logs").glob("staging-*.log")
                self.log = "\n".join(log.read_text() for log in logs)
        return outcome.changes

    def of(self, policy: str) -> list[str]:
        return [line for line in self.said if line.startswith(f"{policy}:")]

    def _keep(self, event: DeploymentEvent) -> None:
        if event.kind is EventKind.POLICY:
            self.said.append(event.message)


@pytest.fixture
def preview(installation: Installation, tmp_path: Path) -> Preview:
    return Preview(installation, tmp_path)


def test_a_bad_program_is_refused_with_the_reasons(preview: Preview) -> None:
    with pytest.raises(EngineError):
        preview.run("bad")
    for policy, words in {
        "image-digest": "'registry.example/greeter:latest' is whatever its registry says",
        "pod-restricted": "the pod shares a namespace with its node",
        "secret-in-clear": "DATABASE_PASSWORD holds its value in clear",
        "load-balancer-open": "everybody reaches the load balancer",
        "mirror-percent-range": "the share 101 is not between 0 and 100",
        "mirror-expired": "its end, 2020-01-31T23:59:59Z, has passed",
        "mirror-subset-undefined": "subset 'v2' is unknown",
        "mirror-no-brakes": "it lacks a connection limit",
        "mirror-unbounded-life": "nothing ends a copy that hangs",
        "mirror-credentials": "authorization, cookie",
        "mirror-side-effects": "every method is copied",
    }.items():
        assert any(words in line for line in preview.of(policy)), policy
    assert "[mandatory]" in preview.log
    assert "everybody-reads-this" not in preview.log
    assert "not-a-token" not in preview.log


def test_levels_and_waivers_of_the_configuration_let_it_pass(preview: Preview) -> None:
    changes = preview.run(
        "bad", {"all": "advisory", "image-digest": {"waivers": [WAIVER]}, "mirror-expired": "disabled"}
    )
    assert changes == {"create": 6}
    assert preview.of("mirror-expired") == preview.of("image-digest") == []
    assert any("is rebuilt by March (until 2999-03-31)" in line for line in preview.of("waivers-in-force"))
    assert "[mandatory]" not in preview.log


@pytest.mark.parametrize(
    ("policies", "words"),
    [
        ({"image-digests": "disabled"}, "image-digests"),
        ({"image-digest": {"allowedImage": []}}, "allowedImage"),
        ({"image-digest": {"allowedImages": "registry.example/"}}, "allowedImages"),
        ({"image-digest": {"waivers": [{"resource": "greeter", "reason": "has no end at all"}]}}, "until"),
        ({"mirror-percent-limit": {"maxPercent": 101}}, "maxPercent"),
    ],
)
def test_a_wrong_configuration_is_refused_before_anything_else(
    preview: Preview, policies: Mapping[str, Any], words: str
) -> None:
    with pytest.raises(EngineError, match=words):
        preview.run("bad", policies)
    assert preview.said == []
    assert "Traceback" not in preview.log


def test_an_unknown_value_is_listed_and_the_known_ones_are_judged(preview: Preview) -> None:
    with pytest.raises(EngineError):
        preview.run("later", percent=101)
    assert any("spec.http[1].mirrorPercent: the share 101" in line for line in preview.of("mirror-percent-range"))
    listed = [line for line in preview.of("not-judged") if "spec.http[0].mirror.host" in line]
    assert len(listed) == 1
    assert "mirror-no-brakes" in listed[0]
    assert any("spec.http[1].mirror" in line for line in preview.of("mirror-credentials"))


def test_the_engine_takes_a_remediation(preview: Preview) -> None:
    level = {"all": "advisory", "mirror-deprecated-percent": "remediate"}
    assert preview.run("later", level, percent=10) == {"create": 4}
    assert preview.of("mirror-deprecated-percent") == []
    assert "[remediate]" in preview.log
