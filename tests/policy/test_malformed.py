"""Nothing that anybody writes makes the pack fail: every resource gets a finding, or the rules do not apply."""

import copy
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulumi_traffic_mirror_policies.documents import read_examples
from tests.policy.driver import UNKNOWN, Given, InProcess, cluster_object
from tests.policy.examples import resources
from tests.policy.test_rules import every_path
from tests.policy.test_stacks import STACKS, registered

pytestmark = pytest.mark.slow

EXAMPLES: Final = read_examples()
CONFIG: Final = {rule_id: example.config for rule_id, example in EXAMPLES.items()}
REFUSED: Final = [one for example in EXAMPLES.values() for one in resources(example.refused)]
NAMES: Final = sorted({str(step) for one in REFUSED for path in every_path(one.props) for step in path})
TEXTS: Final = ("10", "-1", "0.0.0.0/0", "*", "*.example", "a:b:c", "outbound|8000||a.b", "1s", "\u202e\U0001f980\x00")

leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from((*TEXTS, UNKNOWN)),
)
names = st.sampled_from(NAMES) | st.text(max_size=4)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=5), max_leaves=12
)


def types() -> list[str]:
    """Every type of resource that an example or a stack has."""
    return sorted({one.type for one in REFUSED} | {one.type for stack in STACKS for one in registered(stack)})


# Deferred, because both stacks are run for it: not by every process that only collects the tests.
objects = st.deferred(
    lambda: st.tuples(st.sampled_from(types()), st.dictionaries(st.sampled_from(NAMES), values, max_size=6))
)


@settings(max_examples=40)
@given(st.lists(objects, max_size=4))
def test_arbitrary_properties_never_raise(found: list[tuple[str, dict[str, Any]]]) -> None:
    given = [Given(type_, f"r{index}", props) for index, (type_, props) in enumerate(found)]
    InProcess().judge(given)
    for one in given:
        InProcess().remedied(one)


@settings(max_examples=80)
@given(st.data())
def test_one_wrong_value_in_a_plausible_resource_never_raises(data: st.DataObject) -> None:
    one = data.draw(st.sampled_from(REFUSED))
    path = data.draw(st.sampled_from(list(every_path(one.props))))
    props: Any = copy.deepcopy(dict(one.props))
    holder = props
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = data.draw(values)
    changed = Given(one.type, one.name, props, one.provider)
    config = CONFIG if data.draw(st.booleans()) else {}
    InProcess(config).judge([changed, *REFUSED[:3]])
    InProcess(config).remedied(changed)


@pytest.mark.parametrize(
    "props",
    [
        {},
        {"metadata": []},
        {"metadata": {"name": {}, "namespace": 3, "annotations": [], "labels": "x"}, "spec": []},
        {"spec": {"hosts": {"a": "b"}, "http": {"0": {}}, "servers": "x", "selector": [1]}},
        {"spec": {"http": [None, 1, "x", [], {"mirror": [], "mirrors": {"a": 1}, "route": 5}]}},
        {"spec": {"template": {"spec": {"containers": {"name": "x"}, "volumes": 1}}}},
        {
            "spec": {
                "containers": [{"name": "x", "env": [{"name": "TOKEN", "value": []}, {"name": "TOKEN", "value": {}}]}]
            }
        },
        {"spec": {"host": "x" * 1_100_000, "hosts": ["\u202e" * 100_000]}},
        {"spec": {"http": [{"mirror": {"host": "ß.例え", "port": {"number": 1e300}}, "mirrorPercent": -1e300}]}},
        {"nodeConfig": [], "nodePools": {"a": []}, "allows": "tcp", "sourceRanges": 0, "members": {"a": 1}},
    ],
)
def test_malformed_shapes_never_raise(props: dict[str, Any]) -> None:
    InProcess(CONFIG).judge([Given(type_, f"r{index}", props) for index, type_ in enumerate(types())])


def test_deep_objects_never_raise() -> None:
    """As deep as the engine's messages can be."""
    deep: Any = "x"
    for _ in range(90):
        deep = {"a": [deep]} if _ % 2 else {"a": deep}
    InProcess().judge([cluster_object({"apiVersion": "v1", "kind": "ConfigMap", "data": deep})])


@pytest.mark.parametrize(
    "token", ["", ":", "::", "kubernetes:", "kubernetes:x", "kubernetes::", "a:b:c:d", "kubernetes:v1:Pod"]
)
def test_odd_type_tokens_never_raise(token: str) -> None:
    InProcess().judge([Given(token, "", {"spec": {}}, stack="")])


@pytest.mark.parametrize("urn_stack", ["", "a::b", "::"])
def test_odd_names_never_raise(urn_stack: str) -> None:
    InProcess().judge([Given(types()[0], "::", {}, stack=urn_stack)])
