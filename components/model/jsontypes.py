"""Types of the plain JSON values that rendering returns and rules read."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

JsonValue: TypeAlias = "str | int | float | bool | Mapping[str, JsonValue] | Sequence[JsonValue] | None"
"""Any JSON value. Objects handed to a rule may be malformed, so rules narrow before they read."""

JsonObject: TypeAlias = dict[str, JsonValue]
"""A JSON object that this package built."""
