"""Which images there are and what is in them."""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..cluster.files import PAUSE_IMAGE
from ..progress import Progress
from ..toolchain import Toolchain
from ..toolchain.cache import cached_folder
from ..toolchain.recipes import ISTIO_HUB, ISTIO_VERSION, cache_key
from ..toolchain.wheels import TargetPython, install_wheels
from .layers import Files, debian_recipe, groups_file, python_version_in, users_file, write_debian_layer
from .oci import ImageConfig, Layer, read_layer, write_image

GREETER_SOURCE = Path(__file__).parents[2] / "workloads" / "greeter" / "server"
"""Source of the greeter service. The rehearsal knows it as a folder, not as a part of the library."""

APP_FOLDER = "app"
"""Where an application's files and packages are in its image."""

APP_USER = "65532:65532"
"""User that has no rights, the number that distroless images call nonroot."""

_PROXY_USER = 1337
"""User whose traffic Istio's interception lets through (istio.io, application requirements)."""

_PYTHON_PACKAGES = ("base-files", "python3-minimal", "python3", "libc6", "libstdc++6")
"""libstdc++ is what grpcio's wheel needs beside the C library."""

_PROXY_PACKAGES = ("base-files", "iptables", "libc6", "libgcc-s1", "dash", "coreutils")
"""What pilot-agent and Envoy need to intercept traffic and to run."""

