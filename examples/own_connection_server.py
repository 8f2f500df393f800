"""A server with connections of its own class, which know what the handler needs."""

import asyncio
import time
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request


class RoomConnection(ServerConnection):
    """A connection that is for a room, and knows when it was made."""

    room = "lobby"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.since = time.monotonic()


def choose_room(connection: ServerConnection, request: Request) -> None:
    """Take the path for a room."""
    assert isinstance(connection, RoomConnection)
    connection.room = request.path.partition("?")[0].strip("/") or connection.room


async def greet(websocket: ServerConnection) -> None:
    """Handle a connection."""
    assert isinstance(websocket, RoomConnection)
    await websocket.send(f"Welcome to the {websocket.room}!")


async def main() -> None:
    """Run the server."""
    async with serve(
        greet, "localhost", 8765, create_connection=RoomConnection, process_request=choose_room
    ) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
