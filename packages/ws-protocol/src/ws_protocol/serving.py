"""What a server does with its connections besides I/O: it answers requests, with functions of the
user's that have a say, and ends connections as their handlers end.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import logging
import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

from .connection import BaseConnection
from .exceptions import ConnectionClosed, ConnectionClosedOK, InvalidHandshake
from .http11 import Request, Response
from .server import ServerProtocol, complete_response, customize_response, describe
from .state import State
from .typing import StatusLike, Subprotocol

__all__ = [
    "Responder",
    "SubprotocolSelector",
    "answer_request",
    "await_hooks",
    "log_handler_failure",
    "log_info",
    "log_opening",
    "refuse_connection",
    "run_hooks",
]

Hook = Callable[..., Any]


class Responder:
    """What a server's connection has for the functions of the user's that make responses."""

    protocol: ServerProtocol

    def respond(self, status: StatusLike, text: str) -> Response:
        r"""Make a plain text response, for ``process_request`` to return.

        You can change it, adding headers for example::

            def process_request(connection, request):
                if not authorized(request):
                    response = connection.respond(http.HTTPStatus.UNAUTHORIZED, "Who are you?\n")
                    response.headers["WWW-Authenticate"] = ...
                    return response

        Args:
            status: HTTP status code.
            text: Body.

        """
        return self.protocol.reject(status, text)


class SubprotocolSelector:
    """A user's function that chooses a subprotocol, for a protocol to call.

    The user's function gets the connection, which the protocol doesn't know: :meth:`bind` tells it.
    The connection refers to the protocol, and must not the other way round.

    Args:
        select: The function, which gets the connection and the subprotocols that are offered.

    """

    def __init__(self, select: Callable[[Any, Sequence[Subprotocol]], Subprotocol | None]) -> None:
        self._select = select
        self._reference: weakref.ref[Any] | None = None

    def bind(self, connection: Any) -> None:
        """Say which connection it is."""
        self._reference = weakref.ref(connection)

    def __call__(
        self, protocol: ServerProtocol, subprotocols: Sequence[Subprotocol]
    ) -> Subprotocol | None:
        """Choose a subprotocol."""
        assert self._reference is not None
        return self._select(self._reference(), subprotocols)


def answer_request(
    connection: BaseConnection[Any],
    *,
    is_serving: Callable[[], bool],
    process_request: Hook | None = None,
    process_response: Hook | None = None,
    server_header: str | None = None,
) -> Generator[Callable[[], Any], Any, None]:
    """Answer the request of the opening handshake, once it was received.

    It does nothing if there is no request, because the handshake failed before. The I/O layer sends
    what the protocol wants to send afterwards.

    It is a generator, because only the I/O layer can call functions of the user's: they may be
    coroutine functions, or take their time. It yields what to call, without arguments. Send back
    what that returns, or throw what it raises: :func:`await_hooks` or :func:`run_hooks` do.

    Args:
        connection: The connection.
        is_serving: Tells whether the server accepts connections. If it doesn't, it closes, and the
            request is refused with HTTP status 503 (service unavailable).
        process_request: Called with the connection and the request. Returns :obj:`None` to go on,
            or a response to send instead.
        process_response: Called with the connection, the request and the response. May change the
            response, and returns :obj:`None`, or returns another to send instead.
        server_header: Value of the ``Server`` header; :obj:`None` for none.

    Yields:
        Functions to call.

    """
    session = connection.session
    protocol = session.protocol
    assert isinstance(protocol, ServerProtocol)
    request = session.request
    if request is None or protocol.state is not State.CONNECTING:
        return
    response = None
    if process_request is not None:
        response = yield from _run_hook(protocol, process_request, connection, request)
    if response is None:
        with _logged_as(connection):
            response = protocol.accept(request) if is_serving() else protocol.reject_closing()
        complete_response(response, server_header)
    else:
        response = customize_response(response, server_header)
    if process_response is not None:
        another = yield from _run_hook(protocol, process_response, connection, request, response)
        if another is not None:
            response = another
    # The client may be gone by now, or refused.
    if protocol.state is not State.CONNECTING or protocol.close_expected():
        return
    session.response = response
    protocol.send_response(_announce_end(response))


def _announce_end(response: Response) -> Response:
    """Return a response that says so if the TCP connection ends with it (RFC 9112, section 9.6).

    Else a reverse proxy that keeps connections sends the request of another client on this one.
    """
    if response.status_code == 101 or "Connection" in response.headers:
        return response
    response = dataclasses.replace(response, headers=response.headers.copy())
    response.headers["Connection"] = "close"
    return response


def refuse_connection(
    connection: BaseConnection[Any], make_response: Callable[[ServerProtocol], Response]
) -> bool:
    """Refuse a connection, whether its request is there or not, unless it was answered already.

    The I/O layer processes afterwards what was received, and sends what the protocol wants to send.

    Args:
        connection: The connection.
        make_response: Makes the response, of the protocol.

    Returns:
        Whether it was refused.

    """
    session = connection.session
    protocol = session.protocol
    assert isinstance(protocol, ServerProtocol)
    if protocol.state is not State.CONNECTING or protocol.close_expected():
        return False
    session.response = make_response(protocol)
    protocol.send_response(session.response)
    return True


async def await_hooks(steps: Generator[Callable[[], Any], Any, None]) -> None:
    """Run :func:`answer_request` where the functions of the user's may return awaitables.

    Args:
        steps: What it returned.

    """
    try:
        function = next(steps)
        while True:
            try:
                result = function()
                if inspect.isawaitable(result):
                    result = await result
            except Exception as exc:
                function = steps.throw(exc)
            else:
                function = steps.send(result)
    except StopIteration:
        pass


def run_hooks(
    steps: Generator[Callable[[], Any], Any, None], lock: contextlib.AbstractContextManager[Any]
) -> None:
    """Run :func:`answer_request` where other threads use the connection, and the functions of the
    user's return no awaitables.

    Args:
        steps: What it returned.
        lock: What to hold, but not while functions of the user's run.

    """
    with contextlib.suppress(StopIteration):
        with lock:
            function = next(steps)
        while True:
            try:
                result = function()
            except Exception as exc:
                with lock:
                    function = steps.throw(exc)
            else:
                with lock:
                    function = steps.send(result)


def _run_hook(
    protocol: ServerProtocol,
    function: Hook,
    connection: BaseConnection[Any],
    *args: Request | Response,
) -> Generator[Callable[[], Any], Any, Response | None]:
    """Call a function of the user's that may make or change the response.

    Returns:
        What it returns; a response with status 500 if it raises an exception.

    """
    try:
        response = yield functools.partial(function, connection, *args)
        if response is not None and not isinstance(response, Response):
            raise TypeError(
                f"expected a Response or None, got {type(response).__name__}; "
                "connection.respond(status, text) makes a response"
            )
    except Exception as exc:
        with _logged_as(connection):
            return protocol.reject_error(exc)
    return response


@contextlib.contextmanager
def _logged_as(connection: BaseConnection[Any]) -> Iterator[None]:
    """Have what the protocol logs refer to its connection, at any level."""
    protocol = connection.protocol
    logger, protocol.logger = protocol.logger, connection.logger
    try:
        yield
    finally:
        protocol.logger = logger


def log_info(connection: BaseConnection[Any], message: str, *args: object) -> None:
    """Log something about a connection at level INFO.

    The connection's logger is made for each record, and there is none if that level isn't logged.

    Args:
        connection: The connection.
        message: The message.
        args: What to put into it.

    """
    if connection.protocol.logger.isEnabledFor(logging.INFO):
        connection.logger.info(message, *args, stacklevel=2)


def log_opening(connection: BaseConnection[Any]) -> bool:
    """Log how the opening handshake ended.

    Args:
        connection: The connection.

    Returns:
        Whether the connection was opened. It may be closed again, and have messages to receive.

    """
    response, failure = connection.response, connection.protocol.handshake_exc
    # Not its state: the client may have sent messages and closed it by now.
    if response is not None and response.status_code == 101:
        log_info(connection, "connection open")
        return True
    if response is not None:
        log_info(
            connection,
            "connection rejected (%d %s)",
            response.status_code,
            response.reason_phrase,
        )
    elif connection.request is None and isinstance(failure, InvalidHandshake):
        log_info(connection, "opening handshake failed: %s", describe(failure))
    else:
        log_info(connection, "connection closed during the opening handshake")
    return False


def log_handler_failure(connection: BaseConnection[Any], exc: Exception) -> bool:
    """Log that a connection handler raised an exception.

    Args:
        connection: The connection.
        exc: The exception.

    Returns:
        Whether that is a failure, and the connection is to be closed with code 1011 (internal
        error). It isn't if the connection was closed, whatever the handler was doing: it couldn't
        help that. But it may have used another connection.

    """
    logger = connection.logger
    closed = _find_closed(exc)
    if closed is not None and connection.state is not State.OPEN:
        if not isinstance(closed, ConnectionClosedOK):
            logger.info("connection lost: %s", closed)
        return False
    logger.error("connection handler failed", exc_info=exc)
    return True


def _find_closed(exc: BaseException) -> ConnectionClosed | None:
    """Return the exception that tells that a connection was closed, if there is no other: alone, or
    in a group, from a handler with tasks of its own."""
    while isinstance(exc, BaseExceptionGroup):
        if exc.split(ConnectionClosed)[1] is not None:
            return None
        exc = exc.exceptions[0]
    return exc if isinstance(exc, ConnectionClosed) else None
