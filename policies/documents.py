"""Writes the pages of the rules: ``python -m pulumi_traffic_mirror_policies.documents``.

A rule has one page: ``docs/rules.md`` if it is the model's, which the command line, the components and the pack share,
else ``docs/policies.md``.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

import yaml

from pulumi_traffic_mirror.model.annotations import WAIVE, WAIVED_UNTIL
from pulumi_traffic_mirror.model.rules import RULES, Rule
from pulumi_traffic_mirror.model.rules.catalogue import SECTIONS
from pulumi_traffic_mirror.model.rules.plans import PLAN_RULES

from .adaptors import LEVELS, NOT_JUDGED, WAIVERS_IN_FORCE, AnyRule
from .pack import every_rule
from .parameters import WAIVER_BOUNDS, WAIVER_TEXT, parameters_of
from .rules import MIRROR_RULES, RESOURCE_RULES
from .rules.registry import ResourceRule

HERE: Final = Path(__file__).resolve().parent
DOCS: Final = HERE.parent / "docs"


@dataclass(frozen=True, kw_only=True)
class Example:
    """What a rule refuses and accepts, as users would write it.

    Attributes:
        refused: YAML documents by the name of their cluster; the empty name where there is but one.
        accepted: The same, put right; empty for rules whose accepted form is what the library renders.
        config: Settings that the example needs.
    """

    refused: Mapping[str, str]
    accepted: Mapping[str, str] = field(default_factory=dict[str, str])
    config: Mapping[str, object] = field(default_factory=dict[str, object])


def read_examples() -> dict[str, Example]:
    """Examples of every rule, by its id."""
    found: dict[str, Example] = {}
    for path in sorted((HERE / "examples").glob("*.yaml")):
        written = cast("Mapping[str, Mapping[str, object]]", yaml.safe_load(path.read_text(encoding="utf-8")))
        for rule_id, example in written.items():
            found[rule_id] = Example(
                refused=_clusters(example["refused"]),
                accepted=_clusters(example.get("accepted", {})),
                config=cast("Mapping[str, object]", example.get("config", {})),
            )
    return found


def _clusters(given: object) -> Mapping[str, str]:
    return {"": given} if isinstance(given, str) else cast("Mapping[str, str]", given)


def pages() -> dict[str, str]:
    """The pages, by file name."""
    examples = read_examples()
    rules = [_RULES]
    for title, section in SECTIONS.items():
        rules += [f"## {title}\n", _overview(section), *(_section(rule, examples[rule.id]) for rule in section)]
    rules += ["## What a plan takes away\n", *(_section(rule) for rule in PLAN_RULES)]
    own = (*MIRROR_RULES, *RESOURCE_RULES)
    policies = [_INTRODUCTION, _overview(every_rule()), *(_section(rule, examples[rule.id]) for rule in own), _LISTS]
    return {"rules.md": "\n".join(rules), "policies.md": "\n".join(policies)}


_RULES: Final = f"""<!-- Written by `python -m pulumi_traffic_mirror_policies.documents` from the rules. -->
# Rules

What must hold for mirrors, whoever wrote them. `traffic-mirror check` judges files, stacks and live clusters by these
rules; [the policy pack](policies.md) judges deployments by them, and the components what they render.

To accept a breach for a while, annotate the object with the rule's id and a reason of at least ten characters and two
words, `{WAIVE}<rule>: <reason>`, and with an end, `{WAIVED_UNTIL}<rule>: <date or time>`, unless the object has one. It
is still listed, and fails nothing until then. `traffic-mirror check --max-waiver-days 30` bounds the end, and
`--no-object-waivers` forbids them.

An error hurts or keeps copies from arriving; a warning breaks with the next change; a notice fails nothing. A rule of
scope *route* judges the objects of one mirrored service, *cluster* needs all objects of a cluster, *clusters* those of
both ends, *plan* the output of `pulumi preview --json`. A mirror with a share of 0 goes to nobody, so only its form is
judged. Levels and settings are those of the policy pack.
"""

_BOUNDS: Final = " ".join(f"`{each.name}`: {each.text}" for each in WAIVER_BOUNDS)

_INTRODUCTION: Final = f"""<!-- Written by `python -m pulumi_traffic_mirror_policies.documents` from the rules. -->
# Policies

