"""What a person needs to look around in a stage that was kept running."""

from .addresses import FABRIC_NAMESPACE
from .commands import PROXY_VARIABLES
from .namespaces import NAMESPACES
from .stage import Stage

END_COMMAND = "traffic-mirror rehearse down"
"""Command that removes a kept stage."""


def describe(stage: Stage) -> str:
    """Return how to look around in a running stage and how to end it, as plain text for a terminal."""
    unset = " ".join(f"-u {name}" for name in PROXY_VARIABLES)
    namespace = NAMESPACES / FABRIC_NAMESPACE
    lines = [
        "The stage is running. Its addresses can be reached only inside its network. A shell there, as root:",
        "",
        f"  nsenter --net={namespace} env {unset} PATH={stage.bin}:$PATH bash",
        "",
        "and in that shell, for example:",
        "",
    ]
    for role in stage.roles:
        access = f"--kubeconfig {stage.kubeconfigs[role]}"
        lines.append(f"  kubectl {access} get pods -A   # {role}, gateway {stage.gateway_addresses[role]}")
    lines += ["", f"Logs of the clusters' programs: {stage.logs}", f"End it with: {END_COMMAND}"]
    return "\n".join(lines)
