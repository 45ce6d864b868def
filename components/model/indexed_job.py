"""One part of a piece of work in each pod: a Kubernetes Indexed Job, which every cluster has since 1.29."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from .errors import ValidationError
from .jsontypes import JsonObject, JsonValue
from .recording import DIRECTORY
from .values import DnsLabel

NON_ROOT: Final = 65532
"""User and group of the images; by number, so that Kubernetes can check that it is not root."""

MAX_HOST_NAME: Final = 63
"""Pods are called like the Job and their index. Source: Kubernetes' validation of Indexed Jobs."""

NOT_TO_BE_TRIED_AGAIN: Final = (1, 2)
"""Exit codes that say what was found, or that the input is bad: trying again changes neither."""


SECRETS: Final = "/secrets"
"""Below it pods see the files of Secrets."""

_OWNER_AND_GROUP: Final = 0o440
"""Mode of these files: of root's, and of the group of the pods."""


@dataclass(frozen=True, kw_only=True)
class SecretFiles:
    """Files of a Secret, by reference: what is in them is in no manifest and in no argument.

    Attributes:
        name: What they are for; a folder below ``/secrets``.
        secret: Name of the Secret, in the Job's namespace.
        keys: Its keys, each of which is a file. A pod does not start while one is missing.

    Raises:
        ValidationError: The Secret's name is malformed.
    """

    name: str
    secret: str
    keys: Sequence[str]

    def __post_init__(self) -> None:
        DnsLabel(self.secret, field=f"secrets.{self.name}")

    def path(self, key: str) -> str:
        """Return where pods see a key."""
        return f"{SECRETS}/{self.name}/{key}"

    def volume(self) -> JsonObject:
        """Return the pods' volume."""
        items: list[JsonValue] = [{"key": key, "path": key} for key in self.keys]
        secret: JsonObject = {"secretName": self.secret, "defaultMode": _OWNER_AND_GROUP, "items": items}
        return {"name": self.name, "secret": secret}


@dataclass(frozen=True, kw_only=True)
class IndexedJob:
    """Parts of a piece of work, each in a pod of its own.

    Raises:
        ValidationError: A value breaks its rule.
    """

    name: str
    image: str
    """Whose entry point is ``traffic-mirror``."""
    words: Sequence[str]
    """The command's words; pods add their index by ``JOB_COMPLETION_INDEX``."""
    shards: int
    claim: str | None = None
    """Volume claim that pods see as ``/recordings``; on several nodes at once it needs the mode ReadWriteMany."""
    memory: str = "1Gi"
    """What a pod asks for, and may use."""
    retries: int = 6
    """How often a part is tried again whose pod or node was lost."""
    namespace: str | None = None
    """Where the Job is; ``None`` leaves that to whoever makes it."""
    account: str | None = None
    """ServiceAccount of the pods; ``None`` for the namespace's own. They get no token of it."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    """Labels of the Job and its pods."""
    secrets: Sequence[SecretFiles] = ()
    """Secrets whose files pods see."""

    def __post_init__(self) -> None:
        DnsLabel(self.name, field="job")
        if len(f"{self.name}-{self.shards - 1}") > MAX_HOST_NAME:
            raise ValidationError(
                field="job",
                value=self.name,
                rule=f"must have at most {MAX_HOST_NAME} characters with the number of the last part behind it",
                remedy="Shorten it",
            )
        if self.claim is not None:
            DnsLabel(self.claim, field="claim")
        if not self.image or any(sign.isspace() for sign in self.image):
            raise ValidationError(
                field="image",
                value=self.image,
                rule="must be the reference of an image",
                remedy="Write for example 'registry.example/traffic-mirror@sha256:…'",
            )

    def manifest(self) -> JsonObject:
        """Return the Job's manifest; its pods keep to the level ``restricted`` of the Pod Security Standards."""
        mounts: list[JsonObject] = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 -- an empty folder of the pod's own
        volumes: list[object] = [{"name": "tmp", "emptyDir": {}}]
        if self.claim is not None:
            mounts.append({"name": "recordings", "mountPath": DIRECTORY})
            volumes.append({"name": "recordings", "persistentVolumeClaim": {"claimName": self.claim}})
        for files in self.secrets:
            mounts.append({"name": files.name, "mountPath": f"{SECRETS}/{files.name}", "readOnly": True})
            volumes.append(files.volume())
        container = {
            "name": "part",
            "image": self.image,
            "args": list(self.words),
            "resources": {"requests": {"cpu": "1", "memory": self.memory}, "limits": {"memory": self.memory}},
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
            "volumeMounts": mounts,
        }
        pod = {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": NON_ROOT,
                "runAsGroup": NON_ROOT,
                "fsGroup": NON_ROOT,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            "volumes": volumes,
        }
        if self.account is not None:
            pod["serviceAccountName"] = self.account
        # A sidecar would outlive the part, and the Job would never end.
        template = {"metadata": {"labels": {**self.labels, "sidecar.istio.io/inject": "false"}}, "spec": pod}
        told = {"containerName": "part", "operator": "In", "values": list(NOT_TO_BE_TRIED_AGAIN)}
        spec = {
            "completionMode": "Indexed",
            "completions": self.shards,
            "parallelism": self.shards,
            "backoffLimitPerIndex": self.retries,
            "maxFailedIndexes": self.shards,
            "podFailurePolicy": {
                "rules": [
                    {"action": "FailIndex", "onExitCodes": told},
                    # A drained node or a preempted pod is no try.
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                ]
            },
            "template": template,
        }
        metadata: dict[str, object] = {"name": self.name}
        if self.namespace is not None:
            metadata["namespace"] = self.namespace
        if self.labels:
            metadata["labels"] = dict(self.labels)
        manifest = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}
        return cast("JsonObject", manifest)
