"""The form of what EnvoyFilters write for mirrors: Istio's webhook refuses what Envoy's messages cannot hold.

Source: https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto. As in every JSON of
protobuf, both spellings of a name hold, null stands for nothing, and numbers may be texts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from .envoy import HTTP_OPTIONS
from .nodes import Node
from .shapes import Shape, loose_test, misshapen


def _object(**fields: Shape) -> Shape:
    spelled = {spelling: each for name, each in fields.items() for spelling in (name, _camel(name))}
    return Shape(type="object", fields=spelled, empty=True)


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return "".join((first, *(each.capitalize() for each in others)))


def _list(each: Shape) -> Shape:
    return Shape(type="array", fields={}, each=each, empty=True)


_TEXT: Final = Shape(type="string", fields={}, empty=True)
_NUMBER: Final = Shape(type="integer or string", fields={}, least=0, empty=True)
_SHARE: Final = _object(default_value=_object(numerator=_NUMBER, denominator=_NUMBER), runtime_key=_TEXT)
_MUTATION: Final = _object(remove=_TEXT, append=_object(header=_object(key=_TEXT, value=_TEXT)))
_MIRRORS: Final = _list(
    _object(cluster=_TEXT, cluster_header=_TEXT, runtime_fraction=_SHARE, request_headers_mutations=_list(_MUTATION))
)
_DURATION: Final = Shape(type="string", fields={}, form="duration such as 1.5s", empty=True)
_PROTOCOLS: Final = _object(http_protocol_options=_object(), http2_protocol_options=_object())
_LIFE: Final = _object(
    common_http_protocol_options=_object(max_stream_duration=_DURATION, idle_timeout=_DURATION),
    explicit_http_config=_PROTOCOLS,
)
_TYPES: Final = tuple(
    f"type.googleapis.com/{name}" for name in (HTTP_OPTIONS, "xds.type.v3.TypedStruct", "udpa.type.v1.TypedStruct")
)
_TYPE: Final = Shape(type="string", fields={}, values=_TYPES)
_OPTIONS: Final = Shape(
    type="object",
    fields={HTTP_OPTIONS: replace(_LIFE, fields={**_LIFE.fields, "@type": _TYPE}, needs=("@type",))},
    each=Shape(type="object", fields={}, needs=("@type",)),
    empty=True,
)
_HEADERS: Final = _list(_TEXT)

_VALUES: Final[Mapping[str, Shape]] = {
    "HTTP_ROUTE": _object(
        name=_TEXT,
        match=_object(prefix=_TEXT, path=_TEXT),
        route=_object(request_mirror_policies=_MIRRORS, cluster=_TEXT, timeout=_DURATION),
        request_headers_to_remove=_HEADERS,
    ),
    "VIRTUAL_HOST": _object(
        name=_TEXT, domains=_list(_TEXT), request_mirror_policies=_MIRRORS, request_headers_to_remove=_HEADERS
    ),
    "CLUSTER": _object(name=_TEXT, typed_extension_protocol_options=_OPTIONS),
}
"""What patches write, by what they are for; of other fields nothing is known."""

_TESTS: Final = {kind: loose_test(shape) for kind, shape in _VALUES.items()}


def refused_value(kind: str, value: Node) -> Iterator[tuple[Node, str]]:
    """What is refused of what a patch for some kind of things writes."""
    if kind in _TESTS and not _TESTS[kind](value.value):
        yield from misshapen(value, _VALUES[kind])
