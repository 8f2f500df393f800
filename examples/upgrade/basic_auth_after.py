"""HTTP Basic Authentication."""

import asyncio

from websockets.asyncio.server import ServerConnection, basic_auth, serve


async def echo(websocket: ServerConnection) -> None:
    """Handle a connection."""
    async for message in websocket:
        await websocket.send(message)


async def main() -> None:
    """Run the server."""
    check = basic_auth("chat", credentials=("alice", "secret"))
    async with serve(echo, "localhost", 8765, process_request=check) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
