"""A server that compresses, with little memory for each connection."""

import asyncio

from websockets.asyncio.server import ServerConnection, serve
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory


async def echo(websocket: ServerConnection) -> None:
    """Handle a connection."""
    async for message in websocket:
        await websocket.send(message)


async def main() -> None:
    """Run the server."""
    deflate = ServerPerMessageDeflateFactory(
        # Both sides look back 1 KiB for what they can refer to; it is 2^12 bytes by default.
        server_max_window_bits=10,
        client_max_window_bits=10,
        # zlib has 2^(memLevel + 9) bytes for this side's compression; it is 5 by default.
        compress_settings={"memLevel": 3},
    )
    async with serve(echo, "localhost", 8765, extensions=[deflate]) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
