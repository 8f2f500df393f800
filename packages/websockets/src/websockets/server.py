"""Alias of :mod:`ws_protocol.server`."""

import warnings
from typing import Any

from ws_protocol.server import ServerProtocol as ServerProtocol

__all__ = ["ServerProtocol"]


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
