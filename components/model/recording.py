"""What a recorder keeps, where it keeps it and what it must never keep; rendered as the collector's settings."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum, unique
from pathlib import PurePosixPath
from typing import Final

from .checks import bounded, instance, listed, member, whole
from .credentials import CREDENTIAL_HEADERS, CREDENTIAL_PARAMETERS
from .errors import ValidationError
from .jsontypes import JsonObject
from .recording_storage import ObjectStorage, ScratchStorage, Storage, VolumeStorage
from .request_sampling import sample_threshold
from .safety import PEER_HEADERS
from .values import HeaderName

MEBI: Final = 1024 * 1024
GIBI: Final = 1024 * MEBI

DEFAULT_HEADERS: Final = (*CREDENTIAL_HEADERS, *PEER_HEADERS, "set-cookie")
"""Headers that carry credentials or identities of callers and pods."""

DEFAULT_QUERY: Final = CREDENTIAL_PARAMETERS
"""Query and form parameters that carry credentials."""

DIRECTORY: Final = "/recordings"
"""Where a volume is mounted."""

DESCRIPTOR_FILE: Final = "descriptors.pb"
"""Name of the descriptor set beside the settings."""

MAX_DESCRIPTOR_BYTES: Final = 700 * 1024
"""A ConfigMap takes 1 MiB with its base64 and its keys. Source: Kubernetes' ConfigMap documentation."""

NEEDED_HEADERS: Final = (
    *("content-type", "content-encoding", "x-request-id", "grpc-status", "grpc-message"),
    "x-envoy-original-host",
)
"""What an access log tells whatever it is asked for: the kind of an exchange, what pairs it, how it ended, and the host
that was called, which Envoy notes where a route writes another one."""

DROPS: Final = (
    "dropped_streams",
    "dropped_memory",
    "dropped_queue",
    "dropped_protocol",
    "dropped_late",
    "redaction_failures",
    "lost",
)
"""A recorder's counters of exchanges that should be in the recording and are not."""

SESSION_HEADER: Final = "x-traffic-session"
"""Header of recorded requests, and of no others: by it those of one session are told."""

_VOLUME_SHARE: Final = 0.8
"""Share of a volume that finished files may fill; the rest is for the one being written."""

_FIELD_NAME: Final = re.compile(r"\w+(\.\w+)+", re.ASCII)
_COOKIE_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""Source: RFC 6265 section 4.1.1, by RFC 9110's tokens."""


def logged_digest(headers: Iterable[str]) -> str:
    """Return what tells two lists of headers apart, whatever their order.

    Args:
        headers: Names in lower case.
    """
    return hashlib.sha256(",".join(sorted(headers)).encode()).hexdigest()[:16]


@unique
class Side(StrEnum):
    """Who answered: the system that clients see, or the one that gets copies."""

    PRIMARY = "primary"
    MIRROR = "mirror"


