"""What a replay by many pods is told, and the rules of its values, which every replay shares."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, cast
from urllib.parse import urlsplit

from .checks import bounded, instance, listed, member, whole
from .credentials import without_credentials
from .errors import ValidationError
from .indexed_job import SecretFiles
from .recording import DIRECTORY, Side
from .recording_storage import check_bucket
from .safety import Waiver
from .values import HeaderName, RpcMethod

MAX_SHARDS: Final = 512
"""As many as a recording has buckets at most."""

REQUEST_SECONDS: Final = 30.0
"""Usual bound on each request."""

IN_FLIGHT: Final = 256
"""Usual bound on requests without an answer."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast a recording is replayed.

    Attributes:
        speed: Factor on the original timing, 0.01 to 1,000: 1 keeps it, 2 is twice as fast.
        rate: Requests per second at even distances instead of the original timing, above 0 to 100,000; ``None`` keeps
            the timing.
        max_rate: No more than this many requests per second, whatever the timing says; ``None`` for no limit.

    Raises:
        ValidationError: A value is out of its range, or both ``speed`` and ``rate`` are given.
    """

    speed: float = 1.0
    rate: float | None = None
    max_rate: float | None = None

    def __post_init__(self) -> None:
        for name, low, high in (("speed", 0.01, 1_000), ("rate", 0.001, 100_000), ("max_rate", 0.001, 100_000)):
            value: object = getattr(self, name)
            if value is not None or name == "speed":
                bounded(value, name, low, high)
        if self.rate is not None and self.speed != 1.0:
            raise ValidationError(
                field="rate",
                value=self.rate,
                rule="excludes speed: a fixed rate knows no original timing",
                remedy="Give one of the two",
            )


def check_rewrites(rewrites: Mapping[str, str]) -> None:
    """Refuse what replaces no beginnings of paths.

    Args:
        rewrites: As :attr:`ReplaySettings.rewrites`.

    Raises:
        ValidationError: One is no beginning of a path.
    """
    for old, new in rewrites.items():
        if not all(text.startswith("/") and "?" not in text for text in (old, new)):
            raise ValidationError(
                field="rewrites",
                value=f"{old}={new}",
                rule="must be two beginnings of paths",
                remedy="Write for example '/v1=/v2'; '/' stands for every path",
            )


def check_target(url: str) -> None:
    """Refuse what is no address of a target.

    Args:
        url: As :attr:`ReplaySettings.target`.

    Raises:
        ValidationError: It has no host, another scheme, or more than host and port.
    """
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        (parts.hostname or "").encode("idna")
        bare = parts.path in ("", "/") and not parts.query and not parts.fragment and "@" not in parts.netloc
    except ValueError:
        valid = bare = False
    if not valid or not bare:
        raise ValidationError(
            field="target",
            value=without_credentials(url),
            rule="must be http:// or https:// with a host, an optional port, and nothing else",
            remedy="Write for example 'http://203.0.113.7:8000'",
        )


@dataclass(frozen=True, kw_only=True)
class ReplaySecrets:
    """Secrets, in the namespace of a replay's Job, with what its pods need to reach the target.

    Pods see them as files. Nothing of them is in an argument, a manifest or Pulumi's state.

    Attributes:
        headers: Secret whose key ``headers.json`` is a JSON object of headers for every request, e.g. a credential.
        ca: Secret whose key ``ca.crt`` has the authorities of the target's certificate, in PEM.
        certificate: Secret of the type ``kubernetes.io/tls`` (``tls.crt``, ``tls.key``): the client's certificate. May
            be the same as ``ca``.

    Raises:
        ValidationError: A name is malformed.
    """

    headers: str | None = None
    ca: str | None = None
    certificate: str | None = None

    def __post_init__(self) -> None:
        for name in ("headers", "ca", "certificate"):
            instance(getattr(self, name), str, field=f"secrets.{name}", optional=True)
        self.files()

    def files(self) -> list[SecretFiles]:
        """Return the files that pods see."""
        return [files for files, _ in self._mounted()]

    def words(self) -> list[str]:
        """Return the command line's words that name these files."""
        named = [(option, files.path(key)) for files, options in self._mounted() for option, key in options.items()]
        return [word for pair in named for word in pair]

    def check_target(self, url: str) -> None:
        """Refuse what is of TLS for a target without it.

        Args:
            url: As :attr:`ReplaySettings.target`.

        Raises:
            ValidationError: There is such a thing.
        """
        for name in ("ca", "certificate"):
            check_of_tls(getattr(self, name), url, field=f"secrets.{name}")

    def _mounted(self) -> list[tuple[SecretFiles, Mapping[str, str]]]:
        every = (
            ("headers", self.headers, {"--header-file": "headers.json"}),
            ("ca", self.ca, {"--ca": "ca.crt"}),
            ("certificate", self.certificate, {"--certificate": "tls.crt", "--key": "tls.key"}),
        )
        return [
            (SecretFiles(name=name, secret=secret, keys=tuple(options.values())), options)
            for name, secret, options in every
            if secret is not None
        ]


