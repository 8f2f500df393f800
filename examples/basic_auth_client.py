"""A client that has a user name and a password."""

import asyncio

from websockets.asyncio.client import connect


async def main() -> None:
    """Run the client."""
    # In a URI, a space in a password is %20.
    async with connect("ws://alice:open%20sesame@localhost:8765/") as websocket:
        print(await websocket.recv())


if __name__ == "__main__":
    asyncio.run(main())
