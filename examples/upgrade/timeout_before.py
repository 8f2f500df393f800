"""An argument that has had another name since long ago."""

import asyncio

from websockets.asyncio.client import connect


async def main() -> None:
    """Run the client."""
    async with connect("ws://localhost:8765/", timeout=5) as websocket:
        await websocket.send("Hello!")
        print(await websocket.recv())


if __name__ == "__main__":
    asyncio.run(main())
