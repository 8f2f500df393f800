"""A poll, step 2: the server has a page, too, from which people vote."""

import asyncio
import http
import json
from pathlib import Path

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

PAGE = Path(__file__).with_name("poll.html").read_text(encoding="utf-8")

votes = {"tea": 0, "coffee": 0}


def answer(connection: ServerConnection, request: Request) -> Response | None:
    """Answer requests of browsers for the page; let those for a WebSocket connection pass."""
    if request.path == "/poll":
        return None
    if request.path != "/":
        return connection.respond(http.HTTPStatus.NOT_FOUND, "There is only the poll.\n")
    response = connection.respond(http.HTTPStatus.OK, PAGE)
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = "text/html; charset=utf-8"
    return response


async def poll(websocket: ServerConnection) -> None:
    """Handle a connection: send the result, and again after each vote."""
    await websocket.send(json.dumps(votes))
    async for message in websocket:
        if message in votes:
            votes[str(message)] += 1
        await websocket.send(json.dumps(votes))


async def main() -> None:
    """Run the server."""
    async with serve(poll, "localhost", 8765, process_request=answer) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
