"""What files hold that nobody can judge as it is: templates, trees to be built, objects of other tools."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from ..model.rules import ROUTES, UNKNOWN, Node

CHART: Final = "Chart.yaml"
TEMPLATES: Final = "templates"
KUSTOMIZE: Final = "kustomize.config.k8s.io"
KUSTOMIZATIONS: Final = ("kustomization.yaml", "kustomization.yml")

PATCHES: Final = ("patches", "patchesStrategicMerge", "patchesJson6902")
CHANGES: Final = (
    *("commonAnnotations", "commonLabels", "components", "generators", "helmCharts", "labels"),
    *("namePrefix", "nameSuffix", "namespace", "replacements", "replicas", "transformers", "vars"),
)
"""What of a kustomization makes other objects than its files hold, beside patches.

Source: https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/
"""

PLACEHOLDER: Final = re.compile(r"\$\{[A-Za-z_][^{}]*\}|\{\{.*?\}\}")
"""What envsubst, Flux, Helm and their like fill in."""

_DEFAULT: Final = re.compile(r"(?<=\w)[:=?+-].*(?=\})|\s*\|.*(?=\}\})|\"[^\"]*\"")
"""What a placeholder has beside a name."""

OWN_LANGUAGE: Final = frozenset({"annotations", "containers", "initContainers", "inlineCode", "inline_code"})
"""Parts of objects that have such expressions of their own: shell commands, programs in Lua."""

JUDGED: Final = "Istio's VirtualServices, and HTTPRoutes and GRPCRoutes of Istio's gateways, are judged"


@dataclass(frozen=True, kw_only=True, order=True)
class Unread:
    """Something that is not judged.

    Attributes:
        file: Where it is.
        line: Its line, from 1.
        message: What it is, as a sentence without a full stop.
        remedy: What to do, as an imperative sentence without a full stop.
    """

    file: str
    line: int
    message: str
    remedy: str


def failed_preview(file: str) -> Unread:
    """That a preview ended with an error, after which the engine looks at nothing more."""
    return Unread(
        file=file,
        line=1,
        message="the preview ended with an error, so it does not tell everything",
        remedy="Mend what its diagnostics say, e.g. with `pulumi preview`, and give the new one",
    )


def repeated_key(file: str, line: int, key: str) -> Unread:
    """That a mapping has a key twice."""
    return Unread(
        file=file,
        line=line,
        message=f"{key} is given a second time, and what stands before is not judged",
        remedy="Keep one: some tools take the last, others refuse the file",
    )


def chart_of(file: Path) -> Path | None:
    """Folder of the Helm chart that a file is a part of; None when it is of none."""
    if file.name == CHART:
        return file.parent
    for folder in file.parents:
        if (folder / CHART).is_file():
            return folder if file.parent == folder or TEMPLATES in file.relative_to(folder).parts else None
    return None


def chart(folder: Path) -> Unread:
    """That a chart is not rendered."""
    return Unread(
        file=str(folder / CHART),
        line=1,
        message="its templates are not judged as they are",
        remedy=f"Render the chart and give the result: helm template {folder} > rendered.yaml",
    )


def kustomization(file: str, document: Mapping[str, object]) -> tuple[Unread | None, set[Path]]:
    """That a kustomization changes what its files hold, and the files that are patches and no objects."""
    path, root = Path(file), Node(document)
    group = str(root["apiVersion"].value).partition("/")[0]
    if group != KUSTOMIZE and path.name not in KUSTOMIZATIONS:
        return None, set()
    changes = [key for key in (*PATCHES, *CHANGES) if root[key].given]
    if not changes:
        return None, set()
    lists = _known(root[key] for key in PATCHES)
    patches = _known(each for listed in lists for each in listed.elements())
    named = [each.text() or each["path"].value for each in patches]
    said = Unread(
        file=file,
        line=1,
        message=f"its {', '.join(changes)} change what the files hold; they are judged without",
        remedy=f"Build it and give the result: kustomize build {path.parent} > built.yaml",
    )
    return said, {
        (path.parent / name).resolve() for name in named if isinstance(name, str) and name and "\n" not in name
    }


def _known(nodes: Iterable[Node]) -> Iterator[Node]:
    return (each for each in nodes if each.value is not UNKNOWN)


def filled(value: object, found: list[str]) -> object:
    """A value with UNKNOWN for each text that is yet to be filled in; what stands for it is added to ``found``."""
    if isinstance(value, str):
        if placeholder := PLACEHOLDER.search(value):
            found.append(placeholder[0])
            return UNKNOWN
        return value
    if isinstance(value, dict):
        entries = cast("dict[object, object]", value)
        return {key: each if key in OWN_LANGUAGE else filled(each, found) for key, each in entries.items()}
    if isinstance(value, list):
        return [filled(each, found) for each in cast("list[object]", value)]
    return value


def placeholders(file: str, text: str, found: Sequence[str]) -> Unread:
    """That values of a file are yet to be filled in; a default that a placeholder has may be a secret."""
    lines = [(number, each.partition(" #")[0]) for number, each in enumerate(text.split("\n"), 1)]
    line = next((number for number, each in lines if found[0] in each and not each.startswith("#")), 1)
    first = _DEFAULT.sub("", found[0])
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return Unread(
        file=file,
        line=line,
        message=f"{first}{more} {'are' if more else 'is'} yet to be filled in",
        remedy="Render it first and give the result, e.g. with envsubst, kustomize build or helm template",
    )


def of_others(value: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Field and words of each thing that mirrors for another tool's data plane.

    Raises:
        NotJudgedError: A value is not known yet that decides it.
    """
    root = Node(value)
    kind, group = root["kind"].text(), root["apiVersion"].text().partition("/")[0]
    spec = root["spec"]
    if (kind, group) == ("HTTPProxy", "projectcontour.io"):
        for service in (each for route in spec["routes"].elements() for each in route["services"].elements()):
            if service["mirror"].known is True:
                yield service.path, "a mirror of Contour"
    elif kind == "TraefikService" and spec["mirroring"].given:
        yield spec["mirroring"].path, "a mirror of Traefik"
    elif kind == "Ingress":
        for key, _ in root["metadata"]["annotations"].entries():
            if key == "nginx.ingress.kubernetes.io/mirror-target":
                yield "metadata.annotations", "a mirror of ingress-nginx"
    elif kind in ROUTES and any(_named(spec.known, "mirror", "mirrors", "requestMirror")):
        yield "apiVersion", f"a mirror in a {kind} of the API group {group}"


def _named(value: object, *names: str) -> Iterator[str]:
    """Which of some keys a value has anywhere."""
    if isinstance(value, Mapping):
        for key, each in cast("Mapping[str, object]", value).items():
            yield from ((key,) if key in names else _named(each, *names))
    elif isinstance(value, list):
        for each in cast("list[object]", value):
            yield from _named(each, *names)
