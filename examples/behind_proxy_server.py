"""A server behind a reverse proxy, on the same machine."""

import asyncio

from websockets.asyncio.server import ServerConnection, serve


async def tell(websocket: ServerConnection) -> None:
    """Handle a connection: say where it is from, as the proxy has it."""
    assert websocket.request is not None
    await websocket.send(websocket.request.headers.get("X-Forwarded-For", "nobody said"))
    async for message in websocket:
        await websocket.send(message)


async def main() -> None:
    """Run the server, for this machine only: else anybody could say anything in X-Forwarded-For."""
    async with serve(tell, "127.0.0.1", 8765) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
