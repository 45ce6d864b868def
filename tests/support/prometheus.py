"""Prometheus and promtool from Debian's package, unpacked and not installed: nothing starts by itself."""

from pathlib import Path

from pulumi_traffic_mirror.rehearsal.machine.debian import codename, unpack_package
from pulumi_traffic_mirror.rehearsal.places import cache_directory
from pulumi_traffic_mirror.rehearsal.progress import PlainProgress
from pulumi_traffic_mirror.rehearsal.toolchain.cache import cached_folder


def prometheus_programs() -> Path:
    """Return the folder with ``prometheus`` and ``promtool``."""
    cache = cache_directory()

    def build(folder: Path) -> None:
        unpack_package("prometheus", folder / "package", log=cache / "logs" / "prometheus.log")

    folder = cached_folder(cache, f"prometheus-{codename()}", build, progress=PlainProgress())
    return folder / "package" / "usr" / "bin"
