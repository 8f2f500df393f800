"""A buffer that the new API doesn't have."""

import asyncio

from websockets.asyncio.client import connect


async def main() -> None:
    """Run the client."""
    async with connect("ws://localhost:8765/", read_limit=2**20) as websocket:
        await websocket.send("Hello!")
        print(await websocket.recv())


if __name__ == "__main__":
    asyncio.run(main())
