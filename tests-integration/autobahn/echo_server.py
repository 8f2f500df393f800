"""A server that sends every message back, for the Autobahn testsuite to attack.

Usage: python echo_server.py HOST PORT
"""

from __future__ import annotations

import asyncio
import sys

from websockets.asyncio.server import ServerConnection, serve

# Cases in groups 9, 12 and 13 have messages of up to 16 MiB.
MAX_SIZE = 2**25


async def echo(websocket: ServerConnection) -> None:
    """Send every message back."""
    async for message in websocket:
        await websocket.send(message)


async def main() -> None:
    """Serve until it is stopped."""
    async with serve(echo, sys.argv[1], int(sys.argv[2]), max_size=MAX_SIZE) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
