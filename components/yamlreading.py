"""Reading YAML as kubectl does, and how PyYAML says that it cannot read a text."""

import base64
import re
from typing import Any, Final

import yaml

MISFITS: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""A scalar does not fit its tag."""

UNREADABLE: Final = (yaml.YAMLError, RecursionError, *MISFITS)
"""All; a ``RecursionError`` where a text is nested too deeply."""

TAG: Final = "tag:yaml.org,2002:"
"""What the names of YAML's own tags begin with. Source: YAML 1.1, section 3.2.1.2."""

MERGE: Final = f"{TAG}merge"
"""The tag of a key whose value's entries are put among those beside it."""

_BASES: Final = {"0b": 2, "0o": 8, "0x": 16}
_OCTAL: Final = re.compile(r"0[0-7]+")
_WHOLE: Final = range(-(2**63), 2**64)
"""Whole numbers that are kept whole; others become floating point."""
_EXPONENT_FROM: Final = 1e21
"""Whole floating-point numbers below this are written without an exponent, and so as whole numbers."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class ManifestLoader(_Loader):
    """PyYAML's safe loader, with the scalars that kubectl reads: its parser is one for Go, with a grammar of its own.

    Dates and ``1:30`` are texts, ``y`` and ``n`` are true and false, and ``1e1``, ``0o10`` and ``08`` are numbers. Held
    against sigs.k8s.io/yaml 1.6.0.
    """

    yaml_implicit_resolvers: Final[dict[str, Any]] = {}

    def flatten_mapping(self, node: Any) -> None:  # noqa: ANN401 -- untyped
        """Put what is merged into a mapping among its entries, at its place: for kubectl the last one of a key counts.

        Raises:
            ConstructorError: Something else than mappings is merged.
        """
        entries: list[Any] = []
        for key, value in node.value:
            if key.tag != MERGE:
                entries.append((key, value))
                continue
            for each in reversed(value.value if value.id == "sequence" else [value]):
                if each.id != "mapping":
                    problem = f"expected a mapping for merging, but found {each.id}"
                    raise yaml.constructor.ConstructorError(None, None, problem, each.start_mark)
                self.flatten_mapping(each)
                entries += each.value
        node.value = entries


def _boolean(loader: Any, node: Any) -> bool:  # noqa: ANN401 -- untyped
    letter = node.value.lower()
    return letter == "y" if letter in ("y", "n") else loader.construct_yaml_bool(node)


def _number(loader: Any, node: Any) -> object:  # noqa: ANN401 -- untyped
    written: str = loader.construct_scalar(node)
    plain = written.replace("_", "").lower()
    sign, digits = (-1 if plain.startswith("-") else 1), plain.lstrip("+-")
    if digits in (".inf", ".nan"):
        return sign * float(digits[1:])
    base = _BASES.get(digits[:2]) or (8 if _OCTAL.fullmatch(digits) else 10 if digits.isdigit() else 0)
    if base and (whole := sign * int(digits, base)) in _WHOLE:
        return whole
    number = sign * float(digits)
    if number in (float("inf"), float("-inf")):
        return written  # beyond floating point it stays a text
    return int(number) if number.is_integer() and abs(number) < _EXPONENT_FROM else number


def _binary(loader: Any, node: Any) -> str:  # noqa: ANN401 -- untyped
    return base64.b64decode(loader.construct_scalar(node), validate=False).decode(errors="replace")


for _name, _pattern, _first in (
    ("bool", "[yYnN]|yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF", "yYnNtTfFoO"),
    ("null", "~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", "<<", "<"),
    (
        "float",
        r"[-+]?(?:0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?"
        r"|\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
):
    ManifestLoader.add_implicit_resolver(f"{TAG}{_name}", re.compile(rf"(?:{_pattern})\Z"), list(_first))
ManifestLoader.add_constructor(f"{TAG}float", _number)
ManifestLoader.add_constructor(f"{TAG}int", _number)
ManifestLoader.add_constructor(f"{TAG}binary", _binary)
ManifestLoader.add_constructor(f"{TAG}timestamp", _Loader.construct_yaml_str)
ManifestLoader.add_constructor(f"{TAG}bool", _boolean)
