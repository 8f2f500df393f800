"""Connecting to a WebSocket server (RFC 6455, section 4.1)."""

from __future__ import annotations

import logging
import os
import socket
import ssl as ssl_module
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Literal, overload

from ws_protocol.client import ClientProtocol, backoff, customize_request, process_exception
from ws_protocol.datastructures import HeadersLike
from ws_protocol.extensions.base import ClientExtensionFactory
from ws_protocol.extensions.permessage_deflate import choose_client_extensions
from ws_protocol.http11 import USER_AGENT
from ws_protocol.limits import MAX_SIZE
from ws_protocol.reconnection import Reconnection
from ws_protocol.redirects import Destination
from ws_protocol.typing import LoggerLike, Origin, Subprotocol

from ._arguments import take_ssl_context
from ._deadline import Deadline
from ._dialing import dial
from .connection import Connection

__all__ = ["ClientConnection", "connect", "reconnect", "unix_connect", "unix_reconnect"]


class ClientConnection(Connection):
    """A WebSocket connection of a client, for threads.

    :func:`connect` makes it.

    It is an iterator over the messages it receives, and a context manager that closes it: with code
    1000 (OK) on a normal exit, with 1011 (internal error) when there is an exception.

    It has the arguments of :class:`~ws_threading.connection.Connection`.
    """

    protocol: ClientProtocol

    def handshake(
        self,
        additional_headers: HeadersLike | None = None,
        user_agent_header: str | None = USER_AGENT,
        timeout: float | None = None,
    ) -> None:
        """Perform the opening handshake; :func:`connect` calls it.

        Args:
            additional_headers: Headers to add to the request. Those that a request has once, such
                as ``Host``, replace the ones that would be there.
            user_agent_header: Value of the ``User-Agent`` header; :obj:`None` for none.
            timeout: Seconds to wait for the response; :obj:`None` to wait for ever.

        Raises:
            InvalidHandshake: It fails.
            TimeoutError: The response didn't arrive in time.

        """
        request = self.protocol.connect()
        customize_request(request, additional_headers, user_agent_header)
        with self._mutex:
            self.session.request = request
            self.protocol.send_request(request)
            self._write()
            self._wait_for_handshake(Deadline(timeout))
            if self.protocol.handshake_exc is not None:
                raise self.protocol.handshake_exc
            self._start_keepalive()


@overload
def connect(uri: str, *, legacy: Literal[False], **kwargs: Any) -> reconnect: ...


@overload
def connect(
    uri: str,
    *,
    sock: socket.socket | None = None,
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
    open_timeout: float | None = 10,
    ping_interval: float | None = 20,
    ping_timeout: float | None = 20,
    close_timeout: float | None = 10,
    max_size: int | tuple[int | None, int | None] | None = MAX_SIZE,
    max_queue: int | tuple[int | None, int | None] | None = 16,
    logger: LoggerLike | None = None,
    create_connection: Callable[..., ClientConnection] | None = None,
    legacy: Literal[True] | None = None,
    **kwargs: Any,
) -> ClientConnection: ...


