"""What the engine records of an object: the live object, and the inputs that made it.

The shape is the real provider's (``__inputs``, ``__initialApiVersion``, ``__fieldManager`` beside the live object's
own keys), so that a stack's outputs read the same with either provider.
"""

import base64
import binascii
import copy
import hashlib
import os
from dataclasses import dataclass
from typing import Any, Final, cast

from .paths import mapping_at, objects_at, text_at
from .values import Properties, Value, keep_secrets, plain, rewrite

INPUTS: Final = "__inputs"
INITIAL_API_VERSION: Final = "__initialApiVersion"
FIELD_MANAGER: Final = "__fieldManager"
MANAGER_ANNOTATION: Final = "pulumi.com/patchFieldManager"
_SCHEMA_KEYS: Final = "x-kubernetes-"
"""Keys of a CRD's schema that hold dashes; in the programming languages they are written with underscores."""

_SERVER_METADATA: Final = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
)


@dataclass(frozen=True, slots=True)
class Recorded:
    """An object's record, decoded."""

    inputs: Properties
    live: Properties
    manager: str
    initial_api_version: str


def to_object(inputs: Properties) -> Properties:
    """Return the Kubernetes object that ``inputs`` describe; secrets in clear, unknown values kept as markers."""
    obj: Properties = rewrite(plain(inputs), lambda item: item, _with_dashes)
    metadata = obj.get("metadata")
    if isinstance(metadata, dict):
        kept = {k: v for k, v in cast("Properties", metadata).items() if k not in _SERVER_METADATA}
        obj["metadata"] = kept
    return obj


def record(live: Properties, inputs: Properties, manager: str) -> Properties:
    """Return the state to record for ``live`` as made from ``inputs``; what is secret there is secret here."""
    return record_read(live, cast("Properties", plain(inputs)), inputs, manager, "")


def record_read(
    live: Properties, found: Properties, inputs: Properties, manager: str, initial_api_version: str
) -> Properties:
    """Return the state to record for ``live``.

    Args:
        live: The object as the server has it.
        found: Inputs to record, in clear.
        inputs: The program's inputs; what is secret in them becomes secret in the state.
        manager: Field manager that owns the object's fields.
        initial_api_version: Version under which the object was first made; empty: that of ``live``.
    """
    state: Properties = rewrite(live, lambda item: item, _with_underscores)
    return {
        **keep_secrets(state, inputs),
        INPUTS: keep_secrets(rewrite(found, lambda item: item, _with_underscores), inputs),
        INITIAL_API_VERSION: initial_api_version or text_at(live, "apiVersion"),
        FIELD_MANAGER: manager,
    }


def parse(state: Properties) -> Recorded:
    """Return the parts of a recorded state."""
    clear: Properties = rewrite(plain(state), lambda item: item, _with_dashes)
    live = {key: item for key, item in clear.items() if not key.startswith("__")}
    return Recorded(
        inputs=mapping_at(clear, INPUTS),
        live=live,
        manager=text_at(clear, FIELD_MANAGER),
        initial_api_version=text_at(clear, INITIAL_API_VERSION),
    )


def field_manager(obj: Properties, urn: str, recorded: str = "") -> str:
    """Return the name under which fields of an object are owned.

    It follows from the URN and the engine's home, so an ``up`` after a killed one knows what that one had made.
    """
    annotated = text_at(obj, "metadata", "annotations", MANAGER_ANNOTATION)
    owner = os.environ.get("PULUMI_HOME", "")
    digest = hashlib.sha256(f"{owner}\n{urn}".encode()).hexdigest()
    return annotated or recorded or f"pulumi-kubernetes-{digest[:8]}"


def made_by(live: Properties, manager: str) -> bool:
    """Tell whether a live object was applied under the name ``manager``."""
    return any(
        entry.get("manager") == manager and entry.get("operation") == "Apply"
        for entry in objects_at(live, "metadata", "managedFields")
    )


def live_inputs(live: Properties, inputs: Properties) -> Properties:
    """Return the live values of those fields that ``inputs`` set: what a refresh records as inputs."""
    source = {**live, "stringData": _string_data(live, inputs)} if "stringData" in inputs else live
    return cast("Properties", _prune(source, inputs))


def imported_inputs(live: Properties) -> Properties:
    """Return inputs for an object that was made elsewhere: all of it but the server's own fields."""
    obj = copy.deepcopy({key: item for key, item in live.items() if key != "status"})
    for key in _SERVER_METADATA:
        obj["metadata"].pop(key, None)
    return obj


def _prune(live: Value, shape: Value) -> Value:
    if isinstance(live, dict) and isinstance(shape, dict):
        found, wanted = cast("Properties", live), cast("Properties", shape)
        return {key: _prune(found[key], item) for key, item in wanted.items() if key in found}
    if isinstance(live, list) and isinstance(shape, list):
        items, shapes = cast("list[Any]", live), cast("list[Any]", shape)
        if len(items) == len(shapes):
            return [_prune(item, wanted) for item, wanted in zip(items, shapes, strict=True)]
    return cast("Value", live)


def _string_data(live: Properties, inputs: Properties) -> Properties:
    """Return a Secret's write-only ``stringData``, read back from ``data``."""
    data = mapping_at(live, "data")
    found: Properties = {}
    for key in mapping_at(inputs, "stringData"):
        if key in data:
            try:
                found[key] = base64.b64decode(str(data[key]), validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                found[key] = ""
    return found


def _with_dashes(key: str) -> str:
    return key.replace("_", "-") if key.startswith(_SCHEMA_KEYS.replace("-", "_")) else key


def _with_underscores(key: str) -> str:
    return key.replace("-", "_") if key.startswith(_SCHEMA_KEYS) else key
