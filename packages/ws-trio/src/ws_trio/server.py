"""Running a WebSocket server (RFC 6455, section 4.2)."""

from __future__ import annotations

import logging
import math
import os
import re
import ssl as ssl_module
import stat
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, Self

import trio

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
    log_opening,
    refuse_connection,
)
from ws_protocol.session import Session
from ws_protocol.typing import LoggerLike, Origin, Subprotocol

from ._streams import describe_broken, get_listener_address
from .broadcast import broadcast
from .connection import Connection

__all__ = ["Server", "ServerConnection", "basic_auth", "broadcast", "serve", "unix_serve"]


class ServerConnection(Responder, Connection):
    """A WebSocket connection of a server, on trio.

    :func:`serve` makes it.

    It is an asynchronous iterable of the messages it receives, and an asynchronous context manager
    that closes it: with code 1000 (OK) on a normal exit, with 1001 (going away) when it is
    cancelled, with 1011 (internal error) when there is an exception.

    Args:
        nursery: Nursery for the tasks of the connection. They end when the connection is lost.
        stream: Stream. The connection closes it.
        protocol: The protocol.
        server: The server.
        ping_interval: Seconds between keepalive pings; :obj:`None` for no keepalive.
        ping_timeout: Seconds to wait for an answer to a ping; :obj:`None` to wait for ever.
        close_timeout: Seconds to wait for the connection to close, once it should; :obj:`None` to
            wait for ever.
        max_queue: How many frames may wait to be received before no more are read from the
            network; :obj:`None` for no limit. A pair sets that number, and the one at which
            reading continues, by default a quarter of it.

    Attributes:
        server: The server.
        username: Name of the user, once authenticated by :func:`basic_auth`.
        handler: Connection handler that :func:`~ws_trio.router.route` found.
        handler_kwargs: Arguments for it, from the path.

    """

    protocol: ServerProtocol
    username: str
    handler: Callable[..., Awaitable[None]]
    handler_kwargs: Mapping[str, Any]

    def __init__(
        self,
        nursery: trio.Nursery,
        stream: trio.abc.Stream,
        protocol: ServerProtocol,
        server: Server,
        *,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        max_queue: int | tuple[int | None, int | None] | None = 16,
    ) -> None:
        super().__init__(
            nursery,
            stream,
            protocol,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_queue=max_queue,
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
        await self._handshaking.wait()
        await await_hooks(
            answer_request(
                self,
                is_serving=self.server.is_serving,
                process_request=process_request,
                process_response=process_response,
                server_header=server_header,
            )
        )
        now = trio.current_time()
        self.session.start_keepalive(now)
        self._set_timer()
        # There may be frames already, which arrived before the response was sent.
        self._process_received(self.session.process_events(now))

    def _refuse(self, make_response: Callable[[ServerProtocol], Response]) -> None:
        """Refuse the connection, whether its request is there or not."""
        if refuse_connection(self, make_response):
            self._process_received([])


class Server(trio.abc.AsyncResource):
    """A WebSocket server, on trio.

    :func:`serve` makes it.

    It is an asynchronous context manager, which closes it.

    Args:
        listeners: Listeners. The server closes them.
        handler: Connection handler.
        logger: Logger; ``logging.getLogger("websockets.server")`` by default.
        make_connection: Makes a connection, of a nursery, a stream and the server.
        handshake: Coroutine function that gets a connection, and opens it.
        open_timeout: Seconds for opening a connection; :obj:`None` for no limit.
        admission: How many connections there may be; as many as come by default.

    Attributes:
        listeners: Listeners.
        handler: Connection handler.
        logger: Logger.

    """

    def __init__(
        self,
        listeners: Sequence[trio.abc.Listener[Any]],
        handler: Callable[[ServerConnection], Awaitable[None]],
        logger: LoggerLike | None = None,
        *,
        make_connection: (
            Callable[[trio.Nursery, trio.abc.Stream, Server], ServerConnection] | None
        ) = None,
        handshake: Callable[[ServerConnection], Awaitable[None]] = ServerConnection.handshake,
        open_timeout: float | None = 10,
        admission: Admission | None = None,
    ) -> None:
        self.listeners: list[trio.abc.Listener[Any]] = list(listeners)
        self.handler = handler
        self.logger: LoggerLike = logger or logging.getLogger("websockets.server")
        self._make_connection = make_connection or make_default_connection
        self._handshake = handshake
        self._open_timeout = open_timeout
        self._admission = admission or Admission()
        self._connections: set[ServerConnection] = set()
        # Around accepting connections, and around each TLS handshake.
        self._accepting = trio.CancelScope()
        self._starting_tls: set[trio.CancelScope] = set()
        # The tasks of the handlers, and those among them that called aclose(), and so wait for the
        # others; and who waits for one more of these, or one less of those.
        self._tasks: set[trio.lowlevel.Task] = set()
        self._waiting: set[trio.lowlevel.Task] = set()
        self._waiters = trio.lowlevel.ParkingLot()
        # Whether it began to accept connections, and to close.
        self._started = self._closing = False

    async def serve_forever(
        self, task_status: trio.TaskStatus[Self] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Accept connections until :meth:`aclose` is called, and all handlers have returned.

        When it is cancelled, connections are closed with code 1001 (going away), without waiting
        for the clients.

        Args:
            task_status: For :meth:`trio.Nursery.start`, which returns the server.

        """
        self._started = True
        try:
            async with trio.open_nursery() as handlers:
                with self._accepting:
                    for listener in self.listeners:
                        address = get_listener_address(listener)
                        if address is not None:
                            self.logger.info("server listening on %s", show_address(address))
                    task_status.started(self)
                    await trio.serve_listeners(
                        self._run_connection, self.listeners, handler_nursery=handlers
                    )
        finally:
            self._closing = True
            self.logger.info("server closed")

    # Attributes

    @property
    def connections(self) -> set[ServerConnection]:
        """Connections that are open, as a new set.

        Useful with :func:`broadcast`::

            await broadcast(server.connections, message)
        """
        return {connection for connection in self._connections if connection.state is State.OPEN}

    def is_serving(self) -> bool:
        """Tell whether the server accepts connections."""
        return not self._closing

    # Closing

    async def aclose(
        self,
        close_connections: bool = True,
        code: int = CloseCode.GOING_AWAY,
        reason: str = "",
    ) -> None:
        """Close the server, and wait until all connections are closed, and all handlers have
        returned.

        It stops accepting connections. Connections that are about to open are refused with HTTP
        status 503 (service unavailable). Those that are open are closed, unless that isn't wanted.

        Cancelling it is safe: the server closes all the same. Handlers that call it wait for all
        others, and not for one another.

        Args:
            close_connections: Whether to close connections that are open. Otherwise, it waits until
                they close by themselves. To close them later, call it again.
            code: Close code.
            reason: Close reason, at most 123 bytes in UTF-8.

        Raises:
            ProtocolError: The code isn't allowed in a frame, or the reason is too long.

        """
        # Before anything is closed, since it may be wrong.
        if len(Close(code, reason).serialize()) > 125:
            raise ProtocolError("reason too long")
        if not self._closing:
            self.logger.info("server closing")
            self._closing = True
            self._accepting.cancel()
            # There is no way yet to say anything.
            for scope in self._starting_tls:
                scope.cancel()
            for connection in self._connections:
                if connection.request is None:
                    connection._refuse(ServerProtocol.reject_closing)
        if close_connections:
            for connection in self.connections:
                connection._start_closing(code, reason)
        if not self._started:
            for listener in self.listeners:
                await listener.aclose()
        await self._wait_for_handlers()

    async def _wait_for_handlers(self) -> None:
        """Wait until all handlers have returned; in one of them, not for those that do the same,
        which would be for ever."""
        own: set[trio.lowlevel.Task] = set()
        task: trio.lowlevel.Task | None = trio.lowlevel.current_task()
        while task is not None:
            own.add(task)
            nursery = task.parent_nursery
            task = None if nursery is None else nursery.parent_task
        is_handler = not own.isdisjoint(self._tasks)
        if is_handler:
            self._waiting |= own & self._tasks
            self._waiters.unpark_all()
        await trio.lowlevel.checkpoint()
        # The latter are among the former. To tell them apart for each that ends costs too much.
        while len(self._tasks) > (len(self._waiting) if is_handler else 0):
            await self._waiters.park()

    # Connections

    async def _run_connection(self, stream: trio.abc.Stream) -> None:
        """Open a connection, run its handler, and close it."""
        task = trio.lowlevel.current_task()
        verdict = self._admission.enter(task)
        if verdict is Verdict.DROP:
            await trio.aclose_forcefully(stream)
            return
        self._tasks.add(task)
        deadline = math.inf
        if self._open_timeout is not None:
            deadline = trio.current_time() + self._open_timeout
        try:
            if isinstance(stream, trio.SSLStream) and not await self._start_tls(stream, deadline):
                return
            async with trio.open_nursery() as nursery:
                connection = self._make_connection(nursery, stream, self)
                self._connections.add(connection)
                try:
                    refused = verdict is Verdict.REFUSE
                    if await self._open_connection(connection, deadline, refused):
                        self._admission.open(task)
                        await self._handle_connection(connection)
                finally:
                    self._connections.remove(connection)
        except Exception:
            # It must not end the others.
            self.logger.error("connection failed", exc_info=True)
        finally:
            self._admission.leave(task)
            self._tasks.remove(task)
            self._waiting.discard(task)
            self._waiters.unpark_all()

    async def _start_tls(self, stream: trio.SSLStream[trio.abc.Stream], deadline: float) -> bool:
        """Perform a TLS handshake; tell whether it succeeded."""
        with trio.CancelScope(deadline=-math.inf if self._closing else deadline) as scope:
            self._starting_tls.add(scope)
            try:
                await stream.do_handshake()
            except trio.BrokenResourceError as exc:
                self.logger.info("TLS handshake failed: %s", describe_broken(exc))
            else:
                return True
            finally:
                self._starting_tls.remove(scope)
        if scope.cancelled_caught and not self._closing:
            self.logger.info("opening handshake timed out")
        return False

    async def _open_connection(
        self, connection: ServerConnection, deadline: float, refused: bool
    ) -> bool:
        """Open a connection, unless it is refused; tell whether it is open."""
        with trio.CancelScope(deadline=deadline) as scope:
            if refused:
                connection._refuse(busy_response)
            else:
                if self._closing:
                    connection._refuse(ServerProtocol.reject_closing)
                await self._handshake(connection)
        if scope.cancelled_caught:
            connection.logger.info("opening handshake timed out")
            connection._abort.cancel()
        elif log_opening(connection):
            return True
        await connection.wait_closed()
        return False

    async def _handle_connection(self, connection: ServerConnection) -> None:
        """Run the handler of a connection that is open, and close it."""
        try:
            await self.handler(connection)
        except Exception as exc:
            if log_handler_failure(connection, exc):
                await connection.aclose(CloseCode.INTERNAL_ERROR)
        else:
            await connection.aclose()
        await connection.wait_closed()
        connection.logger.info("connection closed")


async def serve(
    handler: Callable[[ServerConnection], Awaitable[None]],
    port: int | None = None,
    *,
    host: str | bytes | None = None,
    backlog: int | None = None,
    listeners: Sequence[trio.abc.Listener[Any]] | None = None,
    ssl: ssl_module.SSLContext | None = None,
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
    max_connections: int | None = None,
    max_handshakes: int | None = None,
    logger: LoggerLike | None = None,
    create_connection: Callable[..., ServerConnection] | None = None,
    task_status: trio.TaskStatus[Server] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a WebSocket server.

    For each connection, once it is open, the handler is called with it. The connection is closed
    when the handler returns, with code 1000 (OK), or raises an exception, with code 1011 (internal
    error).

    It runs until it is cancelled, or the server is closed. :meth:`trio.Nursery.start` returns the
    :class:`Server`, once it listens::

        async with trio.open_nursery() as nursery:
            server = await nursery.start(serve, handler, 8765)
            ...
            await server.aclose()

    Args:
        handler: Connection handler: a coroutine function that gets a :class:`ServerConnection`.
        port: Port to listen on; 0 for a free one.
        host: Host name or address to listen on; all by default.
        backlog: How many connections may wait to be accepted; what is usual by default.
        listeners: Listeners to use instead of ``port`` and ``host``. Without TLS: ``ssl`` adds it.
            The server closes them.
        ssl: TLS context, for ``wss`` URIs.
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
        max_connections: How many connections there may be, those included that are about to open;
            :obj:`None` for no limit. More are refused with HTTP status 503 (service unavailable)
            and a ``Retry-After`` header.
        max_handshakes: How many connections may be about to open, from the TCP connection on;
            :obj:`None` for no limit. More are refused in the same way.
        logger: Logger; ``logging.getLogger("websockets.server")`` by default.
        create_connection: Makes the connections, with the arguments of :class:`ServerConnection`,
            which is the default. For subclasses of it.
        task_status: For :meth:`trio.Nursery.start`, which returns the server.

    Raises:
        OSError: Listening fails.
        ValueError: An argument isn't possible.
        TypeError: ``subprotocols`` or ``allowed_hosts`` isn't a list, ``origins`` is another
            string, or there is no ``port``.

    """
    if subprotocols is not None:
        validate_subprotocols(subprotocols)
    extensions = choose_server_extensions(extensions, compression)
    if ssl is not None and not isinstance(ssl, ssl_module.SSLContext):
        raise TypeError(f"ssl must be an ssl.SSLContext, not {type(ssl).__name__}")
    options: dict[str, Any] = {
        "ping_interval": ping_interval,
        "ping_timeout": ping_timeout,
        "close_timeout": close_timeout,
        "max_queue": max_queue,
    }
    # Tell of wrong arguments now, not when a client connects.
    Session[Any](
        ServerProtocol(origins=origins, allowed_hosts=allowed_hosts, max_size=max_size), **options
    )
    admission = Admission(max_connections, max_handshakes)
    factory = ServerConnection if create_connection is None else create_connection

    def make_connection(
        nursery: trio.Nursery, stream: trio.abc.Stream, server: Server
    ) -> ServerConnection:
        """Make a connection, for a TCP connection that was accepted."""
        selector = None if select_subprotocol is None else SubprotocolSelector(select_subprotocol)
        protocol = ServerProtocol(
            origins=origins,
            allowed_hosts=allowed_hosts,
            extensions=extensions,
            subprotocols=subprotocols,
            select_subprotocol=selector,
            max_size=max_size,
            logger=logger,
        )
        connection = factory(nursery, stream, protocol, server, **options)
        if selector is not None:
            selector.bind(connection)
        return connection

    def handshake(connection: ServerConnection) -> Awaitable[None]:
        return connection.handshake(process_request, process_response, server_header)

    if listeners is None:
        if port is None:
            raise TypeError("port isn't provided")
        listeners = await trio.open_tcp_listeners(port, host=host, backlog=backlog)
    if ssl is not None:
        listeners = [trio.SSLListener(listener, ssl) for listener in listeners]
    server = Server(
        listeners,
        handler,
        logger,
        make_connection=make_connection,
        handshake=handshake,
        open_timeout=open_timeout,
        admission=admission,
    )
    await server.serve_forever(task_status)


async def unix_serve(
    handler: Callable[[ServerConnection], Awaitable[None]],
    path: str | os.PathLike[str],
    *,
    backlog: int | None = None,
    **kwargs: Any,
) -> None:
    """Run a WebSocket server that listens on a Unix socket.

    It has all arguments of :func:`serve` but ``port``, ``host`` and ``listeners``. It is for
    servers behind a reverse proxy, for example.

    Args:
        handler: Connection handler.
        path: Path of the socket. One that an earlier server left there is replaced; in the end, it
            is removed.
        backlog: How many connections may wait to be accepted; what is usual by default.
        kwargs: Other arguments of :func:`serve`.

    """
    path = os.fspath(path)
    if get_socket_inode(path) is not None:
        os.remove(path)
    with trio.socket.socket(trio.socket.AF_UNIX) as sock:
        await sock.bind(path)
        inode = get_socket_inode(path)
        try:
            sock.listen(*() if backlog is None else (backlog,))
            await serve(handler, listeners=[trio.SocketListener(sock)], **kwargs)
        finally:
            # Unless it is that of another server by now.
            if inode is not None and get_socket_inode(path) == inode:
                os.remove(path)


def make_default_connection(
    nursery: trio.Nursery, stream: trio.abc.Stream, server: Server
) -> ServerConnection:
    """Make a connection without any options, for a TCP connection that was accepted."""
    return ServerConnection(nursery, stream, ServerProtocol(), server)


def get_socket_inode(path: str) -> int | None:
    """Return which socket is at a path; :obj:`None` if there is none, as with abstract ones."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_ino if stat.S_ISSOCK(status.st_mode) else None
