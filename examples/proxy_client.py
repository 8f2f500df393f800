"""A client that connects through an HTTP proxy."""

import asyncio

from websockets.asyncio.client import connect


async def main() -> None:
    """Run the client."""
    proxy = "http://alice:secret@localhost:3128"
    async with connect("ws://localhost:8765/", proxy=proxy) as websocket:
        await websocket.send("Hello!")
        print(await websocket.recv())


if __name__ == "__main__":
    asyncio.run(main())
