"""The greeter as its users meet it: a process on loopback, called over gRPC."""

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVER = Path(__file__).parents[3] / "components" / "workloads" / "greeter" / "server"
AUTHORITY = "grpc-hello.staging.example:8000"


class Process:
    """A running greeter and the lines that it wrote."""

    def __init__(self, environment: dict[str, str]) -> None:
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SERVER), "PORT": "0", **environment}
        self.process = subprocess.Popen(
            [sys.executable, str(SERVER / "greeter.py")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
        )
        self._lines: queue.Queue[dict[str, Any]] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(json.loads(line))

    def line_of(self, name: str) -> dict[str, Any]:
        """Return the log line of the call with that name, or whose name begins with it."""
        while not (line := self.next_line()).get("name", "").startswith(name):
            pass
        return line

    def next_line(self) -> dict[str, Any]:
        return self._lines.get(timeout=20)

    def channel(self) -> grpc.Channel:
        port = self.next_line()["port"]
        options = [("grpc.default_authority", AUTHORITY), ("grpc.enable_http_proxy", 0)]
        return grpc.insecure_channel(f"127.0.0.1:{port}", options=options)

    def close(self) -> int:
        self.process.terminate()
        code = self.process.wait(timeout=20)
        self._reader.join(timeout=20)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.process.stdout.close()
        self.process.stderr.close()
        return code


Start = Callable[..., Process]


@pytest.fixture(scope="module")
def plain() -> Iterator["Client"]:
    """One greeter without faults for all tests that only call it."""
    process = Process({"VERSION": "v2", "PODNAME": "greeter-v2-abc", "PODIP": "10.0.0.7"})
    with process.channel() as channel:
        client = Client(channel)
        client.process = process
        yield client
    process.close()


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[Process] = []

    def begin(**environment: str) -> Process:
        started.append(Process(environment))
        return started[-1]

    yield begin
    for process in started:
        process.close()


class Client:
    """A client that knows nothing beforehand: it learns the messages by reflection, as grpcurl does."""

    process: Process

    def __init__(self, channel: grpc.Channel, reflection: str = "v1") -> None:
        self.channel = channel
        self._ask: Any = channel.stream_stream(
            f"/grpc.reflection.{reflection}.ServerReflection/ServerReflectionInfo",
            None,
            _reflection_class("ServerReflectionResponse").FromString,
        )
        request = _reflection_class("ServerReflectionRequest")(file_containing_symbol="helloworld.Greeter")
        (answer,) = self._ask(iter([request.SerializeToString()]))
        file = descriptor_pb2.FileDescriptorProto.FromString(answer.file_descriptor_response.file_descriptor_proto[0])
        pool: Any = descriptor_pool.DescriptorPool()
        pool.Add(file)
        self._kinds = {
            name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"helloworld.{name}"))
            for name in ("HelloRequest", "HelloReply")
        }

    def services(self) -> list[str]:
        request = _reflection_class("ServerReflectionRequest")(list_services="")
        (answer,) = self._ask(iter([request.SerializeToString()]))
        return [service.name for service in answer.list_services_response.service]

    def method(self, name: str, kind: str = "unary_unary") -> Any:
        connect: Any = getattr(self.channel, kind)
        return connect(
            f"/helloworld.Greeter/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=self._kinds["HelloReply"].FromString,
        )

    def request(self, name: str, replies: int = 0) -> Any:
        kind: Any = self._kinds["HelloRequest"]
        return kind(name=name, replies=replies)


def _reflection_class(name: str) -> Any:
    from grpc_reflection.v1alpha import reflection_pb2  # noqa: PLC0415 - untyped, so kept to one place

    return getattr(reflection_pb2, name)


def test_one_call_is_answered_with_version_pod_and_address(plain: Client) -> None:
    reply = plain.method("SayHello")(plain.request("Ada"), timeout=5)
    assert reply.message == "Hello Ada ! from v2 pod greeter-v2-abc ip 10.0.0.7"
    assert (reply.version, reply.pod) == ("v2", "greeter-v2-abc")
    assert reply.sequence >= 1
    assert 0 <= reply.score < 1000


