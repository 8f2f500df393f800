"""A server that tells those who watch it how it is."""

import asyncio
import collections
import http

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

# How many connections were closed, by close code.
closed: collections.Counter[int | None] = collections.Counter()


def tell(connection: ServerConnection, request: Request) -> Response | None:
    """Answer requests for /health and /metrics; let others connect."""
    if request.path == "/health":
        return connection.respond(http.HTTPStatus.OK, "OK\n")
    if request.path == "/metrics":
        connections = connection.server.connections
        latency = max((each.latency for each in connections), default=0)
        lines = [f"connections {len(connections)}\n", f"latency_seconds {latency:.6f}\n"]
        lines += [f'closed_total{{code="{code}"}} {number}\n' for code, number in closed.items()]
        return connection.respond(http.HTTPStatus.OK, "".join(lines))
    return None


async def echo(websocket: ServerConnection) -> None:
    """Handle a connection."""
    try:
        # It closes the connection, with code 1011 if there is an exception.
        async with websocket:
            async for message in websocket:
                await websocket.send(message)
    finally:
        closed[websocket.close_code] += 1


async def main() -> None:
    """Run the server."""
    async with serve(echo, "localhost", 8765, process_request=tell) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
