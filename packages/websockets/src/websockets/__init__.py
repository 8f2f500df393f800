"""WebSocket clients and servers: aliases of what ``ws_protocol``, ``ws_legacy`` and so on define.

``import websockets`` imports next to nothing: a name is imported when it is used.
"""

from typing import TYPE_CHECKING

from . import _aliases, _installation
from ._version import __version__ as __version__

_installation.check(__name__, __path__[0])

if TYPE_CHECKING:
    from ws_asyncio.client import ClientConnection
    from ws_asyncio.router import Router, route, unix_route
    from ws_asyncio.server import Server, ServerConnection, basic_auth
    from ws_legacy.auth import BasicAuthWebSocketServerProtocol, basic_auth_protocol_factory
    from ws_legacy.client import WebSocketClientProtocol, connect, unix_connect
    from ws_legacy.exceptions import AbortHandshake, InvalidStatusCode, RedirectHandshake
    from ws_legacy.protocol import WebSocketCommonProtocol
    from ws_legacy.server import (
        WebSocketServer,
        WebSocketServerProtocol,
        broadcast,
        serve,
        unix_serve,
    )
    from ws_protocol.client import ClientProtocol
    from ws_protocol.datastructures import Headers, HeadersLike, MultipleValuesError
    from ws_protocol.exceptions import (
        ConcurrencyError,
        ConnectionClosed,
        ConnectionClosedError,
        ConnectionClosedOK,
        DuplicateParameter,
        HeaderLineTooLong,
        InvalidHandshake,
        InvalidHeader,
        InvalidHeaderFormat,
        InvalidHeaderValue,
        InvalidMessage,
        InvalidMethod,
        InvalidOrigin,
        InvalidParameterName,
        InvalidParameterValue,
        InvalidProtocol,
        InvalidProxy,
        InvalidProxyMessage,
        InvalidProxyStatus,
        InvalidState,
        InvalidStatus,
        InvalidUpgrade,
        InvalidURI,
        NegotiationError,
        PayloadTooBig,
        ProtocolError,
        ProxyError,
        RequestLineTooLong,
        SecurityError,
        StatusLineTooLong,
        TooManyFragments,
        TooManyHeaders,
        WebSocketException,
    )
    from ws_protocol.exceptions import ProtocolError as WebSocketProtocolError
    from ws_protocol.frames import Close, CloseCode, Frame, Opcode
    from ws_protocol.http11 import Request, Response
    from ws_protocol.protocol import Protocol, Side, State
    from ws_protocol.server import ServerProtocol
    from ws_protocol.typing import (
        Data,
        ExtensionName,
        ExtensionParameter,
        LoggerLike,
        Origin,
        StatusLike,
        Subprotocol,
    )

    from . import asyncio as asyncio
    from . import auth as auth
    from . import client as client
    from . import datastructures as datastructures
    from . import exceptions as exceptions
    from . import extensions as extensions
    from . import frames as frames
    from . import headers as headers
    from . import http11 as http11
    from . import legacy as legacy
    from . import protocol as protocol
    from . import proxy as proxy
    from . import server as server
    from . import sync as sync
    from . import typing as typing
    from . import uri as uri
    from . import utils as utils
    from . import version as version
else:
    __getattr__, __dir__ = _aliases.lazy_attributes(
        globals(),
        _aliases.NAMES,
        _aliases.SUBMODULES,
        _aliases.DEPRECATED,
        new=_aliases.use_new(),
    )

__all__ = [
    "AbortHandshake",
    "BasicAuthWebSocketServerProtocol",
    "ClientConnection",
    "ClientProtocol",
    "Close",
    "CloseCode",
    "ConcurrencyError",
    "ConnectionClosed",
    "ConnectionClosedError",
    "ConnectionClosedOK",
    "Data",
    "DuplicateParameter",
    "ExtensionName",
    "ExtensionParameter",
    "Frame",
    "HeaderLineTooLong",
    "Headers",
    "HeadersLike",
    "InvalidHandshake",
    "InvalidHeader",
    "InvalidHeaderFormat",
    "InvalidHeaderValue",
    "InvalidMessage",
    "InvalidMethod",
    "InvalidOrigin",
    "InvalidParameterName",
    "InvalidParameterValue",
    "InvalidProtocol",
    "InvalidProxy",
    "InvalidProxyMessage",
    "InvalidProxyStatus",
    "InvalidState",
    "InvalidStatus",
    "InvalidStatusCode",
    "InvalidURI",
    "InvalidUpgrade",
    "LoggerLike",
    "MultipleValuesError",
    "NegotiationError",
    "Opcode",
    "Origin",
    "PayloadTooBig",
    "Protocol",
    "ProtocolError",
    "ProxyError",
    "RedirectHandshake",
    "Request",
    "RequestLineTooLong",
    "Response",
    "Router",
    "SecurityError",
    "Server",
    "ServerConnection",
    "ServerProtocol",
    "Side",
    "State",
    "StatusLike",
    "StatusLineTooLong",
    "Subprotocol",
    "TooManyFragments",
    "TooManyHeaders",
    "WebSocketClientProtocol",
    "WebSocketCommonProtocol",
    "WebSocketException",
    "WebSocketProtocolError",
    "WebSocketServer",
    "WebSocketServerProtocol",
    "basic_auth",
    "basic_auth_protocol_factory",
    "broadcast",
    "connect",
    "route",
    "serve",
    "unix_connect",
    "unix_route",
    "unix_serve",
]

if not TYPE_CHECKING and _aliases.use_new():
    # Those that warn aren't for whoever asks for all.
    __all__ = [name for name in __all__ if not _aliases.NAMES[name].instead]
