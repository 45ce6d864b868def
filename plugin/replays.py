"""Recorded traffic, sent again by many pods, for programs in every language."""

from typing import NotRequired, TypedDict

import pulumi
import values
from foundation import Component, told

import pulumi_traffic_mirror as tm
from pulumi_traffic_mirror.model.replaying import ReplaySecrets


class ReplayJobArgs(TypedDict):
    """A recording that is sent again."""

    kubeconfig: pulumi.Input[str]
    """Of the cluster: kubeconfig of an ExistingCluster or GkeCluster."""
    context: NotRequired[str]
    """Context in it; default its current one."""
    namespace: str
    """Namespace of the pods; it must exist."""
    image: pulumi.Input[str]
    """Image with a digest and the entry point traffic-mirror; built from components/workloads/jobs/server."""
    recording: str
    """URL of a recording, or a folder below /recordings on the volume."""
    target: str
    """What receives the requests: http://HOST:PORT or https://HOST:PORT."""
    result: NotRequired[str]
    """Where answers go, as a recording; default nowhere."""
    shards: NotRequired[int]
    """Parts, each in a pod of its own; default 1."""
    begin: NotRequired[str]
    """When all parts begin, as ISO text with a time zone; needed with several. Another moment is another replay."""
    speed: NotRequired[float]
    """Factor on the original timing; default 1."""
    rate: NotRequired[float]
    """Requests per second of all parts together, instead of the original timing."""
    max_rate: NotRequired[float]
    """No more than this many requests per second."""
    max_requests: NotRequired[int]
    """No more than this many in all."""
    max_in_flight: NotRequired[int]
    """No more than this many without an answer at once; default 256."""
    rpc_methods: NotRequired[list[str]]
    """gRPC methods that may be called again, as package.Service/Method."""
    side_effects: NotRequired[str]
    """Why every method may be sent again; default only GET, HEAD, OPTIONS and rpcMethods."""
    side: NotRequired[str]
    """Whose requests: primary (default) or mirror."""
    source: NotRequired[str]
    """Which recorder's requests; default all, each once."""
    result_side: NotRequired[str]
    """Side of the answers: mirror (default), or primary for a repeated replay to v1."""
    authority: NotRequired[str]
    """Host of every request; default the recorded ones."""
    rewrites: NotRequired[dict[str, str]]
    """Beginnings of paths with what replaces them."""
    session_header: NotRequired[str]
    """Requests with the same value of this header are sent one after another."""
    http2: NotRequired[bool]
    """Whether plain HTTP goes over HTTP/2; default no."""
    server_name: NotRequired[str]
    """Name expected in the target's certificate."""
    timeout_seconds: NotRequired[float]
    """Bound on each request; default 30."""
    claim: NotRequired[str]
    """Volume claim that pods see as /recordings."""
    header_secret: NotRequired[str]
    """Secret whose headers.json has headers for every request, in the namespace."""
    ca_secret: NotRequired[str]
    """Secret whose ca.crt has the authorities of the target's certificate."""
    certificate_secret: NotRequired[str]
    """Secret whose tls.crt and tls.key are the client's certificate."""
    account_annotations: NotRequired[dict[str, str]]
    """What ties the pods' ServiceAccount to an account of the cloud."""


class ReplayJob(Component):
    """Sends recorded requests again, in parts, each in a pod of its own. Other arguments replay again."""

    wait: pulumi.Output[str]
    """Command that waits until every part ended; its exit code is 0 only where all are done."""
    logs: pulumi.Output[str]
    """Command that shows what each part reports."""

    def __init__(self, name: str, args: ReplayJobArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        sent = ("recording", "target", "result", "shards", "begin", "speed", "rate", "max_rate", "max_requests")
        sent += ("max_in_flight", "rpc_methods", "side", "source", "result_side", "authority", "rewrites")
        sent += ("session_header", "http2", "server_name", "timeout_seconds")
        secrets = {"headers": "header_secret", "ca": "ca_secret", "certificate": "certificate_secret"}

        def make() -> tm.ReplayJob:
            given = values.chosen(args, *sent)
            if reason := args.get("side_effects"):
                given["waiver"] = values.waiver(reason)
            named = {field: args[key] for field, key in secrets.items() if args.get(key) is not None}
            made = tm.ReplayJobArgs(
                cluster=self.cluster(name, args),
                image=args["image"],
                namespace=args["namespace"],
                settings=tm.ReplaySettings(**given),
                secrets=ReplaySecrets(**named),
                **values.chosen(args, "claim", "account_annotations"),
            )
            return tm.ReplayJob(name, made, self.own())

        job = told(make)
        self.wait, self.logs = pulumi.Output.from_input(job.wait), pulumi.Output.from_input(job.logs)
        self.register_outputs({"wait": self.wait, "logs": self.logs})
