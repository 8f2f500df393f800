"""Running a WebSocket server (RFC 6455, section 4.2)."""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import re
import selectors
import socket
import ssl as ssl_module
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self

from ws_auth import BasicAuth
from ws_protocol.admission import Admission, Verdict, busy_response
from ws_protocol.broadcast import broadcast as broadcast_message
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
    log_handler_failure,
    log_opening,
    refuse_connection,
    run_hooks,
)
from ws_protocol.session import Session
from ws_protocol.tracebacks import forget_tracebacks
from ws_protocol.typing import DataLike, LoggerLike, Origin, Subprotocol

from ._arguments import take_ssl_context
from ._deadline import Deadline
from ._stream import Stream
from .connection import Connection

__all__ = ["Server", "ServerConnection", "basic_auth", "broadcast", "serve", "unix_serve"]

_POOL_ARGUMENTS = {"initargs", "initializer", "max_workers", "thread_name_prefix"}

# How long to wait when the system has no more file descriptors, in seconds, as asyncio does.
_ACCEPT_DELAY = 1


class ServerConnection(Responder, Connection):
    """A WebSocket connection of a server, for threads.

    :func:`serve` makes it.

    It is an iterator over the messages it receives, and a context manager that closes it: with code
    1000 (OK) on a normal exit, with 1011 (internal error) when there is an exception.

    Args:
        sock: The socket, which is connected.
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
        handler: Connection handler that :func:`~ws_threading.router.route` found.
        handler_kwargs: Arguments for it, from the path.

    """

    protocol: ServerProtocol
    username: str
    handler: Callable[..., None]
    handler_kwargs: Mapping[str, Any]

    def __init__(
        self,
        sock: socket.socket | Stream,
        protocol: ServerProtocol,
        server: Server,
        *,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        max_queue: int | tuple[int | None, int | None] | None = 16,
    ) -> None:
        self.server = server
        super().__init__(
            sock,
            protocol,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_queue=max_queue,
        )

    def handshake(
        self,
        process_request: Callable[[ServerConnection, Request], Response | None] | None = None,
        process_response: (
            Callable[[ServerConnection, Request, Response], Response | None] | None
        ) = None,
        server_header: str | None = SERVER,
        timeout: float | None = None,
    ) -> None:
        """Perform the opening handshake; :func:`serve` has it called.

        If it fails, :attr:`state` isn't OPEN, and ``protocol.handshake_exc`` says why.

        Args:
            process_request: As for :func:`serve`.
            process_response: As for :func:`serve`.
            server_header: As for :func:`serve`.
            timeout: Seconds to wait for the request; :obj:`None` to wait for ever.

        Raises:
            TimeoutError: The request didn't arrive in time.

        """
        with self._mutex:
            self._wait_for_handshake(Deadline(timeout))
        steps = answer_request(
            self,
            is_serving=self.server.is_serving,
            process_request=process_request,
            process_response=process_response,
            server_header=server_header,
        )
        run_hooks(steps, self._mutex)
        with self._mutex:
            self._start_keepalive()
            # There may be frames already, which arrived before the response was sent.
            self._process_received(self.session.process_events(time.monotonic()))
            self._write()

    def refuse(self, make_response: Callable[[ServerProtocol], Response]) -> None:
        """Refuse the connection, whether its request is there or not.

        Args:
            make_response: Makes the response, of the protocol.

        """
        with self._mutex:
            if refuse_connection(self, make_response):
                self._process_received([])
                self._write()


