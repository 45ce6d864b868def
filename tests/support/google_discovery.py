"""Google's own descriptions of its APIs (discovery documents), and requests held against them.

The documents are part of the Go module ``google.golang.org/api``, from which they are read; nothing of them is kept
here.
"""

import json
import os
import pwd
import re
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from pulumi_traffic_mirror.rehearsal.errors import StageError
from pulumi_traffic_mirror.rehearsal.places import cache_directory
from pulumi_traffic_mirror.rehearsal.progress import SilentProgress
from pulumi_traffic_mirror.rehearsal.toolchain.golang import ensure_go

MODULE: Final = "google.golang.org/api"
VERSION: Final = "v0.293.0"
"""The one that Google's provider 8.0 is built with."""

FETCH_SECONDS: Final = 800
"""Bound on fetching the module: 60 MB, over whatever line."""

APIS: Final = {
    "container": "container/v1beta1/container-api.json",
    "compute": "compute/v1/compute-api.json",
    "iam": "iam/v1/iam-api.json",
    "cloudresourcemanager": "cloudresourcemanager/v1/cloudresourcemanager-api.json",
}

_KINDS: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "any": (object,),
}


class ApiError(Exception):
    """The stand-in refuses a request, as Google would with 400 or 404."""


@cache
def module_folder() -> Path | None:
    """Folder of the module, fetched once into Go's module cache; None where it is not to be had."""
    # Tests move the home, and the caches of the machine's Go are in it.
    home = {"HOME": pwd.getpwuid(os.getuid()).pw_dir}
    try:
        go = ensure_go(cache_directory(), SilentProgress())
        fetched = subprocess.run(
            [go.program, "mod", "download", "-json", f"{MODULE}@{VERSION}"],
            check=True,
            capture_output=True,
            timeout=FETCH_SECONDS,
            cwd="/",
            env={**go.environment(), **home, "GOFLAGS": "-mod=mod"},
        )
    except (OSError, StageError, subprocess.SubprocessError):
        return None
    return Path(json.loads(fetched.stdout)["Dir"])


class Discovery:
    """One API: its methods and the schemas of their bodies."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._schemas: Mapping[str, Any] = document["schemas"]
        self._methods = list(_methods(document))
        self._prefix = document["servicePath"]

    @classmethod
    def read(cls, folder: Path, api: str) -> "Discovery":
        return cls(json.loads((folder / APIS[api]).read_text(encoding="utf-8")))

    def body_schema(self, verb: str, path: str) -> str:
        """Name of the schema of a request's body.

        Raises:
            ApiError: There is no such method.
        """
        for method in self._methods:
            # "{+parent}" of newer APIs holds several segments, which their flat paths write out.
            pattern = re.sub(
                r"\\\{[^/]*?\\\}", r"[^/:]+", re.escape(self._prefix + method.get("flatPath", method["path"]))
            )
            if method["httpMethod"] == verb and re.fullmatch(pattern, path):
                return method["request"]["$ref"]
        raise ApiError(f"404: there is no method {verb} {path}")

    def faults(self, body: object, schema: str) -> list[str]:
        """Unknown fields, values outside of their enum and values of a wrong type, each with its path."""
        return list(self._faults(body, {"$ref": schema}, schema))

    def _faults(self, value: Any, schema: Mapping[str, Any], path: str) -> Iterator[str]:
        if "$ref" in schema:
            schema = self._schemas[schema["$ref"]]
        # 64 bits are too many for a number in JSON, so Google writes them as text, and reads both.
        kind = "integer" if schema.get("format") == "int64" and isinstance(value, int) else schema.get("type", "object")
        if kind == "object":
            yield from self._object_faults(value, schema, path)
        elif kind == "array":
            if not isinstance(value, list):
                yield f"{path}: must be a list"
                return
            for index, item in enumerate(value):
                yield from self._faults(item, schema["items"], f"{path}[{index}]")
        elif not isinstance(value, _KINDS[kind]) or (kind != "boolean" and isinstance(value, bool)):
            yield f"{path}: {value!r} must be {kind}"
        elif "enum" in schema and value not in schema["enum"]:
            yield f"{path}: {value!r} is none of {', '.join(schema['enum'])}"
        elif schema.get("readOnly"):
            yield f"{path}: is set by Google only"

    def _object_faults(self, value: Any, schema: Mapping[str, Any], path: str) -> Iterator[str]:
        if not isinstance(value, Mapping):
            yield f"{path}: must be an object"
            return
        properties, others = schema.get("properties", {}), schema.get("additionalProperties")
        for key, inner in value.items():
            known = properties.get(key, others)
            if known is None:
                yield f"{path}.{key}: unknown field"
            else:
                yield from self._faults(inner, known, f"{path}.{key}")


def _methods(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from (method for method in document.get("methods", {}).values() if "request" in method)
    for resource in document.get("resources", {}).values():
        yield from _methods(resource)
