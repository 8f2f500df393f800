"""Parse and build the values of the headers that the opening handshake uses.

One function for each rule of the grammars in RFC 6455, section 9.1, and RFC 9110, section 5.6. All
are linear in the length of the header: every character is looked at once.

A function that parses part of a header takes the header, a position, and the header's name for
errors; it returns what it parsed and the position after it.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Sequence
from typing import TypeVar, cast

from .exceptions import InvalidHeaderFormat, InvalidHeaderValue
from .typing import (
    ConnectionOption,
    ExtensionHeader,
    ExtensionName,
    ExtensionParameter,
    Subprotocol,
    UpgradeProtocol,
)

__all__ = [
    "build_authorization_basic",
    "build_extension",
    "build_host",
    "build_subprotocol",
    "build_www_authenticate_basic",
    "is_valid_host",
    "parse_authorization_basic",
    "parse_connection",
    "parse_extension",
    "parse_subprotocol",
    "parse_upgrade",
    "validate_subprotocols",
]

T = TypeVar("T")

# RFC 9110, section 5.6.2. A quantifier on one character class can't backtrack into another match,
# so none of these is more than linear.
_token = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

# RFC 9110, section 5.6.4.
_quoted_string = re.compile(
    r'"((?:[\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*)"'
)
_quoted_pair = re.compile(r"\\([\t\x20-\x7e\x80-\xff])")
_quotable = re.compile(r"[\t\x20-\x7e\x80-\xff]*")

# RFC 9110, section 11.2.
_token68 = re.compile(r"[A-Za-z0-9._~+/-]+=*")

# RFC 7617, section 2: what neither user name nor password may have.
_has_control_character = re.compile(r"[\x00-\x1f\x7f]").search

# RFC 9110, section 5.6.3.
_optional_white_space = re.compile(r"[\t ]*")

# RFC 9112, section 3.2; RFC 3986, section 3.2.2. IPv6 addresses are looked at by ipaddress.
_host = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|[A-Za-z0-9._~!$&'()*+,;=%-]+)(?::([0-9]*))?")


def parse_ows(header: str, pos: int) -> int:
    """Return the position after optional white space."""
    match = _optional_white_space.match(header, pos)
    assert match is not None  # the expression matches the empty string
    return match.end()


def parse_token(header: str, pos: int, name: str) -> tuple[str, int]:
    """Parse a token."""
    match = _token.match(header, pos)
    if match is None:
        raise InvalidHeaderFormat(name, "expected token", header, pos)
    return match.group(), match.end()


def parse_quoted_string(header: str, pos: int, name: str) -> tuple[str, int]:
    """Parse a quoted string, and take the quotes and backslashes off."""
    match = _quoted_string.match(header, pos)
    if match is None:
        raise InvalidHeaderFormat(name, "expected quoted string", header, pos)
    return _quoted_pair.sub(r"\1", match.group(1)), match.end()


def build_quoted_string(value: str) -> str:
    """Build a quoted string.

    Raises:
        ValueError: The value has control characters, or characters outside ISO-8859-1.

    """
    if _quotable.fullmatch(value) is None:
        raise ValueError(f"quoted string can't have these characters: {value!r}")
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def parse_list(
    parse_item: Callable[[str, int, str], tuple[T, int]], header: str, pos: int, name: str
) -> list[T]:
    """Parse a comma-separated list with at least one item, up to the end of the header.

    RFC 9110, section 5.6.1.2: empty items don't count, and must be let pass.
    """
    items: list[T] = []
    while True:
        pos = parse_ows(header, pos)
        if pos < len(header) and header[pos] == ",":
            pos += 1
            continue
        if pos == len(header) and items:
            return items
        item, pos = parse_item(header, pos, name)
        items.append(item)
        pos = parse_ows(header, pos)
        if pos == len(header):
            return items
        if header[pos] != ",":
            raise InvalidHeaderFormat(name, "expected comma", header, pos)
        pos += 1


def parse_connection(header: str) -> list[ConnectionOption]:
    """Parse a ``Connection`` header (RFC 9110, section 7.6.1).

    Returns:
        Connection options, in order and as they are written; they are case-insensitive.

    Raises:
        InvalidHeaderFormat: The header can't be parsed.

    """
    return cast(list[ConnectionOption], parse_list(parse_token, header, 0, "Connection"))


# RFC 9110, section 7.8: protocol-name ["/" protocol-version], each a token.
_protocol = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:/[!#$%&'*+.^_`|~0-9A-Za-z-]+)?")


def _parse_upgrade_protocol(header: str, pos: int, name: str) -> tuple[UpgradeProtocol, int]:
    match = _protocol.match(header, pos)
    if match is None:
        raise InvalidHeaderFormat(name, "expected protocol", header, pos)
    return UpgradeProtocol(match.group()), match.end()


def parse_upgrade(header: str) -> list[UpgradeProtocol]:
    """Parse an ``Upgrade`` header (RFC 9110, section 7.8).

    Returns:
        Protocols, in order and as they are written; they are case-insensitive.

    Raises:
        InvalidHeaderFormat: The header can't be parsed.

    """
    return parse_list(_parse_upgrade_protocol, header, 0, "Upgrade")


def _parse_extension_parameter(header: str, pos: int, name: str) -> tuple[ExtensionParameter, int]:
    parameter, pos = parse_token(header, pos, name)
    pos = parse_ows(header, pos)
    if pos == len(header) or header[pos] != "=":
        return (parameter, None), pos
    pos = parse_ows(header, pos + 1)
    if pos == len(header) or header[pos] != '"':
        value, pos = parse_token(header, pos, name)
        return (parameter, value), pos
    start = pos
    value, pos = parse_quoted_string(header, pos, name)
    # RFC 6455, section 9.1: the value after unquoting must be a token.
    if _token.fullmatch(value) is None:
        raise InvalidHeaderFormat(name, "invalid quoted header content", header, start)
    return (parameter, value), pos


def _parse_extension(header: str, pos: int, name: str) -> tuple[ExtensionHeader, int]:
    extension, pos = parse_token(header, pos, name)
    parameters: list[ExtensionParameter] = []
    while True:
        pos = parse_ows(header, pos)
        if pos == len(header) or header[pos] != ";":
            return (ExtensionName(extension), parameters), pos
        parameter, pos = _parse_extension_parameter(header, parse_ows(header, pos + 1), name)
        parameters.append(parameter)


def parse_extension(header: str) -> list[ExtensionHeader]:
    """Parse a ``Sec-WebSocket-Extensions`` header (RFC 6455, section 9.1).

    Returns:
        Extensions in order: the name of each, and its parameters.

    Raises:
        InvalidHeaderFormat: The header can't be parsed.

    """
    return parse_list(_parse_extension, header, 0, "Sec-WebSocket-Extensions")


def build_extension(extensions: Sequence[ExtensionHeader]) -> str:
    """Build a ``Sec-WebSocket-Extensions`` header; the reverse of :func:`parse_extension`."""
    return ", ".join(
        "; ".join(
            [
                extension,
                *(
                    parameter if value is None else f"{parameter}={value}"
                    for parameter, value in parameters
                ),
            ]
        )
        for extension, parameters in extensions
    )


def parse_subprotocol(header: str) -> list[Subprotocol]:
    """Parse a ``Sec-WebSocket-Protocol`` header (RFC 6455, section 11.3.4).

    Returns:
        Subprotocols, in order.

    Raises:
        InvalidHeaderFormat: The header can't be parsed.

    """
    return cast(list[Subprotocol], parse_list(parse_token, header, 0, "Sec-WebSocket-Protocol"))


def build_subprotocol(subprotocols: Sequence[Subprotocol]) -> str:
    """Build a ``Sec-WebSocket-Protocol`` header; the reverse of :func:`parse_subprotocol`."""
    return ", ".join(subprotocols)


def validate_subprotocols(subprotocols: Sequence[Subprotocol]) -> None:
    """Check that subprotocols can be offered or selected.

    Raises:
        TypeError: It is a :class:`str`, which is a sequence of one-letter subprotocols, and never
            what was meant.
        ValueError: One of them isn't a token.

    """
    if not isinstance(subprotocols, Sequence):
        raise TypeError("subprotocols must be a list")
    if isinstance(subprotocols, str):
        raise TypeError("subprotocols must be a list, not a str")
    for subprotocol in subprotocols:
        if _token.fullmatch(subprotocol) is None:
            raise ValueError(f"invalid subprotocol: {subprotocol}")


def build_host(host: str, port: int, secure: bool, *, always_include_port: bool = False) -> str:
    """Build a ``Host`` header (RFC 9110, section 7.2).

    Args:
        host: Host name or address, without brackets.
        port: Port.
        secure: Whether the connection uses TLS, which decides the default port.
        always_include_port: Include the default port, too.

    """
    # RFC 3986, section 3.2.2: IPv6 addresses stand in brackets.
    if ":" in host:
        # RFC 6874, section 3: their zone means something on this machine only.
        host = f"[{host.partition('%')[0]}]"
    if always_include_port or port != (443 if secure else 80):
        host = f"{host}:{port}"
    return host


def is_valid_host(header: str) -> bool:
    """Tell whether a ``Host`` header is valid (RFC 9112, section 3.2; RFC 3986, section 3.2.2).

    An IP literal of a version that doesn't exist yet isn't.
    """
    match = _host.fullmatch(header)
    if match is None:
        return False
    address, port = match.groups()
    if address is not None:
        try:
            ipaddress.IPv6Address(address)
        except ValueError:
            return False
    return not port or (len(port) <= 5 and int(port) <= 65535)


def build_www_authenticate_basic(realm: str) -> str:
    """Build a ``WWW-Authenticate`` header for HTTP Basic Authentication (RFC 7617, section 2).

    Args:
        realm: What the credentials are for.

    Raises:
        ValueError: The realm has control characters, or characters outside ISO-8859-1.

    """
    return f'Basic realm={build_quoted_string(realm)}, charset="UTF-8"'


def parse_authorization_basic(header: str) -> tuple[str, str]:
    """Parse an ``Authorization`` header for HTTP Basic Authentication (RFC 7617, section 2).

    Returns:
        User name and password.

    Raises:
        InvalidHeaderFormat: The header can't be parsed.
        InvalidHeaderValue: The scheme isn't Basic, or the credentials aren't ``user:password`` in
            UTF-8 and base64, or have control characters. The error doesn't show them.

    """
    name = "Authorization"
    scheme, space, credentials = header.partition(" ")
    # Without a space, this may be credentials, sent without a scheme.
    if _token.fullmatch(scheme) is None or (not space and scheme.lower() != "basic"):
        raise InvalidHeaderFormat(name, "expected scheme", "***", 0)
    if scheme.lower() != "basic":
        raise InvalidHeaderValue(name, f"unsupported scheme: {scheme}")
    if not space:
        raise InvalidHeaderFormat(name, "expected space after scheme", scheme, len(scheme))
    credentials = credentials.strip(" ")
    if _token68.fullmatch(credentials) is None:
        raise InvalidHeaderFormat(name, "expected token68", f"{scheme} ***", len(scheme) + 1)
    try:
        user_pass = base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        # From None, because what they say shows the credentials.
        raise InvalidHeaderValue(name, "expected base64-encoded credentials") from None
    username, colon, password = user_pass.partition(":")
    if not colon:
        raise InvalidHeaderValue(name, "expected username:password credentials")
    if _has_control_character(user_pass):
        raise InvalidHeaderValue(name, "unexpected control characters in credentials")
    return username, password


def build_authorization_basic(username: str, password: str) -> str:
    """Build an ``Authorization`` header for HTTP Basic Authentication (RFC 7617, section 2).

    Args:
        username: User name.
        password: Password.

    Raises:
        ValueError: The user name has a colon, or one of them a control character.

    """
    if ":" in username:
        raise ValueError("username can't contain a colon")
    user_pass = f"{username}:{password}"
    if _has_control_character(user_pass):
        raise ValueError("username and password can't contain control characters")
    return "Basic " + base64.b64encode(user_pass.encode()).decode()
