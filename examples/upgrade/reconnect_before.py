"""Reconnecting: the new API gives up where another attempt is no use."""

import asyncio

from websockets.asyncio.client import connect


async def main() -> None:
    """Run the client."""
    async for websocket in connect("ws://localhost:8765/"):
        print(await websocket.recv())
        break


if __name__ == "__main__":
    asyncio.run(main())
