"""Aliases of :mod:`ws_protocol.exceptions`, and of those that only the original API has."""

from typing import TYPE_CHECKING

import ws_protocol.exceptions
from ws_protocol.exceptions import *

from . import _aliases

if TYPE_CHECKING:
    from ws_legacy.exceptions import AbortHandshake, InvalidStatusCode, RedirectHandshake
    from ws_protocol.exceptions import ProtocolError as WebSocketProtocolError
else:
    __getattr__, __dir__ = _aliases.lazy_attributes(globals(), _aliases.MODULES[__name__])

__all__ = [  # it is a list of strings
    "AbortHandshake",
    "InvalidStatusCode",
    "RedirectHandshake",
    "WebSocketProtocolError",
]
__all__ += ws_protocol.exceptions.__all__
