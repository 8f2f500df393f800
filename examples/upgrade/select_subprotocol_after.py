"""Choosing a subprotocol, or none."""

import asyncio
from collections.abc import Sequence

from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol


async def echo(websocket: ServerConnection) -> None:
    """Handle a connection."""
    async for message in websocket:
        await websocket.send(message)


def select_subprotocol(
    connection: ServerConnection, subprotocols: Sequence[Subprotocol]
) -> Subprotocol | None:
    """Choose a subprotocol."""
    return Subprotocol("chat") if "chat" in subprotocols else None


async def main() -> None:
    """Run the server."""
    async with serve(echo, "localhost", 8765, select_subprotocol=select_subprotocol) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
