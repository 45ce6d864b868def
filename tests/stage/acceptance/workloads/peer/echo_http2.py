"""The echo server's HTTP/2, and unary gRPC on top of it."""

import asyncio
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
from echo_state import Record, State

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What every HTTP/2 client sends first. Source: RFC 9113 section 3.4."""


@dataclass
class _Session:
    state: State
    number: int
    connection: h2.connection.H2Connection
    writer: asyncio.StreamWriter
    streams: dict[int, Record] = field(default_factory=dict)
    tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    def flush(self) -> None:
        self.writer.write(self.connection.data_to_send())

    def start(self, stream: int) -> None:
        """Answer in a task of its own, so that one slow answer holds no other back."""
        task = asyncio.create_task(_answer(self, stream))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


async def serve_http2(
    state: State, number: int, start: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Serve one connection until either side ends it."""
    config = h2.config.H2Configuration(client_side=False, header_encoding="latin-1")
    connection = h2.connection.H2Connection(config)
    session = _Session(state, number, connection, writer)
    connection.initiate_connection()
    session.flush()
    data = start
    try:
        while data:
            for event in connection.receive_data(data):
                await _react(session, event)
            session.flush()
            await writer.drain()
            data = await reader.read(65536)
    except h2.exceptions.ProtocolError as error:
        state.request(protocol="malformed", connection=number, headers=[("x-error", str(error))])
    finally:
        for task in session.tasks:
            task.cancel()


async def _react(session: _Session, event: h2.events.Event) -> None:
    mode = session.state.mode
    if isinstance(event, h2.events.RequestReceived):
        head = [(str(name), str(value)) for name, value in event.headers or ()]
        record = session.state.request(protocol="http2", connection=session.number, headers=head)
        session.streams[event.stream_id] = record
        if mode.name == "unread":
            session.flush()
            await asyncio.Event().wait()
        if mode.name == "reset":
            session.connection.reset_stream(event.stream_id, h2.errors.ErrorCodes.INTERNAL_ERROR)
        elif mode.name == "early":
            session.start(event.stream_id)
    elif isinstance(event, h2.events.DataReceived):
        session.streams[event.stream_id].body_bytes += len(event.data or b"")
        session.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
    elif isinstance(event, h2.events.StreamEnded):
        session.streams[event.stream_id].complete = True
        if mode.name not in {"reset", "early", "hang"}:
            session.start(event.stream_id)


async def _answer(session: _Session, stream: int) -> None:
    state, record, connection = session.state, session.streams[stream], session.connection
    mode = state.mode
    if mode.name == "delay":
        await asyncio.sleep(mode.seconds)
    status = mode.status if mode.name == "status" else 200
    body = state.answer(record) if status == 200 else b""
    kind = "application/grpc" if record.is_grpc else "application/json"
    try:
        connection.send_headers(
            stream, [(":status", str(status)), ("content-type", kind), ("x-version", state.version)]
        )
        if mode.name == "trickle":
            for index in range(len(body)):
                connection.send_data(stream, body[index : index + 1])
                session.flush()
                await asyncio.sleep(mode.seconds)
        elif record.method != "HEAD":
            connection.send_data(stream, body)
        if record.is_grpc:
            connection.send_headers(stream, [("grpc-status", "0")], end_stream=True)
        else:
            connection.end_stream(stream)
        session.flush()
        await session.writer.drain()
    except (h2.exceptions.H2Error, OSError):
        # The client has ended the stream or the connection meanwhile.
        return
