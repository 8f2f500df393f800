"""Connecting to a WebSocket server (RFC 6455, section 4.1)."""

from __future__ import annotations

import collections.abc
import contextlib
import logging
import math
import os
import ssl as ssl_module
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import trio

from ws_protocol.client import ClientProtocol, backoff, customize_request, process_exception
from ws_protocol.datastructures import HeadersLike
from ws_protocol.extensions.base import ClientExtensionFactory
from ws_protocol.extensions.permessage_deflate import choose_client_extensions
from ws_protocol.frames import CloseCode
from ws_protocol.http11 import USER_AGENT
from ws_protocol.limits import MAX_SIZE
from ws_protocol.reconnection import Reconnection
from ws_protocol.redirects import Destination
from ws_protocol.typing import LoggerLike, Origin, Subprotocol
from ws_protocol.uri import WebSocketURI

from ._dialing import dial
from ._iterators import Iterator
from ._streams import closing_on_failure
from .connection import Connection

__all__ = ["ClientConnection", "connect", "process_exception", "unix_connect"]


class ClientConnection(Connection):
    """A WebSocket connection of a client, on trio.

    :class:`connect` makes it.

    It is an asynchronous iterable of the messages it receives, and an asynchronous context manager
    that closes it: with code 1000 (OK) on a normal exit, with 1001 (going away) when it is
    cancelled, with 1011 (internal error) when there is an exception.

    It has the arguments of :class:`~ws_trio.connection.Connection`.
    """

    protocol: ClientProtocol

    async def handshake(
        self,
        additional_headers: HeadersLike | None = None,
        user_agent_header: str | None = USER_AGENT,
    ) -> None:
        """Perform the opening handshake; :class:`connect` calls it.

        Args:
            additional_headers: Headers to add to the request. Those that a request has once, such
                as ``Host``, replace the ones that would be there.
            user_agent_header: Value of the ``User-Agent`` header; :obj:`None` for none.

        Raises:
            InvalidHandshake: It fails.

        """
        request = self.protocol.connect()
        customize_request(request, additional_headers, user_agent_header)
        self.session.request = request
        self.protocol.send_request(request)
        self._flush()
        await self._handshaking.wait()
        if self.protocol.handshake_exc is not None:
            raise self.protocol.handshake_exc
        self.session.start_keepalive(trio.current_time())
        self._set_timer()


