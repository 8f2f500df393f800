"""Headers of a connection: attributes of the original API."""

import asyncio

from websockets.asyncio.client import connect


async def main() -> None:
    """Run the client."""
    async with connect("ws://localhost:8765/") as websocket:
        print(websocket.path)
        print(websocket.request_headers["Host"].partition(":")[0])
        print(websocket.response_headers["Upgrade"])


if __name__ == "__main__":
    asyncio.run(main())
