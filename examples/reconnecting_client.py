"""A client that prints messages, and connects again whenever the connection is lost."""

import asyncio
from collections.abc import Iterator

from websockets.asyncio.client import connect, process_exception
from websockets.exceptions import ConnectionClosed, InvalidStatus

URI = "ws://localhost:8765/"


async def follow() -> None:
    """Try again after network errors, timeouts and HTTP 500, 502, 503 and 504."""
    async for websocket in connect(URI):
        try:
            async for message in websocket:
                print(message, flush=True)
        except ConnectionClosed:
            continue


async def follow_stubbornly() -> None:
    """Try again whatever happens."""
    async for websocket in connect(URI, process_exception=lambda exc: None):
        try:
            async for message in websocket:
                print(message, flush=True)
        except ConnectionClosed:
            continue


def also_when_too_many(exc: Exception) -> Exception | None:
    """Try again after HTTP 429, too; do what is usual after all else."""
    if isinstance(exc, InvalidStatus) and exc.response.status_code == 429:
        return None
    return process_exception(exc)


def five_attempts() -> Iterator[float]:
    """Wait a second, then twice as long each time; give up after the fifth attempt."""
    return iter([1, 2, 4, 8])


async def follow_politely() -> None:
    """Try again with a policy and with delays of one's own."""
    async for websocket in connect(
        URI, process_exception=also_when_too_many, reconnect_delays=five_attempts
    ):
        try:
            async for message in websocket:
                print(message, flush=True)
        except ConnectionClosed:
            continue


if __name__ == "__main__":
    asyncio.run(follow())
