"""What a plan would take away: clusters and nodes with all that runs on them.

A program cannot know it while it registers resources, nor can a policy pack, which sees them without their old state.
"""

from collections.abc import Iterator
from typing import Final

from .clusters import Mesh
from .losses import CLUSTERS, NODES
from .registry import Problem, Rule, Scope, Severity, problem
from .settings import RuleSettings

_PAGE: Final = "https://www.pulumi.com/docs/iac/concepts/update-plans/"


def _lost(mesh: Mesh, settings: RuleSettings) -> Iterator[Problem]:
    for loss in mesh.losses:
        what = "the cluster" if loss.kind in CLUSTERS else "the nodes"
        inside = "everything in it is made anew, and nothing answers until then" if loss.replaced else "all in it ends"
        if loss.kind in NODES:
            inside = "every pod on them is ended"
        happens = "are" if loss.kind in NODES else "is"
        happens += " replaced" if loss.replaced else " deleted"
        because = f" because of {', '.join(loss.reasons)}" if loss.reasons else ""
        yield problem(loss, loss.reasons[0] if loss.reasons else "", f"{what} {happens}{because}: {inside}")


def _stuck(mesh: Mesh, settings: RuleSettings) -> Iterator[Problem]:
    for loss in mesh.losses:
        if loss.locked:
            built = "builds the second one and then " if loss.replaced else ""
            said = (
                f"the run {built}fails to delete it, and so does every later one: its state has deletion protection on"
            )
            yield problem(loss, "deletionProtection", said)


PLAN_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        id="plan-ends-workloads",
        title="No cluster and no nodes are replaced or deleted by the way",
        severity=Severity.WARNING,
        scope=Scope.PLAN,
        why="A change of one argument may replace a cluster with everything inside, which its name does not tell.",
        source=f"The schemas of the clouds' providers; docs/gke.md lists the arguments of GkeCluster; {_PAGE}",
        remedy="Take the change back, or make a second cluster or pool beside it, move over, and then remove the first",
        check=_lost,
    ),
    Rule(
        id="plan-is-refused-half-way",
        title="What a plan deletes may be deleted",
        severity=Severity.ERROR,
        scope=Scope.PLAN,
        why="The provider goes by the state, not by the program, and refuses only after all that comes before.",
        source="Measured with Google's provider 8.0",
        remedy="First switch deletion protection off, in a run of `pulumi up` that changes nothing else",
        check=_stuck,
    ),
)
"""Rules on a preview; they need the old state, so components and the policy pack do not run them."""
