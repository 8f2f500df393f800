"""A server for browsers, which send cookies, or have a token in the URI."""

import asyncio
import http
import urllib.parse

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Origin

# Whose token it is. Real ones are long and random.
USERS = {"7ca2f9bb": "alice"}


def find_tokens(request: Request) -> list[str]:
    """Return the tokens in the cookies and in the query of a request."""
    cookies = [
        cookie.strip().partition("=")
        for value in request.headers.get_all("Cookie")
        for cookie in value.split(";")
    ]
    query = urllib.parse.parse_qs(request.path.partition("?")[2])
    return [value for name, _, value in cookies if name == "token"] + query.get("token", [])


def authenticate(connection: ServerConnection, request: Request) -> Response | None:
    """Refuse a connection that has no good token; remember whose it is."""
    tokens = find_tokens(request)
    if len(tokens) != 1 or tokens[0] not in USERS:
        return connection.respond(http.HTTPStatus.FORBIDDEN, "A token is required.\n")
    connection.username = USERS[tokens[0]]
    return None


async def greet(websocket: ServerConnection) -> None:
    """Handle a connection."""
    await websocket.send(f"Hello {websocket.username}!")


async def main() -> None:
    """Run the server."""
    # Pages of other sites can't use the cookies of their visitors. Without the last one, clients
    # other than browsers can't connect.
    origins = [Origin("https://www.example.com"), None]
    async with serve(
        greet, "localhost", 8765, process_request=authenticate, origins=origins
    ) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
