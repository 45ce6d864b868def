"""Asking istiod about a cluster whose Services have another domain than rules know."""

import json
from dataclasses import replace
from typing import Any, cast

from ...model.routing import CLUSTER_DOMAIN
from ..meshes import Domain
from .answers import Answer
from .process import Oracle
from .question import Question


def spoken_in(domain: Domain, question: Question) -> Question:
    """A question about objects as they are written, where :class:`Domain` read them for rules."""
    objects = [cast("dict[str, Any]", domain.read(each)) for each in question.objects]
    return replace(question, objects=objects, domain=domain.name)


class Interpreter:
    """istiod, asked in a cluster's own words and understood in those of rules."""

    def __init__(self, domain: Domain, oracle: Oracle) -> None:
        """Remember whom to ask.

        Args:
            domain: The cluster's domain of Services.
            oracle: istiod.
        """
        self._domain = domain
        self._oracle = oracle

    def ask(self, question: Question) -> Answer:
        """Ask about objects as rules read them.

        Raises:
            OracleError: It gives no answer.
        """
        answer = self._oracle.ask(spoken_in(self._domain, question))
        if self._domain.name == CLUSTER_DOMAIN:
            return answer
        return json.loads(self._domain.said(json.dumps(answer)))
