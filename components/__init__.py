"""Traffic mirroring between clusters as Pulumi components.

In three lines: :class:`MirrorOverlay` puts typed mirrors on routing that exists, :class:`MirroredService` routes one
service itself and mirrors it, both in the cluster that owns the traffic; :class:`MirrorReceiver` accepts those mirrors
in another cluster. The other components create what these need.
"""

import sys
from importlib import import_module
from typing import Any, Final

_lazy: Final[Any] = import_module("lazy_loader")  # it has no types
_load, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    if "pulumi" in sys.modules and name in __all__:
        # Under the engine every refusal is a message without a traceback, of the model's values too.
        import_module(".refusal", __name__)
    found = _load(name)
    return import_module(".described", __name__).described(found) if isinstance(found, type) else found
