"""A server's side of the opening handshake (RFC 6455, section 4.2)."""

from __future__ import annotations

import dataclasses
import functools
import http
import re
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Literal, cast

from .datastructures import Headers
from .exceptions import (
    HeaderLineTooLong,
    InvalidHandshake,
    InvalidHeader,
    InvalidHeaderValue,
    InvalidMessage,
    InvalidMethod,
    InvalidOrigin,
    InvalidProtocol,
    InvalidState,
    InvalidUpgrade,
    NegotiationError,
    RequestLineTooLong,
    SecurityError,
    TooManyHeaders,
)
from .extensions.base import Extension, ServerExtensionFactory
from .frames import CloseCode
from .handshake import UPGRADE, accept_key, check_request, get_single
from .headers import (
    build_extension,
    is_valid_host,
    parse_extension,
    parse_subprotocol,
    validate_subprotocols,
)
from .http11 import Request, RequestReader, Response, absolute_form
from .limits import MAX_EARLY_DATA, MAX_SIZE
from .origins import SAME_ORIGIN, is_allowed_host, is_same_origin
from .protocol import Protocol
from .state import Side, State, Transition
from .tracebacks import forget_tracebacks
from .typing import ExtensionHeader, LoggerLike, Origin, StatusLike, Subprotocol

__all__ = ["ServerProtocol", "build_date", "complete_response", "customize_response"]

