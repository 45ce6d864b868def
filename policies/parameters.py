"""What can be set for a rule, and how wrong settings are refused."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, Final, Protocol, cast

from pulumi_policy import PolicyConfigSchema

from pulumi_traffic_mirror.model import ValidationError, Waiver

from .rules.registry import OrganisationLimits

_TEXTS: Final[Mapping[str, object]] = {"type": "array", "items": {"type": "string", "minLength": 1}}
_PERCENT: Final[Mapping[str, object]] = {"type": "number", "minimum": 0, "maximum": 100}


class Declaring(Protocol):
    """What a rule says of itself here."""

    @property
    def id(self) -> str:
        """Its name."""
        ...

    @property
    def settings(self) -> tuple[str, ...]:
        """What it reads."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Parameter:
    """One setting of one or several rules.

    Attributes:
        name: Its name in a pack's configuration.
        field: Field of :class:`OrganisationLimits` that it sets, or ``complete``. Rules declare these.
        schema: JSON schema of its values.
        text: What it means, with unit and default.
    """

    name: str
    field: str
    schema: Mapping[str, object]
    text: str


BY_STACK: Final = "maxPercentByStack"
WHOLE_CLUSTER: Final = "wholeCluster"

PARAMETERS: Final = (
    Parameter(
        name="maxPercent",
        field="max_percent",
        schema=_PERCENT,
        text="Largest share of requests that may be mirrored, in per cent. Default 100.",
    ),
    Parameter(
        name=BY_STACK,
        field="max_percent",
        schema={"type": "object", "additionalProperties": _PERCENT},
        text="The same for single stacks, by name; stacks that are not named have maxPercent.",
    ),
    Parameter(
        name="maxLifetimeDays",
        field="max_lifetime_days",
        schema={"type": "number", "exclusiveMinimum": 0},
        text="Longest time until a mirror's end, in days; with it every mirror needs an end. Default no bound.",
    ),
    Parameter(
        name="allowedTargets",
        field="allowed_targets",
        schema=_TEXTS,
        text="Hosts that mirrors may go to, *.suffix included. Default any.",
    ),
    Parameter(
        name="allowedRpcMethods",
        field="allowed_rpc_methods",
        schema=_TEXTS,
        text="gRPC methods that may be mirrored, as package.Service/Method. Default any that a route names.",
    ),
    Parameter(
        name="allowedHttpMethods",
        field="allowed_http_methods",
        schema=_TEXTS,
        text="HTTP methods that may be mirrored without a gRPC method. Default any that a route names.",
    ),
    Parameter(
        name="credentialHeaders",
        field="credential_headers",
        schema=_TEXTS,
        text="Headers that must not reach a mirror. Default authorization, cookies, API keys, client certificates.",
    ),
    Parameter(
        name="maxRequests",
        field="max_requests",
        schema={"type": "number", "minimum": 1},
        text="Largest bound on requests in flight to a mirror, per proxy. Default 65536.",
    ),
    Parameter(
        name="maxDurationSeconds",
        field="max_duration_seconds",
        schema={"type": "number", "exclusiveMinimum": 0},
        text="Largest bound on the life of one mirrored request, in seconds. Default 3600.",
    ),
    Parameter(
        name="privatePlainText",
        field="private_plain_text",
        schema={"type": "boolean"},
        text="Whether mirrors may travel in plain text to private addresses. Default false.",
    ),
    Parameter(
        name=WHOLE_CLUSTER,
        field="complete",
        schema={"type": "boolean"},
        text="Whether the stack holds all objects of its clusters, so that what is not in it does not exist. Default "
        "true for mirror-subset-undefined and false otherwise.",
    ),
    Parameter(
        name="disposableStacks",
        field="disposable_stacks",
        schema=_TEXTS,
        text="Names of stacks whose clusters anybody may delete. Default testing.",
    ),
    Parameter(
        name="publicPorts",
        field="public_ports",
        schema={"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 65_535}},
        text="TCP and UDP ports that a firewall may open to everybody. Default none.",
    ),
    Parameter(
        name="nodeRoles",
        field="node_roles",
        schema=_TEXTS,
        text="Roles that the nodes' service account may have. Default what nodes need to log, report and pull images.",
    ),
    Parameter(
        name="allowedImages",
        field="allowed_images",
        schema=_TEXTS,
        text="Beginnings of image names that need no digest, e.g. of images that are built on the spot. Default none.",
    ),
    Parameter(
        name="internalByDefault",
        field="internal_by_default",
        schema={"type": "boolean"},
        text="Whether the clusters' load balancers are internal without any annotation, as on premises. Default false.",
    ),
    Parameter(
        name="labels",
        field="labels",
        schema=_TEXTS,
        text="Labels that every object and cluster must carry. Default none.",
    ),
    Parameter(
        name="mirrorHosts",
        field="mirror_hosts",
        schema=_TEXTS,
        text="Hosts that get mirrors only, as their DestinationRules write them. Default none.",
    ),
)

WHOLE_BY_DEFAULT: Final = frozenset({"mirror-subset-undefined"})
"""Rules on what is missing that take a stack for its whole cluster unless they are told otherwise: a route and the
subsets that it names belong together."""

WAIVER_BOUNDS: Final = (
    Parameter(
        name="maxWaiverDays",
        field="max_waiver_days",
        schema={"type": "number", "exclusiveMinimum": 0},
        text="Longest time from now to a waiver's end, in days, wherever it is written. Default no bound.",
    ),
    Parameter(
        name="objectWaivers",
        field="object_waivers",
        schema={"type": "boolean"},
        text="Whether objects may carry waivers, guards that components waive among them. Default true.",
    ),
)
"""Settings that every rule has beside its own."""

WAIVERS: Final = "waivers"
WAIVER_SCHEMA: Final[Mapping[str, object]] = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["resource", "reason", "until"],
        "additionalProperties": False,
        "properties": {
            "resource": {"type": "string", "minLength": 1},
            "reason": {"type": "string", "minLength": 10},
            "until": {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
        },
    },
}
WAIVER_TEXT: Final = (
    "Resources that the rule is waived for: resource (its logical name, its URN, or Kind namespace/name), reason (at "
    "least ten characters) and until (the last day, YYYY-MM-DD, in UTC). Default none."
)


