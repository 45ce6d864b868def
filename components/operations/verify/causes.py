"""Names of what can be wrong with a mirror or with its primary, and what to do about each."""

from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final


@unique
class Cause(StrEnum):
    """Why a mirror, or a primary that is mirrored, does not do what it should."""

    NO_CALLS = "no-calls"
    TOO_FEW_CALLS = "too-few-calls"
    REJECTED = "configuration-rejected"
    FROZEN = "routing-frozen"
    NO_ROUTE = "no-route-for-the-calls"
    OTHER_ROUTE = "another-route-takes-the-calls"
    NO_POLICY = "no-policy-in-the-proxy"
    NOT_EVERYWHERE = "not-on-every-route"
    OTHER_PERCENT = "other-percentage-in-the-proxy"
    NO_BRAKES = "no-brakes-in-the-proxy"
    TOO_MANY = "more-than-its-share"
    CLUSTER_MISSING = "cluster-missing"
    NO_ENDPOINTS = "no-endpoints"
    TLS = "tls-failure"
    CONNECT = "connect-failure"
    WRONG_PROTOCOL = "wrong-protocol"
    NOT_ACCEPTED = "not-accepted-by-the-receiver"
    OVERFLOW = "overflow"
    EJECTED = "endpoints-ejected"
    TIMEOUT = "time-out"
    UNANSWERED = "never-answered"
    ERRORS = "server-errors"
    NOBODY_REACHED = "receiver-not-reached"
    LOST_BEHIND_GATEWAY = "lost-behind-the-gateway"
    PERCENTAGE_NOT_MET = "percentage-not-met"
    REPEATED = "copied-twice"
    OTHER_AUTHORITY = "other-authority"
    COPIES_OTHERS = "copies-what-it-must-not"
    MARK_MISSING = "mark-missing"
    CREDENTIALS_SEEN = "credentials-seen"
    PRIMARY_FAILS = "primary-fails"
    OTHER_VERSION = "another-version-answers"
    HANDLED_TWICE = "primary-called-twice"
    PRIMARY_MARKED = "mark-at-the-primary"
    PRIMARY_UNSEEN = "primary-not-called"


REMEDIES: Final = {
    Cause.NO_CALLS: "Send calls with --calls, or watch longer",
    Cause.TOO_FEW_CALLS: "Verify again with that many calls",
    Cause.REJECTED: "Read istiod's log for 'ACK ERROR', correct the object that it names, and deploy again",
    Cause.FROZEN: "Correct or delete the EnvoyFilter that it names now, because no change of any route arrives until"
    " then; if none is named, read istiod's log for 'ACK ERROR'",
    Cause.NO_ROUTE: "Check host and gateway of the VirtualService, and that the call matches one of its entries",
    Cause.OTHER_ROUTE: "Let one object own the host at this gateway: take the host off the other one, or merge both",
    Cause.NO_POLICY: "Deploy the stack again; then look for EnvoyFilters and other routes of the host",
    Cause.NOT_EVERYWHERE: "Look for an EnvoyFilter of this or a higher priority that replaces mirrors or routes",
    Cause.OTHER_PERCENT: "Deploy the stack again, so that all objects of the mirror agree",
    Cause.NO_BRAKES: "Deploy the stack again; then look for other objects that are about the mirror's host",
    Cause.TOO_MANY: "Look for a second VirtualService, route or proxy that copies the same calls",
    Cause.CLUSTER_MISSING: "Check host, port and subset of the mirror; a subset needs a DestinationRule",
    Cause.NO_ENDPOINTS: "Check that pods of the mirror are ready, or that its address resolves",
    Cause.TLS: "Mend certificates, secret names, server name and TLS mode so that both sides fit",
    Cause.CONNECT: "Check the mirror's address and port, firewalls, and that somebody listens there",
    Cause.WRONG_PROTOCOL: "Set the protocol of the ServiceEntry's or Service's port to GRPC or HTTP2",
    Cause.NOT_ACCEPTED: "List the host with and without -shadow in Gateway and VirtualService of the receiver",
    Cause.OVERFLOW: "Raise the brakes' max_requests, max_pending_requests or max_connections, or lower the share",
    Cause.EJECTED: "See why the mirror fails; it is tried again when the ejection ends",
    Cause.TIMEOUT: "See why the mirror is slow, or raise the brakes' max_duration_seconds",
    Cause.UNANSWERED: "See why the mirror does not answer; if it is only slow, raise the brakes' max_duration_seconds",
    Cause.ERRORS: "Look at the mirror's log",
    Cause.NOBODY_REACHED: "Compare the ServiceEntry's address with that of the receiving gateway",
    Cause.LOST_BEHIND_GATEWAY: "Look at the receiving workload and at routes behind the gateway",
    Cause.PERCENTAGE_NOT_MET: "Verify again with more calls, and look at the mirror's log and brakes",
    Cause.REPEATED: "Look for two routes or proxies that copy the same call, and for a mirror that mirrors back",
    Cause.OTHER_AUTHORITY: "Look for a rewrite of the authority on the route, in an EnvoyFilter or at the receiver",
    Cause.COPIES_OTHERS: "Stop the mirror by a share of 0 and deploy; then look for a second route or EnvoyFilter that"
    " mirrors to the same target, and compare the proxy's condition with the mirror's match",
    Cause.MARK_MISSING: "Check that the EnvoyFilter is in the sending proxy, and that nobody calls the mirror directly",
    Cause.CREDENTIALS_SEEN: "Stop the mirror until the scrub works: set its percent to 0 and deploy",
    Cause.PRIMARY_FAILS: "Look at the primary and its gateway first: what they lose, no mirror gets",
    Cause.OTHER_VERSION: "Check the route's weights and subsets, and that the primary's Service selects one version",
    Cause.HANDLED_TWICE: "Look for a mirror that leads back to the primary, and for retries on the route",
    Cause.PRIMARY_MARKED: "Look for a mirror that leads back to the primary, and for clients that set the mark",
    Cause.PRIMARY_UNSEEN: "Check which workload the route leads to, and that its pods' logs can be read",
}
"""What to do about each cause."""


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """One thing that is wrong."""

    cause: Cause
    detail: str
    """What was seen, as a clause."""

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return REMEDIES[self.cause]
