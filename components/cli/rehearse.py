"""``traffic-mirror rehearse``: the main job, on an embedded stage or on clusters that exist."""

import json
from pathlib import Path
from typing import Annotated, Final

import typer

from ..model import Percent, ValidationError
from ..rehearsal.embedded import clean_up, describe_kept, end_kept, rehearse_on_stage
from ..rehearsal.existing import rehearse_on_clusters
from ..rehearsal.progress import open_progress
from ..rehearsal.scenario import RehearsalOptions
from .clusters import ClusterOptions
from .options import Json, named_as_options, output_file
from .reports import Html, show_report

EPILOG: Final = """\
Examples: "traffic-mirror rehearse --calls 500 --in-cluster 50 --cross-cluster 100" on a Linux machine as root;
"traffic-mirror rehearse --staging a.kubeconfig --testing b.kubeconfig --greeter-image REGISTRY/greeter@sha256:..."
anywhere."""


def register(app: typer.Typer) -> None:
    """Add the command and those below it."""
    group = typer.Typer(invoke_without_command=True, no_args_is_help=False, rich_markup_mode=None)
    group.callback(epilog=EPILOG)(rehearse)
    group.command("down", help="Remove what was kept, or what a crash left.")(down)
    group.command("status", help="Show what was kept, and how to look around in it.")(status)
    group.command("clean", help="Remove the stage, its cache and the packages that were installed for it.")(clean)
    app.add_typer(group, name="rehearse")


def rehearse(
    context: typer.Context,
    *,
    calls: Annotated[int, typer.Option(help="Calls that count.", metavar="N")] = 500,
    in_cluster: Annotated[
        float, typer.Option(help="Per cent of them that v2 in staging gets.", metavar="PERCENT")
    ] = 50.0,
    cross_cluster: Annotated[
        float, typer.Option(help="Per cent of them that testing gets.", metavar="PERCENT")
    ] = 100.0,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running at the end.")] = False,
    timeout: Annotated[
        float, typer.Option(help="Bound on deploying, calling and gathering evidence.", metavar="SECONDS")
    ] = 600.0,
    html: Html = None,
    as_json: Json = False,
    staging: Annotated[Path | None, typer.Option(help="Use this cluster as staging.", metavar="KUBECONFIG")] = None,
    testing: Annotated[Path | None, typer.Option(help="Use this cluster as testing.", metavar="KUBECONFIG")] = None,
    staging_context: Annotated[str, typer.Option(help="Context in --staging.", metavar="NAME")] = "",
    testing_context: Annotated[str, typer.Option(help="Context in --testing.", metavar="NAME")] = "",
    project: Annotated[Path | None, typer.Option(help="Folder of the Pulumi program.", metavar="FOLDER")] = None,
    settings: Annotated[
        Path | None,
        typer.Option(help="Sections istio and gateway of the program, on clusters that exist.", metavar="YAML"),
    ] = None,
    greeter_image: Annotated[
        str, typer.Option(help="Image of the sample service, on clusters that exist.", metavar="IMAGE")
    ] = "",
) -> None:
    """Bring up both stacks, send real requests through them and give a verdict.

    Without --staging and --testing two clusters are built on this machine; that needs Linux, root and about 4 GiB of
    memory. Exit code 0: the mirrors do what they should; 1: they do not; 2: it cannot be told.
    """
    if context.invoked_subcommand is not None:
        return
    page = output_file(html, option="--html")
    program = _program(project)
    with named_as_options(calls="--calls", timeout_seconds="--timeout"):
        options = RehearsalOptions(
            calls=calls,
            in_cluster_percent=Percent(in_cluster, field="--in-cluster"),
            cross_cluster_percent=Percent(cross_cluster, field="--cross-cluster"),
            keep=keep,
            timeout_seconds=timeout,
        )
    clusters = ClusterOptions(
        staging=staging,
        testing=testing,
        staging_context=staging_context,
        testing_context=testing_context,
        greeter_image=greeter_image,
        settings=settings,
    ).clusters()
    with open_progress() as progress:
        report = (
            rehearse_on_clusters(options, *clusters, program, progress)
            if clusters
            else rehearse_on_stage(options, program, progress)
        )
    show_report(report, as_json=as_json, page=page)


def _program(folder: Path | None) -> Path:
    """Return the folder of the Pulumi program: the given one, or the one that this library lies in."""
    found = folder or Path(__file__).resolve().parents[2]
    if not (found / "Pulumi.yaml").is_file():
        raise ValidationError(
            field="--project",
            value=str(folder) if folder else None,
            rule="must be a folder with Pulumi.yaml: a rehearsal deploys a program, and what pip installs has none",
            remedy="Clone the project's repository and give its folder; replay, diff, verify and check need none",
        )
    return found.resolve()


def down() -> None:
    """Remove what was kept, or what a crash left."""
    with open_progress() as progress:
        ended = end_kept(progress)
    typer.echo(
        "Everything that was kept is removed." if ended else "Nothing was kept, nothing was left behind.", err=True
    )


def status(*, as_json: Json = False) -> None:
    """Show what was kept, and how to look around in it."""
    lines = describe_kept()
    if as_json:
        typer.echo(json.dumps({"running": bool(lines), "description": list(lines)}))
    else:
        typer.echo("\n".join(lines) if lines else "Nothing is kept.")


def clean() -> None:
    """Remove the stage, its cache and the packages that were installed for it."""
    with open_progress() as progress:
        clean_up(progress)
