"""What a value that is known late is refused with reaches the engine as a message, whoever asks for the value first."""

import asyncio
from collections.abc import Callable
from typing import Any

import pulumi
import pytest

import pulumi_traffic_mirror
from pulumi_traffic_mirror.refusal import LateRefusedError, late
from tests.component.test_options import ARGS, HOSTS, SERVICE
from tests.support.handles import mesh
from tests.support.recording import refused

tm: Any = pulumi_traffic_mirror


def known_late(value: object) -> Any:
    """A value that comes when everything is registered: then the SDK meets the refusal inside of a resource."""
    come = asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, come.set)

    async def given() -> object:
        await come.wait()
        return value

    return pulumi.Output.from_input(given())


def image(handle: Any) -> None:
    tm.Greeter("thing", tm.GreeterArgs(cluster=handle.cluster, image=known_late("registry.example/greeter:1")))


def offer(handle: Any) -> None:
    mirror = tm.CrossClusterMirror(
        name="testing",
        contract=tm.MirrorContract(hosts=HOSTS),
        offer=known_late({"terms": 1}),
        percent=10,
        match=tm.Match(rpc_methods=["hello.Greeter/SayHello"]),
        client_credential="mirror-client",
    )
    gateway = tm.GatewayRef(name="gate", namespace="gateways")
    tm.MirroredService(
        "thing", tm.MirroredServiceArgs(mesh=handle, primary=SERVICE, hosts=HOSTS, gateway=gateway, mirrors=[mirror])
    )


def address(handle: Any) -> None:
    args = ARGS["MirrorReceiver"](handle)
    given = {name: getattr(args, name) for name in vars(args)} | {"address": known_late("no address")}
    pulumi.export("offer", tm.MirrorReceiver("thing", tm.MirrorReceiverArgs(**given)).offer)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (image, "image = 'registry.example/greeter:1': must have a digest"),
        (offer, "mirrors[0].offer.terms = 1: must be an object"),
        (address, "address = 'no address': must be"),
    ],
)
def test_a_late_refusal_is_a_message_without_the_sdk_s_words_around_it(make: Callable[[Any], None], words: str) -> None:
    error = refused(lambda: make(mesh()), LateRefusedError).error
    assert str(error).startswith(words)
    assert isinstance(error, pulumi.RunError)
    assert not isinstance(error, ValueError), "the SDK would make a ValueError of its own of it"


def test_what_refuses_nothing_is_handed_on() -> None:
    assert late(str.upper)("a") == "A"
