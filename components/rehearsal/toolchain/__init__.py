"""The programs of the stage: built once from module and package registries, cached outside the checkout."""

from .assemble import Toolchain, ensure_toolchain

__all__ = ["Toolchain", "ensure_toolchain"]
