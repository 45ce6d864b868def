"""What of a control plane decides how mirrors look: version, settings, and what it applies of EnvoyFilters."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final, Self, cast

from .checks import instance, listed
from .errors import ValidationError
from .values import text_of

_VERSION: Final = re.compile(r"(\d{1,3})\.(\d{1,3})(?:\.(\d{1,4}))?(?:-[0-9A-Za-z.-]+)?")


@unique
class AuthorityMode(StrEnum):
    """What the staging cluster's control plane does to the authority of a mirror."""

    PRESERVED = "preserved"
    """The client's authority unchanged; default of Istio >= 1.28."""
    SUFFIXED = "suffixed"
    """``-shadow`` appended before the port; Istio <= 1.27, or told so by environment or compatibility version."""


@dataclass(frozen=True, order=True)
class IstioVersion:
    """Version of a control plane, compared by number.

    Attributes:
        major: Always 1 today.
        minor: Release line, e.g. 31.
        patch: Patch level; 0 when the text names only the line.

    Raises:
        ValidationError: A part is no whole number.
    """

    major: int
    minor: int
    patch: int = 0

    def __post_init__(self) -> None:
        for name in ("major", "minor", "patch"):
            part: object = getattr(self, name)
            if isinstance(part, bool) or not isinstance(part, int) or part < 0:
                raise ValidationError(
                    field=name, value=part, rule="must be a whole number from 0", remedy="Use IstioVersion.parse(text)"
                )

    @classmethod
    def parse(cls, text: str, *, field: str = "istio_version") -> "IstioVersion":
        """Read ``"1.31"``, ``"1.31.0"`` or ``"1.31.0-rc.1"``.

        Raises:
            ValidationError: The text is no version.
        """
        found = _VERSION.fullmatch(text_of(text, field, "version", "1.31.0"))
        if not found:
            raise ValidationError(field=field, value=text, rule="must be a version", remedy="Write it as '1.31.0'")
        return cls(int(found[1]), int(found[2]), int(found[3] or 0))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


OLDEST_ISTIO: Final = IstioVersion(1, 26)
"""First line whose behaviour the rendering knows."""

NEWEST_ISTIO: Final = IstioVersion(1, 31)
"""Last line whose behaviour the rendering knows."""

_PRESERVES_AUTHORITY: Final = IstioVersion(1, 28)
_REPLACES_LISTS: Final = IstioVersion(1, 31)


def supported_istio(version: IstioVersion, *, field: str = "istio_version") -> IstioVersion:
    """Return ``version`` if this library knows its behaviour.

    Raises:
        ValidationError: The version is older or newer than those known.
    """
    if not OLDEST_ISTIO <= version < IstioVersion(NEWEST_ISTIO.major, NEWEST_ISTIO.minor + 1):
        raise ValidationError(
            field=field,
            value=str(version),
            rule=f"must be from {OLDEST_ISTIO.major}.{OLDEST_ISTIO.minor} to {NEWEST_ISTIO.major}.{NEWEST_ISTIO.minor}",
            remedy="Use a supported Istio version, or a release of this library that knows yours",
        )
    return version


PATCH_KINDS: Final = frozenset(
    {
        *("BOOTSTRAP", "CLUSTER", "EXTENSION_CONFIG", "FILTER_CHAIN", "HTTP_FILTER", "HTTP_ROUTE", "LISTENER"),
        *("LISTENER_FILTER", "NETWORK_FILTER", "ROUTE_CONFIGURATION", "VIRTUAL_HOST"),
    }
)
"""What patches of an EnvoyFilter may be applied to. Source: ApplyTo of Istio's EnvoyFilter."""

MANAGED_PATCHES: Final = ("HTTP_FILTER",)
"""What managed Cloud Service Mesh applies of EnvoyFilters.
Source: docs.cloud.google.com/service-mesh/docs/data-plane-extensibility."""

MANAGED_REVISIONS: Final = ("asm-managed", "asm-managed-rapid", "asm-managed-stable")
"""Revisions of managed Cloud Service Mesh, one for each channel."""

_GOOGLES_BUILD: Final = re.compile(r"-asm\b")


