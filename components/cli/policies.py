"""``traffic-mirror policies``: what the policy pack judges, and where it lies."""

import json
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from ..model import ValidationError
from .console import open_console

PACK: Final = "pulumi_traffic_mirror_policies"

EPILOG: Final = """\
Example, in a pipeline that has run pip install 'pulumi-traffic-mirror[cli,policy]': "traffic-mirror policies --path"
prints the folder that "pulumi preview --policy-pack" takes."""

HELP: Final = "List the policies of the pack with their levels, or say where the pack lies."


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("policies", help=HELP, epilog=EPILOG)(policies)


def policies(
    *,
    path: Annotated[bool, typer.Option("--path", help="Print the pack's folder and nothing else.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Print the policies, or the folder."""
    folder = pack_folder()
    if path:
        typer.echo(json.dumps({"path": str(folder)}) if as_json else str(folder))
        return
    pack: Any = import_module(f"{PACK}.pack")
    levels: Any = import_module(f"{PACK}.adaptors").LEVELS
    listed = [
        {"name": rule.id, "level": levels[rule.severity].value, "title": rule.title} for rule in pack.every_rule()
    ]
    if as_json:
        typer.echo(json.dumps({"path": str(folder), "policies": listed}))
        return
    table = Table("policy", "level", "what must hold", box=None, pad_edge=False)
    for policy in listed:
        table.add_row(policy["name"], policy["level"], policy["title"])
    console = open_console()
    console.print(table)
    console.print(f"\nThe pack lies in {folder}", markup=False, highlight=False, soft_wrap=True)


def pack_folder() -> Path:
    """Return the folder of the policy pack.

    Raises:
        ValidationError: The pack cannot run, because its extra is not installed.
    """
    found = find_spec(PACK)
    if found is None or not found.submodule_search_locations or find_spec("pulumi_policy") is None:
        raise ValidationError(
            field="policies",
            value=None,
            rule="need the extra policy of the package, which is not installed here",
            remedy="Run pip install 'pulumi-traffic-mirror[policy]'",
        )
    return Path(found.submodule_search_locations[0])
