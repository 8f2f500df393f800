"""A client that prints all messages, each once, though it loses its connection."""

import asyncio
import json

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed


async def follow() -> None:
    """Print messages; after reconnecting, go on with the one after the last."""
    seen = 0
    async for websocket in connect("ws://localhost:8765/"):
        try:
            await websocket.send(str(seen))
            async for message in websocket:
                event = json.loads(message)
                print(event["text"], flush=True)
                seen = event["number"]
        except ConnectionClosed:
            continue


if __name__ == "__main__":
    asyncio.run(follow())
