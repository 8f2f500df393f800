"""An answer instead of a WebSocket connection."""

import asyncio
import http

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response


async def echo(websocket: ServerConnection) -> None:
    """Handle a connection."""
    async for message in websocket:
        await websocket.send(message)


def process_request(connection: ServerConnection, request: Request) -> Response | None:
    """Answer health checks."""
    if request.path == "/health":
        return connection.respond(http.HTTPStatus.OK, "OK\n")
    return None


async def main() -> None:
    """Run the server."""
    async with serve(echo, "localhost", 8765, process_request=process_request) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