def connect(
    uri: str,
    *,
    sock: socket.socket | None = None,
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
    open_timeout: float | None = 10,
    ping_interval: float | None = 20,
    ping_timeout: float | None = 20,
    close_timeout: float | None = 10,
    max_size: int | tuple[int | None, int | None] | None = MAX_SIZE,
    max_queue: int | tuple[int | None, int | None] | None = 16,
    logger: LoggerLike | None = None,
    create_connection: Callable[..., ClientConnection] | None = None,
    legacy: bool | None = None,
    **kwargs: Any,
) -> ClientConnection | reconnect:
    """Connect to a WebSocket server.

    It gives a connection, which is a context manager that closes it::

        with connect(...) as websocket:
            ...

    Redirects are followed, to the same origin or another. Credentials never go to another origin.

    Args:
        uri: URI of the server. If it has a user name and a password, they are sent for HTTP Basic
            Authentication (RFC 7617), percent-decoded.
        sock: A connected TCP socket to use, without TLS.
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
        open_timeout: Seconds for opening the connection, redirects included; :obj:`None` for no
            limit.
        ping_interval: Seconds between keepalive pings; :obj:`None` for no keepalive.
        ping_timeout: Seconds to wait for an answer to a ping; :obj:`None` to wait for ever.
        close_timeout: Seconds to wait for the connection to close, once it should; :obj:`None` to
            wait for ever.
        max_size: Limit on the payload of a message, in bytes, after extensions decoded it;
            :obj:`None` for no limit. A pair sets a limit for messages and one for frames, each of
            which may be :obj:`None`.
        max_queue: How many frames may wait to be received before no more are read from the
            network; :obj:`None` for no limit. A pair sets that number, and the one at which
            reading continues, by default a quarter of it.
        logger: Logger; ``logging.getLogger("websockets.client")`` by default.
        create_connection: Makes the connection, with the arguments of :class:`ClientConnection`,
            which is the default. For subclasses of it.
        legacy: :obj:`False` gives a :class:`reconnect` instead, which connects when it is used.
        kwargs: ``address``, a pair of host and port to connect to instead of those of the URI, and
            ``source_address``, a pair of host and port to connect from.

    Raises:
        InvalidURI: The URI isn't valid.
        InvalidProxy: The URL of the proxy isn't valid.
        OSError: The TCP connection fails.
        InvalidHandshake: The opening handshake fails.
        TimeoutError: It takes longer than ``open_timeout``.
        TypeError: ``sock`` has TLS already, or an argument isn't known.
        ValueError: An argument isn't possible, alone or together with the URI.

    """
    ssl = take_ssl_context(ssl, kwargs)
    if legacy is False:
        return reconnect(
            uri,
            sock=sock,
            ssl=ssl,
            server_hostname=server_hostname,
            origin=origin,
            extensions=extensions,
            subprotocols=subprotocols,
            compression=compression,
            additional_headers=additional_headers,
            user_agent_header=user_agent_header,
            proxy=proxy,
            proxy_ssl=proxy_ssl,
            proxy_server_hostname=proxy_server_hostname,
            open_timeout=open_timeout,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_size=max_size,
            max_queue=max_queue,
            logger=logger,
            create_connection=create_connection,
            **kwargs,
        )
    extensions = choose_client_extensions(extensions, compression)
    if create_connection is None:
        create_connection = ClientConnection
    deadline = Deadline(open_timeout)
    if sock is not None:
        kwargs["sock"] = sock
    destination = Destination(
        uri, additional_headers, kwargs | {"server_hostname": server_hostname}
    )
    try:
        while True:
            protocol = ClientProtocol(
                destination.ws_uri,
                origin=origin,
                extensions=extensions,
                subprotocols=subprotocols,
                max_size=max_size,
                logger=logger,
            )
            stream = dial(
                destination.ws_uri,
                deadline,
                proxy=proxy,
                user_agent_header=user_agent_header,
                ssl=ssl,
                proxy_ssl=proxy_ssl,
                proxy_server_hostname=proxy_server_hostname,
                **destination.arguments,
            )
            try:
                connection = create_connection(
                    stream,
                    protocol,
                    ping_interval=ping_interval,
                    ping_timeout=ping_timeout,
                    close_timeout=close_timeout,
                    max_queue=max_queue,
                )
            except BaseException:
                stream.socket.close()
                raise
            try:
                connection.handshake(destination.headers, user_agent_header, deadline.remaining())
            except BaseException as exc:
                connection.abort()
                connection.wait_closed()
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
) -> ClientConnection:
    """Connect to a WebSocket server that listens on a Unix socket.

    It has all arguments of :func:`connect`.

    Args:
        path: Path of the socket.
        uri: URI, whose host is sent in the ``Host`` header and, with TLS, as the name of the
            server. By default, ``ws://localhost/``, or ``wss://localhost/`` if there is an argument
            ``ssl``.
        kwargs: Other arguments of :func:`connect`.

    """
    kwargs["ssl"] = take_ssl_context(kwargs.get("ssl"), kwargs)
    connection: ClientConnection = connect(**unix_arguments(path, uri, kwargs))
    return connection


