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

COREDNS_VERSION = "1.14.7"
"""The newest that does not ask for newer Kubernetes libraries than the kubelet's: so they are compiled once."""

PULUMI_VERSION = "3.259.0"

PROVIDER_SDK_VERSION = "4.34.2"
"""Version of the Python SDK that the Kubernetes provider was tried with, and that its schema is given."""

PROVIDER_MODULE_VERSION = "4.0.0-20260115033456-f47bc2d6f199"
"""The provider's newest code that the module registry serves: between the releases 4.24 and 4.25."""

PROVIDER_SOURCE = "built from its code of 2026-01-15"
"""The same for people."""

ENVOY_VERSION = "1.39.3"
PAUSE_VERSION = "1"

COMMON_TAGS = ("disable_pgv", "grpcnotrace")
"""Build tags of the parts that are built with Kubernetes' libraries: a package is compiled once only if tags agree.

They leave out generated validators and a page of traces that nothing here reads.
"""

NO_DEBUGGING = "-gcflags=all=-dwarf=false"
"""Nothing here is debugged, and the linker would strip it: a tenth of the compiler's work."""


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
        return ("-trimpath", NO_DEBUGGING, *tags, "-ldflags", linker, "-o", str(output / self.name), self.package)


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
    """Module that `files` and `embedded` come from."""
    embedded: tuple[str, ...] = ()
    """Files of the module that the part's own `main.go` embeds; copied beside it for the build."""
    schema_version: str = ""
    """Version that is written into the embedded `schema.json`, which has none in the module."""
    replaced: Mapping[str, str] = field(default_factory=dict[str, str])
    """What nothing here uses and costs much: import path of a package, or of one file of it, to our own file below
    `replaced/` that takes its place. `go.mod` lists what is needed then: tidy a new version in the copy that a build
    makes; `go.sum` keeps the checksums of the modules that are copied."""

    @property
    def source(self) -> Path:
        """Folder with `go.mod`, `go.sum` and perhaps `main.go`."""
        return GO_SOURCES / self.name

    def key(self) -> str:
        """Return the name of the cached folder: part, version, hash of the whole recipe."""
        recipe = asdict(self)
        recipe.pop("usual_seconds")
        # Keys of parts without these fields stay what they were before the fields came.
        later = {"embedded", "schema_version", "replaced"}
        recipe = {name: value for name, value in recipe.items() if value or name not in later}
        files = sorted(file for file in self.source.rglob("*") if file.is_file())
        sources = {file.relative_to(self.source).as_posix(): file.read_text(encoding="utf-8") for file in files}
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
    programs=(GoProgram(name="hyperkube", tags=COMMON_TAGS, stamps=_kubernetes_stamps()),),
    links=(
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubelet",
        "kube-proxy",
        "kubectl",
    ),
    usual_seconds=165,
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
    usual_seconds=200,
    module="istio.io/istio",
    files={
        "charts": "manifests/charts",
        "envoy_bootstrap.json": "tools/packaging/common/envoy_bootstrap.json",
    },
)
ORACLE = GoPart(
    name="oracle",
    version=ISTIO_VERSION,
    # The tags of pilot-discovery: its packages come out of the build cache.
    programs=(GoProgram(name="oracle", tags=ISTIO.programs[0].tags, stamps=_ISTIO_STAMPS),),
    usual_seconds=240,
    module="istio.io/istio",
    files={
        "istio-crds.yaml": "manifests/charts/base/files/crd-all.gen.yaml",
        "gateway-api-crds.yaml": "tests/integration/pilot/testdata/gateway-api-crd.yaml",
    },
)
"""istiod's own parts in memory. No part of the stage: built when somebody asks for it."""
COREDNS = GoPart(
    name="coredns", version=COREDNS_VERSION, programs=(GoProgram(name="coredns", tags=COMMON_TAGS),), usual_seconds=105
)
PAUSE = GoPart(name="pause", version=PAUSE_VERSION, programs=(GoProgram(name="pause"),), usual_seconds=10)
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
    usual_seconds=150,
    # A rehearsal has its state in a folder and its secrets with a passphrase; the clouds' drivers were half the build.
    replaced={
        "github.com/pulumi/pulumi/pkg/v3/authhelpers": "authhelpers.go",
        "github.com/pulumi/pulumi/pkg/v3/operations/operations_aws.go": "operations_aws.go",
        "github.com/pulumi/pulumi/pkg/v3/operations/operations_gcp.go": "operations_gcp.go",
        "github.com/pulumi/pulumi/pkg/v3/secrets/cloud": "secrets_cloud.go",
        "gocloud.dev/blob/azureblob": "azureblob.go",
        "gocloud.dev/blob/gcsblob": "gcsblob.go",
        "gocloud.dev/blob/s3blob": "s3blob.go",
        "github.com/aws/aws-sdk-go-v2/service/s3": "s3.go",
    },
)

PROVIDER = GoPart(
    name="provider",
    version=PROVIDER_SDK_VERSION,
    programs=(
        GoProgram(
            name="pulumi-resource-kubernetes",
            tags=COMMON_TAGS,
            stamps={"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/version.Version": PROVIDER_SDK_VERSION},
        ),
        # The provider contains nearly all of Helm, so its command costs little more than a link.
        GoProgram(name="helm", package="helm.sh/helm/v3/cmd/helm", tags=COMMON_TAGS),
    ),
    usual_seconds=150,
    module="github.com/pulumi/pulumi-kubernetes/provider/v4",
    embedded=(
        "cmd/pulumi-resource-kubernetes/schema.json",
        "cmd/pulumi-resource-kubernetes/terraform-mapping.json",
    ),
    schema_version=PROVIDER_SDK_VERSION,
    replaced={"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/yaml/v2/kinds.go": "kinds.go"},
)

GO_PARTS = (PAUSE, COREDNS, PROVIDER, KUBERNETES, ISTIO, PULUMI)
"""Every part built by Go, short ones first, so that a broken network or tool shows early."""
