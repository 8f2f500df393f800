"""The one table of the names that are at home elsewhere, and of where that is.

Modules that are other modules by another name need no table: ``websockets.frames`` is an alias of
:mod:`ws_protocol.frames` because it says so itself, in three lines.
"""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

__all__ = ["DEPRECATED", "MODULES", "NAMES", "SUBMODULES", "Alias", "lazy_attributes", "use_new"]


class Alias(NamedTuple):
    """Where a name is at home.

    Attributes:
        home: Module that defines it.
        name: Its name there, if it is another.
        new: Module that defines its counterpart in the new implementation, where the original
            implementation is its home.
        instead: What to use instead in the new implementation, where it has no counterpart of the
            same name.

    """

    home: str
    name: str = ""
    new: str = ""
    instead: str = ""

    def load(self, name: str) -> Any:
        """Import the object.

        Args:
            name: The name of the alias.

        """
        return getattr(importlib.import_module(self.home), self.name or name)


NAMES: dict[str, Alias] = {
    "AbortHandshake": Alias(
        "ws_legacy.exceptions", instead="a response that process_request returns"
    ),
    "BasicAuthWebSocketServerProtocol": Alias(
        "ws_legacy.auth", instead="websockets.asyncio.server.basic_auth"
    ),
    "ClientConnection": Alias("ws_asyncio.client"),
    "ClientProtocol": Alias("ws_protocol.client"),
    "Close": Alias("ws_protocol.frames"),
    "CloseCode": Alias("ws_protocol.frames"),
    "ConcurrencyError": Alias("ws_protocol.exceptions"),
    "ConnectionClosed": Alias("ws_protocol.exceptions"),
    "ConnectionClosedError": Alias("ws_protocol.exceptions"),
    "ConnectionClosedOK": Alias("ws_protocol.exceptions"),
    "Data": Alias("ws_protocol.typing"),
    "DuplicateParameter": Alias("ws_protocol.exceptions"),
    "ExtensionName": Alias("ws_protocol.typing"),
    "ExtensionParameter": Alias("ws_protocol.typing"),
    "Frame": Alias("ws_protocol.frames"),
    "HeaderLineTooLong": Alias("ws_protocol.exceptions"),
    "Headers": Alias("ws_protocol.datastructures"),
    "HeadersLike": Alias("ws_protocol.datastructures"),
    "InvalidHandshake": Alias("ws_protocol.exceptions"),
    "InvalidHeader": Alias("ws_protocol.exceptions"),
    "InvalidHeaderFormat": Alias("ws_protocol.exceptions"),
    "InvalidHeaderValue": Alias("ws_protocol.exceptions"),
    "InvalidMessage": Alias("ws_protocol.exceptions"),
    "InvalidMethod": Alias("ws_protocol.exceptions"),
    "InvalidOrigin": Alias("ws_protocol.exceptions"),
    "InvalidParameterName": Alias("ws_protocol.exceptions"),
    "InvalidParameterValue": Alias("ws_protocol.exceptions"),
    "InvalidProtocol": Alias("ws_protocol.exceptions"),
    "InvalidProxy": Alias("ws_protocol.exceptions"),
    "InvalidProxyMessage": Alias("ws_protocol.exceptions"),
    "InvalidProxyStatus": Alias("ws_protocol.exceptions"),
    "InvalidState": Alias("ws_protocol.exceptions"),
    "InvalidStatus": Alias("ws_protocol.exceptions"),
    "InvalidStatusCode": Alias(
        "ws_legacy.exceptions", instead="websockets.exceptions.InvalidStatus"
    ),
    "InvalidURI": Alias("ws_protocol.exceptions"),
    "InvalidUpgrade": Alias("ws_protocol.exceptions"),
    "LoggerLike": Alias("ws_protocol.typing"),
    "MultipleValuesError": Alias("ws_protocol.datastructures"),
    "NegotiationError": Alias("ws_protocol.exceptions"),
    "Opcode": Alias("ws_protocol.frames"),
    "Origin": Alias("ws_protocol.typing"),
    "PayloadTooBig": Alias("ws_protocol.exceptions"),
    "Protocol": Alias("ws_protocol.protocol"),
    "ProtocolError": Alias("ws_protocol.exceptions"),
    "ProxyError": Alias("ws_protocol.exceptions"),
    "RedirectHandshake": Alias(
        "ws_legacy.exceptions", instead="websockets.exceptions.InvalidStatus"
    ),
    "Request": Alias("ws_protocol.http11"),
    "RequestLineTooLong": Alias("ws_protocol.exceptions"),
    "Response": Alias("ws_protocol.http11"),
    "Router": Alias("ws_asyncio.router"),
    "SecurityError": Alias("ws_protocol.exceptions"),
    "Server": Alias("ws_asyncio.server"),
    "ServerConnection": Alias("ws_asyncio.server"),
    "ServerProtocol": Alias("ws_protocol.server"),
    "Side": Alias("ws_protocol.protocol"),
    "State": Alias("ws_protocol.protocol"),
    "StatusLike": Alias("ws_protocol.typing"),
    "StatusLineTooLong": Alias("ws_protocol.exceptions"),
    "Subprotocol": Alias("ws_protocol.typing"),
    "TooManyFragments": Alias("ws_protocol.exceptions"),
    "TooManyHeaders": Alias("ws_protocol.exceptions"),
    "WebSocketClientProtocol": Alias(
        "ws_legacy.client", instead="websockets.asyncio.client.ClientConnection"
    ),
    "WebSocketCommonProtocol": Alias(
        "ws_legacy.protocol", instead="websockets.asyncio.connection.Connection"
    ),
    "WebSocketException": Alias("ws_protocol.exceptions"),
    "WebSocketProtocolError": Alias("ws_protocol.exceptions", "ProtocolError"),
    "WebSocketServer": Alias("ws_legacy.server", instead="websockets.asyncio.server.Server"),
    "WebSocketServerProtocol": Alias(
        "ws_legacy.server", instead="websockets.asyncio.server.ServerConnection"
    ),
    "basic_auth": Alias("ws_asyncio.server"),
    "basic_auth_protocol_factory": Alias(
        "ws_legacy.auth", instead="websockets.asyncio.server.basic_auth"
    ),
    "broadcast": Alias("ws_legacy.server", new="ws_asyncio.server"),
    "connect": Alias("ws_legacy.client", new="ws_asyncio.client"),
    "route": Alias("ws_asyncio.router"),
    "serve": Alias("ws_legacy.server", new="ws_asyncio.server"),
    "unix_connect": Alias("ws_legacy.client", new="ws_asyncio.client"),
    "unix_route": Alias("ws_asyncio.router"),
    "unix_serve": Alias("ws_legacy.server", new="ws_asyncio.server"),
}
"""Names of ``websockets``."""

