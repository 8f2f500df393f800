"""WebSocket URIs (RFC 6455, section 3)."""

from __future__ import annotations

import dataclasses
import functools
import re
import urllib.parse

from .exceptions import InvalidURI

__all__ = ["WebSocketURI", "parse_uri"]

# RFC 3986, section 2.2: gen-delims and sub-delims. With "%", what quoting must leave alone.
_DELIMITERS = ":/?#[]@!$&'()*+,;=%"

# urlsplit() drops some of these and keeps others. Either way the request would ask for something
# else than what the caller wrote. Surrogates can't be encoded.
_has_impossible_characters = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]").search

# RFC 3986, section 3.2.2. urlsplit() looks at the address, but not at what stands around the
# brackets, and lets versions of IP pass that don't exist.
_is_ipv6_host = re.compile(r"\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(?:%[^\]]+)?\](?::.*)?").fullmatch
_is_registered_name = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=%-]+").fullmatch


@dataclasses.dataclass
class WebSocketURI:
    """A WebSocket URI, taken apart.

    Attributes:
        secure: :obj:`True` for ``wss``, :obj:`False` for ``ws``.
        host: Host, in lower case, without the brackets of an IPv6 address.
        port: Port; 80 or 443 where the URI names none.
        path: Path; may be empty.
        query: Query, without the question mark; may be empty.
        username: User name, percent-decoded, if the URI has user information.
        password: Password, percent-decoded, if the URI has user information.

    """

    secure: bool
    host: str
    port: int
    path: str
    query: str
    username: str | None = None
    password: str | None = dataclasses.field(default=None, repr=False)

    @property
    def resource_name(self) -> str:
        """Path and query, as they stand in the request line (RFC 6455, section 3)."""
        resource_name = self.path or "/"
        if self.query:
            resource_name += "?" + self.query
        return resource_name

    @property
    def user_info(self) -> tuple[str, str] | None:
        """User name and password, if the URI has them."""
        if self.username is None or self.password is None:
            return None
        return self.username, self.password

    @property
    def origin(self) -> tuple[bool, str, int]:
        """What two URIs share when credentials for one may go to the other (RFC 6454)."""
        return self.secure, self.host, self.port


def parse_uri(uri: str) -> WebSocketURI:
    """Parse a WebSocket URI.

    Spaces and characters outside ASCII are allowed, as in browsers: the host is encoded with IDNA,
    the rest is percent-encoded.

    Args:
        uri: The URI, with scheme ``ws`` or ``wss``.

    Raises:
        InvalidURI: It isn't valid.
        TypeError: It isn't a :class:`str`.

    """
    return WebSocketURI(*_parse_uri(uri))


# Clients connect to the same URI again and again. urlsplit() remembers as many.
@functools.lru_cache
def _parse_uri(uri: str) -> tuple[bool, str, int, str, str, str | None, str | None]:
    parsed = split_url(uri)
    if parsed.scheme not in ("ws", "wss"):
        raise InvalidURI(uri, "scheme isn't ws or wss")
    if not parsed.hostname:
        raise InvalidURI(uri, "hostname isn't provided")
    if parsed.fragment or uri.endswith("#"):
        # RFC 6455, section 3: fragment identifiers are meaningless.
        raise InvalidURI(uri, "fragment identifier is meaningless")
    username, password = split_user_info(uri, parsed)
    # RFC 7617, section 2.
    if username is not None and ":" in username:
        raise InvalidURI(uri, "username can't contain a colon")
    secure = parsed.scheme == "wss"
    port = parsed.port
    return (
        secure,
        encode_host(uri, parsed.hostname),
        (443 if secure else 80) if port is None else port,
        urllib.parse.quote(parsed.path, safe=_DELIMITERS),
        urllib.parse.quote(parsed.query, safe=_DELIMITERS),
        username,
        password,
    )


def split_url(url: str) -> urllib.parse.SplitResult:
    """Split a URL, and check what :func:`urllib.parse.urlsplit` leaves for later or lets pass.

    Raises:
        InvalidURI: It has control characters, an impossible port or host.
        TypeError: It isn't a :class:`str`.

    """
    if not isinstance(url, str):
        # A setting that isn't there, say.
        raise TypeError(f"URI must be a str, not {type(url).__name__}")
    if _has_impossible_characters(url):
        raise InvalidURI(url, "control characters aren't allowed")
    # From None, because what the standard library says shows parts of the user information.
    try:
        parsed = urllib.parse.urlsplit(url)
    except ValueError:
        raise InvalidURI(url, "hostname isn't valid") from None
    # Before the port, as newer versions of urlsplit() do.
    host = parsed.netloc.rpartition("@")[2]
    if "[" in host and _is_ipv6_host(host) is None:
        raise InvalidURI(url, "hostname isn't valid")
    try:
        parsed.port  # noqa: B018  # the property parses the port, and raises
    except ValueError:
        raise InvalidURI(url, "port isn't a number up to 65535") from None
    return parsed


def split_user_info(url: str, parsed: urllib.parse.SplitResult) -> tuple[str | None, str | None]:
    """Return user name and password of a URL, percent-decoded.

    Raises:
        InvalidURI: There is a user name without a password, or a control character, which HTTP
            Basic Authentication can't send.

    """
    if parsed.username is None:
        return None, None
    if parsed.password is None:
        raise InvalidURI(url, "username provided without password")
    username = urllib.parse.unquote(parsed.username)
    password = urllib.parse.unquote(parsed.password)
    if _has_impossible_characters(username + password):
        raise InvalidURI(url, "control characters aren't allowed in username and password")
    return username, password


def encode_host(url: str, host: str) -> str:
    """Return a host name as it stands in DNS and in headers.

    Raises:
        InvalidURI: It isn't possible there.

    """
    if ":" in host:  # an IPv6 address, which split_url() has checked
        # RFC 6874, section 2: in a URI, the "%" before a zone is percent-encoded. Many don't know.
        return re.sub("%25(?=.)", "%", host, count=1)
    try:
        encoded = host.encode("idna").decode()
    except UnicodeError as exc:
        raise InvalidURI(url, "hostname can't be encoded with IDNA") from exc
    if _is_registered_name(encoded) is None:
        raise InvalidURI(url, "hostname has characters that aren't allowed")
    return encoded