def check_of_tls(given: object, url: str, *, field: str) -> None:
    """Refuse what is of TLS for a target without it.

    Args:
        given: What is given; None for nothing.
        url: As :attr:`ReplaySettings.target`.
        field: Path of ``given`` in an error.

    Raises:
        ValidationError: Something is given, and the target has no TLS.
    """
    if given is not None and urlsplit(url).scheme != "https":
        raise ValidationError(
            field=field,
            value=str(given),
            rule="is for a target with https://; requests to this one would go in plain text",
            remedy="Write https:// in the target, or leave it out",
        )


@dataclass(frozen=True, kw_only=True)
class ReplaySettings:
    """What the pods of a replay are told: the options of ``traffic-mirror replay`` that name no files.

    Attributes:
        recording: Bucket's URL (``gs://``, ``s3://``, ``abfss://``), or a folder below ``/recordings``, where pods see
            the volume claim.
        target: ``http://host:port`` or ``https://host:port``, without a path: each request has its own.
        result: Where answers go, as a recording: a bucket's URL or a folder below ``/recordings``; None keeps none. A
            part that is noted there as done sends nothing, so a new run needs a new place.
        shards: Parts, each in a pod of its own, 1 to 512. Rates and limits are those of all together.
        begin: When all parts begin, as ``2026-01-31T12:00:00Z``; needed with several parts. One that comes later begins
            at once. Another moment is another Job.
        speed: Factor on the original timing, 0.01 to 1,000.
        rate: Requests per second instead of the original timing, 0.001 to 100,000; None keeps the timing.
        max_rate: No more than this many requests per second, 0.001 to 100,000; None for no limit.
        max_requests: No more than this many in all, 1 to 10^12; None for all.
        max_in_flight: No more than this many without an answer, at least one for each part, to 10,000.
        rpc_methods: gRPC methods that may be called again, as ``package.Service/Method``.
        waiver: Why every method may be sent again here; None: only GET, HEAD, OPTIONS and ``rpc_methods``.
        side: Whose requests to send.
        source: Which recorder's requests; None for all, each request once.
        result_side: Side of the answers; primary for a repeated replay to v1.
        authority: Host of every request; None for the recorded ones.
        rewrites: Beginnings of paths with what replaces them, e.g. ``{"/v1": "/v2"}``.
        session_header: Requests with the same value of this header are of one part, and are sent one after another.
        http2: Whether plain HTTP goes over HTTP/2; gRPC always does.
        server_name: Name expected in the target's certificate; None for the target's host.
        timeout_seconds: Bound on each request, 0.1 to 3,600 s.

    Raises:
        ValidationError: A value breaks its rule.
    """

    recording: str
    target: str
    result: str | None = None
    shards: int = 1
    begin: str | None = None
    speed: float = 1.0
    rate: float | None = None
    max_rate: float | None = None
    max_requests: int | None = None
    max_in_flight: int = IN_FLIGHT
    rpc_methods: Sequence[str] = ()
    waiver: Waiver | None = None
    side: Side = Side.PRIMARY
    source: str | None = None
    result_side: Side = Side.MIRROR
    authority: str | None = None
    rewrites: Mapping[str, str] = field(default_factory=dict[str, str])
    session_header: str | None = None
    http2: bool = False
    server_name: str | None = None
    timeout_seconds: float = REQUEST_SECONDS

    def __post_init__(self) -> None:
        for name in ("recording", "target"):
            instance(getattr(self, name), str, field=name)
        for name in ("result", "begin", "source", "authority", "server_name"):
            instance(getattr(self, name), str, field=name, optional=True)
        instance(self.waiver, Waiver, field="waiver", optional=True)
        instance(self.http2, bool, field="http2")
        _check_place(self.recording, "recording")
        if self.result is not None:
            _check_place(self.result, "result")
        check_target(self.target)
        check_of_tls(self.server_name, self.target, field="server_name")
        Pace(speed=self.speed, rate=self.rate, max_rate=self.max_rate)
        whole(self.shards, "shards", 1, MAX_SHARDS)
        if self.max_requests is not None:
            whole(self.max_requests, "max_requests", 1, 10**12)
        whole(self.max_in_flight, "max_in_flight", self.shards, 10_000)
        bounded(self.timeout_seconds, "timeout_seconds", 0.1, 3_600, "seconds")
        methods = enumerate(listed(self.rpc_methods, field="rpc_methods"))
        named = tuple(RpcMethod(cast("str", each), field=f"rpc_methods[{index}]") for index, each in methods)
        object.__setattr__(self, "rpc_methods", named)
        for name in ("side", "result_side"):
            object.__setattr__(self, name, member(Side, getattr(self, name), field=name))
        object.__setattr__(self, "rewrites", _rewrites(self.rewrites))
        if self.session_header is not None:
            object.__setattr__(self, "session_header", HeaderName(self.session_header, field="session_header"))
        self._check_begin()

    def _check_begin(self) -> None:
        if self.begin is None and self.shards > 1:
            raise ValidationError(
                field="begin",
                value=None,
                rule=f"must be given, because the {self.shards} parts have no other moment in common",
                remedy="Write for example '2026-01-31T12:00:00Z', a minute or two after the deployment",
            )
        if self.begin is not None:
            moment_of(self.begin, field="begin")

    @property
    def needs_volume(self) -> bool:
        """Whether recordings lie on a volume, and not in buckets alone."""
        return any(place is not None and "://" not in place for place in (self.recording, self.result))

    def words(self) -> list[str]:
        """Return the command line's words after ``traffic-mirror``, in the order in which the command has its options.

        What has its default is left out, so that new defaults change no Job that is there.
        """
        words = ["replay", self.recording, self.target]
        for option, value in self._options():
            words += [option] if value is True else [option, str(value)]
        return words

    def _options(self) -> Iterator[tuple[str, object]]:
        single: tuple[tuple[str, object], ...] = (
            ("--speed", None if self.speed == 1 else float(self.speed)),
            ("--rate", None if self.rate is None else float(self.rate)),
            ("--max-rate", None if self.max_rate is None else float(self.max_rate)),
            ("--max-requests", self.max_requests),
            ("--max-in-flight", None if self.max_in_flight == IN_FLIGHT else self.max_in_flight),
            *(("--rpc", method) for method in self.rpc_methods),
            ("--allow-side-effects", self.waiver.reason if self.waiver else None),
            ("--side", None if self.side is Side.PRIMARY else self.side),
            ("--source", self.source),
            ("--result", self.result),
            ("--result-side", None if self.result_side is Side.MIRROR else self.result_side),
            ("--authority", self.authority),
            *(("--rewrite", f"{old}={new}") for old, new in self.rewrites.items()),
            ("--by", None if self.session_header is None else f"header:{self.session_header}"),
            ("--http2", self.http2 or None),
            ("--server-name", self.server_name),
            ("--request-timeout", None if self.timeout_seconds == REQUEST_SECONDS else float(self.timeout_seconds)),
            ("--shards", self.shards),
            ("--begin", self.begin),
        )
        return ((option, value) for option, value in single if value is not None)


