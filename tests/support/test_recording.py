"""The recorder itself: what it refuses, and what it shows truthfully."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import pulumi
import pulumi_kubernetes as k8s
import pytest

from tests.support.recording import UNKNOWN, Secret, refused, run_program

CONFIG_MAP = "kubernetes:core/v1:ConfigMap"


class _Box(pulumi.ComponentResource):
    """A component with one child, whose faults the test chooses."""

    def __init__(
        self,
        name: str,
        *,
        opts: pulumi.ResourceOptions | None = None,
        child: str | None = None,
        child_has_parent: bool = True,
        registrations: int = 1,
    ) -> None:
        super().__init__("trafficmirror:index:Box", name, {}, opts)
        child_options = pulumi.ResourceOptions(parent=self) if child_has_parent else None
        self.map = k8s.core.v1.ConfigMap(
            child or f"{name}-map",
            data={"n": "1", "password": pulumi.Output.secret("hidden")},
            metadata={"name": "map", "labels": {"a": "b"}},
            opts=child_options,
        )
        for _ in range(registrations):
            self.register_outputs({"id": self.map.id})


def test_secrets_are_marked_and_integers_stay_integers() -> None:
    def program() -> None:
        k8s.core.v1.Service("s", spec={"ports": [{"port": 8000}]})
        k8s.core.v1.ConfigMap("m", data={"password": pulumi.Output.secret("hidden"), "open": "x"})

    recording = run_program(program)
    assert recording.one("kubernetes:core/v1:Service").input("spec.ports.0.port") == 8000
    data = recording.one(CONFIG_MAP).inputs["data"]
    assert data == {"password": Secret("hidden"), "open": "x"}
    assert "hidden" not in repr(recording.snapshot())


def test_two_resources_with_one_urn_are_refused() -> None:
    def program() -> None:
        k8s.core.v1.ConfigMap("same")
        k8s.core.v1.ConfigMap("same")

    with pytest.raises(AssertionError, match=r"two resources have the URN .*ConfigMap::same"):
        run_program(program)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (lambda: _Box("box", child_has_parent=False), "'box-map' has no parent although its name says"),
        (lambda: (_Box("box"), k8s.core.v1.ConfigMap("other")), "'other' has no parent"),
        (lambda: _Box("box", child="map"), "does not begin with the name of its component 'box'"),
        (lambda: _Box("box", registrations=0), "does not call register_outputs"),
        (lambda: _Box("box", registrations=2), "registers its outputs twice"),
    ],
)
def test_faulty_components_are_refused(program: Callable[[], object], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        run_program(program)


def test_the_program_may_own_top_level_resources() -> None:
    def program() -> None:
        _Box("box")
        k8s.core.v1.ConfigMap("other")

    assert len(run_program(program, top_level={"other"}).of_type(CONFIG_MAP)) == 2


def test_urns_carry_the_whole_chain_of_types() -> None:
    class Outer(pulumi.ComponentResource):
        def __init__(self, name: str) -> None:
            super().__init__("trafficmirror:index:Outer", name, {})
            _Box(f"{name}-box", opts=pulumi.ResourceOptions(parent=self))
            self.register_outputs({})

    recording = run_program(lambda: Outer("o"), stack="staging", project="p")
    chain = f"trafficmirror:index:Outer$trafficmirror:index:Box${CONFIG_MAP}"
    assert recording.one(CONFIG_MAP).urn == f"urn:pulumi:staging::p::{chain}::o-box-map"


def test_options_are_recorded() -> None:
    def program() -> None:
        provider = k8s.Provider("cluster", kubeconfig="{}")
        first = k8s.core.v1.ConfigMap("first", opts=pulumi.ResourceOptions(provider=provider))
        k8s.core.v1.ConfigMap(
            "second",
            data={"from": first.metadata.apply(lambda meta: str(meta.name))},
            opts=pulumi.ResourceOptions(
                provider=provider,
                depends_on=[first],
                protect=True,
                delete_before_replace=True,
                aliases=[pulumi.Alias(name="old")],
                custom_timeouts=pulumi.CustomTimeouts(create="3m"),
            ),
        )
        _Box("box", opts=pulumi.ResourceOptions(provider=provider))

    recording = run_program(program, top_level={"first", "second"})
    second = recording.one(CONFIG_MAP, "second")
    first = recording.one(CONFIG_MAP, "first")
    provider = recording.one("pulumi:providers:kubernetes")
    assert second.provider == provider.urn
    assert second.depends_on == (first.urn,)
    assert second.property_dependencies == {"data": (first.urn,)}
    assert second.input("data.from") == "first-auto"
    assert (second.protect, second.delete_before_replace) == (True, True)
    assert second.aliases == ("name=old",)
    assert second.custom_timeouts == {"create": "3m"}
    box = recording.one("trafficmirror:index:Box")
    assert box.providers == {"kubernetes": provider.urn}
    assert recording.one(CONFIG_MAP, "box-map").provider == provider.urn
    assert box.outputs == {"id": "box-map-id"}


def test_preview_leaves_outputs_unknown_and_runs_no_apply() -> None:
    applied: list[str] = []

    def program() -> None:
        service = k8s.core.v1.Service("s", spec={"type": "LoadBalancer"})
        address = service.status.load_balancer.ingress[0].ip
        pulumi.export("address", address.apply(lambda ip: applied.append(ip) or ip))
        pulumi.export("type", service.spec.type)

    recording = run_program(program, preview=True)
    assert recording.exports == {"address": UNKNOWN, "type": "LoadBalancer"}
    assert applied == []
    assert run_program(program).exports == {"address": "198.18.0.10", "type": "LoadBalancer"}
    assert applied == ["198.18.0.10"]


@pytest.mark.parametrize("preview", [False, True])
def test_stack_references_keep_their_secrets(preview: bool) -> None:
    def program() -> None:
        other = pulumi.StackReference("organization/traffic-mirror/testing")
        pulumi.export("offer", other.require_output("offer"))
        pulumi.export("key", other.require_output("key"))

    outputs = {"organization/traffic-mirror/testing": {"offer": {"port": 8000}, "key": Secret("k")}}
    recording = run_program(program, stack_references=outputs, preview=preview)
    assert recording.exports == {"offer": {"port": 8000}, "key": Secret("k")}
    with pytest.raises(AssertionError, match="the test gives no outputs for it"):
        run_program(program)


def test_configuration_and_secret_keys_reach_the_program(tmp_path: Path) -> None:
    (tmp_path / "__main__.py").write_text(
        "import pulumi\n"
        "config = pulumi.Config()\n"
        "pulumi.export('percent', config.require_int('percent'))\n"
        "pulumi.export('hosts', config.require_object('hosts'))\n"
        "pulumi.export('kubeconfig', config.require_secret('kubeconfig'))\n"
    )
    config = {"percent": 10, "hosts": ["a"], "p:kubeconfig": "k"}
    for program in (tmp_path, tmp_path / "__main__.py"):
        recording = run_program(program, config=config, secret_keys=["kubeconfig"], project="p")
        assert recording.exports == {"percent": 10, "hosts": ["a"], "kubeconfig": Secret("k")}


def test_an_error_inside_apply_ends_the_run() -> None:
    def program() -> None:
        def fail(_: str) -> str:
            raise ValueError("inside apply")

        k8s.core.v1.ConfigMap("m", data={"a": pulumi.Output.from_input("x").apply(fail)})

    refusal = refused(program, ValueError)
    assert "inside apply" in str(refusal.error)
    assert refusal.recording.resources == ()


def test_an_output_in_a_text_is_an_error() -> None:
    with pytest.raises(Exception, match="__str__"):
        run_program(lambda: k8s.core.v1.ConfigMap(f"name-{pulumi.Output.from_input('x')}"))


def test_runs_do_not_see_each_other() -> None:
    run_program(lambda: None, project="one", stack="s1", config={"a": "b"})
    seen: list[tuple[str, str, str | None]] = []
    run_program(lambda: seen.append((pulumi.get_project(), pulumi.get_stack(), pulumi.Config().get("a"))))
    assert seen == [("traffic-mirror", "test", None)]


def test_only_loopback_can_be_reached() -> None:
    with pytest.raises(AssertionError, match="only loopback"):
        socket.create_connection(("192.0.2.1", 80), timeout=0.1)
    with pytest.raises(AssertionError, match="only loopback"):
        socket.getaddrinfo("example.com", 443)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass


def test_each_test_has_a_loop_that_works() -> None:
    assert asyncio.get_event_loop().run_until_complete(asyncio.sleep(0, "done")) == "done"
