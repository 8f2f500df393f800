"""Alias of :mod:`ws_threading.server`."""

import warnings
from typing import Any

from ws_threading.server import *
from ws_threading.server import Server
from ws_threading.server import __all__ as __all__


def __getattr__(name: str) -> Any:
    if name == "WebSocketServer":
        warnings.warn("WebSocketServer was renamed to Server", DeprecationWarning, stacklevel=2)
        return Server
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
