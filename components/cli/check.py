"""``traffic-mirror check``: what is wrong with anybody's mirrors."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from ..model import DnsLabel, IstioBehaviour, IstioVersion, ValidationError
from ..model.rules import ROOT_NAMESPACE, Mesh, Outcome, Upgrade, preview_upgrade, run_rules
from ..operations.checkup import Checkup, to_json, to_sarif
from ..operations.cluster_objects import read_cluster
from ..operations.kube import ClusterAccess
from ..operations.manifests import Loaded, load
from .checktable import print_checkup
from .console import open_console
from .options import Json

EPILOG: Final = """\
Examples: "traffic-mirror check --cluster staging=a/ --cluster testing=b/" on folders of YAML;
"pulumi stack export | traffic-mirror check --cluster staging=/dev/stdin";
"traffic-mirror check --context staging=gke-a --context testing=gke-b" on live clusters;
"traffic-mirror check a/ --istio 1.27 --to 1.31" before an upgrade."""

ONLY: Final = "cluster"
"""How findings call the one cluster that nobody named."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check", epilog=EPILOG)(check)


def check(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Files and folders of one cluster: YAML, JSON, Pulumi stack exports and previews."),
    ] = None,
    *,
    cluster: Annotated[
        list[str] | None, typer.Option(help="Files or a folder of a cluster; once for each.", metavar="NAME=PATH")
    ] = None,
    context: Annotated[
        list[str] | None, typer.Option(help="A live cluster by kubeconfig context.", metavar="[NAME=]CONTEXT")
    ] = None,
    kubeconfig: Annotated[Path | None, typer.Option(help="Kubeconfig of the contexts.", metavar="FILE")] = None,
    istio: Annotated[
        list[str] | None,
        typer.Option(help="Release of istiod; default read from its Deployment, else any.", metavar="[NAME=]VERSION"),
    ] = None,
    root_namespace: Annotated[
        str, typer.Option(help="Istio's root namespace in all clusters.", metavar="NAMESPACE")
    ] = ROOT_NAMESPACE,
    to: Annotated[str, typer.Option(help="Show what this release would change.", metavar="VERSION")] = "",
    require_mirror: Annotated[bool, typer.Option("--require-mirror", help="Fail when nothing is mirrored.")] = False,
    as_json: Json = False,
    as_sarif: Annotated[bool, typer.Option("--sarif", help="Print the result as SARIF 2.1.0.")] = False,
) -> None:
    """Say what is wrong with mirrors, whoever wrote them: Istio routes or the Gateway API's, in one or more clusters.

    Give all clusters at once, so that both ends of a mirror are judged. Exit code 0: nothing is wrong; 1: something is;
    2: bad input, or it cannot be told.
    """
    if as_json and as_sarif:
        raise ValidationError(
            field="--sarif", value=True, rule="must not be given with --json", remedy="Choose one form"
        )
    versions = _versions(istio or [])
    root = str(DnsLabel(root_namespace, field="--root-namespace"))
    sources = Sources(
        paths=paths or [],
        clusters=cluster or [],
        contexts=context or [],
        kubeconfig=kubeconfig,
        versions=versions,
        root_namespace=root,
    )
    loaded = sources.load()
    mesh = Mesh(clusters=[each.cluster for each in loaded], now=datetime.now(UTC))
    _check_names(versions, mesh)
    checkup = Checkup(loaded=loaded, findings=run_rules(mesh), upgrade=_upgrade(mesh, to))
    if as_json:
        typer.echo(json.dumps(to_json(checkup), indent=2))
    elif as_sarif:
        typer.echo(json.dumps(to_sarif(checkup), indent=2))
    else:
        print_checkup(checkup, open_console())
    raise typer.Exit(exit_code(checkup, require_mirror=require_mirror))


def exit_code(checkup: Checkup, *, require_mirror: bool) -> int:
    """The command's exit code."""
    if any(finding.fails for finding in checkup.findings) or (checkup.upgrade and checkup.upgrade.fails):
        return 1
    unjudged = any(finding.outcome is Outcome.NOT_JUDGED for finding in checkup.findings)
    return 2 if unjudged or (require_mirror and not checkup.mirrors) else 0


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where clusters are read from, as the command line says it."""

    paths: Sequence[Path]
    clusters: Sequence[str]
    contexts: Sequence[str]
    kubeconfig: Path | None
    versions: dict[str, IstioBehaviour]
    root_namespace: str

    def load(self) -> list[Loaded]:
        """Read every cluster.

        Raises:
            ValidationError: Nothing is named, or an option is malformed.
            OperationError: A file or cluster cannot be read.
        """
        if not (self.paths or self.clusters or self.contexts):
            raise ValidationError(
                field="PATH", value=None, rule="must be given, or --cluster, or --context", remedy="Name what to check"
            )
        loaded = self._files(ONLY, self.paths) if self.paths else []
        for given in self.clusters:
            name, separator, path = given.partition("=")
            if not (name and separator and path):
                raise ValidationError(
                    field="--cluster", value=given, rule="must be NAME=PATH", remedy="Write for example staging=a/"
                )
            loaded += self._files(name, [Path(path)])
        for given in self.contexts:
            name, _, context = given.rpartition("=")
            access = ClusterAccess(name=name or context, kubeconfig=str(self.kubeconfig or ""), context=context)
            loaded.append(read_cluster(access, self._istio(access.name), root_namespace=self.root_namespace))
        return loaded

    def _istio(self, name: str) -> IstioBehaviour | None:
        return self.versions.get(name) or self.versions.get("")

    def _files(self, name: str, paths: Sequence[Path]) -> list[Loaded]:
        return load(name, paths, self._istio(name), root_namespace=self.root_namespace)


def _versions(given: Sequence[str]) -> dict[str, IstioBehaviour]:
    """Behaviour by cluster; the empty name stands for every cluster that is not named."""
    found: dict[str, IstioBehaviour] = {}
    for text in given:
        name, _, version = text.rpartition("=")
        if name in found:
            raise ValidationError(
                field="--istio", value=text, rule="must be given once for a cluster", remedy="Drop one of them"
            )
        found[name] = _behaviour(version, "--istio")
    return found


def _behaviour(text: str, field: str) -> IstioBehaviour:
    try:
        return IstioBehaviour(version=IstioVersion.parse(text, field=field))
    except ValidationError as error:
        raise ValidationError(field=field, value=text, rule=error.rule, remedy=error.remedy) from None


def _check_names(versions: dict[str, IstioBehaviour], mesh: Mesh) -> None:
    names = {cluster.name for cluster in mesh.clusters}
    for name in versions.keys() - names - {""}:
        raise ValidationError(
            field="--istio", value=name, rule=f"must name one of {', '.join(sorted(names))}", remedy="Check the name"
        )


def _upgrade(mesh: Mesh, to: str) -> Upgrade | None:
    if not to:
        return None
    after = _behaviour(to, "--to")
    known = next((cluster.istio for cluster in mesh.clusters if cluster.istio), None)
    if known is None:
        raise ValidationError(
            field="--to", value=to, rule="needs --istio, the release that runs now", remedy="Add --istio VERSION"
        )
    # A cluster that nobody told about is taken to run what the first known one does.
    clusters = [replace(cluster, istio=cluster.istio or known) for cluster in mesh.clusters]
    return preview_upgrade(replace(mesh, clusters=clusters), after.version)