DEPRECATED: dict[str, Alias] = {
    "WebSocketURI": Alias("ws_protocol.uri"),
    "framing": Alias("websockets.legacy", "framing"),
    "handshake": Alias("websockets.legacy", "handshake"),
    "parse_uri": Alias("ws_protocol.uri"),
}
"""Names that ``websockets`` had long ago. They work, and warn."""

MODULES: dict[str, dict[str, Alias]] = {
    "websockets.client": {
        "ClientProtocol": Alias("ws_protocol.client"),
        "WebSocketClientProtocol": Alias("ws_legacy.client"),
        "backoff": Alias("ws_protocol.client"),
        "connect": Alias("ws_legacy.client"),
        "process_exception": Alias("ws_protocol.client"),
        "unix_connect": Alias("ws_legacy.client"),
    },
    "websockets.exceptions": {
        "AbortHandshake": Alias("ws_legacy.exceptions"),
        "InvalidStatusCode": Alias("ws_legacy.exceptions"),
        "RedirectHandshake": Alias("ws_legacy.exceptions"),
        "WebSocketProtocolError": Alias("ws_protocol.exceptions", "ProtocolError"),
    },
    "websockets.http": {
        "Headers": Alias("ws_protocol.datastructures"),
        "MultipleValuesError": Alias("ws_protocol.datastructures"),
        "read_request": Alias("ws_legacy.http"),
        "read_response": Alias("ws_legacy.http"),
    },
    "websockets.server": {
        "ServerProtocol": Alias("ws_protocol.server"),
        "WebSocketServer": Alias("ws_legacy.server"),
        "WebSocketServerProtocol": Alias("ws_legacy.server"),
        "broadcast": Alias("ws_legacy.server"),
        "serve": Alias("ws_legacy.server"),
        "unix_serve": Alias("ws_legacy.server"),
    },
}
"""Names of modules that have a selection, which is imported when it is used. What
``websockets.exceptions`` has from ``ws_protocol.exceptions`` isn't among them."""

