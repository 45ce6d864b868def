"""YAML scalars that kubectl reads otherwise than YAML 1.1 has them."""

import math

import pytest
import yaml

from pulumi_traffic_mirror.yamlreading import ManifestLoader

READ: dict[str, object] = {
    **{
        text: text for text in ("2024-01-15", "2024-01-15T10:00:00Z", "1:30", "1:30:45.5", "1.2.3", "=", "nULL", "tRUE")
    },
    **{text: text for text in ("_1", ".", "1e", "e1", "0o", "0xZZ", "1e400")},
    **dict.fromkeys(("y", "Y", "yes", "on", "True"), True),
    **dict.fromkeys(("n", "N", "no", "Off", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "NULL")),
    **{"1e1": 10, "1E+3": 1000, "0o10": 8, "010": 8, "08": 8, "0b101": 5, "-0x1F": -31, "+12": 12, "1__0": 10, "5.": 5},
    **{".5": 0.5, "-.5": -0.5, "1_000.5": 1000.5, "18446744073709551615": 2**64 - 1},
    **{'!!int "5"': 5, "!!str 5": "5", "!!binary YWJj": "abc", "!!timestamp 2024-01-15": "2024-01-15"},
}
"""Held against sigs.k8s.io/yaml 1.6.0, which kubectl uses."""


@pytest.mark.parametrize("text", READ)
def test_a_scalar_is_what_kubectl_sends(text: str) -> None:
    found = yaml.load(f"v: {text}", Loader=ManifestLoader)["v"]  # noqa: S506 -- a safe loader
    assert (found, type(found)) == (READ[text], type(READ[text]))


def test_numbers_beyond_whole_ones_are_floating_point() -> None:
    found = yaml.load("[123456789012345678901234567890, .inf]", Loader=ManifestLoader)  # noqa: S506 -- a safe loader
    assert found == [123456789012345678901234567890.0, math.inf]
    assert [type(each) for each in found] == [float, float]


def test_merged_keys_are_read() -> None:
    found = yaml.load("{a: &a {b: 1}, c: {<<: *a, d: 2}}", Loader=ManifestLoader)  # noqa: S506 -- a safe loader
    assert found["c"] == {"b": 1, "d": 2}
