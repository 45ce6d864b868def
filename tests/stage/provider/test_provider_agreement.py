"""The real provider and the stand-in, side by side: the same stack gives the same steps, outputs and objects."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from components.rehearsal.engine import Engine, EngineError, Installation, Outcome, ProgramMode, discover
from components.rehearsal.engine.installation import sdk_version
from components.rehearsal.toolchain import Toolchain
from tests.support import stock_pulumi
from tests.support.apiserver import ApiServer

pytestmark = [
    pytest.mark.stage,
    pytest.mark.timeout(400),
    pytest.mark.skipif(not stock_pulumi.available(), reason="the real plugins are not on this machine"),
]

HERE = Path(__file__).parent
STACK = "dev"
OBJECTS = (
    ("v1", "ConfigMap", "words"),
    ("v1", "Secret", "token"),
    ("v1", "ServiceAccount", "greeter"),
    ("v1", "Service", "greeter"),
    ("v1", "ConfigMap", "tiny"),
    ("rbac.authorization.k8s.io/v1", "Role", "greeter"),
    ("apps/v1", "Deployment", "greeter"),
)


@dataclass
class Side:
    """One of the two."""

    name: str
    engine: Engine
    apiserver: ApiServer
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    @property
    def namespace(self) -> str:
        return f"space-{self.name}"

    def configure(self, **values: str) -> None:
        """Set the stack's configuration."""
        base = {
            "kubeconfig": self.apiserver.content,
            "namespace": self.namespace,
            "plural": f"{self.name}routes",
            "kind": f"{self.name.title()}Route",
            "chart": str(HERE / "chart"),
        }
        self.engine.set_config(STACK, {**base, **values}, secrets={"tiny:token": "open sesame"})

    def objects(self) -> dict[str, Any]:
        """What the stack made, without what differs between any two objects."""
        found = {
            f"{kind} {name}": self.apiserver.get(version, kind, name, self.namespace) for version, kind, name in OBJECTS
        }
        route = self.apiserver.get("mirror.example/v1", f"{self.name.title()}Route", "route", self.namespace)
        return {key: self._comparable(item) for key, item in {**found, "route": route}.items()}

    def _comparable(self, obj: dict[str, Any] | None) -> Any:
        if obj is None:
            return None
        kept = {key: item for key, item in obj.items() if key != "status"}
        metadata = obj["metadata"]
        kept["metadata"] = {key: metadata.get(key) for key in ("name", "labels", "annotations")}
        for key in ("clusterIP", "clusterIPs"):
            kept.get("spec", {}).pop(key, None)
        return self._without_name(kept)

    def _without_name(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._without_name(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._without_name(item) for item in value]
        return value.replace(self.name, "SIDE").replace(self.name.title(), "SIDE") if isinstance(value, str) else value

    def outputs(self) -> dict[str, Any]:
        """Outputs, and which of them are secret."""
        found = self.engine.outputs(STACK)
        return {key: (self._without_name(item.value), item.secret) for key, item in found.items()}


@pytest.fixture(scope="module")
def stock(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The real CLI with its real plugins."""
    variables = stock_pulumi.install(tmp_path_factory.mktemp("stock"), toolchain.program("pulumi"), sdk_version())
    found = discover(toolchain.program("pulumi"), variables)
    assert found.mode is ProgramMode.LANGUAGE_HOST
    assert not found.standin
    return found


@pytest.fixture(scope="module")
def sides(
    toolchain: Toolchain, apiserver: ApiServer, stock: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Side, Side]]:
    """The real one and the stand-in."""
    built = discover(toolchain.program("pulumi"), {"PATH": "/usr/bin:/bin"})
    assert built.standin
    made: list[Side] = []
    for name, installation in (("real", stock), ("stand", built)):
        folder = tmp_path_factory.mktemp(name)
        engine = Engine(
            HERE / "program",
            folder,
            installation,
            helm=toolchain.program("helm"),
            no_proxy=("127.0.0.1",),
            kubeconfigs=[apiserver.kubeconfig],
        )
        made.append(Side(name, engine, apiserver))
    yield made[0], made[1]
    for side in made:
        side.engine.close()


def both(sides: tuple[Side, Side], verb: str, **options: Any) -> tuple[Outcome, Outcome]:
    """Run the same operation on both sides."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        real, stand = pool.map(lambda side: getattr(side.engine, verb)(STACK, **options), sides)
    return real, stand


def without_names(outcomes: tuple[Outcome, Outcome]) -> list[list[str]]:
    """The changes, with the sides' own names replaced."""
    found: list[list[str]] = []
    for outcome, name in zip(outcomes, ("Real", "Stand"), strict=True):
        found.append([line.replace(f":{name}Route", ":SIDERoute") for line in outcome.changed])
    return found


def test_both_take_the_same_stack_through_the_same_life(sides: tuple[Side, Side]) -> None:
    real, stand = sides
    for side in sides:
        side.configure()
    previews = both(sides, "preview")
    assert len(set(map(tuple, without_names(previews)))) == 1
    ups = both(sides, "up")
    assert ups[0].changes == ups[1].changes
    assert real.objects() == stand.objects()
    assert real.outputs() == stand.outputs()
    assert stand.outputs()["token"] == ({"token": "b3BlbiBzZXNhbWU="}, True)

    assert all(outcome.unchanged for outcome in both(sides, "preview"))
    assert all(outcome.unchanged for outcome in both(sides, "up"))

    for side in sides:
        side.configure(greeting="bye", percent="25")
    assert (
        without_names(both(sides, "preview"))
        == [
            [
                "update kubernetes:apps/v1:Deployment greeter",
                "update kubernetes:core/v1:ConfigMap words",
                "update kubernetes:helm.sh/v3:Release release",
                "update kubernetes:mirror.example/v1:SIDERoute route",
            ]
        ]
        * 2
    )
    ups = both(sides, "up")
    assert ups[0].changes == ups[1].changes
    assert real.objects() == stand.objects()

    for side in sides:
        side.apiserver.apply(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "words", "namespace": side.namespace},
                "data": {"greeting": "drifted"},
            }
        )
    assert all(outcome.unchanged for outcome in both(sides, "preview")), "a plain preview does not see drift"
    with pytest.raises(EngineError, match="conflict with"):
        sides[0].engine.preview(STACK, refresh=True)
    with pytest.raises(EngineError, match="patchForce"):
        sides[1].engine.preview(STACK, refresh=True)

    destroyed = both(sides, "destroy")
    assert destroyed[0].changes == destroyed[1].changes
    for side in sides:
        assert side.apiserver.get("v1", "Namespace", side.namespace) is None


def test_both_record_a_deployment_that_does_not_come_up_and_repair_it(sides: tuple[Side, Side]) -> None:
    for side in sides:
        side.configure(image="broken", timeout="8s")
        with pytest.raises(EngineError, match="greeter") as failed:
            side.engine.up(STACK)
        assert "Traceback" not in str(failed.value)
        side.configure()
    ups = both(sides, "up")
    assert ups[0].outputs["ready"] == ups[1].outputs["ready"]
    both(sides, "destroy")
