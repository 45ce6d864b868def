"""``traffic-mirror mcp`` by the SDK's own client, over standard input and output."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from mcp import Client, StdioServerParameters

from pulumi_traffic_mirror.cli.mcp import SKILL

pytestmark = pytest.mark.slow


def talk(ask: Callable[[Client], Awaitable[Any]], *words: str) -> Any:
    """What comes of a conversation with a server of its own."""

    async def conversation() -> Any:
        started = StdioServerParameters(command=sys.executable, args=["-m", "pulumi_traffic_mirror.cli", "mcp", *words])
        async with Client(started, read_timeout_seconds=60) as client:
            return await ask(client)

    return asyncio.run(conversation())


def called(name: str, *words: str, **arguments: Any) -> dict[str, Any]:
    async def ask(client: Client) -> Any:
        return await client.call_tool(name, arguments)

    result = talk(ask, *words)
    assert not result.is_error, result
    return json.loads(result.content[0].text)


def route(tmp_path: Path, percent: int) -> str:
    there = {"destination": {"host": "v1.shop.svc.cluster.local"}}
    mirror = {"destination": {"host": "v2.shop.svc.cluster.local"}, "percentage": {"value": percent}}
    virtual_service = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "shop", "namespace": "shop"},
        "spec": {"hosts": ["shop.example.com"], "http": [{"route": [there], "mirrors": [mirror]}]},
    }
    file = tmp_path / "route.yaml"
    file.write_text(yaml.safe_dump(virtual_service), encoding="utf-8")
    return str(file)


@pytest.mark.parametrize(("words", "more"), [((), set()), (("--allow-calls",), {"verify_with_calls"})])
def test_only_what_changes_nothing_is_offered_unless_calls_are_allowed(words: tuple[str, ...], more: set[str]) -> None:
    async def ask(client: Client) -> Any:
        return (await client.list_tools()).tools, client.instructions

    tools, instructions = talk(ask, *words)
    hints = {tool.name: tool.annotations.read_only_hint for tool in tools}
    assert hints == {"check": True, "what_if": True, "verify": True, **dict.fromkeys(more, False)}
    assert instructions == SKILL.read_text(encoding="utf-8")
    assert all(tool.description for tool in tools)


def test_a_mirror_without_guards_is_told_of(tmp_path: Path) -> None:
    answer = called("check", paths=[route(tmp_path, 100)], istio=["1.31.0"])
    assert answer["exit_code"] == 1
    assert any(finding["rule"] == "mirror-no-brakes" for finding in answer["result"]["findings"]), answer


def test_bad_input_is_said_and_never_taken_for_an_option(tmp_path: Path) -> None:
    file = route(tmp_path, 100)
    before = Path(file).read_text(encoding="utf-8")
    answer = called("check", paths=["--fix", file])
    assert (answer["exit_code"], answer["result"]) == (2, None)
    assert "--fix" in answer["said"]
    assert Path(file).read_text(encoding="utf-8") == before


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("verify", {"staging": "/nowhere"}),
        ("what_if", {"after": ["/nowhere"], "recording": "/nowhere"}),  # for want of an Envoy before all else
    ],
)
def test_what_cannot_be_told_is_said_with_a_remedy(tool: str, arguments: dict[str, Any]) -> None:
    answer = called(tool, **arguments)
    assert (answer["exit_code"], answer["result"]) == (2, None)
    assert answer["said"].startswith("traffic-mirror: ")


@pytest.mark.parametrize(("release", "judged"), [("1.31.0", True), ("1.28.3-asm.4", False)])
def test_a_managed_mesh_can_be_declared(tmp_path: Path, release: str, judged: bool) -> None:
    policy = {"cluster": "outbound|80||v2.shop.svc.cluster.local"}
    value = {"route": {"request_mirror_policies": [policy]}}
    patch = {"applyTo": "HTTP_ROUTE", "patch": {"operation": "MERGE", "value": value}}
    written = {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": {"name": "shop", "namespace": "istio-system"},
        "spec": {"configPatches": [patch]},
    }
    file = tmp_path / "filter.yaml"
    file.write_text(yaml.safe_dump(written), encoding="utf-8")
    found = called("check", paths=[str(file)], istio=[release])["result"]["findings"]
    assert {"overlay-unaimed", "envoy-filter-too-new"} & {each["rule"] for each in found} == (
        {"overlay-unaimed"} if judged else {"envoy-filter-too-new"}
    )


@pytest.mark.parametrize("tool", ["verify", "verify_with_calls"])
def test_a_wrong_release_is_refused_by_verify_too(tool: str) -> None:
    answer = called(tool, "--allow-calls", staging="/nowhere", path="/api", istio=["nobody=1.31.0"])
    assert answer["exit_code"] == 2
    assert "--istio" in answer["said"]


def test_calls_are_refused_where_they_are_not_allowed() -> None:
    async def ask(client: Client) -> Any:
        return await client.call_tool("verify_with_calls", {"staging": "/nowhere"})

    refused = talk(ask)
    assert refused.is_error
    assert "verify_with_calls" in refused.content[0].text
