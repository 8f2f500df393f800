"""Alias of :mod:`ws_threading.server`."""

import warnings
from typing import TYPE_CHECKING, Any

from ws_threading.server import *
from ws_threading.server import Server as Server
from ws_threading.server import __all__ as __all__

if TYPE_CHECKING:
    # Were it a function __getattr__(), they would take any name for one that is here.
    WebSocketServer = Server
else:

    def __getattr__(name: str) -> Any:
        if name == "WebSocketServer":
            warnings.warn("WebSocketServer was renamed to Server", DeprecationWarning, stacklevel=2)
            return Server
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
