"""Which Kubernetes an Istio release supports."""

from typing import Final

from ..model import IstioVersion, ValidationError

SUPPORTED_KUBERNETES: Final[dict[int, tuple[int, int]]] = {
    26: (29, 33),
    27: (29, 33),
    28: (30, 34),
    29: (31, 35),
    30: (32, 36),
    31: (32, 36),
}
"""Minor of Istio 1.x to the first and last minor of Kubernetes 1.x that it supports.
Source: istio.io/latest/docs/releases/supported-releases, "Support status of Istio releases", and the announcements of
1.30 and 1.31."""


def supported_table() -> str:
    """The table in one line, for messages."""
    return "; ".join(
        f"Istio 1.{istio}: Kubernetes 1.{first} to 1.{last}" for istio, (first, last) in SUPPORTED_KUBERNETES.items()
    )


def check_kubernetes(istio: IstioVersion, kubernetes: str, *, field: str = "kubernetes_version") -> None:
    """Refuse a pair of versions that Istio does not support.

    Args:
        istio: Version of the control plane.
        kubernetes: Version of the cluster as its API server tells it, e.g. ``"v1.35.3-gke.100"`` or ``"1.35"``.
        field: Path of ``kubernetes`` in an error.

    Raises:
        ValidationError: The text is no version, or the pair is not in the table.
    """
    version = IstioVersion.parse(kubernetes.removeprefix("v").split("+")[0], field=field)
    supported = SUPPORTED_KUBERNETES.get(istio.minor)
    if supported is None or version.major != 1 or not supported[0] <= version.minor <= supported[1]:
        raise ValidationError(
            field=field,
            value=kubernetes,
            rule=f"must be a version that Istio {istio.major}.{istio.minor} supports",
            remedy=f"Choose a supported pair ({supported_table()})",
        )
