"""Names of the original API in a program of the new one."""

from websockets.client import WebSocketClientProtocol
from websockets.server import WebSocketServerProtocol

print(WebSocketClientProtocol.__module__, WebSocketServerProtocol.__module__)
