"""Reading objects for the rules: from files and folders, from Pulumi's exports and previews.

Each object keeps the place it came from, so that a finding can point at a line.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from ..model.collection import uncollected
from ..model.istio import OLDEST_ISTIO, IstioBehaviour
from ..model.rules import (
    NAMELESS,
    ClusterObjects,
    KubeObject,
    Node,
    NotJudgedError,
    PlannedLoss,
    control_plane_of,
    is_istiod,
    managed_sign,
    read_object,
)
from .manifest_files import Entry, files_of, mapping, read_entries
from .meshes import Domain, domain_of, mesh_settings
from .places import Origin
from .unjudged import undiscovered, unjudged
from .unread import JUDGED, Unread, chart, chart_of, kustomization, of_others

NEVER_READ: Final = "an object without a kind"
_UNKNOWN_RELEASE: Final = f"its image names no release from {OLDEST_ISTIO} on that is known, and what goes by that"


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What was read for one cluster.

    Attributes:
        cluster: Its objects, for the rules.
        origins: Where each came from, by ``"Kind namespace/name"``; the last one of a name.
        again: Where else the very same object stands, by the same name.
        ignored: How many objects of which kind no rule reads.
        others: Those of them that have a name, by ``"Kind namespace/name"``.
        losses: Clusters and nodes that previews among the files would replace or delete.
        unread: What the files hold beside that and nobody can judge.
        domain: Domain of its Services.
    """

    cluster: ClusterObjects
    origins: Mapping[str, Origin]
    ignored: Mapping[str, int]
    others: Mapping[str, Mapping[str, object]] = field(default_factory=dict[str, Mapping[str, object]], repr=False)
    losses: Sequence[PlannedLoss] = ()
    unread: Sequence[Unread] = ()
    domain: Domain = field(default_factory=Domain)
    again: Mapping[str, Sequence[Origin]] = field(default_factory=dict[str, Sequence[Origin]], repr=False)

    def place(self, subject: str, path: str) -> tuple[str, int] | None:
        """File and line of a finding; None for an object that has no place.

        Args:
            subject: The object as a finding names it.
            path: The finding's field.
        """
        origin = self.origins.get(subject)
        return (origin.file, origin.line_of(path)) if origin else None


@uncollected()
def load(
    name: str,
    paths: Sequence[Path],
    istio: IstioBehaviour | None = None,
    *,
    single: bool = False,
    root_namespace: str = "",
    domain: str = "",
) -> list[Loaded]:
    """Read the objects of one cluster, or of each cluster that a Pulumi stack manages.

    Args:
        name: What findings call the cluster. With several Kubernetes providers in a stack the clusters are called
            ``name/provider``.
        paths: Files and folders; YAML or JSON, several documents and lists included.
        istio: Behaviour of its control plane; None to read it from istiod's Deployment, if that is at hand.
        single: Take all as one cluster, whichever provider manages an object.
        root_namespace: Istio's root namespace there; empty to read it from the mesh's configuration.
        domain: Domain of its Services; empty to read it from istiod's Deployment, if that is at hand.

    Raises:
        OperationError: A path does not exist, cannot be read, or is broken; names file and line.
    """
    files = [(file, chart_of(file)) for path in paths for file in files_of(path)]
    charts = dict.fromkeys(folder for _, folder in files if folder)
    read = [entry for file, folder in files if not folder for entry in read_entries(file, name)]
    losses = {loss: entry.origin for entry in read for loss in entry.losses}
    unread = [*map(chart, charts), *(entry.unread for entry in read if entry.unread)]
    built = [kustomization(entry.origin.file, entry.value) for entry in read]
    unread += [said for said, _ in built if said]
    patches = {path for _, paths in built for path in paths}
    entries = [
        entry
        for entry in read
        if not (entry.losses or entry.unread) and not (patches and Path(entry.origin.file).resolve() in patches)
    ]
    groups = sorted({entry.group for entry in entries})
    if single or len(groups) <= 1:
        only = gather(name, entries, istio, complete=not any(groups), root_namespace=root_namespace, domain=domain)
        return [_losing(only, losses, unread)]
    first, *others = (
        gather(
            f"{name}/{group}" if group else name,
            [entry for entry in entries if entry.group == group],
            istio,
            complete=not group,
            root_namespace=root_namespace,
            domain=domain,
        )
        for group in groups
    )
    # They are the stack's, not one cluster's in it.
    return [_losing(first, losses, unread), *others]


def _losing(loaded: Loaded, losses: Mapping[PlannedLoss, Origin], unread: Sequence[Unread]) -> Loaded:
    origins = {str(loss): origin for loss, origin in losses.items()}
    return replace(
        loaded,
        origins={**loaded.origins, **origins},
        losses=tuple(losses),
        unread=tuple(dict.fromkeys((*unread, *loaded.unread))),
    )


def laid_over(base: Loaded, changed: Loaded) -> Loaded:
    """Return a cluster as it is once objects are applied to it: those of a name replace those that are there.

    Args:
        base: The cluster.
        changed: The objects.
    """
    new = {str(each) for each in changed.cluster.objects}
    kept = [each for each in base.cluster.objects if str(each) not in new]
    settled = changed.cluster if changed.cluster.mesh_config else base.cluster
    cluster = replace(
        base.cluster,
        objects=[*kept, *changed.cluster.objects],
        root_namespace=settled.root_namespace,
        mesh_config=settled.mesh_config,
    )
    return replace(
        base,
        cluster=cluster,
        origins={**base.origins, **changed.origins},
        again={**{name: base.again[name] for name in base.again if name not in new}, **changed.again},
        ignored=Counter(base.ignored) + Counter(changed.ignored),
        others={**base.others, **changed.others},
        unread=tuple(dict.fromkeys((*base.unread, *changed.unread))),
    )


