"""The options of ``rehearse`` that name clusters which exist."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import yaml

from ..model import JsonValue, ValidationError
from ..rehearsal.scenario import STAGING, TESTING, RehearsalCluster
from ..yamlreading import UNREADABLE
from .options import input_file

SECTIONS: Final = ("istio", "gateway")
"""Sections of the program's configuration that ``--settings`` may have."""


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """What the user said about clusters; fields are named like the options."""

    staging: Path | None
    testing: Path | None
    staging_context: str
    testing_context: str
    greeter_image: str
    settings: Path | None

    def clusters(self) -> tuple[RehearsalCluster, RehearsalCluster] | None:
        """Return the clusters that exist, or None when none is named: an embedded stage is wanted.

        Raises:
            ValidationError: Something is missing, unreadable, or makes no sense together.
        """
        if self.staging is None and self.testing is None:
            self._refuse_lonely()
            return None
        if self.staging is None or self.testing is None:
            raise ValidationError(
                field="--testing" if self.testing is None else "--staging",
                value=None,
                rule="must be given together with the other one",
                remedy="Give both kubeconfigs, or neither to build the clusters on this machine",
            )
        if not self.greeter_image:
            raise ValidationError(
                field="--greeter-image",
                value=self.greeter_image,
                rule="must name an image that both clusters can pull",
                remedy="Build it from the Dockerfile of the sample service, push it, and give its reference",
            )
        if (self.staging.resolve(), self.staging_context) == (self.testing.resolve(), self.testing_context):
            raise ValidationError(
                field="--testing",
                value=str(self.testing),
                rule="must be another cluster than --staging, or a mirror would call itself",
                remedy="Give another kubeconfig, or another --testing-context",
            )
        sections = _read_sections(self.settings)
        return (
            self._cluster(STAGING, self.staging, self.staging_context, sections),
            self._cluster(TESTING, self.testing, self.testing_context, sections),
        )

    def _cluster(
        self, role: str, kubeconfig: Path, context: str, sections: Mapping[str, Mapping[str, JsonValue]]
    ) -> RehearsalCluster:
        return RehearsalCluster(
            role=role,
            kubeconfig=str(input_file(kubeconfig, option=f"--{role}").resolve()),
            context=context,
            greeter_image=self.greeter_image,
            istio=sections.get("istio", {}),
            gateway=sections.get("gateway", {}),
        )

    def _refuse_lonely(self) -> None:
        """Refuse options that would be without effect on an embedded stage."""
        given = {
            "--staging-context": self.staging_context,
            "--testing-context": self.testing_context,
            "--greeter-image": self.greeter_image,
            "--settings": str(self.settings or ""),
        }
        for option, value in given.items():
            if value:
                raise ValidationError(
                    field=option,
                    value=value,
                    rule="needs --staging and --testing",
                    remedy="Give both kubeconfigs, or drop it to build the clusters on this machine",
                )


def _read_sections(file: Path | None) -> Mapping[str, Mapping[str, JsonValue]]:
    """Return the program's sections that a file of settings has."""
    if file is None:
        return {}
    try:
        found: object = yaml.safe_load(input_file(file, option="--settings").read_text(encoding="utf-8"))
    except UNREADABLE:
        found = None
    sections: Mapping[object, object] = cast("Mapping[object, object]", found) if isinstance(found, Mapping) else {}
    fits = all(name in SECTIONS and isinstance(section, Mapping) for name, section in sections.items())
    if not sections or not fits:
        raise ValidationError(
            field="--settings",
            value=str(file),
            rule=f"must be a YAML file with the objects {' and '.join(SECTIONS)}, or one of them",
            remedy="Write them as in the program's stack configuration",
        )
    return cast("Mapping[str, Mapping[str, JsonValue]]", sections)
