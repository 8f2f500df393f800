"""HTTP Basic Authentication, by a class of the original API."""

import asyncio

from websockets.asyncio.server import ServerConnection, serve
from websockets.legacy.auth import basic_auth_protocol_factory


async def echo(websocket: ServerConnection) -> None:
    """Handle a connection."""
    async for message in websocket:
        await websocket.send(message)


async def main() -> None:
    """Run the server."""
    factory = basic_auth_protocol_factory("chat", credentials=("alice", "secret"))
    async with serve(echo, "localhost", 8765, create_protocol=factory) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
