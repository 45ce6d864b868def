"""How PyYAML says that it cannot read a text."""

from typing import Final

import yaml

MISFITS: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""A scalar does not fit its tag."""

UNREADABLE: Final = (yaml.YAMLError, RecursionError, *MISFITS)
"""All; a ``RecursionError`` where a text is nested too deeply."""
