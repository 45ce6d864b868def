"""What the policy SDK is made to do otherwise: decode a resource once, and refuse a wrong configuration at once."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

import grpc
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import analyzer_pb2
from pulumi_policy import policy
from pulumi_policy.deserialize import deserialize_properties
from pulumi_policy.proxy import unknown_checking_proxy

from pulumi_traffic_mirror.model import ValidationError

from .adaptors import NOT_JUDGED, WAIVERS_IN_FORCE
from .identity_cache import IdentityCache
from .parameters import Declaring, read_settings

ALL: Final = "all"
"""Name by which a configuration sets the level of every policy."""

LISTS: Final = (WAIVERS_IN_FORCE, NOT_JUDGED)
"""Policies that are no rules."""

ENFORCEMENT: Final[Mapping[int, str]] = {
    analyzer_pb2.ADVISORY: "advisory",
    analyzer_pb2.MANDATORY: "mandatory",
    analyzer_pb2.DISABLED: "disabled",
    analyzer_pb2.REMEDIATE: "remediate",
}

_SERVICER: Final = "_PolicyAnalyzerServicer"


class _DecodedOnce:
    """Stands for ``json_format`` in the policy SDK and remembers what it decoded."""

    def __init__(self) -> None:
        self.MessageToDict = IdentityCache(json_format.MessageToDict)


def decode_once() -> None:
    """Let the policy SDK decode a resource once per request.

    It decodes every resource once for every policy: with 80 policies, 1,000 resources took 157 s instead of 12 s on a
    busy machine (measured). Policies get the same values as before, but the same objects each time; remediations,
    which may write into theirs, get their own.
    """
    deserialized = IdentityCache(deserialize_properties)

    def deserialize(props: dict[str, object], proxy_secrets: bool = False) -> object:
        return deserialize_properties(props, proxy_secrets) if proxy_secrets else deserialized(props)

    replaced: dict[str, object] = {
        "json_format": _DecodedOnce(),
        "deserialize_properties": deserialize,
        "unknown_checking_proxy": IdentityCache(unknown_checking_proxy),
    }
    for name, function in replaced.items():
        setattr(policy, name, function)


class Repairable(Declaring, Protocol):
    """A rule of the pack."""

    @property
    def repair(self) -> str:
        """What its repair changes; empty for none."""
        ...


@dataclass(frozen=True, kw_only=True)
class List:
    """A policy that only lists what the others said."""

    id: str
    settings: tuple[str, ...] = ()


class _PolicyConfig(Protocol):
    @property
    def properties(self) -> Struct: ...
    @property
    def enforcementLevel(self) -> int:  # noqa: N802 -- the engine's name
        ...


class _Request(Protocol):
    @property
    def policyConfig(self) -> Mapping[str, _PolicyConfig]:  # noqa: N802 -- the engine's name
        ...


def refuse_wrong_configuration(rules: Iterable[Repairable]) -> None:
    """Let the policy SDK refuse a configuration as a whole, before any resource is judged.

    By itself it ignores policies that it does not have, so a misspelt name would switch nothing on or off.

    Args:
        rules: The pack's rules.
    """
    known = {rule.id: rule for rule in rules}
    servicer: Any = getattr(policy, _SERVICER)
    original = cast("Callable[[object, _Request, grpc.ServicerContext], object]", servicer.Configure)

    def configure(self: object, request: _Request, context: grpc.ServicerContext) -> object:
        try:
            for name, given in request.policyConfig.items():
                level = ENFORCEMENT.get(given.enforcementLevel, "")
                check_configuration(name, json_format.MessageToDict(given.properties), known, level)
        except ValidationError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return original(self, request, context)

    servicer.Configure = configure


def check_configuration(
    name: str, settings: Mapping[str, object], rules: Mapping[str, Repairable], level: str = ""
) -> None:
    """Check what a configuration says about one policy.

    Args:
        name: The policy.
        settings: Its settings.
        rules: The pack's rules, by name.
        level: Its level; empty for the policy's own.

    Raises:
        ValidationError: There is no such policy, it has no such setting or value, or it is to be repaired by a rule
            that has no repair.
    """
    if name not in (*rules, *LISTS, ALL):
        raise ValidationError(
            field="policy",
            value=name,
            rule="is none of this pack's",
            remedy="Correct the name; docs/policies.md lists all",
        )
    rule = rules.get(name)
    if level == "remediate" and name != ALL and not (rule and rule.repair):
        raise ValidationError(
            field=f"{name}.enforcementLevel",
            value=level,
            rule="needs a rule that can repair what it finds; "
            f"those are {', '.join(each.id for each in rules.values() if each.repair)}",
            remedy="Choose mandatory or advisory",
        )
    read_settings(rule or List(id=name), settings, "")