class Server:
    """A WebSocket server, for threads.

    :func:`serve` makes it. It is a context manager, which closes it.

    Args:
        sock: Socket that listens. The server closes it.
        handler: Called in a thread of its own for each TCP connection, with the socket and the
            address of the client. It closes the socket.
        logger: Logger; ``logging.getLogger("websockets.server")`` by default.
        admission: How many connections there may be; as many as come by default.

    Attributes:
        socket: Socket that listens.
        handler: As the argument.
        logger: Logger.

    """

    def __init__(
        self,
        sock: socket.socket,
        handler: Callable[[socket.socket, Any], None],
        logger: LoggerLike | None = None,
        *,
        admission: Admission | None = None,
    ) -> None:
        self.socket: socket.socket = sock
        self.handler = handler
        self.logger: LoggerLike = logger or logging.getLogger("websockets.server")
        self._address = show_address(sock.getsockname())
        # Signal handlers may call shutdown() while the thread that they interrupt has the lock.
        self._mutex = threading.RLock()
        # The thread of each TCP connection, and its socket while nothing else knows of it.
        self._threads: dict[threading.Thread, socket.socket | None] = {}
        # Those among them that called shutdown(), and so wait for the others; and what tells that
        # there is one more of these, or one less of those.
        self._waiting: set[threading.Thread] = set()
        self._changed = threading.Condition(self._mutex)
        self._connections: set[ServerConnection] = set()
        # Whether a thread may wait for the client before there is a connection; serve() knows.
        self._may_wait_before = True
        # How many connections there may be, told apart by their sockets; and those that are to be
        # refused.
        self._admission = admission or Admission()
        self._refused: set[socket.socket] = set()
        # Set once it began to close, and with what connections that are open are closed.
        self._closing = threading.Event()
        self._closing_with: tuple[int, str] | None = None
        # What wakes serve_forever(), and the thread of it, while it runs; and whether a signal
        # handler in that thread began to close the server.
        self._waker: socket.socket | None = None
        self._runner: threading.Thread | None = None
        self._interrupted = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.shutdown()

    # Attributes

    @property
    def connections(self) -> set[ServerConnection]:
        """Connections that are open, as a new set.

        Useful with :func:`broadcast`::

            broadcast(server.connections, message)
        """
        with self._mutex:
            connections = set(self._connections)
        return {connection for connection in connections if connection.state is State.OPEN}

    def fileno(self) -> int:
        """Return the file descriptor of the socket that listens; -1 once it is closed."""
        return self.socket.fileno()

    def is_serving(self) -> bool:
        """Tell whether connections are accepted, or will be by :meth:`serve_forever`."""
        return not self._closing.is_set()

    # Serving

    def serve_forever(self) -> None:
        """Accept connections until :meth:`shutdown` is called, in another thread or by a signal
        handler.

        If it is called already, it returns at once.

        Raises:
            RuntimeError: It is running already.

        """
        wakes, waker = socket.socketpair()
        with wakes, waker, selectors.DefaultSelector() as selector:
            # All of it: a KeyboardInterrupt may come at any time.
            try:
                with self._mutex:
                    if self._closing.is_set():
                        return
                    if self._waker is not None:
                        raise RuntimeError("server is running already")
                    self._waker = waker
                    self._runner = threading.current_thread()
                    self.socket.setblocking(False)
                    selector.register(self.socket, selectors.EVENT_READ)
                    selector.register(wakes, selectors.EVENT_READ)
                self.logger.info("server listening on %s", self._address)
                while True:
                    selector.select()
                    if self._closing.is_set():
                        break
                    self._accept()
            finally:
                with self._mutex:
                    running = self._waker is waker
                    if running:
                        self._waker = None
                if running:
                    # Without the lock, for signal handlers.
                    self._runner = None
        if self._interrupted:
            self._wait_closed()

    def _accept(self) -> None:
        """Accept a connection, and start its thread."""
        try:
            sock, address = self.socket.accept()
        except (BlockingIOError, ConnectionAbortedError, InterruptedError):
            return  # the client is gone already
        except OSError:
            if not self._closing.is_set():
                self.logger.error("accepting a connection failed", exc_info=True)
                # Whatever is missing, file descriptors for example, won't be there at once.
                self._closing.wait(_ACCEPT_DELAY)
            return
        # Not so on all systems, since the socket that listens doesn't block.
        sock.setblocking(True)
        thread = threading.Thread(
            target=self._run, args=(sock, address), name="websocket handler", daemon=True
        )
        with self._mutex:
            verdict = self._admission.enter(sock)
            if self._closing.is_set() or verdict is Verdict.DROP:
                sock.close()
                self._admission.leave(sock)
                return
            if verdict is Verdict.REFUSE:
                self._refused.add(sock)
            try:
                thread.start()
            except RuntimeError:
                self.logger.error("starting a thread failed", exc_info=True)
                sock.close()
                self._admission.leave(sock)
                self._refused.discard(sock)
            else:
                # It needs the lock to go on.
                self._threads[thread] = sock

    def _run(self, sock: socket.socket, address: Any) -> None:
        """Run the thread of a TCP connection."""
        try:
            self.handler(sock, address)
        except Exception:
            self.logger.error("opening handshake failed", exc_info=True)
        finally:
            sock.close()
            with self._mutex:
                del self._threads[threading.current_thread()]
                self._waiting.discard(threading.current_thread())
                self._changed.notify_all()
                self._admission.leave(sock)
                self._refused.discard(sock)

    def _begin(self, connection: ServerConnection) -> bool:
        """Take a new connection; tell whether to perform the opening handshake."""
        with self._mutex:
            self._connections.add(connection)
            self._threads[threading.current_thread()] = None
            refused = connection.socket in self._refused
        if refused:
            connection.refuse(busy_response)
        elif self._closing.is_set():
            connection.refuse(ServerProtocol.reject_closing)
        return not refused

    def _opened(self, connection: ServerConnection) -> None:
        """Count a connection among those that are open; close it if it opened while the server
        began to close."""
        with self._mutex:
            self._admission.open(connection.socket)
            closing_with = self._closing_with
        if closing_with is not None:
            connection.start_closing(*closing_with)

    def _end(self, connection: ServerConnection) -> None:
        """Forget a connection."""
        with self._mutex:
            self._connections.discard(connection)

    # Closing

    def shutdown(
        self,
        close_connections: bool = True,
        code: int = CloseCode.GOING_AWAY,
        reason: str = "",
    ) -> None:
        """Close the server; wait until all connections are closed, and all connection handlers have
        returned.

        It stops accepting connections. Connections that are about to open are refused with HTTP
        status 503 (service unavailable). Those that are open are closed, unless that isn't wanted.

        It can be called from any thread; connection handlers that call it wait for all others, and
        not for one another. It can be called from a signal handler that interrupts
        :meth:`serve_forever`, too: then it doesn't wait, and :meth:`serve_forever` does before it
        returns.

        Args:
            close_connections: Whether to close connections that are open. Otherwise, they remain
                until they close by themselves.
            code: Close code.
            reason: Close reason, at most 123 bytes in UTF-8.

        Raises:
            ProtocolError: The code isn't allowed in a frame, or the reason is too long.

        """
        # Before anything is closed, since it may be wrong.
        if len(Close(code, reason).serialize()) > 125:
            raise ProtocolError("reason too long")
        with self._mutex:
            first = not self._closing.is_set()
            if first:
                self._closing.set()
                if self._waker is not None:
                    self._waker.send(b"\0")
                self.socket.close()
            if close_connections and self._closing_with is None:
                self._closing_with = code, reason
            connections = list(self._connections)
            opening: list[socket.socket] = []
            # Without TLS, a thread that has yet to begin will refuse its connection.
            if self._may_wait_before:
                opening += [sock for sock in self._threads.values() if sock is not None]
        if first:
            self.logger.info("server closing")
        for sock in opening:
            # The TLS handshake. There is no way yet to say anything.
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for connection in connections:
            if connection.state is State.CONNECTING:
                if connection.request is None:
                    connection.refuse(ServerProtocol.reject_closing)
            elif close_connections:
                connection.start_closing(code, reason)
        if threading.current_thread() is self._runner:
            # A signal handler. Whatever it interrupts may have the lock, which the threads need to
            # end: serve_forever() waits for them.
            self._interrupted = True
        elif first:
            self._wait_closed()
        else:
            self._join()

    def _wait_closed(self) -> None:
        """Wait for the threads of all connections; then the server is closed."""
        self._join()
        self.logger.info("server closed")

    def _join(self) -> None:
        """Wait for the threads of all connections; in one of them, not for those that do the same,
        which would be for ever."""
        own = threading.current_thread()
        with self._mutex:
            is_handler = own in self._threads
            if is_handler:
                self._waiting.add(own)
                self._changed.notify_all()
            threads = set(self._threads)
            # The latter are among the former. To tell them apart for each that ends costs too much.
            while len(self._threads) > (len(self._waiting) if is_handler else 0):
                self._changed.wait()
            threads -= self._threads.keys()
        # They have nothing left to do.
        for thread in threads:
            thread.join()


