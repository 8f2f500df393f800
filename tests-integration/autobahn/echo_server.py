"""A server that sends every message back, for the Autobahn testsuite to attack.

Usage: python echo_server.py HOST PORT AGENT

The agent is the API that it is written for: asyncio or legacy.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import websockets.asyncio.server
import websockets.legacy.server

SERVE = {
    "asyncio": websockets.asyncio.server.serve,
    "legacy": websockets.legacy.server.serve,
}

# Cases in groups 9, 12 and 13 have messages of up to 16 MiB.
MAX_SIZE = 2**25


async def echo(websocket: Any) -> None:
    """Send every message back."""
    async for message in websocket:
        await websocket.send(message)


async def main() -> None:
    """Serve until it is stopped."""
    host, port, agent = sys.argv[1:]
    async with SERVE[agent](echo, host, int(port), max_size=MAX_SIZE) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
