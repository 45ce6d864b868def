"""Serves the components to the engine, for programs in any language."""

from facade import COMPONENTS
from foundation import NAME
from pulumi.provider.experimental import component_provider_host

if __name__ == "__main__":
    component_provider_host(components=list(COMPONENTS), name=NAME)