def serve(
    handler: Callable[[ServerConnection], None],
    host: str | None = None,
    port: int | None = None,
    *,
    sock: socket.socket | None = None,
    ssl: ssl_module.SSLContext | None = None,
    origins: Sequence[Origin | re.Pattern[str] | None] | Literal["same-origin"] | None = None,
    allowed_hosts: Sequence[str | re.Pattern[str]] | None = None,
    extensions: Sequence[ServerExtensionFactory] | None = None,
    subprotocols: Sequence[Subprotocol] | None = None,
    select_subprotocol: (
        Callable[[ServerConnection, Sequence[Subprotocol]], Subprotocol | None] | None
    ) = None,
    compression: str | None = "deflate",
    process_request: Callable[[ServerConnection, Request], Response | None] | None = None,
    process_response: (
        Callable[[ServerConnection, Request, Response], Response | None] | None
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
    **kwargs: Any,
) -> Server:
    """Run a WebSocket server.

    For each connection, once it is open, the handler is called with it, in a thread of its own. The
    connection is closed when the handler returns, with code 1000 (OK), or raises an exception, with
    code 1011 (internal error).

    It listens at once, and accepts connections when :meth:`Server.serve_forever` is called::

        with serve(handler, "localhost", 8765) as server:
            server.serve_forever()

    Args:
        handler: Connection handler: a function that gets a :class:`ServerConnection`.
        host: Host name or address to listen on; all by default.
        port: Port to listen on; 0 for a free one.
        sock: A socket to listen on, instead of ``host`` and ``port``. The server closes it.
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
        process_request: Called with the connection and the request. Returns :obj:`None` to go on,
            or a response, from :meth:`ServerConnection.respond`, to send instead.
        process_response: Called with the connection, the request and the response. May change the
            response, and returns :obj:`None`, or returns another response to send instead.
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
        kwargs: More arguments for :func:`socket.create_server`: ``family``, ``backlog``,
            ``reuse_port`` and ``dualstack_ipv6``.

    Raises:
        OSError: Listening fails.
        ValueError: An argument isn't possible.
        TypeError: ``handler`` is a coroutine function, ``subprotocols`` or ``allowed_hosts`` isn't
            a list, ``origins`` is another string, or ``ssl`` isn't a TLS context.

    """
    if inspect.iscoroutinefunction(handler):
        raise TypeError("handler must not be a coroutine function, with threads")
    ssl = take_ssl_context(ssl, kwargs)
    if subprotocols is not None:
        validate_subprotocols(subprotocols)
    extensions = choose_server_extensions(extensions, compression)
    if create_connection is None:
        create_connection = ServerConnection
    if ssl is not None and not isinstance(ssl, ssl_module.SSLContext):
        raise TypeError(f"ssl must be an ssl.SSLContext, not {type(ssl).__name__}")
    # Tell of wrong arguments now, not when a client connects.
    admission = Admission(max_connections, max_handshakes)
    Session[Any](
        ServerProtocol(origins=origins, allowed_hosts=allowed_hosts, max_size=max_size),
        ping_interval=ping_interval,
        ping_timeout=ping_timeout,
        close_timeout=close_timeout,
        max_queue=max_queue,
    )

    def make_connection(stream: Stream) -> ServerConnection:
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
        connection = create_connection(
            stream,
            protocol,
            server,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_queue=max_queue,
        )
        if selector is not None:
            selector.bind(connection)
        return connection

    def open_stream(sock: socket.socket, deadline: Deadline) -> Stream | None:
        """Take a TCP connection that was accepted; return nothing if TLS fails."""
        if sock.family != getattr(socket, "AF_UNIX", None):
            # Messages are to leave when they are sent.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = Stream(sock)
        if ssl is not None:
            try:
                stream.start_tls(ssl, deadline, server_side=True)
            except TimeoutError:
                server.logger.info("opening handshake timed out")
                return None
            except OSError as exc:
                server.logger.info("TLS handshake failed: %s", str(exc) or type(exc).__name__)
                return None
        return stream

    def handle_socket(sock: socket.socket, address: Any) -> None:
        """Open a connection, run its handler, and close it."""
        deadline = Deadline(open_timeout)
        stream = open_stream(sock, deadline)
        if stream is None:
            return
        connection = make_connection(stream)
        try:
            if server._begin(connection):
                try:
                    connection.handshake(
                        process_request, process_response, server_header, deadline.remaining()
                    )
                except TimeoutError:
                    connection.logger.info("opening handshake timed out")
                    return
            if not log_opening(connection):
                connection.wait_closed()
                return
            server._opened(connection)
            handle_connection(connection)
        finally:
            connection.abort()
            connection.wait_closed()
            server._end(connection)
            forget_tracebacks(connection.protocol.handshake_exc)

    def handle_connection(connection: ServerConnection) -> None:
        """Run the handler of a connection that is open, and close it."""
        try:
            handler(connection)
        except Exception as exc:
            if log_handler_failure(connection, exc):
                connection.close(CloseCode.INTERNAL_ERROR)
        except SystemExit:
            # It ends a thread, as this one is about to, and not the program.
            connection.close(CloseCode.INTERNAL_ERROR)
        else:
            connection.close()
        connection.wait_closed()
        connection.logger.info("connection closed")

    if sock is None:
        sock = listen(host, port, **kwargs)
    server = Server(sock, handle_socket, logger, admission=admission)
    server._may_wait_before = ssl is not None
    return server


def listen(
    host: str | None,
    port: int | None,
    *,
    unix: bool = False,
    path: str | None = None,
    **kwargs: Any,
) -> socket.socket:
    """Return a socket that listens.

    Raises:
        OSError: That isn't possible.
        ValueError: There is nothing to listen on.

    """
    if unix:
        if path is None:
            raise ValueError("missing path argument")
        return socket.create_server(path, family=socket.AF_UNIX, **kwargs)
    if port is None:
        raise ValueError("missing port argument")
    if host is None and socket.has_dualstack_ipv6() and "family" not in kwargs:
        kwargs |= {"family": socket.AF_INET6, "dualstack_ipv6": True}
    elif host is not None and "family" not in kwargs:
        # The family of its first address: create_server() takes IPv4 for granted.
        kwargs["family"] = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0][0]
    return socket.create_server((host or "", port), **kwargs)


