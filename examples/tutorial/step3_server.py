"""A poll, step 3: everybody sees each vote as it is cast."""

import asyncio
import http
import json
from pathlib import Path

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.http11 import Request, Response
from websockets.typing import Origin

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
    """Handle a connection: send the result; after a vote, send it to everybody."""
    await websocket.send(json.dumps(votes))
    async for message in websocket:
        if message in votes:
            votes[str(message)] += 1
            broadcast(websocket.server.connections, json.dumps(votes))


async def main() -> None:
    """Run the server."""
    async with serve(
        poll,
        "localhost",
        8765,
        process_request=answer,
        # Only our own page may connect from a browser, and votes are short.
        origins=[Origin("http://localhost:8765")],
        max_size=100,
    ) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
