"""What the linter says or implies of one mirror, against what istiod renders of it at each proxy."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pulumi_traffic_mirror.model.rules import MirrorEntry, patching
from pulumi_traffic_mirror.model.rules.envoy import SIDECAR
from pulumi_traffic_mirror.model.rules.placements import standing
from pulumi_traffic_mirror.model.rules.policies import proxies
from pulumi_traffic_mirror.model.rules.reach import pattern_entry
from pulumi_traffic_mirror.model.rules.sidecar_ports import has_plain_port, may_be_elsewhere
from pulumi_traffic_mirror.model.rules.visibility import EXPORT
from pulumi_traffic_mirror.operations.oracle import Answer, Proxy, ProxyKind, Question
from pulumi_traffic_mirror.operations.oracle.answers import MirrorFact
from pulumi_traffic_mirror.operations.oracle.rendered import Rendering, renderings
from pulumi_traffic_mirror.operations.oracle.sending import CONTEXTS, is_called, is_counted, own_copies
from tests.differential.claims import Claims
from tests.differential.maker import CREDENTIALS

UNSENT: Final = {
    "mirror-never-sent",
    "mirror-primary-undefined",
    "gateway-undefined",
    "gateway-host",
    "gateway-namespace",
    "gateway-selector",
    "gateway-port-closed",
    "host-routed-twice",
    "mirror-not-granted",
    "mirror-ambient-without-waypoint",
}
"""Rules whose findings say that nobody sends a mirror."""

VANISHING: Final = {
    "mirror-target-undefined",
    "mirror-target-port-undefined",
    "mirror-target-hidden",
    "mirror-subset-undefined",
    "mirror-target-no-port",
    "service-entry-hidden",
    "mirror-not-granted",
}
"""Rules whose findings say that a sender has no cluster for a mirror's target."""

ADDRESSLESS: Final = {"service-entry-without-address", "mirror-target-headless", "mirror-target-no-pods"}
"""Rules whose findings say that a mirror's target has no endpoint."""

BRAKES: Final = {
    "a connection limit": lambda fact: fact["limits"]["connections"] > 0,
    "a limit on pending requests": lambda fact: fact["limits"]["pending"] > 0,
    "a limit on requests in flight": lambda fact: fact["limits"]["requests"] > 0,
    "a connect timeout": lambda fact: fact["connect_timeout"] > 0,
    "keep-alive": lambda fact: fact["keep_alive"],
    "outlier detection": lambda fact: fact.get("outlier_detection", {}).get("ejects", False),
}
"""How a cluster shows each brake of the rule mirror-no-brakes."""

RESOLUTION: Final = 1e-4
"""Envoy counts shares in millionths."""


@dataclass(frozen=True, order=True)
class Disagreement:
    """One claim that does not hold.

    Attributes:
        kind: What is not as claimed.
        subject: The object.
        note: Where and how, to sort by.
    """

    kind: str
    subject: str
    note: str = ""


