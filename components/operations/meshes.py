"""What a cluster's own objects say of its mesh as a whole: its configuration, and the domain of its Services."""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, cast

import yaml

from ..model.routing import CLUSTER_DOMAIN
from ..model.rules import ROOT_NAMESPACE, Finding, Node, NotJudgedError
from ..yamlreading import UNREADABLE

CONFIGURATION: Final = "istio"
"""Name of the ConfigMap that holds a mesh's configuration; those of revisions, ``istio-<revision>``, sort behind it."""

DEFAULT_REVISION: Final = "default"
"""What istiod's Deployment has as label ``istio.io/rev`` where it has no revision. Source: Istio's chart ``istiod``."""


@dataclass(frozen=True, kw_only=True)
class MeshSettings:
    """What holds for a mesh as a whole.

    Attributes:
        root_namespace: Its root namespace.
        config: Its configuration; empty where it is not at hand or cannot be read: istiod then takes its defaults.
    """

    root_namespace: str
    config: Mapping[str, object]


def mesh_settings(objects: Iterable[Mapping[str, object]], root_namespace: str = "") -> MeshSettings:
    """What a cluster's objects say of their mesh.

    The configuration is a ConfigMap of the root namespace that is given, else one beside istiod, of ``istio-system``,
    or of the only namespace that has one.

    Args:
        objects: Objects of a cluster.
        root_namespace: Istio's root namespace; empty to read it from the configuration.
    """
    beside: list[str] = []
    found: dict[str, dict[str, str]] = {}
    for value in objects:
        node = Node(value)
        with suppress(NotJudgedError):
            if _is_istiod(node):
                beside.append(_namespace(node))
            elif node["kind"].value == "ConfigMap":
                name, text = node["metadata"]["name"].text(), node["data"]["mesh"].text()
                if text and name.partition("-")[0] == CONFIGURATION:
                    found.setdefault(_namespace(node), {})[name] = text
    places = (root_namespace, *beside, ROOT_NAMESPACE, *(found if len(found) == 1 else ()))
    texts = next((found[place] for place in places if place in found), None)
    config = _read(texts[min(texts)] if texts else "")
    said = config.get("rootNamespace")
    root = root_namespace or (said if isinstance(said, str) and said else ROOT_NAMESPACE)
    return MeshSettings(root_namespace=root, config=config)


def configuration_places(objects: Iterable[Mapping[str, object]], root_namespace: str = "") -> list[tuple[str, str]]:
    """Where a live cluster may have the configuration of its mesh: namespaces and names of ConfigMaps, by preference.

    Args:
        objects: Objects of the cluster.
        root_namespace: Istio's root namespace, if it is known.
    """
    places: list[tuple[str, str]] = []
    for value in objects:
        node = Node(value)
        if _is_istiod(node):
            revision = node["metadata"]["labels"]["istio.io/rev"].text(DEFAULT_REVISION)
            name = CONFIGURATION if revision == DEFAULT_REVISION else f"{CONFIGURATION}-{revision}"
            places.append((_namespace(node), name))
    places.sort(key=lambda place: (place[0] != root_namespace, place[1]))
    return [*dict.fromkeys((*places, (root_namespace or ROOT_NAMESPACE, CONFIGURATION)))]


def domain_of(objects: Iterable[Mapping[str, object]]) -> str:
    """Domain of Services by the arguments of istiod's Deployment; Istio's default where it is not at hand."""
    for value in objects:
        node = Node(value)
        with suppress(NotJudgedError):
            if not _is_istiod(node):
                continue
            for container in node.at("spec", "template", "spec")["containers"].elements():
                words = [word for each in container["args"].texts() for word in each.split("=", 1)]
                if "--domain" in words[:-1]:
                    return words[words.index("--domain") + 1]
    return CLUSTER_DOMAIN


def _is_istiod(node: Node) -> bool:
    """Whether an object is istiod's Deployment, as Istio's chart labels it.

    Raises:
        NotJudgedError: That is not known yet.
    """
    return node["kind"].value == "Deployment" and node["metadata"]["labels"]["app"].text() == "istiod"


def _namespace(node: Node) -> str:
    return node["metadata"]["namespace"].text("default")


def _read(text: str) -> Mapping[str, object]:
    """A configuration by its text; empty where it is none."""
    try:
        read: object = yaml.safe_load(text)
    except UNREADABLE:
        return {}
    return cast("Mapping[str, object]", read) if isinstance(read, Mapping) else {}


@dataclass(frozen=True)
class Domain:
    """The domain of a cluster's Services, where rules know :data:`CLUSTER_DOMAIN` only.

    Objects are read with both domains exchanged, and what rules say of them is exchanged back.

    Attributes:
        name: The domain.
    """

    name: str = CLUSTER_DOMAIN

    def read(self, value: object) -> object:
        """A value with both domains exchanged in every text."""
        if self.name == CLUSTER_DOMAIN:
            return value
        if isinstance(value, str):
            return self.said(value)
        if isinstance(value, dict):
            return {key: self.read(each) for key, each in cast("dict[object, object]", value).items()}
        return [self.read(each) for each in cast("list[object]", value)] if isinstance(value, list) else value

    def said(self, text: str) -> str:
        """A text with both domains exchanged."""
        if self.name == CLUSTER_DOMAIN or not (".svc." in text or "*." in text):
            return text
        pattern, other = self._exchanged
        return pattern.sub(lambda found: other[found[0]], text)

    @cached_property
    def _exchanged(self) -> tuple[re.Pattern[str], Mapping[str, str]]:
        """What is found in texts, and what stands there instead.

        ``*.local`` matches every Service of the one domain and no Service of the other, where a name that nobody can
        have (RFC 2606) stands for it.
        """
        pairs = [(f"{before}.{CLUSTER_DOMAIN}", f"{before}.{self.name}") for before in (".svc", "*")]
        if not self.name.endswith(".local"):
            pairs.append(("*.local", "*.local.invalid"))
        other = dict(pairs) | {second: first for first, second in pairs}
        return re.compile("(?:" + "|".join(map(re.escape, other)) + r")(?![\w-]|\.\w)"), other

    def finding(self, finding: Finding) -> Finding:
        """A finding about objects that were read so, in the words of whoever wrote them."""
        mend = tuple(replace(edit, value=self.said(edit.value)) for edit in finding.mend)
        return replace(finding, message=self.said(finding.message), remedy=self.said(finding.remedy), mend=mend)