@dataclass(frozen=True, kw_only=True)
class WaiverTerms:
    """A waiver from the pack's configuration.

    Attributes:
        resource: Logical name, URN, or ``Kind namespace/name``.
        reason: Why the rule may be broken there.
        until: Last day.
    """

    resource: str
    reason: str
    until: date

    def covers(self, now: datetime) -> bool:
        """Whether it is in force."""
        return now < datetime.combine(self.until + timedelta(days=1), time(0), tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a rule is told.

    Attributes:
        limits: What the organisation allows.
        waivers: Waivers from the configuration.
        whole_cluster: Whether the stack counts as all of its clusters.
    """

    limits: OrganisationLimits
    waivers: tuple[WaiverTerms, ...]
    whole_cluster: bool


def parameters_of(rule: Declaring) -> tuple[Parameter, ...]:
    """Settings of a rule, but for its waivers."""
    return tuple(parameter for parameter in PARAMETERS if parameter.field in rule.settings)


def schema_of(rule: Declaring) -> PolicyConfigSchema:
    """Schema of a rule's configuration, which the engine checks before the pack runs."""
    properties = {parameter.name: dict(parameter.schema) for parameter in parameters_of(rule)}
    properties |= {parameter.name: dict(parameter.schema) for parameter in WAIVER_BOUNDS}
    return PolicyConfigSchema(properties={**properties, WAIVERS: dict(WAIVER_SCHEMA)})


def read_settings(rule: Declaring, config: Mapping[str, object], stack: str) -> Settings:
    """Read a rule's configuration.

    Args:
        rule: The rule.
        config: Its configuration as the engine gives it.
        stack: Name of the stack that is judged.

    Raises:
        ValidationError: A key is unknown, or a value is wrong.
    """
    # The engine asks once for every resource.
    return _read(
        rule.id, (*parameters_of(rule), *WAIVER_BOUNDS), json.dumps(config, sort_keys=True, default=_plain), stack
    )


def _plain(value: object) -> object:
    raise ValidationError(
        field="configuration", value=value, rule="must be plain JSON", remedy="Write texts, numbers and lists"
    )


@lru_cache(maxsize=1024)
def _read(rule_id: str, parameters: tuple[Parameter, ...], text: str, stack: str) -> Settings:
    config = cast("dict[str, object]", json.loads(text))
    known = {parameter.name: parameter for parameter in parameters}
    try:
        _refuse_unknown(config, (*known, WAIVERS))
        values = {name: _checked(name, config[name], found.schema) for name, found in known.items() if name in config}
        by_stack = cast("Mapping[str, object]", values.pop(BY_STACK, {}))
        for name, value in by_stack.items():
            _limits({"max_percent": value}, {"max_percent": f"{BY_STACK}.{name}"})
        fields = {known[name].field: value for name, value in values.items()}
        if stack in by_stack:
            fields["max_percent"] = by_stack[stack]
        limits = _limits(fields, {parameter.field: name for name, parameter in known.items()})
        waivers = _waivers(config.get(WAIVERS))
    except ValidationError as error:
        raise error.within(rule_id) from None
    whole = bool(values.get(WHOLE_CLUSTER, rule_id in WHOLE_BY_DEFAULT))
    return Settings(limits=limits, waivers=waivers, whole_cluster=whole)


def _limits(fields: Mapping[str, object], names: Mapping[str, str]) -> OrganisationLimits:
    """Make the limits; an error names a field as the configuration does."""
    own = {field.name for field in dataclasses.fields(OrganisationLimits)}
    try:
        return OrganisationLimits(**{name: cast("Any", value) for name, value in fields.items() if name in own})
    except ValidationError as error:
        field, bracket, rest = error.field.partition("[")
        raise ValidationError(
            field=f"{names.get(field, field)}{bracket}{rest}", value=error.value, rule=error.rule, remedy=error.remedy
        ) from None


def _refuse_unknown(config: Mapping[str, object], known: Sequence[str]) -> None:
    for name, value in config.items():
        if name not in known:
            raise ValidationError(
                field=name, value=value, rule=f"is no setting; there are {', '.join(known)}", remedy="Remove it"
            )


_JSON_TYPES: Final[Mapping[object, tuple[type, ...]]] = {
    "array": (list,),
    "number": (int, float),
    "object": (dict,),
    "boolean": (bool,),
}


def _checked(name: str, value: object, schema: Mapping[str, object]) -> object:
    kind = schema["type"]
    if (isinstance(value, bool) and kind != "boolean") or not isinstance(value, _JSON_TYPES[kind]):
        raise ValidationError(field=name, value=value, rule=f"must be of the JSON type {kind}", remedy="Correct it")
    return tuple(cast("list[object]", value)) if isinstance(value, list) else cast("object", value)


def _waivers(given: object) -> tuple[WaiverTerms, ...]:
    if given is None:
        return ()
    if not isinstance(given, list):
        raise ValidationError(field=WAIVERS, value=given, rule="must be a list", remedy="Write a list of waivers")
    return tuple(_waiver(f"{WAIVERS}[{index}]", value) for index, value in enumerate(cast("list[object]", given)))


def _waiver(path: str, given: object) -> WaiverTerms:
    value: Mapping[str, object] = cast("Mapping[str, object]", given) if isinstance(given, Mapping) else {}
    if set(value) != {"resource", "reason", "until"}:
        raise ValidationError(
            field=path,
            value=cast("object", given),
            rule="must have resource, reason and until",
            remedy="Give all three and no more",
        )
    resource, reason, until = value["resource"], value["reason"], value["until"]
    if not isinstance(resource, str) or not resource:
        raise ValidationError(
            field=f"{path}.resource", value=resource, rule="must name a resource", remedy="Write its logical name"
        )
    try:
        waiver = Waiver(reason=cast("str", reason))
    except ValidationError as error:
        raise error.within(path) from None
    try:
        last_day = date.fromisoformat(cast("str", until))
    except (TypeError, ValueError):
        raise ValidationError(
            field=f"{path}.until", value=until, rule="must be a date", remedy="Write for example '2027-01-31'"
        ) from None
    return WaiverTerms(resource=resource, reason=waiver.reason, until=last_day)
