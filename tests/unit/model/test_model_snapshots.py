"""What the model renders and says, word for word: whoever changes it sees the change as others will."""

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from syrupy.assertion import SnapshotAssertion

from pulumi_traffic_mirror.model import (
    Destination,
    GatewayServer,
    HeaderMatch,
    HeaderRules,
    Match,
    MirrorOffer,
    Protocol,
    Scrub,
    TlsMode,
    ValidationError,
    client_server,
    render,
)
from tests.unit.model.samples import (
    GATEWAY,
    MIRROR,
    NOW,
    OLD,
    PRIMARY,
    REASON,
    Object,
    contract,
    cross_cluster,
    in_cluster,
    plain,
    receiver,
    receiving,
    route,
    sending,
)
from tests.unit.model.test_bad_input import BUILT, OFFERS, SCALARS


def http_in_the_mesh() -> list[Object]:
    """Subsets, headers and HTTP, for callers in the mesh alone."""
    return sending(
        route(
            gateway=None,
            hosts=[],
            protocol=Protocol.HTTP,
            headers=HeaderRules(request_set={"x-team": "shop"}, request_remove=["x-debug"], response_add={"x-a": "1"}),
            timeout_seconds=2.5,
            mirrors=[
                in_cluster(service=None, subset="v2", shared_service=REASON, match=None),
                in_cluster(name="only-alice", match=Match(headers=[HeaderMatch(name="x-user", value="alice")])),
            ],
        )
    )


def elsewhere() -> list[Object]:
    """A receiver whose service is a subset, and outside the cluster's domain."""
    return receiving(
        receiver(
            contract=contract(transport=REASON, scrub=Scrub(extra_headers=["x-session"], mark_value="copy")),
            service=Destination("greeter.internal.example", 9000, "v3", {"track": "next"}),
        )
    )


def several_servers() -> list[Object]:
    """One gateway for clients and for mirrors with different TLS."""
    servers = [
        client_server(["a.example", "b.example"], 8080, Protocol.HTTP),
        GatewayServer(hosts=["c.example"], port=8443, tls=TlsMode.SIMPLE, credential="edge"),
        GatewayServer(hosts=["d.example"], port=8443, tls=TlsMode.MUTUAL, credential="edge"),
    ]
    return plain([render.gateway(GATEWAY, {"istio": "gateway"}, servers)])


@pytest.mark.parametrize(
    "objects",
    [
        pytest.param(sending, id="both mirrors"),
        pytest.param(receiving, id="receiver"),
        pytest.param(lambda: sending(route(istio=OLD, mesh=False)), id="old release, gateway alone"),
        pytest.param(
            lambda: sending(route(primary=Destination(PRIMARY.host, 8000), mirrors=[cross_cluster(brakes=REASON)])),
            id="primary without a subset, mirror without brakes",
        ),
        pytest.param(http_in_the_mesh, id="HTTP in the mesh"),
        pytest.param(elsewhere, id="receiver elsewhere in plain text"),
        pytest.param(several_servers, id="several servers"),
        pytest.param(lambda: sending(route(mirrors=[in_cluster(service=MIRROR, percent=0)])), id="share of nothing"),
    ],
)
def test_what_is_rendered(objects: Callable[[], list[Object]], snapshot: SnapshotAssertion) -> None:
    assert yaml.safe_dump_all(objects(), sort_keys=False) == snapshot


def refusal(build: Callable[[], object]) -> str:
    """What is said of bad input, with a value of many digits cut short."""
    with pytest.raises(ValidationError) as refused:
        build()
    return str(refused.value).replace("0" * 400, "0…0")


def test_what_is_said_of_bad_input(snapshot: SnapshotAssertion) -> None:
    scalars = [refusal(lambda kind=kind, value=value: kind(value)) for kind, value, _ in SCALARS]
    built = [f"{label}: {refusal(build)}" for label, build, _ in BUILT]
    offers = [refusal(lambda offer=offer: accepted(offer)) for offer, _ in OFFERS]
    assert "\n".join([*scalars, *built, *offers]) == snapshot


def accepted(offer: Any) -> MirrorOffer:
    """The offer, where it fits."""
    return MirrorOffer.accept(offer, contract(), now=NOW)
