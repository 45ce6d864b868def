"""What the collector's image carries: a part of this package, under the package's own name.

The collector is this folder and the model, and nothing else of the package; it needs neither Pulumi nor a
Kubernetes client. An image with the whole wheel would work as well but be 400 MB larger.
"""

import shutil
from pathlib import Path
from typing import Final

PACKAGE: Final = "pulumi_traffic_mirror"
"""Name of the package in the image; its parents there are namespace packages, so relative imports hold."""

PARTS: Final = ("model", "operations/recording")
"""Folders of the package that the image carries. The image recipe copies the same ones; a test compares."""

COMMAND: Final = ("-m", f"{PACKAGE}.operations.recording")
"""What Python is started with; the path of the settings follows."""

_ROOT: Final = Path(__file__).resolve().parents[2]


def write_bundle(directory: Path) -> None:
    """Copy what the collector's image carries into a directory that Python can be started in.

    Args:
        directory: Where the package's folder is made; the dependencies of the image's ``requirements.txt`` go
            beside it.
    """
    for part in PARTS:
        shutil.copytree(
            _ROOT / part,
            directory / PACKAGE / part,
            ignore=shutil.ignore_patterns("__pycache__"),
            dirs_exist_ok=True,
        )
