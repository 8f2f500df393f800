"""Names of the new API."""

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection

print(ClientConnection.__module__, ServerConnection.__module__)
