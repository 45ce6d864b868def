"""What of names, labels and annotations the API server refuses of any object, and why.

Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/.
"""

import re
from functools import lru_cache
from typing import Final

from .nodes import UNKNOWN, Node
from .objects import KubeObject
from .refusednames import Refusals
from .shapes import Shape, loose_test, misshapen

_TEXT: Final = Shape(type="string", fields={})
_TEXTS: Final = Shape(type="object", fields={}, each=_TEXT)
_METADATA: Final = Shape(
    type="object",
    fields={
        **dict.fromkeys(("name", "generateName", "namespace"), _TEXT),
        **dict.fromkeys(("labels", "annotations"), _TEXTS),
    },
)
_IS_PLAIN: Final = loose_test(_METADATA)

_LABEL: Final = "[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_IN_LABELS: Final = re.compile(_LABEL, re.ASCII)
_IN_NAMES: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.ASCII)
_OWN: Final = re.compile("[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?", re.ASCII)
_LONGEST_LABEL: Final = 63
_LONGEST_NAME: Final = 253


def refused_metadata(subject: KubeObject) -> Refusals:
    """What is refused of an object's metadata; a name that is missing is somebody else's to give."""
    metadata = subject.root["metadata"]
    if not metadata.given or metadata.value is UNKNOWN:
        return
    if not _IS_PLAIN(metadata.value):
        wrong = list(misshapen(metadata, _METADATA))
        yield from wrong
        if wrong:
            return
    name, namespace = metadata["name"], metadata["namespace"]
    # A release of Kubernetes refuses more of a Service's: one that begins with a digit.
    if _is_written(name) and not (_is_label if subject.kind == "Service" else _is_name)(name.value):
        yield name, f"{name.value} is no name of {subject.written_kind}s"
    if _is_written(namespace) and not _is_label(namespace.value):
        yield namespace, f"{namespace.value} is no name of a namespace"
    yield from _marks(metadata)


def _marks(metadata: Node) -> Refusals:
    """What is refused of labels and annotations."""
    for key, value in _entries(metadata["labels"]):
        if not _is_key(key):
            yield value, f"{key or 'nothing'} is no name of a label"
        if _is_written(value) and not (_OWN.fullmatch(value.value) and len(value.value) <= _LONGEST_LABEL):
            yield value, f"{value.value} is no value of a label"
    for key, value in _entries(metadata["annotations"]):
        if not _is_key(key.lower()):
            yield value, f"{key or 'nothing'} is no name of an annotation"


def _is_written(node: Node) -> bool:
    return bool(node.value) and node.value is not UNKNOWN


def _entries(node: Node) -> list[tuple[str, Node]]:
    return [] if node.value is UNKNOWN else node.entries()


def _is_label(text: str) -> bool:
    return len(text) <= _LONGEST_LABEL and bool(_IN_LABELS.fullmatch(text))


def _is_name(text: str) -> bool:
    return len(text) <= _LONGEST_NAME and bool(_IN_NAMES.fullmatch(text))


@lru_cache(maxsize=8192)  # nearly all objects have the same ones
def _is_key(text: str) -> bool:
    prefix, slash, own = text.rpartition("/")
    return len(own) <= _LONGEST_LABEL and bool(_OWN.fullmatch(own)) and (not slash or _is_name(prefix))
