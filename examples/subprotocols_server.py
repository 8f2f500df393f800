"""A server that speaks two versions of a protocol."""

import asyncio
import json

from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

# The first that a client offers, too, is the one.
SUBPROTOCOLS = [Subprotocol("greeting.v2"), Subprotocol("greeting.v1")]


async def greet(websocket: ServerConnection) -> None:
    """Handle a connection, by its subprotocol."""
    if websocket.subprotocol == "greeting.v2":
        await websocket.send(json.dumps({"greeting": "Hello!"}))
    else:
        await websocket.send("Hello!")


async def main() -> None:
    """Run the server."""
    async with serve(greet, "localhost", 8765, subprotocols=SUBPROTOCOLS) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
