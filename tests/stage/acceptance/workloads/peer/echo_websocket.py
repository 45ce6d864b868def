"""The echo server's WebSockets."""

import asyncio

from echo_state import Record, State
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Message, Ping, Request


async def serve_websocket(
    state: State, record: Record, pending: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Accept a handshake that was read already, then count messages and send each back until the client closes."""
    connection = WSConnection(ConnectionType.SERVER)
    headers = [(name.encode(), value.encode("latin-1")) for name, value in record.headers if name[0] != ":"]
    connection.initiate_upgrade_connection(headers, record.path)
    if pending:
        connection.receive_data(pending)
    while True:
        for event in connection.events():
            if isinstance(event, Request):
                writer.write(connection.send(AcceptConnection(extra_headers=[(b"x-version", state.version.encode())])))
            elif isinstance(event, Message):
                record.messages += event.message_finished
                record.body_bytes += len(event.data)
                writer.write(connection.send(event))
            elif isinstance(event, Ping):
                writer.write(connection.send(event.response()))
            elif isinstance(event, CloseConnection):
                writer.write(connection.send(event.response()))
                await writer.drain()
                return
        await writer.drain()
        data = await reader.read(65536)
        if not data:
            return
        connection.receive_data(data)
