"""Whatever JSON somebody hands over: rules judge it or leave it, and never raise."""

import json
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pulumi_traffic_mirror.model.rules import (
    UNKNOWN,
    ClusterObjects,
    Finding,
    KubeObject,
    Mesh,
    Node,
    NotJudgedError,
    control_plane_of,
    read_object,
    run_rules,
)
from tests.unit.model.samples import NOW, Object, receiving, sending

KEYS = ["kind", "metadata", "name", "spec", "http", "mirror", "mirrors", "value", "host", "route", "hosts"]
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 70_000), st.floats(), st.text(max_size=5), st.just(UNKNOWN)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=10,
)


def judge(*clusters: list[Any]) -> list[Finding]:
    """Run every rule."""
    named = [ClusterObjects(name=f"c{index}", objects=objects) for index, objects in enumerate(clusters)]
    return run_rules(Mesh(clusters=named, now=NOW))


@settings(max_examples=150)
@given(
    st.lists(JSON, max_size=3),
    st.sampled_from(
        ["VirtualService", "HTTPRoute", "Gateway", "EnvoyFilter", "Service", "ListenerSet", "ReferenceGrant"]
    ),
    JSON,
)
@example([], "VirtualService", {"http": [{"mirror": {"host": 7}}], "hosts": [None]})
def test_no_json_makes_a_rule_raise(values: list[Any], kind: str, spec: Any) -> None:
    native = dict.fromkeys(("HTTPRoute", "ListenerSet", "ReferenceGrant"), "gateway.networking.k8s.io/v1")
    group = {**native, "Service": "v1"}.get(kind, "networking.istio.io/v1")
    judge([*values, {"apiVersion": group, "kind": kind, "metadata": {"name": "a"}, "spec": spec}])


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of everything below a value."""
    found = [path] if path else []
    if isinstance(value, dict):
        return found + [each for key in value for each in places(value[key], (*path, key))]
    if isinstance(value, list):
        return found + [each for index in range(len(value)) for each in places(value[index], (*path, index))]
    return found


SENT, RECEIVED = sending(), receiving()


@settings(max_examples=150)
@given(st.sampled_from(places(SENT)), JSON)
def test_no_damage_to_a_good_object_makes_a_rule_raise(path: tuple[Any, ...], damage: Any) -> None:
    objects: list[Object] = json.loads(json.dumps(SENT))
    node: Any = objects
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = damage
    judge(objects, RECEIVED)


def test_a_place_knows_its_path() -> None:
    root = Node({"spec": {"http": [{"mirror": {"host": "b"}}]}, "metadata": {"annotations": {"a.b/c": "d"}}})
    [entry] = root["spec"]["http"].elements()
    assert entry["mirror"]["host"].path == "spec.http[0].mirror.host"
    assert entry["nothing"]["below"].path == "spec.http[0].nothing.below"
    [(key, note)] = root["metadata"]["annotations"].entries()
    assert (key, note.text(), note.path) == ("a.b/c", "d", "metadata.annotations.a.b/c")
    assert repr(note) == "Node('d', path='metadata.annotations.a.b/c')"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1.5s", 1.5),
        ("200ms", 0.2),
        ("2m", 120),
        ("1h", 3600),
        ("1h1m1s500ms", 3661.5),
        (".5m", 30),
        ("1s1", None),
        ("-1s", None),
        ("5", None),
        ("s", None),
        (5, None),
        ("", None),
        (None, None),
    ],
)
def test_durations_are_read_in_every_form(value: Any, seconds: float | None) -> None:
    assert Node(value).seconds() == seconds


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (8000, 8000),
        (8000.0, 8000),
        (True, None),
        ("8000", None),
        (8000.5, None),
        (float("nan"), None),
        (10**400, None),
    ],
)
def test_whole_numbers_are_read_strictly(value: Any, number: int | None) -> None:
    assert Node(value).integer() == number


def test_an_unknown_value_is_never_read_as_nothing() -> None:
    root = Node({"spec": UNKNOWN})
    assert root["spec"].given
    for read in (
        root["spec"].text,
        root["spec"].elements,
        root["spec"].entries,
        root["spec"].number,
        lambda: root["spec"]["a"],
    ):
        with pytest.raises(NotJudgedError, match="spec is not known yet"):
            read()


@pytest.mark.parametrize(
    ("object_", "kind"),
    [
        ({"apiVersion": "networking.istio.io/v1alpha3", "kind": "Gateway"}, "Gateway"),
        ({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway"}, "KubernetesGateway"),
        ({"apiVersion": "example.com/v1", "kind": "Gateway"}, None),
        ({"apiVersion": "v1", "kind": "Service"}, "Service"),
        ({"apiVersion": "serving.knative.dev/v1", "kind": "Service"}, None),
        ({"apiVersion": "v1", "kind": "ConfigMap"}, None),
        ({}, None),
        ("text", None),
    ],
)
def test_kinds_are_told_apart_by_their_group(object_: Any, kind: str | None) -> None:
    found = read_object("a", Node(object_))
    assert (found.kind if found else None) == kind


def istiod(image: str, **env: str) -> KubeObject:
    """A control plane's Deployment."""
    container = {"image": image, "env": [{"name": key, "value": value} for key, value in env.items()]}
    value = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "istiod", "namespace": "istio-system", "labels": {"app": "istiod"}},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }
    found = read_object("a", Node(value))
    assert found
    return found


@pytest.mark.parametrize(
    ("image", "env", "mode"),
    [
        ("docker.io/istio/pilot:1.31.0", {}, "preserved"),
        ("registry:5000/pilot:1.27.3-distroless", {}, "suffixed"),
        ("pilot:1.31.0", {"DISABLE_SHADOW_HOST_SUFFIX": "false"}, "suffixed"),
        ("pilot:1.31.0", {"DISABLE_SHADOW_HOST_SUFFIX": "true"}, "preserved"),
        ("pilot:latest", {}, None),
        ("pilot:9.9.9", {}, None),
    ],
)
def test_a_control_plane_says_how_it_behaves(image: str, env: dict[str, str], mode: str | None) -> None:
    found = control_plane_of(istiod(image, **env))
    assert (found.authority_mode.value if found else None) == mode


def test_mappings_of_other_kinds_are_read_like_objects() -> None:
    """The host of policies hands objects over as mappings of its own."""
    place = Node(MappingProxyType({"spec": MappingProxyType({"exportTo": ["."], "c": 1})}))["spec"]
    assert place["exportTo"].texts() == ["."]
    assert (place.either("a", "b", "c").value, place.either("a", "b", "c").path) == (1, "spec.c")
    assert (place.either("a", "b").value, place.either("a", "b").path) == (None, "spec.a")
    assert [key for key, _ in place.entries()] == ["exportTo", "c"]
    assert Node({}).either("a", "b").path == "a"


def test_a_control_plane_s_container_is_told_from_those_beside_it() -> None:
    given: Any = istiod("docker.io/istio/pilot:1.30.1").root.value
    beside = {"image": "registry.example/logger:v2"}
    given["spec"]["template"]["spec"]["containers"].insert(0, beside)
    found = read_object("a", Node(given))
    assert found
    behaviour = control_plane_of(found)
    assert behaviour
    assert str(behaviour.version) == "1.30.1"
