"""Google Cloud locations: regions, zones, and how they belong together. No Pulumi."""

import re
from collections.abc import Sequence
from typing import Final

from ..model import ValidationError

_REGION: Final = re.compile(r"[a-z]+-[a-z]+[0-9]+")
_ZONE: Final = re.compile(r"([a-z]+-[a-z]+[0-9]+)-[a-z]")
"""Source: https://cloud.google.com/compute/docs/regions-zones (``europe-west1``, ``europe-west1-b``)."""


def is_region(location: str) -> bool:
    """Tell whether the text has the form of a region, e.g. ``europe-west1``."""
    return _REGION.fullmatch(location) is not None


def is_zone(location: str) -> bool:
    """Tell whether the text has the form of a zone, e.g. ``europe-west1-b``."""
    return _ZONE.fullmatch(location) is not None


def region_of(location: str) -> str:
    """Return the region of a zone, and anything else as it is."""
    zone = _ZONE.fullmatch(location)
    return zone.group(1) if zone else location


def check_location(location: str, *, field: str = "location") -> str:
    """Return the location if it is a region or a zone.

    Raises:
        ValidationError: It is neither.
    """
    if is_region(location) or is_zone(location):
        return location
    raise ValidationError(
        field=field,
        value=location,
        rule="must be a Google Cloud region such as europe-west1 or a zone such as europe-west1-b",
        remedy="Take one from `gcloud compute zones list`",
    )


def check_node_zones(zones: Sequence[str], location: str, *, field: str = "zones") -> tuple[str, ...]:
    """Return the zones of the nodes if they fit the cluster's location.

    Args:
        zones: Zones for nodes; empty leaves the choice to GKE.
        location: The cluster's own region or zone.
        field: Path of the field in messages.

    Raises:
        ValidationError: A zone is no zone, occurs twice, lies outside the cluster's region, or is the one zone that
            a zonal cluster has anyway.
    """
    region = region_of(location)
    for index, zone in enumerate(zones):
        here = f"{field}[{index}]"
        if not is_zone(zone):
            rule, remedy = "must be a zone such as europe-west1-b", "Add the zone's letter"
        elif region_of(zone) != region:
            rule, remedy = f"must lie in {region}, the cluster's region", f"Name zones of {region}, or none"
        elif zone == location:
            rule = "is the zone of the cluster itself, which GKE adds by itself"
            remedy = "Leave it out, or name further zones only"
        elif zone in zones[:index]:
            rule, remedy = "occurs twice", "Name each zone once"
        else:
            continue
        raise ValidationError(field=here, value=zone, rule=rule, remedy=remedy)
    return tuple(zones)
