"""Choosing a subprotocol: the arguments of the original API."""

import asyncio

from websockets.asyncio.server import ServerConnection, serve


async def echo(websocket: ServerConnection) -> None:
    """Handle a connection."""
    async for message in websocket:
        await websocket.send(message)


def select_subprotocol(client_subprotocols, server_subprotocols):
    """Choose a subprotocol."""
    return "chat" if "chat" in client_subprotocols else None


async def main() -> None:
    """Run the server."""
    async with serve(
        echo, "localhost", 8765, subprotocols=["chat"], select_subprotocol=select_subprotocol
    ) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