# Names in dates (RFC 9110, section 5.6.7), as time.struct_time counts them.
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class ServerProtocol(Protocol):
    """A WebSocket connection of a server, without I/O.

    Args:
        origins: Acceptable values of the ``Origin`` header: strings that must be equal, regular
            expressions that must match the whole value, :obj:`None` for requests that have no such
            header, and ``"same-origin"`` for pages that came from this server, see
            :func:`~ws_protocol.origins.is_same_origin`. ``"same-origin"`` alone, not in a list, is
            that and :obj:`None`. By default, all are acceptable.
        allowed_hosts: Names that this server has, see :func:`~ws_protocol.origins.is_allowed_host`.
            By default, any.
        extensions: Extensions to accept, in order of preference.
        subprotocols: Subprotocols to accept, in order of preference.
        select_subprotocol: Chooses one of the subprotocols that the client offers, and returns it
            or :obj:`None`; it may raise :exc:`~ws_protocol.exceptions.NegotiationError` to refuse
            the connection. It gets the connection and the list of what is offered. By default, the
            first of ``subprotocols`` that the client offers is chosen, and a client that offers
            none of them is refused.
        state: State to begin with.
        max_size: Limit on the payload of a message, in bytes, after extensions decoded it;
            :obj:`None` for no limit. A pair sets a limit for messages and one for frames, each of
            which may be :obj:`None`.
        logger: Logger; ``logging.getLogger("websockets.server")`` by default.

    Raises:
        TypeError: ``subprotocols`` or ``allowed_hosts`` isn't a list, or ``origins`` is another
            string.
        ValueError: A subprotocol isn't a token, or a host isn't valid.

    Attributes:
        origins: Acceptable values of the ``Origin`` header.
        allowed_hosts: Names that this server has, or :obj:`None`.
        available_extensions: Extensions to accept.
        available_subprotocols: Subprotocols to accept.

    """

    origin: Origin | None
    extensions: list[Extension]
    subprotocol: Subprotocol | None
    handshake_exc: Exception | None

    def __init__(
        self,
        *,
        origins: (Sequence[Origin | re.Pattern[str] | None] | Literal["same-origin"] | None) = None,
        allowed_hosts: Sequence[str | re.Pattern[str]] | None = None,
        extensions: Sequence[ServerExtensionFactory] | None = None,
        subprotocols: Sequence[Subprotocol] | None = None,
        select_subprotocol: (
            Callable[[ServerProtocol, Sequence[Subprotocol]], Subprotocol | None] | None
        ) = None,
        state: State = State.CONNECTING,
        max_size: int | tuple[int | None, int | None] | None = MAX_SIZE,
        logger: LoggerLike | None = None,
    ) -> None:
        super().__init__(Side.SERVER, state=state, max_size=max_size, logger=logger)
        if subprotocols is not None:
            validate_subprotocols(subprotocols)
        if origins == SAME_ORIGIN:
            origins = cast(list[Origin | None], [SAME_ORIGIN, None])
        elif isinstance(origins, str):
            raise TypeError(f"origins must be a list, or {SAME_ORIGIN!r}")
        self.origins: Sequence[Origin | re.Pattern[str] | None] | None = origins
        if isinstance(allowed_hosts, str):
            raise TypeError("allowed_hosts must be a list")
        for allowed in allowed_hosts or ():
            if isinstance(allowed, str) and not is_valid_host(allowed):
                raise ValueError(f"invalid host: {allowed!r}")
        self.allowed_hosts: Sequence[str | re.Pattern[str]] | None = allowed_hosts
        self.available_extensions = extensions
        self.available_subprotocols = subprotocols
        self._select_subprotocol = select_subprotocol
        self._request_reader: RequestReader | None = RequestReader()
        # Whether the response must not have a body.
        self._head_only = False
        # What arrived after the request, until there is a response; None once it is too much.
        self._early_data: bytearray | None = bytearray()

    def accept(self, request: Request) -> Response:
        """Make the response to a request of the opening handshake.

        Never raises an exception: if the handshake fails, the response says so, and
        :attr:`handshake_exc` says why. You can change the response, adding headers for example,
        before you pass it to :meth:`send_response`.

        Args:
            request: The request, from :meth:`~ws_protocol.protocol.Protocol.events_received`.

        Returns:
            A response with status 101, or 400, 403, 405, 426, 500 or 505.

        """
        try:
            accept, extensions, subprotocol = self.process_request(request)
        except Exception as exc:
            request._protocol = weakref.ref(self)
            return self.reject_because(exc)
        headers = Headers()
        headers.update_insecure(
            [("Date", build_date()), *UPGRADE, ("Sec-WebSocket-Accept", accept)]
        )
        if extensions is not None:
            headers["Sec-WebSocket-Extensions"] = extensions
        if subprotocol is not None:
            headers["Sec-WebSocket-Protocol"] = subprotocol
        return Response(101, "Switching Protocols", headers)

    def process_request(self, request: Request) -> tuple[str, str | None, str | None]:
        """Check a request of the opening handshake, and negotiate what is to be negotiated
        (RFC 6455, section 4.2).

        Sets :attr:`origin`, :attr:`extensions` and :attr:`subprotocol`.

        Args:
            request: The request.

        Returns:
            Values of the headers ``Sec-WebSocket-Accept``, ``Sec-WebSocket-Extensions`` and
            ``Sec-WebSocket-Protocol``; :obj:`None` where there is to be no such header.

        Raises:
            InvalidHandshake: The handshake fails.

        """
        if request.method != "GET":
            raise InvalidMethod(request.method)
        if request.protocol != "HTTP/1.1":
            raise InvalidProtocol(request.protocol)
        headers = request.headers
        self._check_host(headers)
        key = check_request(headers)
        self.origin = self.process_origin(headers)
        extensions, self.extensions = self.process_extensions(headers)
        self.subprotocol = self.process_subprotocol(headers)
        return accept_key(key), extensions, self.subprotocol

    def _check_host(self, headers: Headers) -> None:
        """Check that the ``Host`` header is one of those that this server has.

        Raises:
            InvalidHeader: It isn't.

        """
        # RFC 9112, section 3.2: without one valid Host header, the answer must be 400.
        host = get_single(headers, "Host")
        if not is_valid_host(host) or (
            self.allowed_hosts is not None and not is_allowed_host(host, self.allowed_hosts)
        ):
            raise InvalidHeaderValue("Host", host)

    def process_origin(self, headers: Headers) -> Origin | None:
        """Check the ``Origin`` header (RFC 6455, sections 4.2.2 and 10.2).

        Args:
            headers: Headers of the request.

        Returns:
            Its value; :obj:`None` if there is none.

        Raises:
            InvalidOrigin: It isn't acceptable.
            InvalidHeader: It is repeated.

        """
        values = headers.get_all("Origin")
        if len(values) > 1:
            raise InvalidHeader("Origin", "multiple values")
        origin = Origin(values[0]) if values else None
        if self.origins is not None and not any(
            self._accepts_origin(acceptable, origin, headers) for acceptable in self.origins
        ):
            raise InvalidOrigin(origin)
        return origin

    def _accepts_origin(
        self, acceptable: Origin | re.Pattern[str] | None, origin: Origin | None, headers: Headers
    ) -> bool:
        if origin is None:
            return acceptable is None
        if isinstance(acceptable, re.Pattern):
            return acceptable.fullmatch(origin) is not None
        if acceptable == SAME_ORIGIN:
            return is_same_origin(origin, headers.get("Host") or "")
        return acceptable == origin

    def process_extensions(self, headers: Headers) -> tuple[str | None, list[Extension]]:
        """Choose extensions among those that the client offers (RFC 6455, section 9.1).

        The order of the client's offers is kept. For each, the first factory that accepts its
        parameters makes the extension; offers that none accepts are passed over.

        Args:
            headers: Headers of the request.

        Returns:
            Value of the ``Sec-WebSocket-Extensions`` header of the response, :obj:`None` if there
            is to be none, and the extensions.

        Raises:
            InvalidHeaderFormat: The header can't be parsed.

        """
        chosen: list[ExtensionHeader] = []
        accepted: list[Extension] = []
        offers = [
            offer
            for value in headers.get_all("Sec-WebSocket-Extensions")
            for offer in parse_extension(value)
        ]
        for name, params in offers:
            for factory in self.available_extensions or ():
                if factory.name != name:
                    continue
                try:
                    response_params, extension = factory.process_request_params(params, accepted)
                except NegotiationError:
                    continue
                chosen.append((name, response_params))
                accepted.append(extension)
                break
        return build_extension(chosen) if chosen else None, accepted

    def process_subprotocol(self, headers: Headers) -> Subprotocol | None:
        """Choose a subprotocol among those that the client offers (RFC 6455, section 4.2.2).

        Args:
            headers: Headers of the request.

        Returns:
            The subprotocol; :obj:`None` for none.

        Raises:
            NegotiationError: There is none that both sides support.
            InvalidHeaderFormat: The header can't be parsed.

        """
        offered = [
            subprotocol
            for value in headers.get_all("Sec-WebSocket-Protocol")
            for subprotocol in parse_subprotocol(value)
        ]
        return self.select_subprotocol(offered)

    def select_subprotocol(self, subprotocols: Sequence[Subprotocol]) -> Subprotocol | None:
        """Choose a subprotocol.

        Args:
            subprotocols: What the client offers, in its order of preference.

        Returns:
            The subprotocol; :obj:`None` for none.

        Raises:
            NegotiationError: There is none that both sides support.

        """
        if self._select_subprotocol is not None:
            subprotocol = self._select_subprotocol(self, subprotocols)
            if subprotocol is not None:
                validate_subprotocols([subprotocol])
            return subprotocol
        if not self.available_subprotocols:
            return None
        for subprotocol in self.available_subprotocols:
            if subprotocol in subprotocols:
                return subprotocol
        if not subprotocols:
            raise NegotiationError("missing subprotocol")
        raise NegotiationError(
            f"invalid subprotocol; expected one of {', '.join(self.available_subprotocols)}"
        )

    def reject(self, status: StatusLike, text: str) -> Response:
        """Make a response that refuses the opening handshake.

        You can change it before you pass it to :meth:`send_response`.

        Args:
            status: HTTP status code.
            text: Body, sent as plain text.

        """
        status = http.HTTPStatus(status)
        body = text.encode()
        headers = Headers()
        headers["Date"] = build_date()
        headers["Connection"] = "close"
        headers["Content-Length"] = str(len(body))
        headers["Content-Type"] = "text/plain; charset=utf-8"
        return Response(status.value, status.phrase, headers, body)

    def reject_closing(self) -> Response:
        """Make the response for clients that connect while the server closes: status 503 (service
        unavailable)."""
        return self.reject(http.HTTPStatus.SERVICE_UNAVAILABLE, "Server is shutting down.\n")

    def send_response(self, response: Response) -> None:
        """Send the response of the opening handshake.

        The connection is open afterwards if its status is 101. Otherwise, this side of the TCP
        connection is closed. The body isn't sent if the request has the method HEAD, or if the
        response has status 204 or 304.

        Args:
            response: The response.

        Raises:
            InvalidState: There was a response already, or the connection is closed.
            ValueError: The reason phrase isn't possible in HTTP.

        """
        if self._discarding:
            raise InvalidState("opening handshake failed already")
        if self._head_only or response.status_code in (204, 304):
            # RFC 9110, sections 9.3.2, 15.3.5 and 15.4.5.
            response = dataclasses.replace(response, body=b"")
        if response.status_code == 204 and "Content-Length" in response.headers:
            # RFC 9110, section 8.6: not even 0.
            response = dataclasses.replace(response, headers=response.headers.copy())
            del response.headers["Content-Length"]
        data = response.serialize()
        opened = response.status_code == 101
        self._change_state(Transition.OPENED if opened else Transition.REFUSED)
        if self.debug:
            self.logger.debug("> HTTP/1.1 %d %s", response.status_code, response.reason_phrase)
            self._log_headers(">", response.headers)
            if response.body:
                self.logger.debug("> [body] (%d bytes)", len(response.body))
        self._writes.append(data)
        if not opened:
            if self.handshake_exc is None:
                self.handshake_exc = InvalidHandshake(
                    f"rejected connection: HTTP {response.status_code}"
                )
            self._discarding = True
            self.send_eof()
        elif self._early_data is None:
            self.fail(CloseCode.POLICY_VIOLATION, "received data before the opening handshake")
        elif self._early_data:
            early_data, self._early_data = self._early_data, bytearray()
            self._receive_frames(bytes(early_data))

    def reject_error(self, exc: Exception) -> Response:
        """Make the response to a request that this side failed to process, and log why.

        Args:
            exc: Why; not a mistake of the client.

        Returns:
            A response with status 500.

        """
        self.logger.error("opening handshake failed", exc_info=exc)
        response = self.reject(
            http.HTTPStatus.INTERNAL_SERVER_ERROR,
            "Failed to open a WebSocket connection.\nSee server log for more information.\n",
        )
        self.handshake_exc = exc
        return response

    def _receive_handshake(self, data: bytes) -> None:
        if self._request_reader is None:
            if self._early_data is not None:
                self._early_data += data
                if len(self._early_data) > MAX_EARLY_DATA:
                    self._early_data = None
            return
        try:
            request = self._request_reader.feed(data)
        except (SecurityError, InvalidProtocol) as exc:
            self.send_response(self.reject_because(exc))
        except ValueError as exc:
            invalid = InvalidMessage("did not receive a valid HTTP request")
            invalid.__cause__ = exc
            self.send_response(self.reject_because(invalid))
        else:
            if request is not None:
                rest = self._request_reader.rest
                self._request_reader = None
                self._head_only = request.method == "HEAD"
                absolute = absolute_form.match(request.path)
                if absolute is not None and len(request.headers.get_all("Host")) == 1:
                    # RFC 9112, section 3.2.2: it must be ignored, and the host of the target used.
                    del request.headers["Host"]
                    request.headers.set_insecure("Host", absolute[1])
                if self.debug:
                    self.logger.debug("< %s %s %s", request.method, request.path, request.protocol)
                    self._log_headers("<", request.headers)
                self._events.append(request)
                if rest:
                    self._receive_handshake(rest)

    def _receive_handshake_eof(self) -> None:
        if self._request_reader is not None:
            self.handshake_exc = InvalidMessage("did not receive a valid HTTP request")
            self.handshake_exc.__cause__ = EOFError("connection closed while reading HTTP request")

    def reject_because(self, exc: Exception) -> Response:
        """Make the response that says why the opening handshake failed.

        Sets :attr:`handshake_exc`.

        Args:
            exc: Why.

        Returns:
            A response with status 403, 405, 414, 426, 431 or 505 where one of them tells it, with
            400 for other mistakes of the client, and with 500 for all else.

        """
        self.handshake_exc = exc
        if self.debug:
            self.logger.debug("! %s", describe(exc))
        if not isinstance(exc, InvalidHandshake):
            return self.reject_error(exc)
        forget_tracebacks(exc)
        # The cause of the reader's exception says what is wrong with the request. That of another
        # is a matter of the user's function that raised it.
        reason = describe(exc, causes=isinstance(exc, InvalidMessage))
        text = f"Failed to open a WebSocket connection: {reason}.\n"
        headers: dict[str, str] = {}
        if isinstance(exc, InvalidOrigin):
            status = http.HTTPStatus.FORBIDDEN
        elif isinstance(exc, InvalidUpgrade):
            status = http.HTTPStatus.UPGRADE_REQUIRED
            headers["Upgrade"] = "websocket"
            text += (
                "\nYou cannot access a WebSocket server directly with a browser. "
                "You need a WebSocket client.\n"
            )
        elif isinstance(exc, InvalidHeaderValue) and exc.name == "Sec-WebSocket-Version":
            # RFC 6455, section 4.4: say which version would do.
            status = http.HTTPStatus.UPGRADE_REQUIRED
            headers["Upgrade"] = "websocket"
            headers["Sec-WebSocket-Version"] = "13"
        elif isinstance(exc, InvalidMethod):
            status = http.HTTPStatus.METHOD_NOT_ALLOWED
            headers["Allow"] = "GET"
        elif isinstance(exc, InvalidProtocol):
            status = http.HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
        elif isinstance(exc, RequestLineTooLong):
            status = http.HTTPStatus.REQUEST_URI_TOO_LONG
        elif isinstance(exc, (HeaderLineTooLong, TooManyHeaders)):
            status = http.HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        else:
            status = http.HTTPStatus.BAD_REQUEST
        response = self.reject(status, text)
        if "Upgrade" in headers:
            # RFC 9110, section 7.8: else intermediaries may forward it.
            del response.headers["Connection"]
            headers["Connection"] = "close, Upgrade"
        response.headers.update(headers)
        return response


