"""Running a WebSocket server (RFC 6455, section 4.2)."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self

from ws_auth import basic_auth
from ws_protocol.admission import Admission, Verdict, busy_response
from ws_protocol.connection import show_address
from ws_protocol.exceptions import ProtocolError
from ws_protocol.extensions.base import ServerExtensionFactory
from ws_protocol.extensions.permessage_deflate import choose_server_extensions
from ws_protocol.frames import Close, CloseCode
from ws_protocol.headers import validate_subprotocols
from ws_protocol.http11 import SERVER, Request, Response
from ws_protocol.limits import MAX_SIZE
from ws_protocol.protocol import State
from ws_protocol.server import ServerProtocol
from ws_protocol.serving import (
    Responder,
    SubprotocolSelector,
    answer_request,
    await_hooks,
    log_handler_failure,
    log_info,
    log_opening,
    refuse_connection,
)
from ws_protocol.tracebacks import forget_tracebacks
from ws_protocol.typing import LoggerLike, Origin, Subprotocol

from ._arguments import reject_original_arguments
from ._tls import Begun, TLSAcceptor, start_tls
from .broadcast import broadcast
from .connection import Connection

__all__ = ["Server", "ServerConnection", "basic_auth", "broadcast", "serve", "unix_serve"]


class ServerConnection(Responder, Connection):
    """A WebSocket connection of a server, on asyncio.

    :func:`serve` makes it.

    It is an asynchronous iterator over the messages it receives, and an asynchronous context
    manager that closes it: with code 1000 (OK) on a normal exit, with 1011 (internal error) when
    there is an exception.

    Args:
        protocol: The protocol.
        server: The server.
        ping_interval: Seconds between keepalive pings; :obj:`None` for no keepalive.
        ping_timeout: Seconds to wait for an answer to a ping; :obj:`None` to wait for ever.
        close_timeout: Seconds to wait for the connection to close, once it should; :obj:`None` to
            wait for ever.
        max_queue: How many frames may wait to be received before no more are read from the
            network; :obj:`None` for no limit. A pair sets that number, and the one at which
            reading continues, by default a quarter of it.
        write_limit: How many bytes may wait to be sent before :meth:`send` waits. A pair sets that
            number, and the one at which it continues, by default a quarter of it.

    Attributes:
        server: The server.
        username: Name of the user, once authenticated by :func:`basic_auth`.
        handler: Connection handler that :func:`~ws_asyncio.router.route` found.
        handler_kwargs: Arguments for it, from the path.

    """

    protocol: ServerProtocol
    username: str
    handler: Callable[..., Awaitable[None]]
    handler_kwargs: Mapping[str, Any]

    def __init__(
        self,
        protocol: ServerProtocol,
        server: Server,
        *,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        max_queue: int | tuple[int | None, int | None] | None = 16,
        write_limit: int | tuple[int, int | None] = 2**15,
    ) -> None:
        super().__init__(
            protocol,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_queue=max_queue,
            write_limit=write_limit,
        )
        self.server = server

    async def handshake(
        self,
        process_request: (
            Callable[[ServerConnection, Request], Awaitable[Response | None] | Response | None]
            | None
        ) = None,
        process_response: (
            Callable[
                [ServerConnection, Request, Response],
                Awaitable[Response | None] | Response | None,
            ]
            | None
        ) = None,
        server_header: str | None = SERVER,
    ) -> None:
        """Perform the opening handshake; :func:`serve` has it called.

        If it fails, :attr:`state` isn't OPEN, and ``protocol.handshake_exc`` says why.

        Args:
            process_request: As for :func:`serve`.
            process_response: As for :func:`serve`.
            server_header: As for :func:`serve`.

        """
        await self._wait_for_handshake()
        await await_hooks(
            answer_request(
                self,
                is_serving=self.server.is_serving,
                process_request=process_request,
                process_response=process_response,
                server_header=server_header,
            )
        )
        now = self.loop.time()
        self.session.start_keepalive(now)
        self._set_timer()
        # There may be frames already, which arrived before the response was sent.
        self._process_received(self.session.process_events(now))

    def _refuse(self, make_response: Callable[[ServerProtocol], Response]) -> None:
        """Refuse the connection, whether its request is there or not."""
        if refuse_connection(self, make_response):
            self._process_received([])

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport of a new TCP connection."""
        super().connection_made(transport)
        self.server._connection_made(self)


