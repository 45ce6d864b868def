"""Whether proxies share requests out as their routes say: the same requests again, with chance left in.

What a route says is read from it, and a reading can be wrong. So some requests of each route with weights or shares are
sent to a second door that is as istiod rendered it, and what is counted there is held against what was read.
"""

import importlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import cycle, islice
from typing import Any, Final

from .fates import Outcome
from .routes import RouteFacts, plain

MOST: Final = 4_000
"""Requests that are sent again in all: a second of an Envoy's time."""
LEAST_EACH: Final = 40
MOST_EACH: Final = 400
"""Requests of one route; with 400, a share that is read as 10 % is told from one of 20 %."""

UNLIKELY: Final = 1e-6
"""Probability below which a count contradicts a share: once in 10,000 runs with a hundred of them."""


def by_chance(route: RouteFacts) -> bool:
    """Whether anything about a route is random."""
    return len(route.destinations) > 1 or any(each.share < 1 for each in route.mirrors)


def chosen_again(places: Mapping[int, Sequence[int]], routes: Sequence[RouteFacts]) -> list[int]:
    """Choose what is sent again.

    Args:
        places: Places of what took a route, by the index of the route.
        routes: The routes.

    Returns:
        Places; each as often as it is to be sent.
    """
    random = [index for index in sorted(places) if by_chance(routes[index]) and places[index]]
    each = max(LEAST_EACH, min(MOST_EACH, MOST // max(1, len(random))))
    return [place for index in random for place in islice(cycle(places[index]), each)][: max(MOST, LEAST_EACH)]


def contradictions(outcomes: Iterable[Outcome], routes: Sequence[RouteFacts]) -> Iterator[str]:
    """Say where counts contradict what was read of a route."""
    taken: dict[int, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.route is not None:
            taken[outcome.route].append(outcome)
    special: Any = importlib.import_module("scipy.special") if taken else None  # scipy.stats takes a second to import
    for index, found in sorted(taken.items()):
        route, number = routes[index], len(found)
        reached = Counter(each.primary.cluster for each in found if each.primary)
        copied = Counter(name for each in found for name in {copy.cluster for copy in each.copies})
        expected = [(name, share, reached[name]) for name, share in route.destinations.items()]
        expected += [
            (each.cluster, each.share, copied[each.cluster]) for each in route.mirrors if each.cluster in copied
        ]
        for name, share, count in expected:
            # As few as that, or as many, of a binomial distribution.
            tails = (
                (special.bdtr(count, number, share), special.bdtrc(count - 1, number, share)) if share < 1 else (1.0,)
            )
            if 2 * min(tails) < UNLIKELY:
                yield f"{route.proxy}, {route.name}: {share:.2%} to {plain(name)} are read, {count} of {number} counted"
