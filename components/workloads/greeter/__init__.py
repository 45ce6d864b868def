"""The sample service: a gRPC hello-world that says who answered and logs what arrived."""

from .component import Greeter, GreeterArgs

__all__ = ["Greeter", "GreeterArgs"]
