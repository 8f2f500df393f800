"""Every exception of WebSocket connections.

* :exc:`WebSocketException`
    * :exc:`ConnectionClosed`
        * :exc:`ConnectionClosedOK`
        * :exc:`ConnectionClosedError`
    * :exc:`InvalidURI`
    * :exc:`InvalidProxy`
    * :exc:`InvalidHandshake`
        * :exc:`SecurityError`
            * :exc:`RequestLineTooLong`
            * :exc:`StatusLineTooLong`
            * :exc:`HeaderLineTooLong`
            * :exc:`TooManyHeaders`
        * :exc:`ProxyError`
            * :exc:`InvalidProxyMessage`
            * :exc:`InvalidProxyStatus`
        * :exc:`InvalidMessage`
        * :exc:`InvalidMethod`
        * :exc:`InvalidProtocol`
        * :exc:`InvalidStatus`
        * :exc:`InvalidHeader`
            * :exc:`InvalidHeaderFormat`
            * :exc:`InvalidHeaderValue`
            * :exc:`InvalidOrigin`
            * :exc:`InvalidUpgrade`
        * :exc:`NegotiationError`
            * :exc:`DuplicateParameter`
            * :exc:`InvalidParameterName`
            * :exc:`InvalidParameterValue`
    * :exc:`ProtocolError`
    * :exc:`PayloadTooBig`
    * :exc:`TooManyFragments`
    * :exc:`InvalidState`
    * :exc:`ConcurrencyError`

:exc:`InvalidHandshake`, :exc:`ProtocolError`, :exc:`PayloadTooBig` and :exc:`TooManyFragments` are
the peer's fault, :exc:`InvalidURI`, :exc:`InvalidProxy`, :exc:`InvalidState` and
:exc:`ConcurrencyError` the caller's.
"""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any

from ._escaping import escape

if TYPE_CHECKING:
    from .frames import Close
    from .http11 import Response

__all__ = [
    "ConcurrencyError",
    "ConnectionClosed",
    "ConnectionClosedError",
    "ConnectionClosedOK",
    "DuplicateParameter",
    "HeaderLineTooLong",
    "InvalidHandshake",
    "InvalidHeader",
    "InvalidHeaderFormat",
    "InvalidHeaderValue",
    "InvalidMessage",
    "InvalidMethod",
    "InvalidOrigin",
    "InvalidParameterName",
    "InvalidParameterValue",
    "InvalidProtocol",
    "InvalidProxy",
    "InvalidProxyMessage",
    "InvalidProxyStatus",
    "InvalidState",
    "InvalidStatus",
    "InvalidURI",
    "InvalidUpgrade",
    "NegotiationError",
    "PayloadTooBig",
    "ProtocolError",
    "ProxyError",
    "RequestLineTooLong",
    "SecurityError",
    "StatusLineTooLong",
    "TooManyFragments",
    "TooManyHeaders",
    "WebSocketException",
]

# What closing handshakes use when there is no close code to report. They stand here, not in
# frames, which imports this module; frames.CloseCode says what they mean.
ABNORMAL_CLOSURE = 1006


def show_url(url: str) -> str:
    """Return a URL for messages that end up in logs: without its user information, and escaped."""
    # Up to the last "@", wherever it is: in a URL that isn't valid, the scheme may be missing, and
    # a password may have characters that end the authority.
    return escape(re.sub(r"\A([A-Za-z][A-Za-z0-9+.-]*://|//)?.*@", r"\1***@", url, flags=re.DOTALL))


class WebSocketException(Exception):
    """Base class of all exceptions defined here."""


class ConnectionClosed(WebSocketException):
    """Raised when trying to use a connection that is closed.

    ``__cause__`` is the exception that ended the connection, where one is known: a
    :exc:`ProtocolError` of the peer, an :exc:`OSError` of the network.

    Args:
        rcvd: The close frame that was received, if any.
        sent: The close frame that was sent, if any.
        rcvd_then_sent: If close frames were received and sent, whether the one received came
            first; :obj:`None` otherwise.

    Attributes:
        rcvd: The close frame that was received, or :obj:`None`.
        sent: The close frame that was sent, or :obj:`None`.
        rcvd_then_sent: If close frames were received and sent, whether the one received came
            first; :obj:`None` otherwise.

    """

    def __init__(
        self, rcvd: Close | None, sent: Close | None, rcvd_then_sent: bool | None = None
    ) -> None:
        if (rcvd_then_sent is None) != (rcvd is None or sent is None):
            raise ValueError("rcvd_then_sent must be given if, and only if, rcvd and sent are")
        super().__init__(rcvd, sent, rcvd_then_sent)
        self.rcvd = rcvd
        self.sent = sent
        self.rcvd_then_sent = rcvd_then_sent

    def __str__(self) -> str:
        if self.rcvd is None:
            if self.sent is None:
                return "no close frame received or sent"
            return f"sent {self.sent}; no close frame received"
        if self.sent is None:
            return f"received {self.rcvd}; no close frame sent"
        if self.rcvd_then_sent:
            return f"received {self.rcvd}; then sent {self.sent}"
        return f"sent {self.sent}; then received {self.rcvd}"

    @property
    def code(self) -> int:
        """The close code received, or 1006 when no close frame was.

        .. deprecated:: 1.0
            Use ``rcvd.code`` or the ``close_code`` of the connection.
        """
        warnings.warn(  # deprecated in the public library's 13.1
            "ConnectionClosed.code is deprecated; "
            "use Protocol.close_code or ConnectionClosed.rcvd.code",
            DeprecationWarning,
            stacklevel=2,
        )
        return ABNORMAL_CLOSURE if self.rcvd is None else self.rcvd.code

    @property
    def reason(self) -> str:
        """The close reason received, or ``""`` when no close frame was.

        .. deprecated:: 1.0
            Use ``rcvd.reason`` or the ``close_reason`` of the connection.
        """
        warnings.warn(  # deprecated in the public library's 13.1
            "ConnectionClosed.reason is deprecated; "
            "use Protocol.close_reason or ConnectionClosed.rcvd.reason",
            DeprecationWarning,
            stacklevel=2,
        )
        return "" if self.rcvd is None else self.rcvd.reason


