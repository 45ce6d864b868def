"""From a stack's settings to its mirrors on routing that somebody else owns."""

from collections.abc import Mapping

from ..mesh import MeshHandle, MeshNamespace
from ..mirroring import MirrorOverlayArgs
from .settings import OVERLAY_KEYS, StackSettings


def overlays_args(
    settings: StackSettings, mesh: MeshHandle, namespace: MeshNamespace
) -> Mapping[str, MirrorOverlayArgs]:
    """Arguments of the stack's overlays, by name.

    Args:
        settings: The stack's settings.
        mesh: Its control plane.
        namespace: Namespace of the objects of an overlay that names none.

    Raises:
        ValidationError: A key of ``mirrors.overlay`` is wrong.
    """
    found: dict[str, MirrorOverlayArgs] = {}
    for name in settings.overlay_names:
        section = settings.overlays.section(name, OVERLAY_KEYS)
        given = {"mesh": mesh} if section.has("namespace") else {"mesh": mesh, "namespace": namespace}
        found[name] = section.fill(MirrorOverlayArgs, given)
        with section.naming_keys():
            found[name].rendered(name)
    return found
