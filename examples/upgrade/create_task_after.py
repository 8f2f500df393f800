"""A task that connects."""

import asyncio

from websockets.asyncio.client import connect


async def main() -> None:
    """Run the client."""
    task = asyncio.ensure_future(connect("ws://localhost:8765/"))
    async with await task as websocket:
        await websocket.send("Hello!")
        print(await websocket.recv())


if __name__ == "__main__":
    asyncio.run(main())
