"""What another release of the control plane changes for each mirror."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

from ..istio import IstioBehaviour, IstioVersion
from ..jsontypes import JsonObject
from .catalogue import RULES, run_rules
from .clusters import ClusterObjects, Mesh
from .findings import Finding
from .mirror_entries import MirrorEntry
from .nodes import NotJudgedError
from .reach import Side, reach
from .receiving import taken
from .routes import authority_form
from .settings import RuleSettings


@dataclass(frozen=True, kw_only=True)
class Change:
    """One thing that is different after the upgrade.

    Attributes:
        cluster: Name of the cluster.
        object: The object, e.g. ``VirtualService hello/greeter``.
        field: Path in it.
        subject: ``authority``, ``scrub`` or ``deprecated field``.
        before: What holds now.
        after: What will hold.
        breaks: Whether copies stop arriving or leave unscrubbed.
    """

    cluster: str
    object: str
    field: str
    subject: str
    before: str
    after: str
    breaks: bool

    def to_json(self) -> JsonObject:
        """The change as plain JSON."""
        return {
            "cluster": self.cluster,
            "object": self.object,
            "field": self.field,
            "subject": self.subject,
            "before": self.before,
            "after": self.after,
            "breaks": self.breaks,
        }


@dataclass(frozen=True, kw_only=True)
class Upgrade:
    """What an upgrade changes.

    Attributes:
        changes: For each mirror.
        appearing: Findings that are new afterwards.
        vanishing: Findings that are gone afterwards.
    """

    changes: Sequence[Change]
    appearing: Sequence[Finding]
    vanishing: Sequence[Finding]

    @property
    def fails(self) -> bool:
        """Whether something that works now does not afterwards."""
        return any(change.breaks for change in self.changes) or any(finding.fails for finding in self.appearing)


def preview_upgrade(mesh: Mesh, to: IstioVersion, settings: RuleSettings | None = None) -> Upgrade:
    """Compare how mirrors fare under what every cluster runs now and under one release in all of them.

    Args:
        mesh: The objects as they are; clusters whose control plane is not known are left as they are.
        to: The release afterwards; an older one for a way back. What is switched in a control plane stays switched.
        settings: What the organisation allows.

    Raises:
        ValidationError: The release is not supported, or older than a control plane's compatibility version.
    """
    clusters = [(cluster, replace(cluster.istio, version=to)) for cluster in mesh.clusters if cluster.istio]
    afterwards = {cluster.name: istio for cluster, istio in clusters}
    new = replace(mesh, clusters=[replace(each, istio=afterwards.get(each.name)) for each in mesh.clusters])
    found = [set(run_rules(each, RULES, settings)) for each in (mesh, new)]
    return Upgrade(
        changes=[
            change
            for cluster, after in clusters
            for mirror_entry in cluster.routing.mirror_entries
            for change in _changes(mesh, cluster, mirror_entry, cast("IstioBehaviour", cluster.istio), after)
        ],
        appearing=sorted(found[1] - found[0], key=str),
        vanishing=sorted(found[0] - found[1], key=str),
    )


def _changes(
    mesh: Mesh, cluster: ClusterObjects, mirror_entry: MirrorEntry, before: IstioBehaviour, after: IstioBehaviour
) -> Iterator[Change]:
    try:
        yield from _authority(mesh, cluster, mirror_entry, before, after)
        yield from _scrub(cluster, mirror_entry, before, after)
        yield from _deprecated(cluster, mirror_entry)
    except NotJudgedError:
        return


def _change(
    cluster: ClusterObjects, mirror_entry: MirrorEntry, subject: str, before: str, after: str, *, breaks: bool
) -> Change:
    return Change(
        cluster=cluster.name,
        object=str(mirror_entry.source),
        field=mirror_entry.node.path,
        subject=subject,
        before=before,
        after=after,
        breaks=breaks,
    )


def _authority(
    mesh: Mesh, cluster: ClusterObjects, mirror_entry: MirrorEntry, before: IstioBehaviour, after: IstioBehaviour
) -> Iterator[Change]:
    modes = (before.authority_mode, after.authority_mode)
    if modes[0] is modes[1]:
        return
    found = reach(mesh, cluster, mirror_entry.route, mirror_entry.target)
    for authority in mirror_entry.route.authorities:
        old, new = (authority_form(authority, mode) for mode in modes)
        lost = (
            found.side is Side.REMOTE
            and bool(found.clusters)
            and not any(taken(other, new) for other in found.clusters)
        )
        note = f"{new}, which the receiver does not route" if lost else new
        yield _change(cluster, mirror_entry, "authority", old, note, breaks=lost)


def _scrub(
    cluster: ClusterObjects, mirror_entry: MirrorEntry, before: IstioBehaviour, after: IstioBehaviour
) -> Iterator[Change]:
    """Where credentials are taken off: an older release ignores what a newer one does on the copy."""
    if before.scrubs_at_source == after.scrubs_at_source:
        return
    patched = any(
        patch.operation == "MERGE_AND_REPLACE_LIST" for patch in cluster.patches.of_route(mirror_entry.route.name)
    )
    places = [
        "on the copy" if istio.scrubs_at_source else "at the receiver or on the mirror's cluster"
        for istio in (before, after)
    ]
    if after.scrubs_at_source and not patched:
        places[1] = "on the copy is possible; deploy again to get it"
    yield _change(cluster, mirror_entry, "scrub", places[0], places[1], breaks=patched and not after.scrubs_at_source)


def _deprecated(cluster: ClusterObjects, mirror_entry: MirrorEntry) -> Iterator[Change]:
    for name in ("mirrorPercent", "mirror_percent"):
        if (
            not mirror_entry.route.native
            and mirror_entry.node.key == "mirror"
            and mirror_entry.route.setting(name).given
        ):
            yield _change(
                cluster,
                mirror_entry,
                "deprecated field",
                f"{name} is read, with a warning",
                "write mirrors[].percentage before a release drops it",
                breaks=False,
            )