class ConnectionClosedOK(ConnectionClosed):
    """Raised when the connection was closed with code 1000 (OK) or 1001 (going away), or without
    a code, by both sides."""


class ConnectionClosedError(ConnectionClosed):
    """Raised when the connection was closed with another code, or without a closing handshake."""


class InvalidURI(WebSocketException):
    """Raised when connecting to a URI that isn't valid (RFC 6455, section 3).

    Args:
        uri: The URI.
        msg: What is wrong with it.

    """

    def __init__(self, uri: str, msg: str) -> None:
        super().__init__(uri, msg)
        self.uri = uri
        self.msg = msg

    def __str__(self) -> str:
        return f"{show_url(self.uri)} isn't a valid URI: {self.msg}"

    def __repr__(self) -> str:
        # What asyncio logs when nobody looks at the exception of a task.
        return f"{self.__class__.__name__}({show_url(self.uri)!r}, {self.msg!r})"


class InvalidProxy(WebSocketException):
    """Raised when connecting through a proxy whose URL isn't valid.

    Args:
        proxy: The URL of the proxy.
        msg: What is wrong with it.

    """

    def __init__(self, proxy: str, msg: str) -> None:
        super().__init__(proxy, msg)
        self.proxy = proxy
        self.msg = msg

    def __str__(self) -> str:
        return f"{show_url(self.proxy)} isn't a valid proxy: {self.msg}"

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}({show_url(self.proxy)!r}, {self.msg!r})"


class InvalidHandshake(WebSocketException):
    """Base class of exceptions raised when the opening handshake fails."""


class SecurityError(InvalidHandshake):
    """Raised when a message of the opening handshake exceeds a limit, or a redirect would lower
    security."""


class RequestLineTooLong(SecurityError):
    """Raised when the request line is too long; answered with HTTP 414."""


class StatusLineTooLong(SecurityError):
    """Raised when the status line of a response is too long."""


class HeaderLineTooLong(SecurityError):
    """Raised when a header line is too long; answered with HTTP 431."""


class TooManyHeaders(SecurityError):
    """Raised when there are too many headers, or all together are too long; answered with HTTP
    431."""


class ProxyError(InvalidHandshake):
    """Raised when the connection to or through a proxy fails."""


class InvalidProxyMessage(ProxyError):
    """Raised when the response of an HTTP proxy isn't valid HTTP."""


class InvalidProxyStatus(ProxyError):
    """Raised when an HTTP proxy refuses the connection.

    Args:
        response: The response of the proxy.

    """

    def __init__(self, response: Response) -> None:
        super().__init__(response)
        self.response = response

    def __str__(self) -> str:
        return f"proxy rejected connection: HTTP {self.response.status_code}"


class InvalidMessage(InvalidHandshake):
    """Raised when a request or a response of the opening handshake isn't valid HTTP/1.1."""


class InvalidMethod(InvalidHandshake):
    """Raised when the method of the request isn't GET; answered with HTTP 405.

    Args:
        method: The method.

    """

    def __init__(self, method: str) -> None:
        super().__init__(method)
        self.method = method

    def __str__(self) -> str:
        return f"unsupported HTTP method: {self.method}"


class InvalidProtocol(InvalidHandshake):
    """Raised when the version of the request isn't HTTP/1.1; answered with HTTP 505.

    Args:
        protocol: The version, as in the request line.

    """

    def __init__(self, protocol: str) -> None:
        super().__init__(protocol)
        self.protocol = protocol

    def __str__(self) -> str:
        return f"unsupported HTTP version: {self.protocol}"


class InvalidStatus(InvalidHandshake):
    """Raised when the server refuses the opening handshake.

    Args:
        response: The response of the server.

    """

    def __init__(self, response: Response) -> None:
        super().__init__(response)
        self.response = response

    def __str__(self) -> str:
        return f"server rejected WebSocket connection: HTTP {self.response.status_code}"


