"""Running a WebSocket server (RFC 6455, section 4.2)."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import http
import inspect
import os
from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from types import TracebackType
from typing import Any, TypeAlias, cast

from ws_protocol.datastructures import Headers, HeadersLike
from ws_protocol.exceptions import (
    InvalidHandshake,
    InvalidHeaderValue,
    InvalidMessage,
    InvalidMethod,
    InvalidProtocol,
)
from ws_protocol.extensions.base import Extension, ServerExtensionFactory
from ws_protocol.extensions.permessage_deflate import choose_server_extensions
from ws_protocol.frames import CloseCode
from ws_protocol.handshake import get_single
from ws_protocol.headers import is_valid_host, parse_subprotocol, validate_subprotocols
from ws_protocol.http11 import SERVER, Response
from ws_protocol.limits import MAX_SIZE
from ws_protocol.protocol import State
from ws_protocol.server import ServerProtocol, build_date
from ws_protocol.session import Session
from ws_protocol.tracebacks import forget_tracebacks
from ws_protocol.typing import LoggerLike, Origin, StatusLike, Subprotocol

from ._deprecation import (
    drop_empty_origin,
    reject_new_arguments,
    rename_arguments,
    warn_about,
    warn_caller,
)
from ._server import WebSocketServer
from .exceptions import AbortHandshake
from .handshake import build_response, check_request
from .http import escape, unescape
from .protocol import WebSocketCommonProtocol, broadcast

__all__ = [
    "HTTPResponse",
    "HeadersLikeOrCallable",
    "Serve",
    "WebSocketServer",
    "WebSocketServerProtocol",
    "broadcast",
    "remove_path_argument",
    "serve",
    "unix_serve",
]

HeadersLikeOrCallable: TypeAlias = HeadersLike | Callable[[str, Headers], HeadersLike]
"""Headers to add to a response, or a function that gets path and headers of the request, and
returns them."""

HTTPResponse: TypeAlias = tuple[StatusLike, HeadersLike, bytes]
"""An HTTP response: status code, headers and body."""


def retrieve_exception(task: asyncio.Task[None]) -> None:
    """Have asyncio not report how a task ended: it has raised that at once, if it is SystemExit."""
    if not task.cancelled():
        task.exception()


class WebSocketServerProtocol(WebSocketCommonProtocol):
    """A WebSocket connection of a server.

    :func:`serve` makes it.

    It is an asynchronous iterator over the messages it receives.

    Args:
        ws_handler: Connection handler.
        ws_server: The server; :class:`WebSocketServer`, or whatever has its methods
            :meth:`~WebSocketServer.register`, :meth:`~WebSocketServer.unregister` and
            :meth:`~WebSocketServer.is_serving`.
        logger: Logger; ``logging.getLogger("websockets.server")`` by default.
        origins: As for :func:`serve`.
        extensions: As for :func:`serve`.
        subprotocols: As for :func:`serve`.
        extra_headers: As for :func:`serve`.
        server_header: As for :func:`serve`.
        process_request: As for :func:`serve`.
        select_subprotocol: As for :func:`serve`.
        open_timeout: As for :func:`serve`.
        kwargs: Other arguments of :class:`~ws_legacy.protocol.WebSocketCommonProtocol`.

    Attributes:
        handler_task: The task of the connection, from the TCP connection on until the connection
            handler has returned.
        origin: The client's origin, or :obj:`None`.

    """

    is_client = False
    side = "server"

    handler_task: asyncio.Task[None]
    path: str
    request_headers: Headers
    response_headers: Headers
    extensions: Sequence[Extension]
    subprotocol: Subprotocol | None

    _protocol: ServerProtocol

    def __init__(
        self,
        ws_handler: Callable[..., Awaitable[Any]],
        ws_server: WebSocketServer,
        *,
        logger: LoggerLike | None = None,
        origins: Sequence[Origin | None] | None = None,
        extensions: Sequence[ServerExtensionFactory] | None = None,
        subprotocols: Sequence[Subprotocol] | None = None,
        extra_headers: HeadersLikeOrCallable | None = None,
        server_header: str | None = SERVER,
        process_request: (
            Callable[[str, Headers], Awaitable[HTTPResponse | None] | HTTPResponse | None] | None
        ) = None,
        select_subprotocol: (
            Callable[[Sequence[Subprotocol], Sequence[Subprotocol]], Subprotocol | None] | None
        ) = None,
        open_timeout: float | None = 10,
        **kwargs: Any,
    ) -> None:
        super().__init__(logger=logger, **kwargs)
        self.ws_handler: Callable[..., Awaitable[Any]] = remove_path_argument(ws_handler)
        self.ws_server = ws_server
        self.origins: Sequence[Origin | None] | None = drop_empty_origin(origins)
        self.available_extensions = extensions
        self.available_subprotocols = subprotocols
        self.extra_headers = extra_headers
        self.server_header = server_header
        self.open_timeout = open_timeout
        self.origin: Origin | None = None
        self._process_request = process_request
        self._select_subprotocol = select_subprotocol

    def _make_protocol(self, max_size: int | None, logger: LoggerLike | None) -> ServerProtocol:
        return ServerProtocol(max_size=max_size, logger=logger)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport of a new TCP connection, and start the task of the connection."""
        super().connection_made(transport)
        self.ws_server.register(self)
        self.handler_task = self.loop.create_task(self.handler())
        self.handler_task.add_done_callback(retrieve_exception)

    async def handler(self) -> None:
        """Open the connection, run its handler, and close it."""
        try:
            if await self._open():
                try:
                    await self.ws_handler(self)
                except Exception:
                    self.logger.error("connection handler failed", exc_info=True)
                    self.fail_connection(CloseCode.INTERNAL_ERROR)
                else:
                    await self.close()
            await self.wait_closed()
        except asyncio.CancelledError:
            self.fail_connection(CloseCode.INTERNAL_ERROR)
            raise
        finally:
            self.transport.abort()
            forget_tracebacks(self._protocol.handshake_exc)
            self.ws_server.unregister(self)
            self.logger.info("connection closed")

    async def _open(self) -> bool:
        """Perform the opening handshake, or refuse it; tell whether the connection is open."""
        try:
            async with asyncio.timeout(self.open_timeout):
                await self.handshake(
                    origins=self.origins,
                    available_extensions=self.available_extensions,
                    available_subprotocols=self.available_subprotocols,
                    extra_headers=self.extra_headers,
                )
        except TimeoutError:
            self.logger.debug("! opening handshake timed out")
            self.transport.abort()
        except Exception as exc:
            self._reject(exc)
        else:
            # Not if the client was gone by the time the response was to be sent.
            if self._session.response is not None:
                self.logger.info("connection open")
                return True
        return False

    def _reject(self, exc: Exception) -> None:
        """Refuse the opening handshake, unless that is done, or the client is gone."""
        protocol = self._protocol
        if protocol.state is not State.CONNECTING or protocol.close_expected():
            self.logger.info("connection rejected: %s", exc)
            return
        if isinstance(exc, AbortHandshake):
            status, headers, body = exc.status, exc.headers, exc.body
        else:
            response = protocol.reject_because(exc)
            status, headers, body = (
                http.HTTPStatus(response.status_code),
                response.headers,
                response.body,
            )
        self._add_headers(headers)
        headers.setdefault("Content-Length", str(len(body)))
        headers.setdefault("Content-Type", "text/plain")
        headers.setdefault("Connection", "close")
        self.write_http_response(status, headers, body)
        self.logger.info("connection rejected (%d %s)", status.value, status.phrase)

    def _add_headers(self, headers: Headers) -> None:
        """Add what every response has."""
        if "Date" not in headers:
            headers["Date"] = build_date()
        if self.server_header is not None and "Server" not in headers:
            headers["Server"] = self.server_header

    def _refuse(self) -> None:
        """Refuse the connection, if its request isn't there yet, because the server closes."""
        if not self._handshaking.done():
            self._protocol.handshake_exc = closing()
            self._process_received([])

    # Opening handshake

    async def read_http_request(self) -> tuple[str, Headers]:
        """Wait for the request of the opening handshake.

        Returns:
            Path and headers.

        Raises:
            InvalidHandshake: It isn't valid, or the connection is lost before it is complete.

        """
        await self._handshaking
        request = self._session.request
        if request is None:
            raise self._protocol.handshake_exc or InvalidMessage("did not receive an HTTP request")
        self.path = request.path
        self.request_headers = escape(request.headers)
        invalid: InvalidHandshake | None = None
        if request.method != "GET":
            invalid = InvalidMethod(request.method)
        elif request.protocol != "HTTP/1.1":
            invalid = InvalidProtocol(request.protocol)
        if invalid is not None:
            raise InvalidMessage("did not receive a valid HTTP request") from invalid
        return request.path, self.request_headers

    def write_http_response(
        self, status: http.HTTPStatus, headers: Headers, body: bytes | None = None
    ) -> None:
        """Send the response of the opening handshake.

        The connection is open afterwards if its status is 101.

        Args:
            status: Status.
            headers: Headers.
            body: Body.

        """
        self.response_headers = escape(headers)
        response = Response(status.value, status.phrase, headers, body or b"")
        self._session.response = response
        self._protocol.send_response(response)
        self._write()

    async def process_request(self, path: str, request_headers: Headers) -> HTTPResponse | None:
        """Look at the request of the opening handshake, and answer it if it isn't to open a
        connection: a health check, for example.

        Override it, or set the argument ``process_request`` of :func:`serve`. Then the opening
        handshake may not be completed for a while: ``open_timeout`` counts.

        Args:
            path: Path and query.
            request_headers: Headers.

        Returns:
            :obj:`None` to go on, or a triple of status, headers and body to answer with.

        Raises:
            AbortHandshake: Does the same as returning its arguments.

        """
        if self._process_request is None:
            return None
        response = self._process_request(path, request_headers)
        return await await_response(response, self._process_request)

    def process_origin(
        self, headers: Headers, origins: Sequence[Origin | None] | None = None
    ) -> Origin | None:
        """Check the ``Origin`` header (RFC 6455, sections 4.2.2 and 10.2).

        Args:
            headers: Headers of the request.
            origins: Acceptable values.

        Returns:
            Its value; :obj:`None` if there is none.

        Raises:
            InvalidOrigin: It isn't acceptable.

        """
        self._protocol.origins = origins
        return self._protocol.process_origin(headers)

    def process_extensions(
        self, headers: Headers, available_extensions: Sequence[ServerExtensionFactory] | None
    ) -> tuple[str | None, list[Extension]]:
        """Choose extensions among those that the client offers (RFC 6455, section 9.1).

        Args:
            headers: Headers of the request.
            available_extensions: Extensions to accept, in order of preference.

        Returns:
            Value of the ``Sec-WebSocket-Extensions`` header of the response, :obj:`None` if there
            is to be none, and the extensions.

        """
        self._protocol.available_extensions = available_extensions
        return self._protocol.process_extensions(headers)

    def process_subprotocol(
        self, headers: Headers, available_subprotocols: Sequence[Subprotocol] | None
    ) -> Subprotocol | None:
        """Choose a subprotocol among those that the client offers (RFC 6455, section 4.2.2).

        Args:
            headers: Headers of the request.
            available_subprotocols: Subprotocols to accept, in order of preference.

        Returns:
            The subprotocol; :obj:`None` for none.

        """
        values = headers.get_all("Sec-WebSocket-Protocol")
        # Without a list, none is chosen, whatever select_subprotocol() says.
        if not values or not available_subprotocols:
            return None
        offered = [subprotocol for value in values for subprotocol in parse_subprotocol(value)]
        return self.select_subprotocol(offered, available_subprotocols)

    def select_subprotocol(
        self,
        client_subprotocols: Sequence[Subprotocol],
        server_subprotocols: Sequence[Subprotocol],
    ) -> Subprotocol | None:
        """Choose a subprotocol among those that the client offers and those that the server
        accepts, giving both preferences the same weight.

        Override it, or set the argument ``select_subprotocol`` of :func:`serve`.

        Args:
            client_subprotocols: What the client offers, in its order of preference.
            server_subprotocols: What the server accepts, in its order of preference.

        Returns:
            The subprotocol; :obj:`None` to go on without one.

        """
        if self._select_subprotocol is not None:
            return self._select_subprotocol(client_subprotocols, server_subprotocols)
        # In a tie, what the server prefers.
        common = [name for name in server_subprotocols if name in client_subprotocols]
        return min(
            common,
            key=lambda name: client_subprotocols.index(name) + server_subprotocols.index(name),
            default=None,
        )

    async def handshake(
        self,
        origins: Sequence[Origin | None] | None = None,
        available_extensions: Sequence[ServerExtensionFactory] | None = None,
        available_subprotocols: Sequence[Subprotocol] | None = None,
        extra_headers: HeadersLikeOrCallable | None = None,
    ) -> str:
        """Perform the opening handshake; :meth:`handler` calls it.

        Args:
            origins: As for :func:`serve`.
            available_extensions: Extensions to accept, in order of preference.
            available_subprotocols: Subprotocols to accept, in order of preference.
            extra_headers: As for :func:`serve`.

        Returns:
            Path and query.

        Raises:
            InvalidHandshake: It fails.
            AbortHandshake: It is to be answered with an HTTP response.

        """
        path, request_headers = await self.read_http_request()
        early_response = await await_response(
            self.process_request(path, request_headers), self.process_request
        )
        if early_response is not None:
            with blaming_the_server():
                raise AbortHandshake(*early_response)
        if not self.ws_server.is_serving():
            raise closing()

        # RFC 9112, section 3.2: without one valid Host header, the answer must be 400.
        host = get_single(request_headers, "Host")
        if not is_valid_host(host):
            raise InvalidHeaderValue("Host", host)
        key = check_request(request_headers)
        self.origin = self.process_origin(request_headers, origins)
        extensions, accepted = self.process_extensions(request_headers, available_extensions)
        subprotocol = self.process_subprotocol(request_headers, available_subprotocols)

        headers = Headers()
        build_response(headers, key)
        if extensions is not None:
            headers["Sec-WebSocket-Extensions"] = extensions
        if callable(extra_headers):
            extra_headers = extra_headers(path, request_headers)
        with blaming_the_server():
            if subprotocol is not None:
                headers["Sec-WebSocket-Protocol"] = subprotocol
            if extra_headers is not None:
                headers.update(unescape(extra_headers))
            self._add_headers(headers)

        # The client may be gone by now.
        if self._protocol.state is State.CONNECTING:
            self.extensions = self._protocol.extensions = accepted
            self.subprotocol = self._protocol.subprotocol = subprotocol
            self._protocol.origin = self.origin
            self.write_http_response(http.HTTPStatus.SWITCHING_PROTOCOLS, headers)
            self.connection_open()
        return path


