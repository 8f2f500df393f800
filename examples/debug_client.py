"""A client that shows what happens on its connection."""

import asyncio
import logging
import sys

from websockets.asyncio.client import connect

logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(name)s %(message)s")
logging.getLogger("websockets").setLevel(logging.DEBUG)


async def main() -> None:
    """Run the client."""
    async with connect("ws://localhost:8765/") as websocket:
        await websocket.send("tea")
        await websocket.recv()


if __name__ == "__main__":
    asyncio.run(main())
