"""When Google may upgrade a cluster, and how new its versions are. No Pulumi resources."""

from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

from ...argument_types import check_types
from ...model import ValidationError
from ..counts import check_whole

_SHORTEST_HOURS: Final = 4
_LEAST_HOURS_IN_32_DAYS: Final = 48
"""Source of both: https://cloud.google.com/kubernetes-engine/docs/concepts/maintenance-windows-and-exclusions."""

_FIRST_DAY: Final = "2026-01-05"
"""A Monday. Only the hours of the first window matter, so the date is fixed; another one would show as a change."""


@unique
class ReleaseChannel(StrEnum):
    """How soon after its release a Kubernetes version arrives. A cluster without a channel cannot be asked for.

    Source: https://cloud.google.com/kubernetes-engine/docs/concepts/release-channels.
    """

    RAPID = "RAPID"
    REGULAR = "REGULAR"
    STABLE = "STABLE"
    EXTENDED = "EXTENDED"
    """Minor versions for up to 24 months, for an additional fee."""


@unique
class Weekday(StrEnum):
    """Days as RFC 5545 names them."""

    MONDAY = "MO"
    TUESDAY = "TU"
    WEDNESDAY = "WE"
    THURSDAY = "TH"
    FRIDAY = "FR"
    SATURDAY = "SA"
    SUNDAY = "SU"


@dataclass(frozen=True, kw_only=True)
class MaintenanceWindow:
    """Hours of the week in which Google may upgrade control plane and nodes."""

    days: tuple[Weekday, ...] = (Weekday.MONDAY, Weekday.TUESDAY, Weekday.WEDNESDAY, Weekday.THURSDAY)
    """Days on which the window opens. Default: before working days, so that somebody is there the next morning."""
    start_hour_utc: int = 2
    """Hour in UTC, 0 to 23, at which it opens."""
    hours: int = 4
    """Length in hours, 4 to 24. All windows of 32 days must sum up to 48 hours at least."""

    def __post_init__(self) -> None:
        """Check the window against GKE's minimum.

        Raises:
            ValidationError: A value is out of range, or the window is too short in sum.
        """
        check_types(self, within="maintenance")
        if not self.days or len(set(self.days)) != len(self.days):
            raise ValidationError(
                field="maintenance.days",
                value=[day.value for day in self.days],
                rule="must name at least one day, each once",
                remedy="Name the days on which the window opens",
            )
        check_whole(self.start_hour_utc, field="maintenance.start_hour_utc", least=0, most=23)
        check_whole(self.hours, field="maintenance.hours", least=_SHORTEST_HOURS, most=24)
        least = 32 // 7 * len(self.days) * self.hours
        if least < _LEAST_HOURS_IN_32_DAYS:
            raise ValidationError(
                field="maintenance.hours",
                value=self.hours,
                rule=f"gives {least} hours in 32 days, but GKE needs {_LEAST_HOURS_IN_32_DAYS}",
                remedy="Add days or hours",
            )

    @property
    def start_time(self) -> str:
        """Begin of the first window, RFC 3339."""
        return f"{_FIRST_DAY}T{self.start_hour_utc:02}:00:00Z"

    @property
    def end_time(self) -> str:
        """End of the first window, RFC 3339; on the next day where it passes midnight."""
        days, hour = divmod(self.start_hour_utc + self.hours, 24)
        year_month, day = _FIRST_DAY.rsplit("-", 1)
        return f"{year_month}-{int(day) + days:02}T{hour:02}:00:00Z"

    @property
    def recurrence(self) -> str:
        """When it recurs, RFC 5545."""
        chosen = ",".join(day.value for day in Weekday if day in self.days)
        return f"FREQ=WEEKLY;BYDAY={chosen}"