@contextlib.contextmanager
def blaming_the_server() -> Iterator[None]:
    """Have a header of the application that isn't possible be answered with status 500, and logged.

    The exception alone would mean a header of the client.
    """
    try:
        yield
    except InvalidHeaderValue as exc:
        raise ValueError(str(exc)) from exc


async def await_response(
    response: Awaitable[HTTPResponse | None] | HTTPResponse | None,
    function: Callable[..., Any],
) -> HTTPResponse | None:
    """Return what ``process_request`` returned, or will."""
    if inspect.isawaitable(response):
        return await response
    warn_about(function, "declare process_request as a coroutine")
    return response


def closing() -> AbortHandshake:
    """Return what answers clients that connect while the server closes."""
    return AbortHandshake(http.HTTPStatus.SERVICE_UNAVAILABLE, [], b"Server is shutting down.\n")


def remove_path_argument(
    ws_handler: Callable[..., Awaitable[Any]],
) -> Callable[..., Awaitable[Any]]:
    """Return a connection handler that gets the connection only, whatever the one given gets."""
    try:
        signature = inspect.signature(ws_handler)
    except (ValueError, TypeError):  # it has none, as some builtins
        return ws_handler
    try:
        signature.bind(None)
    except TypeError:
        try:
            signature.bind(None, None)
        except TypeError:
            return ws_handler
    else:
        return ws_handler
    warn_caller("remove second argument of ws_handler")

    async def handler(websocket: WebSocketServerProtocol) -> Any:
        return await ws_handler(websocket, websocket.path)

    return handler


