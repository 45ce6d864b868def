"""Builds istiod in memory, which no stage needs, installs Envoy, and says where both are."""

from ..places import cache_directory
from ..progress import PlainProgress
from .assemble import ensure_envoy
from .oracle import ensure_oracle

if __name__ == "__main__":
    print(ensure_envoy(cache_directory(), PlainProgress()))
    print(ensure_oracle(cache_directory(), PlainProgress()).program)
