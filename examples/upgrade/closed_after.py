"""Whether a connection is closed."""

import asyncio

from websockets.asyncio.client import connect
from websockets.protocol import State


async def main() -> None:
    """Run the client."""
    async with connect("ws://localhost:8765/") as websocket:
        await websocket.close()
        if websocket.state is State.CLOSED:
            print("closed")


if __name__ == "__main__":
    asyncio.run(main())
