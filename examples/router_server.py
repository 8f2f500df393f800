"""A server with parts of the path as arguments. It needs websockets[router]."""

import asyncio

from werkzeug.routing import Map, Rule

from websockets.asyncio.router import route
from websockets.asyncio.server import ServerConnection


async def greet(websocket: ServerConnection, name: str) -> None:
    """Handle connections to /greet/..."""
    await websocket.send(f"Hello, {name}!")


async def count(websocket: ServerConnection, start: int) -> None:
    """Handle connections to /count/..."""
    for number in range(start, 0, -1):
        await websocket.send(str(number))


url_map = Map(
    [
        Rule("/greet/<name>", endpoint=greet),
        Rule("/count/<int:start>", endpoint=count),
    ]
)


async def main() -> None:
    """Run the server."""
    async with route(url_map, "localhost", 8765) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
