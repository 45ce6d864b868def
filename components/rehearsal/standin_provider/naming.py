"""Names for objects whose program names none."""

import hashlib
import secrets
from typing import Final

from .errors import ProviderError
from .manager import Naming, Task
from .paths import mapping_at, text_at
from .values import Properties, Secret, Unknown, Value

AUTONAMED_ANNOTATION: Final = "pulumi.com/autonamed"
"""Marks a generated name, as the real provider does: such an object is replaced create-first."""


def is_autonamed(obj: Properties) -> bool:
    """Tell whether an object's name was generated."""
    return text_at(obj, "metadata", "annotations", AUTONAMED_ANNOTATION) == "true"


def generated_name(task: Task, naming: Naming) -> str:
    """Return a name for a resource: the engine's proposal, or the resource's name and eight random digits.

    Raises:
        ProviderError: The user disabled generated names.
    """
    if naming.disabled:
        raise ProviderError("Generated names are disabled: set metadata.name")
    seed = naming.seed or secrets.token_bytes(8)
    return naming.proposed or f"{task.name}-{hashlib.sha256(seed).hexdigest()[:8]}"


def named(task: Task, olds: Properties, news: Properties, naming: Naming) -> Properties:
    """Return ``news`` with ``metadata.name``: their own, the recorded generated one, or a new one."""
    metadata = news.get("metadata", {})
    if isinstance(metadata, Secret | Unknown) or mapping_at(news, "metadata").get("name"):
        return news
    kept = text_at(olds, "metadata", "name") if is_autonamed(olds) else ""
    annotations: Value = mapping_at(news, "metadata").get("annotations", {})
    if not isinstance(annotations, Secret | Unknown):
        annotations = {**mapping_at(news, "metadata", "annotations"), AUTONAMED_ANNOTATION: "true"}
    name = kept or generated_name(task, naming)
    return {**news, "metadata": {**mapping_at(news, "metadata"), "name": name, "annotations": annotations}}
