"""What definitions say of the fields of judged kinds: ``python -m tests.differential.shapes`` writes it.

Types, bounds, values and what is needed or excludes what; no text, no pattern and no expression of the definitions.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from pulumi_traffic_mirror.model.rules import shapes
from pulumi_traffic_mirror.model.rules.objects import GROUPS
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

SERVED_BEFORE: Final = {"GRPCRoute": ("v1alpha2",), "ReferenceGrant": ("v1alpha2",)}
"""Versions that an earlier release serves, from Istio 1.20 and the Gateway API 1.0 on, and the newest does no more.

Read of both channels' definitions in ``sigs.k8s.io/gateway-api`` 1.0.0 to 1.6.0 (``config/crd``), and of those in
``istio.io/api`` 1.20.0, of which the newest Istio serves all.
"""

LATER: Final = {
    "HTTPRoute.rules": "minItems",
    "HTTPRoute.rules[].retry.attempts": "minimum",
    "HTTPRoute.rules[].retry.codes": "x-kubernetes-list-type",
}
"""Bounds that not every release of the Gateway API has: ``refusedlater`` knows of them."""

_DURATION: Final = "duration(self) >= duration('1ms')"


def read(files: OracleFiles) -> dict[str, Any]:
    """The shapes of all kinds, each different one once and after those that it consists of."""
    made: dict[str, int] = {}
    definitions = dict(_definitions(files))
    schemas = {
        kind: spec["versions"][0]["schema"]["openAPIV3Schema"]
        for kind, spec in definitions.items()
        if kind in REFUSABLE
    }
    kinds = {kind: _number(schema["properties"]["spec"], made, kind) for kind, schema in schemas.items()}
    served = {
        kind: sorted({*(each["name"] for each in spec["versions"] if each["served"]), *SERVED_BEFORE.get(kind, ())})
        for kind, spec in definitions.items()
    }
    return {
        "kinds": dict(sorted(kinds.items())),
        "served": dict(sorted(served.items())),
        "with_spec": sorted(kind for kind, schema in schemas.items() if "spec" in schema.get("required", ())),
        "shapes": list(map(json.loads, made)),
    }


def _definitions(files: OracleFiles) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What is defined of each kind that rules read."""
    for path in files.definitions:
        for each in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            if each and each["kind"] == "CustomResourceDefinition":
                spec = each["spec"]
                native = spec["group"] == "gateway.networking.k8s.io" and spec["names"]["kind"] == "Gateway"
                kind = "KubernetesGateway" if native else spec["names"]["kind"]
                if kind in REFUSABLE or GROUPS.get(kind) == spec["group"]:
                    yield kind, spec


def _number(schema: Schema, made: dict[str, int], path: str) -> int:
    """The number of the shape that a schema at a path has; it is made where no other is like it."""
    shape: dict[str, Any] = {}
    if schema.get("x-kubernetes-int-or-string"):
        shape["type"] = "integer or string"
    elif "type" in schema:
        shape["type"] = schema["type"]
    shape |= {name: schema[key] for key, name in BOUNDS.items() if key in schema and key != LATER.get(path)}
    if any(rule["rule"] == _DURATION for rule in schema.get("x-kubernetes-validations", ())):
        shape["duration"] = True
    if form := FORMS.get(schema.get("pattern", "")):
        shape["form"] = form
    if schema.get("x-kubernetes-list-type") in ("map", "set") and LATER.get(path) != "x-kubernetes-list-type":
        shape["distinct"] = schema.get("x-kubernetes-list-map-keys", [])
    if excluded := _excluding(schema):
        shape["one_of"] = excluded
    if fields := schema.get("properties"):
        shape["fields"] = {name: _number(each, made, f"{path}.{name}") for name, each in sorted(fields.items())}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), Mapping):
            shape["each"] = _number(schema[key], made, f"{path}[]")
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
    facts = ",\n".join(f'"{key}": {json.dumps(value)}' for key, value in read_shapes.items() if key != "shapes")
    Path(shapes.__file__).with_suffix(".json").write_text(f'{{{facts},\n"shapes": [\n{lines}\n]}}\n', encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