@dataclass(frozen=True, kw_only=True)
class Redaction:
    """What must not be kept, beside :data:`DEFAULT_HEADERS` and :data:`DEFAULT_QUERY`, which never are.

    Attributes:
        headers: More names of headers and trailers, both directions.
        query: More names of parameters in query strings and URL-encoded forms.
        json_paths: RFC 9535 expressions such as ``$.user.email`` or ``$..password``, for JSON bodies both ways.
        protobuf_fields: Full names such as ``shop.v1.Order.card_number``; needs ``descriptor_set``.
        descriptor_set: Serialised ``FileDescriptorSet`` with its imports (``protoc --include_imports``), at most
            700 KiB; None without protobuf rules.

    Raises:
        ValidationError: A rule is malformed.
    """

    headers: Sequence[str] = ()
    query: Sequence[str] = ()
    json_paths: Sequence[str] = ()
    protobuf_fields: Sequence[str] = ()
    descriptor_set: bytes | None = None

    def __post_init__(self) -> None:
        headers = tuple(
            HeaderName(str(name), field=f"headers[{i}]") for i, name in enumerate(listed(self.headers, field="headers"))
        )
        object.__setattr__(self, "headers", headers)
        object.__setattr__(self, "query", tuple(str(name).lower() for name in listed(self.query, field="query")))
        for name in ("json_paths", "protobuf_fields"):
            object.__setattr__(self, name, tuple(str(one) for one in listed(getattr(self, name), field=name)))
        instance(self.descriptor_set, bytes, field="descriptor_set", optional=True)
        self._check_rules()

    def _check_rules(self) -> None:
        for index, path in enumerate(self.json_paths):
            if not path.startswith("$"):
                raise ValidationError(
                    field=f"json_paths[{index}]",
                    value=path,
                    rule="must be a path from the root, as RFC 9535 has it",
                    remedy="Write for example '$..password'",
                )
        for index, name in enumerate(self.protobuf_fields):
            if not _FIELD_NAME.fullmatch(name):
                raise ValidationError(
                    field=f"protobuf_fields[{index}]",
                    value=name,
                    rule="must be the full name of a field",
                    remedy="Write it as package.Message.field",
                )
        if bool(self.protobuf_fields) != bool(self.descriptor_set):
            raise ValidationError(
                field="protobuf_fields" if self.protobuf_fields else "descriptor_set",
                value=list(self.protobuf_fields) or "(given)",
                rule="needs the other: protobuf_fields name what to clear, descriptor_set says where it is on the wire",
                remedy="Give both, the set built with protoc --include_imports, or neither",
            )
        if self.descriptor_set and len(self.descriptor_set) > MAX_DESCRIPTOR_BYTES:
            raise ValidationError(
                field="descriptor_set",
                value=f"{len(self.descriptor_set)} bytes",
                rule=f"must have at most {MAX_DESCRIPTOR_BYTES} bytes to fit a ConfigMap",
                remedy="Build it from the files of the recorded services only",
            )

    def document(self) -> JsonObject:
        """The collector's form of it."""
        return {
            "headers": list(dict.fromkeys((*DEFAULT_HEADERS, *map(str, self.headers)))),
            "query": list(dict.fromkeys((*DEFAULT_QUERY, *self.query))),
            "json_paths": list(self.json_paths),
            "protobuf_fields": list(self.protobuf_fields),
            "descriptor_set": DESCRIPTOR_FILE if self.descriptor_set else None,
        }


@dataclass(frozen=True, kw_only=True)
class SessionSource:
    """What tells which session a request belongs to.

    Attributes:
        name: Name of a cookie, whose case counts, or of a request header.
        is_cookie: Whether it is a cookie.

    Raises:
        ValidationError: The name is none of a cookie or header.
    """

    name: str
    is_cookie: bool

    def __post_init__(self) -> None:
        if not self.is_cookie:
            object.__setattr__(self, "name", HeaderName(self.name, field="session"))
        elif not _COOKIE_NAME.fullmatch(self.name):
            raise ValidationError(
                field="session",
                value=f"cookie:{self.name}",
                rule="must be the name of a cookie",
                remedy="Write for example 'cookie:JSESSIONID'",
            )

    @classmethod
    def parse(cls, text: object) -> "SessionSource":
        """Return what a text names.

        Args:
            text: ``cookie:NAME`` or ``header:NAME``.

        Raises:
            ValidationError: It is something else.
        """
        kind, _, name = text.partition(":") if isinstance(text, str) else ("", "", "")
        if kind not in ("cookie", "header"):
            raise ValidationError(
                field="session",
                value=text,
                rule="must be cookie: or header: with a name",
                remedy="Write for example 'cookie:JSESSIONID' or 'header:x-session'",
            )
        return cls(name=name, is_cookie=kind == "cookie")

    @property
    def headers(self) -> tuple[str, ...]:
        """Headers without which nobody can tell it."""
        return ("cookie", "set-cookie") if self.is_cookie else (str(self.name),)