class JudgedMirror:
    """One mirror, and what became of it at each proxy."""

    def __init__(self, mirror_entry: MirrorEntry, claims: Claims, question: Question, answer: Answer) -> None:
        self.mirror_entry, self.claims, self.question, self.answer = mirror_entry, claims, question, answer
        self.subject = str(mirror_entry.source)
        self.mine = claims.of(mirror_entry)
        self.sure = claims.of(mirror_entry, sure=True)
        holders = {self.subject, str(mirror_entry.route.owner), str(mirror_entry.route.source)}
        self.rules = {rule for each in holders for rule in claims.about(each)}
        rendered, cluster = renderings(question, answer, mirror_entry.route), claims.cluster
        self.found = [each for each in rendered if is_called(cluster, mirror_entry, each)]  # beyond: uncalled
        self.sent = [(each, own) for each in self.found if (own := own_copies(cluster, mirror_entry, each))]

    def disagreements(self) -> list[Disagreement]:
        mirror_entry = self.mirror_entry
        together = self.claims.cluster.routing.of_route(mirror_entry.route)
        stand_ins, host = self.claims.stand_ins, mirror_entry.target.host
        alike = [
            each
            for each in together
            if not self._nothing(each) and stand_ins.get(each.target.host, each.target.host) == host
        ]
        external, twice = self.claims.external(mirror_entry), self.claims.defined_twice(mirror_entry)
        if external or twice:  # beyond: external # beyond: both
            return []
        if self._nothing(mirror_entry):
            return self._resting(alike)
        if not self.sent:
            return self._unsent()
        if "mirror-never-sent" in self.mine:
            return [] if self._chooses_callers() else self._say("unsent-claimed")
        if self.claims.unclear(mirror_entry):
            return []
        ended = pattern_entry(self.claims.cluster, mirror_entry.target.host)  # without a cluster nothing else matters
        found = [*self._primaries(), *self._share(), *self._clusters(), *(() if ended else self._credentials())]
        doubtful = self._is_hidden() or self._by_gateways_elsewhere()
        return [each for each in found if not (doubtful and each.kind.endswith("-claimed"))]

    def _resting(self, alike: Sequence[MirrorEntry]) -> list[Disagreement]:
        """What is not as claimed of a mirror that rests, given those that may be sent in its place."""
        told = (each.message for each in self.claims.findings if each.object == self.subject)
        if self.found and any(each.startswith("the whole") for each in told):
            return self._say("unsent-claimed", "of one that rests")
        return self._say("rests-but-sent") if self.sent and not alike and not self._told_of_filters() else []

    def _chooses_callers(self) -> bool:
        """Whether a match is for callers of some labels, which workloads that are not at hand may have."""
        route = self.mirror_entry.route
        matches = [each for entry in (route.entry, route.outer) for each in entry["match"].elements()]
        return any(each["sourceLabels"].given for each in matches)  # beyond: labels

    def _told_of_filters(self) -> bool:
        """Whether an EnvoyFilter is said to change it, or to make one to the same host."""
        made = "envoy-filter-mirrors" in self.claims.naming(self.mirror_entry.target.host)
        return made or self.claims.patched(self.mirror_entry)

    def _told_where_written(self) -> bool:
        """Whether an EnvoyFilter that writes it, perhaps with another port, is said to name what is not there."""
        found = patching.sent(self.claims.cluster, self.mirror_entry.route)
        return any(self.claims.about(str(patch.source)) & VANISHING for each in found for patch in each.applied)

    def _is_hidden(self) -> bool:
        """Whether another route for the host keeps it from a proxy that the linter counts with."""
        there = {(CONTEXTS[each.proxy.kind], each.proxy.namespace) for each, _ in self.sent}
        senders = proxies(self.claims.cluster, self.mirror_entry.route)
        return "host-routed-twice" in self.rules and not there.issuperset(senders)  # beyond: twice

    def _by_gateways_elsewhere(self) -> bool:
        """Whether what is said of it may be said of a gateway that is not given."""
        return "gateway-undefined" in self.rules  # beyond: gateways

    def _nothing(self, mirror_entry: MirrorEntry) -> bool:
        """Whether a share is nothing, or is said to be too little for Envoy."""
        return mirror_entry.disabled or (mirror_entry.nothing and "mirror-percent-range" in self.mine)

    def _say(self, kind: str, note: str = "") -> list[Disagreement]:
        form = (
            "native"
            if self.mirror_entry.route.native
            else "delegated"
            if self.mirror_entry.route.outer.given
            else "istio"
        )
        places = "+".join(sorted({each.proxy.kind.value for each, _ in self.sent}))
        return [Disagreement(kind, self.subject, " ".join(part for part in (form, places, note) if part))]

    def _unsent(self) -> list[Disagreement]:
        if self.claims.unclear(self.mirror_entry):
            return []
        told = (self.mine | self.rules) & UNSENT or self.mine & (VANISHING | {"mirror-percent-range"})
        if self._behind_hosts_elsewhere() or self._from_elsewhere():
            return []
        if told or self.claims.patched(self.mirror_entry) or self._sent_by_another():
            return []
        actions = {each.route["action"] for each in self.found}
        note = "rendered without it" if actions == {"route"} else f"rendered as {sorted(actions)}"
        return self._say("unsent-silent", note)

    def _sent_by_another(self) -> bool:
        """Whether another entry of a delegate sends what the entry that delegates says for all of them."""
        return any(each.sent for each in self._alike())

    def _alike(self) -> Iterable["JudgedMirror"]:
        """What is written in the same place for other entries of a delegate, and so is found fault with there."""
        for each in self.claims.cluster.routing.mirror_entries:
            if each is not self.mirror_entry and each.node.value is self.mirror_entry.node.value:
                yield JudgedMirror(each, self.claims, self.question, self.answer)

    def _primaries(self) -> list[Disagreement]:
        """Whether some sender lacks the clusters of all primaries, so that it answers 503 and copies nothing."""
        route = self.mirror_entry.route
        told = [
            each
            for each in self.claims.findings
            if each.rule == "mirror-primary-undefined"
            and (each.object, each.field) == (str(route.source), route.entry.path)
        ]
        expected = [each for each, _ in self.sent if self._expected(each.proxy)]
        lacking = any(not each.clusters.keys() & each.route.get("clusters", {}).keys() for each in expected)
        services = [self.claims.cluster.service(each.host) for each in route.primaries]
        nobody = any(each and each.annotation(EXPORT) == "~" for each in services)  # beyond: nobody
        if lacking and not told and not nobody:
            elsewhere = any(may_be_elsewhere(self.claims.cluster, each.host) for each in route.primaries)
            return [] if elsewhere else self._say("primary-absent-silent")  # beyond: elsewhere
        if "host-routed-twice" in self.rules:  # beyond: twice
            return []
        surely = any(not each.likely for each in told)
        return self._say("primary-absent-claimed") if surely and expected and not lacking and not nobody else []

    def _share(self) -> list[Disagreement]:
        percent = self.mirror_entry.percent
        if percent is None or self._told_of_filters():  # beyond: patched
            return []
        together = [each for each in self.claims.cluster.routing.of_route(self.mirror_entry.route) if not each.disabled]
        alike = [each for each in together if each.target == self.mirror_entry.target]
        stand_ins, host = self.claims.stand_ins, self.mirror_entry.target.host
        loose = [each for each in together if stand_ins.get(each.target.host, each.target.host) == host]
        if len(loose) > len(alike) or len({each.percent for each in alike}) > 1:  # beyond: shares
            return []
        for each, own in self.sent:
            share = sum(mirror["share"] for mirror in own) / len(own)
            if abs(share - min(percent, 100)) > RESOLUTION and self._expected(each.proxy):
                return self._say("share-differs", "more" if share > percent else "less")
        return []

    def _expected(self, proxy: Proxy) -> bool:
        """Whether the linter counts with a proxy as a sender."""
        return is_counted(self.claims.cluster, self.mirror_entry, proxy)  # beyond: others

    def _clusters(self) -> list[Disagreement]:
        sent = [(each, own) for each, own in self.sent if self._expected(each.proxy)]
        if not sent:
            taken = all(each.removed_by for each in patching.sent(self.claims.cluster, self.mirror_entry.route))
            told = taken or self._told_of_filters() or "host-routed-twice" in self.rules
            return [] if told or self._behind_hosts_elsewhere() else self._say("sent-by-others-only")
        host = self.mirror_entry.target.host
        of_senders = (self.claims.naming(f"in {each.proxy.namespace} that mirror to {host}") for each, _ in sent)
        hiding = {rule for told in of_senders for rule in told} & {"service-entry-hidden", "mirror-target-hidden"}
        told = self.mine & VANISHING or hiding
        if all(each.proxy.kind is ProxyKind.SIDECAR for each, _ in sent):
            told = told - {"mirror-not-granted"}  # gateways alone need a grant
        absent = [each for each, own in sent if own[0]["cluster"] not in each.clusters]
        if any(self._told_of_removal(name) for name in {own[0]["cluster"] for _, own in sent}):
            told = {*told, "mirror-policy-drift"}
        if absent and not told and not self._told_where_written():
            elsewhere = may_be_elsewhere(self.claims.cluster, host)  # beyond: elsewhere
            return [] if elsewhere else self._say("cluster-absent-silent", self._target())
        unsure = told == {"mirror-target-no-port"} and "mirror-target-no-port" not in self.sure
        if told and not absent and not unsure:
            # A cluster without an endpoint is none to whoever calls it.
            service = self.claims.cluster.service(host)
            nobody = service is not None and service.annotation(EXPORT) == "~"  # beyond: nobody
            empty = any(not each.clusters[own[0]["cluster"]]["endpoints"] for each, own in sent)
            return (
                []
                if empty or nobody
                else self._say("cluster-absent-claimed", f"{self._target()} {','.join(sorted(told))}")
            )
        if absent:
            return []
        return [*self._endpoints(sent), *self._life(sent), *self._brakes(sent)]

    def _behind_hosts_elsewhere(self) -> bool:
        """Whether Sidecars leave all that may send it Services alone that are not at hand, which may make its port."""
        cluster = self.claims.cluster
        placed = [each.outlet for each in standing(cluster, self.mirror_entry.route).placements]
        unsure = [
            each.context == SIDECAR and not each.sure and has_plain_port(cluster, each.namespace) is None
            for each in placed
        ]
        return bool(unsure) and all(unsure)  # beyond: elsewhere

    def _from_elsewhere(self) -> bool:
        """Whether sidecars alone may send it of namespaces of which nothing but an EnvoyFilter is at hand."""
        placed = [each.outlet for each in standing(self.claims.cluster, self.mirror_entry.route).placements]
        known = self.claims.cluster.namespaces
        return bool(placed) and all(
            each.context == SIDECAR and each.namespace not in known for each in placed
        )  # beyond: others

    def _told_of_removal(self, name: str) -> bool:
        """Whether an EnvoyFilter is said to take a cluster of the mirror's away.

        That is said of the whole object, so that it may be true of another mirror that lacks the cluster, and not of
        this one.
        """
        if not self.claims.naming(f"{name} is taken away", self.subject):
            return False
        beside = [each for each in self.claims.cluster.routing.mirror_entries if str(each.source) == self.subject]
        others = (each for each in beside if each is not self.mirror_entry)
        return self._lacks(name) or not any(
            JudgedMirror(each, self.claims, self.question, self.answer)._lacks(name) for each in others
        )

    def _lacks(self, name: str) -> bool:
        """Whether a sender of the mirror has no such cluster, to which it mirrors."""
        return any(
            own[0]["cluster"] == name and name not in each.clusters and self._expected(each.proxy)
            for each, own in self.sent
        )

    def _target(self) -> str:
        target = self.mirror_entry.target
        return f"port={'yes' if target.port else 'no'} subset={'yes' if target.subset else 'no'}"

    def _endpoints(self, sent: list[tuple[Rendering, Any]]) -> list[Disagreement]:
        pairs = [(each.proxy.kind, each.clusters[own[0]["cluster"]]) for each, own in sent]
        waypoint = (ProxyKind.WAYPOINT, "ORIGINAL_DST")
        facts = [fact for kind, fact in pairs if (kind, fact["type"]) != waypoint]  # beyond: headless
        if not facts:
            return []
        empty = [
            fact["type"]
            for fact in facts
            if fact["type"] == "ORIGINAL_DST" or (fact["type"] in ("EDS", "STATIC") and not fact["endpoints"])
        ]
        of_entry = self.claims.naming(self.mirror_entry.target.host) & {"service-entry-without-address"}
        told = self.mine & ADDRESSLESS | of_entry
        if empty and not told:
            return self._say("endpoints-absent-silent", empty[0])
        return self._say("endpoints-absent-claimed", str(sorted(told))) if told and not empty else []

    def _life(self, sent: list[tuple[Rendering, Any]]) -> list[Disagreement]:
        unbounded = _unbounded(sent)
        told = "mirror-unbounded-life" in self.mine
        if unbounded == told or (told and any(_unbounded(each.sent) for each in self._alike())):
            return []
        return self._say("unbounded-claimed" if told else "unbounded-silent")

    def _brakes(self, sent: list[tuple[Rendering, Any]]) -> list[Disagreement]:
        path = self.mirror_entry.node.path
        told = " ".join(
            each.message
            for each in self.claims.findings
            if each.object == self.subject and each.rule == "mirror-no-brakes" and each.field == path
        )
        facts = [each.clusters[own[0]["cluster"]] for each, own in sent]
        found: list[Disagreement] = []
        for brake, there in BRAKES.items():
            missing = not all(there(fact) for fact in facts)
            if missing != (brake in told):
                found += self._say("brake-silent" if missing else "brake-claimed", brake)
        return found

    def _credentials(self) -> list[Disagreement]:
        sent = [(each, own) for each, own in self.sent if self._expected(each.proxy)]
        dirty = _dirty(sent)
        told = "mirror-credentials" in self.mine
        if not sent or dirty == told or (told and any(_dirty(each.sent) for each in self._alike())):
            return []
        return self._say("credentials-claimed" if told else "credentials-silent")


def _unbounded(sent: list[tuple[Rendering, list[MirrorFact]]]) -> bool:
    """Whether nothing ends a copy somewhere; where its cluster is not there, nobody sends it."""
    clusters = ((each, each.clusters.get(own[0]["cluster"])) for each, own in sent)
    return any(
        cluster and not cluster["max_stream_duration"] and not each.route.get("timeout") for each, cluster in clusters
    )


def _dirty(sent: list[tuple[Rendering, list[MirrorFact]]]) -> bool:
    """Whether some copy has credentials."""
    wanted = set(CREDENTIALS)
    return any(
        wanted - {*mirror.get("remove", []), *each.route.get("remove", [])} for each, own in sent for mirror in own
    )
