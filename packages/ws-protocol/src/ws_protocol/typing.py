"""Type aliases that appear in public signatures."""

from __future__ import annotations

import http
import logging
from collections.abc import Sequence
from typing import Any, NewType, TypeAlias

__all__ = [
    "BytesLike",
    "ConnectionOption",
    "Data",
    "DataLike",
    "ExtensionHeader",
    "ExtensionName",
    "ExtensionParameter",
    "LoggerLike",
    "Origin",
    "StatusLike",
    "Subprotocol",
    "UpgradeProtocol",
]

BytesLike: TypeAlias = bytes | bytearray | memoryview
"""What is accepted where bytes are sent."""

Data: TypeAlias = str | bytes
"""A message as it is received: :class:`str` for a text message, :class:`bytes` for a binary one
(RFC 6455, section 5.6)."""

DataLike: TypeAlias = str | bytes | bytearray | memoryview
"""A message as it may be sent: :class:`str` for a text message, bytes-like for a binary one."""

LoggerLike: TypeAlias = logging.Logger | logging.LoggerAdapter[Any]
"""A logger, or an adapter that adds context to one."""

StatusLike: TypeAlias = http.HTTPStatus | int
"""An HTTP status code."""

Origin = NewType("Origin", str)
"""Value of an ``Origin`` header (RFC 6454)."""

Subprotocol = NewType("Subprotocol", str)
"""A subprotocol in a ``Sec-WebSocket-Protocol`` header (RFC 6455, section 1.9)."""

ExtensionName = NewType("ExtensionName", str)
"""The name of a WebSocket extension (RFC 6455, section 9.1)."""

ExtensionParameter: TypeAlias = tuple[str, str | None]
"""A parameter of a WebSocket extension: its name, and its value if it has one."""

ExtensionHeader: TypeAlias = tuple[ExtensionName, Sequence[ExtensionParameter]]
"""One extension in a ``Sec-WebSocket-Extensions`` header, with its parameters in order."""

ConnectionOption = NewType("ConnectionOption", str)
"""A token in a ``Connection`` header (RFC 9110, section 7.6.1)."""

UpgradeProtocol = NewType("UpgradeProtocol", str)
"""A protocol in an ``Upgrade`` header (RFC 9110, section 7.8)."""
