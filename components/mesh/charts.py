"""Where Istio's Helm charts come from, and how one becomes a release."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self, cast

import pulumi
import pulumi_kubernetes as k8s

from ..argument_types import check_types
from ..model import JsonObject, JsonValue, ValidationError

CHART_REPOSITORY: Final = "https://blob.istio.io/istio-release/charts"
"""All of Istio's charts. The older addresses, storage.googleapis.com and gcr.io, are removed in December 2026 and have
no chart after 1.30. Source: istio.io/latest/blog/2026/retirement-of-gcp."""

MAX_RELEASE_NAME: Final = 53
"""Longest name of a release. Source: helm.sh/helm/v3/pkg/chartutil, ValidateReleaseName."""

RELEASE_HISTORY: Final = 10
"""Revisions that Helm keeps of a release, each a Secret in the cluster. Helm's command line has the same default."""


@dataclass(frozen=True, kw_only=True)
class IstioCharts:
    """Source of the charts; the default is Istio's own repository.

    Raises:
        ValidationError: A name is empty.
    """

    repository: str = CHART_REPOSITORY
    """URL of a Helm repository, or ``oci://`` and the path above the charts. Empty: each name below is a directory or
    archive of its own."""

    base: str = "base"
    """Chart with the cluster's resources and CRDs."""

    istiod: str = "istiod"
    """Chart with the control plane."""

    cni: str = "cni"
    """Chart with the node agent of istio-cni."""

    gateway: str = "gateway"
    """Chart with a gateway."""

    def __post_init__(self) -> None:
        check_types(self, within="charts")
        for name in ("base", "istiod", "cni", "gateway"):
            if not getattr(self, name):
                raise ValidationError(
                    field=f"charts.{name}", value="", rule="must not be empty", remedy="Name the chart or its directory"
                )

    @classmethod
    def parse(cls, source: str) -> Self:
        """The charts at a URL of a Helm repository, or in a directory as for :meth:`in_directory`."""
        return cls(repository=source) if "://" in source else cls.in_directory(source)

    @classmethod
    def in_directory(cls, directory: str) -> Self:
        """The charts of an unpacked Istio release or checkout.

        Args:
            directory: Its folder ``manifests/charts``.
        """
        root = directory.rstrip("/")
        return cls(
            repository="",
            base=f"{root}/base",
            istiod=f"{root}/istio-control/istio-discovery",
            cni=f"{root}/istio-cni",
            gateway=f"{root}/gateway",
        )


@dataclass(frozen=True, kw_only=True)
class ChartRelease:
    """One Helm release of one of Istio's charts."""

    release: str
    """Name of the release in the cluster."""

    namespace: str
    """Namespace of the release."""

    charts: IstioCharts
    """Source of the chart."""

    chart: str
    """Chart as :class:`IstioCharts` names it."""

    version: str
    """Version of the chart; a local chart has its own and ignores it."""

    values: Mapping[str, JsonValue]
    """Helm values."""

    timeout_seconds: int
    """How long Helm may wait for the release's objects."""

    awaited: bool = True
    """Whether Helm waits until its objects are ready."""

    def register(self, name: str, opts: pulumi.ResourceOptions) -> k8s.helm.v3.Release:
        """Register the release.

        ``helm.v3.Release`` and not ``helm.v4.Chart``: istiod writes the CA and the failure policy into its webhooks at
        run time, which is Helm's business to leave alone, and Helm waits for Deployments and load balancers.

        Args:
            name: Pulumi name.
            opts: Parent, provider and dependencies.
        """
        repository = self.charts.repository
        oci = repository.startswith("oci://")
        return k8s.helm.v3.Release(
            name,
            k8s.helm.v3.ReleaseArgs(
                name=self.release,
                namespace=self.namespace,
                chart=f"{repository.rstrip('/')}/{self.chart}" if oci else self.chart,
                version=self.version if repository else None,
                repository_opts=k8s.helm.v3.RepositoryOptsArgs(repo=repository) if repository and not oci else None,
                values=dict(self.values),
                timeout=self.timeout_seconds,
                skip_await=None if self.awaited else True,
                max_history=RELEASE_HISTORY,
            ),
            opts,
        )


def check_release_name(release: str, *, field: str, value: str) -> None:
    """Refuse a name that Helm refuses, which it does only when everything before is made.

    Args:
        release: Name of the release.
        field: What the release is named after.
        value: Its value.

    Raises:
        ValidationError: It is too long.
    """
    if len(release) > MAX_RELEASE_NAME:
        raise ValidationError(
            field=field,
            value=value,
            rule=f"must have at most {MAX_RELEASE_NAME - len(release) + len(value)} characters, because it names a "
            f"Helm release",
            remedy="Shorten it",
        )


def merged(*layers: Mapping[str, JsonValue]) -> JsonObject:
    """Merge values as Helm does: a later layer wins, mappings are merged key by key, everything else is replaced."""
    result: JsonObject = {}
    for layer in layers:
        for key, value in layer.items():
            old = result.get(key)
            if isinstance(old, Mapping) and isinstance(value, Mapping):
                result[key] = merged(old, value)
            else:
                result[key] = merged(value) if isinstance(value, Mapping) else value
    return result


def section(values: Mapping[str, JsonValue], key: str) -> Mapping[str, JsonValue]:
    """The mapping under ``key``; empty where there is none.

    Raises:
        ValidationError: There is something else.
    """
    found = values.get(key)
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise ValidationError(
            field=f"values.{key}", value=found, rule="must be a mapping", remedy="Write it as the chart's values do"
        )
    return cast("Mapping[str, JsonValue]", found)
