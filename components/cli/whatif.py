"""``traffic-mirror what-if``: what a change of the mesh would do to recorded requests."""

import asyncio
import json
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer

from ..model import ValidationError
from ..operations.cluster_objects import read_cluster
from ..operations.errors import OperationError
from ..operations.kube import ClusterAccess
from ..operations.manifests import Loaded, laid_over, load
from ..operations.private_files import write_file
from ..operations.whatif import (
    Copies,
    Expectations,
    read_change,
    read_requests,
    read_state,
    render_markdown,
    render_page,
    what_if,
    what_is_copied,
)
from .console import open_console
from .istiooptions import mesh_options
from .longwork import Timeout, showing, within
from .options import Json, input_file, output_file
from .programs import envoy_program, open_oracle
from .whatiftable import print_result

_T = TypeVar("_T")

EPILOG: Final = """\
Examples: "traffic-mirror what-if --before deployed/ --after changed/ --recording recordings/" compares two folders;
"traffic-mirror what-if --before context:gke-a --after preview.json --recording day/" a live cluster and the output of
pulumi preview --json; "traffic-mirror what-if --after changed/ --recording day/" tells what mirrors would copy.
--write-expect notes what changes for a reviewer, and with --expect everything else fails."""

LIVE: Final = "context:"
"""Begins a live cluster in place of a path."""

STATE: Final = f"PATH|{LIVE}NAME"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("what-if", epilog=EPILOG)(command)


def command(
    *,
    after: Annotated[
        list[str],
        typer.Option(
            help="State after: YAML, JSON, Pulumi preview or stack export, a live cluster, or one with files on top.",
            metavar=STATE,
        ),
    ],
    recording: Annotated[str, typer.Option(help="Recorded requests.", metavar="RECORDING")],
    before: Annotated[
        list[str] | None,
        typer.Option(help="State before, of the same forms. Without it: what mirrors would copy.", metavar=STATE),
    ] = None,
    cluster: Annotated[
        str, typer.Option(help="Which cluster, where a stack manages several: its Kubernetes provider.", metavar="NAME")
    ] = "",
    kubeconfig: Annotated[Path | None, typer.Option(help="Kubeconfig of the contexts.", metavar="FILE")] = None,
    root_namespace: Annotated[
        str,
        typer.Option(
            help="Istio's root namespace; default by the mesh's configuration, else istio-system.",
            metavar="NAMESPACE",
        ),
    ] = "",
    cluster_domain: Annotated[
        str,
        typer.Option(
            help="Domain of Services; default read from istiod's Deployment, else cluster.local.", metavar="DOMAIN"
        ),
    ] = "",
    expect: Annotated[Path | None, typer.Option(help="Changes that should be.", metavar="FILE")] = None,
    write_expect: Annotated[
        Path | None, typer.Option(help="Write what changes, to be reviewed and given to --expect.", metavar="FILE")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write the result as one HTML file.", metavar="FILE")] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Write the result as Markdown, for a pull request's comment.", metavar="FILE")
    ] = None,
    timeout: Timeout = 600.0,
    as_json: Json = False,
) -> None:
    """Tell what a change of the mesh would do to recorded requests, before it is deployed.

    istiod in memory renders both states, real Envoys on this machine route the requests through both, and everything
    that fares differently is told. Nothing is sent anywhere else. Exit code 0: nothing changes but what is expected; 1:
    something does, or an object would be refused; 2: bad input, or it cannot be told.
    """
    expected = Expectations.read(input_file(expect, option="--expect")) if expect else None
    for path, option in ((write_expect, "--write-expect"), (html, "--html"), (markdown, "--markdown")):
        output_file(path, option=option)
    program = envoy_program()
    reader = States(cluster=cluster, kubeconfig=kubeconfig, root_namespace=root_namespace, domain=cluster_domain)
    deployed = reader.load(before, "before") if before else None
    changed = reader.load(after, "after")
    with open_oracle() as oracle:
        was, now = read_change(deployed, changed, oracle) if deployed else (None, read_state(changed, oracle))
    recorded = within(timeout, lambda: read_requests(recording))
    copies: Copies | None = None
    with showing("what if") as done:
        if was:
            result = _in_time(timeout, what_if(program, was, now, recorded, expected=expected, done=done))
        else:
            copies = _in_time(timeout, what_is_copied(program, now, recorded, expected=expected, done=done))
            result = copies.result
    if write_expect is not None:
        write_expect.write_text(Expectations.of(result).text(), encoding="utf-8")
        typer.echo(f"What changes is in {write_expect}: review it, and give it to --expect.", err=True)
    if html is not None:
        write_file(html, render_page(result, copies))
    if markdown is not None:
        write_file(markdown, render_markdown(result, copies))
    if as_json:
        typer.echo(json.dumps((copies or result).to_json(), indent=2))
    else:
        print_result(result, copies, open_console())
    raise typer.Exit(result.verdict.exit_code)


def _in_time(seconds: float, work: Coroutine[Any, Any, _T]) -> _T:
    """Run in this thread, so that whatever ends the command ends its Envoys as well."""
    try:
        return asyncio.run(asyncio.wait_for(work, seconds))
    except TimeoutError:
        raise OperationError(
            f"It did not end within {seconds:g} s", remedy="Give it more time with --timeout, or fewer requests"
        ) from None


class States:
    """How the states before and after are read."""

    def __init__(self, *, cluster: str, kubeconfig: Path | None, root_namespace: str, domain: str) -> None:
        self._cluster = cluster
        self._kubeconfig = kubeconfig
        self._root, self._domain = mesh_options(root_namespace, domain)

    def load(self, given: Sequence[str], option: str) -> Loaded:
        """Read one state.

        Raises:
            ValidationError: Several clusters are given, or the one that is asked for is not there.
            OperationError: Something cannot be read.
        """
        live = [each.removeprefix(LIVE) for each in given if each.startswith(LIVE)]
        paths = [Path(each) for each in given if not each.startswith(LIVE)]
        if len(live) > 1:
            raise ValidationError(
                field=f"--{option}",
                value=list(given),
                rule="must have one live cluster at most",
                remedy="Drop the others",
            )
        if not live:
            return self._files(option, paths, self._domain)
        access = ClusterAccess(name=option, kubeconfig=str(self._kubeconfig or ""), context=live[0])
        cluster = read_cluster(access, root_namespace=self._root, domain=self._domain, deciding=True)
        return laid_over(cluster, self._files(option, paths, cluster.domain.name)) if paths else cluster

    def _files(self, option: str, paths: Sequence[Path], domain: str) -> Loaded:
        found = load(option, paths, root_namespace=self._root, domain=domain)
        named = [each for each in found if each.cluster.name.rpartition("/")[2] == self._cluster]
        wanted = found if len(found) == 1 else named  # the only one may have no name of its own
        if len(wanted) != 1:
            names = ", ".join(sorted(each.cluster.name.rpartition("/")[2] for each in found))
            raise ValidationError(
                field="--cluster",
                value=self._cluster,
                rule=f"must name one of the clusters of --{option}: {names}",
                remedy="Name the cluster's Kubernetes provider",
            )
        if not wanted[0].cluster.objects:
            raise OperationError(f"--{option} has no object of a mesh", remedy="Check the path")
        return wanted[0]
