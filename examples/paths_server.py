"""A server that does different things at different paths, without anything to install."""

import asyncio
import http
from collections.abc import Awaitable, Callable

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response


async def echo(websocket: ServerConnection) -> None:
    """Send messages back."""
    async for message in websocket:
        await websocket.send(message)


async def shout(websocket: ServerConnection) -> None:
    """Send messages back, loudly."""
    async for message in websocket:
        await websocket.send(str(message).upper())


HANDLERS: dict[str, Callable[[ServerConnection], Awaitable[None]]] = {
    "/echo": echo,
    "/shout": shout,
}


def check_path(connection: ServerConnection, request: Request) -> Response | None:
    """Refuse connections to other paths, before they are open."""
    if request.path.partition("?")[0] in HANDLERS:
        return None
    return connection.respond(http.HTTPStatus.NOT_FOUND, "There is nothing here.\n")


async def handle(websocket: ServerConnection) -> None:
    """Handle a connection, by its path."""
    assert websocket.request is not None
    await HANDLERS[websocket.request.path.partition("?")[0]](websocket)


async def main() -> None:
    """Run the server."""
    async with serve(handle, "localhost", 8765, process_request=check_path) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
