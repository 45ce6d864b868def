"""Rules on secrets that stand where everybody reads them, and on what every object should carry."""

import re
from collections.abc import Iterator
from typing import Final

from pulumi_traffic_mirror.model.rules import Node, NotJudgedError, Severity

from ..resources import KUBERNETES, Resource
from .registry import Fault, Judgement, OrganisationLimits, ResourceRule, fault, guarded, not_known
from .workloads import containers, is_workload

CREDENTIALS: Final = {
    "a private key": re.compile(r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"),
    "a Google API key": re.compile(r"\bAIza[0-9A-Za-z_-]{35}\b"),
    "an AWS access key": re.compile(r"\bA(?:KIA|SIA)[0-9A-Z]{16}\b"),
    "a GitHub token": re.compile(r"\b(?:gh[pousr]_[0-9A-Za-z]{36}|github_pat_[0-9A-Za-z_]{60,90})\b"),
    "a Slack token": re.compile(r"\bxox[abprs]-[0-9A-Za-z-]{10,80}\b"),
    "a bearer token": re.compile(r"\beyJ[0-9A-Za-z_-]{10,400}\.eyJ[0-9A-Za-z_-]{10,2000}\.[0-9A-Za-z_-]{10,}"),
    "a password in an address": re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@]{1,80}:[^\s/:@{}$]{3,200}@"),
}
"""Forms that nothing but a credential has. Source: the issuers' own documentation of their formats."""

TELLING_NAME: Final = re.compile(
    r"(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|CREDENTIALS?|CONNECTION_?STRING|_(?:PASS|PWD|DSN)"
    r"|(?:API|PRIVATE|ACCESS|SECRET|SIGNING|ENCRYPTION|ACCOUNT|MASTER|LICENSE)_?KEY)$",
    re.IGNORECASE,
)
"""Ends of names of environment variables that hold a secret by everybody's habit."""

HARMLESS: Final = ("", "true", "false")
"""Values that are no secret, whatever the name says, e.g. of ``REQUIRE_TOKEN``. Compared and not hashed: what stands
there may be a list."""

LONGEST_TEXT: Final = 1_000_000
"""Characters of one text that are looked at: more than the 1 MiB that an API server stores of an object is not
accepted anyway. Source: https://etcd.io/docs/latest/dev-guide/limit/."""


def _in_cluster(resource: Resource) -> bool:
    return resource.type.startswith(KUBERNETES) and resource.kind != "Secret"


def _in_clear(resource: Resource, limits: OrganisationLimits) -> Iterator[Judgement]:
    yield from _texts(resource, resource.props)
    if is_workload(resource):
        for container in containers(resource):
            yield from guarded(resource, _variables(resource, container))


def _texts(resource: Resource, root: Node) -> Iterator[Judgement]:
    """Look at every text, without recursion: objects may be nested deeper than Python's stack."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        try:
            known = node.known
        except NotJudgedError as unknown:
            yield not_known(resource, unknown.path)
            continue
        if isinstance(known, str):
            yield from _credential(resource, node, known[:LONGEST_TEXT])
        else:
            waiting += [inner for _, inner in node.entries()] + node.elements()


def _credential(resource: Resource, node: Node, text: str) -> Iterator[Fault]:
    for what, pattern in CREDENTIALS.items():
        if pattern.search(text):
            yield fault(resource, node, f"{what} stands in clear")


def _variables(resource: Resource, container: Node) -> Iterator[Fault]:
    for variable in container["env"].elements():
        value = variable["value"]
        if TELLING_NAME.search(variable["name"].text()) and value.given and value.value not in HARMLESS:
            yield fault(resource, value, f"the variable {variable['name'].text()} holds its value in clear")


def _has_labels(resource: Resource) -> bool:
    return bool(resource.kind) or resource.type == "gcp:container/cluster:Cluster"


def _labels(resource: Resource, limits: OrganisationLimits) -> Iterator[Judgement]:
    labels = resource.props["metadata"]["labels"] if resource.kind else resource.props["resourceLabels"]
    missing = [name for name in limits.labels if not labels[name].given]
    if missing:
        yield fault(resource, labels, f"labels are missing: {', '.join(missing)}")


def _is_provider(resource: Resource) -> bool:
    return resource.type == "pulumi:providers:kubernetes"


def _identity(resource: Resource, limits: OrganisationLimits) -> Iterator[Judgement]:
    identity = resource.props["clusterIdentifier"]
    if not identity.given:
        yield fault(resource, identity, "a new certificate or token counts as another cluster")


RULES: Final = (
    ResourceRule(
        id="secret-in-clear",
        title="Secrets stand in Secrets only",
        severity=Severity.ERROR,
        why="Whoever may read objects, which in most clusters is everybody who works there, reads the credential.",
        source="https://kubernetes.io/docs/concepts/security/secrets-good-practices/",
        remedy="Put the value into a Secret and refer to it, and replace the credential: it has been written down",
        applies=_in_cluster,
        check=_in_clear,
    ),
    ResourceRule(
        id="required-labels",
        settings=("labels",),
        title="Objects carry the organisation's labels",
        severity=Severity.WARNING,
        why="Costs, owners and clean-ups are found by labels.",
        source="Set by the organisation; off by default.",
        remedy="Add the labels, most easily with a transform of the program",
        applies=_has_labels,
        check=_labels,
    ),
    ResourceRule(
        id="provider-cluster-identifier",
        title="Kubernetes providers name their cluster",
        severity=Severity.WARNING,
        why="Without it a changed kubeconfig may replace the provider and with it everything in the cluster.",
        source="https://www.pulumi.com/registry/packages/kubernetes/api-docs/provider/",
        remedy="Set clusterIdentifier to what stays the same for as long as it is the same cluster",
        applies=_is_provider,
        check=_identity,
    ),
)
