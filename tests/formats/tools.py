"""The tools whose recordings are imported: installed by their own package managers, once a version."""

import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import time
import venv
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from pulumi_traffic_mirror.rehearsal.places import cache_directory

GHZ: Final = "0.93.0"
GOREPLAY: Final = "1.3.2"
MITMPROXY: Final = "11.0.2"
"""The last one for Python 3.11."""

_CACHE: Final = cache_directory() / "other-tools"
"""Asked for at once: during a test the home directory is another."""


def goreplay() -> Path:
    """Return GoReplay; it needs libpcap's headers to be built and root to capture."""

    def build(folder: Path) -> None:
        run("apt-get", "install", "-y", "-q", "libpcap-dev")
        run("go", "install", f"github.com/buger/goreplay@v{GOREPLAY}", GOBIN=str(folder))

    return _installed(f"goreplay-{GOREPLAY}", build) / "goreplay"


def ghz() -> Path:
    """Return ghz."""

    def build(folder: Path) -> None:
        run("go", "install", f"github.com/bojand/ghz/cmd/ghz@v{GHZ}", GOBIN=str(folder))

    return _installed(f"ghz-{GHZ}", build) / "ghz"


def mitmproxy(program: str = "mitmdump") -> Path:
    """Return a program of mitmproxy's own environment."""

    def build(folder: Path) -> None:
        venv.create(folder, with_pip=True)
        run(str(folder / "bin/pip"), "install", "-q", f"mitmproxy=={MITMPROXY}")

    return _installed(f"mitmproxy-{MITMPROXY}", build) / "bin" / program


def grpc_go() -> Path:
    """Return the program that calls itself by grpc-go."""
    sources = Path(__file__).parent / "grpc_go"

    def build(folder: Path) -> None:
        shutil.copytree(sources, folder / "sources", dirs_exist_ok=True)
        run("go", "-C", str(folder / "sources"), "build", "-mod=mod", "-o", str(folder / "calls"), ".")

    return _installed(f"grpc-go-{_digest(sources)}", build) / "calls"


def grpc_java() -> tuple[str, ...]:
    """Return the command that calls itself by grpc-java; empty without Maven and a JDK."""
    sources = Path(__file__).parent / "grpc_java"
    if not shutil.which("mvn") or not shutil.which("javac"):
        return ()

    def build(folder: Path) -> None:
        shutil.copytree(sources, folder, dirs_exist_ok=True)
        goals = ("compile", "dependency:build-classpath", f"-Dmdep.outputFile={folder / 'classpath'}")
        run("mvn", "-q", "-B", "-f", str(folder / "pom.xml"), *goals)

    folder = _installed(f"grpc-java-{_digest(sources)}", build)
    return ("java", "-cp", f"{folder / 'target/classes'}:{(folder / 'classpath').read_text()}", "Calls")


def tshark() -> None:
    """Have tshark on the path."""
    if not shutil.which("tshark"):
        run("apt-get", "install", "-y", "-q", "--no-install-recommends", "tshark", DEBIAN_FRONTEND="noninteractive")


def _digest(sources: Path) -> str:
    content = b"".join(path.read_bytes() for path in sorted(sources.rglob("*")) if path.is_file())
    return hashlib.sha256(content).hexdigest()[:12]


def _installed(name: str, build: Callable[[Path], None]) -> Path:
    folder = _CACHE / name
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        build(folder)
        (folder / "done").touch()
    return folder


def run(*command: str | Path, **environment: str) -> None:
    """Run a program to its end."""
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stdout[-2_000:]}{done.stderr[-2_000:]}")


@contextmanager
def running(*command: str | Path, log: Path) -> Generator[subprocess.Popen[bytes]]:
    """Run a program until the block ends; it is asked to end first, so that it writes what it holds."""
    with log.open("wb") as into:
        process = subprocess.Popen([str(word) for word in command], stdout=into, stderr=into)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def until(condition: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    """Wait for a condition of another process."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} within {seconds:g} s")
        time.sleep(0.02)


def is_listening(port: int) -> bool:
    """Whether something listens at a port of the loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def listener_of(admin_file: Path) -> int:
    """Return the port of a starting Envoy's one listener."""
    found: list[int] = []

    def ask() -> bool:
        if not admin_file.exists() or not (address := admin_file.read_text()):
            return False
        with contextlib.suppress(httpx.HTTPError), httpx.Client(trust_env=False) as client:
            answer = client.get(f"http://{address}/listeners?format=json").json()
            found.extend(
                one["local_address"]["socket_address"]["port_value"] for one in answer.get("listener_statuses", [])
            )
        return bool(found)

    until(ask, "Envoy listens")
    return found[0]
