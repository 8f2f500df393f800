"""Headers of a connection."""

import asyncio

from websockets.asyncio.client import connect


async def main() -> None:
    """Run the client."""
    async with connect("ws://localhost:8765/") as websocket:
        assert websocket.request is not None
        assert websocket.response is not None
        print(websocket.request.path)
        print(websocket.request.headers["Host"].partition(":")[0])
        print(websocket.response.headers["Upgrade"])


if __name__ == "__main__":
    asyncio.run(main())
