"""What components declare: the objects that they would have Pulumi make, taken from a recorded run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pulumi_kubernetes as k8s

from pulumi_traffic_mirror.clusters import ClusterHandle
from tests.support.recorded import Recorded
from tests.support.recording import run_program
from tests.support.wire import reveal

PROVIDER = "cluster"


@dataclass(frozen=True, kw_only=True)
class Declared:
    """One run's objects in the order of registration, so that what others depend on comes first."""

    steps: tuple[Mapping[str, Any], ...]
    """Kubernetes objects, and inputs of ``helm.v3.Release``, which have a chart instead of a kind."""
    outputs: Mapping[str, Mapping[str, Any]]
    """Outputs of each component by its name."""

    @property
    def objects(self) -> tuple[Mapping[str, Any], ...]:
        """The objects alone."""
        return tuple(step for step in self.steps if "kind" in step)


def cluster() -> ClusterHandle:
    """Return a handle of the cluster that objects are for; only inside a program."""
    return ClusterHandle(name=PROVIDER, provider=k8s.Provider(PROVIDER, kubeconfig="none"))


def declare(program: Callable[[], object], *, gateway_address: str = "192.0.2.1") -> Declared:
    """Run a program of components and return what it declares.

    Args:
        program: Builds components on :func:`cluster`.
        gateway_address: What load balancers get.
    """
    status = {"status": {"loadBalancer": {"ingress": [{"ip": gateway_address}]}}}
    recording = run_program(program, top_level=[PROVIDER], outputs={"kubernetes:core/v1:Service": status})
    made = [resource for resource in recording.by_urn.values() if not resource.read]
    return Declared(
        steps=tuple(reveal(resource.inputs) for resource in made if _is_made_in_cluster(resource)),
        outputs={resource.name: reveal(resource.outputs) for resource in made if resource.outputs},
    )


def _is_made_in_cluster(resource: Recorded) -> bool:
    return resource.custom and not resource.type.startswith("pulumi:")
