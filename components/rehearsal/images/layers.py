"""Layers of the stage's images: Debian packages, Python packages, files."""

import os
import stat
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ..machine.commands import PROXY_VARIABLES, run_logged
from ..machine.debian import codename, mirror
from .oci import file_entry, folder_entry, link_entry, write_layer

_UNUSED_PATHS = (
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/locale/*",
    "/usr/share/info/*",
    "/usr/lib/*/gconv/*",
    "/usr/lib/python3*/ensurepip/*",
    "/usr/lib/python3*/idlelib/*",
    "/usr/lib/python3*/lib2to3/*",
    "/usr/lib/python3*/pydoc_data/*",
    "/usr/lib/python3*/test/*",
)
"""What no container of the stage reads; a smaller image is imported sooner."""

ROOT_USER = "root:x:0:0:root:/root:/bin/sh"


@dataclass(kw_only=True)
class Files:
    """Members of a layer that we make ourselves; folders above a member are made as needed."""

    contents: dict[str, bytes | Path] = field(default_factory=dict[str, bytes | Path])
    _entries: dict[str, tarfile.TarInfo] = field(default_factory=dict[str, tarfile.TarInfo])

    def add_folder(self, path: str, *, mode: int = 0o755, owner: int = 0) -> None:
        """Add a folder."""
        self._above(path)
        self._entries[path] = folder_entry(path, mode=mode, owner=owner)

    def add_link(self, path: str, target: str) -> None:
        """Add a symbolic link."""
        self._above(path)
        self._entries[path] = link_entry(path, target)

    def add_file(self, path: str, content: bytes | Path, *, mode: int = 0o644) -> None:
        """Add a regular file."""
        self._above(path)
        size = content.stat().st_size if isinstance(content, Path) else len(content)
        self._entries[path] = file_entry(path, size, mode=mode)
        self.contents[path] = content

    def add_tree(self, path: str, source: Path) -> None:
        """Add every file below a folder of this machine; executable ones stay so."""
        for file in sorted(source.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                executable = file.stat().st_mode & stat.S_IXUSR
                target = f"{path}/{file.relative_to(source).as_posix()}"
                self.add_file(target, file, mode=0o755 if executable else 0o644)

    def write(self, archive: Path) -> None:
        """Write the layer."""
        write_layer(archive, [self._entries[path] for path in sorted(self._entries)], self.contents)

    def _above(self, path: str) -> None:
        for folder in reversed(PurePosixPath(path).parents[:-1]):
            self._entries.setdefault(str(folder), folder_entry(str(folder)))


def users_file(users: Sequence[str]) -> bytes:
    """Return /etc/passwd with root and the given lines."""
    return "".join(f"{line}\n" for line in (ROOT_USER, *users)).encode()


def groups_file(groups: Mapping[str, int]) -> bytes:
    """Return /etc/group with root and the given groups."""
    return "".join(f"{name}:x:{number}:\n" for name, number in {"root": 0, **groups}.items()).encode()


def debian_recipe(packages: Sequence[str]) -> list[object]:
    """Return what decides the content of a layer of Debian packages, apart from updates of the archive."""
    return [codename(), list(packages), _UNUSED_PATHS]


def write_debian_layer(archive: Path, packages: Sequence[str], *, log: Path) -> None:
    """Write a layer with Debian packages and what they need, of the release that this machine has.

    The packages are unpacked, not configured: no package manager, no scripts, no users in the image.

    Raises:
        StageError: A package could not be fetched.
    """
    release = codename()
    run_logged(
        [
            "mmdebstrap",
            "--quiet",
            "--variant=extract",
            "--format=tar",
            '--aptopt=Acquire::Retries "3"',
            f"--include={','.join(packages)}",
            *(f"--dpkgopt=path-exclude={path}" for path in _UNUSED_PATHS),
            release,
            str(archive),
            mirror(release),
        ],
        what="make an image layer of Debian packages",
        log=log,
        # Fixed file times make equal layers from equal packages; a proxy of the machine leads to the archive.
        env={name: os.environ[name] for name in PROXY_VARIABLES if name in os.environ}
        | {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8", "SOURCE_DATE_EPOCH": "0"},
        remedy="Check that apt's package archive is reachable",
    )


def python_version_in(layer: Path) -> str:
    """Return the version of the Python in a Debian layer, e.g. ``"3.11"``.

    Raises:
        ValueError: There is none.
    """
    with tarfile.open(layer) as members:
        for member in members:
            name = PurePosixPath(member.name).name
            if PurePosixPath(member.name).parent.name == "bin" and name.startswith("python3."):
                return name.removeprefix("python")
    raise ValueError(f"no Python in {layer}")
