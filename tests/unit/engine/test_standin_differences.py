"""What counts as a change, and what needs a new object."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from components.rehearsal.standin_provider.differences import (
    Change,
    ChangeKind,
    field_path,
    find_changes,
    immutable_fields,
    mark_replacing,
    same_object,
    without_ignored,
)
from components.rehearsal.standin_provider.settings import Settings
from components.rehearsal.standin_provider.values import UNKNOWN

few = settings(max_examples=40)
leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=4)
objects = st.dictionaries(
    st.text(min_size=1, max_size=4),
    st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
        max_leaves=6,
    ),
    max_size=3,
)


@few
@given(objects)
def test_an_object_does_not_differ_from_itself(obj: dict[str, Any]) -> None:
    assert list(find_changes(obj, obj)) == []


@few
@given(objects, objects)
def test_objects_that_differ_have_a_change_and_the_other_way_round_too(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    there, back = list(find_changes(one, other)), list(find_changes(other, one))
    opposite = {
        ChangeKind.ADD: ChangeKind.DELETE,
        ChangeKind.DELETE: ChangeKind.ADD,
        ChangeKind.UPDATE: ChangeKind.UPDATE,
    }
    assert [(change.path, opposite[change.kind]) for change in there] == [(change.path, change.kind) for change in back]
    if one != other:
        assert there


def test_changes_are_found_where_they_are() -> None:
    old = {"spec": {"ports": [{"port": 1}, {"port": 2}], "type": "A"}, "gone": 1}
    new = {"spec": {"ports": [{"port": 1, "name": "x"}], "type": "A"}, "metadata": {"annotations": {"a.b/c": "d"}}}
    assert [(change.kind, change.text) for change in find_changes(old, new)] == [
        (ChangeKind.DELETE, "gone"),
        (ChangeKind.ADD, "metadata"),
        (ChangeKind.ADD, "spec.ports[0].name"),
        (ChangeKind.DELETE, "spec.ports[1]"),
    ]
    assert Change(("metadata", "annotations", "a.b/c"), ChangeKind.ADD).text == 'metadata.annotations["a.b/c"]'


def test_true_is_not_one_and_an_unknown_value_is_a_change() -> None:
    assert list(find_changes({"a": True}, {"a": 1}))
    assert not list(find_changes({"a": 1.0}, {"a": 1}))
    assert list(find_changes({"a": 1}, {"a": UNKNOWN}))


def replaced(
    kind: str, api_version: str, path: tuple[str, ...], settings: Settings | None = None, **fields: Any
) -> bool:
    obj = {"apiVersion": api_version, "kind": kind, **fields}
    changes = mark_replacing([Change(path, ChangeKind.UPDATE)], immutable_fields(obj, settings or Settings()))
    return changes[0].replaces


def test_identity_and_selectors_need_a_new_object() -> None:
    assert replaced("Anything", "a.example/v1", ("metadata", "name"))
    assert replaced("Anything", "a.example/v1", ("metadata", "namespace"))
    assert replaced("Deployment", "apps/v1", ("spec", "selector", "matchLabels", "app"))
    assert replaced("Deployment", "apps/v1", ("spec",)), "the whole of it changed, the selector too"
    assert not replaced("Deployment", "apps/v1", ("spec", "template"))
    assert replaced("Job", "batch/v1", ("spec", "template", "spec"))


def test_data_is_replaced_unless_the_provider_may_change_it() -> None:
    mutable = Settings(config_map_mutable=True, secret_mutable=True)
    assert replaced("ConfigMap", "v1", ("data", "a"))
    assert not replaced("ConfigMap", "v1", ("data", "a"), mutable)
    assert replaced("ConfigMap", "v1", ("data", "a"), mutable, immutable=True)
    assert replaced("Secret", "v1", ("stringData", "a"))
    assert not replaced("Secret", "v1", ("stringData", "a"), mutable)
    assert replaced("Secret", "v1", ("type",), mutable)


def test_ignored_changes_are_dropped_with_all_below_them() -> None:
    changes = list(find_changes({"spec": {"a": 1, "ab": 1, "list": [1]}}, {"spec": {"a": 2, "ab": 2, "list": [2]}}))
    assert [change.text for change in without_ignored(changes, ["spec.a"])] == ["spec.ab", "spec.list[0]"]
    assert [change.text for change in without_ignored(changes, ["spec.list"])] == ["spec.a", "spec.ab"]
    assert without_ignored(changes, ["spec"]) == []


def test_the_servers_bookkeeping_is_no_difference() -> None:
    one = {"metadata": {"name": "a", "resourceVersion": "1", "generation": 1}, "spec": {}, "status": {"x": 1}}
    other = {"metadata": {"name": "a", "resourceVersion": "2", "managedFields": []}, "spec": {}}
    assert same_object(one, other)
    assert not same_object(one, {**other, "spec": {"a": 1}})


def test_field_names_of_errors_become_paths() -> None:
    assert field_path("spec.selector") == ("spec", "selector")
    assert field_path("spec.clusterIPs[0]") == ("spec", "clusterIPs")
    assert field_path("") == ()
