"""Headers of the opening handshake (RFC 6455, section 4), for whoever does its own I/O.

uvicorn is one of them.
"""

from __future__ import annotations

from ws_protocol.datastructures import Headers
from ws_protocol.handshake import accept_key, check_request, check_response, generate_key

__all__ = ["build_request", "build_response", "check_request", "check_response"]


def build_request(headers: Headers) -> str:
    """Add what the opening handshake requires to the headers of a request.

    Args:
        headers: Headers.

    Returns:
        The key, for :func:`check_response`.

    """
    key = generate_key()
    headers["Upgrade"] = "websocket"
    headers["Connection"] = "Upgrade"
    headers["Sec-WebSocket-Key"] = key
    headers["Sec-WebSocket-Version"] = "13"
    return key


def build_response(headers: Headers, key: str) -> None:
    """Add what the opening handshake requires to the headers of a response.

    Args:
        headers: Headers.
        key: The key, from :func:`check_request`.

    """
    headers["Upgrade"] = "websocket"
    headers["Connection"] = "Upgrade"
    headers["Sec-WebSocket-Accept"] = accept_key(key)
