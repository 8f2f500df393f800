"""A server for browsers, which can't set headers: the token is the first message."""

import asyncio
import hmac

from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import CloseCode
from websockets.typing import Origin

TOKEN = "7ca2f9bb"


async def handler(websocket: ServerConnection) -> None:
    """Handle a connection."""
    try:
        async with asyncio.timeout(10):
            token = await websocket.recv(decode=False)
    except TimeoutError:
        token = b""
    if not hmac.compare_digest(token, TOKEN.encode()):
        await websocket.close(CloseCode.POLICY_VIOLATION, "authentication failed")
        return
    await websocket.send("Hello!")


async def main() -> None:
    """Run the server."""
    # Pages of other sites can't use what their visitors are allowed to do here.
    origins = [Origin("https://www.example.com")]
    async with serve(handler, "localhost", 8765, origins=origins) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
