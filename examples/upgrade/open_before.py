"""Whether a connection is open: an attribute of the original API."""

import asyncio

from websockets.asyncio.client import connect


async def main() -> None:
    """Run the client."""
    async with connect("ws://localhost:8765/") as websocket:
        if websocket.open:
            print("open")


if __name__ == "__main__":
    asyncio.run(main())