class connect:
    """Connect to a WebSocket server.

    It is an asynchronous context manager, which closes the connection::

        async with connect(...) as websocket:
            ...

    It is an infinite asynchronous iterable, which connects again whenever the connection was
    closed, and waits longer and longer between attempts that fail, or connections that the server
    ends at once::

        async for websocket in connect(...):
            try:
                ...
            except ConnectionClosed:
                continue

    A loop that is left closes its connection. It doesn't wait for that, because loops can't; the
    nursery in which the task was started does.

    Redirects are followed, to the same origin or another. Credentials never go to another origin.

    Args:
        uri: URI of the server. If it has a user name and a password, they are sent for HTTP Basic
            Authentication (RFC 7617), percent-decoded.
        stream: A stream to use, connected. Without TLS: that is added if the URI asks for it.
        ssl: TLS context for ``wss`` URIs. The default verifies the server.
        server_hostname: Name that the server's certificate must have, and that is sent in the TLS
            handshake (SNI); the host of the URI by default.
        origin: Value of the ``Origin`` header. Browsers send it, and servers may ask for it.
        extensions: Extensions to offer, in order of preference.
        subprotocols: Subprotocols to offer, in order of preference.
        compression: ``"deflate"`` offers the extension permessage-deflate with default settings,
            unless it is among ``extensions``; :obj:`None` doesn't.
        additional_headers: Headers to add to the request. Those that a request has once, such as
            ``Host``, replace the ones that would be there.
        user_agent_header: Value of the ``User-Agent`` header; :obj:`None` for none.
        proxy: URL of a proxy: ``http`` or ``https`` for an HTTP proxy, ``socks5h``, ``socks5``,
            ``socks4a`` or ``socks4`` for a SOCKS proxy, which requires python-socks. :obj:`True`,
            the default, for the one that the environment configures, if any; :obj:`None` for none.
        proxy_ssl: TLS context for an ``https`` proxy. The default verifies the proxy.
        proxy_server_hostname: Name that the proxy's certificate must have; the host of its URL by
            default.
        process_exception: Called, when used as an iterable, with the exception of an attempt that
            failed. Returns :obj:`None` to try again, or an exception to raise. By default,
            :func:`~ws_protocol.client.process_exception`.
        open_timeout: Seconds for opening the connection, redirects included; :obj:`None` for no
            limit.
        ping_interval: Seconds between keepalive pings; :obj:`None` for no keepalive.
        ping_timeout: Seconds to wait for an answer to a ping; :obj:`None` to wait for ever.
        close_timeout: Seconds to wait for the connection to close, once it should; :obj:`None` to
            wait for ever.
        reconnect_delays: Called, when used as an iterable, after the first of several attempts that
            fail. Returns an iterator over the seconds to wait before each of the next; when it
            ends, the exception is raised. By default, :func:`~ws_protocol.client.backoff`. A
            connection that the server ends within 5 seconds, without having sent a message, is
            such an attempt, too.
        max_size: Limit on the payload of a message, in bytes, after extensions decoded it;
            :obj:`None` for no limit. A pair sets a limit for messages and one for frames, each of
            which may be :obj:`None`.
        max_queue: How many frames may wait to be received before no more are read from the
            network; :obj:`None` for no limit. A pair sets that number, and the one at which
            reading continues, by default a quarter of it.
        logger: Logger; ``logging.getLogger("websockets.client")`` by default.
        create_connection: Makes the connection, with the arguments of :class:`ClientConnection`,
            which is the default. For subclasses of it.
        kwargs: More arguments for :func:`trio.open_tcp_stream`. ``host`` and ``port`` say where to
            connect to instead of the host and port of the URI.

    Raises:
        InvalidURI: The URI isn't valid.
        InvalidProxy: The URL of the proxy isn't valid.
        OSError: The TCP connection fails.
        InvalidHandshake: The opening handshake fails.
        TimeoutError: It takes longer than ``open_timeout``.
        ValueError: An argument isn't possible, alone or together with the URI.

    Attributes:
        connection: The connection, inside of the context manager.

    """

    connection: ClientConnection

    def __init__(
        self,
        uri: str,
        *,
        stream: trio.abc.Stream | None = None,
        ssl: ssl_module.SSLContext | None = None,
        server_hostname: str | None = None,
        origin: Origin | None = None,
        extensions: Sequence[ClientExtensionFactory] | None = None,
        subprotocols: Sequence[Subprotocol] | None = None,
        compression: str | None = "deflate",
        additional_headers: HeadersLike | None = None,
        user_agent_header: str | None = USER_AGENT,
        proxy: str | bool | None = True,
        proxy_ssl: ssl_module.SSLContext | None = None,
        proxy_server_hostname: str | None = None,
        process_exception: Callable[[Exception], Exception | None] = process_exception,
        open_timeout: float | None = 10,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        reconnect_delays: Callable[[], collections.abc.Iterator[float]] = backoff,
        max_size: int | tuple[int | None, int | None] | None = MAX_SIZE,
        max_queue: int | tuple[int | None, int | None] | None = 16,
        logger: LoggerLike | None = None,
        create_connection: Callable[..., ClientConnection] | None = None,
        **kwargs: Any,
    ) -> None:
        extensions = choose_client_extensions(extensions, compression)
        if create_connection is None:
            create_connection = ClientConnection

        self.uri = uri
        self.additional_headers = additional_headers
        self.user_agent_header = user_agent_header
        self.proxy = proxy
        self.process_exception = process_exception
        self.open_timeout = open_timeout
        self.reconnect_delays = reconnect_delays
        self.logger: LoggerLike = logger or logging.getLogger("websockets.client")

        def factory(
            nursery: trio.Nursery, stream: trio.abc.Stream, protocol: ClientProtocol
        ) -> ClientConnection:
            return create_connection(
                nursery,
                stream,
                protocol,
                ping_interval=ping_interval,
                ping_timeout=ping_timeout,
                close_timeout=close_timeout,
                max_queue=max_queue,
            )

        def make_protocol(ws_uri: WebSocketURI) -> ClientProtocol:
            return ClientProtocol(
                ws_uri,
                origin=origin,
                extensions=extensions,
                subprotocols=subprotocols,
                max_size=max_size,
                logger=logger,
            )

        self._make_connection = factory
        self._make_protocol = make_protocol
        # Those that hold for one origin have names that redirects know.
        self._arguments = kwargs | {
            "ssl": ssl,
            "server_hostname": server_hostname,
            "proxy_ssl": proxy_ssl,
            "proxy_server_hostname": proxy_server_hostname,
        }
        if stream is not None:
            self._arguments["sock"] = stream

    async def connect(self, nursery: trio.Nursery) -> ClientConnection:
        """Connect, in a nursery of your own.

        Whoever calls it closes the connection, with
        :meth:`~ws_trio.connection.Connection.aclose`, or by cancelling the nursery::

            async with trio.open_nursery() as nursery:
                async with await connect(...).connect(nursery) as websocket:
                    ...

        Args:
            nursery: Nursery for the tasks of the connection.

        """
        deadline = math.inf
        if self.open_timeout is not None:
            deadline = trio.current_time() + self.open_timeout
        with trio.CancelScope(deadline=deadline):
            destination = Destination(self.uri, self.additional_headers, self._arguments)
            while True:
                protocol = self._make_protocol(destination.ws_uri)
                stream = await dial(
                    destination.ws_uri,
                    user_agent_header=self.user_agent_header,
                    proxy=self.proxy,
                    **destination.arguments,
                )
                async with closing_on_failure(stream):
                    connection = self._make_connection(nursery, stream, protocol)
                try:
                    await connection.handshake(destination.headers, self.user_agent_header)
                except BaseException as exc:
                    connection._abort.cancel()
                    with trio.CancelScope(shield=True):
                        await connection.wait_closed()
                    # Its traceback refers to the connection, which would be a cycle.
                    connection.protocol.handshake_exc = None
                    if not destination.follow(exc):
                        raise
                else:
                    return connection
        raise TimeoutError("timed out during opening handshake")

    async def __aenter__(self) -> ClientConnection:
        manager = trio.open_nursery()
        nursery = await manager.__aenter__()
        try:
            self.connection = await self.connect(nursery)
        except BaseException:
            await manager.__aexit__(None, None, None)
            raise
        self._nursery_manager = manager
        return self.connection

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        # Else the connection and what it refers to would live as long as this object.
        connection, manager = self.connection, self._nursery_manager
        del self.connection, self._nursery_manager
        scope = connection.nursery.cancel_scope
        swallows: bool | None = None
        try:
            # If that is cancelled, waiting for the nursery is, too.
            with contextlib.suppress(trio.Cancelled):
                if not scope.cancel_called:
                    await connection.__aexit__(exc_type, exc_value, traceback)
        finally:
            if scope.cancel_called:
                # By the program, or because a task failed that it started in the nursery. That
                # closes the connection, and must be told of the cancellation, which ends here.
                swallows = await manager.__aexit__(exc_type, exc_value, traceback)
            else:
                # It isn't told of exceptions: it would put them into a group.
                await manager.__aexit__(None, None, None)
        return swallows

    def __aiter__(self) -> Iterator[ClientConnection]:
        return Loop(Connections(self))


