"""A client that sends what a thread finds out, which blocks."""

import asyncio
import time

from websockets.asyncio.client import ClientConnection, connect


def measure(websocket: ClientConnection, loop: asyncio.AbstractEventLoop) -> None:
    """Send measurements, from a thread."""
    for temperature in ("20.5", "21.0"):
        time.sleep(0.1)  # as a driver that waits for its device
        asyncio.run_coroutine_threadsafe(websocket.send(temperature), loop).result()


async def main() -> None:
    """Run the client."""
    async with connect("ws://localhost:8765/") as websocket:
        measuring = asyncio.to_thread(measure, websocket, asyncio.get_running_loop())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(measuring)
            for _ in range(2):
                print(await websocket.recv())


if __name__ == "__main__":
    asyncio.run(main())
