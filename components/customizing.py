"""What every component shares: its children can be reached, and their properties changed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias, cast

import pulumi
from pulumi import _types as pulumi_types  # pyright: ignore[reportPrivateUsage] -- nothing public knows clusterIP

from .argument_types import is_plain
from .model import JsonObject, ValidationError
from .refusal import PLAIN_VALUE

Customization: TypeAlias = Callable[[dict[str, Any]], Mapping[str, Any]]
"""Takes a child's properties, which it may change, and returns those that the child is to have."""


@dataclass(frozen=True, kw_only=True)
class ComponentArgs:
    """Arguments that every component has."""

    customize: Mapping[str, Customization] = field(default_factory=dict[str, Customization])
    """Changes of children, by the part of a child's name after the component's, e.g. ``deployment``: a function that
    takes its properties by the names that the provider's schema and manifests have, and returns those that it is to
    have. What only a deployment knows is an Output in them. What rules judge is judged as it was changed."""

    def customized(self, child: str, rendered: JsonObject) -> JsonObject:
        """A rendered object as :attr:`customize` has it.

        Args:
            child: Part of the child's name after the component's.
            rendered: The whole object, which stays as it is.

        Raises:
            ValidationError: The function returns no mapping, makes another object of it, or values are not plain.
        """
        changed = _changed(self.customize, child, rendered, rendered)
        if changed is rendered:
            return rendered
        if _identity(changed) != _identity(rendered) or not isinstance(changed.get("spec"), Mapping):
            raise ValidationError(
                field=f"customize[{child!r}]",
                value=str(_identity(changed)),
                rule="must leave apiVersion, kind, name and namespace as they are, by which others know the object, "
                "and a spec",
                remedy="Change labels, annotations and the spec; object_name names the objects",
            )
        if not is_plain(changed):
            raise ValidationError(
                field=f"customize[{child!r}]",
                value="(not plain)",
                rule="must return plain values, because rules judge them before anything is made",
                remedy=PLAIN_VALUE,
            )
        return cast("JsonObject", changed)

    def require_children(self, children: Iterable[str]) -> None:
        """Refuse a change of a child that there is not.

        Args:
            children: The parts of the children's names after the component's.

        Raises:
            ValidationError: There is one.
        """
        known = sorted(children)
        for name in self.customize:
            if name not in known:
                raise ValidationError(
                    field="customize",
                    value=name,
                    rule="must name a child that the component has with these arguments",
                    remedy=f"Write one of {', '.join(map(repr, known))}" if known else "Leave it out: there is none",
                )


class Component(pulumi.ComponentResource):
    """A component whose children can be reached and changed."""

    children: Mapping[str, pulumi.Resource]
    """What it made, by the part of each name after its own."""

    declared: frozenset[str]
    """The names of all of them, known before any is made."""

    def __init__(
        self,
        token: str,
        name: str,
        args: ComponentArgs,
        opts: pulumi.ResourceOptions | None,
        *,
        children: Iterable[str],
        judged: Iterable[str] = (),
    ) -> None:
        """Register it.

        Args:
            token: Its type.
            name: Its name, with which those of its children begin.
            args: Its arguments.
            opts: Its options.
            children: What it makes with these arguments, by the part of each name after its own.
            judged: Children that are registered as :meth:`ComponentArgs.customized` has them already.

        Raises:
            ValidationError: A change is asked for of a child that it does not make; nothing is registered then.
        """
        self.declared = frozenset(children)
        args.require_children(self.declared)
        self._made: dict[str, pulumi.Resource] = {}
        self.children = MappingProxyType(self._made)
        self._prefix, self._component_args, self._judged = f"{name}-", args, frozenset(judged)
        # Runs for each child before it is registered, after those that the options bring.
        own = pulumi.ResourceOptions(transformations=[self._adopted])
        super().__init__(token, name, {}, pulumi.ResourceOptions.merge(opts, own))

    def _adopted(self, child: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        if child.opts.parent is not self:
            return None
        name = child.name.removeprefix(self._prefix)
        self._made[name] = child.resource
        if name not in self._component_args.customize or name in self._judged:
            return None
        names = pulumi_types.resource_py_to_pulumi_names(type(child.resource))
        python = {names.get(each, each): each for each in child.props}
        given = {each: child.props[own] for each, own in python.items() if child.props[own] is not None}
        changed = _changed(self._component_args.customize, name, given, python)
        # What is missing is given up, and still an output.
        props = {own: changed.get(each) for each, own in python.items()}
        return pulumi.ResourceTransformationResult(props, child.opts)


def _changed(
    customize: Mapping[str, Customization], child: str, given: Mapping[str, Any], allowed: Iterable[str]
) -> Mapping[str, Any]:
    if child not in customize:
        return given
    changed = customize[child](_plain(given))
    where = f"customize[{child!r}]"
    if not isinstance(cast("object", changed), Mapping):
        raise ValidationError(
            field=where,
            value=f"({type(changed).__name__})",
            rule="must return the child's properties as a mapping",
            remedy="Return the mapping that the function was given, with its changes",
        )
    names = sorted(allowed)
    unknown = [each for each in changed if each not in names]
    if unknown:
        raise ValidationError(
            field=where,
            value=str(unknown[0]),
            rule="must return properties that the child has",
            remedy=f"Return some of {', '.join(names)}",
        )
    return changed


def _identity(shape: Mapping[str, Any]) -> tuple[object, ...]:
    metadata = shape.get("metadata")
    named: Mapping[str, object] = cast("Any", metadata) if isinstance(metadata, Mapping) else {}
    return (shape.get("apiVersion"), shape.get("kind"), named.get("namespace"), named.get("name"))


def _plain(value: Any) -> Any:  # noqa: ANN401 -- properties are anything
    """A copy without the SDK's classes: mappings by the schema's names, and lists."""
    if pulumi_types.is_input_type(value.__class__) and not isinstance(value, dict):
        value = pulumi_types.input_type_to_dict(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(item) for item in cast("Sequence[Any]", value)]
    return value