def gather(
    name: str,
    entries: Iterable[Entry],
    istio: IstioBehaviour | None,
    *,
    complete: bool,
    root_namespace: str = "",
    domain: str = "",
) -> Loaded:
    """Make a cluster of objects.

    Args:
        name: What findings call the cluster.
        entries: Its objects.
        istio: Behaviour of its control plane; None to read it from istiod's Deployment, if that is among them.
        complete: Whether these are all of its objects.
        root_namespace: Istio's root namespace there; empty to read it from the mesh's configuration.
        domain: Domain of its Services; empty to read it from istiod's Deployment, if that is among them.
    """
    entries = list(entries)
    spoken = Domain(domain or domain_of(entry.value for entry in entries))
    origins: dict[str, Origin] = {}
    again: dict[str, list[Origin]] = {}
    known: dict[tuple[str, str, str], KubeObject] = {}
    ignored: Counter[str] = Counter()
    others: dict[str, Mapping[str, object]] = {}
    unread: list[Unread] = []
    control_plane: IstioBehaviour | None = None
    for entry in entries:
        if entry.unread:
            unread.append(entry.unread)
            continue
        try:
            read = read_object(name, Node(spoken.read(entry.value)))
        except NotJudgedError:
            read = None
        if read is None:
            kind = entry.value.get("kind")
            ignored[kind if isinstance(kind, str) else NEVER_READ] += 1
            if named := _named(entry.value):
                others[named] = entry.value
            unread += _of_another(entry)
            continue
        key = (read.kind, read.namespace, read.name if read.name != NAMELESS else str(len(known)))
        if earlier := known.get(key):
            if earlier.root.value == read.root.value:
                again.setdefault(str(read), []).append(entry.origin)
                continue
            again.pop(str(read), None)
            unread.append(_repeated(earlier, origins[str(earlier)], entry.origin))
        known[key] = read
        control_plane = control_plane or control_plane_of(read)
        origins[str(read)] = entry.origin
    mesh = mesh_settings((entry.value for entry in entries), root_namespace)
    found = list(known.values())
    if unsettled := mesh.unread or undiscovered(Node(mesh.config), found, mesh.root_namespace):
        places = (entry.origin for entry in entries if _named(entry.value) == mesh.source)
        unread.append(_unjudged(mesh.source, next(places, Origin(file=name)), "", unsettled))
    unread += [_unjudged(str(each), origins[str(each)], path, what) for each, path, what in unjudged(found)]
    planes = [each for each in found if is_istiod(each)] if istio is None and control_plane is None else []
    unread += [_unjudged(str(each), origins[str(each)], "", _UNKNOWN_RELEASE) for each in planes]
    cluster = ClusterObjects(
        name=name,
        objects=found,
        istio=istio or control_plane,
        complete=complete,
        root_namespace=mesh.root_namespace,
        mesh_config=mesh.config,
        managed_sign=next(filter(None, (managed_sign(Node(entry.value)) for entry in entries)), ""),
    )
    return Loaded(
        cluster=cluster,
        origins=origins,
        ignored=dict(sorted(ignored.items())),
        others=others,
        unread=unread,
        domain=spoken,
        again=again,
    )


def _unjudged(subject: str, origin: Origin, path: str, what: str) -> Unread:
    """That something of an object is not judged."""
    return Unread(
        file=origin.file,
        line=origin.line_of(path) if path else origin.line,
        message=f"{subject}: {what} is not judged",
        remedy="Give what holds by options, or judge by hand what it decides",
    )


def _named(value: Mapping[str, object]) -> str:
    """An object as ``Kind namespace/name``; empty where it has no such thing."""
    kind, metadata = value.get("kind"), mapping(value.get("metadata"))
    name = metadata.get("name")
    if not isinstance(kind, str) or not isinstance(name, str):
        return ""
    return f"{kind} {metadata.get('namespace') or 'default'}/{name}"


def _of_another(entry: Entry) -> list[Unread]:
    """Mirrors of other tools in an object that no rule reads."""
    try:
        found = list(of_others(entry.value))
    except NotJudgedError as unknown:
        found = [(unknown.path, f"what another tool may mirror by {unknown.path}, which is not known yet,")]
    file, remedy = entry.origin.file, f"Look elsewhere: {JUDGED}"
    return [
        Unread(file=file, line=entry.origin.line_of(field), message=f"{what} is not judged", remedy=remedy)
        for field, what in found
    ]


def _repeated(subject: KubeObject, origin: Origin, later: Origin) -> Unread:
    """That another place says something else of the same object, as folders for several clusters do."""
    return Unread(
        file=origin.file,
        line=origin.line,
        message=f"{subject} is judged as {later.file} has it, line {later.line}, and not as it is here",
        remedy="Give each cluster its own objects, e.g. --cluster dev=dev/ --cluster prod=prod/",
    )