def describe(exc: BaseException, *, causes: bool = True) -> str:
    """Return what an exception and, unless they aren't wanted, those that caused it say."""
    texts = []
    cause: BaseException | None = exc
    while cause is not None:
        texts.append(str(cause))
        cause = cause.__cause__ if causes else None
    # In the original API, headers show bytes outside ASCII as surrogates, which can't be encoded.
    return "; ".join(texts).encode(errors="backslashreplace").decode()


def build_date() -> str:
    """Return the value of a ``Date`` header: a server with a clock must send it (RFC 9110, section
    6.6.1).

    It is the one function here that asks for the time. That decides nothing.
    """
    return _format_date(int(time.time()))


@functools.lru_cache(maxsize=1)
def _format_date(seconds: int) -> str:
    # Neither strftime(), which depends on the locale, nor email.utils, which is large. To import it
    # when a request is to be answered may not be possible any more: when there are no file
    # descriptors left, or in a sandbox.
    now = time.gmtime(seconds)
    return (
        f"{_DAYS[now.tm_wday]}, {now.tm_mday:02} {_MONTHS[now.tm_mon - 1]} {now.tm_year:04} "
        f"{now.tm_hour:02}:{now.tm_min:02}:{now.tm_sec:02} GMT"
    )


def complete_response(response: Response, server_header: str | None) -> None:
    """Add to a response what every response of a server has.

    Args:
        response: The response.
        server_header: Value of the ``Server`` header, unless there is one; :obj:`None` for none.

    """
    if server_header is not None and "Server" not in response.headers:
        response.headers["Server"] = server_header
    if "Date" not in response.headers:
        response.headers["Date"] = build_date()


def customize_response(response: Response, server_header: str | None) -> Response:
    """Return a response with what :func:`complete_response` adds.

    The response itself stays as it is: it may be one that serves for many connections.
    """
    response = dataclasses.replace(response, headers=response.headers.copy())
    complete_response(response, server_header)
    return response
