"""Message types of gRPC methods, from a descriptor set and without generated code."""

from typing import Any, Self

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message

from ...model import ValidationError


class Descriptors:
    """The services and messages of a ``FileDescriptorSet``."""

    def __init__(self, files: descriptor_pb2.FileDescriptorSet) -> None:
        """Index the set; imports must be part of it (``protoc --include_imports``).

        Raises:
            ValidationError: A file that the set needs is missing from it.
        """
        self._pool: Any = descriptor_pool.DescriptorPool()
        self._methods: dict[str, tuple[type[Message], type[Message]]] = {}
        try:
            for file in _in_order(files):
                self._pool.AddSerializedFile(file.SerializeToString())
            for file in files.file:
                for service in file.service:
                    self._index(f"{file.package}.{service.name}".lstrip("."))
        except (TypeError, KeyError) as error:
            raise ValidationError(
                field="descriptor_set",
                value=f"{len(files.file)} file(s)",
                rule=f"must be complete ({error})",
                remedy="Build it with protoc --include_imports --descriptor_set_out",
            ) from error

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Read a serialised ``FileDescriptorSet``.

        Raises:
            ValidationError: It is none, or not complete.
        """
        try:
            return cls(descriptor_pb2.FileDescriptorSet.FromString(content))
        except DecodeError as error:
            raise ValidationError(
                field="descriptor_set",
                value=f"{len(content)} byte(s)",
                rule="must be a serialised google.protobuf.FileDescriptorSet",
                remedy="Build it with protoc --include_imports --descriptor_set_out",
            ) from error

    def request_type(self, path: str) -> type[Message] | None:
        """Return the request message of ``/package.Service/Method``, or ``None`` when it is not in the set."""
        types = self._methods.get(path)
        return types[0] if types else None

    def response_type(self, path: str) -> type[Message] | None:
        """Return the response message of ``/package.Service/Method``, or ``None`` when it is not in the set."""
        types = self._methods.get(path)
        return types[1] if types else None

    def message_type(self, name: str) -> type[Message] | None:
        """Return ``package.Message``, or ``None`` when it is not in the set."""
        try:
            return message_factory.GetMessageClass(self._pool.FindMessageTypeByName(name))
        except KeyError:
            return None

    def check_field(self, name: str) -> None:
        """Make sure that ``package.Message.field`` exists.

        Raises:
            ValidationError: It does not.
        """
        try:
            self._pool.FindFieldByName(name)
        except KeyError as error:
            raise ValidationError(
                field="protobuf_fields",
                value=name,
                rule="must name a field of the descriptor set as package.Message.field",
                remedy="Check the spelling, or add its file to the descriptor set",
            ) from error

    def _index(self, service_name: str) -> None:
        service: Any = self._pool.FindServiceByName(service_name)
        for method in service.methods:
            self._methods[f"/{service_name}/{method.name}"] = (
                message_factory.GetMessageClass(method.input_type),
                message_factory.GetMessageClass(method.output_type),
            )


def _in_order(files: descriptor_pb2.FileDescriptorSet) -> list[descriptor_pb2.FileDescriptorProto]:
    """Return the files so that each comes after those it imports; a pool takes them in no other order."""
    by_name = {file.name: file for file in files.file}
    ordered: dict[str, descriptor_pb2.FileDescriptorProto] = {}

    def visit(name: str) -> None:
        if name in ordered or name not in by_name:
            return
        for dependency in by_name[name].dependency:
            visit(dependency)
        ordered[name] = by_name[name]

    for name in by_name:
        visit(name)
    return list(ordered.values())
