"""Exceptions of the opening handshake that the original API has, and the new one hasn't.

The others are those of :mod:`ws_protocol.exceptions`.
"""

from __future__ import annotations

import http

from ws_protocol.datastructures import Headers, HeadersLike
from ws_protocol.exceptions import InvalidHandshake, InvalidMessage
from ws_protocol.typing import StatusLike

from .http import unescape

__all__ = ["AbortHandshake", "InvalidMessage", "InvalidStatusCode", "RedirectHandshake"]


class AbortHandshake(InvalidHandshake):
    """Raised on the server's side to answer the opening handshake with an HTTP response.

    Returning the same from
    :meth:`~ws_legacy.server.WebSocketServerProtocol.process_request` does the same.

    Args:
        status: HTTP status code.
        headers: Headers of the response.
        body: Body of the response.

    Raises:
        ValueError: There is no such status code.
        TypeError: The body isn't bytes.

    """

    def __init__(self, status: StatusLike, headers: HeadersLike, body: bytes = b"") -> None:
        if not isinstance(body, (bytes, bytearray, memoryview)):
            raise TypeError(f"body of an HTTP response must be bytes, not {type(body).__name__}")
        super().__init__(status, headers, body)
        self.status: http.HTTPStatus = http.HTTPStatus(status)
        self.headers: Headers = Headers()
        self.headers.update(unescape(headers))
        self.body: bytes = bytes(body)

    def __str__(self) -> str:
        return f"HTTP {self.status:d}, {len(self.headers)} headers, {len(self.body)} bytes"


class InvalidStatusCode(InvalidHandshake):
    """Raised when the server refuses the opening handshake.

    Its ``__cause__`` is the :exc:`~ws_protocol.exceptions.InvalidStatus` of the new API, which has
    the body, too.

    Args:
        status_code: HTTP status code.
        headers: Headers of the response.

    """

    def __init__(self, status_code: int, headers: Headers) -> None:
        super().__init__(status_code, headers)
        self.status_code = status_code
        self.headers = headers

    def __str__(self) -> str:
        return f"server rejected WebSocket connection: HTTP {self.status_code}"


class RedirectHandshake(InvalidHandshake):
    """Raised when the server redirects; :class:`~ws_legacy.client.connect` handles it.

    Args:
        uri: Where to, as in the ``Location`` header.

    """

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.uri = uri

    def __str__(self) -> str:
        return f"redirect to {self.uri}"
