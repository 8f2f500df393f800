"""Why a connection was closed: attributes that are ambiguous."""

import asyncio

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed


async def main() -> None:
    """Run the client."""
    async with connect("ws://localhost:8765/") as websocket:
        try:
            await websocket.recv()
        except ConnectionClosed as exc:
            print(exc.code, exc.reason)


if __name__ == "__main__":
    asyncio.run(main())
