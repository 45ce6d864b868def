"""``traffic-mirror mcp``: check, what-if and verify for agents, over the Model Context Protocol."""

import asyncio
import json
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final

import typer

SKILL: Final = Path(__file__).parent / "SKILL.md"
"""What an agent has to know; the server hands it out as its instructions."""

EPILOG: Final = """\
Example: an agent starts "traffic-mirror mcp" and speaks to it by its standard input and output.
"traffic-mirror mcp --skill" prints what a skill file for agents has to say."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("mcp", epilog=EPILOG)(command)


def command(
    *,
    allow_calls: Annotated[
        bool, typer.Option("--allow-calls", help="Offer verify with calls of its own, which the primary answers.")
    ] = False,
    skill: Annotated[bool, typer.Option("--skill", help="Print the skill file, and exit.")] = False,
) -> None:
    """Serve check, what-if and verify to an agent, on standard input and output, until it hangs up.

    Each tool runs the command of its name as this user, with this user's rights; none changes anything, and without
    --allow-calls none makes a call that the mesh would route.
    """
    if skill:
        typer.echo(SKILL.read_text(encoding="utf-8"), nl=False)
        return
    server(allow_calls=allow_calls).run("stdio")


def server(*, allow_calls: bool) -> Any:  # noqa: ANN401 -- the SDK is an extra
    """The server with its tools."""
    sdk, types = import_module("mcp.server.mcpserver"), import_module("mcp.types")
    made = sdk.MCPServer("traffic-mirror", instructions=SKILL.read_text(encoding="utf-8"), log_level="WARNING")
    hints = types.ToolAnnotations(read_only_hint=True, open_world_hint=True)
    for tool in (check, what_if, verify):
        made.add_tool(tool, annotations=hints)
    if allow_calls:
        calling = types.ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=True)
        made.add_tool(verify_with_calls, annotations=calling)
    return made


async def check(
    paths: list[str] | None = None,
    contexts: list[str] | None = None,
    kubeconfig: str = "",
    istio: list[str] | None = None,
) -> dict[str, Any]:
    """Say what is wrong with mirrors in files (YAML, JSON, Pulumi previews or exports) or in live clusters.

    Args:
        paths: Files or folders of one cluster.
        contexts: Live clusters by kubeconfig context, each "CONTEXT" or "NAME=CONTEXT".
        kubeconfig: File with the contexts; empty for the usual one.
        istio: Releases of istiod, each "VERSION" or "NAME=VERSION", e.g. "1.31.0"; "1.28.3-asm.4" is managed Cloud
            Service Mesh, which applies few EnvoyFilters. Empty where the objects tell.
    """
    named = [*_each("--context", contexts), *_given("--kubeconfig", kubeconfig), *_each("--istio", istio)]
    return await run("check", *named, "--", *(paths or []))


async def what_if(
    after: list[str],
    recording: str,
    before: list[str] | None = None,
    kubeconfig: str = "",
    timeout_seconds: float = 600,
) -> dict[str, Any]:
    """Tell what a change of the mesh would do to recorded requests, before it is deployed; sends them nowhere.

    Args:
        after: State after: files, folders, previews, or "context:NAME" for a live cluster.
        recording: Folder or bucket with recorded requests.
        before: State before, of the same forms; without it, what mirrors would copy.
        kubeconfig: File with the contexts; empty for the usual one.
        timeout_seconds: When to give up.
    """
    states = [*_each("--after", after), *_each("--before", before), *_given("--kubeconfig", kubeconfig)]
    return await run("what-if", *states, f"--recording={recording}", f"--timeout={timeout_seconds}")


async def verify(
    *,
    staging: str,
    testing: list[str] | None = None,
    host: str = "",
    path: str = "",
    watch_seconds: float = 30,
    istio: list[str] | None = None,
) -> dict[str, Any]:
    """Tell from the traffic that flows anyway whether copies arrive, and if not, why. Makes no call of its own.

    Args:
        staging: Kubeconfig of the cluster that owns the traffic.
        testing: Kubeconfigs of clusters that get copies, each "FILE" or "NAME=FILE".
        host: Host of the mirrored route; needed when several are mirrored.
        path: Path of a GET that a mirror of HTTP takes; empty for the sample gRPC service.
        watch_seconds: How long to watch, above 0.
        istio: Releases of istiod as for check, of "staging" and of the names in testing; empty where clusters tell.
    """
    how = [f"--watch={watch_seconds}", f"--timeout={watch_seconds + 120}", *_given("--path", path)]
    return await _verify(staging, testing, host, *how, *_each("--istio", istio))


async def verify_with_calls(
    *,
    staging: str,
    testing: list[str] | None = None,
    host: str = "",
    path: str = "",
    calls: int = 100,
    istio: list[str] | None = None,
) -> dict[str, Any]:
    """Tell whether copies arrive by making calls, which the primary answers and mirrors get copies of.

    Args:
        staging: Kubeconfig of the cluster that owns the traffic.
        testing: Kubeconfigs of clusters that get copies, each "FILE" or "NAME=FILE".
        host: Host of the mirrored route; needed when several are mirrored.
        path: Path to GET; empty for calls of the sample gRPC service.
        calls: How many.
        istio: Releases of istiod as for check, of "staging" and of the names in testing; empty where clusters tell.
    """
    how = [f"--calls={calls}", *_given("--path", path), *_each("--istio", istio)]
    return await _verify(staging, testing, host, *how)


async def _verify(staging: str, testing: list[str] | None, host: str, *how: str) -> dict[str, Any]:
    where = [f"--staging={staging}", *_each("--testing", testing), *_given("--host", host)]
    return await run("verify", *where, *how)


def _given(option: str, value: str) -> list[str]:
    return [f"{option}={value}"] if value else []


def _each(option: str, values: Sequence[str] | None) -> list[str]:
    return [f"{option}={value}" for value in values or []]


async def run(name: str, *words: str) -> dict[str, Any]:
    """Run a command, and return its exit code, its result and what it said beside it."""
    argv = (sys.executable, "-m", f"{__package__}", name, "--json", *words)
    pipe, none = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL  # standard input is the agent's
    process = await asyncio.create_subprocess_exec(*argv, stdin=none, stdout=pipe, stderr=pipe)
    try:
        printed, said = (text.decode(errors="replace") for text in await process.communicate())
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    try:
        result: Any = json.loads(printed)
    except ValueError:
        result = None
    return {"exit_code": process.returncode, "result": result, "said": said.strip()}
