"""What the providers would answer in tests: the library's own mocks, with what a provider keeps secret marked so."""

import base64
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from pulumi_traffic_mirror.testing import resource_outputs
from tests.support.wire import Secret, merge

Outputs: TypeAlias = Mapping[str, Any] | Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
"""Outputs of one resource type: fixed, or from the resource's name and its inputs (secrets unwrapped)."""

COMPUTE: Final = "https://www.googleapis.com/compute/v1"
CA_CERTIFICATE: Final = base64.b64encode(b"-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n").decode()
ACCESS_TOKEN: Final = "not-a-token"

_SECRETS: Final[Mapping[str, Outputs]] = {
    "gcp:container/cluster:Cluster": {"masterAuth": {"clientKey": Secret("none")}},
}


def outputs_of(token: str, name: str, inputs: Mapping[str, Any], overrides: Mapping[str, Outputs]) -> Mapping[str, Any]:
    """Return what the provider adds to the inputs of a resource once it exists."""
    outputs: dict[str, Any] = resource_outputs(token, name, inputs)
    for source in (_SECRETS.get(token, {}), overrides.get(token, {})):
        outputs = merge(outputs, source(name, inputs) if callable(source) else source)
    return outputs
