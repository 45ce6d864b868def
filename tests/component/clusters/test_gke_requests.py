"""Requests for what our components register, held against Google's own descriptions of its APIs, at a stand-in."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pulumi_traffic_mirror.clusters.gke import AutopilotMode, NetworkPeering, NetworkPeeringArgs
from tests.support.gke_changes import VARIANTS, recorded
from tests.support.gke_requests import Request, deployment, mapped, requests_of
from tests.support.google_discovery import MODULE, VERSION, ApiError, module_folder
from tests.support.google_standin import GoogleStandIn
from tests.support.recording import Recording, run_program

pytestmark = pytest.mark.slow

LOGS = ["SYSTEM_COMPONENTS", "WORKLOADS", "APISERVER"]
HOSTS = ("my-project", "host-project")


@pytest.fixture(scope="module")
def descriptions() -> Path:
    folder = module_folder()
    if folder is None:
        missing = f"Google's descriptions are not to be had: go mod download {MODULE}@{VERSION}"
        # Where nobody reads what was skipped, a check that did not happen must not pass for one that did.
        pytest.fail(missing) if "CI" in os.environ else pytest.skip(missing)
    return folder


@pytest.fixture
def google(descriptions: Path) -> GoogleStandIn:
    standin = GoogleStandIn(descriptions)
    # What ExistingNetwork names.
    for project in HOSTS:
        for network in ("shared", "other", "a", "b"):
            standin.made[f"projects/{project}/global/networks/{network}"] = {}
        for subnetwork in ("nodes", "other"):
            names = ("pods", "services", "other")
            standin.made[f"projects/{project}/regions/europe-west1/subnetworks/{subnetwork}"] = {
                "secondaryIpRanges": [{"rangeName": name} for name in names]
            }
    return standin


def deploy(google: GoogleStandIn, recording: Recording) -> list[Request]:
    requests = list(deployment(recording))
    for request in requests:
        google.call(request)
    return requests


@pytest.mark.parametrize("variant", range(len(VARIANTS)))
def test_google_knows_every_field_and_value(variant: int, google: GoogleStandIn) -> None:
    deploy(google, recorded(VARIANTS[variant]))
    assert any(name.endswith("/clusters/b-cluster") for name in google.made)


@pytest.mark.parametrize("autopilot", [False, True])
def test_autopilot_alone_has_intranode_visibility_and_both_have_shielded_nodes(autopilot: bool) -> None:
    mode = {"mode": AutopilotMode()} if autopilot else {}
    (found,) = (each for each in recorded(mode).resources if each.name == "b-cluster")
    body = requests_of(found).body["cluster"]
    assert body["networkConfig"]["enableIntraNodeVisibility"] is autopilot
    assert body["shieldedNodes"] == {"enabled": True}
    assert body["legacyAbac"] == {"enabled": False}
    assert body["loggingConfig"] == {"componentConfig": {"enableComponents": LOGS}}
    assert len(body["resourceLabels"]) == 3  # as many as the user's are fewer than Google's limit


def test_networks_are_connected_by_names_that_google_knows(google: GoogleStandIn) -> None:
    a, b = (f"projects/my-project/global/networks/{name}" for name in "ab")
    recording = run_program(lambda: NetworkPeering("mirrors", NetworkPeeringArgs(first=a, second=b)))
    assert len(deploy(google, recording)) == 2


def cluster_request(**changes: Any) -> Request:
    (found,) = (each for each in recorded({}).resources if each.name == "b-cluster")
    request = requests_of(found)
    return Request(
        api=request.api, verb=request.verb, path=request.path, body={"cluster": request.body["cluster"] | changes}
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"enableSheildedNodes": True}, "cluster.enableSheildedNodes: unknown field"),
        ({"releaseChannel": {"channel": "SLOW"}}, "releaseChannel.channel: 'SLOW' is none of"),
        ({"shieldedNodes": {"enabled": "yes"}}, "shieldedNodes.enabled: 'yes' must be boolean"),
        ({"locations": "europe-west1-b"}, "locations: must be a list"),
        ({"nodeConfig": {"kubeletConfig": []}}, "kubeletConfig: must be an object"),
        ({"subnetwork": "projects/my-project/regions/europe-west1/subnetworks/gone"}, "404: there is no projects/"),
    ],
)
def test_the_standin_refuses_what_google_would(changes: Mapping[str, Any], said: str, google: GoogleStandIn) -> None:
    for request in deployment(recorded({})):
        if request.api == "compute":
            google.call(request)
    with pytest.raises(ApiError) as refusal:
        google.call(cluster_request(**changes))
    assert said in str(refusal.value)


@pytest.mark.parametrize("api", ["container", "compute", "iam", "cloudresourcemanager"])
def test_no_request_of_any_api_may_have_a_field_that_google_does_not_know(api: str, google: GoogleStandIn) -> None:
    asked = [request for request in deployment(recorded({})) if request.api == api]
    assert asked
    for request in asked:
        with pytest.raises(ApiError, match=r"400: .*colour: unknown field"):
            google.call(replace(request, body={**request.body, "colour": "red"}))
        for inner in (key for key, value in request.body.items() if isinstance(value, dict)):
            with pytest.raises(ApiError, match=r"400: .*colour: unknown field"):
                google.call(replace(request, body={**request.body, inner: {**request.body[inner], "colour": "red"}}))


def test_there_is_no_method_for_half_a_path(google: GoogleStandIn) -> None:
    with pytest.raises(ApiError, match="404: there is no method POST v1beta1/projects/p/clusters/x/y"):
        google.call(Request(api="container", verb="POST", path="v1beta1/projects/p/clusters/x/y", body={}))


def test_a_property_that_the_mapping_does_not_know_is_not_left_out() -> None:
    with pytest.raises(KeyError, match="enableTpu"):
        mapped({"enableTpu": True}, {"network": ""})
