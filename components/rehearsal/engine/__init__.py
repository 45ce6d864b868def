"""Runs the stacks of a Pulumi project for real: a stock Pulumi where there is one, else what was built here."""

from .client import Engine, in_use
from .errors import EngineError, ResourceFailure
from .installation import PROVIDER, Installation, ProgramMode, discover
from .results import DeploymentEvent, EventKind, Outcome, Output

__all__ = [
    "PROVIDER",
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
    "in_use",
]