class Server:
    """A WebSocket server, on asyncio.

    :func:`serve` makes it. It has the methods of :class:`asyncio.Server`.

    Args:
        create_server: Coroutine function that starts to listen. It gets the server, and returns an
            :class:`asyncio.Server`.
        handler: Connection handler.
        logger: Logger; ``logging.getLogger("websockets.server")`` by default.
        handshake: Coroutine function that gets a connection, and opens it.
        open_timeout: Seconds for opening a connection; :obj:`None` for no limit.
        admission: How many connections there may be; as many as come by default.

    Attributes:
        handler: Connection handler.
        logger: Logger.
        server: The :class:`asyncio.Server`.

    """

    server: asyncio.Server

    def __init__(
        self,
        create_server: Callable[[Server], Awaitable[asyncio.Server]],
        handler: Callable[[ServerConnection], Awaitable[None]],
        logger: LoggerLike | None = None,
        *,
        handshake: Callable[[ServerConnection], Awaitable[None]] = ServerConnection.handshake,
        open_timeout: float | None = 10,
        admission: Admission | None = None,
    ) -> None:
        self.handler = handler
        self.logger: LoggerLike = logger or logging.getLogger("websockets.server")
        self._create_server = create_server
        self._handshake = handshake
        self._open_timeout = open_timeout
        self._admission = admission or Admission()
        # The task of each connection, from the TCP connection on until its handler has returned.
        self._tasks: dict[ServerConnection, asyncio.Task[None]] = {}
        # Who listens refers to the server by this, while it is open: asyncio's server keeps what
        # makes connections for ever, which would be a reference cycle.
        self._listening: list[Server] = []
        # Set once it began to close, and a task that ends once it is closed.
        self._closing = asyncio.Event()
        self._closed: asyncio.Task[None] | None = None

    # Starting

    async def _start(self) -> Self:
        if not hasattr(self, "server"):
            self.server = await self._create_server(self)
            self._listening.append(self)
            for sock in self.server.sockets:
                self.logger.info("server listening on %s", show_address(sock.getsockname()))
        return self

    def __await__(self) -> Generator[Any, None, Self]:
        return self._start().__await__()

    async def __aenter__(self) -> Self:
        return await self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        await self.wait_closed()

    async def start_serving(self) -> None:
        """Start to accept connections, if :func:`serve` got ``start_serving=False``."""
        await self
        await self.server.start_serving()

    async def serve_forever(self) -> None:
        """Accept connections until :meth:`close` is called.

        When it is cancelled, it closes the server and waits until that is done::

            async def main():
                async with serve(...) as server:
                    await server.serve_forever()
        """
        if not self._closing.is_set():
            await self.start_serving()
        try:
            await self.wait_closed()
        except asyncio.CancelledError:
            self.close()
            await self.wait_closed()
            raise

    # Attributes

    @property
    def connections(self) -> set[ServerConnection]:
        """Connections that are open, as a new set.

        Useful with :func:`broadcast`::

            broadcast(server.connections, message)
        """
        return {connection for connection in self._tasks if connection.state is State.OPEN}

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """Sockets that the server listens on; none before it is started, and once it is closed."""
        return tuple(self.server.sockets) if hasattr(self, "server") else ()

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the event loop of the server."""
        return self.server.get_loop()

    def is_serving(self) -> bool:
        """Tell whether the server accepts connections."""
        return hasattr(self, "server") and self.server.is_serving()

    # Closing

    def close(
        self,
        close_connections: bool = True,
        code: int = CloseCode.GOING_AWAY,
        reason: str = "",
    ) -> None:
        """Close the server.

        It stops accepting connections. Connections that are about to open are refused with HTTP
        status 503 (service unavailable). Those that are open are closed, unless that isn't wanted.

        It doesn't wait for any of that: :meth:`wait_closed` does. To close the connections later,
        call it again.

        Args:
            close_connections: Whether to close connections that are open. Otherwise, they remain
                until they close by themselves.
            code: Close code.
            reason: Close reason, at most 123 bytes in UTF-8.

        Raises:
            ProtocolError: The code isn't allowed in a frame, or the reason is too long.
            RuntimeError: The server wasn't started.

        """
        if not hasattr(self, "server"):
            raise RuntimeError("server wasn't started; await it first")
        # Before anything is closed, since it may be wrong.
        if len(Close(code, reason).serialize()) > 125:
            raise ProtocolError("reason too long")
        if self._closed is None:
            self.logger.info("server closing")
            self._closing.set()
            self.server.close()
            self._closed = self.get_loop().create_task(self._finish_closing())
            for connection, task in self._tasks.items():
                if not hasattr(connection, "transport"):
                    # The TLS handshake. There is no way yet to say anything.
                    task.cancel()
                elif connection.request is None:
                    connection._refuse(ServerProtocol.reject_closing)
        if close_connections:
            for connection in self.connections:
                connection._start_closing(code, reason)

    async def _finish_closing(self) -> None:
        # A connection that was accepted before is made within a few rounds of the event loop.
        for _ in range(3):
            await asyncio.sleep(0)
        while self._tasks:
            await asyncio.wait(list(self._tasks.values()))
        await self.server.wait_closed()
        self._listening.clear()
        self.logger.info("server closed")

    async def wait_closed(self) -> None:
        """Wait until the server is closed: until :meth:`close` was called, all connections are
        closed, and all connection handlers have returned.

        It doesn't close anything. Cancelling it is safe. A connection handler that awaits it waits
        for itself, which is for ever; it can call :meth:`close`.
        """
        await self._closing.wait()
        assert self._closed is not None
        await asyncio.shield(self._closed)

    # Connections

    def _connection_made(self, connection: ServerConnection) -> None:
        """Take a new connection, unless it is there already, after a TLS handshake."""
        if connection in self._tasks:
            return
        verdict = self._admission.enter(connection)
        if verdict is Verdict.DROP:
            connection.transport.abort()
        else:
            self._start_connection(connection, verdict)

    def _start_connection(
        self,
        connection: ServerConnection,
        verdict: Verdict,
        tls_started: Awaitable[None] | None = None,
    ) -> None:
        """Start the task of a new connection.

        Args:
            connection: The connection.
            verdict: Whether to accept it, or to refuse it.
            tls_started: Is done when the TLS handshake is.

        """
        refused = verdict is Verdict.REFUSE
        task = connection.loop.create_task(self._run_connection(connection, refused, tls_started))
        self._tasks[connection] = task
        task.add_done_callback(functools.partial(self._end_connection, connection))

    def _end_connection(self, connection: ServerConnection, task: asyncio.Task[None]) -> None:
        """Forget a connection, whose task ended, or was cancelled before it began."""
        del self._tasks[connection]
        self._admission.leave(connection)
        if hasattr(connection, "transport"):
            connection.transport.abort()
        if connection.protocol.handshake_exc is not None:
            forget_tracebacks(connection.protocol.handshake_exc)
        if not task.cancelled():
            # SystemExit, say, which asyncio raises at once, and would report when the task is gone.
            task.exception()

    async def _run_connection(
        self, connection: ServerConnection, refused: bool, tls_started: Awaitable[None] | None
    ) -> None:
        """Open a connection, run its handler, and close it."""
        try:
            if await self._open_connection(connection, refused, tls_started):
                await self._handle_connection(connection)
        except Exception:
            connection.logger.error("opening handshake failed", exc_info=True)
        finally:
            if not connection.session.lost and hasattr(connection, "transport"):
                connection.transport.abort()
                await connection.wait_closed()

    async def _open_connection(
        self, connection: ServerConnection, refused: bool, tls_started: Awaitable[None] | None
    ) -> bool:
        """Open a connection; tell whether it is open."""
        try:
            async with asyncio.timeout(self._open_timeout):
                if tls_started is not None:
                    try:
                        await tls_started
                    except OSError as exc:
                        reason = str(exc) or type(exc).__name__
                        log_info(connection, "TLS handshake failed: %s", reason)
                        return False
                if refused:
                    connection._refuse(busy_response)
                else:
                    if self._closed is not None and connection.request is None:
                        connection._refuse(ServerProtocol.reject_closing)
                    await self._handshake(connection)
        except TimeoutError:
            log_info(connection, "opening handshake timed out")
            return False
        if log_opening(connection):
            self._admission.open(connection)
            return True
        await connection.wait_closed()
        return False

    async def _handle_connection(self, connection: ServerConnection) -> None:
        """Run the handler of a connection that is open, and close it."""
        try:
            await self.handler(connection)
        except Exception as exc:
            if log_handler_failure(connection, exc):
                await connection.close(CloseCode.INTERNAL_ERROR)
            else:
                await connection.wait_closed()
        except asyncio.CancelledError:
            # Who cancels it, such as asyncio.run() at the end, doesn't wait for closing handshakes.
            connection._start_closing(CloseCode.INTERNAL_ERROR, "")
            connection._writer.flush()
            raise
        else:
            await connection.close()
        log_info(connection, "connection closed")


def serve(
    handler: Callable[[ServerConnection], Awaitable[None]],
    host: str | Sequence[str] | None = None,
    port: int | None = None,
    *,
    origins: Sequence[Origin | re.Pattern[str] | None] | Literal["same-origin"] | None = None,
    allowed_hosts: Sequence[str | re.Pattern[str]] | None = None,
    extensions: Sequence[ServerExtensionFactory] | None = None,
    subprotocols: Sequence[Subprotocol] | None = None,
    select_subprotocol: (
        Callable[[ServerConnection, Sequence[Subprotocol]], Subprotocol | None] | None
    ) = None,
    compression: str | None = "deflate",
    process_request: (
        Callable[[ServerConnection, Request], Awaitable[Response | None] | Response | None] | None
    ) = None,
    process_response: (
        Callable[
            [ServerConnection, Request, Response], Awaitable[Response | None] | Response | None
        ]
        | None
    ) = None,
    server_header: str | None = SERVER,
    open_timeout: float | None = 10,
    ping_interval: float | None = 20,
    ping_timeout: float | None = 20,
    close_timeout: float | None = 10,
    max_size: int | tuple[int | None, int | None] | None = MAX_SIZE,
    max_queue: int | tuple[int | None, int | None] | None = 16,
    write_limit: int | tuple[int, int | None] = 2**15,
    max_connections: int | None = None,
    max_handshakes: int | None = None,
    logger: LoggerLike | None = None,
    create_connection: Callable[..., ServerConnection] | None = None,
    **kwargs: Any,
) -> Server:
    """Run a WebSocket server.

    For each connection, once it is open, the handler is called with it. The connection is closed
    when the handler returns, with code 1000 (OK), or raises an exception, with code 1011 (internal
    error).

    What it returns can be awaited, to start the server, or used as an asynchronous context manager,
    which starts it and closes it::

        stop = asyncio.get_running_loop().create_future()

        async with serve(handler, "localhost", 8765):
            await stop

    Args:
        handler: Connection handler: a coroutine function that gets a :class:`ServerConnection`.
        host: Host name or address to listen on, or several; all by default.
        port: Port to listen on; 0 for a free one.
        origins: Acceptable values of the ``Origin`` header: strings that must be equal, regular
            expressions that must match the whole value, :obj:`None` for requests that have no such
            header, as those of clients other than browsers, and ``"same-origin"`` for pages that
            came from this server, see :func:`~ws_protocol.origins.is_same_origin`.
            ``"same-origin"`` alone, not in a list, is that and :obj:`None`. By default, all are
            acceptable. Set it to defend against cross-site WebSocket hijacking, if browsers have
            credentials.
        allowed_hosts: Names that clients may use for the server in the ``Host`` header, see
            :func:`~ws_protocol.origins.is_allowed_host`; any by default. Set it to defend against
            DNS rebinding, if the server relies on being reachable only from a private network.
        extensions: Extensions to accept, in order of preference.
        subprotocols: Subprotocols to accept, in order of preference.
        select_subprotocol: Chooses one of the subprotocols that the client offers: a function that
            gets the connection and the list of what is offered. It returns one or :obj:`None`, or
            raises :exc:`~ws_protocol.exceptions.NegotiationError` to refuse the connection. By
            default, the first of ``subprotocols`` that the client offers is chosen, and a client
            that offers none of them is refused.
        compression: ``"deflate"`` accepts the extension permessage-deflate with default settings,
            unless it is among ``extensions``; :obj:`None` doesn't.
        process_request: Called with the connection and the request, as function or coroutine
            function. Returns :obj:`None` to go on, or a response, from
            :meth:`ServerConnection.respond`, to send instead.
        process_response: Called with the connection, the request and the response, as function or
            coroutine function. May change the response, and returns :obj:`None`, or returns another
            response to send instead.
        server_header: Value of the ``Server`` header; :obj:`None` for none.
        open_timeout: Seconds for opening a connection, from the TCP connection on; :obj:`None` for
            no limit.
        ping_interval: Seconds between keepalive pings; :obj:`None` for no keepalive.
        ping_timeout: Seconds to wait for an answer to a ping; :obj:`None` to wait for ever.
        close_timeout: Seconds to wait for a connection to close, once it should; :obj:`None` to
            wait for ever.
        max_size: Limit on the payload of a message, in bytes, after extensions decoded it;
            :obj:`None` for no limit. A pair sets a limit for messages and one for frames, each of
            which may be :obj:`None`.
        max_queue: How many frames may wait to be received before no more are read from the
            network; :obj:`None` for no limit. A pair sets that number, and the one at which
            reading continues, by default a quarter of it.
        write_limit: How many bytes may wait to be sent before
            :meth:`~ws_asyncio.connection.Connection.send` waits. A pair sets that number, and the
            one at which it continues, by default a quarter of it.
        max_connections: How many connections there may be, those included that are about to open;
            :obj:`None` for no limit. More are refused with HTTP status 503 (service unavailable)
            and a ``Retry-After`` header.
        max_handshakes: How many connections may be about to open, from the TCP connection on;
            :obj:`None` for no limit. More are refused in the same way.
        logger: Logger; ``logging.getLogger("websockets.server")`` by default.
        create_connection: Makes the connections, with the arguments of :class:`ServerConnection`,
            which is the default. For subclasses of it.
        kwargs: More arguments for :meth:`asyncio.loop.create_server`. Among them:

            * ``ssl``: a TLS context, for ``wss`` URIs.
            * ``sock``: a socket to listen on.
            * ``reuse_port``: lets several processes listen on the same port.

    Raises:
        OSError: Listening fails. Raised when the server starts.
        ValueError: An argument isn't possible.
        TypeError: ``subprotocols``, ``origins`` or ``allowed_hosts`` isn't a list, a port stands in
            the place of the host, or an argument is of the original API.

    """
    reject_original_arguments("serve", kwargs, extra_headers="process_response")
    if isinstance(host, int):
        # A port alone is what trio's serve() takes.
        raise TypeError("host must be a str, not an int; the port is the argument after it")
    if subprotocols is not None:
        validate_subprotocols(subprotocols)
    extensions = choose_server_extensions(extensions, compression)
    if create_connection is None:
        create_connection = ServerConnection
    unix = kwargs.pop("unix", False)
    context = kwargs.pop("ssl", None)
    if context is not None and not isinstance(context, ssl.SSLContext):
        raise TypeError(f"ssl must be an ssl.SSLContext, not {type(context).__name__}")
    tls_timeouts = {
        name: kwargs.pop(name)
        for name in ("ssl_handshake_timeout", "ssl_shutdown_timeout")
        if name in kwargs
    }

    def make_connection(server: Server) -> ServerConnection:
        """Make a connection, for a TCP connection that was accepted."""
        selector = None if select_subprotocol is None else SubprotocolSelector(select_subprotocol)
        protocol = ServerProtocol(
            origins=origins,
            allowed_hosts=allowed_hosts,
            extensions=extensions,
            subprotocols=subprotocols,
            select_subprotocol=selector,
            max_size=max_size,
            logger=server.logger,
        )
        connection = create_connection(
            protocol,
            server,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_queue=max_queue,
            write_limit=write_limit,
        )
        if selector is not None:
            selector.bind(connection)
        return connection

    async def create_server(server: Server) -> asyncio.Server:
        """Start to listen."""
        # Tell of wrong arguments now: event loops hide what goes wrong when a client connects.
        ServerConnection(
            ServerProtocol(origins=origins, allowed_hosts=allowed_hosts, max_size=max_size),
            server,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_queue=max_queue,
            write_limit=write_limit,
        )
        listening = server._listening
        factory: Callable[[], asyncio.BaseProtocol]
        if context is None:

            def factory() -> asyncio.BaseProtocol:
                return make_connection(listening[0])

        else:

            def factory() -> asyncio.BaseProtocol:
                return TLSAcceptor(accept)

            def accept(transport: asyncio.Transport) -> None:
                server = listening[0]
                if server._closing.is_set():
                    transport.abort()
                    return
                connection = make_connection(server)
                verdict = server._admission.enter(connection)
                if verdict is Verdict.DROP:
                    transport.abort()
                    return
                tls_started = Begun(
                    start_tls(transport, connection, context, server_side=True, **tls_timeouts)
                )
                server._start_connection(connection, verdict, tls_started)

        loop = asyncio.get_running_loop()
        if unix:
            return await loop.create_unix_server(factory, **kwargs)
        return await loop.create_server(factory, host, port, **kwargs)

    def handshake(connection: ServerConnection) -> Awaitable[None]:
        return connection.handshake(process_request, process_response, server_header)

    return Server(
        create_server,
        handler,
        logger,
        handshake=handshake,
        open_timeout=open_timeout,
        admission=Admission(max_connections, max_handshakes),
    )


def unix_serve(
    handler: Callable[[ServerConnection], Awaitable[None]],
    path: str | os.PathLike[str] | None = None,
    **kwargs: Any,
) -> Server:
    """Run a WebSocket server that listens on a Unix socket.

    It has all arguments of :func:`serve` but ``host`` and ``port``, and those of
    :meth:`asyncio.loop.create_unix_server`. It is for servers behind a reverse proxy, for example.

    Args:
        handler: Connection handler.
        path: Path of the socket.
        kwargs: Other arguments of :func:`serve`.

    """
    if path is not None:
        kwargs["path"] = os.fspath(path)
    return serve(handler, unix=True, **kwargs)
