"""WebSocket clients and servers on trio."""

from ._version import __version__
from .broadcast import broadcast
from .client import ClientConnection, connect, unix_connect
from .connection import Connection
from .router import Router, route, unix_route
from .server import Server, ServerConnection, basic_auth, serve, unix_serve

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
    "route",
    "serve",
    "unix_connect",
    "unix_route",
    "unix_serve",
]
