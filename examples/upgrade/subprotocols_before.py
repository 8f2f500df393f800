"""A server that knows a subprotocol: clients without one are refused."""

import asyncio

from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol


async def echo(websocket: ServerConnection) -> None:
    """Handle a connection."""
    async for message in websocket:
        await websocket.send(message)


async def main() -> None:
    """Run the server."""
    async with serve(echo, "localhost", 8765, subprotocols=[Subprotocol("chat")]) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
