"""What the state of an existing cluster says against the program: told as warnings, never by ending a preview."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, cast

import pulumi
import pulumi_gcp as gcp

from ...model import ValidationError

START_ANEW: Final = (
    "delete it in Google Cloud, run `pulumi refresh` and then `pulumi up` (docs/gke.md, After a creation that failed)"
)
"""A cluster whose creation failed is updated by the next run, never made anew, and keeps what it began with."""

DEFAULT_POOL: Final = "default-pool"
"""Name of the pool that every cluster begins with; the provider removes it at the end of a creation, and only then.
Source: terraform-provider-google, ``remove_default_node_pool``."""


def warn_of_state(cluster: "gcp.container.Cluster", ranges: Mapping[str, str], *, own_pools: bool) -> None:
    """Warn of what the cluster is, where the program says otherwise and an update cannot change it.

    Args:
        cluster: The cluster; of one that does not exist yet, nothing is known, and nothing is said.
        ranges: Field to the address range that the program gives, as in ``NewNetwork.ranges``.
        own_pools: Whether the cluster's default pool has to be gone.
    """

    async def look(_: str) -> None:
        # In a preview, what the state does not have is unknown: an apply of it would never run.
        version, pools = await cluster.master_version.future(), await cluster.node_pools.future()
        names = [pool.name for pool in pools or ()] if own_pools else []
        tell(unfinished(version, names))

    def tell(sentences: Iterable[str]) -> None:
        for sentence in sentences:
            pulumi.log.warn(sentence, resource=cluster)

    for field, known in (("pod_cidr", cluster.cluster_ipv4_cidr), ("service_cidr", cluster.services_ipv4_cidr)):
        if field in ranges:
            known.apply(lambda made, field=field: tell(range_moved(field, given=ranges[field], made=made)))
    cluster.id.apply(look)


def range_moved(field: str, *, given: str, made: str | None) -> Iterator[str]:
    """Say that a cluster has another address range than the program gives.

    Args:
        field: Field of the network, e.g. ``"pod_cidr"``.
        given: The program's range.
        made: The cluster's; None where it does not tell.
    """
    if made and made != given:
        yield (
            f"network.{field} = '{given}': the cluster was made with {made}, and its ranges cannot be changed. The "
            "plan shows an update of subnet and firewall; Google refuses to take a range away that is in use. Give "
            f"{made} again, or make a second cluster with the new range and move to it"
        )


def unfinished(version: str | None, pools: Sequence[str | None]) -> Iterator[str]:
    """Say that a cluster's creation has failed: the next update neither brings what is missing nor ends what is left.

    Args:
        version: Version of its control plane; None where the state has none, as after a creation that failed.
        pools: Names of the cluster's node pools, as far as they have to be ours.
    """
    if DEFAULT_POOL in pools:
        yield (
            f"the node pool '{DEFAULT_POOL}' is still there: the cluster's creation has failed before it was removed, "
            f"and no update removes it. If nothing runs in the cluster, {START_ANEW}; else delete that pool in Google "
            "Cloud and run `pulumi refresh`"
        )
    elif not version:
        yield (
            "the state has a cluster without a version of Kubernetes: its creation has failed or was interrupted, and "
            f"this update would keep what it began with. If nothing runs in it, {START_ANEW}; if it works, run "
            "`pulumi refresh`"
        )


def told(value: str | None, *, what: str, field: str, remedy: str) -> str:
    """Return what Google Cloud tells of a cluster that exists.

    Args:
        value: What it tells.
        what: What is told, e.g. ``"the DNS-based endpoint"``.
        field: Path of the field that asks for it.
        remedy: What helps where the creation has not failed.

    Returns:
        The value; unknown in a preview that finds none, because the update may bring it.

    Raises:
        ValidationError: It tells nothing after an update.
    """
    if value:
        return value
    if pulumi.runtime.is_dry_run():
        return cast("str", pulumi.UNKNOWN)
    raise ValidationError(
        field=field,
        value=value,
        rule=f"needs {what}, which the cluster does not have after this update",
        remedy=f"If its creation has failed, {START_ANEW}; else {remedy}",
    )
