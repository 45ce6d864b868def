"""How much of everything to run."""

from enum import StrEnum, unique


@unique
class Size(StrEnum):
    """Redundancy and resource requests of the mesh's own pods."""

    PRODUCTION = "production"
    """At least two replicas on different nodes, autoscaled, with a PodDisruptionBudget and the charts' requests."""

    SMALL = "small"
    """One replica with small requests: for tests and one-node clusters."""


@unique
class ImagePullPolicy(StrEnum):
    """When the kubelet pulls an image; the values are Kubernetes'."""

    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"
