"""A client that has a token."""

import asyncio

from websockets.asyncio.client import connect


async def main() -> None:
    """Run the client."""
    headers = {"Authorization": "Bearer 7ca2f9bb"}
    async with connect("ws://localhost:8765/", additional_headers=headers) as websocket:
        print(await websocket.recv())


if __name__ == "__main__":
    asyncio.run(main())
