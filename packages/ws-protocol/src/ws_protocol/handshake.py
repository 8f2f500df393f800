"""What both sides of the opening handshake do alike (RFC 6455, section 4)."""

from __future__ import annotations

import binascii
import hashlib
import os

from .datastructures import Headers, MultipleValuesError
from .exceptions import InvalidHeader, InvalidHeaderValue, InvalidUpgrade
from .headers import parse_connection, parse_upgrade

__all__ = [
    "UPGRADE",
    "accept_key",
    "check_request",
    "check_response",
    "check_upgrade",
    "generate_key",
    "get_single",
]

UPGRADE = (("Upgrade", "websocket"), ("Connection", "Upgrade"))
"""The headers of requests and responses that say what the opening handshake is for (RFC 6455,
sections 4.1 and 4.2.2)."""

# RFC 6455, section 1.3.
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def generate_key() -> str:
    """Return a new value for a ``Sec-WebSocket-Key`` header (RFC 6455, section 4.1)."""
    return binascii.b2a_base64(os.urandom(16), newline=False).decode()


def accept_key(key: str) -> str:
    """Return the ``Sec-WebSocket-Accept`` header that answers a key (RFC 6455, section 4.2.2).

    Args:
        key: Value of the ``Sec-WebSocket-Key`` header.

    """
    # RFC 6455 chose SHA-1, and nothing depends on its strength.
    digest = hashlib.sha1((key + GUID).encode(), usedforsecurity=False).digest()
    return binascii.b2a_base64(digest, newline=False).decode()


def get_single(headers: Headers, name: str) -> str:
    """Return the value of a header that must be there once.

    Raises:
        InvalidHeader: It is missing or repeated.

    """
    try:
        return headers[name]
    except KeyError:
        raise InvalidHeader(name) from None
    except MultipleValuesError:
        raise InvalidHeader(name, "multiple values") from None


def check_upgrade(headers: Headers) -> None:
    """Check that ``Connection`` and ``Upgrade`` ask for, or grant, an upgrade to WebSocket
    (RFC 6455, sections 4.1 and 4.2.1).

    Raises:
        InvalidUpgrade: They don't.
        InvalidHeaderFormat: One of them can't be parsed.

    """
    connections = headers.get_all("Connection")
    upgrades = headers.get_all("Upgrade")
    if connections == ["Upgrade"] and upgrades == ["websocket"]:
        return  # as almost everybody writes it
    connection = ", ".join(connections)
    options = parse_connection(connection) if connection else []
    # Whole options are compared: "notupgrade" doesn't ask for an upgrade.
    if not any(option.lower() == "upgrade" for option in options):
        raise InvalidUpgrade("Connection", connection if "Connection" in headers else None)
    upgrade = ", ".join(upgrades)
    protocols = parse_upgrade(upgrade) if upgrade else []
    # Both sides have nothing else to offer, and a list would leave open what was agreed.
    if not (len(protocols) == 1 and protocols[0].lower() == "websocket"):
        raise InvalidUpgrade("Upgrade", upgrade if "Upgrade" in headers else None)


def check_request(headers: Headers) -> str:
    """Check those headers of a request that the opening handshake requires (RFC 6455, section
    4.2.1).

    Args:
        headers: Headers of the request.

    Returns:
        The key, for :func:`~ws_protocol.handshake.accept_key`.

    Raises:
        InvalidHandshake: One of them is missing, or isn't valid.

    """
    check_upgrade(headers)
    key = get_single(headers, "Sec-WebSocket-Key")
    try:
        valid = len(binascii.a2b_base64(key, strict_mode=True)) == 16
    except ValueError:
        valid = False
    if not valid:
        raise InvalidHeaderValue("Sec-WebSocket-Key", key)
    version = get_single(headers, "Sec-WebSocket-Version")
    if version != "13":
        raise InvalidHeaderValue("Sec-WebSocket-Version", version)
    return key


def check_response(headers: Headers, key: str) -> None:
    """Check those headers of a response that the opening handshake requires (RFC 6455, section
    4.1).

    Args:
        headers: Headers of the response.
        key: The key that was sent.

    Raises:
        InvalidHandshake: One of them is missing, or isn't valid.

    """
    check_upgrade(headers)
    accept = get_single(headers, "Sec-WebSocket-Accept")
    if accept != accept_key(key):
        raise InvalidHeaderValue("Sec-WebSocket-Accept", accept)
