"""A client that trusts a certificate authority of one's own."""

import asyncio
import ssl

from websockets.asyncio.client import connect


async def main() -> None:
    """Run the client."""
    context = ssl.create_default_context(cafile="client.pem")
    async with connect("wss://localhost:8765/", ssl=context) as websocket:
        print(await websocket.recv())


if __name__ == "__main__":
    asyncio.run(main())
