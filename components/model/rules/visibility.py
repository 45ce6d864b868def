"""What the proxies of a namespace see: by exports, and by the Sidecar that narrows it."""

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from functools import cached_property
from typing import Final

from .gateways import labels
from .hosts import covers
from .nodes import Node, NotJudgedError
from .objects import KubeObject, exported
from .routes import MESH, Route

EXPORT: Final = "networking.istio.io/exportTo"
"""Annotation by which a Service says who sees it."""


def exports_of(service: KubeObject) -> set[str]:
    """Namespaces that a Service says it is exported to, with their signs; nothing where it says nothing."""
    return {name.strip() for name in service.annotation(EXPORT).split(",")} - {""}


def sees_service(namespace: str, service: KubeObject) -> bool:
    """Whether proxies of a namespace see a Service, by what it exports itself to."""
    written = exports_of(service)
    return (
        not written or not written.isdisjoint({"*", namespace}) or ("." in written and service.namespace == namespace)
    )


class Scopes:
    """The Sidecars of a cluster: which hosts the sidecars of a namespace take in.

    One for chosen workloads counts for none here: whose sidecar sends is not known.
    """

    def __init__(self, sidecars: Iterable[KubeObject], root_namespace: str) -> None:
        self._root = root_namespace
        self._by_namespace: dict[str, KubeObject] = {}
        for sidecar in sidecars:
            with suppress(NotJudgedError):
                if not labels(sidecar.spec["workloadSelector"]["labels"]):
                    self._by_namespace.setdefault(sidecar.namespace, sidecar)

    @cached_property
    def narrow(self) -> bool:
        """Whether there are any."""
        return bool(self._by_namespace)

    def of(self, namespace: str) -> KubeObject | None:
        """The Sidecar of a namespace: its own, else the root namespace's."""
        return self._by_namespace.get(namespace) or self._by_namespace.get(self._root)

    def hides_all_but(
        self, namespace: str, given: Collection[str], find: Callable[[str], KubeObject | None], *, at: int
    ) -> bool:
        """Whether a Sidecar leaves sidecars of a namespace nothing but hosts at hand.

        Args:
            namespace: The namespace.
            given: Namespaces whose Services are at hand.
            find: Looks a Service up by its full name.
            at: Port of the hosts; a listener for another one leaves none of them.
        """
        listeners = self._listeners(namespace)
        near = [each for each in listeners if each["port"]["number"].integer() in (None, at)]
        for place, pattern in (each for node in near for each in _hosts(node, namespace)):
            if find(pattern) is None and place not in given:
                return False
        return bool(listeners)

    def takes_in(
        self, namespace: str, host: str, home: str, *, ports: Collection[int] | None = None, at: int | None = None
    ) -> bool:
        """Whether sidecars of a namespace take in a host (or each of a pattern) of an object in the namespace ``home``.

        What a VirtualService that they take in names as a destination they know as well; see ``takes_route``.

        Args:
            namespace: The namespace.
            host: The host.
            home: Namespace of its object.
            ports: Ports that it has, of which a listener for one port takes in that one; None for any.
            at: Port that is called; None for any.
        """
        listeners = self._listeners(namespace)
        if not listeners:
            return True
        for listener in _called_at(listeners, at):
            own = listener["port"]["number"].integer()
            if own is not None and ports is not None and own not in ports:
                continue
            for place, pattern in _hosts(listener, namespace):
                if place in ("*", home) and (covers(pattern, host) or covers(host, pattern)):
                    return True
        return False

    def takes_route(
        self, namespace: str, route: Route, *, at: int | None = None, ports: Collection[int] | None = None
    ) -> bool:
        """Whether sidecars of a namespace take in the VirtualService of an entry, and with it where it leads.

        Args:
            namespace: The namespace.
            route: The entry.
            at: Port that is called; None for any.
            ports: Ports that it leads to, of which a listener for one port knows that one; None for any.
        """
        if not self._by_namespace:
            return True
        home, hosts = route.owner.namespace, route.hosts_at(MESH)
        return any(self.takes_in(namespace, host, home, at=at, ports=ports) for host in hosts)

    def _listeners(self, namespace: str) -> list[Node]:
        sidecar = self.of(namespace) if self._by_namespace else None
        return sidecar.spec["egress"].elements() if sidecar else []


def _called_at(listeners: list[Node], port: int | None) -> list[Node]:
    """The listeners of a Sidecar that take what is called on a port: those for it alone, else those for all others."""
    if port is None:
        return listeners
    own = [each for each in listeners if each["port"]["number"].integer() == port]
    return own or [each for each in listeners if not each["port"].given]


def _hosts(listener: Node, namespace: str) -> list[tuple[str, str]]:
    """Namespaces and hosts that a listener of a Sidecar takes in for those of a namespace: none where one says so."""
    written = [text.partition("/") for text in listener["hosts"].texts()]
    if any(place == "~" and separator for place, separator, _ in written):
        return []
    return [(namespace if place == "." else place, pattern) for place, _, pattern in written]


def sees_route(namespace: str, route: Route, scopes: Scopes) -> bool:
    """Whether sidecars of a namespace see an entry's object."""
    return exported(route.owner, namespace) and scopes.takes_route(namespace, route)
