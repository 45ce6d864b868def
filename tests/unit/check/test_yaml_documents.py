"""Documents of YAML: values are PyYAML's, and a place is found again at the line that it has in the whole file."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pulumi_traffic_mirror.operations.errors import OperationError
from pulumi_traffic_mirror.operations.manifest_files import read_entries
from pulumi_traffic_mirror.operations.places import Origin
from pulumi_traffic_mirror.operations.yaml_documents import read_documents
from pulumi_traffic_mirror.yamlreading import ManifestLoader

SCALARS = st.sampled_from([1, 2.5, True, None, "", "x", "a: b", "two\nlines\n", "é", "- x", "{", "2001-01-01", "08"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "é", 5]), inner, max_size=3),
    max_leaves=12,
)
ODD = {
    "line ends of Windows": "a: 1\r\nb:\r\n- 2\r\n---\r\nc:\r\n- d: [1,\r\n  2]\r\n",
    "directives": "%TAG !e! tag:yaml.org,2002:\n---\na: !e!str 1\n...\n%TAG !f! tag:yaml.org,2002:\n---\nb: !f!str\n",
    "empty documents": "---\n---\na: 1\n---\n\n---\n# only\n...\n---\nb:\n  c: 1\n",
    "flow and comments": "# x\n{a: 1,\n b: {c: 1}} # t\n--- {d: 1,\n  e: [1,\n {f: 2}]}\n...\n# g\n--- !!map\nh: 1\n",
    "what looks like a beginning": "a: |\n  ---\n  ...\nb: >-\n  c\n\n\n---\nd: 'e\n\n  ---'\nf: 1",
    "keys of other types": "5: 1\nb: {null: 1, on: 2, 1.5: {c: 3}}\n---\nd: 1\n",
    "tags": "a: !!set {x, y}\nb: !!binary aGk=\nc: !!omap [x: 1]\nd: !!str 3\n---\ne: 1\n",
    "anchors": "--- &x\na: &y\n  b: 1\nc: *y\n--- &x\nd: {<<: &z {e: 1}, f: 2}\n",
    "other line breaks": "a: 1\u2028b: 2\n---\nc: 1\u0085d: 2\n",
}


def marks(node: Any) -> list[tuple[tuple[str, ...], int]]:
    """Index of each place below a node, by the keys that lead to it."""
    pairs = [(f"[{index}]", each, each) for index, each in enumerate(node.value)] if node.id == "sequence" else []
    if node.id == "mapping":
        pairs = [(str(key.value), key, value) for key, value in node.value if key.tag != "tag:yaml.org,2002:merge"]
    found = [((name,), key.start_mark.index) for name, key, _ in pairs]
    return found + [((name, *path), index) for name, _, value in pairs for path, index in marks(value)]


def agrees(text: str) -> None:
    """Values, lines and indexes are those of PyYAML, which reads the whole text."""
    nodes = list(yaml.compose_all(text, Loader=ManifestLoader))
    read = list(read_documents(text, "a.yaml"))
    assert [value for value, _, _ in read] == list(yaml.load_all(text, Loader=ManifestLoader))
    for node, (_, document, repeated) in zip(nodes, read, strict=True):
        assert not repeated
        assert document.root is not None
        assert document.start + document.root.start_mark.index == node.start_mark.index
        origin = Origin(file="a.yaml", document=document)
        assert origin.line == text.count("\n", 0, node.start_mark.index) + 1
        for path, index in marks(node):
            assert origin.below(*path).line == text.count("\n", 0, index) + 1


@given(
    st.lists(VALUES, min_size=1, max_size=4),
    st.sampled_from([None, True, False]),
    st.sampled_from([None, '"', "|"]),
    st.booleans(),
    st.booleans(),
)
def test_documents_are_read_as_pyyaml_does(
    values: list[Any], flow: bool | None, style: str | None, start: bool, end: bool
) -> None:
    agrees(
        yaml.safe_dump_all(
            values,
            default_flow_style=flow,
            default_style=style,
            explicit_start=start,
            explicit_end=end,
            allow_unicode=True,
        )
    )


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_odd_texts_are_read_as_pyyaml_does(text: str) -> None:
    agrees(text)


def test_what_is_merged_into_a_mapping_has_the_line_where_it_stands() -> None:
    text = "base: &b\n  a: 1\n  c: 2\nmore: &m\n  a: 3\nspec:\n  d: 1\n  <<: [*b, *m]\n  c: 4\n"
    [(value, document, _)] = read_documents(text, "a.yaml")
    assert value["spec"] == {"d": 1, "a": 1, "c": 4}  # type: ignore[index]
    origin = Origin(file="a.yaml", document=document, within=("spec",))
    assert [origin.line_of(path) for path in ("d", "a", "c", "absent.deeper", "d.below")] == [7, 2, 9, 6, 7]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\n---\nb: {c: 1,\n  c: 2}\nb: 3\n", [[], [("b", 5), ("c", 4)]]),
        ("5: 1\n'5': 2\n", [[("5", 2)]]),
        ("a: &x {b: 1,\n b: 2}\nc: *x\n", [[("b", 2)]]),
    ],
)
def test_keys_that_stand_there_before_are_told(text: str, expected: list[list[tuple[str, int]]]) -> None:
    assert [keys for _, _, keys in read_documents(text, "a.yaml")] == expected


def test_a_key_that_json_has_twice_is_told_at_its_line(tmp_path: Path) -> None:
    for text, line in (('{"kind": "A",\n"b": {"c": 1,\n"c": 2}}', 3), ('{"a": "\\ud83d\\ude00",\n"b": 1, "b": 2}', 2)):
        path = tmp_path / "a.json"
        path.write_text(text, encoding="utf-8")
        [unread] = [entry.unread for entry in read_entries(path, "") if entry.unread]
        assert unread.line == line


@pytest.mark.parametrize(
    ("text", "expected", "line"),
    [
        ("base: &b {a: 1}\nspec:\n  a: 2\n  <<: *b\n", 1, 1),  # Go's parser lets what comes last count
        ("base: &b {a: 1}\nspec:\n  <<: *b\n  a: 2\n", 2, 4),
        ("base: &b\n  a: 1\nmore: &m {a: 3}\nspec:\n  <<: [*b, *m]\n", 1, 2),
        ("base: &b\n  a: 1\nmore: &m\n  a: 3\n  <<: *b\nspec:\n  <<: *m\n", 1, 2),
    ],
)
def test_of_keys_that_are_merged_the_last_one_counts(text: str, expected: int, line: int) -> None:
    [(value, document, _)] = read_documents(text, "a.yaml")
    assert value["spec"] == {"a": expected}  # type: ignore[index]
    assert Origin(file="a.yaml", document=document, within=("spec",)).line_of("a") == line


def test_nothing_but_mappings_is_merged() -> None:
    with pytest.raises(OperationError, match="line 1, column 5: expected a mapping for merging, but found scalar"):
        list(read_documents("<<: 1\n", "a.yaml"))


def test_values_that_do_not_fit_are_not_printed() -> None:
    with pytest.raises(OperationError) as refusal:
        list(read_documents("a: !!int hunter2\n", "a.yaml"))
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize("before", ["- []\n- {}\n" * 300, "- 1\n", "a: '---'\n---\n"])
def test_depth_is_bounded_whatever_stands_before(before: str) -> None:
    line = before.count("\n") + 1
    deep = "- " + "[" * 210 + "]" * 210 + "\n"
    with pytest.raises(OperationError, match=f"a.yaml: line {line} is nested more than 200 levels deep"):
        list(read_documents(before + deep, "a.yaml"))
    [*_, (value, _, _)] = read_documents(before + deep.replace("[" * 210, "[" * 190).replace("]" * 210, "]" * 190), "a")
    assert value
