"""The engine's own place: its home, its backend, its passphrase, and an environment that leads only there."""

import os
import secrets
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..machine.files import write_secret
from .installation import PROVIDER, Installation, ProgramMode

LOCAL_NAMES: Final = ("127.0.0.1", "localhost", "::1")
"""The engine and its plugins talk over loopback; a proxy would break that."""


@dataclass(frozen=True, kw_only=True)
class EngineHome:
    """Folders of one engine; all below one state directory."""

    root: Path

    @property
    def pulumi(self) -> Path:
        """``PULUMI_HOME``: plugins and workspaces."""
        return self.root / "home"

    @property
    def backend(self) -> Path:
        """The file backend: states and locks."""
        return self.root / "backend"

    @property
    def project(self) -> Path:
        """The project file and the stacks' configuration, copied so that the checkout stays as it is."""
        return self.root / "project"

    @property
    def logs(self) -> Path:
        """Everything that the engine wrote."""
        return self.root / "logs"

    @property
    def temporary(self) -> Path:
        """``TMPDIR`` of everything that the engine starts: its provider leaves kubeconfigs with tokens there."""
        return self.root / "tmp"

    @property
    def passphrase(self) -> Path:
        """The generated passphrase that encrypts secrets in the state."""
        return self.root / "passphrase"

    def prepare(self, installation: Installation) -> None:
        """Make the folders, the passphrase and the plugin; the temporary folder is emptied."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o700)
        # A killed engine could not clean up.
        self.remove_temporary()
        for folder in (self.pulumi, self.backend, self.project, self.logs, self.temporary):
            folder.mkdir(exist_ok=True)
        if not self.passphrase.exists():
            write_secret(self.passphrase, secrets.token_urlsafe(32).encode())
        shutil.rmtree(self.pulumi / "plugins", ignore_errors=True)
        _link_plugin(installation.provider, self.pulumi, installation.provider_version)

    def remove_temporary(self) -> None:
        """Remove what the engine and its plugins left in their temporary folder."""
        shutil.rmtree(self.temporary, ignore_errors=True)

    def environment(
        self, installation: Installation, *, no_proxy: Sequence[str], base: Mapping[str, str]
    ) -> dict[str, str]:
        """Return the environment of everything that the engine starts.

        Args:
            installation: What is used.
            no_proxy: Addresses and networks that no proxy may see.
            base: Environment to start from; its own Pulumi settings are dropped, because they lead elsewhere.
        """
        kept = {key: item for key, item in base.items() if not key.startswith("PULUMI_")}
        direct = [
            *no_proxy,
            *LOCAL_NAMES,
            *(part for part in (base.get("NO_PROXY", ""), base.get("no_proxy", "")) if part),
        ]
        folders = [str(installation.cli.parent), str(Path(sys.executable).parent), base.get("PATH", os.defpath)]
        # Our own CLI lies beside the provider that is linked into its home; taken from the search path it is warned of.
        # A machine's own CLI may have its language host there, and nowhere else.
        own = {"PULUMI_IGNORE_AMBIENT_PLUGINS": "true"} if installation.mode is ProgramMode.INLINE else {}
        return {
            **kept,
            **own,
            "NO_PROXY": ",".join(direct),
            "no_proxy": ",".join(direct),
            "PATH": os.pathsep.join(folders),
            "PULUMI_BACKEND_URL": f"file://{self.backend}",
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(self.passphrase),
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_HOME": str(self.pulumi),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "TMPDIR": str(self.temporary),
        }


def _link_plugin(folder: Path, home: Path, version: str) -> None:
    """Bring a plugin of the machine into our home without a second copy of its hundred megabytes.

    The engine does not follow links to folders, so the files are linked.
    """
    target = home / "plugins" / f"resource-kubernetes-v{version}"
    target.mkdir(parents=True)
    source, link = (folder / PROVIDER).resolve(), target / PROVIDER
    try:
        link.hardlink_to(source)
    except OSError:
        shutil.copy2(source, link)
