"""What a change of each argument of ``GkeCluster`` does, found by registering both and asking the provider's facts.

``python -m tests.support.gke_changes`` writes the table of ``docs/gke.md`` anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Final

from pulumi_traffic_mirror.clusters.gke import (
    AuthorizedNetworks,
    AutopilotMode,
    Credentials,
    ExistingNetwork,
    GkeCluster,
    GkeClusterArgs,
    MaintenanceWindow,
    NewNetwork,
    ReleaseChannel,
    StandardMode,
    Weekday,
)
from tests.support.provider_facts import CLUSTER, NODE_POOL, differences, facts_of
from tests.support.recording import Recorded, Recording, run_program

PAGE: Final = Path(__file__).parents[2] / "docs" / "gke.md"
BEGIN: Final = "<!-- Written by `python -m tests.support.gke_changes`. -->\n"
END: Final = "<!-- End of what is written. -->\n"

OFFICE: Final = {"office": "203.0.113.0/24"}
KEY: Final = "projects/p/locations/europe-west1/keyRings/r/cryptoKeys/"


class Effect(StrEnum):
    """What a change does, the heaviest last."""

    NOTHING = "changes nothing in Google Cloud"
    IN_PLACE = "in place"
    REFUSED = "**refused** by Google while it is in use, though planned as an update; the component warns"
    POOL = "**replaces the node pool**"
    CLUSTER = "**replaces the cluster**"


@dataclass(frozen=True, kw_only=True)
class Change:
    """One change of one argument."""

    argument: str
    what: str
    after: Mapping[str, Any] = field(default_factory=dict)
    before: Mapping[str, Any] = field(default_factory=dict)
    refused: bool = False
    """Whether Google refuses what the provider plans: measured, and in none of its schemas."""


def _existing(**changes: Any) -> dict[str, ExistingNetwork]:
    given: dict[str, Any] = {
        "network": "shared",
        "subnetwork": "nodes",
        "pods_range": "pods",
        "services_range": "services",
        "node_cidr": "10.1.0.0/20",
        "pod_cidr": "10.2.0.0/16",
    }
    return {"network": ExistingNetwork(**given | changes)}


def _new(**changes: Any) -> dict[str, NewNetwork]:
    return {"network": NewNetwork(**changes)}


def _mode(**changes: Any) -> dict[str, StandardMode]:
    return {"mode": StandardMode(**changes)}


def _ranges(**changes: Any) -> dict[str, AuthorizedNetworks]:
    given: dict[str, Any] = {"ranges": OFFICE}
    return {"endpoint": AuthorizedNetworks(**given | changes)}


CHANGES: Final = (
    Change(argument="project", what="another", after={"project": "other-project"}),
    Change(argument="location", what="another", after={"location": "europe-west4"}),
    Change(argument="location", what="a zone of the region", after={"location": "europe-west1-b"}),
    Change(argument="deletion_protection", what="on or off", after={"deletion_protection": False}),
    Change(argument="mode", what="Standard to Autopilot, or back", after={"mode": AutopilotMode()}),
    Change(argument="mode.machine_type", what="another", after=_mode(machine_type="e2-standard-8")),
    Change(argument="mode.min_nodes", what="another", after=_mode(min_nodes=4)),
    Change(argument="mode.max_nodes", what="another", after=_mode(max_nodes=9)),
    Change(argument="mode.zones", what="given, or others", after=_mode(zones=["europe-west1-b"])),
    Change(argument="mode.zones", what="taken away", before=_mode(zones=["europe-west1-b"])),
    Change(argument="mode.disk_size_gib", what="another", after=_mode(disk_size_gib=80)),
    Change(argument="mode.disk_type", what="another", after=_mode(disk_type="pd-ssd")),
    Change(argument="mode.spot", what="on or off", after=_mode(spot=True)),
    Change(argument="mode.max_surge", what="another", after=_mode(max_surge=2)),
    Change(argument="network", what="a new one to one that exists, or back", after=_existing()),
    Change(
        argument="network.node_cidr",
        what="a wider one around it",
        after=_new(node_cidr="10.64.0.0/19", service_cidr="10.66.0.0/20"),
        before=_new(service_cidr="10.66.0.0/20"),
    ),
    Change(argument="network.node_cidr", what="any other", after=_new(node_cidr="10.70.0.0/20")),
    Change(argument="network.pod_cidr", what="another", after=_new(pod_cidr="10.71.0.0/16"), refused=True),
    Change(argument="network.service_cidr", what="another", after=_new(service_cidr="10.72.0.0/20"), refused=True),
    Change(argument="network.network", what="another", before=_existing(), after=_existing(network="other")),
    Change(
        argument="network.network",
        what="its full name instead of the name alone",
        before=_existing(),
        after=_existing(network="projects/my-project/global/networks/shared"),
    ),
    Change(argument="network.subnetwork", what="another", before=_existing(), after=_existing(subnetwork="other")),
    Change(argument="network.pods_range", what="another", before=_existing(), after=_existing(pods_range="other")),
    Change(
        argument="network.services_range", what="another", before=_existing(), after=_existing(services_range="other")
    ),
    Change(
        argument="network.node_cidr, network.pod_cidr",
        what="of a network that exists: said otherwise",
        before=_existing(),
        after=_existing(node_cidr="10.4.0.0/20", pod_cidr="10.5.0.0/16"),
    ),
    Change(argument="network.firewall", what="on or off", before=_existing(), after=_existing(firewall=False)),
    Change(argument="network.project", what="another", before=_existing(), after=_existing(project="host-project")),
    Change(argument="endpoint", what="DNS-based to authorised networks, or back", after=_ranges()),
    Change(
        argument="endpoint.ranges", what="others", before=_ranges(), after=_ranges(ranges={"ci": "198.51.100.0/24"})
    ),
    Change(
        argument="endpoint.control_plane_cidr",
        what="given, or another",
        before=_ranges(),
        after=_ranges(control_plane_cidr="172.16.0.0/28"),
    ),
    Change(
        argument="endpoint.control_plane_cidr",
        what="taken away",
        before=_ranges(control_plane_cidr="172.16.0.0/28"),
        after=_ranges(),
    ),
    Change(argument="release_channel", what="another", after={"release_channel": ReleaseChannel.STABLE}),
    Change(
        argument="maintenance.days, maintenance.start_hour_utc, maintenance.hours",
        what="others",
        after={"maintenance": MaintenanceWindow(days=(Weekday.SUNDAY,), start_hour_utc=1, hours=12)},
    ),
    Change(argument="secrets_key", what="given, or another", after={"secrets_key": f"{KEY}a"}),
    Change(argument="secrets_key", what="taken away", before={"secrets_key": f"{KEY}a"}),
    Change(argument="binary_authorization", what="on or off", after={"binary_authorization": True}),
    Change(argument="image_projects", what="more or fewer", after={"image_projects": ["images-project"]}),
    Change(argument="labels", what="others", after={"labels": {"team": "mesh"}}),
    Change(argument="credentials", what="another", after={"credentials": Credentials.ACCESS_TOKEN}),
)


_SIDES: Final = {repr(side): side for each in CHANGES for side in (each.before, each.after)}
VARIANTS: Final[tuple[Mapping[str, Any], ...]] = (
    *_SIDES.values(),
    *(
        {**each.after, "mode": AutopilotMode()}
        for each in CHANGES
        if not each.argument.startswith(("mode", "location"))
    ),
)
"""Arguments that between them set everything that can be set, in both modes."""


def recorded(changes: Mapping[str, Any]) -> Recording:
    """A cluster with these arguments; deletion protection is on unless they say otherwise."""
    base: dict[str, Any] = {"project": "my-project", "location": "europe-west1", "deletion_protection": True}
    return run_program(lambda: GkeCluster("b", GkeClusterArgs(**base | dict(changes))), stack="testing")


_default: Final = cache(lambda: recorded({}))


def effect(change: Change) -> Effect:
    """What a change does, as the provider's facts have it."""
    before = recorded(change.before) if change.before else _default()
    after = recorded(change.after) if change.after else _default()
    old, new = _google(before), _google(after)
    replaced = {key for key in old.keys() & new.keys() if any(_differences(old[key], new[key]).values())}
    while more := {key for key, kept in new.items() if key not in replaced and _built_on(kept, replaced, new)}:
        replaced |= more
    types = {key[0] for key in replaced | (old.keys() - new.keys())}
    for resource, heavy in ((CLUSTER, Effect.CLUSTER), (NODE_POOL, Effect.POOL)):
        if resource in types:
            return heavy
    if change.refused:
        return Effect.REFUSED
    updated = old.keys() != new.keys() or any(_differences(old[key], new[key]) for key in old)
    return Effect.IN_PLACE if updated else Effect.NOTHING


