"""Waivers that objects carry: whether one is in force, and if not, why."""

from datetime import datetime, timedelta
from typing import Final

from ..annotations import EXPIRES, WAIVE, WAIVED_UNTIL
from ..errors import ValidationError
from ..safety import Expiry, Waiver
from .nodes import NotJudgedError
from .objects import KubeObject
from .settings import RuleSettings


def waived(subject: KubeObject, rule_id: str, now: datetime | None, settings: RuleSettings) -> tuple[str, str]:
    """Reason of a waiver that holds now, else what is wrong with it; both empty where there is none."""
    try:
        given = subject.annotation(f"{WAIVE}{rule_id}").strip()
        until = subject.annotation(f"{WAIVED_UNTIL}{rule_id}") or subject.annotation(EXPIRES)
    except NotJudgedError:
        return "", ""
    if not given:
        return "", ""
    try:
        Waiver(reason=given)
    except ValidationError as error:
        return "", f"its reason {error.rule}"
    fault = waiver_fault(until, now, settings.max_waiver_days)
    return ("", fault) if fault else (given, "")


_CENTURY: Final = 36_500
"""Days; a longer bound would reach beyond the last date there is."""


def waiver_fault(until: str, now: datetime | None, max_days: float | None) -> str:
    """Why a waiver with the end ``until`` is not in force; empty when it is.

    Args:
        until: Its end as it is written; empty for none.
        now: Current time with a zone; None when ends are not to be judged.
        max_days: Longest time to its end, in days; None for no bound.
    """
    if not until:
        return "it has no end"
    try:
        end = Expiry.parse(until)
    except ValidationError:
        return f"its end {until!r} cannot be read"
    if now and end.has_passed(now):
        return f"it ended with {end}"
    if now and max_days is not None and not end.has_passed(now + timedelta(days=min(max_days, _CENTURY))):
        return f"it ends with {end}, more than {max_days:g} days from now"
    return ""