The pack judges the resources of any Pulumi program: Istio's and the Gateway API's routes, the objects
below them, and the clusters. It reads the content of Kubernetes objects, so the program need not use this library.

    pip install 'pulumi-traffic-mirror[cli,policy]'
    pulumi preview --policy-pack "$(traffic-mirror policies --path)" --policy-pack-config policies.json

`traffic-mirror policies` lists the pack.

Each rule is a policy of its own with a level: *mandatory* stops the deployment, *advisory* reports, *disabled* is
silent, and *remediate*, where a rule offers it, changes the resource. `policies.json` sets levels and settings:

    {{
      "mirror-percent-limit": {{"enforcementLevel": "mandatory", "maxPercentByStack": {{"staging": 10}}}},
      "mirror-percent-implicit": "disabled",
      "image-digest": {{"waivers": [{{"resource": "legacy", "reason": "is rebuilt by March", "until": "2027-03-31"}}]}}
    }}

The engine refuses wrong types and values, the pack refuses settings that it does not know.

**Waivers.** Every rule has the setting `waivers`. {WAIVER_TEXT}
After that day the rule holds again. An object may carry its waiver itself: the annotation
`{WAIVE}<rule>` with the reason and `{WAIVED_UNTIL}<rule>` with the end.
A guard that a component waives ends with its mirror. Every rule also has {_BOUNDS}
The policy `{WAIVERS_IN_FORCE}` lists every waiver in force.

**Previews.** What depends on a value that only the deployment knows is not judged, and the policy `{NOT_JUDGED}` lists
each such place with its rules; all other places are judged at their full level. The update judges the rest.

**One object or the whole stack.** Rules that one object decides are judged before the object is made. The others see
the whole stack: at the end of the preview, and again at the end of the update.
"""

_LISTS: Final = f"""## {WAIVERS_IN_FORCE}
Lists what breaks a rule and is waived, with reason and end. Level: advisory.

## {NOT_JUDGED}
Lists what a preview could not judge. Level: advisory; set it to mandatory to refuse such previews.
"""


def _page(rule: AnyRule) -> str:
    return "rules.md" if rule in RULES else ""


def _overview(rules: Iterable[AnyRule]) -> str:
    lines = ["| policy | what must hold | level |", "|---|---|---|"]
    lines += [
        f"| [{rule.id}]({_page(rule)}#{rule.id}) | {rule.title} | {LEVELS[rule.severity].value} |" for rule in rules
    ]
    return "\n".join([*lines, ""])


def _section(rule: AnyRule, example: Example | None = None) -> str:
    return "\n".join([f"### {rule.id}", *_facts(rule), "", *(_example(example) if example else ())])


def _facts(rule: AnyRule) -> Iterator[str]:
    level = LEVELS[rule.severity].value + (", remediate on request" if rule.repair else "")
    weight = f"{rule.severity}, scope {rule.scope}" if isinstance(rule, Rule) else rule.severity
    yield f"{rule.title}.\n"
    yield f"* Why: {rule.why}"
    yield f"* Source: {rule.source}"
    yield f"* Remedy: {rule.remedy}."
    if rule.repair:
        yield f"* Repair: {rule.repair}."
    if rule in PLAN_RULES:
        yield f"* Severity: {weight}. Judged by `traffic-mirror check`, not by the pack."
        return
    yield f"* Severity: {weight}. Level: {level}, judged on {_reach(rule)}."
    for parameter in parameters_of(rule):
        yield f"* Setting `{parameter.name}`: {parameter.text}"


def _reach(rule: AnyRule) -> str:
    alone = isinstance(rule, ResourceRule) or (isinstance(rule, Rule) and rule.decided_by)
    return "each object" if alone else "the whole stack"


def _example(example: Example) -> Iterator[str]:
    settings = f", with the settings `{dict(example.config)}`" if example.config else ""
    for heading, documents in ((f"Refused{settings}", example.refused), ("Accepted", example.accepted)):
        for cluster, text in documents.items():
            where = f" (cluster {cluster})" if cluster else ""
            yield f"{heading}{where}:\n\n```yaml\n{text}```\n"


if __name__ == "__main__":
    for name, page in pages().items():
        (DOCS / name).write_text(page, encoding="utf-8")
