"""What the components of this package have in common: their tokens, refusals in one sentence, and the cluster."""

from collections.abc import Callable
from types import TracebackType
from typing import ClassVar, Final, TypeVar

import pulumi
import values

import pulumi_traffic_mirror as tm

NAME: Final = "trafficmirror"
"""Name of the package; begins the tokens of the library's components too."""

_T = TypeVar("_T")


class RefusedError(Exception):
    """What is wrong with an argument, in one sentence."""

    # The host would print the places in our code beside it, which are nothing to whoever wrote the program.
    __traceback__: ClassVar[TracebackType | None] = property(lambda _: None, lambda *_: None)  # type: ignore[assignment]


def told(made: Callable[[], _T]) -> _T:
    """What is made, or a refusal in the words of the library."""
    try:
        return made()
    except tm.ValidationError as error:
        raise RefusedError(str(error)) from None


class Component(pulumi.ComponentResource):
    """What the components have in common."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None) -> None:
        super().__init__(f"{NAME}:index:{type(self).__name__}", name, {}, opts)

    def own(self) -> pulumi.ResourceOptions:
        """Options of what this component holds."""
        return pulumi.ResourceOptions(parent=self)

    def cluster(self, name: str, args: values.Given) -> tm.ClusterHandle:
        """The cluster of a kubeconfig, with a provider of this component's own."""
        given = tm.ExistingClusterArgs(
            kubeconfig=values.kubeconfig(args["kubeconfig"]), **values.chosen(args, "context")
        )
        return tm.ExistingCluster(f"{name}-cluster", given, self.own()).handle

    def mesh(self, name: str, args: values.Given) -> tm.MeshHandle:
        """The control plane that is there."""
        return values.mesh(self.cluster(name, args), args["mesh"])
