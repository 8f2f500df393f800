"""Headers of the request."""

import asyncio

from websockets.asyncio.client import connect


async def main() -> None:
    """Run the client."""
    async with connect("ws://localhost:8765/", additional_headers={"X-Key": "1"}) as websocket:
        await websocket.send("Hello!")
        print(await websocket.recv())


if __name__ == "__main__":
    asyncio.run(main())
