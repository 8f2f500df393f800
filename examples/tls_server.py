"""A server with TLS, for wss URIs."""

import asyncio
import ssl

from websockets.asyncio.server import ServerConnection, serve


async def greet(websocket: ServerConnection) -> None:
    """Handle a connection."""
    await websocket.send("Hello!")


async def main() -> None:
    """Run the server."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain("server.pem", "server.key")
    async with serve(greet, "localhost", 8765, ssl=context) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
