"""Options of a resource that a component would have no use for."""

from collections.abc import Mapping

import pulumi

from .model import ValidationError


def refuse_ignored_provider(
    opts: pulumi.ResourceOptions | None, used: pulumi.ProviderResource | None = None, *, inherits: str = ""
) -> None:
    """Refuse a provider that none of a component's children would go through.

    A component's objects go to the cluster that its arguments name, whatever ``opts`` say: who gives another provider
    there means another cluster.

    Args:
        opts: The component's options.
        used: Provider that the arguments name, which may be repeated; None where the children use none.
        inherits: Package whose provider the children take from the component, e.g. ``gcp``; empty for none.

    Raises:
        ValidationError: ``provider`` or ``providers`` holds another.
    """
    for field, given in _providers(opts):
        if given is not used and given.package != inherits:
            raise ValidationError(
                field=field,
                value=f"({given.package} provider)",
                rule="must be left out, because nothing that the component makes would go through it",
                remedy=f"Give a provider of {inherits}"
                if inherits
                else "Name the cluster in the arguments; its handle has the provider",
            )


def _providers(opts: pulumi.ResourceOptions | None) -> list[tuple[str, pulumi.ProviderResource]]:
    if opts is None:
        return []
    many = opts.providers or []
    listed = many.values() if isinstance(many, Mapping) else many
    found = [("opts.provider", opts.provider)] if opts.provider else []
    found += [("opts.providers", each) for each in listed]
    return found
