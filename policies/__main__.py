"""The pack's process: serves its policies to the engine until the engine ends it."""

import sys
from datetime import UTC, datetime
from pathlib import Path

# The engine starts this folder as a program, whose modules would then hide those of other packages.
_HERE = Path(__file__).resolve().parent
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != _HERE]

try:
    from pulumi_policy import PolicyPack

    from pulumi_traffic_mirror.extensions import own_rules
    from pulumi_traffic_mirror.model import ValidationError
    from pulumi_traffic_mirror_policies.pack import NAME, every_rule, make_policies
    from pulumi_traffic_mirror_policies.sdk import decode_once, refuse_wrong_configuration
except ModuleNotFoundError as missing:
    raise SystemExit(
        f"{sys.executable} has no module {missing.name}. Install 'pulumi-traffic-mirror[policy]' into its environment, "
        "or activate the environment that has it."
    ) from None

try:
    own = own_rules()
except ValidationError as refusal:
    raise SystemExit(str(refusal)) from None

policies = make_policies(lambda: datetime.now(UTC))
decode_once()
refuse_wrong_configuration([*every_rule(), *own])
PolicyPack(name=NAME, policies=policies)
