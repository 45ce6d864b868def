"""What of load balancers of traffic policies is refused, and why."""

from collections.abc import Sequence
from itertools import combinations
from math import isqrt
from typing import Final

from .nodes import Node
from .refusednames import Refusals, duration, refused_duration, twice

_TABLES: Final = range(1, 5_000_011)
_WHOLE: Final = 100
_TOPOLOGY: Final = frozenset(
    {"topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"}
)
_PARTS: Final = 3
"""Region, zone and subzone."""


def refused_load_balancer(written: Node) -> Refusals:
    """What is refused of a load balancer."""
    if not written.given:
        return
    yield from _hash(written["consistentHash"])
    near, aware, warmup = written["localityLbSetting"], written["zoneAwareLbSetting"], written["warmup"]
    if near.given and aware.given:
        yield aware, "localityLbSetting and zoneAwareLbSetting exclude each other"
    yield from _near(near)
    if _TOPOLOGY.intersection(aware["failoverPriority"].texts()):
        yield aware["failoverPriority"], "regions and zones have their priority already"
    for each in (*near["failover"].elements(), *aware["failover"].elements()):
        yield from _failover(each)
    yield from duration(warmup["duration"])
    if warmup["aggression"].given and warmup["aggression"].number() == 0:
        yield warmup["aggression"], "it must be more than 0"


def _hash(written: Node) -> Refusals:
    if not written.given:
        return
    cookie, size, maglev = written["httpCookie"], written["minimumRingSize"], written["maglev"]
    if cookie.given and not cookie["name"].text():
        yield cookie, "a cookie needs a name"
    yield from refused_duration(cookie["ttl"])
    names = [each["name"].text() for each in cookie["attributes"].elements()]
    if not all(names):
        yield cookie["attributes"], "an attribute needs a name"
    elif twice(names):
        yield cookie["attributes"], "an attribute is named twice"
    if size.number() and (maglev.given or written["ringHash"].given):
        yield size, "minimumRingSize, ringHash and maglev exclude each other"
    if maglev.given:
        number = maglev["tableSize"].integer() or 0
        if number not in _TABLES or not _is_prime(number):
            yield maglev, "tableSize must be a prime number below 5000011"


def _is_prime(number: int) -> bool:
    """Whether a number is prime, as Envoy has it: 1 is."""
    return all(number % factor for factor in range(2, isqrt(number) + 1))


def _near(written: Node) -> Refusals:
    shares, failover, order = written["distribute"], written["failover"], written["failoverPriority"]
    if shares.elements() and failover.elements():
        yield shares, "distribute and failover exclude each other"
    if failover.elements() and _TOPOLOGY.intersection(order.texts()):
        yield order, "failover and topology labels in failoverPriority exclude each other"
    for each in shares.elements():
        weights = [weight.integer() or 0 for _, weight in each["to"].entries()]
        if sum(weights) != _WHOLE or not all(weights):
            yield each, "weights of localities are at least 1, and add up to 100"
        yield from _localities(each, [name for name, _ in each["to"].entries()], ordered=False)
    yield from _localities(shares, [each["from"].text() for each in shares.elements()], ordered=True)


def _localities(node: Node, names: Sequence[str], *, ordered: bool) -> Refusals:
    """What is refused of localities; of two that overlap in one order only nothing is said where they have none."""
    for name in names:
        if "*" in name[:-1] or not all(name.split("/", _PARTS - 1)):
            yield node, f"{name or 'nothing'} is no locality"
    for first, second in combinations(names, 2):
        if _takes(first, second) and (ordered or _takes(second, first)):
            yield node, f"{first} and {second} overlap"


def _takes(first: str, second: str) -> bool:
    """Whether a locality overlaps with one that was named before it."""
    before, after = (each.split("/", _PARTS - 1) for each in (first, second))
    for index, part in enumerate(before):
        if part == "*" or index >= len(after):
            return True
        if part != after[index]:
            return False
    return True


def _failover(each: Node) -> Refusals:
    origin, other = each["from"].text(), each["to"].text()
    if origin == other:
        yield each, "a failover is to another region"
    if {"/", "*"}.intersection(origin + other):
        yield each, "a failover names regions alone"
