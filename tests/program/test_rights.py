"""The checked-in table of rights is what the components register."""

from tests.support.rights import PAGE, page


def test_the_table_of_rights_is_what_the_components_register() -> None:
    """A new right shows in a review: write the table anew by ``python -m tests.support.rights``, and look at it."""
    assert PAGE.read_text(encoding="utf-8") == page()
