"""Writes ``docs/policies.md`` from the rules: ``python -m policies.documents``."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

import yaml

from components.model.rules.registry import WAIVED_UNTIL, WAIVER

from .adaptors import LEVELS, NOT_JUDGED, WAIVERS_IN_FORCE, AnyRule
from .pack import ONE_OBJECT, every_rule
from .parameters import WAIVER_TEXT, parameters_of
from .remedies import REMEDIES
from .rules.registry import ResourceRule

HERE: Final = Path(__file__).resolve().parent
TARGET: Final = HERE.parent / "docs" / "policies.md"


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


def render() -> str:
    """The document."""
    examples = read_examples()
    rules = every_rule()
    parts = [_INTRODUCTION, _overview(rules), *(_section(rule, examples[rule.id]) for rule in rules), _LISTS]
    return "\n".join(parts)


_INTRODUCTION: Final = f"""<!-- Written by `python -m policies.documents` from the rules. -->
# Policies

The pack in `policies/` judges the resources of any Pulumi program: Istio's and the Gateway API's routes, the objects
below them, and the clusters. It reads the content of Kubernetes objects, so the program need not use this library.

    pulumi preview --policy-pack policies --policy-pack-config policies.json

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
`{WAIVER}<rule>` with the reason and `{WAIVED_UNTIL}<rule>` with the end.
A guard that a component waives ends with its mirror.
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


def _overview(rules: Iterable[AnyRule]) -> str:
    lines = ["| policy | what must hold | level |", "|---|---|---|"]
    lines += [f"| [{rule.id}](#{rule.id}) | {rule.title} | {LEVELS[rule.severity].value} |" for rule in rules]
    return "\n".join([*lines, ""])


def _section(rule: AnyRule, example: Example) -> str:
    return "\n".join([f"## {rule.id}", *_facts(rule), "", *_example(example)])


def _facts(rule: AnyRule) -> Iterator[str]:
    level = LEVELS[rule.severity].value + (", remediate on request" if rule.id in REMEDIES else "")
    yield f"{rule.title}.\n"
    yield f"* Why: {rule.why}"
    yield f"* Source: {rule.source}"
    yield f"* Remedy: {rule.remedy}."
    yield f"* Level: {level}. Judged on {_reach(rule)}."
    for parameter in parameters_of(rule.id):
        yield f"* Setting `{parameter.name}`: {parameter.text}"


def _reach(rule: AnyRule) -> str:
    alone = isinstance(rule, ResourceRule) or rule.id in ONE_OBJECT
    return "each object" if alone else "the whole stack"


def _example(example: Example) -> Iterator[str]:
    settings = f", with the settings `{dict(example.config)}`" if example.config else ""
    for heading, documents in ((f"Refused{settings}", example.refused), ("Accepted", example.accepted)):
        for cluster, text in documents.items():
            where = f" (cluster {cluster})" if cluster else ""
            yield f"{heading}{where}:\n\n```yaml\n{text}```\n"


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