def test_a_log_line_says_what_arrived_and_keeps_credentials_out(plain: Client) -> None:
    metadata = (
        ("authorization", "Bearer made-up-value"),
        ("cookie", "session=made-up-value"),
        ("x-request-id", "id-1"),
        ("x-traffic-mirror", "cross-cluster"),
        ("x-other", "made-up-value"),
    )
    plain.method("SayHello")(plain.request("logged"), timeout=5, metadata=metadata)
    line = plain.process.line_of("logged")
    assert line["event"] == "call"
    assert line["method"] == "SayHello"
    assert line["authority"] == AUTHORITY
    assert {"x-other", "x-request-id", "authorization", "cookie"} <= set(line["headers"])
    assert (line["id"], line["mark"], line["version"]) == ("id-1", "cross-cluster", "v2")
    assert "made-up-value" not in json.dumps(line)


def test_lines_of_concurrent_calls_do_not_mix(plain: Client) -> None:
    say_hello = plain.method("SayHello")
    names = [f"mix{i:03}" + "x" * 300 for i in range(200)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: say_hello(plain.request(name), timeout=20), names))
    logged = {plain.process.line_of("mix")["name"] for _ in names}
    assert logged == {name[:200] for name in names}


def test_each_line_is_one_write() -> None:
    """A socket that keeps messages apart stands for the pipe of a container: one message, one write."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SERVER), "PORT": "0"}
    with ours, theirs:
        process = subprocess.Popen([sys.executable, str(SERVER / "greeter.py")], stdout=theirs.fileno(), env=env)
        ours.settimeout(20)
        started = json.loads(ours.recv(65536))
        process.terminate()
        stopped = json.loads(ours.recv(65536))
        assert process.wait(timeout=20) == 0
    assert (started["event"], stopped["event"]) == ("listening", "stopped")


def test_server_stream_sends_the_replies_that_were_asked_for(plain: Client) -> None:
    stream = plain.method("SayHelloStreamReply", "unary_stream")
    assert len(list(stream(plain.request("Ada", replies=5), timeout=5))) == 5
    assert len(list(stream(plain.request("Ada"), timeout=5))) == 3


def test_client_stream_is_answered_once_and_its_messages_are_counted(plain: Client) -> None:
    stream = plain.method("SayHelloClientStream", "stream_unary")
    reply = stream((plain.request(name) for name in ("first", "second")), timeout=5)
    line = plain.process.line_of("first")
    assert reply.message.startswith("Hello first, second !")
    assert (line["method"], line["messages"]) == ("SayHelloClientStream", 2)


def test_bidirectional_stream_answers_before_the_next_request_is_sent(plain: Client) -> None:
    sent: queue.Queue[Any] = queue.Queue()
    replies = plain.method("SayHelloBidiStream", "stream_stream")(iter(sent.get, None), timeout=10)
    for name in ("one", "two"):
        sent.put(plain.request(name))
        assert next(replies).message.startswith(f"Hello {name} !")
    sent.put(None)
    assert list(replies) == []
    assert plain.process.line_of("one")["messages"] == 2


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_answers_under_both_names(plain: Client, version: str) -> None:
    client = Client(plain.channel, version)
    assert "helloworld.Greeter" in client.services()
    assert client.method("SayHello")(client.request("Ada"), timeout=5).message


@pytest.mark.parametrize("service", ["", "helloworld.Greeter"])
def test_health_is_serving(plain: Client, service: str) -> None:
    from grpc_health.v1 import health_pb2  # noqa: PLC0415 - untyped, so kept to one place

    messages: Any = health_pb2
    check: Any = plain.channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=messages.HealthCheckRequest.SerializeToString,
        response_deserializer=messages.HealthCheckResponse.FromString,
    )
    assert check(messages.HealthCheckRequest(service=service), timeout=5).status == messages.HealthCheckResponse.SERVING


def test_sigterm_ends_the_process_within_five_seconds_even_with_a_hung_call(start: Start) -> None:
    process = start(FAULT_HANG_RATE="1")
    with process.channel() as channel:
        client = Client(channel)
        hung = client.method("SayHello").future(client.request("Ada"), timeout=60)
        assert process.next_line()["event"] == "call"
        before = time.monotonic()
        process.process.send_signal(signal.SIGTERM)
        assert process.process.wait(timeout=10) == 0
        assert time.monotonic() - before < 5
        assert hung.exception().code() in {grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE}
    assert process.next_line()["event"] == "stopped"


def test_a_call_in_flight_is_answered_after_sigterm(start: Start) -> None:
    process = start(FAULT_DELAY_SECONDS="30")
    with process.channel() as channel:
        client = Client(channel)
        delayed = client.method("SayHello").future(client.request("Ada"), timeout=60)
        assert process.next_line()["event"] == "call"
        process.process.send_signal(signal.SIGTERM)
        assert delayed.result(timeout=10).message.startswith("Hello Ada !")


def test_a_planted_error_is_unavailable_and_still_logged(start: Start) -> None:
    process = start(FAULT_ERROR_RATE="1")
    with process.channel() as channel:
        client = Client(channel)
        with pytest.raises(grpc.RpcError) as caught:
            client.method("SayHello")(client.request("Ada"), timeout=5)
        error: Any = caught.value
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert process.next_line()["name"] == "Ada"


def test_a_planted_hang_lasts_until_the_client_gives_up_and_frees_its_worker(start: Start) -> None:
    process = start(FAULT_HANG_RATE="1", WORKERS="1")
    with process.channel() as channel:
        client = Client(channel, "v1")
        for _ in range(2):
            with pytest.raises(grpc.RpcError) as caught:
                client.method("SayHello")(client.request("Ada"), timeout=0.3)
            error: Any = caught.value
            assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            assert process.next_line()["name"] == "Ada"


def test_a_planted_difference_is_in_the_score_only(start: Start, plain: Client) -> None:
    with start(VERSION="v2", PODNAME="greeter-v2-abc", PODIP="10.0.0.7", FAULT_SCORE_OFFSET="7").channel() as channel:
        different = Client(channel)
        one, other = (client.method("SayHello")(client.request("Ada"), timeout=5) for client in (plain, different))
    assert other.score - one.score == 7
    assert (one.message, one.version, one.pod) == (other.message, other.version, other.pod)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PORT", "65536"),
        ("PORT", "http"),
        ("FAULT_ERROR_RATE", "1.1"),
        ("FAULT_DELAY_SECONDS", "nan"),
        ("WORKERS", "0"),
    ],
)
def test_a_bad_setting_ends_the_start_with_one_clear_line(start: Start, variable: str, value: str) -> None:
    process = start(**{variable: value})
    line = process.next_line()
    assert line["event"] == "error"
    assert variable in line["text"]
    assert repr(value) in line["text"]
    assert process.process.wait(timeout=20) == 2


def test_a_taken_port_is_said_and_not_shared(start: Start) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:  # noqa: S104 - the greeter listens on all interfaces too
        port = taken.getsockname()[1]
        process = start(PORT=str(port))
        assert str(port) in process.next_line()["text"]
        assert process.process.wait(timeout=20) == 2


def test_the_image_has_what_the_tests_ran_with() -> None:
    """The service's own requirements are versions of the lock file, so no other version is ever shipped."""
    locked = (SERVER.parents[3] / "requirements.lock").read_text(encoding="utf-8")
    pins = [line.split()[0] for line in _requirements() if "==" in line]
    assert len(pins) >= 4
    assert [pin for pin in pins if f"{pin} " not in locked] == []


def test_the_image_recipe_runs_as_nobody_and_copies_what_exists() -> None:
    recipe = (SERVER / "Dockerfile").read_text(encoding="utf-8")
    assert "USER 65532:65532" in recipe
    assert recipe.count("\nFROM ") == 2
    assert 'ENTRYPOINT ["/usr/bin/python3", "/app/greeter.py"]' in recipe
    assert {path.name for path in SERVER.glob("greeter*.py")} >= {"greeter.py", "greeter_service.py"}


def _requirements() -> list[str]:
    return (SERVER / "requirements.txt").read_text(encoding="utf-8").splitlines()
