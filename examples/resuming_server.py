"""A server whose clients miss nothing, though they lose their connections."""

import asyncio
import collections
import itertools
import json

from websockets.asyncio.server import ServerConnection, broadcast, serve

# The last messages, with their numbers, and who gets the next.
history: collections.deque[tuple[int, str]] = collections.deque(maxlen=1000)
followers: set[ServerConnection] = set()


def publish(number: int, text: str) -> None:
    """Send a message to everybody, and keep it for those who aren't there."""
    message = json.dumps({"number": number, "text": text})
    history.append((number, message))
    broadcast(followers, message, max_buffer=2**20, slow="close")


async def follow(websocket: ServerConnection) -> None:
    """Handle a connection: send what the client has missed, then what comes."""
    seen = int(await websocket.recv())
    while missed := [item for item in history if item[0] > seen]:
        for number, message in missed:
            await websocket.send(message)
            seen = number
    # Nothing was published since the last look, as nothing was awaited.
    followers.add(websocket)
    try:
        await websocket.wait_closed()
    finally:
        followers.discard(websocket)


async def main() -> None:
    """Run the server."""
    async with serve(follow, "localhost", 8765):
        for number in itertools.count(1):
            publish(number, f"tick {number}")
            await asyncio.sleep(0.1)


if __name__ == "__main__":
    asyncio.run(main())
