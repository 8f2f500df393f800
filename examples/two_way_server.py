"""A server that sends when it likes, and answers what it receives meanwhile."""

import asyncio
import itertools

from websockets.asyncio.server import ServerConnection, serve


async def tick(websocket: ServerConnection) -> None:
    """Send something now and then."""
    for number in itertools.count():
        await websocket.send(f"tick {number}")
        await asyncio.sleep(0.1)


async def handle(websocket: ServerConnection) -> None:
    """Handle a connection."""
    async with asyncio.TaskGroup() as tasks:
        ticking = tasks.create_task(tick(websocket))
        async for message in websocket:
            await websocket.send(f"you said {message!r}")
        # The client has closed the connection.
        ticking.cancel()


async def main() -> None:
    """Run the server."""
    async with serve(handle, "localhost", 8765) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
