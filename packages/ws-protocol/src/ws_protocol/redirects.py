"""Where a redirect leads, and what may be taken there (RFC 9110, section 15.4)."""

from __future__ import annotations

import contextlib
import dataclasses
import urllib.parse
from typing import Any

from .datastructures import Headers, HeadersLike
from .exceptions import InvalidStatus, SecurityError, show_url
from .limits import MAX_REDIRECTS
from .uri import WebSocketURI, parse_uri, split_url

__all__ = ["Destination", "Redirect", "follow_redirect"]

_REDIRECTS = frozenset({300, 301, 302, 303, 307, 308})

# What names or proves who the client is, and what names the server that redirected.
_OF_ONE_ORIGIN = ("Authorization", "Cookie", "Host", "Proxy-Authorization")


@dataclasses.dataclass
class Redirect:
    """Where to connect to instead.

    Attributes:
        uri: URI to connect to.
        ws_uri: The same, parsed.
        same_origin: Whether it has the scheme, host and port of the URI that redirected.

    """

    uri: str
    ws_uri: WebSocketURI
    same_origin: bool

    def allowed_headers(self, headers: HeadersLike | None) -> Headers:
        """Return those of a request's headers that may be sent there.

        Credentials never cross an origin: whoever can make a server redirect would get them. Nor
        does a ``Host`` header: it names the server that redirected.

        Args:
            headers: Headers that the user added to the request.

        """
        allowed = Headers()
        if headers is not None:
            allowed.update(headers)
        if not self.same_origin:
            for name in _OF_ONE_ORIGIN:
                if name in allowed:
                    del allowed[name]
        return allowed

    def allowed_arguments(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return those arguments for opening a TCP connection that hold for the redirect, too.

        Args:
            kwargs: The arguments: ``sock`` and ``unix`` say that the socket is another than the URI
                leads to; ``address``, ``host``, ``port`` and ``server_hostname`` override the URI.

        Raises:
            ValueError: They lead to the server that redirected, and nowhere else.

        """
        if "sock" in kwargs:
            raise ValueError(
                f"cannot follow redirect to {show_url(self.uri)} with a preexisting socket"
            )
        if self.same_origin:
            return kwargs
        if kwargs.get("unix"):
            raise ValueError(
                f"cannot follow cross-origin redirect to {show_url(self.uri)} with a Unix socket"
            )
        return {
            name: value
            for name, value in kwargs.items()
            if name not in ("address", "host", "port", "server_hostname")
        }


def follow_redirect(uri: str, ws_uri: WebSocketURI, exc: BaseException) -> Redirect | None:
    """Find out where to connect to after the opening handshake failed.

    Args:
        uri: URI that was connected to.
        ws_uri: The same, parsed.
        exc: Why the opening handshake failed.

    Returns:
        :obj:`None` if that isn't because of a redirect.

    Raises:
        InvalidURI: The redirect leads to something else than WebSocket.
        SecurityError: The redirect leads from TLS to no TLS.

    """
    if not (
        isinstance(exc, InvalidStatus)
        and exc.response.status_code in _REDIRECTS
        and "Location" in exc.response.headers
    ):
        return None
    location = exc.response.headers.get_all("Location")[0]
    # Servers that don't percent-encode what isn't ASCII send UTF-8, and headers are read as
    # ISO-8859-1.
    with contextlib.suppress(UnicodeDecodeError):
        location = location.encode("iso-8859-1").decode()
    # Servers redirect what is an HTTP request to them: "https" is what they call "wss".
    scheme, colon, rest = location.partition(":")
    if colon and scheme.lower() in ("http", "https"):
        location = ("ws:" if scheme.lower() == "http" else "wss:") + rest
    # It checks what urljoin() would drop, or not understand.
    split_url(location)
    new_uri = urllib.parse.urljoin(uri, location).partition("#")[0]
    new_ws_uri = parse_uri(new_uri)
    if ws_uri.secure and not new_ws_uri.secure:
        raise SecurityError(f"redirect from WSS to WS, at {new_ws_uri.host}:{new_ws_uri.port}")
    same_origin = ws_uri.origin == new_ws_uri.origin
    if same_origin and new_ws_uri.user_info is None:
        new_ws_uri = dataclasses.replace(
            new_ws_uri, username=ws_uri.username, password=ws_uri.password
        )
    return Redirect(new_uri, new_ws_uri, same_origin)


class Destination:
    """Where a client connects to, and with what, one redirect after another.

    Args:
        uri: URI to connect to.
        headers: Headers that the user added to the request.
        arguments: Arguments for opening a TCP connection.

    Raises:
        InvalidURI: The URI isn't valid.

    Attributes:
        uri: URI to connect to now.
        ws_uri: The same, parsed.
        headers: Headers to add to the request now.
        arguments: Arguments for opening a TCP connection now.

    """

    def __init__(self, uri: str, headers: HeadersLike | None, arguments: dict[str, Any]) -> None:
        self.uri: str = uri
        self.ws_uri: WebSocketURI = parse_uri(uri)
        self.headers: HeadersLike | None = headers
        self.arguments: dict[str, Any] = arguments
        self._redirects = 0

    def follow(self, exc: BaseException) -> bool:
        """Go where a redirect leads, after the opening handshake failed.

        Args:
            exc: Why it failed.

        Returns:
            Whether that was because of a redirect.

        Raises:
            InvalidURI: The redirect leads to something else than WebSocket.
            SecurityError: The redirect leads from TLS to no TLS, or it is one too many.
            ValueError: An argument leads to the server that redirected, and nowhere else.

        """
        redirect = follow_redirect(self.uri, self.ws_uri, exc)
        if redirect is None:
            return False
        self.headers = redirect.allowed_headers(self.headers)
        self.arguments = redirect.allowed_arguments(self.arguments)
        self.uri, self.ws_uri = redirect.uri, redirect.ws_uri
        self._redirects += 1
        if self._redirects > MAX_REDIRECTS:
            raise SecurityError(f"more than {MAX_REDIRECTS} redirects")
        return True
