"""Runs the stacks of a Pulumi project for real: a stock Pulumi where there is one, else our own CLI and stand-in."""

from .client import Engine
from .errors import EngineError, ResourceFailure
from .installation import Installation, ProgramMode, discover
from .results import DeploymentEvent, EventKind, Outcome, Output

__all__ = [
    "DeploymentEvent",
    "Engine",
    "EngineError",
    "EventKind",
    "Installation",
    "Outcome",
    "Output",
    "ProgramMode",
    "ResourceFailure",
    "discover",
]
