"""``traffic-mirror verify``: do copies arrive, on clusters that run, and if not, why."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from ..model import Percent, RpcMethod, ValidationError
from ..operations.kube import ClusterAccess
from ..operations.verify.calling import HttpCall
from ..operations.verify.run import VerifyJob, verify
from ..operations.verify.show import headline, print_verification, to_json
from ..rehearsal.progress import open_progress
from .calloptions import (
    HELLO,
    GatewayAddress,
    Host,
    Rpc,
    Staging,
    StagingContext,
    Testing,
    TestingContext,
    staging_given,
)
from .console import open_console
from .longwork import Timeout, within
from .options import Json, input_file, named_as_options

EPILOG: Final = """\
Examples: "traffic-mirror verify --staging a.kubeconfig --testing b.kubeconfig" makes 200 calls;
"traffic-mirror verify --staging a.kubeconfig --testing b.kubeconfig --watch 60" makes none and counts what flows;
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
    testing_context: TestingContext = "",
    host: Host = "",
    gateway: GatewayAddress = "",
    calls: Annotated[int, typer.Option(help="Calls to make.", metavar="N")] = 200,
    watch: Annotated[
        float, typer.Option(help="Make no calls, watch what flows for this long.", metavar="SECONDS")
    ] = 0.0,
    rpc: Rpc = HELLO,
    path: Annotated[str, typer.Option(help="Make GET requests to this path instead of gRPC calls.")] = "",
    header: Annotated[
        list[str] | None, typer.Option(help="Further header of every call; several times.", metavar="NAME=VALUE")
    ] = None,
    rate: Annotated[float, typer.Option(help="Calls per second; 0 for as fast as they are answered.")] = 0.0,
    expect: Annotated[
        list[str] | None,
        typer.Option(help="Share that a mirror must have; default what the routes say.", metavar="MIRROR=PERCENT"),
    ] = None,
    timeout: Timeout = 300.0,
    as_json: Json = False,
    role: Annotated[bool, typer.Option("--role", help="Print the least rights that it needs, and exit.")] = False,
) -> None:
    """Tell whether copies arrive as they should, and if not, why.

    Changes nothing. Exit code 0: every mirror does what it should; 1: one does not; 2: bad input, or it cannot be told.
    """
    if role:
        typer.echo(ROLE.read_text(encoding="utf-8"), nl=False)
        return
    with named_as_options(
        address="--gateway",
        calls="--calls",
        watch_seconds="--watch",
        calls_per_second="--rate",
        headers="--header",
        path="--path",
    ):
        job = VerifyJob(
            staging=_access("staging", staging_given(staging), staging_context),
            testing=_access("testing", testing, testing_context) if testing else None,
            host=host,
            address=gateway,
            calls=calls,
            watch_seconds=watch,
            rpc=RpcMethod(rpc, field="--rpc"),
            http=HttpCall(method="GET", path=path) if path else None,
            headers=tuple(_pairs(header or [], "--header", lower=True)),
            calls_per_second=rate,
            expected={
                name: Percent(_number(text), field="--expect") for name, text in _pairs(expect or [], "--expect")
            },
        )
    _check_time(job, timeout)
    with open_progress() as progress:
        report = within(timeout, lambda: verify(job, progress.note))
    if as_json:
        typer.echo(json.dumps(to_json(report), indent=2))
        open_console(stderr=True).print(headline(report), highlight=False)
    else:
        print_verification(report, open_console())
    raise typer.Exit(report.outcome.exit_code)


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


def _access(name: str, kubeconfig: Path, context: str) -> ClusterAccess:
    path = input_file(kubeconfig, option=f"--{name}")
    return ClusterAccess(name=name, kubeconfig=str(path.resolve()), context=context)


def _pairs(given: Sequence[str], option: str, *, lower: bool = False) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for text in given:
        name, separator, value = text.partition("=")
        if not (name and separator and value):
            form, example = ("MIRROR=PERCENT", "v2=50") if option == "--expect" else ("NAME=VALUE", "x-user=alice")
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
