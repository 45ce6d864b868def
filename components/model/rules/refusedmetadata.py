"""What of names, labels and annotations the API server refuses of any object, and why.

Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/.
"""

from functools import lru_cache
from typing import Final

from .nodes import UNKNOWN, Node
from .objects import KubeObject
from .refusednames import LONGEST_LABEL, LONGEST_PREFIX, QUALIFIED, Refusals
from .shapes import FORMS, Shape, loose_test, misshapen

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
        if _is_written(value) and not _is_own(value.value):
            yield value, f"{value.value} is no value of a label"
    for key, value in _entries(metadata["annotations"]):
        if not _is_key(key.lower()):
            yield value, f"{key or 'nothing'} is no name of an annotation"


def _is_written(node: Node) -> bool:
    return bool(node.value) and node.value is not UNKNOWN


def _entries(node: Node) -> list[tuple[str, Node]]:
    return [] if node.value is UNKNOWN else node.entries()


def _is_label(text: str) -> bool:
    return len(text) <= LONGEST_LABEL and bool(FORMS["label"].fullmatch(text))


def _is_name(text: str) -> bool:
    return len(text) <= LONGEST_PREFIX and bool(FORMS["name"].fullmatch(text))


def _is_own(text: str) -> bool:
    """Whether a text is the name of a label behind its prefix, or its value."""
    return len(text) <= LONGEST_LABEL and bool(QUALIFIED.fullmatch(text))


@lru_cache(maxsize=8192)  # nearly all objects have the same ones
def _is_key(text: str) -> bool:
    prefix, slash, own = text.rpartition("/")
    return _is_own(own) and (not slash or _is_name(prefix))
