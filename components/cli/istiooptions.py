"""The options that declare what control planes run and what they know, where nobody can ask them."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Final, TypeAlias

import typer

from ..model import DnsLabel, Hostname, IstioBehaviour, ValidationError

ISTIO: Final = "--istio"

IstioReleases: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        ISTIO,
        help="Release of istiod; default read from its Deployment, else any. One such as 1.28.3-asm.4 is managed"
        " Cloud Service Mesh, which applies few EnvoyFilters.",
        metavar="[NAME=]VERSION",
    ),
]
"""``--istio``"""


def istio_releases(given: Sequence[str]) -> dict[str, str]:
    """Releases by cluster; the empty name stands for every cluster that is not named.

    Args:
        given: ``--istio``, each ``VERSION`` or ``NAME=VERSION``.

    Raises:
        ValidationError: A cluster has two, or one is no release that is known here.
    """
    found: dict[str, str] = {}
    for text in given:
        name, _, release = text.rpartition("=")
        if name in found:
            raise ValidationError(
                field=ISTIO, value=text, rule="must be given once for a cluster", remedy="Drop one of them"
            )
        IstioBehaviour.of_release(release, field=ISTIO)
        found[name] = release
    return found


def require_named(releases: Iterable[str], clusters: Iterable[str]) -> None:
    """Refuse a release of a cluster that is not there.

    Args:
        releases: Names that :func:`istio_releases` found.
        clusters: Names of the clusters.

    Raises:
        ValidationError: There is one.
    """
    names = set(clusters)
    for name in sorted(set(releases) - names - {""}):
        raise ValidationError(
            field=ISTIO, value=name, rule=f"must name one of {', '.join(sorted(names))}", remedy="Check the name"
        )


def mesh_options(root_namespace: str, cluster_domain: str) -> tuple[str, str]:
    """``--root-namespace`` and ``--cluster-domain``; empty for what objects say.

    Raises:
        ValidationError: One of them is malformed.
    """
    return (
        str(DnsLabel(root_namespace, field="--root-namespace")) if root_namespace else "",
        str(Hostname(cluster_domain, field="--cluster-domain")) if cluster_domain else "",
    )
