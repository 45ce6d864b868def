"""Deploys the two stacks of a rehearsal with a Pulumi engine."""

import json
from collections.abc import Callable, Mapping
from typing import Final

from ..model import JsonValue
from .engine import DeploymentEvent, Engine, EventKind
from .progress import Progress

SHOWN: Final = (EventKind.WARNING, EventKind.POLICY)
"""Events that are shown while a deployment runs; failures are part of its error."""

EXPECTED_WARNINGS: Final = (
    # The rehearsal leaves the mirror to testing out at first, on purpose.
    "crossCluster.absent",
    # Istio says so of every EnvoyFilter; what ours contain is tried by the rehearsal itself.
    "EnvoyFilter exposes internal implementation details",
)
"""Parts of warnings that tell nothing new about a rehearsal."""


class EngineDeployer:
    """The deployer of a :class:`.rehearse.Rehearsal`."""

    def __init__(self, engine: Engine, progress: Progress, cancel: Callable[[], None] | None = None) -> None:
        """Deploy with ``engine``.

        Args:
            engine: Does the work.
            progress: Shown warnings of deployments.
            cancel: Ends deployments that run in other threads; None ends the engine in order, which takes up to half
                a minute.
        """
        self._engine = engine
        self._progress = progress
        self._cancel = cancel or engine.close

    def configure(self, stack: str, config: Mapping[str, JsonValue], secrets: Mapping[str, JsonValue]) -> None:
        """Give a stack exactly this configuration, and start the engine's worker; no cluster is needed yet.

        Raises:
            EngineError: A secret cannot be stored.
        """
        self._engine.set_config(stack, config, secrets={name: json.dumps(value) for name, value in secrets.items()})

    def up(self, stack: str) -> Mapping[str, object]:
        """Deploy a stack as it is configured and return its outputs.

        Raises:
            EngineError: The deployment failed.
        """
        outcome = self._engine.up(stack, on_event=self._show)
        return {name: output.value for name, output in outcome.outputs.items()}

    def destroy(self, stack: str) -> None:
        """Remove everything that the stack deployed.

        Raises:
            EngineError: It failed; what is left is recorded.
        """
        self._engine.destroy(stack, on_event=self._show)

    def cancel(self) -> None:
        """End deployments that run in other threads."""
        self._cancel()

    def _show(self, event: DeploymentEvent) -> None:
        if event.kind in SHOWN and not any(part in event.message for part in EXPECTED_WARNINGS):
            where = f" {event.name}" if event.name else ""
            self._progress.note(f"{event.stack}{where}: {event.kind}: {event.message.strip()}")
