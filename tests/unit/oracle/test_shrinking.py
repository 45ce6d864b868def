"""A mesh that shows something, made smaller."""

from tests.differential.maker import Object
from tests.differential.shrinking import shrunk

MESH: list[Object] = [
    {"kind": "Service", "metadata": {"name": "a", "labels": {"x": "1"}}, "spec": {"ports": [1, 2, 3]}},
    {"kind": "Pod", "metadata": {"name": "b"}, "spec": {}},
    {"kind": "Service", "metadata": {"name": "c"}, "spec": {"ports": [2], "type": "NodePort"}},
]


def test_only_what_it_takes_is_left() -> None:
    def shows(objects: list[Object]) -> bool:
        return any(2 in each["spec"].get("ports", ()) for each in objects if each["kind"] == "Service")

    assert shrunk(MESH, shows) == [{"kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": [2]}}]
    assert MESH[1]["metadata"] == {"name": "b"}


def test_objects_that_need_each_other_stay() -> None:
    def shows(objects: list[Object]) -> bool:
        kinds = [each["kind"] for each in objects]
        return "Pod" in kinds and "Service" in kinds

    assert [each["kind"] for each in shrunk(MESH, shows)] == ["Service", "Pod"]


def test_what_shows_nothing_smaller_stays_as_it_is() -> None:
    assert shrunk(MESH, lambda objects: objects == MESH) == MESH
