"""GKE clusters that pass a security review as they come."""

from importlib import import_module
from typing import Any, Final

_lazy: Final[Any] = import_module("lazy_loader")  # it has no types
_load, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    try:
        return _load(name)
    except ModuleNotFoundError as missing:
        if missing.name != "pulumi_gcp":
            raise
        raise ModuleNotFoundError(
            f"{name} needs Google's provider: pip install 'pulumi-traffic-mirror[gke]'", name=missing.name
        ) from None
