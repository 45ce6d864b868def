"""Where a recorder keeps its files."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias, cast
from urllib.parse import SplitResult, parse_qsl, urlsplit

from .checks import whole
from .errors import ValidationError
from .values import DnsLabel

OBJECT_SCHEMES: Final = ("gs", "s3", "abfss")
"""Object storage that Arrow speaks by itself, so that the image needs no further package."""

_SECRET: Final = re.compile(r"key|token|sig|secret|password", re.IGNORECASE)
_ANNOTATION: Final = re.compile(r"([a-z0-9.-]+/)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


@dataclass(frozen=True, kw_only=True)
class ScratchStorage:
    """The node's disk, for as long as the pod lives: for a look at traffic, not for keeping it.

    Attributes:
        size_gib: What it may take, 1 to 1,024 GiB; the oldest files go first.

    Raises:
        ValidationError: The size is out of its range.
    """

    size_gib: int = 4

    def __post_init__(self) -> None:
        whole(self.size_gib, "storage.size_gib", 1, 1024)


@dataclass(frozen=True, kw_only=True)
class VolumeStorage:
    """A PersistentVolume that outlives the pod.

    Attributes:
        size_gib: Its size, 1 to 65,536 GiB; the oldest files go first.
        storage_class: Kind of the volume; empty for the cluster's default.

    Raises:
        ValidationError: The size is out of its range, or the name is malformed.
    """

    size_gib: int = 20
    storage_class: str = ""

    def __post_init__(self) -> None:
        whole(self.size_gib, "storage.size_gib", 1, 65_536)
        if self.storage_class:
            DnsLabel(self.storage_class, field="storage.storage_class")


@dataclass(frozen=True, kw_only=True)
class ObjectStorage:
    """A bucket. How long recordings stay is the bucket's own rule.

    Attributes:
        url: ``gs://bucket/prefix``, ``s3://bucket/prefix`` or ``abfss://…``, without credentials.
        account_annotations: What ties the recorder's ServiceAccount to an account of the cloud that may write there,
            e.g. ``{"iam.gke.io/gcp-service-account": "recorder@project.iam.gserviceaccount.com"}`` on GKE or
            ``{"eks.amazonaws.com/role-arn": "…"}`` on EKS. Empty where the bucket trusts the ServiceAccount itself.

    Raises:
        ValidationError: The URL is no bucket's, or carries credentials.
    """

    url: str
    account_annotations: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        check_bucket(self.url, field="storage.url")
        object.__setattr__(
            self,
            "account_annotations",
            check_annotations(self.account_annotations, field="storage.account_annotations"),
        )


def check_bucket(url: str, *, field: str) -> None:
    """Refuse what is no bucket's URL.

    Args:
        url: As :attr:`ObjectStorage.url`.
        field: Path of ``url`` in an error.

    Raises:
        ValidationError: It is none, or carries credentials.
    """
    parts = _split(url)
    # An abfss URL names the container before the @; nothing else may stand there, least of all a key.
    user, _, _ = parts.netloc.rpartition("@")
    secrets = any(_SECRET.search(name) for name, _ in parse_qsl(parts.query, keep_blank_values=True))
    if secrets or ":" in user or (user and parts.scheme != "abfss"):
        raise ValidationError(
            field=field,
            value=f"{parts.scheme}://(credentials)",
            rule="must not carry credentials",
            remedy="Tie the ServiceAccount to an account of the cloud with account_annotations",
        )
    if parts.scheme not in OBJECT_SCHEMES or not parts.netloc:
        raise ValidationError(
            field=field,
            value=url,
            rule=f"must be the URL of a bucket, with one of {', '.join(OBJECT_SCHEMES)}",
            remedy="Write for example 'gs://bucket/recordings'",
        )


def _split(url: object) -> SplitResult:
    try:
        return urlsplit(url) if isinstance(url, str) else urlsplit("")
    except ValueError:  # for example brackets without an address in them
        return urlsplit("")


def check_annotations(given: object, *, field: str) -> dict[str, str]:
    """Return annotations of a ServiceAccount.

    Args:
        given: As :attr:`ObjectStorage.account_annotations`.
        field: Path of ``given`` in an error.

    Raises:
        ValidationError: They are no texts by name.
    """
    if not isinstance(given, Mapping):
        raise ValidationError(
            field=field, value=given, rule="must be texts by name", remedy="Write {'name': 'value'}, or leave it out"
        )
    for name, value in cast("Mapping[object, object]", given).items():
        if not isinstance(name, str) or not _ANNOTATION.fullmatch(name):
            raise ValidationError(
                field=f"{field}[{name!r}]",
                value=name,
                rule="must be the name of an annotation",
                remedy="Write for example 'iam.gke.io/gcp-service-account'",
            )
        if not isinstance(value, str):
            raise ValidationError(
                field=f"{field}[{name!r}]", value=value, rule="must be a text", remedy="Write it in quotes"
            )
    return dict(cast("Mapping[str, str]", given))


Storage: TypeAlias = ScratchStorage | VolumeStorage | ObjectStorage
