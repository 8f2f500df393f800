"""A server for clients that have a token, in the Authorization header."""

import asyncio
import hmac
import http

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

TOKEN = "7ca2f9bb"


def authenticate(connection: ServerConnection, request: Request) -> Response | None:
    """Refuse a connection that has no good token."""
    expected = f"Bearer {TOKEN}".encode()
    # A list, because a header may be there twice, in which case this one is no good.
    values = request.headers.get_all("Authorization")
    if len(values) == 1 and hmac.compare_digest(values[0].encode(), expected):
        return None
    response = connection.respond(http.HTTPStatus.UNAUTHORIZED, "A token is required.\n")
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


async def greet(websocket: ServerConnection) -> None:
    """Handle a connection."""
    await websocket.send("Hello!")


async def main() -> None:
    """Run the server."""
    async with serve(greet, "localhost", 8765, process_request=authenticate) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
