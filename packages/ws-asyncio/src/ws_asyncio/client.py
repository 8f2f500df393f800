"""Connecting to a WebSocket server (RFC 6455, section 4.1)."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ws_protocol.client import ClientProtocol, backoff, customize_request, process_exception
from ws_protocol.datastructures import HeadersLike
from ws_protocol.extensions.base import ClientExtensionFactory
from ws_protocol.extensions.permessage_deflate import choose_client_extensions
from ws_protocol.http11 import USER_AGENT
from ws_protocol.limits import MAX_SIZE
from ws_protocol.reconnection import Reconnection
from ws_protocol.redirects import Destination
from ws_protocol.typing import LoggerLike, Origin, Subprotocol
from ws_protocol.uri import WebSocketURI

from ._arguments import reject_original_arguments
from ._dialing import dial
from .connection import Connection

__all__ = ["ClientConnection", "connect", "process_exception", "unix_connect"]


class ClientConnection(Connection):
    """A WebSocket connection of a client, on asyncio.

    :func:`connect` makes it.

    It is an asynchronous iterator over the messages it receives, and an asynchronous context
    manager that closes it: with code 1000 (OK) on a normal exit, with 1011 (internal error) when
    there is an exception.

    It has the arguments of :class:`~ws_asyncio.connection.Connection`.
    """

    protocol: ClientProtocol

    async def handshake(
        self,
        additional_headers: HeadersLike | None = None,
        user_agent_header: str | None = USER_AGENT,
    ) -> None:
        """Perform the opening handshake; :func:`connect` calls it.

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
        self._write()
        await self._wait_for_handshake()
        if self.protocol.handshake_exc is not None:
            raise self.protocol.handshake_exc
        self.session.start_keepalive(self.loop.time())
        self._set_timer()


