"""``traffic-mirror ramp``: raise a mirror's share step by step, by deployments, as long as nothing suffers."""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final, cast

import typer

from ..model import JsonObject, JsonValue, Percent, RpcMethod, ValidationError
from ..operations.errors import OperationError
from ..operations.kube import ClusterAccess
from ..operations.ramp.gates import MEBIBYTE, Gates
from ..operations.ramp.measure import Meter
from ..operations.ramp.run import Interrupted, RampJob, Retreat, ramp
from ..operations.ramp.stack import PulumiStack
from ..operations.ramp.state import Phase, RampState, StateFile
from ..operations.verify.http_call import HttpCall
from ..operations.verify.job import VerifyJob
from ..operations.verify.shares import telling_calls
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
    receiving_clusters,
    staging_given,
)
from .longwork import Timeout
from .options import Json, input_file, named_as_options, output_file
from .ramptable import measuring_time, show_plan, show_ramp
from .reports import Html
from .stackoptions import DryRun, Program, Project, StackName, open_stack

EPILOG: Final = """\
Examples: "traffic-mirror ramp run --stack staging --mirror testing --key mirrors.crossCluster.percent --staging
a.kubeconfig --testing b.kubeconfig"; "traffic-mirror ramp status --stack staging --mirror testing" from anywhere, at
any time; "traffic-mirror ramp resume --stack staging --mirror testing" goes on after Ctrl-C or a kill."""

MOST_IN_FLIGHT: Final = 64
"""Calls in flight at most while measuring; a primary that is slower than the rate allows shows in its latency."""

PATIENCE_SECONDS: Final = 20.0
"""A deployed share reaches proxies within a second or two; it is measured at the latest after this time."""

RAMP_SECONDS: Final = 3600.0
"""Five steps of a minute each, and as many deployments, take a fraction of it."""

FOLDER: Final = ".traffic-mirror"
"""Where the state is kept, in the project's folder."""

Mirror = Annotated[str, typer.Option("--mirror", help="Name of the mirror on its routes.", metavar="NAME")]
StateOption = Annotated[
    Path | None, typer.Option("--state", help="File of the ramp's state; default in the project.", metavar="FILE")
]


def register(app: typer.Typer) -> None:
    """Add the command and those below it."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    group.callback(epilog=EPILOG)(_ramp)
    group.command("run", epilog=EPILOG, help="Begin a ramp.")(run)
    group.command("resume", epilog=EPILOG, help="Go on with an interrupted ramp, as it was begun.")(resume)
    group.command("status", epilog=EPILOG, help="Show where a ramp stands.")(status)
    app.add_typer(group, name="ramp")


def _ramp() -> None:
    """Raise a mirror's share step by step, each by pulumi up, as long as nothing suffers.

    Exit code 0: the last step is in force; 1: a gate failed, and the share is back at the last good one; 2: bad input,
    or it cannot be told.
    """


def run(
    *,
    project: Project = Path(),
    stack: StackName = "staging",
    mirror: Mirror = "testing",
    key: Annotated[
        str, typer.Option(help="Configuration key of the mirror's percentage.", metavar="KEY")
    ] = "mirrors.crossCluster.percent",
    staging: Staging = None,
    testing: Testing = None,
    staging_context: StagingContext = "",
    testing_context: TestingContext = None,
    host: Host = "",
    gateway: GatewayAddress = "",
    rpc: Rpc = HELLO,
    path: HttpPath = "",
    watch: Watch = 0.0,
    steps: Annotated[str, typer.Option(help="Shares in per cent, rising.", metavar="LIST")] = "1,5,25,50,100",
    rate: Annotated[float, typer.Option(help="Calls per second while measuring.")] = 20.0,
    hold: Annotated[float, typer.Option(help="How long each step is measured.", metavar="SECONDS")] = 60.0,
    max_failures: Annotated[float, typer.Option(help="Failed calls above those before, per cent points.")] = 0.1,
    max_latency: Annotated[float, typer.Option(help="p95 of the primary, times that before.")] = 1.5,
    max_mirror_errors: Annotated[float, typer.Option(help="Copies that end with an error, per cent.")] = 1.0,
    max_in_flight: Annotated[float, typer.Option(help="Copies in flight, in seconds' worth of copies.")] = 1.0,
    max_memory: Annotated[float, typer.Option(help="Growth of the proxy's memory, MiB.")] = 64.0,
    retreat: Annotated[Retreat, typer.Option(help="Where to go when a gate fails.")] = Retreat.LAST_GOOD,
    state: StateOption = None,
    timeout: Timeout = RAMP_SECONDS,
    dry_run: DryRun = False,
    program: Program = None,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Begin a ramp."""
    page = output_file(html, option="--html")
    options: JsonObject = {
        "staging": str(input_file(staging_given(staging), option="--staging").resolve()),
        "receiving": [asdict(each) for each in receiving_clusters(testing or [], testing_context or [])],
        "stagingContext": staging_context,
        "host": host,
        "gateway": gateway,
        "rpc": RpcMethod(rpc, field="--rpc"),
        "path": path,
        "watch": watch,
        "rate": _above_zero(rate, "--rate"),
        "hold": _above_zero(hold, "--hold"),
        "failureIncreasePercent": max_failures,
        "latencyRatio": max_latency,
        "copyErrorPercent": max_mirror_errors,
        "inFlightSeconds": max_in_flight,
        "memoryGrowthMebibytes": max_memory,
        "retreat": retreat.value,
    }
    with named_as_options(
        address="--gateway",
        calls="--rate times --hold",
        calls_per_second="--rate",
        path="--path",
        watch_seconds="--watch",
    ):
        _calls(options)
    opened = open_stack(project, stack, program)
    start = _percent_at(opened.config(), key)
    job = _job(options, stack=stack, key=key, mirror=mirror, start=start, steps=_steps(steps))
    _check_time(job, job.start, timeout)
    _check_calls(job)
    if dry_run:
        show_plan(job, job.start, as_json=as_json)
        return
    file = state_file(project, stack, mirror, state)
    before = file.read()
    if before is not None and not before.ended:
        raise OperationError(
            f"A ramp of {mirror} stands at {before.percent:g} % ({before.phase})",
            remedy=f"Go on with 'ramp resume', or remove {file.path} to begin anew",
        )
    _go(job, opened, file, None, timeout=timeout, as_json=as_json, page=page)


