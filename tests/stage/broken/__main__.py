"""The program as it is, but for one mistake: testing's receiver sends mirrors to a Service that nobody made."""

import runpy
from pathlib import Path
from typing import Any

import pulumi_traffic_mirror
from pulumi_traffic_mirror import Destination, MirrorReceiverArgs

NOBODY = Destination("nobody.hello.svc.cluster.local", 8000)


def misrouted(**values: Any) -> MirrorReceiverArgs:
    """The receiver's arguments with the mistake."""
    return MirrorReceiverArgs(**{**values, "service": NOBODY})


pulumi_traffic_mirror.MirrorReceiverArgs = misrouted  # pyright: ignore[reportAttributeAccessIssue] -- the mistake
runpy.run_path(str(Path(__file__).resolve().parents[3] / "__main__.py"), run_name="__main__")
