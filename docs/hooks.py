"""What the site has beside the files in this folder: the README, the changelog, commands and components."""

import posixpath
import re
from pathlib import Path
from types import FunctionType
from typing import Any, Final

from mkdocs.structure.files import File

import pulumi_traffic_mirror
from pulumi_traffic_mirror.cli.reference import reference

ROOT: Final = Path(__file__).resolve().parents[1]
GROUPS: Final = {
    "mirroring": "Mirrors",
    "mesh": "Mesh and gateways",
    "clusters": "Clusters",
    "workloads": "Workloads",
    "model": "Values",
}
"""Packages of the library, and what the page of components calls them."""


def on_config(config: Any) -> None:  # noqa: ANN401 -- called by mkdocs
    """List the decisions, which are only numbered."""
    background = next(part for part in config["nav"] if "Background" in part)
    background["Background"].append({"Decisions": decisions()})


def on_files(files: Any, config: Any) -> None:  # noqa: ANN401 -- called by mkdocs
    """Add the pages that no file in this folder holds."""
    pages = {
        "index.md": (ROOT / "README.md").read_text(encoding="utf-8"),
        "changelog.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
        "commands.md": reference(),
        "components.md": components(),
    }
    for name, content in pages.items():
        files.append(File.generated(config, name, content=content))


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:  # noqa: ANN401 -- called by mkdocs
    """Point links that leave this folder to the README's page, or to the repository."""
    del files
    own = page.file.src_uri
    # Generated pages of the checkout's root say docs/…, as they do there.
    here = "" if own in {"index.md", "changelog.md"} else posixpath.join("docs", posixpath.dirname(own))

    def moved(link: "re.Match[str]") -> str:
        target, _, anchor = link[2].partition("#")
        if not target or "://" in target:
            return link[0]
        path = posixpath.normpath(posixpath.join(here, target))
        anchor = f"#{anchor}" if anchor else ""
        if path in {"README.md", "CHANGELOG.md"}:
            path = {"README.md": "docs/index.md", "CHANGELOG.md": "docs/changelog.md"}[path]
        elif not path.startswith("docs/"):
            return f"{link[1]}({config['repo_url']}/blob/main/{path}{anchor})"
        if path == "docs/decisions":
            path = f"docs/{decisions()[0]}"
        return f"{link[1]}({posixpath.relpath(path, posixpath.join('docs', posixpath.dirname(own)))}{anchor})"

    return re.sub(r"(\[[^\]]*\])\(([^)\s]+)\)", moved, markdown)


def decisions() -> list[str]:
    """Pages of decisions, by number."""
    return [f"decisions/{file.name}" for file in sorted((ROOT / "docs" / "decisions").glob("*.md"))]


def components() -> str:
    """Every public name with its arguments, from its docstring; by package."""
    named: dict[str, list[str]] = {}
    for name in sorted(dir(pulumi_traffic_mirror)):
        found = getattr(pulumi_traffic_mirror, name)
        if isinstance(found, type | FunctionType):  # packages and constants describe themselves where they are used
            package = found.__module__.split(".")[1]
            named.setdefault(package, []).append(f"::: {found.__module__}.{name}\n")
    parts = [f"## {title}\n\n" + "\n".join(named[package]) for package, title in GROUPS.items()]
    return "# Components\n\nAll of them are imported from `pulumi_traffic_mirror`.\n\n" + "\n".join(parts)