def unix_serve(
    handler: Callable[[ServerConnection], None],
    path: str | os.PathLike[str] | None = None,
    **kwargs: Any,
) -> Server:
    """Run a WebSocket server that listens on a Unix socket.

    It has all arguments of :func:`serve` but ``host`` and ``port``. It is for servers behind a
    reverse proxy, for example.

    Args:
        handler: Connection handler.
        path: Path of the socket.
        kwargs: Other arguments of :func:`serve`.

    """
    if path is not None:
        kwargs["path"] = os.fspath(path)
    kwargs["ssl"] = take_ssl_context(kwargs.get("ssl"), kwargs)
    return serve(handler, unix=True, **kwargs)


def basic_auth(
    realm: str = "",
    credentials: tuple[str, str] | Iterable[tuple[str, str]] | None = None,
    check_credentials: Callable[[str, str], bool] | None = None,
) -> Callable[[ServerConnection, Request], Response | None]:
    """Make a ``process_request`` function for :func:`serve` that performs HTTP Basic
    Authentication.

    It sets the attribute ``username`` of the connection. Credentials are compared in constant time.

    Args:
        realm: What the credentials are for; shown by browsers.
        credentials: A pair of user name and password, or several.
        check_credentials: A function that takes a user name and a password, and tells whether they
            are good; instead of ``credentials``.

    Raises:
        ValueError: Both ``credentials`` and ``check_credentials`` are given, or none; or the realm
            isn't possible in a header.
        TypeError: ``credentials`` are something else, or ``check_credentials`` is a coroutine
            function.

    """
    if inspect.iscoroutinefunction(check_credentials):
        raise TypeError("check_credentials must not be a coroutine function")
    policy = BasicAuth(realm, credentials, check_credentials)

    def process_request(connection: ServerConnection, request: Request) -> Response | None:
        """Perform HTTP Basic Authentication."""
        found = policy.read(request.headers)
        if isinstance(found, str):
            return policy.challenge(connection, found)
        username, password = found
        return policy.conclude(connection, username, bool(policy.check(username, password)))

    return process_request