class InvalidHeader(InvalidHandshake):
    """Raised when a header of the opening handshake is missing, empty or wrong.

    Args:
        name: The name of the header.
        value: Its value; :obj:`None` if it is missing.

    """

    def __init__(self, name: str, value: str | None = None) -> None:
        super().__init__(name, value)
        self.name = name
        self.value = value

    def __str__(self) -> str:
        if self.value is None:
            return f"missing {self.name} header"
        if self.value == "":
            return f"empty {self.name} header"
        return f"invalid {self.name} header: {escape(self.value)}"


class InvalidHeaderFormat(InvalidHeader):
    """Raised when a header can't be parsed.

    Args:
        name: The name of the header.
        error: What was expected.
        header: The header's value.
        pos: Where in it.

    """

    args: tuple[Any, ...]

    def __init__(self, name: str, error: str, header: str, pos: int) -> None:
        super().__init__(name, f"{error} at {pos} in {header}")
        self.args = (name, error, header, pos)


class InvalidHeaderValue(InvalidHeader):
    """Raised when a header's value is well-formed and isn't acceptable."""


class InvalidOrigin(InvalidHeader):
    """Raised when the ``Origin`` header isn't one of those allowed; answered with HTTP 403.

    Args:
        origin: The value of the header; :obj:`None` if it is missing.

    """

    args: tuple[Any, ...]

    def __init__(self, origin: str | None) -> None:
        super().__init__("Origin", origin)
        self.args = (origin,)


class InvalidUpgrade(InvalidHeader):
    """Raised when the ``Upgrade`` or the ``Connection`` header doesn't ask for an upgrade to
    WebSocket; answered with HTTP 426."""


class NegotiationError(InvalidHandshake):
    """Raised when negotiating an extension or a subprotocol fails."""


class DuplicateParameter(NegotiationError):
    """Raised when a parameter of an extension is repeated.

    Args:
        name: The parameter.

    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"duplicate parameter: {self.name}"


class InvalidParameterName(NegotiationError):
    """Raised when a parameter of an extension isn't known.

    Args:
        name: The parameter.

    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"invalid parameter name: {self.name}"


class InvalidParameterValue(NegotiationError):
    """Raised when the value of an extension's parameter isn't acceptable.

    Args:
        name: The parameter.
        value: Its value; :obj:`None` if it has none.

    """

    def __init__(self, name: str, value: str | None) -> None:
        super().__init__(name, value)
        self.name = name
        self.value = value

    def __str__(self) -> str:
        if self.value is None:
            return f"missing value for parameter {self.name}"
        if self.value == "":
            return f"empty value for parameter {self.name}"
        return f"invalid value for parameter {self.name}: {self.value}"


class ProtocolError(WebSocketException):
    """Raised when a frame breaks the protocol; the connection fails with close code 1002.

    Raised by the methods that send when it is the caller's frame that would break it.
    """


class PayloadTooBig(WebSocketException):
    """Raised when a frame or a message exceeds the limit; the connection fails with close code
    1009.

    Args:
        size_or_message: Size of the frame in bytes; :obj:`None` if it isn't known, because a
            compressed frame isn't inflated past the limit.
        max_size: How many bytes there was still room for.
        current_size: Sizes in bytes of the message's frames before this one; :obj:`None` if there
            are none or the limit is on a single frame.

    Attributes:
        size: Size of the frame in bytes, or :obj:`None`.
        max_size: How many bytes there was still room for, or :obj:`None`.
        current_size: Sizes in bytes of the message's frames before this one, or :obj:`None`.

    """

    args: tuple[Any, ...]

    def __init__(
        self,
        size_or_message: int | str | None,
        max_size: int | None = None,
        current_size: int | None = None,
    ) -> None:
        super().__init__(size_or_message, max_size, current_size)
        self.message: str | None = None
        self.size: int | None = None
        if isinstance(size_or_message, str):
            warnings.warn(  # deprecated in the public library's 14.0
                "PayloadTooBig(message) is deprecated; change to PayloadTooBig(size, max_size)",
                DeprecationWarning,
                stacklevel=2,
            )
            self.message = size_or_message
        else:
            self.size = size_or_message
            if max_size is None:
                raise TypeError("max_size is required")
        self.max_size = max_size
        self.current_size: int | None = None
        self.set_current_size(current_size)

    def set_current_size(self, current_size: int | None) -> None:
        """Say how much of the message had arrived; for extensions that don't know."""
        self.current_size = current_size
        self.args = (self.args[0], self.max_size, current_size)

    def __str__(self) -> str:
        if self.message is not None:
            return self.message
        text = "frame" if self.size is None else f"frame with {self.size} bytes"
        limit = self.max_size or 0
        if self.current_size is not None:
            text += f" after reading {self.current_size} bytes"
            limit += self.current_size
        return f"{text} exceeds limit of {limit} bytes"


class TooManyFragments(WebSocketException):
    """Raised when a message has more frames than the limit; the connection fails with close code
    1009."""


class InvalidState(WebSocketException, AssertionError):
    """Raised when sending a frame or closing isn't possible in this state of the connection."""


class ConcurrencyError(WebSocketException, RuntimeError):
    """Raised when a connection is used in two places at once that exclude each other, such as two
    tasks receiving messages."""
