"""Annotations that this library writes and reads; those that end in a dot are followed by a name."""

from typing import Final

PREFIX: Final = "pulumi-traffic-mirror"

MIRROR: Final = f"{PREFIX}/mirror."
"""Of a mirror by its name: the cluster that Envoy sends its copies to."""

EXPIRES: Final = f"{PREFIX}/expires"
"""End of an object."""

EXPIRES_OF: Final = f"{EXPIRES}."
"""End of a mirror by its name."""

CONTRACT: Final = f"{PREFIX}/contract."
"""Digest of the contract behind a mirror, or a receiver, by its name."""

WAIVER: Final = f"{PREFIX}/waiver."
"""Reason why a guard of a mirror is off, by ``<mirror>.<guard>``."""

WAIVE: Final = f"{PREFIX}/waive."
"""Reason why the object may break a rule, by the rule's id."""

WAIVED_UNTIL: Final = f"{PREFIX}/waived-until."
"""Last moment of such a waiver, by the rule's id."""

DATA_PLANE: Final = f"{PREFIX}/data-plane"
"""On pod templates: which control plane injected the proxy, so that pods restart when another takes over."""

SETTINGS: Final = f"{PREFIX}/settings"
"""Digest of what a recorder's pod was started with, so that a change starts it anew."""