def moment_of(text: str, *, field: str) -> datetime:
    """Return the moment that a text names.

    Args:
        text: As :attr:`ReplaySettings.begin`.
        field: Path of ``text`` in an error.

    Raises:
        ValidationError: It is none, or has no time zone.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValidationError(
            field=field,
            value=text,
            rule="must have a time zone" if moment else "must be a moment",
            remedy="Write for example '2026-01-31T12:00:00Z'",
        )
    return moment


def _check_place(place: str, field: str) -> None:
    if "://" in place:
        check_bucket(place, field=field)
        return
    parts = place.split("/")
    if not f"{place}/".startswith(f"{DIRECTORY}/") or ".." in parts:
        raise ValidationError(
            field=field,
            value=place,
            rule=f"must be a bucket's URL, or a folder below {DIRECTORY}, where pods see the volume claim",
            remedy=f"Write for example 'gs://bucket/monday' or '{DIRECTORY}/monday'",
        )


def _rewrites(given: object) -> dict[str, str]:
    if not isinstance(given, Mapping):
        raise ValidationError(
            field="rewrites", value=given, rule="must be texts by text", remedy="Write {'/v1': '/v2'}, or leave it out"
        )
    rewrites = cast("Mapping[object, object]", given)
    for old, new in rewrites.items():
        # A command line has an equals sign between the two.
        if not isinstance(old, str) or not isinstance(new, str) or "=" in old:
            raise ValidationError(
                field="rewrites",
                value=f"{old}={new}",
                rule="must be two texts, the first without an equals sign",
                remedy="Write for example {'/v1': '/v2'}",
            )
    known = dict(cast("Mapping[str, str]", rewrites))
    check_rewrites(known)
    return known
