"""The page of the rules is that of the registry."""

from pathlib import Path

from components.model.rules import RULES
from components.model.rules.documentation import rules_page

PAGE = Path(__file__).parents[3] / "docs" / "rules.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == rules_page()


def test_every_rule_says_why_and_where_that_is_known_from() -> None:
    for rule in RULES:
        assert f"### {rule.id}\n" in rules_page()
        assert rule.why.endswith(".")
        assert rule.source
        assert not rule.title.endswith(".")
        assert not rule.remedy.endswith(".")
