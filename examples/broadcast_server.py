"""A server that sends the same to everybody, and lets nobody be slow for long."""

import asyncio
import itertools

from websockets.asyncio.server import Server, ServerConnection, broadcast, serve


async def listen(websocket: ServerConnection) -> None:
    """Handle a connection: there is nothing to receive."""
    await websocket.wait_closed()


async def tick(server: Server) -> None:
    """Send the time, as it were, to all connections that are open."""
    for number in itertools.count():
        # Whoever is a megabyte behind is disconnected.
        broadcast(server.connections, f"tick {number}", max_buffer=2**20, slow="close")
        await asyncio.sleep(0.1)


async def main() -> None:
    """Run the server."""
    # Whoever doesn't even answer a ping for 10 seconds is disconnected.
    async with serve(listen, "localhost", 8765, ping_interval=5, ping_timeout=5) as server:
        await tick(server)


if __name__ == "__main__":
    asyncio.run(main())
