"""The greeter's API, described in Python so that no protocol compiler is needed.

It is a superset of the well-known ``helloworld.Greeter``: field 1 of request and reply and the unary method
are the same, so that any hello-world client can call it.
"""

from dataclasses import asdict, dataclass
from typing import Any, cast

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVICE = "helloworld.Greeter"
"""Full name of the service."""

METHODS = {
    "SayHello": (False, False),
    "SayHelloStreamReply": (False, True),
    "SayHelloClientStream": (True, False),
    "SayHelloBidiStream": (True, True),
}
"""Method name -> whether the request, and whether the reply, is a stream."""

_FILE = "helloworld/greeter.proto"
_PACKAGE = "helloworld"
_Field = descriptor_pb2.FieldDescriptorProto


@dataclass(frozen=True, kw_only=True)
class HelloRequest:
    """Who wants to be greeted."""

    name: str = ""
    """Field 1. Any text; comes back in the reply."""

    replies: int = 0
    """Field 2. Replies wanted from ``SayHelloStreamReply``, at most 1000; 0 takes three."""


@dataclass(frozen=True, kw_only=True)
class HelloReply:
    """The greeting, and fields that let a comparison of two versions be tried."""

    message: str = ""
    """Field 1. The greeting as text, with version, pod and address of who answered."""

    version: str = ""
    """Field 2. Version of who answered."""

    pod: str = ""
    """Field 3. Pod that answered; differs between replicas."""

    served_at_unix_nanos: int = 0
    """Field 4. Time of the answer in nanoseconds since 1970; differs with every call."""

    sequence: int = 0
    """Field 5. Number of this answer in this process, from 1; differs with every call."""

    score: int = 0
    """Field 6. A number 0-999 that depends on the name only, so equal versions give equal scores."""


_TYPES = {str: _Field.TYPE_STRING, int: _Field.TYPE_INT64}


def _describe() -> descriptor_pb2.FileDescriptorProto:
    """Return the descriptor of the API; fields are numbered in the order of the dataclass."""
    file = descriptor_pb2.FileDescriptorProto(name=_FILE, package=_PACKAGE, syntax="proto3")
    for kind in (HelloRequest, HelloReply):
        fields = [
            _Field(name=name, number=number, type=_TYPES[annotation], label=_Field.LABEL_OPTIONAL, json_name=name)
            for number, (name, annotation) in enumerate(kind.__annotations__.items(), start=1)
        ]
        file.message_type.add(name=kind.__name__, field=fields)
    service = file.service.add(name="Greeter")
    for name, (request_is_stream, reply_is_stream) in METHODS.items():
        service.method.add(
            name=name,
            input_type=f".{_PACKAGE}.HelloRequest",
            output_type=f".{_PACKAGE}.HelloReply",
            client_streaming=request_is_stream,
            server_streaming=reply_is_stream,
        )
    return file


# The default pool, because the reflection service looks names up there. Its stubs leave its methods untyped.
_pool = cast("Any", descriptor_pool).Default()
_pool.AddSerializedFile(_describe().SerializeToString())
_messages: dict[str, Any] = {
    name: message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
    for name in ("HelloRequest", "HelloReply")
}


def decode_request(data: bytes) -> HelloRequest:
    """Return the request in ``data``.

    Args:
        data: A serialised ``helloworld.HelloRequest``.

    Raises:
        google.protobuf.message.DecodeError: The bytes are no such message.
    """
    message = _messages["HelloRequest"].FromString(data)
    return HelloRequest(name=message.name, replies=message.replies)


def encode_reply(reply: HelloReply) -> bytes:
    """Return ``reply`` serialised as ``helloworld.HelloReply``."""
    return _messages["HelloReply"](**asdict(reply)).SerializeToString()
