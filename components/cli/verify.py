"""``traffic-mirror verify``: do copies arrive, on clusters that run, and if not, why."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from ..model import Percent, RpcMethod, ValidationError
from ..operations.verify.http_call import HttpCall
from ..operations.verify.job import VerifyJob
from ..operations.verify.run import verify
from ..rehearsal.progress import open_progress
from .calloptions import (
    HELLO,
    SENDER,
    GatewayAddress,
    Host,
    HttpPath,
    Rpc,
    Staging,
    StagingContext,
    Testing,
    TestingContext,
    Watch,
    access,
    receiving_clusters,
    staging_given,
)
from .istiooptions import IstioReleases, istio_releases, require_named
from .longwork import Timeout, within
from .options import Json, named_as_options, output_file
from .reports import Html, show_report

EPILOG: Final = """\
Examples: "traffic-mirror verify --staging a.kubeconfig --testing b.kubeconfig" makes 200 calls;
"traffic-mirror verify --staging a.kubeconfig --testing b.kubeconfig --watch 60" makes none and counts what flows;
"traffic-mirror verify --staging a.kubeconfig --host orders.shop.svc.cluster.local --path /api --watch 60" does so at
sidecars or at a waypoint that an overlay hangs on;
"traffic-mirror verify --role | kubectl apply -f -" grants what the command needs."""

ROLE: Final = Path(__file__).parents[1] / "operations" / "verify" / "role.yaml"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("verify", epilog=EPILOG)(command)


def command(
    *,
    staging: Staging = None,
    testing: Testing = None,
    staging_context: StagingContext = "",
    testing_context: TestingContext = None,
    host: Host = "",
    gateway: GatewayAddress = "",
    calls: Annotated[int, typer.Option(help="Calls to make.", metavar="N")] = 200,
    watch: Watch = 0.0,
    rpc: Rpc = HELLO,
    path: HttpPath = "",
    header: Annotated[
        list[str] | None, typer.Option(help="Further header of every call; several times.", metavar="NAME=VALUE")
    ] = None,
    posts: Annotated[
        bool,
        typer.Option("--posts", help="With --path: post as well, of which overlays must copy nothing; v1 acts on it."),
    ] = False,
    rate: Annotated[float, typer.Option(help="Calls per second; 0 for as fast as they are answered.")] = 0.0,
    expect: Annotated[
        list[str] | None,
        typer.Option(help="Share that a mirror must have; default what the routes say.", metavar="MIRROR=PERCENT"),
    ] = None,
    istio: IstioReleases = None,
    timeout: Timeout = 300.0,
    html: Html = None,
    as_json: Json = False,
    role: Annotated[bool, typer.Option("--role", help="Print the least rights that it needs, and exit.")] = False,
) -> None:
    """Tell whether copies arrive as they should, and if not, why.

    Changes nothing. Exit code 0: every mirror does what it should; 1: one does not; 2: bad input, or it cannot be told.
    """
    if role:
        typer.echo(ROLE.read_text(encoding="utf-8"), nl=False)
        return
    page = output_file(html, option="--html")
    receiving = receiving_clusters(testing or [], testing_context or [])
    releases = istio_releases(istio or [])
    require_named(releases, (SENDER, *(each.name for each in receiving)))
    with named_as_options(
        address="--gateway",
        posts="--posts",
        calls="--calls",
        watch_seconds="--watch",
        calls_per_second="--rate",
        headers="--header",
        path="--path",
    ):
        job = VerifyJob(
            staging=access(SENDER, staging_given(staging), staging_context, option="--staging"),
            receiving=receiving,
            host=host,
            address=gateway,
            calls=calls,
            watch_seconds=watch,
            rpc=RpcMethod(rpc, field="--rpc"),
            http=HttpCall(method="GET", path=path) if path else None,
            headers=tuple(_pairs(header or [], "--header", form="NAME=VALUE", example="x-user=alice", lower=True)),
            calls_per_second=rate,
            posts=posts,
            istio=releases,
            expected={
                name: Percent(_number(text), field="--expect")
                for name, text in _pairs(expect or [], "--expect", form="MIRROR=PERCENT", example="v2=50")
            },
        )
    _check_time(job, timeout)
    with open_progress() as progress:
        report = within(timeout, lambda: verify(job, progress.note))
    show_report(report, as_json=as_json, page=page)


def _check_time(job: VerifyJob, timeout: float) -> None:
    """Refuse now what would be given up half-way."""
    calling = job.calls / job.calls_per_second if job.calls_per_second else 0.0
    seconds = job.watch_seconds or calling
    if seconds >= timeout:
        raise ValidationError(
            field="--timeout",
            value=timeout,
            rule=f"must be longer than the {seconds:g} s that {'--watch' if job.watch_seconds else '--rate'} takes",
            remedy=f"Write for example --timeout {seconds + 60:.0f}",
        )


def _pairs(given: Sequence[str], option: str, *, form: str, example: str, lower: bool = False) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for text in given:
        name, separator, value = text.partition("=")
        if not (name and separator and value):
            raise ValidationError(
                field=option, value=text, rule=f"must be {form}", remedy=f"Write for example {example}"
            )
        pairs.append((name.lower() if lower else name, value))
    return pairs


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValidationError(
            field="--expect", value=text, rule="must be a number of per cent", remedy="Write for example v2=50"
        ) from None
