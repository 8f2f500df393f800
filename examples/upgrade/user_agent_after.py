"""The User-Agent header."""

import asyncio

from websockets.asyncio.client import connect


async def main() -> None:
    """Run the client."""
    async with connect("ws://localhost:8765/", user_agent_header="our-client/1.0") as websocket:
        assert websocket.request is not None
        print(websocket.request.headers.get_all("User-Agent"))


if __name__ == "__main__":
    asyncio.run(main())