SUBMODULES = frozenset(
    {
        "asyncio",
        "auth",
        "client",
        "datastructures",
        "exceptions",
        "extensions",
        "frames",
        "headers",
        "http11",
        "legacy",
        "protocol",
        "proxy",
        "server",
        "sync",
        "typing",
        "uri",
        "utils",
        "version",
    }
)
"""Submodules that are there without being imported.

Not those whose import warns, or that need more than is installed by default, as ``trio`` does:
whatever looks at all attributes would get the warning, or the exception.
"""


def use_new() -> bool:
    """Tell whether the names of ``websockets`` are to lead to the new implementation.

    The environment variable ``WEBSOCKETS_ALIASES`` says so.

    Raises:
        ValueError: It is set to something that isn't known.

    """
    value = os.environ.get("WEBSOCKETS_ALIASES", "legacy")
    if value not in ("asyncio", "legacy"):
        raise ValueError(
            "environment variable WEBSOCKETS_ALIASES must be asyncio, for the new implementation, "
            f"or legacy, for the original, which is the default; got {value!r}"
        )
    return value == "asyncio"


def to_new(names: Mapping[str, Alias]) -> dict[str, Alias]:
    """Return aliases that lead to the new implementation, where there are counterparts."""
    return {
        name: alias._replace(home=alias.new) if alias.new else alias
        for name, alias in names.items()
    }


def lazy_attributes(
    namespace: dict[str, Any],
    names: Mapping[str, Alias],
    submodules: Collection[str] = (),
    deprecated: Mapping[str, Alias] | None = None,
    new: bool = False,
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make ``__getattr__()`` and ``__dir__()`` for a module, which import what is asked for.

    Args:
        namespace: Global variables of the module.
        names: Names.
        submodules: Submodules.
        deprecated: Names that warn.
        new: Whether the names lead to the new implementation, where there are counterparts; those
            without warn.

    """
    module = namespace["__name__"]
    deprecated = deprecated or {}
    if new:
        names = to_new(names)

    def __getattr__(name: str) -> Any:
        if name in names:
            alias = names[name]
            if new and alias.instead:
                warnings.warn(
                    f"{module}.{name} isn't in the new implementation; use {alias.instead}",
                    DeprecationWarning,
                    stacklevel=2,
                )
                # Not kept, because the next one who uses it should know, too.
                return alias.load(name)
            value = alias.load(name)
            # Python doesn't ask again.
            namespace[name] = value
            return value
        if name in deprecated:
            warnings.warn(f"{module}.{name} is deprecated", DeprecationWarning, stacklevel=2)
            return deprecated[name].load(name)
        if name in submodules:
            return importlib.import_module(f"{module}.{name}")
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        # Whoever looks at all of them isn't to be warned.
        silent = {name for name, alias in names.items() if not (new and alias.instead)}
        return sorted({*namespace, *silent, *submodules})

    return __getattr__, __dir__
