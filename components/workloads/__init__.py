"""Workloads: the greeter."""

from .greeter import Greeter, GreeterArgs

__all__ = ["Greeter", "GreeterArgs"]