class Serve:
    """Run a WebSocket server.

    For each connection, once it is open, the handler is called with it. The connection is closed
    when the handler returns, with code 1000 (OK), or raises an exception, with code 1011 (internal
    error).

    It can be awaited, which starts the server, or used as an asynchronous context manager, which
    starts it and closes it::

        stop = asyncio.get_running_loop().create_future()

        async with serve(handler, "localhost", 8765):
            await stop

    Both give a :class:`WebSocketServer`.

    Args:
        ws_handler: Connection handler: a coroutine function that gets a
            :class:`WebSocketServerProtocol`.
        host: Host name or address to listen on, or several; all by default.
        port: Port to listen on; 0 for a free one.
        create_protocol: Makes the connections, with the arguments of
            :class:`WebSocketServerProtocol`, which is the default. For subclasses of it.
        logger: Logger; ``logging.getLogger("websockets.server")`` by default.
        compression: ``"deflate"`` accepts the extension permessage-deflate with default settings,
            unless it is among ``extensions``; :obj:`None` doesn't.
        origins: Acceptable values of the ``Origin`` header, with :obj:`None` for requests that have
            no such header, as those of clients other than browsers. By default, all are. Set it to
            defend against cross-site WebSocket hijacking, if browsers have credentials.
        extensions: Extensions to accept, in order of preference.
        subprotocols: Subprotocols to accept, in order of preference. A client that offers none of
            them is accepted, too.
        extra_headers: Headers to add to the response, or a function that gets path and headers of
            the request, and returns them.
        server_header: Value of the ``Server`` header; :obj:`None` for none.
        process_request: Called with path and headers of the request, as coroutine function. Returns
            :obj:`None` to go on, or a triple of status, headers and body to answer with. As
            :meth:`WebSocketServerProtocol.process_request`.
        select_subprotocol: Called with the lists of subprotocols that the client offers and that
            the server accepts, if there are both. Returns one or :obj:`None`. As
            :meth:`WebSocketServerProtocol.select_subprotocol`.
        open_timeout: Seconds for opening a connection; :obj:`None` for no limit. The TLS handshake,
            before it, may take as long.
        ping_interval: Seconds between keepalive pings; :obj:`None` or 0 for no keepalive.
        ping_timeout: Seconds to wait for an answer to a ping; :obj:`None` to wait for ever.
        close_timeout: Seconds to wait for a connection to close, once it should; 10 by default.
        max_size: Limit on the payload of a message, in bytes, after extensions decoded it;
            :obj:`None` for no limit.
        max_queue: How many messages may wait to be received before no more are read from the
            network; :obj:`None` for no limit.
        read_limit: Kept for what reads it. There is no buffer of bytes that it could limit.
        write_limit: How many bytes may wait to be sent before
            :meth:`~ws_legacy.protocol.WebSocketCommonProtocol.send` waits.
        kwargs: More arguments for :meth:`asyncio.loop.create_server`. Among them:

            * ``ssl``: a TLS context, for ``wss`` URIs.
            * ``sock``: a socket to listen on.
            * ``reuse_port``: lets several processes listen on the same port.

    Raises:
        OSError: Listening fails. Raised when the server starts.
        ValueError: An argument isn't possible.
        TypeError: ``subprotocols`` or ``origins`` isn't a list, a number isn't one, or an argument
            is of the new API.

    .. deprecated:: 1.0
        The arguments ``timeout``, ``klass``, ``loop`` and ``legacy_recv``; a second parameter of
        the connection handler, for the path; ``""`` in ``origins``.

    """

    def __init__(
        self,
        ws_handler: Callable[..., Awaitable[Any]],
        host: str | Sequence[str] | None = None,
        port: int | None = None,
        *,
        create_protocol: Callable[..., WebSocketServerProtocol] | None = None,
        logger: LoggerLike | None = None,
        compression: str | None = "deflate",
        origins: Sequence[Origin | None] | None = None,
        extensions: Sequence[ServerExtensionFactory] | None = None,
        subprotocols: Sequence[Subprotocol] | None = None,
        extra_headers: HeadersLikeOrCallable | None = None,
        server_header: str | None = SERVER,
        process_request: (
            Callable[[str, Headers], Awaitable[HTTPResponse | None] | HTTPResponse | None] | None
        ) = None,
        select_subprotocol: (
            Callable[[Sequence[Subprotocol], Sequence[Subprotocol]], Subprotocol | None] | None
        ) = None,
        open_timeout: float | None = 10,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = None,
        max_size: int | None = MAX_SIZE,
        max_queue: int | None = 2**5,
        read_limit: int = 2**16,
        write_limit: int = 2**16,
        **kwargs: Any,
    ) -> None:
        create, close_timeout, legacy_recv, self._loop = rename_arguments(
            kwargs, create_protocol, close_timeout, WebSocketServerProtocol
        )
        reject_new_arguments("serve", "server", kwargs)
        extensions = choose_server_extensions(extensions, compression)
        if subprotocols is not None:
            validate_subprotocols(subprotocols)
        # Tell of wrong arguments now: event loops hide what goes wrong when a client connects.
        Session[Any](
            ServerProtocol(max_size=max_size),
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_queue=max_queue,
        )
        self.ws_server: WebSocketServer = WebSocketServer(logger)
        make_protocol = functools.partial(
            create,
            # What is deprecated is replaced here, where the caller is known.
            remove_path_argument(ws_handler),
            self.ws_server,
            logger=logger,
            origins=drop_empty_origin(origins),
            extensions=extensions,
            subprotocols=subprotocols,
            extra_headers=extra_headers,
            server_header=server_header,
            process_request=process_request,
            select_subprotocol=select_subprotocol,
            open_timeout=open_timeout,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_size=max_size,
            max_queue=max_queue,
            read_limit=read_limit,
            write_limit=write_limit,
            host=host,
            port=port,
            secure=kwargs.get("ssl") is not None,
            legacy_recv=False,
            loop=None,
        )

        def factory() -> WebSocketServerProtocol:
            """Make a connection, for a TCP connection that was accepted."""
            protocol = make_protocol()
            protocol.legacy_recv = protocol.legacy_recv or legacy_recv
            return protocol

        if kwargs.get("ssl") is not None and open_timeout:
            # The event loop performs the TLS handshake, and would let it take a minute.
            kwargs.setdefault("ssl_handshake_timeout", open_timeout)
        self._factory = factory
        self._host = host
        self._port = port
        self._kwargs = kwargs

    async def _serve(self) -> WebSocketServer:
        """Start to listen."""
        loop = self._loop or asyncio.get_running_loop()
        kwargs = dict(self._kwargs)
        if kwargs.pop("unix", False):
            server = await loop.create_unix_server(self._factory, **kwargs)
        else:
            server = await loop.create_server(self._factory, self._host, self._port, **kwargs)
        self.ws_server.wrap(cast(asyncio.Server, server))
        return self.ws_server

    def __await__(self) -> Generator[Any, None, WebSocketServer]:
        return self._serve().__await__()

    # For yield from, in generators that were coroutines before there were others.
    __iter__ = __await__

    async def __aenter__(self) -> WebSocketServer:
        return await self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.ws_server.close()
        await self.ws_server.wait_closed()


serve = Serve


def unix_serve(
    ws_handler: Callable[..., Awaitable[Any]],
    path: str | os.PathLike[str] | None = None,
    **kwargs: Any,
) -> Serve:
    """Run a WebSocket server that listens on a Unix socket.

    It has all arguments of :func:`serve` but ``host`` and ``port``, and those of
    :meth:`asyncio.loop.create_unix_server`. It is for servers behind a reverse proxy, for example.

    Args:
        ws_handler: Connection handler.
        path: Path of the socket.
        kwargs: Other arguments of :func:`serve`.

    """
    if path is not None:
        kwargs["path"] = os.fspath(path)
    return serve(ws_handler, unix=True, **kwargs)
