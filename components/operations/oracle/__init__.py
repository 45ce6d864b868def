"""Asking istiod itself, in memory, what it would do with a cluster's objects."""

from .answers import Answer, ClusterFact, MirrorFact, ObjectFact, ProxyFact, RouteFact, RoutesFact
from .confirming import Confirmed, confirm
from .process import Oracle, OracleError, in_container
from .question import Proxy, ProxyKind, Question, question_of
from .speaking import Interpreter, spoken_in

__all__ = [
    "Answer",
    "ClusterFact",
    "Confirmed",
    "Interpreter",
    "MirrorFact",
    "ObjectFact",
    "Oracle",
    "OracleError",
    "Proxy",
    "ProxyFact",
    "ProxyKind",
    "Question",
    "RouteFact",
    "RoutesFact",
    "confirm",
    "in_container",
    "question_of",
    "spoken_in",
]
