"""Options of commands that call the gateway of a cluster that runs, and watch what arrives elsewhere."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer

from ..model import ValidationError
from ..operations.kube import ClusterAccess
from .options import input_file

SENDER: Final = "staging"
"""What reports call the cluster that owns the traffic."""

TESTING: Final = "testing"
"""What they call a cluster that gets copies and was given no name."""

Staging: TypeAlias = Annotated[
    Path | None,
    typer.Option("--staging", help="Kubeconfig of the cluster that owns the traffic.", metavar="KUBECONFIG"),
]
"""``--staging``"""

Testing: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--testing",
        help="Kubeconfig of the cluster that gets copies; of several, each with a name.",
        metavar="[NAME=]KUBECONFIG",
    ),
]
"""``--testing``"""

StagingContext: TypeAlias = Annotated[
    str, typer.Option("--staging-context", help="Context in --staging.", metavar="NAME")
]
"""``--staging-context``"""

TestingContext: TypeAlias = Annotated[
    list[str] | None, typer.Option("--testing-context", help="Context in --testing.", metavar="[NAME=]CONTEXT")
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

HttpPath: TypeAlias = Annotated[
    str, typer.Option("--path", help="Make GET requests to this path instead of gRPC calls.")
]
"""``--path``"""

Watch: TypeAlias = Annotated[
    float, typer.Option("--watch", help="Make no calls, watch what flows for this long.", metavar="SECONDS")
]
"""``--watch``"""

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


def access(name: str, kubeconfig: Path, context: str, *, option: str) -> ClusterAccess:
    """Return how to reach a cluster.

    Args:
        name: What messages and reports call it.
        kubeconfig: File that the user named.
        context: Context in it; empty for its current one.
        option: Name of the option, for the error.

    Raises:
        ValidationError: There is no such file.
    """
    path = input_file(kubeconfig, option=option)
    return ClusterAccess(name=name, kubeconfig=str(path.resolve()), context=context)


def receiving_clusters(testing: Sequence[str], contexts: Sequence[str]) -> tuple[ClusterAccess, ...]:
    """Return how to reach the clusters that get copies; one without a name is called ``testing``.

    Args:
        testing: ``--testing``, each ``KUBECONFIG`` or ``NAME=KUBECONFIG``.
        contexts: ``--testing-context``, likewise.

    Raises:
        ValidationError: A file does not exist, two clusters have one name, or a context is of no cluster.
    """
    files = [_named(text, is_file=True) for text in testing]
    named = dict(_named(text) for text in contexts)
    names = [name for name, _ in files]
    for name in names:
        if names.count(name) > 1 or name == SENDER:
            raise ValidationError(
                field="--testing",
                value=name,
                rule=f"must have a name of its own for each cluster, other than {SENDER!r}",
                remedy="Write for example --testing eu=eu.kubeconfig --testing us=us.kubeconfig",
            )
    for name in named:
        if name not in names:
            raise ValidationError(
                field="--testing-context",
                value=name,
                rule=f"must be of a cluster that --testing names: {', '.join(names) or 'there is none'}",
                remedy="Write NAME=CONTEXT with the name that --testing gives",
            )
    return tuple(access(name, Path(file), named.get(name, ""), option="--testing") for name, file in files)


def _named(text: str, *, is_file: bool = False) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if separator and name.isidentifier() and not (is_file and Path(text).is_file()):
        return name, value
    return TESTING, text
