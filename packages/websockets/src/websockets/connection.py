"""What :mod:`websockets.protocol` was called before.

.. deprecated:: 13.2
    Use :mod:`websockets.protocol`.
"""

import warnings

from ws_protocol.protocol import SEND_EOF as SEND_EOF
from ws_protocol.protocol import Protocol as Connection
from ws_protocol.protocol import Side as Side
from ws_protocol.protocol import State as State

__all__ = ["SEND_EOF", "Connection", "Side", "State"]

warnings.warn(  # deprecated in the public library's 11.0
    "websockets.connection was renamed to websockets.protocol "
    "and Connection was renamed to Protocol",
    DeprecationWarning,
    stacklevel=2,
)
