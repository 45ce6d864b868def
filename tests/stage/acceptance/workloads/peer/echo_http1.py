"""The echo server's HTTP/1.1; a request to upgrade the connection is the handshake of a WebSocket."""

import asyncio
import json
import socket
import struct

import h11
from echo_state import Record, State
from echo_websocket import serve_websocket


async def serve_http1(
    state: State, number: int, start: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Serve one connection until either side ends it."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(start)
    record: Record | None = None
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            # Nothing behind a proxy may ever see this, so the test looks for it.
            state.request(protocol="malformed", connection=number, headers=[("x-error", str(error))])
            return
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Request):
            head = [(name.decode().lower(), value.decode("latin-1")) for name, value in event.headers]
            head += [(":method", event.method.decode()), (":path", event.target.decode("latin-1"))]
            record = state.request(protocol="http1", connection=number, headers=head)
            if not await _react_to_head(state, record, connection, writer):
                return
        elif isinstance(event, h11.Data) and record is not None:
            record.body_bytes += len(event.data)
        elif isinstance(event, h11.EndOfMessage) and record is not None:
            record.complete = True
            if not await _answer(state, record, connection, reader, writer):
                return
        elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
            return


async def _react_to_head(
    state: State, record: Record, connection: h11.Connection, writer: asyncio.StreamWriter
) -> bool:
    """Do what a misbehaving server does before the body; return whether the connection goes on."""
    if state.mode.name == "reset":
        # Linger 0 makes the kernel send a reset instead of an orderly end.
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False
    if state.mode.name == "unread":
        await asyncio.Event().wait()
    if state.mode.name == "early":
        await _send(state, record, connection, writer, 200)
        # A server that answers early closes its side; what the client still sends is not read.
        writer.write_eof()
        await asyncio.sleep(state.mode.seconds)
        return False
    return True


async def _answer(
    state: State,
    record: Record,
    connection: h11.Connection,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> bool:
    mode = state.mode
    if connection.their_state is h11.MIGHT_SWITCH_PROTOCOL:
        await serve_websocket(state, record, connection.trailing_data[0], reader, writer)
        return False
    if mode.name == "hang":
        await asyncio.Event().wait()
    if mode.name == "delay":
        await asyncio.sleep(mode.seconds)
    await _send(state, record, connection, writer, mode.status if mode.name == "status" else 200)
    if connection.our_state is h11.DONE and connection.their_state is h11.DONE:
        connection.start_next_cycle()
        return True
    return False


async def _send(
    state: State, record: Record, connection: h11.Connection, writer: asyncio.StreamWriter, status: int
) -> None:
    body = state.answer(record) if status == 200 else json.dumps({"version": state.version}).encode()
    headers = [("content-length", str(len(body))), ("x-version", state.version)]
    writer.write(connection.send(h11.Response(status_code=status, headers=headers)) or b"")
    if state.mode.name == "trickle":
        for index in range(len(body)):
            writer.write(connection.send(h11.Data(data=body[index : index + 1])) or b"")
            await writer.drain()
            await asyncio.sleep(state.mode.seconds)
    elif record.method != "HEAD":
        writer.write(connection.send(h11.Data(data=body)) or b"")
    writer.write(connection.send(h11.EndOfMessage()) or b"")
    await writer.drain()
