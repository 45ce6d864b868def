"""The Helm program, with everything secret in files of mode 0600 and nothing secret among its arguments."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, cast

import yaml

from .connection import kubeconfig
from .errors import ProviderError
from .paths import text_at
from .processes import child
from .settings import Settings
from .values import Properties
from .waiting import Waiter

HELM_VARIABLE: Final = "TRAFFIC_MIRROR_HELM"
"""Names the Helm program; unset: ``helm`` of the search path."""

OWNER_LABEL: Final = "traffic-mirror-owner"
"""Label of a release, by which a later run knows what a killed one had made."""

QUERY_SECONDS: Final = 60.0
GRACE_SECONDS: Final = 30.0
"""Helm ends by its own ``--timeout``; it is ended this much later if it does not."""

_NOT_FOUND: Final = "release: not found"


class HelmError(ProviderError):
    """Helm failed; the text is its own."""


class Helm:
    """Runs Helm against one cluster."""

    def __init__(self, settings: Settings, waiter: Waiter) -> None:
        """Use the cluster of ``settings``; ``waiter`` ends a run when the provider is to stop."""
        self._settings = settings
        self._waiter = waiter

    def chart_metadata(self, arguments: Sequence[str], chart: str) -> Properties:
        """Return a chart's metadata (``Chart.yaml``); a chart in a folder is read without Helm.

        Raises:
            HelmError: There is no such chart.
        """
        manifest = Path(chart) / "Chart.yaml"
        if manifest.is_file():
            text = manifest.read_text(encoding="utf-8")
        else:
            text = self._run(["show", "chart", chart, *arguments], QUERY_SECONDS, connect=False)
        found: object = yaml.safe_load(text)
        if not isinstance(found, dict):
            raise HelmError(f"{chart} has no chart metadata")
        return cast("Properties", found)

    def made_by(self, name: str, namespace: str, owner: str) -> bool:
        """Tell whether a release carries the mark of ``owner``."""
        where = ["--namespace", namespace, "--all", "--selector", f"{OWNER_LABEL}={owner}", "-o", "json"]
        found: list[Properties] = json.loads(self._run(["list", *where], QUERY_SECONDS))
        return any(item.get("name") == name for item in found)

    def apply(self, verb: str, arguments: Sequence[str], values: Properties, timeout_seconds: float) -> None:
        """Install or upgrade a release.

        Args:
            verb: ``"install"`` or ``"upgrade"``.
            arguments: Name, chart and options.
            values: The chart's values; may hold secrets in clear.
            timeout_seconds: Helm's own limit.

        Raises:
            HelmError: Helm failed; a release may exist all the same.
        """
        with _private_file("values.json", json.dumps(values)) as path:
            self._run([verb, *arguments, "--values", str(path), "-o", "json"], timeout_seconds + GRACE_SECONDS)

    def status(self, name: str, namespace: str) -> Properties | None:
        """Return a release with its metadata under ``metadata``, or ``None`` when there is none."""
        where = [name, "--namespace", namespace, "-o", "json"]
        try:
            release = json.loads(self._run(["status", *where], QUERY_SECONDS))
            metadata = json.loads(self._run(["get", "metadata", *where], QUERY_SECONDS))
        except HelmError as error:
            if _NOT_FOUND in str(error):
                return None
            raise
        return {**release, "metadata": metadata}

    def rollback(self, name: str, namespace: str) -> None:
        """Go back to a release's last revision, which also ends an upgrade that nobody ends."""
        self._run(["rollback", name, "--namespace", namespace], QUERY_SECONDS)

    def uninstall(self, name: str, namespace: str, *, wait_seconds: float) -> None:
        """Remove a release; none is no error.

        Args:
            name: Release name.
            namespace: Its namespace.
            wait_seconds: Longest wait until its objects are gone; 0: do not wait.
        """
        waiting = ["--wait", "--timeout", f"{wait_seconds:.0f}s"] if wait_seconds else []
        command = ["uninstall", name, "--namespace", namespace, "--ignore-not-found", *waiting]
        self._run(command, max(wait_seconds, QUERY_SECONDS) + GRACE_SECONDS)

    def _run(self, arguments: Sequence[str], timeout_seconds: float, *, connect: bool = True) -> str:
        program = os.environ.get(HELM_VARIABLE) or shutil.which("helm")
        if not program:
            raise HelmError(f"There is no Helm program. Install Helm 3, or name one in {HELM_VARIABLE}")
        if not connect:
            return self._wait([program, *arguments], os.environ, timeout_seconds)
        document = json.dumps(kubeconfig(self._settings))
        with _private_file("kubeconfig", document) as path:
            context = ["--kube-context", self._settings.context] if self._settings.context else []
            environment = {**os.environ, "KUBECONFIG": str(path)}
            return self._wait([program, *arguments, *context], environment, timeout_seconds)

    def _wait(self, command: Sequence[str], environment: Mapping[str, str], timeout_seconds: float) -> str:
        results: list[tuple[str, str]] = []
        with child(command, environment) as process:

            def ended() -> bool:
                try:
                    results.append(process.communicate(timeout=0.05))
                except subprocess.TimeoutExpired:
                    return False
                return True

            if not self._waiter.until(ended, timeout_seconds):
                raise HelmError(f"helm {command[1]} did not end within {timeout_seconds:.0f} s")
            output, errors = results[-1]
            if process.returncode != 0:
                lines = [line for line in errors.splitlines() if line and not line.startswith("WARNING")]
                raise HelmError(" ".join(lines).removeprefix("Error: ") or f"helm exited with {process.returncode}")
            return output


@contextmanager
def _private_file(name: str, text: str) -> Generator[Path]:
    """Write a file that only this user can read; it is gone with the context."""
    with tempfile.TemporaryDirectory(prefix="traffic-mirror-standin-") as folder:
        path = Path(folder) / name
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        yield path


def resource_names(manifest: str) -> dict[str, list[str]]:
    """Return the objects of a release's manifest: names by ``Kind.group/apiVersion``, as the real provider does."""
    found: dict[str, set[str]] = {}
    for document in yaml.safe_load_all(manifest):
        kind, api_version = text_at(document, "kind"), text_at(document, "apiVersion")
        if not kind:
            continue
        group = f".{api_version.partition('/')[0]}" if "/" in api_version else ""
        namespace, name = text_at(document, "metadata", "namespace"), text_at(document, "metadata", "name")
        found.setdefault(f"{kind}{group}/{api_version}", set()).add(f"{namespace}/{name}" if namespace else name)
    return {key: sorted(names) for key, names in found.items()}
