"""The programs of the stage: built once from module and package registries, cached outside the checkout."""

from .assemble import (
    Toolchain,
    ensure_envoy,
    ensure_toolchain,
    find_envoy,
    missing_parts,
    usual_build_seconds,
)
from .golang import machine_go
from .oracle import OracleFiles, ensure_oracle, find_oracle
from .recipes import ISTIO_HUB, ISTIO_VERSION

__all__ = [
    "ISTIO_HUB",
    "ISTIO_VERSION",
    "OracleFiles",
    "Toolchain",
    "ensure_envoy",
    "ensure_oracle",
    "ensure_toolchain",
    "find_envoy",
    "find_oracle",
    "machine_go",
    "missing_parts",
    "usual_build_seconds",
]
