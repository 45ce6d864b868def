"""The mirroring model: pure values, one contract, rendering and rules. No Pulumi, no I/O, no clock."""

from .errors import ValidationError
from .jsontypes import JsonObject, JsonValue

__all__ = ["JsonObject", "JsonValue", "ValidationError"]
