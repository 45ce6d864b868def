"""What definitions say of the fields of judged kinds: ``python -m tests.differential.shapes`` writes it.

Types, bounds, values and what is needed or excludes what; no text, no pattern and no expression of the definitions.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from pulumi_traffic_mirror.model.rules import shapes
from pulumi_traffic_mirror.model.rules.refusals import REFUSABLE
from pulumi_traffic_mirror.rehearsal.places import cache_directory
from pulumi_traffic_mirror.rehearsal.toolchain import OracleFiles, find_oracle

Schema = Mapping[str, Any]

BOUNDS: Final = {
    "enum": "values",
    "minimum": "least",
    "maximum": "most",
    "minLength": "shortest",
    "maxLength": "longest",
    "minItems": "fewest",
    "maxItems": "up_to",
    "required": "needs",
}
"""What bounds a field, with our name for it."""

_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_TOKENS: Final = "[A-Za-z0-9!#$%&'*+\\-.^_\\x60|~]+"
FORMS: Final = {
    f"^{_LABEL}$": "label",
    f"^{_LABEL}(\\.{_LABEL})*$": "name",
    f"^$|^{_LABEL}(\\.{_LABEL})*$": "group",
    f"^(\\*\\.)?{_LABEL}(\\.{_LABEL})*$": "host",
    "^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$": "kind",
    f"^{_TOKENS}$": "header",
    "^([0-9]{1,5}(h|m|s|ms)){1,4}$": "duration such as 1m30s",
}
"""Forms of texts by the patterns that definitions write for them; of other patterns nothing is known."""

_DURATION: Final = "duration(self) >= duration('1ms')"


def read(files: OracleFiles) -> dict[str, Any]:
    """The shapes of all kinds, each different one once and after those that it consists of."""
    made: dict[str, int] = {}
    schemas = _schemas(files)
    kinds = {name: _number(schema["properties"]["spec"], made) for name, schema in schemas}
    whole = [name for name, schema in schemas if "spec" in schema.get("required", ())]
    return {"kinds": dict(sorted(kinds.items())), "with_spec": sorted(whole), "shapes": list(map(json.loads, made))}


def _schemas(files: OracleFiles) -> list[tuple[str, Schema]]:
    found: list[tuple[str, Schema]] = []
    for path in files.definitions:
        for each in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            if each and each["kind"] == "CustomResourceDefinition":
                spec = each["spec"]
                native = spec["group"] == "gateway.networking.k8s.io" and spec["names"]["kind"] == "Gateway"
                kind = "KubernetesGateway" if native else spec["names"]["kind"]
                if kind in REFUSABLE:
                    found.append((kind, spec["versions"][0]["schema"]["openAPIV3Schema"]))
    return found


def _number(schema: Schema, made: dict[str, int]) -> int:
    """The number of a schema's shape, which is made where no other is like it."""
    shape: dict[str, Any] = {}
    if schema.get("x-kubernetes-int-or-string"):
        shape["type"] = "integer or string"
    elif "type" in schema:
        shape["type"] = schema["type"]
    shape |= {name: schema[key] for key, name in BOUNDS.items() if key in schema}
    if schema.get("nullable") or "default" in schema:
        shape["empty"] = True
    if any(rule["rule"] == _DURATION for rule in schema.get("x-kubernetes-validations", ())):
        shape["duration"] = True
    if form := FORMS.get(schema.get("pattern", "")):
        shape["form"] = form
    if excluded := _excluding(schema):
        shape["one_of"] = excluded
    if fields := schema.get("properties"):
        shape["fields"] = {name: _number(each, made) for name, each in sorted(fields.items())}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), Mapping):
            shape["each"] = _number(schema[key], made)
    return made.setdefault(json.dumps(shape, sort_keys=True), len(made))


def _excluding(schema: Schema) -> list[list[str]]:
    """Fields of which one alone may be given."""
    groups = [schema, *schema.get("allOf", ())]
    found = [[each["required"][0] for each in group.get("oneOf", ()) if "required" in each] for group in groups]
    return sorted(names for names in found if names)


def main() -> int:
    """Write them to where rules read them."""
    found = find_oracle(cache_directory())
    if found is None:
        raise SystemExit("build the tool chain first: make rehearsal")
    read_shapes = read(found)
    lines = ",\n".join(json.dumps(each, sort_keys=True) for each in read_shapes["shapes"])
    kinds, whole = json.dumps(read_shapes["kinds"]), json.dumps(read_shapes["with_spec"])
    Path(shapes.__file__).with_suffix(".json").write_text(
        f'{{"kinds": {kinds},\n"with_spec": {whole},\n"shapes": [\n{lines}\n]}}\n', encoding="utf-8"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
