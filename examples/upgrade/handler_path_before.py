"""A handler with two arguments."""

import asyncio

from websockets.asyncio.server import ServerConnection, serve


async def echo(websocket: ServerConnection, path: str) -> None:
    """Handle a connection."""
    await websocket.send(path)


async def main() -> None:
    """Run the server."""
    async with serve(echo, "localhost", 8765) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