def _google(recording: Recording) -> dict[tuple[str, str], Recorded]:
    return {(each.type, each.name): each for each in recording.resources if each.type.startswith("gcp:")}


def _differences(old: Recorded, new: Recorded) -> Mapping[str, bool]:
    """What the engine compares of a resource, each change with whether it replaces it."""
    one, other = (
        {key: value for key, value in each.inputs.items() if key not in each.ignore_changes} for each in (old, new)
    )
    return differences(new.type, one, other)


def _built_on(kept: Recorded, replaced: set[tuple[str, str]], new: Mapping[tuple[str, str], Recorded]) -> bool:
    """Whether a resource is named after one that is replaced, by a property that forces its own replacement."""
    urns = {new[key].urn for key in replaced}
    return any(
        urns & set(sources) and (facts_of(kept.type, path) or {}).get("forceNew")
        for path, sources in kept.property_dependencies.items()
        if path not in kept.ignore_changes
    )


def table() -> str:
    """The table in Markdown."""
    return "".join(["| Argument | Change | What it does |\n|---|---|---|\n", *map(row, CHANGES)])


def row(change: Change) -> str:
    """The table's line for a change."""
    arguments = ", ".join(f"`{name}`" for name in change.argument.split(", "))
    return f"| {arguments} | {change.what} | {effect(change).value} |\n"


def page_with(text: str, written: str) -> str:
    """The page with this table in its place."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{written}\n{END}{tail}"


if __name__ == "__main__":
    PAGE.write_text(page_with(PAGE.read_text(encoding="utf-8"), table()), encoding="utf-8")
