"""A stand-in for pulumi-resource-kubernetes, for machines where the real provider cannot be had.

It is a Pulumi resource provider written for the rehearsal and named so in everything it says. It applies
objects server-side with the official client, waits for those kinds that a mirroring stack uses, and runs Helm
for ``helm.v3.Release``. What it does not know it refuses by name, so a program never silently gets less than
it asked for. On a machine with the real provider, the real one is used and nothing of this runs.
"""

NAME = "traffic-mirror stand-in for pulumi-resource-kubernetes"
"""How the provider calls itself in messages."""

__all__ = ["NAME"]
