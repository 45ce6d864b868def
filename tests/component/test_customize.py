"""Every child of a component can be reached and changed, and what rules judge is judged as it was changed."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pulumi
import pytest

import pulumi_traffic_mirror
from tests.component.test_options import ARGS, COMPONENTS, HOSTS, IMAGE
from tests.support.handles import mesh
from tests.support.recording import Recording, refused, run_program

tm: Any = pulumi_traffic_mirror
MIRROR = tm.InClusterMirror(
    service=tm.Destination("greeter-v2.hello.svc.cluster.local", 8000),
    percent=10,
    match=tm.Match(rpc_methods=["hello.Greeter/SayHello"]),
)

PLACE = {
    "clusters": [{"name": "a", "cluster": {"server": "https://cluster.example"}}],
    "users": [{"name": "a", "user": {}}],
    "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
    "current-context": "a",
}
OWN: dict[str, Any] = {"ExistingCluster": {"kubeconfig": json.dumps(PLACE)}}
"""Arguments with which a component is made; others are only read."""


def same(given: dict[str, Any]) -> dict[str, Any]:
    return given


def program(
    name: str, see: dict[str, Any] | None = None, late: Callable[[], Mapping[str, Any]] = dict, **arguments: Any
) -> Callable[[], None]:
    def run() -> None:
        args = ARGS[name](mesh())
        given = {each: getattr(args, each) for each in vars(args)} | OWN.get(name, {})
        component = COMPONENTS[name]("thing", type(args)(**{**given, **arguments, **late()}))
        if see is not None:
            see.update(component.children)

    return run


def made(name: str, **arguments: Any) -> Recording:
    return run_program(program(name, **arguments))


def children(recording: Recording) -> dict[str, Any]:
    return {r.name.removeprefix("thing-"): r.inputs for r in recording.resources if "::thing" in r.parent}


@pytest.mark.parametrize("name", ARGS)
def test_every_child_is_reached_by_its_name_and_unchanged_where_nothing_is_asked(name: str) -> None:
    reached: dict[str, Any] = {}
    before = children(made(name, see=reached))
    assert set(reached) == set(before)
    assert all(isinstance(each, pulumi.Resource) for each in reached.values())
    assert children(made(name, customize=dict.fromkeys(before, same))) == before


def test_a_change_reaches_what_is_registered_and_nothing_else() -> None:
    def change(given: dict[str, Any]) -> dict[str, Any]:
        given["metadata"]["labels"]["team"] = "shop"
        given["spec"]["template"]["spec"]["priorityClassName"] = "low"
        return given

    before = children(made("Greeter"))
    after = children(made("Greeter", customize={"deployment": change}))
    pod = after["deployment"]["spec"]["template"]["spec"]
    assert pod.pop("priorityClassName") == "low"
    assert after["deployment"]["metadata"]["labels"].pop("team") == "shop"
    assert after == before


def test_names_are_those_of_manifests() -> None:
    seen: dict[str, Any] = {}

    def look(given: dict[str, Any]) -> dict[str, Any]:
        seen.update(given)
        return given

    made("Greeter", customize={"service-account": look})
    assert seen["automountServiceAccountToken"] is False
    made("IstioControlPlane", customize={"base": look})
    assert seen["repositoryOpts"]["repo"].startswith("https://")


def test_a_property_that_is_left_out_is_given_up() -> None:
    def drop(given: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in given.items() if name != "automountServiceAccountToken"}

    account = children(made("Greeter", customize={"service-account": drop}))["service-account"]
    assert "automountServiceAccountToken" not in account


def test_an_output_in_the_properties_stays_one() -> None:
    recording = made("Greeter", late=lambda: {"image": pulumi.Output.from_input(IMAGE)}, customize={"deployment": same})
    deployment = children(recording)["deployment"]
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == IMAGE


def refusal(name: str, **arguments: Any) -> str:
    return str(refused(program(name, **arguments), tm.ValidationError).error)


@pytest.mark.parametrize("name", ARGS)
def test_a_child_that_is_not_there_is_refused_before_anything_is_made_with_those_that_are(name: str) -> None:
    names = sorted(children(made(name)))
    unmade = refused(program(name, customize={"deploymint": same}), tm.ValidationError)
    assert "customize = 'deploymint': must name a child" in str(unmade.error)
    known = f"Write one of {', '.join(map(repr, names))}" if names else "Leave it out: there is none"
    assert known in str(unmade.error)
    assert not [r for r in unmade.recording.resources if r.name.startswith("thing")]


@pytest.mark.parametrize(
    ("name", "arguments", "child"),
    [
        ("Greeter", {"replicas": 1}, "disruption-budget"),
        ("MeshGateway", {"namespace": "gateways"}, "namespace"),
        ("MeshGateway", {"exposure": "cluster"}, "service"),
        ("ExpiryGuard", {"namespace": "guards"}, "namespace"),
        ("IstioControlPlane", {"create_namespace": False}, "namespace"),
        ("IstioControlPlane", {"revision": "a"}, "istiod"),
        ("GkeCluster", {"mode": tm.AutopilotMode()}, "nodes"),
        ("MirrorMonitoring", {"dashboard": False}, "dashboard"),
        ("TrafficRecorder", {}, "claim"),
        ("BranchService", {"now": datetime(2026, 12, 31, tzinfo=UTC)}, "deployment"),
        ("MirrorReceiver", {"max_per_second": tm.Waiver(reason="measured in a test")}, "rate-limit"),
    ],
)
def test_a_child_that_is_not_made_with_these_arguments_is_not_there(
    name: str, arguments: dict[str, Any], child: str
) -> None:
    assert f"customize = {child!r}: must name a child" in refusal(name, customize={child: same}, **arguments)


@pytest.mark.parametrize(("name", "child"), [("Greeter", "deployment"), ("MirroredService", "virtual-service")])
def test_what_is_no_mapping_is_refused(name: str, child: str) -> None:
    text = refusal(name, customize={child: lambda given: given.update(spec={})})
    assert f"customize[{child!r}] = '(NoneType)': must return the child's properties as a mapping" in text


def test_a_property_that_the_child_has_not_is_refused() -> None:
    text = refusal("Greeter", customize={"deployment": lambda given: {**given, "specs": {}}})
    assert "customize['deployment'] = 'specs': must return properties that the child has" in text
    assert "Return some of apiVersion, kind, metadata, spec" in text


def test_what_is_no_function_is_refused() -> None:
    assert "customize['deployment'] = '(dict)': must be a function" in refusal(
        "Greeter", customize={"deployment": {"spec": {}}}
    )


def judged(**arguments: Any) -> Recording:
    return made("MirroredService", mirrors=[MIRROR], **arguments)


def test_an_object_of_routing_can_be_annotated() -> None:
    def note(given: dict[str, Any]) -> Mapping[str, Any]:
        return {**given, "metadata": {**given["metadata"], "annotations": {"team": "shop"}}}

    before = children(judged())
    after = children(judged(customize=dict.fromkeys(before, note)))
    assert [each["metadata"]["annotations"]["team"] for each in after.values()] == ["shop"] * len(before)
    assert [each["spec"] for each in after.values()] == [each["spec"] for each in before.values()]


def test_a_change_that_breaks_a_rule_is_refused_before_anything_is_made() -> None:
    """The brakes of a mirror are in its DestinationRule."""

    def release(given: dict[str, Any]) -> dict[str, Any]:
        given["spec"].pop("trafficPolicy")
        return given

    (child,) = [each for each in children(judged()) if re.fullmatch("(?!primary).*-destination-rule", each)]
    unmade = refused(program("MirroredService", mirrors=[MIRROR], customize={child: release}), tm.ValidationError)
    assert "mirror-no-brakes" in str(unmade.error)
    assert not [r for r in unmade.recording.resources if r.type.startswith("trafficmirror:")]


def test_a_change_of_a_receiver_that_breaks_a_rule_is_refused_before_anything_is_made() -> None:
    """What is written into its route is judged like anybody's: here a mirror that nothing brakes."""

    def pass_on(given: dict[str, Any]) -> dict[str, Any]:
        to = {"host": "greeter-v2.hello.svc.cluster.local", "port": {"number": 8000}}
        given["spec"]["http"][-1]["mirrors"] = [{"destination": to, "percentage": {"value": 10}}]
        return given

    unmade = refused(program("MirrorReceiver", customize={"virtual-service": pass_on}), tm.ValidationError)
    assert "mirror-no-brakes" in str(unmade.error)
    assert not [r for r in unmade.recording.resources if r.name.startswith("thing")]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda given: {**given, "kind": "Gateway"}, "must leave apiVersion, kind, name and namespace as they are"),
        (lambda given: {**given, "metadata": {"name": "other"}}, "must leave apiVersion, kind, name and namespace"),
        (lambda given: {**given, "spec": None}, "must leave apiVersion, kind, name and namespace"),
        (
            lambda given: {**given, "spec": {**given["spec"], "hosts": [pulumi.Output.from_input("a")]}},
            "must return plain values",
        ),
    ],
)
def test_an_object_that_rules_judge_stays_itself_and_plain(change: Any, words: str) -> None:
    assert words in refusal("MirroredService", customize={"virtual-service": change})


def test_the_entry_of_a_late_offer_is_changed_as_that_of_a_plain_one() -> None:
    contract = tm.MirrorContract(hosts=HOSTS)
    offer = {**tm.MirrorOffer.of(contract, "10.9.9.9").to_json()}
    gateway = tm.GatewayRef(name="internal-gateway", namespace="istio-system")

    def label(given: dict[str, Any]) -> dict[str, Any]:
        given["spec"]["endpoints"][0]["labels"] = {"team": "shop"}
        return given

    def entry(given: Callable[[], Any]) -> Any:
        def late() -> Mapping[str, Any]:
            mirror = tm.CrossClusterMirror(
                name="testing",
                contract=contract,
                offer=given(),
                percent=10,
                match=MIRROR.match,
                client_credential="mirror-client",
            )
            return {"mirrors": [mirror], "hosts": HOSTS, "gateway": gateway}

        return children(made("MirroredService", late=late, customize={"testing-service-entry": label}))[
            "testing-service-entry"
        ]["spec"]

    plain = entry(lambda: offer)
    assert plain["endpoints"][0]["labels"] == {"team": "shop"}
    assert entry(lambda: pulumi.Output.from_input(offer)) == plain
