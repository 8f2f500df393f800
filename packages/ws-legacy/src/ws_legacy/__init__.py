"""The original asyncio API, which websockets had before the new one."""

from ._version import __version__
from .auth import BasicAuthWebSocketServerProtocol, basic_auth_protocol_factory
from .client import WebSocketClientProtocol, connect, unix_connect
from .exceptions import AbortHandshake, InvalidStatusCode, RedirectHandshake
from .protocol import WebSocketCommonProtocol
from .server import WebSocketServer, WebSocketServerProtocol, broadcast, serve, unix_serve

__all__ = [
    "AbortHandshake",
    "BasicAuthWebSocketServerProtocol",
    "InvalidStatusCode",
    "RedirectHandshake",
    "WebSocketClientProtocol",
    "WebSocketCommonProtocol",
    "WebSocketServer",
    "WebSocketServerProtocol",
    "__version__",
    "basic_auth_protocol_factory",
    "broadcast",
    "connect",
    "serve",
    "unix_connect",
    "unix_serve",
]
