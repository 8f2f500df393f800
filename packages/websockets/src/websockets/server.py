"""Aliases of :mod:`ws_protocol.server` and of the original server, :mod:`ws_legacy.server`."""

import warnings
from typing import TYPE_CHECKING, Any

from ws_protocol.server import ServerProtocol as ServerProtocol

from . import _aliases

if TYPE_CHECKING:
    from ws_legacy.server import (
        WebSocketServer,
        WebSocketServerProtocol,
        broadcast,
        serve,
        unix_serve,
    )
else:
    __getattr__, __dir__ = _aliases.lazy_attributes(globals(), _aliases.MODULES[__name__])

__all__ = [
    "ServerProtocol",
    "WebSocketServer",
    "WebSocketServerProtocol",
    "broadcast",
    "serve",
    "unix_serve",
]


class ServerConnection(ServerProtocol):
    """What :class:`ServerProtocol` was called before.

    .. deprecated:: 13.2
        Use :class:`ServerProtocol`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warnings.warn(  # deprecated in the public library's 11.0
            "ServerConnection was renamed to ServerProtocol", DeprecationWarning, stacklevel=2
        )
        super().__init__(*args, **kwargs)
