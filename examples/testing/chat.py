"""An application: whatever somebody says, everybody hears."""

from websockets.asyncio.server import ServerConnection, broadcast


async def chat(websocket: ServerConnection) -> None:
    """Handle a connection."""
    async for message in websocket:
        if message:
            broadcast(websocket.server.connections, message)
