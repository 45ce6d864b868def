"""The preview of an upgrade: what changes for each mirror, and what breaks."""

from dataclasses import replace

from pulumi_traffic_mirror.model import IstioBehaviour, IstioVersion
from pulumi_traffic_mirror.model.rules import Mesh, preview_upgrade
from tests.unit.model.rule_cases import bare
from tests.unit.model.samples import HOST, NEW, OLD, in_cluster, mesh, receiving, route, sending


def changes(given: Mesh, to: IstioVersion) -> list[tuple[str, str, str, bool]]:
    """Subject, before, after and whether it breaks."""
    found = preview_upgrade(given, to).changes
    return [(change.subject, change.before, change.after, change.breaks) for change in found]


def test_the_same_release_changes_nothing() -> None:
    upgrade = preview_upgrade(mesh(sending(), receiving()), NEW.version)
    assert (list(upgrade.changes), list(upgrade.appearing), list(upgrade.vanishing)) == ([], [], [])
    assert not upgrade.fails


def test_the_authority_changes_and_a_receiver_of_both_forms_takes_it() -> None:
    upgrade = preview_upgrade(mesh(sending(route(istio=OLD)), receiving(), istio=OLD), NEW.version)
    authority = [change for change in upgrade.changes if change.subject == "authority"]
    assert {(change.before, change.after) for change in authority} >= {(f"{HOST}-shadow", HOST)}
    assert not upgrade.fails


def test_a_receiver_of_one_form_loses_every_mirror() -> None:
    receiver = receiving()
    receiver[1]["spec"]["hosts"] = [f"{HOST}-shadow"]
    upgrade = preview_upgrade(mesh(sending(route(istio=OLD)), receiver, istio=OLD), NEW.version)
    assert [change.after for change in upgrade.changes if change.breaks] == [
        f"{HOST}, which the receiver does not route"
    ]
    assert upgrade.fails
    assert "receiver-no-route" in {finding.rule for finding in upgrade.appearing}
    assert {finding.rule for finding in upgrade.vanishing} == {"receiver-single-form"}


def test_the_scrub_moves_to_the_copy_with_the_next_deployment() -> None:
    given = mesh(sending(route(istio=OLD, mirrors=[in_cluster()])), istio=OLD)
    scrubs = {change[1:] for change in changes(given, NEW.version) if change[0] == "scrub"}
    assert scrubs == {
        ("at the receiver or on the mirror's cluster", "on the copy is possible; deploy again to get it", False)
    }


def test_a_way_back_drops_the_scrub_on_the_copy() -> None:
    upgrade = preview_upgrade(mesh(sending(), receiving()), IstioVersion(1, 30))
    assert any(change.breaks for change in upgrade.changes if change.subject == "scrub")
    assert "envoy-filter-too-new" in {finding.rule for finding in upgrade.appearing}


def test_deprecated_fields_are_named() -> None:
    found = changes(mesh([bare(mirror_percent=10)]), NEW.version)
    assert [change[0] for change in found] == ["deprecated field"]
    assert preview_upgrade(mesh([bare(mirror_percent=10)]), NEW.version).changes[0].to_json()["breaks"] is False


def test_every_cluster_comes_from_its_own_release() -> None:
    given = mesh(sending(route(istio=OLD)), sending(route(istio=NEW, mirrors=[in_cluster()])))
    clusters = [replace(each, istio=istio) for each, istio in zip(given.clusters, (OLD, NEW), strict=True)]
    upgrade = preview_upgrade(replace(given, clusters=clusters), NEW.version)
    assert {change.cluster for change in upgrade.changes} == {"staging"}


def test_what_is_switched_in_a_control_plane_stays_switched() -> None:
    suffixed = IstioBehaviour(version=IstioVersion(1, 30), disable_shadow_host_suffix=False)
    given = mesh(sending(route(istio=suffixed)), receiving(), istio=suffixed)
    assert "authority" not in {change[0] for change in changes(given, NEW.version)}
