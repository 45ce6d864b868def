"""What a cluster's own objects say of its mesh as a whole: its configuration, and the domain of its Services."""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final, cast

import yaml

from ..model.routing import CLUSTER_DOMAIN
from ..model.rules import ROOT_NAMESPACE, Finding, Node, NotJudgedError
from ..model.rules.control_plane import DEFAULT_REVISION, is_control_plane, revision_of
from ..yamlreading import UNREADABLE, ManifestLoader

CONFIGURATION: Final = "istio"
"""Name of the ConfigMap that holds a mesh's configuration; those of revisions, ``istio-<revision>``, sort behind it."""


@dataclass(frozen=True, kw_only=True)
class MeshSettings:
    """What holds for a mesh as a whole.

    Attributes:
        root_namespace: Its root namespace.
        config: Its configuration; empty where it is not at hand or cannot be read: istiod then takes its defaults.
        source: The ConfigMap that has it, as ``"ConfigMap namespace/name"``; empty where there is none.
        unread: What of it is not judged, in words; empty for nothing.
    """

    root_namespace: str
    config: Mapping[str, object] = field(default_factory=dict[str, object])
    source: str = ""
    unread: str = ""


def mesh_settings(objects: Iterable[Mapping[str, object]], root_namespace: str = "") -> MeshSettings:
    """What a cluster's objects say of their mesh.

    The configuration is the ConfigMap that istiod reads; where istiod is not at hand, one of the root namespace that is
    given, of ``istio-system``, or of the only namespace that has one.

    Args:
        objects: Objects of a cluster.
        root_namespace: Istio's root namespace; empty to read it from the configuration.
    """
    beside: list[tuple[str, str]] = []
    found: dict[tuple[str, str], str] = {}
    for value in objects:
        node = Node(value)
        with suppress(NotJudgedError):
            if is_control_plane(node):
                beside.append(_configuration_of(node))
            elif node["kind"].value == "ConfigMap":
                name, text = node["metadata"]["name"].text(), node["data"]["mesh"].text()
                if text and name.partition("-")[0] == CONFIGURATION:
                    found[_namespace(node), name] = text
    namespaces = {namespace for namespace, _ in found}
    likely = (root_namespace, ROOT_NAMESPACE, *(namespaces if len(namespaces) == 1 else ()))
    guessed = [place for namespace in likely for place in sorted(found) if place[0] == namespace]
    place = next((each for each in _preferred(beside, root_namespace) if each in found), None)
    place = place or (guessed[0] if guessed and not beside else None)
    if place is None:
        return MeshSettings(root_namespace=root_namespace or ROOT_NAMESPACE)
    config = _read(found[place])
    said = (config or {}).get("rootNamespace")
    return MeshSettings(
        root_namespace=root_namespace or (said if isinstance(said, str) and said else ROOT_NAMESPACE),
        config=config or {},
        source="ConfigMap {}/{}".format(*place),
        unread="its text, which is no configuration," if config is None else "",
    )


def configuration_places(objects: Iterable[Mapping[str, object]], root_namespace: str = "") -> list[tuple[str, str]]:
    """Where a live cluster may have the configuration of its mesh: namespaces and names of ConfigMaps, by preference.

    Args:
        objects: Objects of the cluster.
        root_namespace: Istio's root namespace, if it is known.
    """
    beside = [_configuration_of(node) for node in map(Node, objects) if is_control_plane(node)]
    return _preferred(beside, root_namespace) or [(root_namespace or ROOT_NAMESPACE, CONFIGURATION)]


def _configuration_of(istiod: Node) -> tuple[str, str]:
    """Namespace and name of the ConfigMap that a control plane reads."""
    revision = revision_of(istiod)
    name = CONFIGURATION if revision == DEFAULT_REVISION else f"{CONFIGURATION}-{revision}"
    return _namespace(istiod), name


def _preferred(places: Iterable[tuple[str, str]], root_namespace: str) -> list[tuple[str, str]]:
    return sorted(set(places), key=lambda place: (place[0] != root_namespace, place[1], place[0]))


def domain_of(objects: Iterable[Mapping[str, object]]) -> str:
    """Domain of Services by the arguments of istiod's Deployment; Istio's default where it is not at hand."""
    for value in objects:
        node = Node(value)
        with suppress(NotJudgedError):
            if not is_control_plane(node):
                continue
            for container in node.at("spec", "template", "spec")["containers"].elements():
                words = [word for each in container["args"].texts() for word in each.split("=", 1)]
                if "--domain" in words[:-1]:
                    return words[words.index("--domain") + 1]
    return CLUSTER_DOMAIN


def _namespace(node: Node) -> str:
    return node["metadata"]["namespace"].text("default")


def _read(text: str) -> Mapping[str, object] | None:
    """A configuration by its text, with fields by the names of JSON; None where it is none.

    istiod takes the names of protocol buffers as well, e.g. ``root_namespace``.
    """
    try:
        read: object = next(yaml.load_all(text, Loader=ManifestLoader), None)
    except UNREADABLE:
        return None
    if not isinstance(read, Mapping):
        return None
    entries = cast("Mapping[object, object]", read).items()
    return {re.sub("_([a-z])", lambda found: found[1].upper(), str(key)): value for key, value in entries}


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
        if self.name == CLUSTER_DOMAIN or "." not in text:
            return text
        pattern, other = self._exchanged
        return pattern.sub(lambda found: other[found[0]], text)

    @cached_property
    def _exchanged(self) -> tuple[re.Pattern[str], Mapping[str, str]]:
        """What names end with, and with what they end instead: of Services, and of others with such a domain.

        Names below ``local`` that are no Services of the one domain must be none of the other, and get an end that
        nobody can have (RFC 2606).
        """
        pairs = [(f".{CLUSTER_DOMAIN}", f".{self.name}")]
        if not f".{self.name}".endswith(".local"):
            pairs.append((".local", ".local.invalid"))
        other = dict(pairs) | {second: first for first, second in pairs}
        longest = sorted(other, key=len, reverse=True)
        return re.compile(r"(?<=[\w*])(?:" + "|".join(map(re.escape, longest)) + r")(?![\w-]|\.\w)"), other

    def finding(self, finding: Finding) -> Finding:
        """A finding about objects that were read so, in the words of whoever wrote them."""
        mend = tuple(replace(edit, value=self.said(edit.value)) for edit in finding.mend)
        return replace(finding, message=self.said(finding.message), remedy=self.said(finding.remedy), mend=mend)
