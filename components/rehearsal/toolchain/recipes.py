"""What is built, from which module, how. Pure data: a change here changes the key of the cached part."""

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

GO_SOURCES = Path(__file__).parent / "go"
"""One folder per part: `go.mod` and `go.sum` pin every module by content, `main.go` where we need our own."""

KUBERNETES_VERSION = "1.35.8"
"""The last minor line whose kubelet accepts containerd 1.x, which Debian 12 has (Kubernetes 1.35 release notes)."""

ISTIO_VERSION = "1.31.0"
"""Version that istiod reports. The module is pinned by commit in `go/istio/go.mod`: its tags are no module versions."""

ISTIO_HUB = "stage.local/istio"
"""Image repository that istiod and the charts name; no registry answers there, the images are imported."""

KINE_VERSION = "0.16.4"
HELM_VERSION = "3.22.0"
COREDNS_VERSION = "1.15.0"
PULUMI_VERSION = "3.259.0"
ENVOY_VERSION = "1.39.3"
PAUSE_VERSION = "1"


@dataclass(frozen=True, kw_only=True)
class GoProgram:
    """One binary of a part."""

    name: str
    """File name of the binary."""
    package: str = "."
    """Import path, or ``"."`` for the part's own `main.go`."""
    tags: tuple[str, ...] = ()
    """Build tags."""
    stamps: Mapping[str, str] = field(default_factory=dict[str, str])
    """Variables set by the linker, name to value."""

    def build_arguments(self, output: Path) -> tuple[str, ...]:
        """Return the arguments of ``go build`` that make this binary in the folder `output`."""
        linker = " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in self.stamps.items())])
        tags = ("-tags", ",".join(self.tags)) if self.tags else ()
        return ("-trimpath", *tags, "-ldflags", linker, "-o", str(output / self.name), self.package)


@dataclass(frozen=True, kw_only=True)
class GoPart:
    """Binaries that are built from one module graph."""

    name: str
    """Name of the part and of its folder below `go/`."""
    version: str
    programs: tuple[GoProgram, ...]
    usual_seconds: float
    """Usual build time with empty caches on two cores, downloads included. Measured."""
    links: tuple[str, ...] = ()
    """Further names of the first program, which looks at the name it is started by."""
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    """Files or folders copied from the module `module`: path in the part to path in the module."""
    module: str = ""
    """Module that `files` come from."""

    @property
    def source(self) -> Path:
        """Folder with `go.mod`, `go.sum` and perhaps `main.go`."""
        return GO_SOURCES / self.name

    def key(self) -> str:
        """Return the name of the cached folder: part, version, hash of the whole recipe."""
        recipe = asdict(self)
        recipe.pop("usual_seconds")
        sources = {file.name: file.read_text(encoding="utf-8") for file in sorted(self.source.iterdir())}
        return cache_key(self.name, self.version, {"recipe": recipe, "sources": sources})


def cache_key(name: str, version: str, recipe: object) -> str:
    """Return ``<name>-<version>-<hash>``; the hash covers the recipe and the processor architecture."""
    text = json.dumps([platform.machine(), recipe], sort_keys=True)
    return f"{name}-{version}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _kubernetes_stamps() -> dict[str, str]:
    # Helm and Istio read the server's version and misjudge one that was not stamped.
    major, minor, _ = KUBERNETES_VERSION.split(".")
    values = {
        "gitVersion": f"v{KUBERNETES_VERSION}",
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
    }
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return {f"{package}.{name}": value for package in packages for name, value in values.items()}


_ISTIO_STAMPS = {
    "istio.io/istio/pkg/version.buildVersion": ISTIO_VERSION,
    "istio.io/istio/pkg/version.buildTag": ISTIO_VERSION,
    "istio.io/istio/pkg/version.buildHub": ISTIO_HUB,
    "istio.io/istio/pkg/version.buildStatus": "Clean",
}

KUBERNETES = GoPart(
    name="kubernetes",
    version=KUBERNETES_VERSION,
    programs=(GoProgram(name="hyperkube", stamps=_kubernetes_stamps()),),
    links=(
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubelet",
        "kube-proxy",
        "kubectl",
    ),
    usual_seconds=330,
)
ISTIO = GoPart(
    name="istio",
    version=ISTIO_VERSION,
    programs=(
        # Build tags as in Istio's own release build (Makefile.core.mk).
        GoProgram(
            name="pilot-discovery",
            package="istio.io/istio/pilot/cmd/pilot-discovery",
            tags=("vtprotobuf", "disable_pgv"),
            stamps=_ISTIO_STAMPS,
        ),
        GoProgram(
            name="pilot-agent",
            package="istio.io/istio/pilot/cmd/pilot-agent",
            tags=("agent", "disable_pgv", "grpcnotrace", "retrynotrace"),
            stamps=_ISTIO_STAMPS,
        ),
    ),
    usual_seconds=300,
    module="istio.io/istio",
    files={
        "charts": "manifests/charts",
        "envoy_bootstrap.json": "tools/packaging/common/envoy_bootstrap.json",
    },
)
KINE = GoPart(
    name="kine",
    version=KINE_VERSION,
    programs=(GoProgram(name="kine", package="github.com/k3s-io/kine"),),
    usual_seconds=85,
)
HELM = GoPart(
    name="helm",
    version=HELM_VERSION,
    programs=(GoProgram(name="helm", package="helm.sh/helm/v3/cmd/helm"),),
    usual_seconds=110,
)
COREDNS = GoPart(name="coredns", version=COREDNS_VERSION, programs=(GoProgram(name="coredns"),), usual_seconds=150)
PAUSE = GoPart(name="pause", version=PAUSE_VERSION, programs=(GoProgram(name="pause"),), usual_seconds=2)
PULUMI = GoPart(
    name="pulumi",
    version=PULUMI_VERSION,
    programs=(
        GoProgram(
            name="pulumi",
            package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
            tags=("osusergo", "grpcnotrace"),
            stamps={"github.com/pulumi/pulumi/sdk/v3/go/common/version.Version": f"v{PULUMI_VERSION}"},
        ),
    ),
    usual_seconds=235,
)

GO_PARTS = (PAUSE, KINE, HELM, COREDNS, PULUMI, ISTIO, KUBERNETES)
"""Every part built by Go, short ones first, so that a broken network or tool shows early."""
