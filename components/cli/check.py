"""``traffic-mirror check``: what is wrong with anybody's mirrors."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer

from ..extensions import own_rules
from ..model import IstioBehaviour, ValidationError
from ..model.rules import (
    PLAN_RULES,
    RULES,
    Mesh,
    Outcome,
    RuleSettings,
    Upgrade,
    preview_upgrade,
    run_rules,
)
from ..operations.checkup import Checkup, to_json, to_sarif
from ..operations.cluster_objects import read_cluster
from ..operations.kube import ClusterAccess
from ..operations.manifests import Loaded, load
from ..operations.mending import mends
from ..operations.meshes import Domain
from ..operations.oracle import Confirmed, Interpreter, Oracle, confirm
from .checktable import print_checkup
from .console import open_console
from .istiooptions import ISTIO, IstioReleases, istio_releases, mesh_options, require_named
from .options import Json
from .programs import open_oracle

EPILOG: Final = """\
Examples: "traffic-mirror check --cluster staging=a/ --cluster testing=b/" on folders of YAML;
"pulumi stack export | traffic-mirror check --cluster staging=/dev/stdin";
"traffic-mirror check --context staging=gke-a --context testing=gke-b" on live clusters;
"traffic-mirror check a/ --istio 1.27 --to 1.31" before an upgrade;
"traffic-mirror check a/ --diff" to see what --fix would write."""

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
    istio: IstioReleases = None,
    root_namespace: Annotated[
        str,
        typer.Option(
            help="Istio's root namespace in all clusters; default by the mesh's configuration, else istio-system.",
            metavar="NAMESPACE",
        ),
    ] = "",
    cluster_domain: Annotated[
        str,
        typer.Option(
            help="Domain of Services in all clusters; default read from istiod's Deployment, else cluster.local.",
            metavar="DOMAIN",
        ),
    ] = "",
    to: Annotated[str, typer.Option(help="Show what this release would change.", metavar="VERSION")] = "",
    require_mirror: Annotated[bool, typer.Option("--require-mirror", help="Fail when nothing is mirrored.")] = False,
    max_waiver_days: Annotated[
        float | None, typer.Option(help="Longest time to the end of an object's waiver.", metavar="DAYS")
    ] = None,
    object_waivers: Annotated[
        bool, typer.Option("--object-waivers/--no-object-waivers", help="Whether objects may carry waivers.")
    ] = True,
    istiod: Annotated[
        bool, typer.Option("--istiod", help="Ask istiod itself, in memory, what it renders for these objects.")
    ] = False,
    istiod_image: Annotated[
        str,
        typer.Option(
            help="Ask istiod in a container of this image, made by the Dockerfile beside its source.", metavar="IMAGE"
        ),
    ] = "",
    diff: Annotated[bool, typer.Option("--diff", help="Show what --fix would change.")] = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="Write mends into files, where nobody has to choose; then judge again.")
    ] = False,
    as_json: Json = False,
    as_sarif: Annotated[bool, typer.Option("--sarif", help="Print the result as SARIF 2.1.0.")] = False,
) -> None:
    """Say what is wrong with mirrors, whoever wrote them: Istio routes or the Gateway API's, in one or more clusters.

    Give all clusters at once, so that both ends of a mirror are judged. Exit code 0: nothing is wrong; 1: something is;
    2: bad input, or it cannot be told.
    """
    if sum((as_json, as_sarif, diff)) > 1:
        raise ValidationError(
            field="--sarif" if as_sarif else "--json",
            value=True,
            rule="must not be given with another form of the result",
            remedy="Choose one of --json, --sarif and --diff",
        )
    declared = istio_releases(istio or [])
    versions = {name: IstioBehaviour.of_release(release, field=ISTIO) for name, release in declared.items()}
    root, domain = mesh_options(root_namespace, cluster_domain)
    sources = Sources(
        paths=paths or [],
        clusters=cluster or [],
        contexts=context or [],
        kubeconfig=kubeconfig,
        versions=versions,
        root_namespace=root,
        domain=domain,
    )
    settings = RuleSettings(max_waiver_days=max_waiver_days, object_waivers=object_waivers)
    asked = partial(open_oracle, istiod_image) if istiod or istiod_image else None
    checkup = _judged(sources, settings, to, asked)
    changes = mends(checkup.loaded, checkup.findings) if diff or fix else []
    if fix and changes:
        for each in changes:
            each.write()
        checkup = _judged(sources, settings, to, asked)
    if as_json:
        typer.echo(json.dumps(to_json(checkup), indent=2))
    elif as_sarif:
        typer.echo(json.dumps(to_sarif(checkup), indent=2))
    elif diff:
        typer.echo("".join(each.diff for each in changes), nl=False)
    else:
        print_checkup(checkup, open_console())
    if fix:
        mended = {finding for each in changes for finding in each.findings}
        typer.echo(f"{len(mended)} findings mended in {len(changes)} files.", err=True)
    raise typer.Exit(exit_code(checkup, require_mirror=require_mirror))


def _judged(sources: "Sources", settings: RuleSettings, to: str, istiod: Callable[[], Oracle] | None) -> Checkup:
    """Read everything and judge it."""
    loaded = sources.load()
    losses = [loss for each in loaded for loss in each.losses]
    mesh = Mesh(clusters=[each.cluster for each in loaded], now=datetime.now(UTC), losses=losses)
    require_named(sources.versions, (cluster.name for cluster in mesh.clusters))
    confirmed = Confirmed(findings=run_rules(mesh, (*RULES, *PLAN_RULES, *own_rules()), settings))
    domains = {each.cluster.name: each.domain for each in loaded}
    if istiod:
        confirmed = _asked(mesh, domains, confirmed, istiod)
    return Checkup(
        loaded=loaded,
        findings=[domains[each.cluster].finding(each) for each in confirmed.findings],
        upgrade=_upgrade(mesh, to),
        by_istiod=frozenset(domains[each.cluster].finding(each) for each in confirmed.by_istiod),
    )


def _asked(mesh: Mesh, domains: Mapping[str, Domain], confirmed: Confirmed, istiod: Callable[[], Oracle]) -> Confirmed:
    """The findings after istiod was asked about every cluster.

    Raises:
        OperationError: It is not built, or gives no answer.
    """
    with istiod() as oracle:
        for cluster in mesh.clusters:
            found = confirm(cluster, confirmed.findings, Interpreter(domains[cluster.name], oracle))
            confirmed = Confirmed(findings=found.findings, by_istiod=confirmed.by_istiod | found.by_istiod)
    return confirmed


def exit_code(checkup: Checkup, *, require_mirror: bool) -> int:
    """The command's exit code."""
    if any(finding.fails for finding in checkup.findings) or (checkup.upgrade and checkup.upgrade.fails):
        return 1
    unjudged = checkup.unread or any(finding.outcome is Outcome.NOT_JUDGED for finding in checkup.findings)
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
    domain: str

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
        if self.kubeconfig and not self.contexts:
            raise ValidationError(
                field="--kubeconfig",
                value=str(self.kubeconfig),
                rule="is where contexts are looked up, and none is named",
                remedy="Add --context, or leave it out",
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
            behaviour, root = self._istio(access.name), self.root_namespace
            loaded.append(read_cluster(access, behaviour, root_namespace=root, domain=self.domain, controllers=True))
        return loaded

    def _istio(self, name: str) -> IstioBehaviour | None:
        return self.versions.get(name) or self.versions.get("")

    def _files(self, name: str, paths: Sequence[Path]) -> list[Loaded]:
        return load(name, paths, self._istio(name), root_namespace=self.root_namespace, domain=self.domain)


def _upgrade(mesh: Mesh, to: str) -> Upgrade | None:
    if not to:
        return None
    after = IstioBehaviour.of_release(to, field="--to")
    known = next((cluster.istio for cluster in mesh.clusters if cluster.istio), None)
    if known is None:
        raise ValidationError(
            field="--to", value=to, rule="needs --istio, the release that runs now", remedy="Add --istio VERSION"
        )
    # A cluster that nobody told about is taken to run what the first known one does.
    clusters = [replace(cluster, istio=cluster.istio or known) for cluster in mesh.clusters]
    return preview_upgrade(replace(mesh, clusters=clusters), after.version)
