"""A handler that looks at the path."""

import asyncio

from websockets.asyncio.server import ServerConnection, serve


async def echo(websocket: ServerConnection) -> None:
    """Handle a connection."""
    assert websocket.request is not None
    await websocket.send(websocket.request.path)


async def main() -> None:
    """Run the server."""
    async with serve(echo, "localhost", 8765) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
