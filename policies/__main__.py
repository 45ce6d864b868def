"""The pack's process: serves its policies to the engine until the engine ends it."""

import sys
from datetime import UTC, datetime
from pathlib import Path

# The rules lie beside this folder, and names of its modules must not hide those of other packages.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from pulumi_policy import PolicyPack  # noqa: E402 -- follows the path above like the next two

from policies.pack import NAME, make_policies  # noqa: E402 -- found on the path above
from policies.sdk import decode_once, refuse_wrong_configuration  # noqa: E402 -- found on the path above

policies = make_policies(lambda: datetime.now(UTC))
decode_once()
refuse_wrong_configuration([policy.name for policy in policies])
PolicyPack(name=NAME, policies=policies)
