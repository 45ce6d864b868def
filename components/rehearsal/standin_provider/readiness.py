"""When an object counts as up: what the stand-in knows about each kind, and how it waits."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .cluster import Cluster
from .conditions import parse_conditions
from .paths import mapping_at, number_at, objects_at, text_at
from .values import Properties

WAIT_FOR: Final = "pulumi.com/waitFor"
SKIP_AWAIT: Final = "pulumi.com/skipAwait"
SERVICE_SETTLE_SECONDS: Final = 10.0
"""A Service that still has no endpoint at all after this time counts as up; the real provider's window."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an object is up."""

    ready: bool
    message: str = ""
    """What is waited for, or why it failed."""
    failed: bool = False
    """It will not become ready by waiting."""


READY: Final = Verdict(ready=True)


def _waiting(message: str) -> Verdict:
    return Verdict(ready=False, message=message)


@dataclass(frozen=True, slots=True)
class Observation:
    """A live object, and what a check may need beside it."""

    obj: Properties
    cluster: Cluster
    since: float
    """Monotonic time at which the wait began, in seconds."""

    @property
    def namespace(self) -> str:
        """The object's namespace."""
        return text_at(self.obj, "metadata", "namespace")

    def select(self, api_version: str, kind: str, selector: str) -> list[Properties]:
        """Return objects of the same namespace by label."""
        known = self.cluster.find_kind(api_version, kind)
        return self.cluster.select(known, self.namespace, selector) if known else []


Check = Callable[[Observation], Verdict]


def check_for(obj: Properties) -> Check | None:
    """Return how to tell whether ``obj`` is up, or ``None`` when it is up as soon as it exists.

    Raises:
        RefusedError: A ``pulumi.com/waitFor`` expression that the stand-in cannot evaluate.
    """
    if text_at(obj, "metadata", "annotations", SKIP_AWAIT) == "true":
        return None
    expression = text_at(obj, "metadata", "annotations", WAIT_FOR)
    if expression:
        conditions = parse_conditions(expression)
        return lambda seen: next(
            (_waiting(f"waiting for {item.text}") for item in conditions if not item.holds(seen.obj)), READY
        )
    return _CHECKS.get((text_at(obj, "apiVersion"), text_at(obj, "kind")))


def _observed(obj: Properties) -> bool:
    wanted = number_at(obj, "metadata", "generation")
    return number_at(obj, "status", "observedGeneration", default=0) >= wanted


def _condition(obj: Properties, name: str) -> Properties:
    found = [item for item in objects_at(obj, "status", "conditions") if item.get("type") == name]
    return found[0] if found else {}


def _deployment(seen: Observation) -> Verdict:
    """Tell whether the rollout is complete, by the rules of ``kubectl rollout status``."""
    obj = seen.obj
    if not _observed(obj):
        return _waiting("waiting for the deployment controller")
    wanted = number_at(obj, "spec", "replicas", default=1)
    total, updated, available = (
        number_at(obj, "status", key) for key in ("replicas", "updatedReplicas", "availableReplicas")
    )
    if updated >= wanted and total <= updated and available >= updated:
        return READY
    if total > updated >= wanted:
        return _waiting(f"{total - updated} old pods still to end")
    reasons = _pod_reasons(seen)
    return _waiting(f"{available} of {wanted} pods are available" + (f": {reasons}" if reasons else ""))


def _pod_reasons(seen: Observation) -> str:
    labels = mapping_at(seen.obj, "spec", "selector", "matchLabels")
    pods = seen.select("v1", "Pod", ",".join(f"{key}={item}" for key, item in labels.items()))
    reasons = sorted({reason for pod in pods for reason in _reasons_of(pod)})
    return "; ".join(reasons[:3])


def _reasons_of(pod: Properties) -> list[str]:
    scheduled = _condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return [f"not scheduled: {scheduled.get('message', '')}"]
    found: list[str] = []
    for key in ("initContainerStatuses", "containerStatuses"):
        for status in objects_at(pod, "status", key):
            waiting = mapping_at(status, "state", "waiting")
            if waiting.get("reason") not in {None, "ContainerCreating", "PodInitializing"}:
                detail = f"container {status.get('name')} is waiting: {waiting['reason']}"
                found.append(f"{detail} {waiting.get('message', '')}".strip())
    return found


def _service(seen: Observation) -> Verdict:
    obj = seen.obj
    if text_at(obj, "spec", "type") == "LoadBalancer" and not objects_at(obj, "status", "loadBalancer", "ingress"):
        return _waiting("waiting for the load balancer's address")
    headless = text_at(obj, "spec", "clusterIP") == "None"
    external = text_at(obj, "spec", "type") == "ExternalName"
    if headless or external or not mapping_at(obj, "spec", "selector"):
        return READY
    name = text_at(obj, "metadata", "name")
    slices = seen.select("discovery.k8s.io/v1", "EndpointSlice", f"kubernetes.io/service-name={name}")
    endpoints = [endpoint for item in slices for endpoint in objects_at(item, "endpoints")]
    ready = [mapping_at(endpoint, "conditions").get("ready") is not False for endpoint in endpoints]
    if ready and all(ready):
        return READY
    if not ready and time.monotonic() - seen.since >= SERVICE_SETTLE_SECONDS:
        return READY
    return _waiting("waiting for pods to direct traffic to")


def _job(seen: Observation) -> Verdict:
    if _condition(seen.obj, "Complete").get("status") == "True":
        return READY
    failure = _condition(seen.obj, "Failed")
    if failure.get("status") == "True":
        return Verdict(ready=False, failed=True, message=f"the job failed: {failure.get('message', '')}")
    return _waiting("waiting for the job to complete")


def _crd(seen: Observation) -> Verdict:
    refused = _condition(seen.obj, "NamesAccepted")
    if refused.get("status") == "False":
        return Verdict(ready=False, failed=True, message=f"names not accepted: {refused.get('message', '')}")
    established = _condition(seen.obj, "Established").get("status") == "True"
    return READY if established else _waiting("waiting for the API server to serve the kind")


_CHECKS: Final[dict[tuple[str, str], Check]] = {
    ("apps/v1", "Deployment"): _deployment,
    ("v1", "Service"): _service,
    ("batch/v1", "Job"): _job,
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"): _crd,
}
