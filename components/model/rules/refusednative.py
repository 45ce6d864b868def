"""What of Gateways of the Gateway API the API server refuses, and why."""

import re
from typing import Final

from .nodes import UNKNOWN, Node
from .objects import KubeObject
from .refusednames import Refusals, address, filled, twice

_PART: Final = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_DOMAIN: Final = rf"{_PART}(?:\.{_PART})*"
_HOST: Final = re.compile(rf"(?:\*\.)?{_DOMAIN}")
# Of these two the definition says only how a longer one ends.
_PROTOCOL: Final = re.compile(rf"[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?|.*{_DOMAIN}/[A-Za-z0-9]+", re.DOTALL)
_TYPE: Final = re.compile(
    rf"Hostname.*|.*(?:IPAddress|NamedAddress).*|.*{_DOMAIN}/[-A-Za-z0-9/._~%!$&'()*+,;=:]+", re.DOTALL
)
_OWN: Final = r"(?:[A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]"
_KEY: Final = re.compile(rf"(?:{_DOMAIN}/)?{_OWN}")
_VALUE: Final = re.compile(rf"|{_OWN}")
_LONGEST_PREFIX: Final = 252
_MOST: Final = {"labels": 8, "annotations": 16}
_MOST_OPTIONS: Final = 16


def refused_kubernetes_gateway(subject: KubeObject) -> Refusals:
    """What is refused of a Gateway of the Gateway API."""
    spec = subject.spec
    written = spec["listeners"]
    listeners = written.elements()
    parts = [(each["port"].integer(), each["protocol"].text(), each["hostname"].text()) for each in listeners]
    if twice(parts):
        yield written, "port, protocol and hostname of two listeners are the same"
    for each in listeners:
        yield from _named(each)
        yield from _secured(each)
    yield from _addresses(spec["addresses"])
    yield from _infrastructure(spec["infrastructure"])


def _named(listener: Node) -> Refusals:
    yield from _form(listener["protocol"], _PROTOCOL, "protocol")
    protocol = listener["protocol"].text()
    if protocol in ("TCP", "UDP") and listener["hostname"].given:
        yield listener["hostname"], f"a listener for {protocol} has no hostname"


def _form(node: Node, form: re.Pattern[str], what: str) -> Refusals:
    if node.given and not form.fullmatch(node.text()):
        yield node, f"{node.text()} is no {what}"


def _secured(listener: Node) -> Refusals:
    protocol, tls = listener["protocol"].text(), listener["tls"]
    mode = tls["mode"].text("Terminate")
    if protocol in ("HTTP", "TCP", "UDP") and tls.given:
        yield tls, f"a listener for {protocol} has no tls"
    elif protocol == "HTTPS" and mode != "Terminate":
        yield tls["mode"], "a listener for HTTPS ends TLS itself"
    elif tls.given and mode == "Terminate" and not _holds(tls):
        yield tls, "a listener that ends TLS needs certificateRefs"
    if len(tls["options"].names()) > _MOST_OPTIONS:
        yield tls["options"], f"at most {_MOST_OPTIONS} may be given"


def _holds(tls: Node) -> bool:
    options = tls["options"]
    known = tls["certificateRefs"].value is not UNKNOWN and options.value is not UNKNOWN
    return not known or filled(tls["certificateRefs"]) or bool(options.names())


def _addresses(written: Node) -> Refusals:
    for each in written.elements():
        yield from _form(each["type"], _TYPE, "type of an address")
    found = [(each["type"].text("IPAddress"), each["value"]) for each in written.elements()]
    for kind, value in found:
        if kind == "IPAddress" and value.given and not address(value.text()):
            yield value, f"{value.text()} is no IP address"
        if kind == "Hostname":
            yield from _form(value, _HOST, "hostname")
    if twice([(kind, value.text()) for kind, value in found if value.given and kind in ("IPAddress", "Hostname")]):
        yield written, "an address is given twice"


def _infrastructure(written: Node) -> Refusals:
    for key, most in _MOST.items():
        entries = written[key].entries()
        if len(entries) > most:
            yield written[key], f"at most {most} may be given"
        for name, value in entries:
            if not _KEY.fullmatch(name) or len(name.split("/")[0]) > _LONGEST_PREFIX:
                yield written[key], f"{name} is no name of a label"
            if key == "labels":
                yield from _form(value, _VALUE, "value of a label")
