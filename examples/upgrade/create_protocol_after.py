"""A class of connections."""

import asyncio

from websockets.asyncio.client import ClientConnection, connect


class Connection(ClientConnection):
    """A connection of our own."""


async def main() -> None:
    """Run the client."""
    async with connect("ws://localhost:8765/", create_connection=Connection) as websocket:
        print(type(websocket).__name__)


if __name__ == "__main__":
    asyncio.run(main())
