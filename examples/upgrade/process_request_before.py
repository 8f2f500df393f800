"""An answer instead of a WebSocket connection: a tuple."""

import asyncio
import http

from websockets.asyncio.server import ServerConnection, serve


async def echo(websocket: ServerConnection) -> None:
    """Handle a connection."""
    async for message in websocket:
        await websocket.send(message)


def process_request(path, request_headers):
    """Answer health checks."""
    if path == "/health":
        return http.HTTPStatus.OK, [], b"OK\n"
    return None


async def main() -> None:
    """Run the server."""
    async with serve(echo, "localhost", 8765, process_request=process_request) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
