"""WebSocket (RFC 6455) and its compression (RFC 7692) without I/O.

The names that most programs need are here; :mod:`ws_protocol.exceptions` and the other modules have
the rest.
"""

from ._version import __version__
from .client import ClientProtocol
from .datastructures import Headers
from .frames import Close, CloseCode, Frame, Opcode
from .http11 import Request, Response
from .protocol import SEND_EOF, Protocol
from .server import ServerProtocol
from .session import Session
from .state import Side, State
from .uri import WebSocketURI, parse_uri

__all__ = [
    "SEND_EOF",
    "ClientProtocol",
    "Close",
    "CloseCode",
    "Frame",
    "Headers",
    "Opcode",
    "Protocol",
    "Request",
    "Response",
    "ServerProtocol",
    "Session",
    "Side",
    "State",
    "WebSocketURI",
    "__version__",
    "parse_uri",
]
