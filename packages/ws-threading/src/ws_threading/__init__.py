"""WebSocket clients and servers for threads, with blocking calls."""

from ._version import __version__
from .client import ClientConnection, connect, reconnect, unix_connect, unix_reconnect
from .connection import Connection
from .router import Router, route, unix_route
from .server import Server, ServerConnection, basic_auth, broadcast, serve, unix_serve

__all__ = [
    "ClientConnection",
    "Connection",
    "Router",
    "Server",
    "ServerConnection",
    "__version__",
    "basic_auth",
    "broadcast",
    "connect",
    "reconnect",
    "route",
    "serve",
    "unix_connect",
    "unix_reconnect",
    "unix_route",
    "unix_serve",
]
