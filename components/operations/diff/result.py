"""The result of a comparison."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique

from ..recording import Damage
from .differences import Change
from .tally import Example


@unique
class Standing(StrEnum):
    """What is known about a field that differs."""

    FINDING = "finding"
    """It differs on the mirror significantly more often than it varies by itself."""
    NOISE = "noise"
    """It differs no more often than it varies by itself, as far as these pairs can tell."""
    UNTESTED = "untested"
    """It differs, and there is no baseline that tells how much it varies by itself."""


@dataclass(frozen=True, kw_only=True)
class FieldResult:
    """One way in which one field of one endpoint differs."""

    endpoint: str
    field: str
    change: Change
    standing: Standing
    pairs: int
    differing: int
    baseline_pairs: int
    baseline_differing: int
    interval: tuple[float, float]
    """95 % confidence interval of the mirror's rate."""
    baseline_interval: tuple[float, float]
    p_value: float | None
    """Of Fisher's exact test, one-sided; for durations without a baseline of the sign test; for copies of the binomial
    test. ``None`` where nothing can be tested."""
    adjusted_p_value: float | None
    """Corrected for all fields tested (Holm)."""
    examples: tuple[Example, ...]

    @property
    def rate(self) -> float:
        """Share of pairs in which it differs, 0 to 1."""
        return self.differing / self.pairs if self.pairs else 0.0

    @property
    def baseline_rate(self) -> float:
        """Share of baseline pairs in which it differs, 0 to 1."""
        return self.baseline_differing / self.baseline_pairs if self.baseline_pairs else 0.0


@dataclass(frozen=True, kw_only=True)
class EndpointResult:
    """One endpoint."""

    endpoint: str
    primary: int
    """Answers of the primary, with and without a partner."""
    pairs: int
    baseline_pairs: int
    differing_pairs: int
    """Pairs in which any field differs, noise included."""
    uncompared: Mapping[str, int]
    """Pairs whose bodies or messages could not be compared, by reason."""
    baseline_uncompared: int
    primary_p50_ms: float | None
    primary_p99_ms: float | None
    mirror_p50_ms: float | None
    mirror_p99_ms: float | None
    can_tell: bool
    """Whether there are enough pairs to find even a field that always differs."""


@dataclass(frozen=True, kw_only=True)
class DiffResult:
    """The whole comparison."""

    pairs: int
    baseline_pairs: int
    unpaired: int
    """Mirror answers without a primary one."""
    unanswered: int
    """Primary answers without a mirror one: not mirrored, not recorded, or lost."""
    ignored_pairs: int
    """Pairs of endpoints of which no field is compared, because somebody said so of all."""
    surplus: int
    """Mirror answers beyond the primary's to the same request."""
    without_id: int
    sampled_out: int
    level: float
    """Bound on the probability of any false finding in the whole comparison."""
    has_baseline: bool
    fields: tuple[FieldResult, ...]
    """Every field that differs: findings first, then untested ones, then noise; each by significance, then rate."""
    endpoints: tuple[EndpointResult, ...]
    """Busiest first."""
    clock_offset_ms: float | None
    """Median start at the mirror minus that at the primary: the way between them and the skew of their clocks."""
    overflowed: bool
    """True when there were too many endpoints or fields to tell all apart."""
    damage: tuple[Damage, ...]

    @property
    def findings(self) -> tuple[FieldResult, ...]:
        """Fields that differ and are not known to be noise."""
        return tuple(field for field in self.fields if field.standing is not Standing.NOISE)

    @property
    def noise(self) -> tuple[FieldResult, ...]:
        """Fields that vary by themselves."""
        return tuple(field for field in self.fields if field.standing is Standing.NOISE)

    @property
    def uncompared(self) -> int:
        """Pairs whose bodies or messages could not be compared."""
        return sum(sum(endpoint.uncompared.values()) for endpoint in self.endpoints)

    @property
    def undecided(self) -> tuple[EndpointResult, ...]:
        """Endpoints where something differs, in too few pairs to tell it from noise."""
        return tuple(one for one in self.endpoints if one.pairs and one.differing_pairs and not one.can_tell)

    @property
    def without_copies(self) -> tuple[EndpointResult, ...]:
        """Endpoints of which the mirror has no answer at all."""
        return tuple(one for one in self.endpoints if not one.pairs)

    @property
    def compares_nothing(self) -> bool:
        """Whether all that there is was not to be compared."""
        return self.ignored_pairs == self.pairs

    @property
    def exit_code(self) -> int:
        """0: no difference; 1: differences, or damage; 2: too few pairs to tell, or something was not compared."""
        if self.findings or self.damage:
            return 1
        doubts = (self.undecided, self.uncompared, self.without_id, self.overflowed, self.compares_nothing)
        return 2 if any(doubts) else 0
