"""Aliases of :mod:`ws_protocol.client` and of the original client, :mod:`ws_legacy.client`."""

import warnings
from typing import TYPE_CHECKING, Any

from ws_protocol.client import ClientProtocol as ClientProtocol

from . import _aliases

if TYPE_CHECKING:
    from ws_legacy.client import WebSocketClientProtocol, connect, unix_connect
    from ws_protocol.client import backoff as backoff
    from ws_protocol.client import process_exception as process_exception
else:
    __getattr__, __dir__ = _aliases.lazy_attributes(globals(), _aliases.MODULES[__name__])

__all__ = ["ClientProtocol", "WebSocketClientProtocol", "connect", "unix_connect"]


class ClientConnection(ClientProtocol):
    """What :class:`ClientProtocol` was called before.

    .. deprecated:: 13.2
        Use :class:`ClientProtocol`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warnings.warn(  # deprecated in the public library's 11.0
            "ClientConnection was renamed to ClientProtocol", DeprecationWarning, stacklevel=2
        )
        super().__init__(*args, **kwargs)
