"""From a stack's settings to the replays that it runs."""

from collections.abc import Mapping

from ..clusters import ClusterHandle
from ..mesh import MeshNamespace
from ..mirroring import ReplayJobArgs
from ..model.replaying import ReplaySettings
from .settings import REPLAY_KEYS, StackSettings


def replays_args(
    settings: StackSettings, cluster: ClusterHandle, namespace: MeshNamespace
) -> Mapping[str, ReplayJobArgs]:
    """Arguments of the stack's replays, by name.

    Raises:
        ValidationError: A key of ``replays`` is wrong.
    """
    found: dict[str, ReplayJobArgs] = {}
    for name in settings.replay_names:
        section = settings.replays.section(name, REPLAY_KEYS)
        sent = section.fill(ReplaySettings)
        found[name] = section.fill(ReplayJobArgs, {"cluster": cluster, "namespace": namespace, "settings": sent})
        with settings.replays.naming_keys({"name": name}):
            found[name].job(name)
    return found
