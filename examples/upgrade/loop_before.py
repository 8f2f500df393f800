"""An event loop as an argument."""

import asyncio

from websockets.asyncio.client import connect


async def main() -> None:
    """Run the client."""
    loop = asyncio.get_running_loop()
    async with connect("ws://localhost:8765/", loop=loop) as websocket:
        await websocket.send("Hello!")
        print(await websocket.recv())


if __name__ == "__main__":
    asyncio.run(main())
