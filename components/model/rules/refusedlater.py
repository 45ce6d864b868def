"""What not every release of the Gateway API refuses, and which does.

Known by the definitions of both channels in ``sigs.k8s.io/gateway-api`` 1.0.0 to 1.6.0, ``config/crd``.
"""

from .objects import KubeObject
from .refusednames import Refusals, twice


def refused_later(subject: KubeObject) -> Refusals:
    """What only some releases refuse of an object, with their names."""
    spec = subject.spec
    if subject.kind == "KubernetesGateway":
        for listener in spec["listeners"].elements():
            if listener["protocol"].text() == "TLS" and not listener["tls"].given:
                yield listener, "from 1.5 on, a listener for TLS needs tls"
    if subject.kind not in ("HTTPRoute", "GRPCRoute"):
        return
    rules = spec["rules"].elements()
    if subject.kind == "HTTPRoute" and spec["rules"].given and not rules:
        yield spec["rules"], "from 1.5 on, a route needs a rule"
    if twice([name for rule in rules if (name := rule["name"].text())]):
        yield spec["rules"], "in the experimental channel from 1.2 on, the name of a rule is given once"
    for rule in rules:
        attempts, codes = rule["retry"]["attempts"], rule["retry"]["codes"]
        if attempts.given and (attempts.integer() or 0) < 1:
            yield attempts, "in the experimental channel from 1.6 on, a retry has at least 1 attempt"
        if twice([code.integer() for code in codes.elements()]):
            yield codes, "in the experimental channel from 1.6 on, a code is given once"
