"""A poll, step 1: a server that counts votes, and answers each with the result."""

import asyncio
import json

from websockets.asyncio.server import ServerConnection, serve

votes = {"tea": 0, "coffee": 0}


async def poll(websocket: ServerConnection) -> None:
    """Handle a connection: each message is a vote."""
    async for message in websocket:
        if message in votes:
            votes[str(message)] += 1
            await websocket.send(json.dumps(votes))
        else:
            await websocket.send(json.dumps({"error": "vote for tea or coffee"}))


async def main() -> None:
    """Run the server."""
    async with serve(poll, "localhost", 8765) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
