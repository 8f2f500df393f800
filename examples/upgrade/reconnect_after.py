"""Reconnecting whatever happens, as the original API did."""

import asyncio

from websockets.asyncio.client import connect


async def main() -> None:
    """Run the client."""
    async for websocket in connect(
        "ws://localhost:8765/",
        process_exception=lambda exc: None,
        reconnect_delays=lambda: iter([0.1, 0.1, 0.1]),
    ):
        print(await websocket.recv())
        break


if __name__ == "__main__":
    asyncio.run(main())
