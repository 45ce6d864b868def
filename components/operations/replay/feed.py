"""Reading ahead in a thread, so that decoding never delays a request that is due."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from itertools import islice
from typing import Final

from ..recording import Exchange

_AHEAD: Final = 64
"""Exchanges read at once; twice as many are held at most."""


async def read_ahead(exchanges: Iterator[Exchange]) -> AsyncGenerator[list[Exchange], None]:
    """Yield some exchanges at once while the next ones are being read in a thread."""
    upcoming = asyncio.ensure_future(asyncio.to_thread(_take, exchanges))
    try:
        while chunk := await upcoming:
            upcoming = asyncio.ensure_future(asyncio.to_thread(_take, exchanges))
            yield chunk
    finally:
        upcoming.cancel()
        await asyncio.gather(upcoming, return_exceptions=True)


def _take(exchanges: Iterator[Exchange]) -> list[Exchange]:
    return list(islice(exchanges, _AHEAD))
