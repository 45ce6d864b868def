"""A unit test of the program beside it: no engine, no cluster."""

import json
import runpy
from pathlib import Path

import pulumi
import yaml

from pulumi_traffic_mirror.testing import ProviderMocks

KUBECONFIG = yaml.safe_dump(
    {
        "clusters": [{"name": "c", "cluster": {"server": "https://192.0.2.1:6443"}}],
        "users": [{"name": "u", "user": {"token": "not-a-token"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
)


def test_one_call_in_ten_is_copied_to_testings_gateway() -> None:
    """What staging sends, and where."""
    mocks = ProviderMocks()
    pulumi.runtime.set_mocks(mocks, project="both-clusters", stack="dev")
    pulumi.runtime.set_all_config(
        {"both-clusters:stagingKubeconfig": KUBECONFIG, "both-clusters:testingKubeconfig": KUBECONFIG}
    )
    program = Path(__file__).parent / "__main__.py"
    pulumi.runtime.test(lambda: runpy.run_path(str(program), run_name="__main__"))()

    routes = json.dumps(
        [route.inputs["spec"] for route in mocks.of_type("kubernetes:networking.istio.io/v1:VirtualService")]
    )
    assert '"percentage": {"value": 10.0}' in routes
    (entry,) = mocks.of_type("kubernetes:networking.istio.io/v1:ServiceEntry")
    assert entry.inputs["spec"]["endpoints"] == [{"address": "198.18.0.10"}]
