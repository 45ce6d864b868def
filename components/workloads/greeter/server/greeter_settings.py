"""What the greeter is told by its environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

MAX_PORT = 65535


class SettingError(ValueError):
    """An environment variable has a value that the greeter cannot use."""


@dataclass(frozen=True, kw_only=True)
class Faults:
    """Misbehaviour on purpose, so that a test can see what a bad mirror costs. All off by default."""

    delay_seconds: float = 0.0
    """Seconds that each call waits before its answer, >= 0. ``FAULT_DELAY_SECONDS``."""

    error_rate: float = 0.0
    """Share of calls answered UNAVAILABLE, 0 to 1; decided by the name, so equal calls share their fate.
    ``FAULT_ERROR_RATE``."""

    hang_rate: float = 0.0
    """Share of calls that are accepted and never answered, 0 to 1; decided like :attr:`error_rate`.
    ``FAULT_HANG_RATE``."""

    score_offset: int = 0
    """Added to the reply's ``score``: a difference that a comparison of versions must find.
    ``FAULT_SCORE_OFFSET``."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The greeter's settings; :meth:`from_environment` names the variables."""

    version: str = "v1"
    """Shown in every reply, so that a client knows who answered. ``VERSION``."""

    pod_name: str = ""
    """Name of the pod, from the downward API. ``PODNAME``."""

    pod_ip: str = ""
    """Address of the pod, from the downward API. ``PODIP``."""

    port: int = 8000
    """Port to listen on, all interfaces; 0 takes a free one, which the log then names. ``PORT``."""

    mark_header: str = "x-traffic-mirror"
    """Header whose value is logged: the mark that tells a mirror from a primary. ``MARK_HEADER``."""

    workers: int = 32
    """Calls that are served at the same time, >= 1; a stream holds one until it ends. ``WORKERS``."""

    faults: Faults = Faults()
    """Misbehaviour on purpose."""

    @staticmethod
    def from_environment(environment: Mapping[str, str] = os.environ) -> "Settings":
        """Read the settings.

        Args:
            environment: Variables by name.

        Raises:
            SettingError: A variable is not a number or out of its range.
        """
        default = Settings()
        return Settings(
            version=environment.get("VERSION", default.version),
            pod_name=environment.get("PODNAME", default.pod_name),
            pod_ip=environment.get("PODIP", default.pod_ip),
            port=int(_number(environment, "PORT", default.port, 0, MAX_PORT, whole=True)),
            mark_header=environment.get("MARK_HEADER", default.mark_header).lower(),
            workers=int(_number(environment, "WORKERS", default.workers, 1, 1024, whole=True)),
            faults=Faults(
                delay_seconds=_number(environment, "FAULT_DELAY_SECONDS", 0.0, 0.0, 3600.0),
                error_rate=_number(environment, "FAULT_ERROR_RATE", 0.0, 0.0, 1.0),
                hang_rate=_number(environment, "FAULT_HANG_RATE", 0.0, 0.0, 1.0),
                score_offset=int(_number(environment, "FAULT_SCORE_OFFSET", 0, -1000, 1000, whole=True)),
            ),
        )


def _number(
    environment: Mapping[str, str],
    name: str,
    default: float,
    least: float,
    most: float,
    *,
    whole: bool = False,
) -> float:
    """Return the variable as a number between ``least`` and ``most``."""
    text = environment.get(name, "")
    if not text:
        return default
    try:
        value = float(int(text) if whole else float(text))
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        kind = "a whole number" if whole else "a number"
        raise SettingError(f"{name} = {text!r}: must be {kind} between {least:g} and {most:g}")
    return value
