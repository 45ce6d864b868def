"""The messages of gRPC's binary log, as far as they are read.

gRPC's packages for Python do not have them. Source: ``grpc/binlog/v1/binarylog.proto`` of grpc-proto; unknown fields
are passed over, so what is not listed here does no harm.
"""

from importlib import import_module
from typing import Any, Final

_descriptors: Any = import_module("google.protobuf.descriptor_pb2")
_pools: Any = import_module("google.protobuf.descriptor_pool")
_factory: Any = import_module("google.protobuf.message_factory")

_PACKAGE: Final = "grpc.binarylog.v1"
_SCALARS: Final = {"uint32": 13, "uint64": 4, "int64": 3, "int32": 5, "bool": 8, "string": 9, "bytes": 12}
"""Numbers of types in descriptors. Source: ``FieldDescriptorProto.Type``."""
_MESSAGE: Final = 11

_TYPES: Final = {
    # As google.protobuf.Timestamp and Duration.
    "Time": ((1, "seconds", "int64"), (2, "nanos", "int32")),
    "MetadataEntry": ((1, "key", "string"), (2, "value", "bytes")),
    "Metadata": ((1, "entry", "MetadataEntry*"),),
    "ClientHeader": (
        (1, "metadata", "Metadata"),
        (2, "method_name", "string"),
        (3, "authority", "string"),
        (4, "timeout", "Time"),
    ),
    "ServerHeader": ((1, "metadata", "Metadata"),),
    "Message": ((1, "length", "uint32"), (2, "data", "bytes")),
    "Trailer": (
        (1, "metadata", "Metadata"),
        (2, "status_code", "uint32"),
        (3, "status_message", "string"),
        (4, "status_details", "bytes"),
    ),
    "Address": ((1, "type", "int32"), (2, "address", "string"), (3, "ip_port", "uint32")),
    "GrpcLogEntry": (
        (1, "timestamp", "Time"),
        (2, "call_id", "uint64"),
        (3, "sequence_id_within_call", "uint64"),
        (4, "type", "int32"),
        (5, "logger", "int32"),
        (6, "client_header", "ClientHeader"),
        (7, "server_header", "ServerHeader"),
        (8, "message", "Message"),
        (9, "trailer", "Trailer"),
        (10, "payload_truncated", "bool"),
        (11, "peer", "Address"),
    ),
}
"""Number, name and type of the fields of each message; a star makes it repeated. Enumerations are read as numbers."""


def _file() -> Any:  # noqa: ANN401 -- generated
    file = _descriptors.FileDescriptorProto(name="binarylog.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _TYPES.items():
        message = file.message_type.add(name=name)
        for number, field, kind in fields:
            bare = kind.rstrip("*")
            one = message.field.add(name=field, number=number, label=3 if kind.endswith("*") else 1)
            if bare in _SCALARS:
                one.type = _SCALARS[bare]
            else:
                one.type, one.type_name = _MESSAGE, f".{_PACKAGE}.{bare}"
    return file


_pool: Any = _pools.DescriptorPool()
_pool.Add(_file())

GrpcLogEntry: Any = _factory.GetMessageClass(_pool.FindMessageTypeByName(f"{_PACKAGE}.GrpcLogEntry"))
"""One entry of a log."""
