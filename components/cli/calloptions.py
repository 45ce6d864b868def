"""Options of commands that call the gateway of a cluster that runs, and watch what arrives elsewhere."""

from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer

from ..model import ValidationError

Staging: TypeAlias = Annotated[
    Path | None,
    typer.Option("--staging", help="Kubeconfig of the cluster that owns the traffic.", metavar="KUBECONFIG"),
]
"""``--staging``"""

Testing: TypeAlias = Annotated[
    Path | None, typer.Option("--testing", help="Kubeconfig of the cluster that gets copies.", metavar="KUBECONFIG")
]
"""``--testing``"""

StagingContext: TypeAlias = Annotated[
    str, typer.Option("--staging-context", help="Context in --staging.", metavar="NAME")
]
"""``--staging-context``"""

TestingContext: TypeAlias = Annotated[
    str, typer.Option("--testing-context", help="Context in --testing.", metavar="NAME")
]
"""``--testing-context``"""

Host: TypeAlias = Annotated[str, typer.Option("--host", help="Host to call; needed when several are mirrored.")]
"""``--host``"""

GatewayAddress: TypeAlias = Annotated[
    str, typer.Option("--gateway", help="Where to call the gateway; default its load balancer.", metavar="HOST:PORT")
]
"""``--gateway``"""

Rpc: TypeAlias = Annotated[
    str, typer.Option("--rpc", help="Unary gRPC method with a text as field 1.", metavar="SERVICE/METHOD")
]
"""``--rpc``"""

HELLO: Final = "helloworld.Greeter/SayHello"
"""Default of ``--rpc``: the method of the sample service."""


def staging_given(staging: Path | None) -> Path:
    """Return the kubeconfig of the sending cluster.

    Raises:
        ValidationError: It is not given.
    """
    if staging is None:
        raise ValidationError(
            field="--staging", value=None, rule="must be given", remedy="Give the kubeconfig of the sending cluster"
        )
    return staging
