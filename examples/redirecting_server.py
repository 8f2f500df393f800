"""A server that sends clients to another path."""

import asyncio
import http

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response


def redirect(connection: ServerConnection, request: Request) -> Response | None:
    """Redirect from all paths but the right one."""
    if request.path == "/v2/":
        return None
    response = connection.respond(http.HTTPStatus.PERMANENT_REDIRECT, "It has moved to /v2/.\n")
    response.headers["Location"] = "/v2/"
    return response


async def echo(websocket: ServerConnection) -> None:
    """Handle a connection."""
    async for message in websocket:
        await websocket.send(message)


async def main() -> None:
    """Run the server."""
    async with serve(echo, "localhost", 8765, process_request=redirect) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
