"""A client's side of the opening handshake (RFC 6455, section 4.1)."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ._escaping import escape
from .datastructures import Headers, HeadersLike
from .exceptions import (
    InvalidHandshake,
    InvalidHeader,
    InvalidMessage,
    InvalidStatus,
    NegotiationError,
    SecurityError,
)
from .extensions.base import ClientExtensionFactory, Extension
from .handshake import UPGRADE, check_response, generate_key
from .headers import (
    build_authorization_basic,
    build_extension,
    build_host,
    build_subprotocol,
    parse_extension,
    parse_subprotocol,
    validate_subprotocols,
)
from .http11 import Request, Response, ResponseReader
from .limits import MAX_SIZE
from .protocol import Protocol
from .reconnection import backoff, process_exception
from .state import Side, State, Transition
from .tracebacks import forget_tracebacks
from .typing import ExtensionHeader, LoggerLike, Origin, Subprotocol
from .uri import WebSocketURI

__all__ = ["ClientProtocol", "backoff", "customize_request", "process_exception"]


class ClientProtocol(Protocol):
    """A WebSocket connection of a client, without I/O.

    Args:
        uri: URI to connect to, from :func:`~ws_protocol.uri.parse_uri`. ``wsuri`` is its earlier
            name.
        origin: Value of the ``Origin`` header; none by default. Browsers send it, and servers may
            ask for it.
        extensions: Extensions to offer, in order of preference.
        subprotocols: Subprotocols to offer, in order of preference.
        state: State to begin with.
        max_size: Limit on the payload of a message, in bytes, after extensions decoded it;
            :obj:`None` for no limit. A pair sets a limit for messages and one for frames, each of
            which may be :obj:`None`.
        logger: Logger; ``logging.getLogger("websockets.client")`` by default.

    Raises:
        TypeError: ``subprotocols`` isn't a list.
        ValueError: A subprotocol isn't a token.

    Attributes:
        uri: URI.
        available_extensions: Extensions to offer.
        available_subprotocols: Subprotocols to offer.
        key: Value of the ``Sec-WebSocket-Key`` header.

    """

    key: str
    extensions: list[Extension]
    subprotocol: Subprotocol | None
    handshake_exc: Exception | None

    def __init__(
        self,
        uri: WebSocketURI,
        *,
        origin: Origin | None = None,
        extensions: Sequence[ClientExtensionFactory] | None = None,
        subprotocols: Sequence[Subprotocol] | None = None,
        state: State = State.CONNECTING,
        max_size: int | tuple[int | None, int | None] | None = MAX_SIZE,
        logger: LoggerLike | None = None,
    ) -> None:
        super().__init__(Side.CLIENT, state=state, max_size=max_size, logger=logger)
        if subprotocols is not None:
            validate_subprotocols(subprotocols)
        self.uri = uri
        self.origin = origin
        self.available_extensions = extensions
        self.available_subprotocols = subprotocols
        self.key = generate_key()
        self._response_reader = ResponseReader()

    def connect(self) -> Request:
        """Make the request of the opening handshake.

        You can change it, adding headers for example, before you pass it to :meth:`send_request`.
        """
        headers = Headers()
        headers["Host"] = build_host(self.uri.host, self.uri.port, self.uri.secure)
        if self.uri.user_info is not None:
            headers["Authorization"] = build_authorization_basic(*self.uri.user_info)
        if self.origin is not None:
            headers["Origin"] = self.origin
        headers.update_insecure(
            [*UPGRADE, ("Sec-WebSocket-Key", self.key), ("Sec-WebSocket-Version", "13")]
        )
        if self.available_extensions:
            headers["Sec-WebSocket-Extensions"] = build_extension(
                [
                    (factory.name, factory.get_request_params())
                    for factory in self.available_extensions
                ]
            )
        if self.available_subprotocols:
            # RFC 6455, section 4.1: each is there once.
            subprotocols = list(dict.fromkeys(self.available_subprotocols))
            headers["Sec-WebSocket-Protocol"] = build_subprotocol(subprotocols)
        return Request(self.uri.resource_name, headers)

    def send_request(self, request: Request) -> None:
        """Send the request of the opening handshake.

        Args:
            request: The request.

        Raises:
            ValueError: The path of the request has characters that must be percent-encoded.

        """
        if self.debug:
            self.logger.debug("> %s %s %s", request.method, request.path, request.protocol)
            self._log_headers(">", request.headers)
        self._writes.append(request.serialize())

    def process_response(self, response: Response) -> None:
        """Check the response of the opening handshake, and use what it says (RFC 6455, section
        4.1).

        Called when the response is received.

        Raises:
            InvalidHandshake: The handshake fails.

        """
        if response.status_code != 101:
            raise InvalidStatus(response)
        headers = response.headers
        check_response(headers, self.key)
        self.extensions = self.process_extensions(headers)
        self.subprotocol = self.process_subprotocol(headers)

    def process_extensions(self, headers: Headers) -> list[Extension]:
        """Make the extensions that the server chose.

        Each must be one that was offered. Order matters: it is the order in which they encode
        frames (RFC 6455, section 9.1). There may be several factories for an extension; the first
        that accepts the server's parameters makes it.

        Args:
            headers: Headers of the response.

        Raises:
            NegotiationError: An extension wasn't offered, or not with these parameters.
            InvalidHeaderFormat: The header can't be parsed.

        """
        accepted: list[Extension] = []
        values = headers.get_all("Sec-WebSocket-Extensions")
        if not values:
            return accepted
        if not self.available_extensions:
            raise NegotiationError("no extensions supported")
        chosen: list[ExtensionHeader] = [
            extension for value in values for extension in parse_extension(value)
        ]
        for name, params in chosen:
            cause: NegotiationError | None = None
            for factory in self.available_extensions:
                if factory.name != name:
                    continue
                try:
                    accepted.append(factory.process_response_params(params, accepted))
                    break
                except NegotiationError as exc:
                    cause = exc
            else:
                unsupported = build_extension([(name, params)])
                raise NegotiationError(f"unsupported extension: {unsupported}") from cause
        return accepted

    def process_subprotocol(self, headers: Headers) -> Subprotocol | None:
        """Return the subprotocol that the server chose; :obj:`None` if it chose none.

        Args:
            headers: Headers of the response.

        Raises:
            NegotiationError: The subprotocol wasn't offered.
            InvalidHeader: There are several.

        """
        values = headers.get_all("Sec-WebSocket-Protocol")
        if not values:
            return None
        if not self.available_subprotocols:
            raise NegotiationError("no subprotocols supported")
        chosen = [subprotocol for value in values for subprotocol in parse_subprotocol(value)]
        if len(chosen) > 1:
            raise InvalidHeader("Sec-WebSocket-Protocol", f"multiple values: {', '.join(chosen)}")
        if chosen[0] not in self.available_subprotocols:
            raise NegotiationError(f"unsupported subprotocol: {chosen[0]}")
        return chosen[0]

    def _receive_handshake(self, data: bytes) -> None:
        try:
            response = self._response_reader.feed(data)
        except (SecurityError, ValueError) as exc:
            self._refuse(invalid_response(exc))
            return
        if response is not None:
            self._receive_response(response)
            if self._state is State.OPEN and self._response_reader.rest:
                self._receive_frames(self._response_reader.rest)

    def _receive_handshake_eof(self) -> None:
        try:
            response = self._response_reader.feed_eof()
        except EOFError as exc:
            self._refuse(invalid_response(exc))
        else:
            self._receive_response(response)

    def _receive_response(self, response: Response) -> None:
        if self.debug:
            reason = escape(response.reason_phrase)
            self.logger.debug("< HTTP/1.1 %d %s", response.status_code, reason)
            self._log_headers("<", response.headers)
            if response.body:
                self.logger.debug("< [body] (%d bytes)", len(response.body))
        try:
            self.process_response(response)
        except Exception as exc:  # of an extension that isn't ours, too
            response._protocol = weakref.ref(self)
            self._refuse(exc)
        else:
            self._change_state(Transition.OPENED)
        self._events.append(response)

    def _refuse(self, exc: Exception) -> None:
        """End the opening handshake without a connection."""
        self.handshake_exc = exc
        if isinstance(exc, InvalidHandshake):
            forget_tracebacks(exc)
        self._discarding = True
        self._change_state(Transition.REFUSED)
        # There is no closing handshake, and nothing else to wait for.
        self.send_eof()


def customize_request(
    request: Request, additional_headers: HeadersLike | None, user_agent_header: str | None
) -> None:
    """Add to a request what the arguments of ``connect()`` say.

    Args:
        request: The request, from :meth:`ClientProtocol.connect`.
        additional_headers: Headers to add. Those that a request has once, such as ``Host``, replace
            the ones that are there.
        user_agent_header: Value of the ``User-Agent`` header, unless it is among the additional
            headers; :obj:`None` for none.

    """
    headers = request.headers
    if user_agent_header is not None:
        headers["User-Agent"] = user_agent_header
    if additional_headers is not None:
        additional = Headers()
        additional.update(additional_headers)
        for name in ("Authorization", "Host", "Origin", "User-Agent"):
            if name in additional and name in headers:
                del headers[name]
        headers.update(additional)


def invalid_response(cause: Exception) -> InvalidMessage:
    """Return the exception for a response that isn't valid, or not within the limits."""
    exc = InvalidMessage("did not receive a valid HTTP response")
    exc.__cause__ = cause
    return exc


def _accept_earlier_name(init: Any) -> Any:
    """Let ``wsuri`` stand for ``uri``, as the argument was called at first."""

    @functools.wraps(init)
    def __init__(self: ClientProtocol, *args: Any, **kwargs: Any) -> None:
        if "wsuri" in kwargs and not args and "uri" not in kwargs:
            kwargs["uri"] = kwargs.pop("wsuri")
        init(self, *args, **kwargs)

    return __init__


# Not a decorator: type checkers are to see the signature as it is written.
if not TYPE_CHECKING:  # pragma: no branch  # when this runs, it is so
    ClientProtocol.__init__ = _accept_earlier_name(ClientProtocol.__init__)
