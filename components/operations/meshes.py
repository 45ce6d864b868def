"""What a cluster's own objects say of its mesh as a whole: its configuration, and the domain of its Services."""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, cast

import yaml

from ..model.routing import CLUSTER_DOMAIN
from ..model.rules import Finding, Node, NotJudgedError
from ..yamlreading import UNREADABLE

CONFIGURATION: Final = "istio"
"""Name of the ConfigMap that holds a mesh's configuration; those of revisions, ``istio-<revision>``, sort behind it."""


def mesh_config(objects: Iterable[Mapping[str, object]], root_namespace: str) -> Mapping[str, object]:
    """The configuration of the mesh; empty where it is not at hand or cannot be read: istiod then takes its defaults.

    Args:
        objects: Objects of a cluster.
        root_namespace: Istio's root namespace.
    """
    found: dict[str, str] = {}
    for value in objects:
        with suppress(NotJudgedError):
            found |= _configuration(Node(value), root_namespace)
    if not found:
        return {}
    try:
        read: object = yaml.safe_load(found[min(found)])
    except UNREADABLE:
        return {}
    return cast("Mapping[str, object]", read) if isinstance(read, Mapping) else {}


def _configuration(node: Node, root_namespace: str) -> dict[str, str]:
    """The text of a mesh's configuration by the name of its ConfigMap; nothing for another object.

    Raises:
        NotJudgedError: Which ConfigMap it is, or what it holds, is not known yet.
    """
    if node["kind"].value != "ConfigMap" or node["metadata"]["namespace"].value != root_namespace:
        return {}
    name, text = node["metadata"]["name"].text(), node["data"]["mesh"].text()
    return {name: text} if text and (name == CONFIGURATION or name.startswith(f"{CONFIGURATION}-")) else {}


def domain_of(objects: Iterable[Mapping[str, object]]) -> str:
    """Domain of Services by the arguments of istiod's Deployment; Istio's default where it is not at hand."""
    for value in objects:
        node = Node(value)
        try:
            if node["kind"].value != "Deployment" or node["metadata"]["labels"]["app"].text() != "istiod":
                continue
            for container in node.at("spec", "template", "spec")["containers"].elements():
                words = [word for each in container["args"].texts() for word in each.split("=", 1)]
                if "--domain" in words[:-1]:
                    return words[words.index("--domain") + 1]
        except NotJudgedError:
            continue
    return CLUSTER_DOMAIN


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
        if self.name == CLUSTER_DOMAIN or ".svc." not in text:
            return text
        other = {CLUSTER_DOMAIN: self.name, self.name: CLUSTER_DOMAIN}
        pattern = r"\.svc\.(" + "|".join(map(re.escape, other)) + r")(?![\w-]|\.\w)"
        return re.sub(pattern, lambda found: f".svc.{other[found[1]]}", text)

    def finding(self, finding: Finding) -> Finding:
        """A finding about objects that were read so, in the words of whoever wrote them."""
        mend = tuple(replace(edit, value=self.said(edit.value)) for edit in finding.mend)
        return replace(finding, message=self.said(finding.message), remedy=self.said(finding.remedy), mend=mend)
