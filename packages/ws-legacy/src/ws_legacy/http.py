"""Reading the HTTP messages of the opening handshake from an :class:`asyncio.StreamReader`.

Nothing here is needed for connections: it is for programs that used it for their own servers.
"""

from __future__ import annotations

import asyncio

from ws_protocol.datastructures import Headers, HeadersLike
from ws_protocol.http11 import RequestReader, ResponseReader
from ws_protocol.limits import MAX_LINE_LENGTH, MAX_NUM_HEADERS

__all__ = ["MAX_LINE_LENGTH", "MAX_NUM_HEADERS", "read_request", "read_response"]


async def read_request(stream: asyncio.StreamReader) -> tuple[str, Headers]:
    """Read a GET request, which has no body.

    Args:
        stream: What to read from. What follows the request stays there.

    Returns:
        Path and headers.

    Raises:
        EOFError: The stream ends before the request does.
        SecurityError: The request exceeds a limit.
        ValueError: The request isn't valid, isn't of HTTP/1.1, or isn't a GET request.

    """
    reader = RequestReader()
    while (request := reader.feed(await read_line(stream))) is None:
        pass
    if request.method != "GET":
        raise ValueError(f"unsupported HTTP method: {request.method}")
    if request.protocol != "HTTP/1.1":
        raise ValueError(f"unsupported HTTP version: {request.protocol}")
    return request.path, escape(request.headers)


async def read_response(stream: asyncio.StreamReader) -> tuple[int, str, Headers]:
    """Read a response, but for its body.

    Args:
        stream: What to read from. What follows the headers stays there.

    Returns:
        Status code, reason phrase and headers.

    Raises:
        EOFError: The stream ends before the headers do.
        SecurityError: The response exceeds a limit.
        ValueError: The response isn't valid.

    """
    reader = ResponseReader(body=False)
    while (response := reader.feed(await read_line(stream))) is None:
        pass
    return response.status_code, response.reason_phrase, escape(response.headers)


async def read_line(stream: asyncio.StreamReader) -> bytes:
    """Read a line, with its end.

    Raises:
        EOFError: The stream ends.
        ValueError: The line exceeds the limit of the stream.

    """
    line = await stream.readline()
    if not line.endswith(b"\n"):
        raise EOFError("connection closed while reading HTTP headers")
    return line


def escape(headers: Headers) -> Headers:
    """Return headers as this API shows them: bytes outside ASCII as surrogate escapes.

    The new API shows them as ISO-8859-1. Programs, uvicorn among them, encode the values again, and
    count on this.

    Args:
        headers: Headers, with bytes outside ASCII as ISO-8859-1.

    """
    if all(value.isascii() for _, value in headers.raw_items()):
        return headers
    escaped = Headers()
    for key, value in headers.raw_items():
        # Valid it is, but for the escapes.
        escaped.set_insecure(key, value.encode("iso-8859-1").decode("ascii", "surrogateescape"))
    return escaped


def unescape(headers: HeadersLike) -> Headers:
    """Return headers that a program gave as they are sent: the opposite of :func:`escape`.

    This API always took values that aren't strings, such as the length of a body, and sent UTF-8.

    Args:
        headers: Headers; bytes outside ASCII may be surrogate escapes.

    Returns:
        Headers, with bytes outside ASCII as ISO-8859-1.

    """
    unescaped = _UnescapedHeaders()
    unescaped.update(headers)
    return unescaped


class _UnescapedHeaders(Headers):
    __slots__ = ()

    def __setitem__(self, key: str, value: object) -> None:
        data = str(value).encode(errors="surrogateescape")
        super().__setitem__(key, data.decode("iso-8859-1"))
