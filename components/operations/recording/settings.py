"""The collector's settings: one JSON document, every key optional but ``url``."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, TypeVar

from ...model import HeaderName, Port, ValidationError
from ...model.recording import SessionSource
from ...model.request_sampling import sample_threshold
from .assembling import CaptureLimits, Origin
from .exchange import Side
from .redaction import RedactionRules
from .writing import RollLimits

_T = TypeVar("_T")

_MEBI: Final = 1024 * 1024

_JSON_TYPES: Final[Mapping[object, tuple[tuple[type, ...], str]]] = {
    int: ((int,), "whole number"),
    float: ((int, float), "number"),
    str: ((str,), "text"),
    Sequence[str]: ((list,), "list of texts"),
}
"""What JSON may hold for a field's annotation; other fields are checked where they are built."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What the collector may use.

    Raises:
        ValidationError: A bound is not above zero.
    """

    memory_bytes: int = 64 * _MEBI
    """Bytes of exchanges that are open or wait for the writer. The process takes about 150 MiB beside it."""
    max_streams: int = 4_096
    """Exchanges open at once."""
    max_waiting: int = 16_384
    """Finished exchanges that wait for the writer."""
    max_exchange_seconds: float = 300.0
    """Longest time that one exchange is followed; what comes later of it is not recorded."""
    stop_seconds: float = 5.0
    """How long open exchanges may go on after SIGTERM. Kubernetes kills 30 s after it by default."""

    def __post_init__(self) -> None:
        _require_positive(self)


@dataclass(frozen=True, kw_only=True)
class CollectorSettings:
    """Everything that one collector needs to know.

    Raises:
        ValidationError: A value breaks its rule.
    """

    url: str
    """Where recordings go: a directory or an object store's URL."""
    port: int = 9100
    """TCP port of the gRPC service."""
    http_port: int = 9101
    """TCP port of ``/healthz``, ``/readyz`` and ``/metrics``."""
    side: Side | None = None
    """Side of every exchange; ``None``: what the proxy's filter says, else what ``mark_header`` says."""
    mark_header: str = "x-traffic-mirror"
    """Header that only copies carry. The default is the mark of :class:`pulumi_traffic_mirror.model.Scrub`."""
    source: str = ""
    """Name of the recorded place, unless the proxy's filter gives one."""
    sample_percent: float = 100.0
    """Share of requests recorded, above 0 to 100, chosen by ``x-request-id``."""
    session: SessionSource | None = None
    """Which cookie or header tells the session of a request, of which a hash is kept; ``None`` keeps none."""
    logged_headers: Sequence[str] = ()
    """Headers that proxies tell where they report by their access log, noted in each file; empty for every header."""
    capture: CaptureLimits = field(default_factory=CaptureLimits)
    roll: RollLimits = field(default_factory=RollLimits)
    redaction: RedactionRules = field(default_factory=RedactionRules)
    bounds: Bounds = field(default_factory=Bounds)

    def __post_init__(self) -> None:
        object.__setattr__(self, "port", Port(self.port, field="port"))
        object.__setattr__(self, "http_port", Port(self.http_port, field="http_port"))
        object.__setattr__(self, "mark_header", HeaderName(self.mark_header, field="mark_header"))
        sample_threshold(self.sample_percent)
        _require_positive(self.roll, "roll.", allow_zero=("keep_bytes",))
        _require_positive(self.capture, "capture.", allow_zero=("max_body_bytes",))
        if self.port == self.http_port:
            raise ValidationError(
                field="http_port",
                value=self.http_port,
                rule="must differ from port",
                remedy="Choose another port for health and metrics",
            )

    @property
    def origin(self) -> Origin:
        """Where exchanges are from when the proxy's filter does not say."""
        return Origin(side=self.side, source=self.source, mark_header=self.mark_header)


def read_settings(path: Path) -> CollectorSettings:
    """Read settings from a JSON file.

    In it, ``redaction.descriptor_set`` is the path of the descriptor set, seen from the file's directory.

    Raises:
        ValidationError: The file cannot be read, is no JSON object, has an unknown key, or a value breaks its rule.
    """
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValidationError(
            field="settings",
            value=str(path),
            rule=f"must be a readable JSON file ({error})",
            remedy="Check the path and the mounted volume",
        ) from error
    return parse_settings(document, directory=path.parent)


def parse_settings(document: Any, *, directory: Path) -> CollectorSettings:  # noqa: ANN401 -- any JSON value
    """Build settings from a JSON document; see :func:`read_settings`."""
    values = _checked(document, CollectorSettings, "settings")
    if "url" not in values:
        raise ValidationError(
            field="url", value=None, rule="must be set", remedy="Say where the recordings go, e.g. '/recordings'"
        )
    if values.get("side") is not None:
        values["side"] = _side(values["side"])
    if values.get("session") is not None:
        values["session"] = SessionSource.parse(values["session"])
    for name, kind in (("capture", CaptureLimits), ("roll", RollLimits), ("bounds", Bounds)):
        if name in values:
            values[name] = kind(**_checked(values[name], kind, name))
    if "redaction" in values:
        redaction = _checked(values["redaction"], RedactionRules, "redaction")
        if redaction.get("descriptor_set") is not None:
            redaction["descriptor_set"] = _content(directory / str(redaction["descriptor_set"]))
        try:
            values["redaction"] = RedactionRules(**redaction)
        except ValidationError as error:
            raise error.within("redaction") from error
    return CollectorSettings(**values)


def _checked(document: object, kind: type[Any], where: str) -> dict[str, Any]:
    """Return a JSON object's entries if all are known to ``kind`` and of the type of its default."""
    if not isinstance(document, Mapping):
        raise ValidationError(field=where, value=document, rule="must be a JSON object", remedy="Write {…}")
    entries: dict[str, Any] = {str(key): value for key, value in document.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] -- JSON
    known = {one.name: one.type for one in fields(kind)}
    for name, value in entries.items():
        if name not in known:
            raise ValidationError(
                field=f"{where}.{name}",
                value=value,
                rule=f"is unknown; known are {', '.join(sorted(known))}",
                remedy="Correct the spelling",
            )
        _check_type(f"{where}.{name}", value, known[name])
    return entries


def _check_type(name: str, value: Any, annotation: object) -> None:  # noqa: ANN401 -- any JSON value
    if annotation not in _JSON_TYPES:
        return
    types, meaning = _JSON_TYPES[annotation]
    fits = type(value) in types  # exactly: True is no number
    if not fits or (list in types and any(type(item) is not str for item in value)):
        raise ValidationError(field=name, value=value, rule=f"must be a {meaning}", remedy="Correct the value's type")


def _side(value: object) -> Side:
    try:
        return Side(value)
    except ValueError as error:
        raise ValidationError(
            field="side",
            value=value,
            rule=f"must be one of {', '.join(Side)}",
            remedy="Leave it out to go by the mark header",
        ) from error


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValidationError(
            field="redaction.descriptor_set",
            value=str(path),
            rule=f"must be a readable file ({error.strerror})",
            remedy="Check the path and the mounted volume",
        ) from error


def _require_positive(values: Any, prefix: str = "", *, allow_zero: Sequence[str] = ()) -> None:  # noqa: ANN401 -- any dataclass
    for one in fields(values):
        value = getattr(values, one.name)
        if value < 0 or (value == 0 and one.name not in allow_zero):
            raise ValidationError(
                field=f"{prefix}{one.name}", value=value, rule="must be above zero", remedy="Choose a larger value"
            )
