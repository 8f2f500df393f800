"""The one table of the names that ``websockets`` itself has, and where they are at home.

Modules need no table: ``websockets.frames`` is an alias of :mod:`ws_protocol.frames` because it
says so itself, in three lines.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Mapping
from typing import Any

__all__ = ["NAMES", "SUBMODULES", "lazy_attributes"]

NAMES: dict[str, str] = {
    "ClientConnection": "ws_asyncio.client",
    "ClientProtocol": "ws_protocol.client",
    "Close": "ws_protocol.frames",
    "CloseCode": "ws_protocol.frames",
    "ConcurrencyError": "ws_protocol.exceptions",
    "ConnectionClosed": "ws_protocol.exceptions",
    "ConnectionClosedError": "ws_protocol.exceptions",
    "ConnectionClosedOK": "ws_protocol.exceptions",
    "Data": "ws_protocol.typing",
    "DuplicateParameter": "ws_protocol.exceptions",
    "ExtensionName": "ws_protocol.typing",
    "ExtensionParameter": "ws_protocol.typing",
    "Frame": "ws_protocol.frames",
    "HeaderLineTooLong": "ws_protocol.exceptions",
    "Headers": "ws_protocol.datastructures",
    "HeadersLike": "ws_protocol.datastructures",
    "InvalidHandshake": "ws_protocol.exceptions",
    "InvalidHeader": "ws_protocol.exceptions",
    "InvalidHeaderFormat": "ws_protocol.exceptions",
    "InvalidHeaderValue": "ws_protocol.exceptions",
    "InvalidMessage": "ws_protocol.exceptions",
    "InvalidMethod": "ws_protocol.exceptions",
    "InvalidOrigin": "ws_protocol.exceptions",
    "InvalidParameterName": "ws_protocol.exceptions",
    "InvalidParameterValue": "ws_protocol.exceptions",
    "InvalidProtocol": "ws_protocol.exceptions",
    "InvalidProxy": "ws_protocol.exceptions",
    "InvalidProxyMessage": "ws_protocol.exceptions",
    "InvalidProxyStatus": "ws_protocol.exceptions",
    "InvalidState": "ws_protocol.exceptions",
    "InvalidStatus": "ws_protocol.exceptions",
    "InvalidURI": "ws_protocol.exceptions",
    "InvalidUpgrade": "ws_protocol.exceptions",
    "LoggerLike": "ws_protocol.typing",
    "MultipleValuesError": "ws_protocol.datastructures",
    "NegotiationError": "ws_protocol.exceptions",
    "Opcode": "ws_protocol.frames",
    "Origin": "ws_protocol.typing",
    "PayloadTooBig": "ws_protocol.exceptions",
    "Protocol": "ws_protocol.protocol",
    "ProtocolError": "ws_protocol.exceptions",
    "ProxyError": "ws_protocol.exceptions",
    "Request": "ws_protocol.http11",
    "RequestLineTooLong": "ws_protocol.exceptions",
    "Response": "ws_protocol.http11",
    "Router": "ws_asyncio.router",
    "SecurityError": "ws_protocol.exceptions",
    "Server": "ws_asyncio.server",
    "ServerConnection": "ws_asyncio.server",
    "ServerProtocol": "ws_protocol.server",
    "Side": "ws_protocol.protocol",
    "State": "ws_protocol.protocol",
    "StatusLike": "ws_protocol.typing",
    "StatusLineTooLong": "ws_protocol.exceptions",
    "Subprotocol": "ws_protocol.typing",
    "TooManyFragments": "ws_protocol.exceptions",
    "TooManyHeaders": "ws_protocol.exceptions",
    "WebSocketException": "ws_protocol.exceptions",
    "basic_auth": "ws_asyncio.server",
    "route": "ws_asyncio.router",
    "unix_route": "ws_asyncio.router",
}
"""Names of ``websockets``, and the modules that define them."""

SUBMODULES = frozenset(
    {
        "asyncio",
        "client",
        "datastructures",
        "exceptions",
        "extensions",
        "frames",
        "headers",
        "http11",
        "protocol",
        "proxy",
        "server",
        "typing",
        "uri",
        "utils",
        "version",
    }
)
"""Submodules that are there without being imported.

Not those whose import warns: whatever looks at all attributes would get the warning.
"""


def lazy_attributes(
    namespace: dict[str, Any], names: Mapping[str, str], submodules: Collection[str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make ``__getattr__()`` and ``__dir__()`` for a package, which import what is asked for.

    Args:
        namespace: Global variables of the package.
        names: Names, and the modules that define them.
        submodules: Submodules.

    """
    package = namespace["__name__"]

    def __getattr__(name: str) -> Any:
        if name in names:
            value = getattr(importlib.import_module(names[name]), name)
            # Python doesn't ask again.
            namespace[name] = value
            return value
        if name in submodules:
            return importlib.import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*namespace, *names, *submodules})

    return __getattr__, __dir__
