"""The documentation of the rules, made from the registry."""

from typing import Final

from .catalogue import SECTIONS
from .registry import Rule

HEAD: Final = """\
# Rules

What must hold for mirrors, whoever wrote them. `traffic-mirror check` judges files, stacks and live clusters by these
rules; the policy pack judges deployments by them, and the components what they render.

To accept a breach, annotate the object with the rule's id and a reason of at least ten characters:
`pulumi-traffic-mirror/waive.<rule>: <reason>`. It is still listed, and fails nothing. With
`pulumi-traffic-mirror/waived-until.<rule>: <date or time>` beside it, it fails again afterwards.

An error hurts or keeps copies from arriving; a warning breaks with the next change; a notice fails nothing. A rule of
scope *route* judges the objects of one mirrored service, *cluster* needs all objects of a cluster, *clusters* those of
both ends. A mirror with a share of 0 goes to nobody, so only its form is judged.

This page is made from the registry: `python -m components.model.rules.documentation > docs/rules.md`.
"""


def rules_page() -> str:
    """The page in Markdown: for each section a table, then each rule."""
    parts = [HEAD]
    for title, rules in SECTIONS.items():
        parts.append(f"\n## {title}\n\n| rule | severity | scope | what must hold |\n|---|---|---|---|\n")
        parts += [f"| [{rule.id}](#{rule.id}) | {rule.severity} | {rule.scope} | {rule.title} |\n" for rule in rules]
        parts += [_section(rule) for rule in rules]
    return "".join(parts)


def _section(rule: Rule) -> str:
    return (
        f"\n### {rule.id}\n\n{rule.title}. ({rule.severity.capitalize()}, scope {rule.scope}.)\n\n"
        f"Why: {rule.why}\n\nRemedy: {rule.remedy}.\n\nSource: {rule.source.rstrip('.')}.\n"
    )


if __name__ == "__main__":
    print(rules_page(), end="")
