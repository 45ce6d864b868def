"""The programs of the stage: built once from module and package registries, cached outside the checkout."""

from .assemble import Toolchain, ensure_toolchain, missing_parts, usual_build_seconds
from .golang import machine_go
from .recipes import ISTIO_HUB, ISTIO_VERSION

__all__ = [
    "ISTIO_HUB",
    "ISTIO_VERSION",
    "Toolchain",
    "ensure_toolchain",
    "machine_go",
    "missing_parts",
    "usual_build_seconds",
]
