"""Full names of networks and subnetworks in Google Cloud. No Pulumi.

The provider completes what is not a full name with the cluster's project and location, and takes ``regions/R/…`` for
one that it is not: the cluster is then replaced in every plan. So it is with a project's number, because Google answers
with the project's id.
"""

import re
from dataclasses import dataclass
from typing import Final

from ...model import ValidationError

_HOST: Final = r"(?:https://(?:www|compute)\.googleapis\.com/compute/(?:v1|beta)/)?"
_PROJECT: Final = r"projects/(?P<project>(?:[a-z0-9.-]+:)?[a-z0-9][-a-z0-9]*)"
_NAME: Final = r"(?P<name>[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)"
_BARE: Final = re.compile(_NAME)
_NETWORK: Final = re.compile(f"{_HOST}{_PROJECT}/global/networks/{_NAME}")
_SUBNETWORK: Final = re.compile(f"{_HOST}{_PROJECT}/regions/(?P<region>[-a-z0-9]+)/subnetworks/{_NAME}")
"""Source: terraform-provider-google, ``tpgresource/field_helpers.go`` and ``resource_compute_network_peering.go``."""


@dataclass(frozen=True, kw_only=True)
class NetworkPaths:
    """A network and one of its subnetworks by their full names."""

    project: str
    """Project that both belong to: the host project of a Shared VPC."""
    network: str
    """``projects/<project>/global/networks/<name>``."""
    subnetwork: str
    """``projects/<project>/regions/<region>/subnetworks/<name>``."""


def check_network(network: str, *, field: str, bare: bool = True) -> re.Match[str]:
    """Return the parts ``project`` (not of a bare name) and ``name`` of a network.

    Args:
        network: Bare name, full name or self link.
        field: Path of the field in messages.
        bare: Whether a bare name is allowed.

    Raises:
        ValidationError: It is none of them, or names its project by number.
    """
    match = _NETWORK.fullmatch(network) or (_BARE.fullmatch(network) if bare else None)
    if match:
        _check_id(match, network, field=field)
        return match
    full = "projects/<project>/global/networks/<name>"
    raise ValidationError(
        field=field,
        value=network,
        rule=f"must be {full} or a self link" + (", or a name alone" if bare else ""),
        remedy="Write the network's full name; `gcloud compute networks describe <name>` shows it as selfLink",
    )


def check_subnetwork(subnetwork: str, *, field: str) -> re.Match[str]:
    """Return the parts ``project`` and ``region`` (not of a bare name) and ``name`` of a subnetwork.

    Raises:
        ValidationError: It is neither a bare name, nor a full one, nor a self link, or names its project by number.
    """
    match = _SUBNETWORK.fullmatch(subnetwork) or _BARE.fullmatch(subnetwork)
    if match:
        _check_id(match, subnetwork, field=field)
        return match
    raise ValidationError(
        field=field,
        value=subnetwork,
        rule="must be projects/<project>/regions/<region>/subnetworks/<name> or a self link, or a name alone",
        remedy="Write the subnetwork's full name, or its last part alone",
    )


def _check_id(match: re.Match[str], name: str, *, field: str) -> None:
    """Refuse a full name with a project's number.

    Raises:
        ValidationError: It has one.
    """
    project = match.groupdict().get("project")
    if project and project.isdecimal():
        raise ValidationError(
            field=field,
            value=name,
            rule="must name its project by id: by number, every plan would replace what is built on it",
            remedy=f"Write the id in place of {project}, see `gcloud projects list`",
        )


def network_paths(
    network: str, subnetwork: str, *, network_project: str | None, cluster_project: str, region: str
) -> NetworkPaths:
    """Return the full names of a network and its subnetwork.

    Args:
        network: Bare name, full name or self link.
        subnetwork: The same of the subnetwork.
        network_project: Project of the network where the user named one.
        cluster_project: Project of the cluster, which a bare name belongs to otherwise.
        region: The cluster's region.

    Raises:
        ValidationError: A name has another form, the two or the given project contradict each other, or the
            subnetwork lies in another region.
    """
    parts = check_network(network, field="network.network")
    below = check_subnetwork(subnetwork, field="network.subnetwork")
    named = {
        field: match["project"]
        for field, match in (("network.network", parts), ("network.subnetwork", below))
        if "project" in match.groupdict()
    }
    project = network_project or next(iter(named.values()), cluster_project)
    for field, other in named.items():
        if other != project:
            raise ValidationError(
                field=field,
                value={"network.network": network, "network.subnetwork": subnetwork}[field],
                rule=f"must belong to the project {project}, like "
                + ("network.project says" if network_project else "the network"),
                remedy="Give network and subnetwork of one project, and that project or none as network.project",
            )
    there = below.groupdict().get("region", region)
    if there != region:
        raise ValidationError(
            field="network.subnetwork",
            value=subnetwork,
            rule=f"must lie in {region}, the cluster's region",
            remedy=f"Name a subnetwork in {region}",
        )
    return NetworkPaths(
        project=project,
        network=f"projects/{project}/global/networks/{parts['name']}",
        subnetwork=f"projects/{project}/regions/{region}/subnetworks/{below['name']}",
    )
