"""Why a connection was closed."""

import asyncio

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed


async def main() -> None:
    """Run the client."""
    async with connect("ws://localhost:8765/") as websocket:
        try:
            await websocket.recv()
        except ConnectionClosed as exc:
            if exc.rcvd is None:
                print("no close frame")
            else:
                print(exc.rcvd.code, exc.rcvd.reason)


if __name__ == "__main__":
    asyncio.run(main())