def known_patches(version: str, revision: str = "") -> tuple[str, ...] | None:
    """What a control plane that nobody installed in the cluster applies of EnvoyFilters; None for everything.

    Args:
        version: Its version; that of a build of Google's is e.g. ``1.28.3-asm.4``.
        revision: Its revision; managed ones are ``asm-managed``, ``asm-managed-rapid`` and ``asm-managed-stable``.
    """
    managed = _GOOGLES_BUILD.search(version) or revision.startswith("asm-managed")
    return MANAGED_PATCHES if managed else None


@dataclass(frozen=True, kw_only=True)
class IstioBehaviour:
    """What of a control plane decides how mirrors look.

    Attributes:
        version: Version of istiod.
        compatibility_version: Helm value ``compatibilityVersion``; None when unset.
        disable_shadow_host_suffix: istiod environment ``DISABLE_SHADOW_HOST_SUFFIX``; None when unset.
        patches: What it applies of EnvoyFilters, by ``applyTo``; None for everything. Managed meshes refuse or ignore
            the rest.

    Raises:
        ValidationError: Unsupported version, a compatibility version that is newer than the version, or a kind of
            patch that Istio does not know.
    """

    version: IstioVersion
    compatibility_version: IstioVersion | None = None
    disable_shadow_host_suffix: bool | None = None
    patches: Sequence[str] | None = None

    def __post_init__(self) -> None:
        instance(self.version, IstioVersion, field="version")
        instance(self.compatibility_version, IstioVersion, field="compatibility_version", optional=True)
        instance(self.disable_shadow_host_suffix, bool, field="disable_shadow_host_suffix", optional=True)
        supported_istio(self.version, field="version")
        if self.compatibility_version and self.compatibility_version > self.version:
            raise ValidationError(
                field="compatibility_version",
                value=str(self.compatibility_version),
                rule=f"must not be newer than the version {self.version}",
                remedy="Leave it out, or name an older release line",
            )
        if self.patches is not None:
            given = listed(self.patches, field="patches")
            for index, kind in enumerate(given):
                if not isinstance(kind, str) or kind not in PATCH_KINDS:
                    raise ValidationError(
                        field=f"patches[{index}]",
                        value=kind,
                        rule=f"must be one of {', '.join(sorted(PATCH_KINDS))}",
                        remedy="Write it as an EnvoyFilter's applyTo",
                    )
            object.__setattr__(self, "patches", tuple(cast("list[str]", given)))

    @classmethod
    def of_release(cls, text: str, *, field: str = "istio") -> Self:
        """Behaviour of a release as somebody declares it; of one such as ``1.28.3-asm.4`` that of a managed mesh.

        Raises:
            ValidationError: The text is no version, or none that the rendering knows.
        """
        try:
            return cls(version=IstioVersion.parse(text, field=field), patches=known_patches(text))
        except ValidationError as error:
            raise ValidationError(field=field, value=text, rule=error.rule, remedy=error.remedy) from None

    def patches_all(self, *kinds: str) -> bool:
        """Whether it applies patches of all of these kinds (``applyTo``) of an EnvoyFilter."""
        return self.patches is None or set(kinds) <= set(self.patches)

    @property
    def authority_mode(self) -> AuthorityMode:
        """What this control plane does to a mirror's authority; the environment wins over the compatibility version.

        Releases before 1.28 know no switch: they always append.
        """
        if self.version < _PRESERVES_AUTHORITY:
            return AuthorityMode.SUFFIXED
        if self.disable_shadow_host_suffix is not None:
            return AuthorityMode.PRESERVED if self.disable_shadow_host_suffix else AuthorityMode.SUFFIXED
        effective = self.compatibility_version or self.version
        return AuthorityMode.PRESERVED if effective >= _PRESERVES_AUTHORITY else AuthorityMode.SUFFIXED

    @property
    def scrubs_at_source(self) -> bool:
        """Whether an EnvoyFilter can replace a route's list of mirrors, so that headers go before the mirror leaves."""
        return self.version >= _REPLACES_LISTS and self.patches_all("HTTP_ROUTE")
