"""Would a TLS connection from one proxy to another succeed? Told from what both have loaded, without connecting."""

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from .proxy import ClusterView, Inlet


def obstacles(
    cluster: ClusterView, inlets: Sequence[Inlet], mine: Mapping[str, bytes], theirs: Mapping[str, bytes], now: datetime
) -> list[str]:
    """Return why a connection cannot be made, as clauses; none when nothing speaks against it.

    Args:
        cluster: How the sender connects.
        inlets: Filter chains of the receiver on the port that it connects to; none when they are not known.
        mine: Certificates and authorities that the sender has loaded, PEM by name of the secret.
        theirs: Those of the receiver.
        now: Current time with a zone.
    """
    found = [f"the sender has not loaded the secret {name}" for name in cluster.secrets if name not in mine]
    inlet = _chosen(cluster, inlets)
    if not inlets:
        return found
    if inlet is None:
        if cluster.tls and not any(each.tls for each in inlets):
            return [*found, "the sender speaks TLS and the receiver listens for plain text"]
        if not cluster.tls:
            return [*found, "the sender speaks plain text and the receiver listens for TLS"]
        names = sorted({name for each in inlets for name in each.server_names})
        return [
            *found,
            f"the receiver has no listener for the server name {cluster.sni!r}, only for {', '.join(names)}",
        ]
    if not inlet.tls:
        return found
    found += [f"the receiver has not loaded the secret {name}" for name in inlet.secrets if name not in theirs]
    found += _certificates(cluster, inlet, mine, theirs, now)
    return found


def _chosen(cluster: ClusterView, inlets: Sequence[Inlet]) -> Inlet | None:
    """The filter chain that the receiver picks."""
    for inlet in inlets:
        if inlet.tls != cluster.tls:
            continue
        if not inlet.tls or not inlet.server_names:
            return inlet
        if any(fnmatch.fnmatchcase(cluster.sni, name) for name in inlet.server_names):
            return inlet
    return None


def _certificates(
    cluster: ClusterView, inlet: Inlet, mine: Mapping[str, bytes], theirs: Mapping[str, bytes], now: datetime
) -> Iterator[str]:
    chain = _loaded(inlet.secrets, theirs, authority=False)
    authorities = _loaded(cluster.secrets, mine, authority=True)
    if chain:
        server = chain[0]
        yield from _end("the receiver's certificate", server, now)
        if authorities and not _signed_by(chain, authorities):
            yield "the sender does not trust who signed the receiver's certificate"
        names = _names(server)
        if cluster.names and not any(_is_for(wanted, names) for wanted in cluster.names):
            own = ", ".join(names) or "no name"
            yield f"the receiver's certificate is for {own}, not for {', '.join(cluster.names)}"
    if not inlet.needs_certificate:
        return
    client = _loaded(cluster.secrets, mine, authority=False)
    if not client:
        yield "the receiver asks for a certificate and the sender has none"
        return
    yield from _end("the sender's certificate", client[0], now)
    trusted = _loaded(inlet.secrets, theirs, authority=True)
    if trusted and not _signed_by(client, trusted):
        yield "the receiver does not trust who signed the sender's certificate"


def _loaded(names: Sequence[str], secrets: Mapping[str, bytes], *, authority: bool) -> list[x509.Certificate]:
    """Certificates of those secrets that are authorities, or of those that are not.

    Istio names them alike: the authority's secret ends with ``-cacert``, or is ``ROOTCA``.
    """
    found: list[x509.Certificate] = []
    for name in names:
        if (name.endswith("-cacert") or name == "ROOTCA" or name.startswith("file-root:")) == authority:
            try:
                found += x509.load_pem_x509_certificates(secrets.get(name, b""))
            except ValueError:
                continue
    return found


def _signed_by(chain: Sequence[x509.Certificate], authorities: Sequence[x509.Certificate]) -> bool:
    """Whether one of the authorities signed the first certificate of a chain, by way of those after it."""
    certificate, between = chain[0], list(chain[1:])
    while True:
        if _issuer(certificate, authorities) is not None:
            return True
        issuer = _issuer(certificate, between)
        if issuer is None:
            return False
        between.remove(issuer)
        certificate = issuer


def _issuer(certificate: x509.Certificate, candidates: Sequence[x509.Certificate]) -> x509.Certificate | None:
    """Who of the candidates signed a certificate."""
    for issuer in candidates:
        try:
            certificate.verify_directly_issued_by(issuer)
        except (InvalidSignature, ValueError, TypeError):
            continue
        return issuer
    return None


def _is_for(wanted: str, names: Sequence[str]) -> bool:
    """Whether one of a certificate's names is wanted; a pattern ``*.example`` of either side stands for its names."""
    return any(
        wanted == name
        or (wanted.startswith("*") and name.endswith(wanted[1:]))
        or (name.startswith("*.") and wanted.partition(".")[2] == name[2:])
        for name in names
    )


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [*names.get_values_for_type(x509.DNSName), *names.get_values_for_type(x509.UniformResourceIdentifier)]


def _end(what: str, certificate: x509.Certificate, now: datetime) -> Iterator[str]:
    if now > certificate.not_valid_after_utc:
        yield f"{what} has expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    if now < certificate.not_valid_before_utc:
        yield f"{what} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
