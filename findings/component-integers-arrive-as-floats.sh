#!/usr/bin/env bash
# A component that is served to other languages gets floats for what its schema calls integers.
#
# Package: pulumi 3.259.0 (PyPI).
# Guess:   an argument that is annotated `int`, which the inferred schema calls "integer", arrives as an int; the host even
#          has the line that converts it, because integers are floats on the wire.
# Seen:    it arrives as a float: the next line overwrites the converted value. `range(args["port"])` fails, f"{port}" is
#          "8080.0", and whoever checks for int refuses a good value.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check pulumi==3.259.0
"$folder/venv/bin/python" - <<'PY'
import json
import sys
from typing import Optional, TypedDict

import pulumi
from pulumi.provider.experimental.component import ComponentProvider


class ServiceArgs(TypedDict):
    port: int


class Service(pulumi.ComponentResource):
    def __init__(self, name: str, args: ServiceArgs, opts: Optional[pulumi.ResourceOptions] = None) -> None:
        super().__init__("shop:index:Service", name, {}, opts)


provider = ComponentProvider([Service], "shop")
schema = json.loads(provider.schema)["resources"]["shop:index:Service"]["inputProperties"]["port"]["type"]
# As the wire has it: numbers of a protobuf Struct are doubles.
arrived = provider.map_inputs({"port": 8080.0}, provider._component_defs["Service"])["port"]
print(f"schema: {schema}; arrived: {arrived!r} ({type(arrived).__name__})")
if schema != "integer" or not isinstance(arrived, float):
    sys.exit("CHANGED: integers arrive otherwise now")
print("As seen with pulumi 3.259.0: an integer by the schema, a float in the constructor.")
PY
