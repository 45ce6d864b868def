"""Deploys the test program in a process of its own, so that a test can interrupt or kill it."""

import json
import sys
from pathlib import Path

from pulumi_traffic_mirror.rehearsal.engine import DeploymentEvent, Engine, EngineError, discover


def main(settings: dict[str, str]) -> int:
    """Run one `up`; one line on standard output for each event."""

    def show(event: DeploymentEvent) -> None:
        sys.stdout.write(f"{event.kind} {event.name} {event.message}\n")
        sys.stdout.flush()

    installation = discover(Path(settings["cli"]), Path(settings["provider"]), {"PATH": "/usr/bin:/bin"})
    with Engine(Path(settings["project"]), Path(settings["state"]), installation) as engine:
        engine.set_config("dev", json.loads(settings["config"]))
        try:
            engine.up("dev", on_event=show)
        except EngineError as error:
            sys.stdout.write(f"failed {error}\n")
            return 1
        except KeyboardInterrupt:
            sys.stdout.write("interrupted\n")
            return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.stdin.readline())))
