"""A server that is made before there is an event loop that runs."""

import asyncio

from websockets.asyncio.server import ServerConnection, serve


async def echo(websocket: ServerConnection) -> None:
    """Handle a connection."""
    async for message in websocket:
        await websocket.send(message)


start_server = serve(echo, "localhost", 8765)

loop = asyncio.new_event_loop()
loop.run_until_complete(start_server)
loop.run_forever()