def broadcast(
    connections: Iterable[Connection],
    message: DataLike,
    *,
    raise_exceptions: bool = False,
    text: bool | None = None,
    max_buffer: int | None = None,
    slow: Literal["skip", "close"] = "skip",
    **kwargs: Any,
) -> None:
    """Send a message to several connections, without waiting for those that are slow.

    It is :func:`ws_protocol.broadcast.broadcast`.

    Args:
        connections: Connections. Those that aren't open are skipped.
        message: The message.
        raise_exceptions: Whether to raise an :exc:`ExceptionGroup` when sending to connections
            fails; by default, a warning is logged.
        text: Whether to send a text message; by default, it depends on the type.
        max_buffer: How many bytes may wait to be sent to a connection before it is too slow for
            this message; :obj:`None` for no limit.
        slow: What to do with connections that are too slow: ``"skip"`` leaves the message out,
            ``"close"`` fails the connection with close code 1008 (policy violation).
        kwargs: Arguments of :class:`concurrent.futures.ThreadPoolExecutor`, for programs that were
            written for a ``broadcast()`` that has one. They change nothing: this one sends without
            waiting, and needs no threads.

    Raises:
        ExceptionGroup: Sending failed, and ``raise_exceptions`` is true.
        TypeError: The message is neither a string nor bytes-like, or an argument isn't known.
        ValueError: ``slow`` is something else.

    """
    unknown = kwargs.keys() - _POOL_ARGUMENTS
    if unknown:
        raise TypeError(f"broadcast() got an unexpected keyword argument {min(unknown)!r}")
    broadcast_message(
        connections,
        message,
        text=text,
        raise_exceptions=raise_exceptions,
        max_buffer=max_buffer,
        slow=slow,
    )
