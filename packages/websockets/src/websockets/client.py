"""Alias of :mod:`ws_protocol.client`."""

import warnings
from typing import Any

from ws_protocol.client import ClientProtocol as ClientProtocol
from ws_protocol.client import backoff as backoff
from ws_protocol.client import process_exception as process_exception

__all__ = ["ClientProtocol"]


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
