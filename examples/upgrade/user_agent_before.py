"""The User-Agent header, as one of many."""

import asyncio

from websockets.asyncio.client import connect


async def main() -> None:
    """Run the client."""
    headers = {"User-Agent": "our-client/1.0"}
    async with connect("ws://localhost:8765/", additional_headers=headers) as websocket:
        assert websocket.request is not None
        print(websocket.request.headers.get_all("User-Agent"))


if __name__ == "__main__":
    asyncio.run(main())
