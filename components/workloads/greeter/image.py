"""Which images may run."""

import re
from typing import Final

import pulumi

from ...argument_types import known_text
from ...model import ValidationError
from ...refusal import late

_IMAGE: Final = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9._-]*(?::[0-9]+)?(?:/[a-z0-9][a-z0-9._-]*)*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?",
    re.ASCII,
)
"""Source: github.com/distribution/reference, its grammar."""


def check_image(image: str, *, allow_tag: bool, field: str = "image") -> str:
    """Return ``image`` if it always means the same bits.

    Args:
        image: Reference of the image.
        allow_tag: Whether a tag will do, which its registry may move.
        field: Path of ``image`` in an error.

    Raises:
        ValidationError: It is no reference, or has no digest where one is needed, or no tag but ``latest``.
    """
    found = _IMAGE.fullmatch(image)
    if found is None:
        raise ValidationError(
            field=field,
            value=image,
            rule="must be the reference of an image",
            remedy="Write it as 'registry.example/greeter@sha256:…'",
        )
    if found["digest"]:
        return image
    if not allow_tag:
        raise ValidationError(
            field=field,
            value=image,
            rule="must have a digest, because a tag may mean another image tomorrow",
            remedy="Append '@sha256:…' as the push printed it, or set allow_tag",
        )
    if found["tag"] in (None, "latest"):
        raise ValidationError(
            field=field,
            value=image,
            rule="must have a tag other than 'latest', for which nodes pull again and again",
            remedy="Give it a tag of its own, e.g. ':1'",
        )
    return image


def late_image(image: pulumi.Input[str], *, allow_tag: bool) -> pulumi.Input[str]:
    """Return ``image``, held against the same rules when it is known if it is not known yet.

    Args:
        image: Reference of the image; text has been checked already, when the arguments were made.
        allow_tag: As for :func:`check_image`.
    """
    if isinstance(image, str):
        return image
    return pulumi.Output.from_input(image).apply(
        late(lambda known: check_image(known_text(known, field="image"), allow_tag=allow_tag))
    )
