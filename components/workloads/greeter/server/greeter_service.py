"""The four methods of ``helloworld.Greeter``."""

import itertools
import threading
import time
import zlib
from collections.abc import Iterator

import grpc
from greeter_log import MAX_TEXT, describe_call, write_line
from greeter_messages import HelloReply, HelloRequest, decode_request, encode_reply
from greeter_settings import Settings

DEFAULT_REPLIES = 3
MAX_REPLIES = 1000
SCORES = 1000
# How often a call that hangs on purpose looks whether the process ends.
HANG_LOOK_SECONDS = 0.1


class Greeter:
    """Answers calls and logs one line for each.

    A unary call and a server stream are logged when they arrive; the other streams when they end, with the
    number of messages that came.
    """

    def __init__(self, settings: Settings, stopping: threading.Event) -> None:
        self._settings = settings
        self._stopping = stopping
        self._sequence = itertools.count(1)

    def say_hello(self, request: HelloRequest, context: grpc.ServicerContext) -> HelloReply:
        """Answer one request with one reply."""
        self._log("SayHello", context, request.name)
        self._misbehave(request.name, context)
        return self._reply(request.name)

    def say_hello_stream_reply(self, request: HelloRequest, context: grpc.ServicerContext) -> Iterator[HelloReply]:
        """Answer one request with as many replies as it asks for."""
        self._log("SayHelloStreamReply", context, request.name)
        self._misbehave(request.name, context)
        for _ in range(min(request.replies, MAX_REPLIES) or DEFAULT_REPLIES):
            yield self._reply(request.name)

    def say_hello_client_stream(self, requests: Iterator[HelloRequest], context: grpc.ServicerContext) -> HelloReply:
        """Answer all requests of a stream with one reply to their names, joined by commas."""
        names: list[str] = []
        try:
            names.extend(request.name for request in requests)
        finally:
            self._log("SayHelloClientStream", context, names[0] if names else "", messages=len(names))
        joined = ", ".join(names)
        self._misbehave(joined, context)
        return self._reply(joined)

    def say_hello_bidi_stream(
        self, requests: Iterator[HelloRequest], context: grpc.ServicerContext
    ) -> Iterator[HelloReply]:
        """Answer each request of a stream as it comes."""
        count, first = 0, ""
        try:
            for request in requests:
                count, first = count + 1, first or request.name
                self._misbehave(request.name, context)
                yield self._reply(request.name)
        finally:
            self._log("SayHelloBidiStream", context, first, messages=count)

    def handlers(self) -> "dict[str, grpc.RpcMethodHandler[HelloRequest, HelloReply]]":
        """Return the handler of each method by its name."""
        return {
            "SayHello": grpc.unary_unary_rpc_method_handler(self.say_hello, decode_request, encode_reply),
            "SayHelloStreamReply": grpc.unary_stream_rpc_method_handler(
                self.say_hello_stream_reply, decode_request, encode_reply
            ),
            "SayHelloClientStream": grpc.stream_unary_rpc_method_handler(
                self.say_hello_client_stream, decode_request, encode_reply
            ),
            "SayHelloBidiStream": grpc.stream_stream_rpc_method_handler(
                self.say_hello_bidi_stream, decode_request, encode_reply
            ),
        }

    def _reply(self, name: str) -> HelloReply:
        settings = self._settings
        return HelloReply(
            message=f"Hello {name} ! from {settings.version} pod {settings.pod_name} ip {settings.pod_ip}",
            version=settings.version,
            pod=settings.pod_name,
            served_at_unix_nanos=time.time_ns(),
            sequence=next(self._sequence),
            score=zlib.crc32(name.encode()) % SCORES + settings.faults.score_offset,
        )

    def _log(self, method: str, context: grpc.ServicerContext, name: str, messages: int = 1) -> None:
        write_line(
            "call",
            method=method,
            name=name[:MAX_TEXT],
            messages=messages,
            version=self._settings.version,
            **describe_call(context, self._settings.mark_header),
        )

    def _misbehave(self, name: str, context: grpc.ServicerContext) -> None:
        """Do to this call what the settings ask for; with default settings nothing."""
        faults = self._settings.faults
        if faults.delay_seconds:
            self._stopping.wait(faults.delay_seconds)
        # The same name always gets the same draw, so a repeated call meets the same fate.
        draw = zlib.crc32(name.encode()) / 2**32
        if draw < faults.hang_rate:
            ended = threading.Event()
            if context.add_callback(ended.set):
                while not ended.wait(HANG_LOOK_SECONDS) and not self._stopping.is_set():
                    pass
            context.abort(grpc.StatusCode.CANCELLED, "planted hang")
        if draw < faults.error_rate:
            context.abort(grpc.StatusCode.UNAVAILABLE, "planted error")
