"""Names that Google Cloud accepts. No Pulumi."""

import hashlib
import re
from collections.abc import Mapping
from typing import Final

from ..model import ValidationError

CLUSTER_NAME_LENGTH: Final = 40
"""Characters of a cluster's or node pool's name.
Source: https://cloud.google.com/kubernetes-engine/docs/reference/rest/v1/projects.locations.clusters."""

RESOURCE_NAME_LENGTH: Final = 63
"""Characters of names in Compute Engine, by RFC 1035. Source: https://cloud.google.com/compute/docs/naming-resources."""

ACCOUNT_ID_LENGTH: Final = 30
"""Characters of a service account's id. Source: https://cloud.google.com/iam/docs/service-accounts-create."""

AUTO_NAME_SUFFIX: Final = 8
"""A hyphen and seven hexadecimal digits, which Pulumi appends to a resource's logical name."""

CLUSTER_ROLE: Final = "cluster"
"""The longest of the roles whose physical name is limited to 40 characters."""

COMPONENT_NAME_LENGTH: Final = CLUSTER_NAME_LENGTH - AUTO_NAME_SUFFIX - len(f"-{CLUSTER_ROLE}")

_DIGEST_LENGTH: Final = 8
_NAME: Final = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_PROJECT: Final = re.compile(r"[a-z][-a-z0-9]{4,28}[a-z0-9]")
_LABEL_KEY: Final = re.compile(r"[a-z][-_a-z0-9]{0,62}")
_LABEL_VALUE: Final = re.compile(r"[-_a-z0-9]{0,63}")
_LABELS: Final = 64
"""Source of the four rules: https://cloud.google.com/resource-manager/docs/creating-managing-projects and
https://cloud.google.com/kubernetes-engine/docs/how-to/creating-managing-labels."""
_ADDED_LABELS: Final = 3
"""``managed-by`` and ``cluster-component``, and the provider's own ``goog-pulumi-provisioned``."""
_KEY: Final = re.compile(r"projects/[^/]+/locations/(?P<location>[^/]+)/keyRings/[^/]+/cryptoKeys/[^/]+")


def check_component_name(name: str) -> str:
    """Return the name of a GKE component if every Google Cloud name that is made of it is valid.

    Raises:
        ValidationError: It has other characters than Google Cloud allows, or is too long.
    """
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:  # pyright: ignore[reportUnnecessaryIsInstance] -- callers may be untyped
        raise ValidationError(
            field="name",
            value=name,
            rule="must start with a letter and consist of lower-case letters, digits and inner hyphens",
            remedy="Rename the component, e.g. to 'staging'",
        )
    if len(name) > COMPONENT_NAME_LENGTH:
        raise ValidationError(
            field="name",
            value=name,
            rule=(
                f"has {len(name)} characters, but only {COMPONENT_NAME_LENGTH} fit: a cluster's name may have "
                f"{CLUSTER_NAME_LENGTH}, of which '-{CLUSTER_ROLE}' takes {len(CLUSTER_ROLE) + 1} and Pulumi's suffix "
                f"{AUTO_NAME_SUFFIX}"
            ),
            remedy=f"Shorten it by {len(name) - COMPONENT_NAME_LENGTH}",
        )
    return name


def account_id(name: str, *, unique: str) -> str:
    """Make the id of a service account.

    Args:
        name: What a reader should recognise; a valid component name.
        unique: What makes it one of a kind in the project, e.g. project, stack and component together.

    Returns:
        An id of at most 30 characters: as much of the name as fits, and a digest of ``unique``.
    """
    digest = hashlib.sha256(unique.encode()).hexdigest()[:_DIGEST_LENGTH]
    prefix = name[: ACCOUNT_ID_LENGTH - _DIGEST_LENGTH - 1].rstrip("-")
    return f"{prefix}-{digest}"


def check_project(project: str, *, field: str = "project") -> str:
    """Return a Google Cloud project id.

    Raises:
        ValidationError: It is a project number, or no id at all.
    """
    if project.isdecimal():
        rule, remedy = "is a project number", "Give the project's id, see `gcloud projects list`"
    elif _PROJECT.fullmatch(project) is None:
        rule = "must have 6 to 30 lower-case letters, digits and inner hyphens and start with a letter"
        remedy = "Give the project's id, not its display name, see `gcloud projects list`"
    else:
        return project
    raise ValidationError(field=field, value=project, rule=rule, remedy=remedy)


def check_range_name(name: str, *, field: str) -> str:
    """Return the name of a secondary range of a subnetwork.

    Raises:
        ValidationError: Google Cloud knows no such name.
    """
    if len(name) <= RESOURCE_NAME_LENGTH and _NAME.fullmatch(name):
        return name
    raise ValidationError(
        field=field,
        value=name,
        rule=f"must have 1 to {RESOURCE_NAME_LENGTH} lower-case letters, digits and inner hyphens, the first a letter",
        remedy="Take it from `gcloud compute networks subnets describe`, field secondaryIpRanges",
    )


def check_labels(labels: Mapping[str, str], *, field: str = "labels") -> dict[str, str]:
    """Return a copy of labels that Google Cloud accepts.

    Raises:
        ValidationError: A key or value is not allowed, or there are too many.
    """
    if len(labels) > _LABELS - _ADDED_LABELS:
        raise ValidationError(
            field=field,
            value=len(labels),
            rule=f"may have {_LABELS - _ADDED_LABELS} entries at most: {_ADDED_LABELS} of {_LABELS} are set anyway",
            remedy="Remove some labels",
        )
    for key, value in labels.items():
        if _LABEL_KEY.fullmatch(key) is None or _LABEL_VALUE.fullmatch(value) is None:
            raise ValidationError(
                field=f"{field}[{key!r}]",
                value=value,
                rule="keys and values have up to 63 lower-case letters, digits, _ and -; keys start with a letter",
                remedy="Rename the label",
            )
    return dict(labels)


def check_key(key: str, *, region: str, field: str) -> str:
    """Return the name of a Cloud KMS key that a cluster of a region may use.

    Raises:
        ValidationError: It is no full key name, or the key is in another location.
    """
    match = _KEY.fullmatch(key)
    if match is None:
        raise ValidationError(
            field=field,
            value=key,
            rule="must be projects/<project>/locations/<location>/keyRings/<ring>/cryptoKeys/<key>",
            remedy="Give the key's full resource name",
        )
    if match["location"] != region:
        raise ValidationError(
            field=field, value=key, rule=f"must be a key in {region}, the cluster's region", remedy="Use another key"
        )
    return key
