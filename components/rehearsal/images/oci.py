"""Container images as OCI archives, written without a registry or a container tool."""

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...model import JsonObject

_SEARCH_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""Names of processor architectures: the kernel's and the image format's."""

_MEDIA_TYPE = "application/vnd.oci.image"


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One uncompressed layer: compressing costs more than the few copies on one disk."""

    archive: Path
    digest: str
    """SHA-256 of the archive, in hexadecimal digits."""
    size: int


@dataclass(frozen=True, kw_only=True)
class ImageConfig:
    """How a container of the image starts."""

    entry: tuple[str, ...]
    user: str = ""
    """Number of the user and perhaps of the group, ``"65532:65532"``; empty means root."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


def read_layer(archive: Path) -> Layer:
    """Return the layer in a tar archive, with its digest."""
    with archive.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Layer(archive=archive, digest=digest, size=archive.stat().st_size)


def write_layer(archive: Path, entries: Sequence[tarfile.TarInfo], contents: Mapping[str, bytes | Path]) -> None:
    """Write a layer whose bytes depend on nothing but its arguments.

    Args:
        archive: The file to write.
        entries: Members in order, see `folder_entry`, `file_entry` and `link_entry`.
        contents: Content of each regular file, by its path in the layer.
    """
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as layer:
        for entry in entries:
            content = contents.get(entry.name)
            if isinstance(content, Path):
                with content.open("rb") as stream:
                    layer.addfile(entry, stream)
            else:
                layer.addfile(entry, io.BytesIO(content) if content is not None else None)


def folder_entry(path: str, *, mode: int = 0o755, owner: int = 0) -> tarfile.TarInfo:
    """Return a folder for a layer."""
    return _entry(path, tarfile.DIRTYPE, mode, owner)


def link_entry(path: str, target: str) -> tarfile.TarInfo:
    """Return a symbolic link for a layer."""
    entry = _entry(path, tarfile.SYMTYPE, 0o777, 0)
    entry.linkname = target
    return entry


def file_entry(path: str, size: int, *, mode: int = 0o644) -> tarfile.TarInfo:
    """Return a regular file of `size` bytes for a layer."""
    entry = _entry(path, tarfile.REGTYPE, mode, 0)
    entry.size = size
    return entry


def _entry(path: str, kind: bytes, mode: int, owner: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.type, entry.mode, entry.uid, entry.gid, entry.mtime = kind, mode, owner, owner, 0
    return entry


def image_config(config: ImageConfig, layers: Sequence[Layer]) -> JsonObject:
    """Return the image's configuration object."""
    machine = platform.machine()
    return {
        "architecture": _ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "config": {
            "Entrypoint": list(config.entry),
            "User": config.user,
            "Env": [_SEARCH_PATH, *(f"{name}={value}" for name, value in sorted(config.environment.items()))],
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.digest}" for layer in layers]},
    }


def write_image(archive: Path, reference: str, config: ImageConfig, layers: Sequence[Layer]) -> None:
    """Write an OCI archive with one image, as ``ctr images import`` reads it.

    Args:
        archive: The file to write.
        reference: Full name with tag, e.g. ``"stage.local/greeter:3f2a"``.
        config: How a container starts.
        layers: Lowest first.
    """
    config_blob = _json(image_config(config, layers))
    manifest_blob = _json(
        {
            "schemaVersion": 2,
            "mediaType": f"{_MEDIA_TYPE}.manifest.v1+json",
            "config": _descriptor("config.v1+json", config_blob),
            "layers": [
                {
                    "mediaType": f"{_MEDIA_TYPE}.layer.v1.tar",
                    "digest": f"sha256:{layer.digest}",
                    "size": layer.size,
                }
                for layer in layers
            ],
        }
    )
    names: JsonObject = {
        "io.containerd.image.name": reference,
        "org.opencontainers.image.ref.name": reference,
    }
    manifest = _descriptor("manifest.v1+json", manifest_blob) | {"annotations": names}
    blobs = {_blob_path(blob): blob for blob in (config_blob, manifest_blob)}
    files: dict[str, bytes | Path] = {
        "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
        "index.json": _json({"schemaVersion": 2, "manifests": [manifest]}),
        **blobs,
        **{f"blobs/sha256/{layer.digest}": layer.archive for layer in layers},
    }
    entries = [file_entry(path, _size(content)) for path, content in files.items()]
    write_layer(archive, entries, files)


def _descriptor(kind: str, blob: bytes) -> JsonObject:
    digest = hashlib.sha256(blob).hexdigest()
    return {"mediaType": f"{_MEDIA_TYPE}.{kind}", "digest": f"sha256:{digest}", "size": len(blob)}


def _blob_path(blob: bytes) -> str:
    return f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}"


def _size(content: bytes | Path) -> int:
    return content.stat().st_size if isinstance(content, Path) else len(content)


def _json(value: JsonObject) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
