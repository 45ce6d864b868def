"""Hands resources to the pack, in this process with a clock of the test's choice or over gRPC to the real process."""

import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime import rpc
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc
from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyCustomTimeouts,
    PolicyProviderResource,
    PolicyResource,
    PolicyResourceOptions,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.deserialize import deserialize_properties
from pulumi_policy.policy import _NotApplicableError
from pulumi_policy.proxy import unknown_checking_proxy

from pulumi_traffic_mirror_policies.adaptors import NOT_JUDGED, WAIVERS_IN_FORCE
from pulumi_traffic_mirror_policies.pack import make_policies
from tests.support import wire
from tests.support.recording import Recorded, Recording

ROOT: Final = Path(__file__).resolve().parents[2]
PACK: Final = ROOT / "policies"
NOW: Final = datetime(2027, 1, 1, 12, tzinfo=UTC)
UNKNOWN: Final = rpc.UNKNOWN
LEVELS: Final = {0: "advisory", 1: "mandatory", 2: "disabled", 3: "remediate"}
START_LIMIT_SECONDS: Final = 60


@dataclass(frozen=True)
class Given:
    """One resource as the engine describes it."""

    type: str
    name: str = "x"
    props: Mapping[str, Any] = field(default_factory=dict)
    provider: "Given | None" = None
    stack: str = "staging"
    origins: Mapping[str, Sequence["Given"]] = field(default_factory=dict)
    parent_types: str = ""

    @property
    def urn(self) -> str:
        return f"urn:pulumi:{self.stack}::p::{self.parent_types}{self.type}::{self.name}"


@dataclass(frozen=True)
class Said:
    """One line of the pack."""

    policy: str
    level: str
    message: str
    urn: str


@dataclass
class Report:
    """All that the pack said about a stack."""

    said: list[Said] = field(default_factory=list)
    not_applicable: set[str] = field(default_factory=set)

    def of(self, policy: str) -> list[Said]:
        return [line for line in self.said if line.policy == policy]

    @property
    def mandatory(self) -> list[Said]:
        return [line for line in self.said if line.level == "mandatory"]

    @property
    def policies(self) -> set[str]:
        return {line.policy for line in self.said}


def cluster_object(value: Mapping[str, Any], **more: Any) -> Given:
    """A Kubernetes object as a resource."""
    api = str(value["apiVersion"])
    token = f"kubernetes:{api if '/' in api else f'core/{api}'}:{value['kind']}"
    return Given(token, str(value.get("metadata", {}).get("name", "x")), value, **more)


def recorded(recording: Recording) -> list[Given]:
    """What a program registered, with secrets as the engine sends them."""
    made: dict[str, Given] = {}

    def given(resource: Recorded) -> Given:
        if resource.urn not in made:
            provider = recording.by_urn.get(resource.provider or "")
            qualified = resource.urn.split("::")[2]
            made[resource.urn] = Given(
                resource.type,
                resource.name,
                json_format.MessageToDict(wire.encode(resource.inputs)),
                given(provider) if provider else None,
                recording.stack,
                {
                    key: [given(recording.by_urn[urn]) for urn in urns if urn in recording.by_urn]
                    for key, urns in resource.property_dependencies.items()
                },
                qualified.removesuffix(resource.type),
            )
        return made[resource.urn]

    return [given(resource) for resource in recording.resources]


_OPTIONS: Final = PolicyResourceOptions(
    protect=False,
    ignore_changes=[],
    delete_before_replace=None,
    aliases=[],
    custom_timeouts=PolicyCustomTimeouts(0, 0, 0),
    additional_secret_outputs=[],
)


class InProcess:
    """The pack's policies, called as the SDK calls them in the pack's process: all get the same copy of a resource."""

    def __init__(
        self, config: Mapping[str, Mapping[str, Any]] | None = None, now: datetime = NOW, only: str | None = None
    ) -> None:
        wanted = {only, NOT_JUDGED, WAIVERS_IN_FORCE}
        self._policies = [policy for policy in make_policies(lambda: now) if only is None or policy.name in wanted]
        self._config = config or {}

    def judge(self, given: Sequence[Given]) -> Report:
        """Resource policies on each resource, then stack policies, in the pack's order."""
        report = Report()
        for one in given:
            resource = self._resource(one)
            self._run_all(report, one.urn, lambda policy, resource=resource: self._resource_args(policy, resource))
        resources = {one.urn: self._resource(one) for one in given}
        for one in given:
            for key, origins in one.origins.items():
                resources[one.urn].property_dependencies[key] = [
                    resources[origin.urn] for origin in origins if origin.urn in resources
                ]
        self._run_all(report, "", lambda policy: self._stack_args(policy, list(resources.values())))
        return report

    def remedied(self, given: Given) -> Mapping[str, Any]:
        """The properties after every remediation."""
        props: Mapping[str, Any] = deserialize_properties(dict(given.props), True)
        for policy in self._policies:
            if isinstance(policy, ResourceValidationPolicy) and policy.has_remediation():
                proxied = unknown_checking_proxy(props)  # pyright: ignore[reportArgumentType] -- as the SDK does
                args = ResourceValidationArgs(
                    given.type, proxied, given.urn, given.name, _OPTIONS, None, self._config.get(policy.name, {})
                )
                changed: Any = policy.remediate(args)
                props = changed or props
        return props

    def _run_all(self, report: Report, urn: str, args_of: Any) -> None:
        for policy in self._policies:
            args = args_of(policy)
            if args is None:
                continue
            level = (policy.enforcement_level or EnforcementLevel.ADVISORY).value

            def say(message: str, at: str | None = None, policy: Policy = policy, level: str = level) -> None:
                report.said.append(Said(policy.name, level, message, at or urn))

            try:
                policy.validate(args, say)  # pyright: ignore[reportAttributeAccessIssue] -- both kinds have it
            except _NotApplicableError:
                report.not_applicable.add(policy.name)

    def _resource_args(self, policy: Policy, one: PolicyResource) -> ResourceValidationArgs | None:
        if not isinstance(policy, ResourceValidationPolicy):
            return None
        config = self._config.get(policy.name, {})
        return ResourceValidationArgs(one.resource_type, one.props, one.urn, one.name, _OPTIONS, one.provider, config)

    def _stack_args(self, policy: Policy, resources: list[PolicyResource]) -> StackValidationArgs | None:
        if not isinstance(policy, StackValidationPolicy):
            return None
        return StackValidationArgs(resources, self._config.get(policy.name, {}))

    def _resource(self, one: Given) -> PolicyResource:
        return PolicyResource(
            one.type, _proxied(one.props), one.urn, one.name, _OPTIONS, _provider(one.provider), None, [], {}
        )


