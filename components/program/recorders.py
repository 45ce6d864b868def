"""From a stack's settings to the recorder at its gateway."""

from typing import Final

from ..mesh import MeshGateway, MeshHandle, MeshNamespace
from ..mirroring import TrafficRecorderArgs
from ..model import Scrub
from ..model.recording import RecorderSettings
from ..model.recording_storage import ObjectStorage, ScratchStorage, Storage, VolumeStorage
from .sections import Section
from .settings import Role, StackSettings

STORAGE_KEYS: Final = ("url", "accountAnnotations", "volumeGib")


def recorder_args(
    settings: StackSettings, mesh: MeshHandle, gateway: MeshGateway, namespace: MeshNamespace
) -> TrafficRecorderArgs | None:
    """Arguments of the recorder at the stack's gateway; None when the stack has none.

    Raises:
        ValidationError: A key of ``recorder`` is wrong.
    """
    section, scrub = settings.recorder, settings.contract.scrub
    if not section.is_given:
        return None
    mark = (scrub if isinstance(scrub, Scrub) else Scrub()).mark_header
    given = {
        "mesh": mesh,
        "at": gateway,
        "namespace": namespace,
        "keep_request_ids": settings.role is Role.TESTING,
        "settings": section.fill(RecorderSettings, {"mark_header": mark, "storage": _storage(section)}),
    }
    return section.fill(TrafficRecorderArgs, given)


def _storage(recorder: Section) -> Storage:
    """A bucket where ``url`` is given, a volume where ``volumeGib`` is, else the node's disk."""
    section = recorder.section("storage", STORAGE_KEYS)
    if section.has("url") and section.has("volumeGib"):
        raise section.fault("volumeGib", "(given)", "excludes url", "Give one of the two")
    if section.has("url") or section.has("accountAnnotations"):
        return section.fill(ObjectStorage, key_names={"storage.": ""})
    if section.has("volumeGib"):
        with section.naming_keys({"storage.size_gib": "volumeGib", "size_gib": "volumeGib"}):
            return VolumeStorage(size_gib=section.whole("volumeGib"))
    return ScratchStorage()