_NOT_IN_IMAGE = ("Dockerfile", "requirements.in", "requirements.txt", "__init__.py")


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image archive that a cluster can import."""

    reference: str
    """Name with tag, as a pod names it."""
    archive: Path


@dataclass(frozen=True, kw_only=True)
class _Cache:
    """Where images and layers are kept, and who is told about building them."""

    folder: Path
    progress: Progress

    def log(self, name: str) -> Path:
        return self.folder / "logs" / f"image-{name}.log"

    def layer(
        self, name: str, recipe: object, write: Callable[[Path], None], *, usual_seconds: float | None = None
    ) -> Layer:
        """Return a layer, written by `write` when the cache does not have it."""

        def build(folder: Path) -> None:
            with self.progress.step(f"make layer {name}", usual_seconds=usual_seconds, log=self.log(name)):
                write(folder / "layer.tar")
                layer = read_layer(folder / "layer.tar")
                (folder / "digest").write_text(layer.digest, encoding="ascii")

        key = cache_key(f"layer-{name}", "1", recipe)
        folder = cached_folder(self.folder, key, build, progress=self.progress)
        archive = folder / "layer.tar"
        digest = (folder / "digest").read_text(encoding="ascii")
        return Layer(archive=archive, digest=digest, size=archive.stat().st_size)

    def image(self, name: str, tag: str | None, config: ImageConfig, layers: Sequence[Layer]) -> Image:
        """Return an image; without a `tag` it gets one that changes with its content."""
        recipe = [repr(config), [layer.digest for layer in layers], tag]
        key = cache_key(f"image-{name.replace('/', '-')}", "1", recipe)
        reference = f"{name}:{tag or key.rpartition('-')[2]}"

        def build(folder: Path) -> None:
            write_image(folder / "image.tar", reference, config, layers)

        folder = cached_folder(self.folder, key, build, progress=self.progress)
        return Image(reference=reference, archive=folder / "image.tar")


def ensure_images(cache: Path, toolchain: Toolchain, progress: Progress) -> dict[str, Image]:
    """Build the images that the cache does not have.

    Args:
        cache: The cache directory.
        toolchain: Programs that go into images.
        progress: Shows what is being made.

    Returns:
        The images `pause`, `pilot`, `proxyv2` and `greeter`.

    Raises:
        StageError: A package or a wheel could not be fetched.
    """
    kept = _Cache(folder=cache, progress=progress)
    return {
        "pause": _pause_image(kept, toolchain),
        "pilot": _pilot_image(kept, toolchain),
        "proxyv2": _proxy_image(kept, toolchain),
        "greeter": _greeter_image(cache, progress),
    }


def prepare_images(cache: Path, progress: Progress) -> None:
    """Build what of the images needs no built program, so that it can be done while those are built.

    Args:
        cache: The cache directory.
        progress: Shows what is being made.

    Raises:
        StageError: A package or a wheel could not be fetched.
    """
    _proxy_base(_Cache(folder=cache, progress=progress))
    _greeter_image(cache, progress)


def _greeter_image(cache: Path, progress: Progress) -> Image:
    return python_app_image(
        "stage.local/greeter",
        tag=None,
        source=GREETER_SOURCE,
        entry=f"/{APP_FOLDER}/greeter.py",
        cache=cache,
        progress=progress,
    )


def python_app_image(name: str, *, tag: str | None, source: Path, entry: str, cache: Path, progress: Progress) -> Image:
    """Return the image of a Python application, built if the cache does not have it.

    Args:
        name: Image name, e.g. ``"stage.local/greeter"``.
        tag: Image tag; None makes one that changes with the content.
        source: Folder with the application's files, packages in it included, and its `requirements.txt`.
        entry: Path of the script in the image, below ``/app``.
        cache: The cache directory.
        progress: Shows what is being made.

    Raises:
        StageError: A package or a wheel could not be fetched.
    """
    kept = _Cache(folder=cache, progress=progress)
    base = kept.layer(
        "python",
        debian_recipe(_PYTHON_PACKAGES),
        lambda archive: write_debian_layer(archive, _PYTHON_PACKAGES, log=kept.log("python")),
        usual_seconds=20,
    )
    title = name.rpartition("/")[2]
    requirements = source / "requirements.txt"
    packages = kept.layer(
        f"{title}-packages",
        [requirements.read_text(encoding="utf-8"), base.digest],
        lambda archive: _write_packages(archive, requirements, base, kept.log(f"{title}-packages")),
        usual_seconds=10,
    )
    files = {
        file.relative_to(source).as_posix(): file.read_bytes()
        for file in sorted(source.rglob("*"))
        if _belongs_in_image(file, source)
    }
    digests = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
    own = kept.layer(title, digests, lambda archive: _write_application(archive, files))
    environment = {
        "PYTHONPATH": f"/{APP_FOLDER}",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    config = ImageConfig(entry=("/usr/bin/python3", entry), user=APP_USER, environment=environment)
    return kept.image(name, tag, config, (base, packages, own))


def _belongs_in_image(file: Path, source: Path) -> bool:
    path = file.relative_to(source)
    return file.is_file() and str(path) not in _NOT_IN_IMAGE and "__pycache__" not in path.parts


def _write_packages(archive: Path, requirements: Path, base: Layer, log: Path) -> None:
    target = archive.parent / "packages"
    target.mkdir()
    python = TargetPython(version=python_version_in(base.archive))
    install_wheels(requirements, target, log=log, python=python)
    layer = Files()
    layer.add_tree(APP_FOLDER, target)
    layer.write(archive)
    shutil.rmtree(target)


def _write_application(archive: Path, files: dict[str, bytes]) -> None:
    layer = Files()
    # What a container that runs without root rights and with a read-only file system expects.
    layer.add_file("etc/passwd", users_file(["nonroot:x:65532:65532:nonroot:/:/usr/sbin/nologin"]))
    layer.add_file("etc/group", groups_file({"nonroot": 65532}))
    layer.add_folder("tmp", mode=0o1777)
    for name, content in files.items():
        layer.add_file(f"{APP_FOLDER}/{name}", content)
    layer.write(archive)


def _pause_image(kept: _Cache, toolchain: Toolchain) -> Image:
    program = toolchain.program("pause")

    def write(archive: Path) -> None:
        layer = Files()
        layer.add_file("pause", program, mode=0o755)
        layer.write(archive)

    name, _, tag = PAUSE_IMAGE.partition(":")
    layer = kept.layer("pause", program.parents[1].name, write)
    return kept.image(name, tag, ImageConfig(entry=("/pause",), user=APP_USER), (layer,))


def _pilot_image(kept: _Cache, toolchain: Toolchain) -> Image:
    program = toolchain.program("pilot-discovery")

    def write(archive: Path) -> None:
        layer = _proxy_user_files()
        layer.add_file("usr/local/bin/pilot-discovery", program, mode=0o755)
        layer.add_folder("etc/ssl/certs")
        layer.add_folder("var/run")
        layer.write(archive)

    layer = kept.layer("pilot", program.parents[1].name, write)
    user = f"{_PROXY_USER}:{_PROXY_USER}"
    config = ImageConfig(entry=("/usr/local/bin/pilot-discovery",), user=user)
    return kept.image(f"{ISTIO_HUB}/pilot", ISTIO_VERSION, config, (layer,))


def _proxy_base(kept: _Cache) -> Layer:
    return kept.layer(
        "proxy-base",
        debian_recipe(_PROXY_PACKAGES),
        lambda archive: write_debian_layer(archive, _PROXY_PACKAGES, log=kept.log("proxy-base")),
        usual_seconds=20,
    )


def _proxy_image(kept: _Cache, toolchain: Toolchain) -> Image:
    base = _proxy_base(kept)
    agent, envoy = toolchain.program("pilot-agent"), toolchain.program("envoy")

    def write(archive: Path) -> None:
        layer = _proxy_user_files()
        layer.add_file("usr/local/bin/pilot-agent", agent, mode=0o755)
        layer.add_file("usr/local/bin/envoy", envoy, mode=0o755)
        # The packages' scripts did not run, so the alternatives of iptables are set here.
        for command in ("iptables", "ip6tables"):
            for suffix in ("", "-save", "-restore"):
                layer.add_link(f"usr/sbin/{command}{suffix}", "xtables-nft-multi")
        template = "var/lib/istio/envoy/envoy_bootstrap_tmpl.json"
        layer.add_file(template, toolchain.envoy_bootstrap)
        for folder in ("var/lib/istio/envoy", "var/lib/istio/data", "etc/istio/proxy"):
            layer.add_folder(folder, mode=0o775, owner=_PROXY_USER)
        layer.write(archive)

    layer = kept.layer("proxy", [agent.parents[1].name, envoy.parents[1].name], write)
    config = ImageConfig(entry=("/usr/local/bin/pilot-agent",))
    return kept.image(f"{ISTIO_HUB}/proxyv2", ISTIO_VERSION, config, (base, layer))


def _proxy_user_files() -> Files:
    files = Files()
    files.add_file("etc/passwd", users_file([f"istio-proxy:x:{_PROXY_USER}:{_PROXY_USER}::/:/bin/sh"]))
    files.add_file("etc/group", groups_file({"istio-proxy": _PROXY_USER}))
    files.add_folder("tmp", mode=0o1777)
    return files