class reconnect:
    """Connect to a WebSocket server, again and again.

    It is an infinite iterator, which connects again whenever the connection was closed, and waits
    longer and longer between attempts that fail, or connections that the server ends at once::

        for websocket in reconnect(...):
            try:
                ...
            except ConnectionClosed:
                continue

    It is also a context manager, which connects once and closes the connection.

    Args:
        uri: URI of the server.
        process_exception: Called with the exception of an attempt that failed. Returns :obj:`None`
            to try again, or an exception to raise. By default,
            :func:`~ws_protocol.client.process_exception`.
        reconnect_delays: Called after the first of several attempts that fail. Returns an iterator
            over the seconds to wait before each of the next; when it ends, the exception is raised.
            By default, :func:`~ws_protocol.client.backoff`. A connection that the server ends
            within 5 seconds, without having sent a message, is such an attempt, too.
        logger: Logger; ``logging.getLogger("websockets.client")`` by default.
        kwargs: Other arguments of :func:`connect`.

    Raises:
        Exception: What :func:`connect` raises, if ``process_exception`` says so.

    """

    connection: ClientConnection

    def __init__(
        self,
        uri: str,
        *,
        process_exception: Callable[[Exception], Exception | None] = process_exception,
        reconnect_delays: Callable[[], Iterator[float]] = backoff,
        logger: LoggerLike | None = None,
        **kwargs: Any,
    ) -> None:
        self.uri: str = uri
        self.process_exception = process_exception
        self.reconnect_delays = reconnect_delays
        self.logger: LoggerLike = logger or logging.getLogger("websockets.client")
        self._kwargs = kwargs | {"logger": logger}

    def __enter__(self) -> ClientConnection:
        connection: ClientConnection = connect(self.uri, **self._kwargs)
        self.connection = connection
        return connection

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Else the connection and what it refers to would live as long as this object.
        connection = self.connection
        del self.connection
        connection.__exit__(exc_type, exc_value, traceback)

    def __iter__(self) -> Iterator[ClientConnection]:
        reconnection = Reconnection(self.process_exception, self.reconnect_delays, self.logger)
        while True:
            try:
                connection = connect(self.uri, **self._kwargs)
            except Exception as exc:
                delay = reconnection.delay_after_failure(exc)
            else:
                opened = time.monotonic()
                try:
                    yield connection
                finally:
                    connection.close()
                delay = reconnection.delay_after_connection(
                    connection.session, opened, time.monotonic()
                )
                # Else the connection and what it refers to would live as long as the next attempt.
                del connection
            time.sleep(delay)


def unix_reconnect(
    path: str | os.PathLike[str] | None = None, uri: str | None = None, **kwargs: Any
) -> reconnect:
    """Connect to a WebSocket server that listens on a Unix socket, again and again.

    It has all arguments of :class:`reconnect`, and returns one.

    Args:
        path: Path of the socket.
        uri: URI, as for :func:`unix_connect`.
        kwargs: Other arguments of :class:`reconnect`.

    """
    return reconnect(**unix_arguments(path, uri, kwargs))


def unix_arguments(
    path: str | os.PathLike[str] | None, uri: str | None, kwargs: dict[str, Any]
) -> dict[str, Any]:
    """Return arguments for :func:`connect` that make it connect to a Unix socket."""
    if uri is None:
        uri = "ws://localhost/" if kwargs.get("ssl") is None else "wss://localhost/"
    if path is not None:
        kwargs["path"] = os.fspath(path)
    return {"uri": uri, "unix": True, **kwargs}