class Connections:
    """The connections of a loop that connects again and again.

    Neither a nursery nor a cancel scope can be open while the loop's body runs: it may be left at
    any time, and nothing would close them. So the tasks of a connection run in the nursery of the
    task that runs the loop.

    Args:
        connector: Connects.

    """

    def __init__(self, connector: connect) -> None:
        self._connector = connector
        self._reconnection = Reconnection(
            connector.process_exception, connector.reconnect_delays, connector.logger
        )
        self._connection: ClientConnection | None = None
        self._opened = 0.0
        self._token = trio.lowlevel.current_trio_token()

    async def open_next(self) -> ClientConnection:
        """Close the connection, if there is one, and open another."""
        delay = 0.0
        if self._connection is not None:
            await self._connection.aclose()
            delay = self._reconnection.delay_after_connection(
                self._connection.session, self._opened, trio.current_time()
            )
            self._connection = None
        nursery = trio.lowlevel.current_task().parent_nursery
        assert nursery is not None  # only trio's own first task has none
        while True:
            await trio.sleep(delay)
            try:
                self._connection = await self._connector.connect(nursery)
            except Exception as exc:
                delay = self._reconnection.delay_after_failure(exc)
            else:
                self._opened = trio.current_time()
                return self._connection

    async def aclose(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            await self._connection.aclose()

    def abandon(self) -> None:
        """Have the connection closed, if there is one. This may be called in any thread, and when
        trio isn't running any more."""
        if self._connection is not None:
            with contextlib.suppress(trio.RunFinishedError):
                self._token.run_sync_soon(
                    self._connection._start_closing, CloseCode.NORMAL_CLOSURE, ""
                )


class Loop(Iterator[ClientConnection]):
    """What a loop over connections iterates with.

    Nothing else refers to it, not even the traceback of an exception, so that it is gone as soon as
    the loop is left.

    Args:
        connections: The connections.

    """

    def __init__(self, connections: Connections) -> None:
        super().__init__(connections.open_next)
        self._connections = connections

    async def aclose(self) -> None:
        """End the iteration, and close the connection, if there is one."""
        await super().aclose()
        await self._connections.aclose()

    def __del__(self) -> None:
        self._connections.abandon()


def unix_connect(
    path: str | os.PathLike[str] | None = None, uri: str | None = None, **kwargs: Any
) -> connect:
    """Connect to a WebSocket server that listens on a Unix socket.

    It has all arguments of :class:`connect`, and returns one.

    Args:
        path: Path of the socket.
        uri: URI, whose host is sent in the ``Host`` header and, with TLS, as the name of the
            server. By default, ``ws://localhost/``, or ``wss://localhost/`` if there is an argument
            ``ssl``.
        kwargs: Other arguments of :class:`connect`.

    """
    if uri is None:
        uri = "ws://localhost/" if kwargs.get("ssl") is None else "wss://localhost/"
    return connect(uri, unix=True, path=path, **kwargs)