def _proxied(props: Mapping[str, Any]) -> Mapping[str, Any]:
    return unknown_checking_proxy(deserialize_properties(dict(props)))


def _provider(one: Given | None) -> PolicyProviderResource | None:
    return PolicyProviderResource(one.type, _proxied(one.props), one.urn, one.name) if one else None


class PackProcess:
    """The pack as the engine runs it."""

    def __init__(self, stub: analyzer_pb2_grpc.AnalyzerStub) -> None:
        self._stub = stub

    def info(self) -> analyzer_pb2.AnalyzerInfo:
        return self._stub.GetAnalyzerInfo(empty_pb2.Empty())

    def configure(self, config: Mapping[str, Mapping[str, Any]]) -> None:
        """Give settings; ``enforcementLevel`` among them is the level."""
        levels = {policy.name: policy.enforcementLevel for policy in self.info().policies}
        numbers = {name: number for number, name in LEVELS.items()}
        request = analyzer_pb2.ConfigureAnalyzerRequest()
        for name, settings in config.items():
            rest = {key: value for key, value in settings.items() if key != "enforcementLevel"}
            level: Any = numbers[settings["enforcementLevel"]] if "enforcementLevel" in settings else levels[name]
            request.policyConfig[name].CopyFrom(
                analyzer_pb2.PolicyConfig(enforcementLevel=level, properties=_struct(rest))
            )
        self._stub.Configure(request)

    def judge(self, given: Iterable[Given]) -> Report:
        """What the pack says about resources, one by one and then together."""
        report = Report()
        resources = list(given)
        for one in resources:
            request = analyzer_pb2.AnalyzeRequest(
                type=one.type,
                properties=_struct(one.props),
                urn=one.urn,
                name=one.name,
                provider=_provider_message(one.provider),
            )
            _add(report, self._stub.Analyze(request), one.urn)
        request = analyzer_pb2.AnalyzeStackRequest(resources=[_stack_message(one) for one in resources])
        _add(report, self._stub.AnalyzeStack(request), "")
        return report

    def remediate(self, one: Given) -> list[analyzer_pb2.Remediation]:
        request = analyzer_pb2.AnalyzeRequest(type=one.type, properties=_struct(one.props), urn=one.urn, name=one.name)
        return list(self._stub.Remediate(request).remediations)


def _struct(props: Mapping[str, Any]) -> struct_pb2.Struct:
    return json_format.ParseDict(props, struct_pb2.Struct())


def _provider_message(one: Given | None) -> analyzer_pb2.AnalyzerProviderResource | None:
    if one is None:
        return None
    return analyzer_pb2.AnalyzerProviderResource(
        type=one.type, properties=_struct(one.props), urn=one.urn, name=one.name
    )


def _stack_message(one: Given) -> analyzer_pb2.AnalyzerResource:
    return analyzer_pb2.AnalyzerResource(
        type=one.type,
        properties=_struct(one.props),
        urn=one.urn,
        name=one.name,
        provider=_provider_message(one.provider),
        propertyDependencies={
            key: analyzer_pb2.AnalyzerPropertyDependencies(urns=[origin.urn for origin in origins])
            for key, origins in one.origins.items()
        },
    )


def _add(report: Report, answer: analyzer_pb2.AnalyzeResponse, urn: str) -> None:
    for line in answer.diagnostics:
        report.said.append(Said(line.policyName, LEVELS[line.enforcementLevel], line.message, line.urn or urn))
    report.not_applicable.update(entry.policy_name for entry in answer.not_applicable)


@contextmanager
def pack_process(folder: Path = PACK, python: str = sys.executable) -> Iterator[PackProcess]:
    """Start the pack, and end it with the block."""
    command = [python, "-u", "-m", "pulumi.policy", "127.0.0.1:0", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
            with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
                grpc.channel_ready_future(channel).result(timeout=START_LIMIT_SECONDS)
                yield PackProcess(analyzer_pb2_grpc.AnalyzerStub(channel))
        finally:
            process.terminate()
