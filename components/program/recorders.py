"""From a stack's settings to the recorder at its gateway."""

from typing import Final

from ..mesh import MeshGateway, MeshHandle
from ..mirroring import TrafficRecorderArgs
from ..model import Scrub
from ..model.recording import ObjectStorage, RecorderSettings, Redaction, ScratchStorage, Storage, VolumeStorage
from ..workloads import MeshNamespace
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
    section = settings.recorder
    if not section.is_given:
        return None
    scrub = settings.contract.scrub
    with section.locating():
        return TrafficRecorderArgs(
            mesh=mesh,
            at=gateway,
            namespace=namespace,
            image=section.text("image"),
            allow_tag=section.flag("allowTag", default=False),
            keep_request_ids=settings.role is Role.TESTING,
            settings=RecorderSettings(
                storage=_storage(section.section("storage", STORAGE_KEYS)),
                redaction=Redaction(json_paths=section.texts("jsonPaths")),
                mark_header=(scrub if isinstance(scrub, Scrub) else Scrub()).mark_header,
                sample_percent=section.number("samplePercent", 100.0),
                file_seconds=section.number("fileSeconds", 60.0),
            ),
        )


def _storage(section: Section) -> Storage:
    """A bucket where ``url`` is given, a volume where ``volumeGib`` is, else the node's disk."""
    if section.has("url") and section.has("volumeGib"):
        raise section.fault("volumeGib", "(given)", "excludes url", "Give one of the two")
    if section.has("url"):
        return ObjectStorage(url=section.text("url"), account_annotations=section.texts_by_name("accountAnnotations"))
    if section.has("accountAnnotations"):
        raise section.fault("accountAnnotations", "(given)", "needs url: only a bucket asks for an account", "Give url")
    if section.has("volumeGib"):
        return VolumeStorage(size_gib=section.whole("volumeGib", 20))
    return ScratchStorage()
