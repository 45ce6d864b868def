"""Where requests are sent, and how to reach it."""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from ...model import HeaderName, ValidationError
from ...model.recording import SESSION_HEADER
from ...model.replaying import check_of_tls, check_rewrites, check_target
from ..recording import Headers
from ..recording.redaction import REDACTED
from .libcurl import pycurl

_NOT_SENT: Final = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        SESSION_HEADER,
    }
)
"""Headers of one connection, not of the request (RFC 9110 section 7.6.1), those that the sender works out, and what a
recorder noted."""


@unique
class HttpVersion(StrEnum):
    """How plain HTTP requests are sent; gRPC is always HTTP/2."""

    HTTP_1_1 = "1.1"
    HTTP_2 = "2"
    """By ALPN over TLS, with prior knowledge without."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What receives the replay.

    Attributes:
        url: ``http://host:port`` or ``https://host:port``; the port defaults to 80 or 443. No path: each request has
            its own.
        http_version: For plain HTTP requests.
        authority: ``Host`` or ``:authority`` of every request; ``None`` keeps the recorded ones, as a gateway that
            routes by host needs.
        headers: Put on every request, replacing recorded ones of the same name, e.g. a credential for the target in
            place of the redacted one. Never shown.
        ca_file: PEM file with the authorities that may sign the target's certificate; ``None`` for the system's.
        certificate_file: PEM file with the client's certificate chain; needs ``key_file``.
        key_file: PEM file with its private key.
        rewrites: Beginnings of paths with what replaces them, e.g. ``{"/v1": "/v2"}``. Whole segments count, so that
            ``/v10`` is another path, and the longest beginning that fits.
        server_name: Name expected in the target's certificate; ``None`` for the URL's host.

    Raises:
        ValidationError: The URL or a header is malformed, only one of certificate and key is given, or something of TLS
            for a target without it.
    """

    url: str
    http_version: HttpVersion = HttpVersion.HTTP_1_1
    authority: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    server_name: str | None = None
    rewrites: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "headers", {HeaderName(name, field="headers"): value for name, value in self.headers.items()}
        )
        check_target(self.url)
        check_rewrites(self.rewrites)
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValidationError(
                field="certificate_file",
                value=str(self.certificate_file or self.key_file),
                rule="must be given together with the private key, and the other way round",
                remedy="Give both or none",
            )
        for name in ("ca_file", "certificate_file", "server_name"):
            check_of_tls(getattr(self, name), self.url, field=name)

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""
        return urlsplit(self.url).scheme

    @property
    def is_secure(self) -> bool:
        """Whether TLS is used."""
        return self.scheme == "https"

    @property
    def host(self) -> str:
        """Host name or address, without brackets."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """TCP port."""
        return urlsplit(self.url).port or (443 if self.is_secure else 80)

    @property
    def address(self) -> str:
        """Host and port as gRPC writes them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def authority_of(self, recorded: str) -> str:
        """Return the authority to send for a recorded one."""
        return self.authority or recorded or self.address

    def path_of(self, recorded: str) -> str:
        """Return the path to send for a recorded one."""
        path, mark, query = recorded.partition("?")
        fitting = [old for old in self.rewrites if f"{path}/".startswith(f"{old.rstrip('/')}/")]
        if not fitting:
            return recorded
        old = max(fitting, key=len)
        rest = path[len(old.rstrip("/")) :]
        return f"{self.rewrites[old].rstrip('/')}{rest}{mark}{query}" if rest else f"{self.rewrites[old]}{mark}{query}"

    def headers_for(self, *, mark: tuple[str, str]) -> Callable[[Headers], Headers]:
        """Return what gives the headers to send: the recorded ones that may go, this target's own, and the mark."""
        own = {**self.headers, mark[0]: mark[1]}
        added, left_out = tuple(own.items()), _NOT_SENT.union(own)

        def headers_for(recorded: Headers) -> Headers:
            kept = [
                (name, value)
                for name, value in recorded
                if name not in left_out
                and value != REDACTED
                # A proxy's own notes on the first sending: attempts, time-outs, its view of the caller.
                and not name.startswith("x-envoy-")
            ]
            return (*kept, *added)

        return headers_for

    def certificate_files(self) -> list[tuple[int, Path | str]]:
        """Return the files of TLS by libcurl's options; authorities are the system's where none are given."""
        paths = ssl.get_default_verify_paths()
        files = {
            pycurl.CAINFO: self.ca_file or paths.cafile,
            pycurl.CAPATH: None if self.ca_file else paths.capath,
            pycurl.SSLCERT: self.certificate_file,
            pycurl.SSLKEY: self.key_file,
        }
        return [(option, path) for option, path in files.items() if path is not None]

    def check_certificates(self) -> None:
        """Read the files of TLS once, so that a wrong one is told before anything is sent.

        Raises:
            ValidationError: A file cannot be read or holds no certificate.
        """
        if not self.is_secure:
            return
        try:
            context = ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)
            if self.certificate_file and self.key_file:
                context.load_cert_chain(self.certificate_file, self.key_file)
        except OSError as error:
            raise ValidationError(
                field="certificates",
                value=str(self.certificate_file or self.ca_file),
                rule=f"must be readable PEM files ({error.strerror or error})",
                remedy="Check the paths and formats",
            ) from error
