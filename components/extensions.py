"""Rules of an organisation's own: what writes them, and what finds them.

A package that has an entry point of the group ``pulumi_traffic_mirror.rules`` adds its rules to ``traffic-mirror
check`` and to the policy pack, wherever it is installed beside them::

    [project.entry-points."pulumi_traffic_mirror.rules"]
    acme = "acme_mirror_rules:RULES"

The entry point names a :class:`Rule`, or rules in a tuple or list. A rule is a pure function over plain objects, made
by :func:`object_rule`; ``decided_by`` makes the pack judge each object before it is made.
"""

import re
from collections.abc import Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Final, cast

from .model import ValidationError
from .model.rules import PLAN_RULES, RULES, KubeObject, Rule, Scope, Severity
from .model.rules.registry import Case, Report, object_rule, problem

__all__ = [
    "GROUP",
    "Case",
    "KubeObject",
    "Report",
    "Rule",
    "Scope",
    "Severity",
    "object_rule",
    "own_rules",
    "problem",
]

GROUP: Final = "pulumi_traffic_mirror.rules"
"""Group of the entry points."""

_ID: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)+")


@cache
def own_rules() -> tuple[Rule, ...]:
    """The rules of all packages that are installed here, by their ids.

    Raises:
        ValidationError: An entry point cannot be imported or names no rules, or an id is malformed or taken.
    """
    found: dict[str, Rule] = {rule.id: rule for rule in (*RULES, *PLAN_RULES)}
    ours = len(found)
    for entry in sorted(entry_points(group=GROUP), key=lambda each: (each.name, each.value)):
        for rule in _rules_of(entry):
            if not _ID.fullmatch(rule.id) or rule.id in found:
                raise ValidationError(
                    field=_name(entry),
                    value=rule.id,
                    rule="must be an id that no other rule has, in lower case with a hyphen",
                    remedy="Begin it with your organisation, e.g. 'acme-mirrors-have-an-owner'",
                )
            found[rule.id] = rule
    return tuple(sorted(list(found.values())[ours:], key=lambda rule: rule.id))


def _name(entry: EntryPoint) -> str:
    return f"entry point {entry.name!r} of {entry.dist.name if entry.dist else 'a package'}"


def _rules_of(entry: EntryPoint) -> list[Rule]:
    """What an entry point names. It runs somebody's code, which may fail in any way."""
    try:
        loaded: object = entry.load()
    except Exception as error:
        raise ValidationError(
            field=_name(entry),
            value=entry.value,
            rule=f"must be importable ({type(error).__name__}: {error})",
            remedy="Mend or uninstall that package; without its rules nothing is judged",
        ) from error
    rules = [loaded] if isinstance(loaded, Rule) else loaded
    if isinstance(rules, Iterable):
        listed = list(cast("Iterable[object]", rules))
        if listed and all(isinstance(each, Rule) for each in listed):
            return cast("list[Rule]", listed)
    raise ValidationError(
        field=_name(entry),
        value=entry.value,
        rule=f"must name a Rule or a list of rules, and names {type(loaded).__name__}",
        remedy="Make rules by pulumi_traffic_mirror.extensions.object_rule",
    )