def resume(
    *,
    project: Project = Path(),
    stack: StackName = "staging",
    mirror: Mirror = "testing",
    state: StateOption = None,
    timeout: Timeout = RAMP_SECONDS,
    dry_run: DryRun = False,
    program: Program = None,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Go on with a ramp that was interrupted, from its last good step."""
    page = output_file(html, option="--html")
    file = state_file(project, stack, mirror, state)
    before = _existing(file)
    if before.ended:
        raise OperationError(
            f"The ramp of {mirror} has ended at {before.percent:g} % ({before.phase})", remedy="Begin a new one"
        )
    opened = open_stack(project, stack, program)
    job = _job(
        before.options, stack=stack, key=before.key, mirror=mirror, start=before.history_start, steps=before.steps
    )
    _check_time(job, before.good, timeout)
    if dry_run:
        show_plan(job, before.good, as_json=as_json)
        return
    _go(job, opened, file, before, timeout=timeout, as_json=as_json, page=page)


def status(
    *,
    project: Project = Path(),
    stack: StackName = "staging",
    mirror: Mirror = "testing",
    state: StateOption = None,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Show where a ramp stands. Exit code 0: it runs or is done; 1: it went back or was interrupted."""
    page = output_file(html, option="--html")
    file = state_file(project, stack, mirror, state)
    found = _existing(file)
    show_ramp(found, running=file.running, as_json=as_json, page=page)
    raise typer.Exit(0 if file.running or found.phase is Phase.DONE else 1)


def state_file(project: Path, stack: str, mirror: str, given: Path | None) -> StateFile:
    """The file that keeps a ramp's state."""
    return StateFile(given or project / FOLDER / f"ramp.{stack}.{mirror}.json")


def _existing(file: StateFile) -> RampState:
    found = file.read()
    if found is None:
        raise OperationError(f"There is no ramp in {file.path}", remedy="Begin one with 'ramp run'")
    return found


def _job(options: JsonObject, *, stack: str, key: str, mirror: str, start: float, steps: Sequence[float]) -> RampJob:
    given = cast("dict[str, Any]", options)
    gates = Gates(
        failure_increase_percent=given["failureIncreasePercent"],
        latency_ratio=given["latencyRatio"],
        copy_error_percent=given["copyErrorPercent"],
        in_flight_seconds=given["inFlightSeconds"],
        memory_growth_bytes=round(given["memoryGrowthMebibytes"] * MEBIBYTE),
    )
    retreat = Retreat(given["retreat"])
    return RampJob(
        stack=stack, key=key, mirror=mirror, start=start, steps=steps, gates=gates, retreat=retreat, options=options
    )


def _calls(options: JsonObject) -> VerifyJob:
    given = cast("dict[str, Any]", options)
    return VerifyJob(
        staging=ClusterAccess(name=SENDER, kubeconfig=given["staging"], context=given["stagingContext"]),
        receiving=tuple(ClusterAccess(**each) for each in given["receiving"]),
        host=given["host"],
        address=given["gateway"],
        rpc=given["rpc"],
        http=HttpCall(method="GET", path=given["path"]) if given.get("path") else None,
        watch_seconds=given.get("watch", 0.0),
        # Two numbers that are none too many by themselves may have no product.
        calls=max(1, round(min(given["rate"] * given["hold"], sys.maxsize))),
        calls_per_second=given["rate"],
        concurrency=MOST_IN_FLIGHT,
        patience_seconds=PATIENCE_SECONDS,
    )


def _check_time(job: RampJob, good: float, timeout: float) -> None:
    """Refuse now what would be given up half-way, after a share was raised."""
    each, option = measuring_time(job.options)
    count = 1 + sum(step > good for step in job.steps)
    if count * each >= timeout:
        raise ValidationError(
            field="--timeout",
            value=timeout,
            rule=f"must be longer than the {count * each:g} s that {count} measurements of {option} take,"
            " deployments not counted",
            remedy=f"Write for example --timeout {2 * count * each:.0f}, or take fewer steps",
        )


def _check_calls(job: RampJob) -> None:
    """Refuse so few calls that the first step could not be told from a mirror that gets nothing."""
    first = min(step for step in job.steps if step > job.start)
    calls, needed = _calls(job.options), telling_calls(first)
    if not calls.watch_seconds and calls.calls < needed:
        raise ValidationError(
            field="--hold",
            value=cast("float", job.options["hold"]),
            rule=f"must be long enough for {needed:,} calls: fewer do not tell {first:g} % from nothing",
            remedy=f"Write --hold {math.ceil(needed / calls.calls_per_second)}, or begin with a larger step",
        )


def _go(
    job: RampJob,
    opened: PulumiStack,
    file: StateFile,
    before: RampState | None,
    *,
    timeout: float,
    as_json: bool,
    page: Path | None,
) -> None:
    def apply(percent: float, begun: Callable[[], None]) -> None:
        opened.set_number(job.key, percent)
        try:
            opened.up(lambda _: None, begun=begun)
        except OperationError:
            # The next deployment, whoever makes it, must not bring a share that no gate has seen.
            if percent > (left := _existing(file).percent):
                opened.set_number(job.key, left)
            raise

    meter = Meter(job=_calls(job.options), mirror=job.mirror)
    try:
        with open_progress() as progress:
            ended = ramp(job, apply, meter, file, progress.note, state=before, timeout_seconds=timeout)
    except Interrupted as error:
        left = _existing(file)
        if error.expired:
            raise OperationError(
                f"It did not end within {timeout:g} s; {left.percent:g} % is in force",
                remedy="Go on with 'ramp resume', and give it more time with --timeout",
            ) from None
        typer.echo(f"Interrupted; {left.percent:g} % is in force. Go on with 'ramp resume'.", err=True)
        raise typer.Exit(128 + error.number) from None
    show_ramp(ended, running=False, as_json=as_json, page=page)
    raise typer.Exit(0 if ended.phase is Phase.DONE else 1)


def _percent_at(config: Mapping[str, JsonValue], key: str) -> float:
    """The share that the stack's configuration has now."""
    first, *path = key.split(".")
    names = [name for name in config if name == first or name.partition(":")[2] == first]
    value: object = config[names[0]] if names else None
    for part in path:
        value = cast("Mapping[str, object]", value).get(part) if isinstance(value, Mapping) else None
    try:
        return float(Percent(float(cast("float", value))))
    except (TypeError, ValueError):
        raise ValidationError(
            field="--key",
            value=key,
            rule=f"must name a percentage in the stack's configuration, which has {value!r} there",
            remedy="Set it once with 'pulumi config set --path --type float KEY 0', or name another key",
        ) from None


def _steps(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ValidationError(
            field="--steps", value=text, rule="must be numbers of per cent", remedy="Write for example 1,5,25,50,100"
        ) from None


def _above_zero(value: float, option: str) -> float:
    if not 0 < value < math.inf:
        raise ValidationError(
            field=option,
            value=value,
            rule="must be above 0, or nothing is measured, and have an end",
            remedy="Use for example 20",
        )
    return value
