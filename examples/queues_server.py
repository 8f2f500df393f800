"""A server that sends the same to everybody, each as fast as they can."""

import asyncio
import itertools

from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import CloseCode

# What waits for each client.
queues: dict[ServerConnection, asyncio.Queue[str]] = {}


async def feed(websocket: ServerConnection) -> None:
    """Handle a connection: send what is published, and wait when the client is slow."""
    queue = queues[websocket] = asyncio.Queue(maxsize=100)
    try:
        while True:
            await websocket.send(await queue.get())
    finally:
        del queues[websocket]


def publish(message: str) -> None:
    """Send a message to everybody; disconnect those who are too far behind."""
    for websocket, queue in queues.items():
        try:
            queue.put_nowait(message)
        except asyncio.QueueFull:
            closing = websocket.close(CloseCode.TRY_AGAIN_LATER, "too slow")
            task = asyncio.create_task(closing)
            tasks.add(task)
            task.add_done_callback(tasks.discard)


# The event loop doesn't keep tasks alive.
tasks: set[asyncio.Task[None]] = set()


async def main() -> None:
    """Run the server."""
    async with serve(feed, "localhost", 8765):
        for number in itertools.count():
            publish(f"tick {number}")
            await asyncio.sleep(0.1)


if __name__ == "__main__":
    asyncio.run(main())