@dataclass(frozen=True, kw_only=True)
class RecorderSettings:
    """What one collector is told.

    Attributes:
        storage: Where recordings go.
        redaction: What must not be kept.
        side: Side of every exchange; None: what carries ``mark_header`` is a mirror, all else primary.
        mark_header: Header that only mirrors carry.
        sample_percent: Share of requests recorded, above 0 to 100, chosen by ``x-request-id``.
        body_kib: Body or gRPC messages kept of each direction, 0 to 4,096 KiB; the rest is counted only. With 0 proxies
            send none, which costs them less: lengths are what ``content-length`` says, and times end with the answer's
            headers, those of gRPC with its trailers.
        file_seconds: Age at which a file is finished and can be read, 1 to 3,600 s; also what a kill loses.
        memory_mib: Exchanges that are open or wait to be written, 16 to 4,096 MiB; more are dropped and counted.
        session: ``cookie:NAME`` or ``header:NAME``, by which requests of one session are told. Kept is a hash by a key
            that the recorder makes when it starts and stores nowhere; ``None`` keeps nothing of it.
        access_log_headers: Names of headers, and of the answers' trailers, by whose values the proxies' access log is
            recorded: one entry for each request, sent in bulk, which costs them next to nothing. Needs ``body_kib=0``.
            Nothing is known of other headers, and what a route rewrites is told as it is sent on, but for path and
            authority. None records by a filter, which tells every header as it came.

    Raises:
        ValidationError: A value breaks its rule.
    """

    storage: Storage = field(default_factory=ScratchStorage)
    redaction: Redaction = field(default_factory=Redaction)
    side: Side | None = None
    mark_header: str = "x-traffic-mirror"
    sample_percent: float = 100.0
    body_kib: int = 64
    file_seconds: float = 60.0
    memory_mib: int = 64
    session: str | None = None
    access_log_headers: Sequence[str] | None = None

    def __post_init__(self) -> None:
        instance(self.storage, ScratchStorage, VolumeStorage, ObjectStorage, field="storage")
        instance(self.redaction, Redaction, field="redaction")
        if self.side is not None:
            object.__setattr__(self, "side", member(Side, self.side, field="side"))
        object.__setattr__(self, "mark_header", HeaderName(self.mark_header, field="mark_header"))
        sample_threshold(self.sample_percent)
        whole(self.body_kib, "body_kib", 0, 4_096)
        bounded(self.file_seconds, "file_seconds", 1, 3_600, "seconds")
        whole(self.memory_mib, "memory_mib", 16, 4_096)
        if self.session is not None:
            SessionSource.parse(self.session)
        if self.access_log_headers is not None:
            self._check_access_log(self.access_log_headers)

    def _check_access_log(self, given: Sequence[str]) -> None:
        names = tuple(
            HeaderName(str(name), field=f"access_log_headers[{index}]")
            for index, name in enumerate(listed(given, field="access_log_headers"))
        )
        object.__setattr__(self, "access_log_headers", names)
        if self.body_kib:
            raise ValidationError(
                field="access_log_headers",
                value=list(names),
                rule=f"needs body_kib 0, which is {self.body_kib}: an access log has no bodies",
                remedy="Set body_kib to 0, or leave access_log_headers out",
            )

    @property
    def logged_headers(self) -> tuple[str, ...] | None:
        """Every header that the proxies' access log tells, those that a recording cannot do without among them."""
        if self.access_log_headers is None:
            return None
        session = SessionSource.parse(self.session).headers if self.session else ()
        names = (*NEEDED_HEADERS, self.mark_header, *session, *self.access_log_headers)
        return tuple(dict.fromkeys(map(str, names)))

    @property
    def url(self) -> str:
        """Where the collector writes."""
        return self.storage.url if isinstance(self.storage, ObjectStorage) else str(PurePosixPath(DIRECTORY))

    def document(self, *, port: int, http_port: int) -> JsonObject:
        """The collector's settings as JSON, without anything secret.

        Args:
            port: Where it takes reports.
            http_port: Where it tells its metrics.
        """
        keep: JsonObject = {}
        if not isinstance(self.storage, ObjectStorage):
            keep = {"keep_bytes": int(self.storage.size_gib * GIBI * _VOLUME_SHARE)}
        # Only where it is asked for, so that recorders that are there are not replaced.
        session: JsonObject = {} if self.session is None else {"session": self.session}
        logged: JsonObject = {} if self.logged_headers is None else {"logged_headers": list(self.logged_headers)}
        return {
            **session,
            **logged,
            "url": self.url,
            "port": port,
            "http_port": http_port,
            "side": self.side.value if self.side else None,
            "mark_header": str(self.mark_header),
            "sample_percent": float(self.sample_percent),
            "capture": {"max_body_bytes": self.body_kib * 1024},
            "roll": {"max_seconds": float(self.file_seconds), **keep},
            "redaction": self.redaction.document(),
            "bounds": {"memory_bytes": self.memory_mib * MEBI},
        }
