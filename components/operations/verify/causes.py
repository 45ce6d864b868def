"""Names of what can be wrong with a mirror, and what to do about each."""

from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final


@unique
class Cause(StrEnum):
    """Why a mirror does not do what it should."""

    NO_CALLS = "no-calls"
    REJECTED = "configuration-rejected"
    NO_ROUTE = "no-route-for-the-calls"
    NO_POLICY = "no-policy-in-the-proxy"
    OTHER_PERCENT = "other-percentage-in-the-proxy"
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
    ERRORS = "server-errors"
    NOBODY_REACHED = "receiver-not-reached"
    LOST_BEHIND_GATEWAY = "lost-behind-the-gateway"
    PERCENTAGE_NOT_MET = "percentage-not-met"
    REPEATED = "copied-twice"
    MARK_MISSING = "mark-missing"
    CREDENTIALS_SEEN = "credentials-seen"


REMEDIES: Final = {
    Cause.NO_CALLS: "Send calls with --calls, or watch longer",
    Cause.REJECTED: "Read istiod's log for 'ACK ERROR', correct the object that it names, and deploy again",
    Cause.NO_ROUTE: "Check host and gateway of the VirtualService, and that the call matches one of its entries",
    Cause.NO_POLICY: "Deploy the stack again; then look for EnvoyFilters and other routes of the host",
    Cause.OTHER_PERCENT: "Deploy the stack again, so that VirtualService and EnvoyFilter agree",
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
    Cause.ERRORS: "Look at the mirror's log",
    Cause.NOBODY_REACHED: "Compare the ServiceEntry's address with that of the receiving gateway",
    Cause.LOST_BEHIND_GATEWAY: "Look at the receiving workload and at routes behind the gateway",
    Cause.PERCENTAGE_NOT_MET: "Verify again with more calls, and look at the mirror's log and brakes",
    Cause.REPEATED: "Look for two routes or proxies that copy the same call, and for a mirror that mirrors back",
    Cause.MARK_MISSING: "Check that the EnvoyFilter is in the sending proxy, and that nobody calls the mirror directly",
    Cause.CREDENTIALS_SEEN: "Stop the mirror until the scrub works: set its percent to 0 and deploy",
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
