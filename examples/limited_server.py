"""A server that is open to the world, and has little memory."""

import asyncio

from websockets.asyncio.server import ServerConnection, serve


async def echo(websocket: ServerConnection) -> None:
    """Handle a connection, but no more than ten messages a second."""
    async for message in websocket:
        await websocket.send(message)
        # What comes meanwhile waits in the queue; then in the network; then at the client.
        await asyncio.sleep(0.1)


async def main() -> None:
    """Run the server."""
    async with serve(
        echo,
        "localhost",
        8765,
        # More are told to try again in a few seconds.
        max_connections=100,
        # Of these, so many may still be in the opening handshake.
        max_handshakes=20,
        # Messages have at most 4 KiB, compressed or not.
        max_size=4096,
        # At most 4 of them wait to be received.
        max_queue=4,
        # Compression takes 64 KiB and more of memory for each connection that uses it.
        compression=None,
        # Who doesn't say what they want soon has to go.
        open_timeout=5,
        close_timeout=5,
    ) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
