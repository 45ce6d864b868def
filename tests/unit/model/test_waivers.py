"""Waivers on objects: with a real reason and an end, within what an organisation allows; nothing else is silent."""

from typing import Any

import pytest

from pulumi_traffic_mirror.model import ValidationError, Waiver
from pulumi_traffic_mirror.model.annotations import CONTRACT, MIRROR, WAIVE, WAIVED_UNTIL
from pulumi_traffic_mirror.model.rules import Outcome, RuleSettings
from tests.unit.model.samples import OLD, REASON, Object, findings, in_cluster, mesh, route, sending

RULE = "mirror-credentials"
WRITTEN = "only synthetic callers use it"


def annotated(**notes: str) -> list[Object]:
    """A mirror inside the cluster without a scrub, and annotations on its route."""
    objects = [each for each in sending(route(mirrors=[in_cluster()])) if each["kind"] != "EnvoyFilter"]
    for each in objects:
        if each["kind"] == "VirtualService":
            each["metadata"]["annotations"] = {**each["metadata"].get("annotations", {}), **notes}
    return objects


def outcome(objects: list[Object], **settings: Any) -> tuple[Outcome, str]:
    found = findings(mesh(objects), RULE, RuleSettings(**settings))[0]
    return found.outcome, found.message


@pytest.mark.parametrize(
    ("until", "settings", "said"),
    [
        ("", {}, "it has no end"),
        ("2026-12-24", {}, ""),
        ("2026-12-24", {"max_waiver_days": 32}, ""),
        ("2026-12-24", {"max_waiver_days": 30}, "more than 30 days from now"),
        ("2026-12-24", {"max_waiver_days": 2.0**31}, ""),
        ("2026-12-24", {"object_waivers": False}, "objects may carry none here"),
        ("2026-11-22", {}, "it ended with"),
    ],
)
def test_a_waiver_needs_an_end_within_bounds(until: str, settings: dict[str, Any], said: str) -> None:
    notes = {f"{WAIVE}{RULE}": WRITTEN, **({f"{WAIVED_UNTIL}{RULE}": until} if until else {})}
    judged, message = outcome(annotated(**notes), **settings)
    assert judged is (Outcome.BROKEN if said else Outcome.WAIVED)
    assert said in message


def test_an_organisation_can_forbid_guards_that_components_waive() -> None:
    objects = sending(route(mirrors=[in_cluster(scrub=REASON)]))
    assert outcome(objects)[0] is Outcome.WAIVED
    assert outcome(objects, object_waivers=False)[0] is Outcome.BROKEN


@pytest.mark.parametrize("reason", ["xxxxxxxxxxxx", "todo todo todo", "   short   ", "ok"])
def test_a_reason_that_says_nothing_is_none(reason: str) -> None:
    with pytest.raises(ValidationError, match="two different words"):
        Waiver(reason=reason)


def test_a_contract_mark_by_hand_silences_nothing_inside_the_cluster() -> None:
    cluster = "outbound|8000||greeter-v2.hello.svc.cluster.local"
    marked = annotated(**{f"{MIRROR}v2": cluster, f"{CONTRACT}v2": "0" * 64})
    assert outcome(marked)[0] is Outcome.BROKEN


def test_what_a_contract_leaves_to_a_receiver_is_listed_as_not_judged() -> None:
    """Releases that cannot scrub at the source: testing's gateway does, and is not at hand."""
    found = [each for each in findings(mesh(sending(route(istio=OLD)), istio=OLD), RULE) if "receiver" in each.message]
    assert {each.outcome for each in found} == {Outcome.NOT_JUDGED}
    assert "together with this one" in found[0].remedy
