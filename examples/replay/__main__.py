"""A recording from a bucket, sent again to a second version by four pods; ``traffic-mirror diff`` compares the answers.

Configuration: ``pulumi config set --secret kubeconfig < kubeconfig.yaml``; ``image``, built from
``components/workloads/jobs/server``; ``recording``, a bucket's URL; ``target``, e.g. ``http://v2.example:8000``;
``begin``, e.g. ``2027-01-31T12:00:00Z``, which is part of the result's name: another moment is another run.
"""

import pulumi

from pulumi_traffic_mirror import (
    ExistingCluster,
    ExistingClusterArgs,
    MeshNamespace,
    MeshNamespaceArgs,
    ReplayJob,
    ReplayJobArgs,
    ReplaySettings,
)

config = pulumi.Config()
cluster = ExistingCluster("testing", ExistingClusterArgs(kubeconfig=config.require_secret("kubeconfig"))).handle
begin = config.require("begin")

replay = ReplayJob(
    "replay",
    ReplayJobArgs(
        cluster=cluster,
        image=config.require("image"),
        namespace=MeshNamespace("tools", MeshNamespaceArgs(cluster=cluster, namespace="tools")),
        settings=ReplaySettings(
            recording=config.require("recording"),
            target=config.require("target"),
            result=f"{config.require('recording')}-replayed/{begin}",
            shards=4,
            begin=begin,
            max_rate=500,
            session_header="x-session",
        ),
    ),
)
pulumi.export("result", replay.result)
pulumi.export("wait", replay.wait)