class connect:
    """Connect to a WebSocket server.

    It can be awaited, and gives a :class:`ClientConnection` to be closed with
    :meth:`~ws_asyncio.connection.Connection.close`::

        websocket = await connect(...)
        try:
            ...
        finally:
            await websocket.close()

    It is an asynchronous context manager, which closes the connection::

        async with connect(...) as websocket:
            ...

    It is an infinite asynchronous iterator, which connects again whenever the connection was
    closed, and waits longer and longer between attempts that fail, or connections that the server
    ends at once::

        async for websocket in connect(...):
            try:
                ...
            except ConnectionClosed:
                continue

    Redirects are followed, to the same origin or another. Credentials never go to another origin.

    Args:
        uri: URI of the server. If it has a user name and a password, they are sent for HTTP Basic
            Authentication (RFC 7617), percent-decoded.
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
        process_exception: Called, when used as an iterator, with the exception of an attempt that
            failed. Returns :obj:`None` to try again, or an exception to raise. By default,
            :func:`~ws_protocol.client.process_exception`.
        open_timeout: Seconds for opening the connection, redirects included; :obj:`None` for no
            limit.
        ping_interval: Seconds between keepalive pings; :obj:`None` for no keepalive.
        ping_timeout: Seconds to wait for an answer to a ping; :obj:`None` to wait for ever.
        close_timeout: Seconds to wait for the connection to close, once it should; :obj:`None` to
            wait for ever.
        reconnect_delays: Called, when used as an iterator, after the first of several attempts that
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
        write_limit: How many bytes may wait to be sent before
            :meth:`~ws_asyncio.connection.Connection.send` waits. A pair sets that number, and the
            one at which it continues, by default a quarter of it.
        logger: Logger; ``logging.getLogger("websockets.client")`` by default.
        create_connection: Makes the connection, with the arguments of :class:`ClientConnection`,
            which is the default. For subclasses of it.
        kwargs: More arguments for :meth:`asyncio.loop.create_connection`. Among them:

            * ``ssl``: a TLS context for ``wss`` URIs. The default verifies the server.
            * ``server_hostname``: name that the server's certificate must have, and that is sent in
              the TLS handshake (SNI); the host of the URI by default.
            * ``host`` and ``port``: where to connect to instead of the host and port of the URI.
            * ``sock``: a connected socket to use.

            Those that begin with ``proxy_`` are for the connection to the proxy: ``proxy_ssl`` is
            the TLS context for an ``https`` proxy, for example.

    Raises:
        InvalidURI: The URI isn't valid.
        InvalidProxy: The URL of the proxy isn't valid.
        OSError: The TCP connection fails.
        InvalidHandshake: The opening handshake fails.
        TimeoutError: It takes longer than ``open_timeout``.
        ValueError: An argument isn't possible, alone or together with the URI.
        TypeError: An argument is of the original API.

    """

    connection: ClientConnection
    logger: LoggerLike

    def __init__(
        self,
        uri: str,
        *,
        origin: Origin | None = None,
        extensions: Sequence[ClientExtensionFactory] | None = None,
        subprotocols: Sequence[Subprotocol] | None = None,
        compression: str | None = "deflate",
        additional_headers: HeadersLike | None = None,
        user_agent_header: str | None = USER_AGENT,
        proxy: str | bool | None = True,
        process_exception: Callable[[Exception], Exception | None] = process_exception,
        open_timeout: float | None = 10,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        reconnect_delays: Callable[[], Iterator[float]] = backoff,
        max_size: int | tuple[int | None, int | None] | None = MAX_SIZE,
        max_queue: int | tuple[int | None, int | None] | None = 16,
        write_limit: int | tuple[int, int | None] = 2**15,
        logger: LoggerLike | None = None,
        create_connection: Callable[..., ClientConnection] | None = None,
        **kwargs: Any,
    ) -> None:
        reject_original_arguments("connect", kwargs, extra_headers="additional_headers")
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
        # The factory must not refer to what refers to it.
        logger = self.logger = logger or logging.getLogger("websockets.client")

        def factory(ws_uri: WebSocketURI) -> ClientConnection:
            protocol = ClientProtocol(
                ws_uri,
                origin=origin,
                extensions=extensions,
                subprotocols=subprotocols,
                max_size=max_size,
                logger=logger,
            )
            return create_connection(
                protocol,
                ping_interval=ping_interval,
                ping_timeout=ping_timeout,
                close_timeout=close_timeout,
                max_queue=max_queue,
                write_limit=write_limit,
            )

        self._factory = factory
        self._kwargs = kwargs

    if not TYPE_CHECKING:  # pragma: no branch  # it is always so

        def __getattr__(self, name: str) -> Any:
            # Who forgets to await it, and uses it as a connection.
            hint = ""
            if hasattr(ClientConnection, name):
                hint = "; await it, or use it in async with, to get the connection, which has it"
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute {name!r}{hint}",
                name=name,
                obj=self,
            )

    # A coroutine function can't be an asynchronous context manager and iterator, too.

    def __await__(self) -> Generator[Any, None, ClientConnection]:
        return self._connect().__await__()

    # For yield from, in generators that were coroutines before there were others.
    __iter__ = __await__

    async def __aenter__(self) -> ClientConnection:
        self.connection = await self
        return await self.connection.__aenter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Else the connection and what it refers to would live as long as this object.
        connection = self.connection
        del self.connection
        await connection.__aexit__(exc_type, exc_value, traceback)

    async def __aiter__(self) -> AsyncIterator[ClientConnection]:
        reconnection = Reconnection(self.process_exception, self.reconnect_delays, self.logger)
        clock = asyncio.get_running_loop().time
        while True:
            try:
                connection = await self
            except Exception as exc:
                delay = reconnection.delay_after_failure(exc)
            else:
                opened = clock()
                try:
                    yield connection
                finally:
                    await connection.close()
                delay = reconnection.delay_after_connection(connection.session, opened, clock())
                # Else the connection and what it refers to would live as long as the next attempt.
                del connection
            await asyncio.sleep(delay)

    async def _connect(self) -> ClientConnection:
        """Connect, and follow redirects."""
        destination = Destination(self.uri, self.additional_headers, self._kwargs)
        try:
            async with asyncio.timeout(self.open_timeout):
                while True:
                    connection = self._factory(destination.ws_uri)
                    try:
                        await dial(
                            connection,
                            destination.ws_uri,
                            proxy=self.proxy,
                            user_agent_header=self.user_agent_header,
                            **destination.arguments,
                        )
                    except BaseException as exc:
                        # When cancelled after the TLS handshake, event loops say goodbye, and wait
                        # for the answer.
                        if hasattr(connection, "transport"):
                            connection.transport.abort()
                        # asyncio's part of it would be a reference cycle.
                        exc.__traceback__ = None
                        raise
                    try:
                        await connection.handshake(destination.headers, self.user_agent_header)
                    except BaseException as exc:
                        connection.transport.abort()
                        await connection.wait_closed()
                        # Its traceback refers to the connection, which would be a cycle.
                        connection.protocol.handshake_exc = None
                        if not destination.follow(exc):
                            raise
                    else:
                        return connection
        except TimeoutError as exc:
            raise TimeoutError("timed out during opening handshake") from exc


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
    if path is not None:
        kwargs["path"] = os.fspath(path)
    return connect(uri, unix=True, **kwargs)
