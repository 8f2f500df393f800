"""Headers of the response."""

import asyncio

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response


async def echo(websocket: ServerConnection) -> None:
    """Handle a connection."""
    async for message in websocket:
        await websocket.send(message)


def process_response(connection: ServerConnection, request: Request, response: Response) -> None:
    """Add a header to the response."""
    response.headers["X-Served-By"] = "one"


async def main() -> None:
    """Run the server."""
    async with serve(echo, "localhost", 8765, process_response=process_response) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
