"""Programs of the tool chain that single commands need."""

import os
from pathlib import Path
from typing import Final

from ..operations.errors import OperationError
from ..operations.oracle import Oracle, in_container
from ..rehearsal.places import cache_directory
from ..rehearsal.toolchain import find_envoy, find_oracle

BUILD: Final = "python -m pulumi_traffic_mirror.rehearsal.toolchain"


def open_oracle(image: str = "") -> Oracle:
    """Return istiod in memory, started by its first question.

    Args:
        image: Image whose container is asked; empty for the program of the tool chain.

    Raises:
        OperationError: It is not built, or nothing runs containers.
    """
    if image:
        return Oracle(in_container(image), environment=os.environ)
    files = find_oracle(cache_directory())
    if files is None:
        raise OperationError("istiod in memory is not built", remedy=f"Build it once, in some minutes: {BUILD}")
    return Oracle(files.command)


def envoy_program() -> Path:
    """Return Envoy.

    Raises:
        OperationError: It is not installed.
    """
    program = find_envoy(cache_directory())
    if program is None:
        raise OperationError("Envoy is not installed", remedy=f"Install it once: {BUILD}")
    return program
