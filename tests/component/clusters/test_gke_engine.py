"""GkeCluster under the real engine and a small stand-in of Google's provider: what is refused, replaced, continued."""

import json
from pathlib import Path
from typing import Final

import pytest

from pulumi_traffic_mirror.cli.app import main
from pulumi_traffic_mirror.clusters.gke import AuthorizedNetworks, NewNetwork, StandardMode
from pulumi_traffic_mirror.rehearsal.engine import PROVIDER, discover
from pulumi_traffic_mirror.rehearsal.toolchain import Toolchain
from tests.support.google_stack import GoogleStack, RefusedError

pytestmark = [pytest.mark.stage, pytest.mark.slow_stage, pytest.mark.timeout(900)]

CLUSTER: Final = "b-cluster"
NODES: Final = "b-nodes"
ENDS: Final = "plan-ends-workloads"
OFFICE: Final = AuthorizedNetworks(ranges={"office": "203.0.113.0/24"})


@pytest.fixture
def google(toolchain: Toolchain, tmp_path: Path) -> GoogleStack:
    return GoogleStack(tmp_path, discover(toolchain.program("pulumi"), toolchain.program(PROVIDER)))


def steps(preview: Path) -> dict[str, str]:
    """Resource to what happens to it."""
    found = json.loads(preview.read_text(encoding="utf-8"))["steps"]
    return {each["urn"].split("::", 3)[3]: each["op"] for each in found}


def warnings(preview: Path) -> list[str]:
    found = json.loads(preview.read_text(encoding="utf-8")).get("diagnostics", ())
    return [each["message"] for each in found if each["severity"] == "warning"]


def findings(preview: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Rule and object to what `traffic-mirror check` says of a preview."""
    main(["check", str(preview), "--json"])
    found = json.loads(capsys.readouterr().out)["findings"]
    return {f"{each['rule']} {each['object'].split()[-1]}": each["message"] for each in found}


def test_a_protected_cluster_stays_until_it_is_let_go(google: GoogleStack, capsys: pytest.CaptureFixture[str]) -> None:
    google.run("up", deletion_protection=True)
    made = google.resources()
    with pytest.raises(RefusedError, match="protected"):
        google.run("preview_destroy")
    with pytest.raises(RefusedError, match="is currently marked for protection"):
        google.run("up", deletion_protection=True, mode=StandardMode(spot=True))
    assert google.resources() == made

    # Pulumi's protection is taken off at once, the provider's goes by the state.
    said = findings(google.preview(location="europe-west1-b"), capsys)
    assert said.keys() == {f"plan-is-refused-half-way {CLUSTER}", *(f"{ENDS} {name}" for name in (CLUSTER, NODES))}
    assert "location" in said[f"{ENDS} {CLUSTER}"]

    google.run("up")
    google.run("destroy")
    assert google.resources() == set()


def test_previews_tell_what_a_change_replaces_and_what_not(
    google: GoogleStack, capsys: pytest.CaptureFixture[str]
) -> None:
    google.run("up", binary_authorization=True)
    in_place = google.preview(mode=StandardMode(min_nodes=4, zones=["europe-west1-b"]), endpoint=OFFICE)
    happens = steps(in_place)
    assert (happens[CLUSTER], happens[NODES]) == ("update", "update")
    assert "replace" not in happens.values()
    assert findings(in_place, capsys) == {}

    nodes = google.preview(binary_authorization=True, mode=StandardMode(spot=True, disk_size_gib=80))
    assert steps(nodes)[NODES] == "replace"
    said = findings(nodes, capsys)
    assert said.keys() == {f"{ENDS} {NODES}"}
    assert "because of nodeConfig.spot: " in said[f"{ENDS} {NODES}"]

    network = google.preview(binary_authorization=True, network=NewNetwork(node_cidr="10.70.0.0/20"))
    assert {steps(network)[name] for name in ("b-subnet", CLUSTER, NODES)} == {"replace"}
    said = findings(network, capsys)
    assert said.keys() == {f"{ENDS} {CLUSTER}", f"{ENDS} {NODES}"}
    assert "because of subnetwork: " in said[f"{ENDS} {CLUSTER}"]


def test_a_creation_that_failed_is_previewed_with_the_way_out_which_leads_out(google: GoogleStack) -> None:
    google.fate(fails=[CLUSTER])
    with pytest.raises(RefusedError, match="quota exceeded"):
        google.run("up", deletion_protection=True)
    assert CLUSTER in google.resources()

    google.fate()
    (warning,) = warnings(google.preview(deletion_protection=True))
    assert "its creation has failed" in warning
    assert "delete it in Google Cloud, run `pulumi refresh` and then `pulumi up`" in warning

    google.fate(gone=[CLUSTER])
    google.run("refresh", deletion_protection=True)
    assert CLUSTER not in google.resources()

    google.fate()
    google.run("up", deletion_protection=True)
    assert {CLUSTER, NODES} <= google.resources()
    assert warnings(google.preview(deletion_protection=True)) == []
