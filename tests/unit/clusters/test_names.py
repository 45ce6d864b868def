"""Names and locations: what we make is always accepted by Google Cloud, what it refuses we refuse first."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulumi_traffic_mirror.clusters import locations, names
from pulumi_traffic_mirror.model import ValidationError

ACCOUNT_ID = re.compile(r"[a-z]([-a-z0-9]{4,28}[a-z0-9])")
component_names = st.from_regex(r"[a-z]([-a-z0-9]{0,22}[a-z0-9])?", fullmatch=True)


@given(component_names, st.text())
def test_account_ids_are_valid_whatever_they_are_made_of(name: str, unique: str) -> None:
    made = names.account_id(names.check_component_name(name), unique=unique)
    assert ACCOUNT_ID.fullmatch(made)
    assert len(made) <= 30


@given(component_names, st.text(), st.text())
def test_account_ids_differ_as_their_stacks_do(name: str, one: str, other: str) -> None:
    same = names.account_id(name, unique=one) == names.account_id(name, unique=other)
    assert same == (one == other)


@given(component_names)
def test_every_physical_name_of_an_accepted_component_fits(name: str) -> None:
    names.check_component_name(name)
    assert len(f"{name}-cluster-1234567") <= 40


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("", "must start with a letter"),
        ("Staging", "must start with a letter"),
        ("1st", "must start with a letter"),
        ("a_b", "must start with a letter"),
        ("a-", "must start with a letter"),
        ("a\n", "must start with a letter"),
        ("ä", "must start with a letter"),
        (None, "must start with a letter"),
        (5, "must start with a letter"),
        ("a" * 25, "has 25 characters, but only 24 fit.*Shorten it by 1"),
        ("a" * 64, "Shorten it by 40"),
    ],
)
def test_component_names_that_do_not_fit_are_refused_with_the_arithmetic(name: Any, rule: str) -> None:
    with pytest.raises(ValidationError, match=rule) as refusal:
        names.check_component_name(name)
    assert refusal.value.field == "name"


@pytest.mark.parametrize(
    ("project", "rule"),
    [
        ("123456789012", "is a project number"),
        ("My Project", "must have 6 to 30"),
        ("short", "must have 6 to 30"),
        ("ends-with-hyphen-", "must have 6 to 30"),
        ("a" * 31, "must have 6 to 30"),
        ("", "must have 6 to 30"),
    ],
)
def test_wrong_projects_are_refused(project: str, rule: str) -> None:
    with pytest.raises(ValidationError, match=rule):
        names.check_project(project)


def test_the_right_forms_are_accepted() -> None:
    assert names.check_project("team-mirror-1") == "team-mirror-1"
    assert names.check_labels({"cost-center": "42", "empty": ""}) == {"cost-center": "42", "empty": ""}
    key = "projects/p/locations/europe-west1/keyRings/r/cryptoKeys/k"
    assert names.check_key(key, region="europe-west1", field="f") == key


@pytest.mark.parametrize(
    "labels",
    [{"Upper": "x"}, {"x": "Upper"}, {"1": "x"}, {"k" * 64: "x"}, {"k": "v" * 64}, {f"k{i}": "" for i in range(65)}],
)
def test_labels_that_google_refuses_are_refused(labels: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        names.check_labels(labels)


@pytest.mark.parametrize(
    ("key", "rule"),
    [
        ("my-key", "must be projects/"),
        ("projects/p/locations/us-east1/keyRings/r/cryptoKeys/k", "must be a key in europe-west1"),
        ("projects/p/locations/global/keyRings/r/cryptoKeys/k", "must be a key in europe-west1"),
    ],
)
def test_keys_that_the_cluster_could_not_use_are_refused(key: str, rule: str) -> None:
    with pytest.raises(ValidationError, match=rule):
        names.check_key(key, region="europe-west1", field="f")


@pytest.mark.parametrize("location", ["europe-west1", "us-east4-c", "northamerica-northeast1", "europe-west10-a"])
def test_regions_and_zones_are_told_apart(location: str) -> None:
    assert locations.check_location(location) == location
    assert locations.is_region(location) is not locations.is_zone(location)
    assert locations.is_region(locations.region_of(location))


@pytest.mark.parametrize("location", ["", "Europe-West1", "europe", "europe-west", "europe-west1-", "europe-west1-bb"])
def test_other_locations_are_refused(location: str) -> None:
    with pytest.raises(ValidationError, match="must be a Google Cloud region"):
        locations.check_location(location)


@pytest.mark.parametrize(
    ("zones", "location", "field", "rule"),
    [
        (["europe-west1"], "europe-west1", "zones[0]", "must be a zone"),
        (["europe-west1-b", "us-east4-a"], "europe-west1", "zones[1]", "must lie in europe-west1"),
        (["europe-west1-b"], "europe-west1-b", "zones[0]", "is the zone of the cluster itself"),
        (["europe-west2-b"], "europe-west1-b", "zones[0]", "must lie in europe-west1"),
        (["europe-west1-b", "europe-west1-b"], "europe-west1", "zones[1]", "occurs twice"),
    ],
)
def test_zones_that_do_not_fit_the_cluster_are_refused(zones: list[str], location: str, field: str, rule: str) -> None:
    with pytest.raises(ValidationError, match=rule) as refusal:
        locations.check_node_zones(zones, location)
    assert refusal.value.field == field


def test_zones_that_fit_are_accepted() -> None:
    assert locations.check_node_zones([], "europe-west1") == ()
    assert locations.check_node_zones(["europe-west1-c"], "europe-west1-b") == ("europe-west1-c",)
