"""A server that sends every message back, for the Autobahn testsuite to attack.

Usage: python echo_server.py HOST PORT AGENT

The agent is what it is written for: asyncio, threading, trio, or legacy, which is the original API.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from typing import Any

import trio

import websockets.asyncio.server
import websockets.legacy.server
import websockets.sync.server
import websockets.trio.server

# Cases in groups 9, 12 and 13 have messages of up to 16 MiB.
MAX_SIZE = 2**25


async def echo(websocket: Any) -> None:
    """Send every message back."""
    async for message in websocket:
        await websocket.send(message)


def echo_blocking(websocket: Any) -> None:
    """Send every message back."""
    for message in websocket:
        websocket.send(message)


async def serve_on_asyncio(serve: Any, host: str, port: int) -> None:
    """Serve on asyncio until it is stopped."""
    async with serve(echo, host, port, max_size=MAX_SIZE) as server:
        await server.serve_forever()


def main() -> None:
    """Serve until it is stopped."""
    host, port, agent = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    if agent == "threading":
        with websockets.sync.server.serve(echo_blocking, host, port, max_size=MAX_SIZE) as server:
            server.serve_forever()
    elif agent == "trio":
        trio.run(partial(websockets.trio.server.serve, echo, port, host=host, max_size=MAX_SIZE))
    else:
        api = {"asyncio": websockets.asyncio.server, "legacy": websockets.legacy.server}[agent]
        asyncio.run(serve_on_asyncio(api.serve, host, port))


if __name__ == "__main__":
    main()
