"""Whether a connection is open."""

import asyncio

from websockets.asyncio.client import connect
from websockets.protocol import State


async def main() -> None:
    """Run the client."""
    async with connect("ws://localhost:8765/") as websocket:
        if websocket.state is State.OPEN:
            print("open")


if __name__ == "__main__":
    asyncio.run(main())
