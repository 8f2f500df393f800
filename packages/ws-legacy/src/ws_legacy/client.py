"""Connecting to a WebSocket server (RFC 6455, section 4.1)."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from types import TracebackType
from typing import Any

from ws_protocol.client import ClientProtocol, backoff, customize_request
from ws_protocol.datastructures import Headers, HeadersLike
from ws_protocol.exceptions import InvalidStatus, SecurityError
from ws_protocol.extensions.base import ClientExtensionFactory, Extension
from ws_protocol.extensions.permessage_deflate import choose_client_extensions
from ws_protocol.headers import validate_subprotocols
from ws_protocol.http11 import USER_AGENT
from ws_protocol.limits import (
    BACKOFF_FACTOR,
    BACKOFF_INITIAL_DELAY,
    BACKOFF_MAX_DELAY,
    BACKOFF_MIN_DELAY,
    MAX_REDIRECTS,
    MAX_SIZE,
)
from ws_protocol.redirects import follow_redirect
from ws_protocol.typing import LoggerLike, Origin, Subprotocol
from ws_protocol.uri import WebSocketURI, parse_uri

from ._deprecation import reject_new_arguments, rename_arguments
from .exceptions import InvalidStatusCode, RedirectHandshake
from .http import escape, unescape
from .protocol import WebSocketCommonProtocol

__all__ = ["Connect", "WebSocketClientProtocol", "connect", "unix_connect"]


class WebSocketClientProtocol(WebSocketCommonProtocol):
    """A WebSocket connection of a client.

    :class:`connect` makes it.

    It is an asynchronous iterator over the messages it receives.

    Args:
        logger: Logger; ``logging.getLogger("websockets.client")`` by default.
        origin: Value of the ``Origin`` header.
        extensions: Extensions to offer, in order of preference.
        subprotocols: Subprotocols to offer, in order of preference.
        extra_headers: Headers to add to the request.
        user_agent_header: Value of the ``User-Agent`` header; :obj:`None` for none.
        kwargs: Other arguments of :class:`~ws_legacy.protocol.WebSocketCommonProtocol`.

    """

    is_client = True
    side = "client"

    path: str
    request_headers: Headers
    response_headers: Headers
    extensions: Sequence[Extension]
    subprotocol: Subprotocol | None

    _protocol: ClientProtocol

    def __init__(
        self,
        *,
        logger: LoggerLike | None = None,
        origin: Origin | None = None,
        extensions: Sequence[ClientExtensionFactory] | None = None,
        subprotocols: Sequence[Subprotocol] | None = None,
        extra_headers: HeadersLike | None = None,
        user_agent_header: str | None = USER_AGENT,
        **kwargs: Any,
    ) -> None:
        super().__init__(logger=logger, **kwargs)
        self.origin = origin
        self.available_extensions = extensions
        self.available_subprotocols = subprotocols
        self.extra_headers = extra_headers
        self.user_agent_header = user_agent_header

    def _make_protocol(self, max_size: int | None, logger: LoggerLike | None) -> ClientProtocol:
        # The URI comes with handshake().
        uri = WebSocketURI(False, "localhost", 80, "/", "")
        return ClientProtocol(uri, max_size=max_size, logger=logger)

    async def handshake(
        self,
        wsuri: WebSocketURI,
        origin: Origin | None = None,
        available_extensions: Sequence[ClientExtensionFactory] | None = None,
        available_subprotocols: Sequence[Subprotocol] | None = None,
        extra_headers: HeadersLike | None = None,
    ) -> None:
        """Perform the opening handshake; :class:`connect` calls it.

        Args:
            wsuri: URI.
            origin: Value of the ``Origin`` header.
            available_extensions: Extensions to offer, in order of preference.
            available_subprotocols: Subprotocols to offer, in order of preference.
            extra_headers: Headers to add to the request.

        Raises:
            InvalidHandshake: It fails.

        """
        protocol = self._protocol
        protocol.uri = wsuri
        protocol.origin = origin
        protocol.available_extensions = available_extensions
        protocol.available_subprotocols = available_subprotocols
        request = protocol.connect()
        additional = None if extra_headers is None else unescape(extra_headers)
        customize_request(request, additional, self.user_agent_header)
        self._session.request = request
        self.path = request.path
        self.request_headers = escape(request.headers)
        protocol.send_request(request)
        self._write()
        await self._handshaking
        if self._session.response is not None:
            self.response_headers = escape(self._session.response.headers)
        failure = protocol.handshake_exc
        if failure is not None:
            # Its traceback refers to this connection, which would be a cycle.
            protocol.handshake_exc = None
            try:
                raise translate(failure)
            finally:
                del failure
        self.extensions = protocol.extensions
        self.subprotocol = protocol.subprotocol
        self.connection_open()


def translate(exc: Exception) -> Exception:
    """Return the exception that the original API has for the failure of an opening handshake."""
    if not isinstance(exc, InvalidStatus):
        return exc
    response = exc.response
    translation: Exception
    if 300 <= response.status_code < 400 and "Location" in response.headers:
        translation = RedirectHandshake(response.headers.get_all("Location")[0])
    else:
        translation = InvalidStatusCode(response.status_code, response.headers)
    translation.__cause__ = exc
    return translation


class Connect:
    """Connect to a WebSocket server.

    It can be awaited, and gives a :class:`WebSocketClientProtocol` to be closed with
    :meth:`~ws_legacy.protocol.WebSocketCommonProtocol.close`::

        websocket = await connect(...)
        try:
            ...
        finally:
            await websocket.close()

    It is an asynchronous context manager, which closes the connection::

        async with connect(...) as websocket:
            ...

    It is an infinite asynchronous iterator, which connects again whenever the connection was
    closed, and after any error, waiting longer and longer between attempts that fail::

        async for websocket in connect(...):
            try:
                ...
            except ConnectionClosed:
                continue

    Redirects are followed, to the same origin or another. Credentials never go to another origin.

    Args:
        uri: URI of the server. If it has a user name and a password, they are sent for HTTP Basic
            Authentication (RFC 7617), percent-decoded.
        create_protocol: Makes the connection, with keyword arguments of
            :class:`WebSocketClientProtocol`, which is the default. For subclasses of it.
        logger: Logger; ``logging.getLogger("websockets.client")`` by default.
        compression: ``"deflate"`` offers the extension permessage-deflate with default settings,
            unless it is among ``extensions``; :obj:`None` doesn't.
        origin: Value of the ``Origin`` header. Browsers send it, and servers may ask for it.
        extensions: Extensions to offer, in order of preference.
        subprotocols: Subprotocols to offer, in order of preference.
        extra_headers: Headers to add to the request. Those that a request has once, such as
            ``Host``, replace the ones that would be there.
        user_agent_header: Value of the ``User-Agent`` header; :obj:`None` for none.
        open_timeout: Seconds for opening the connection, redirects included; :obj:`None` for no
            limit.
        ping_interval: Seconds between keepalive pings; :obj:`None` or 0 for no keepalive.
        ping_timeout: Seconds to wait for an answer to a ping; :obj:`None` to wait for ever.
        close_timeout: Seconds to wait for the connection to close, once it should; 10 by default.
        max_size: Limit on the payload of a message, in bytes, after extensions decoded it;
            :obj:`None` for no limit.
        max_queue: How many messages may wait to be received before no more are read from the
            network; :obj:`None` for no limit.
        read_limit: Kept for what reads it. There is no buffer of bytes that it could limit.
        write_limit: How many bytes may wait to be sent before
            :meth:`~ws_legacy.protocol.WebSocketCommonProtocol.send` waits.
        kwargs: More arguments for :meth:`asyncio.loop.create_connection`. Among them:

            * ``ssl``: a TLS context for ``wss`` URIs. The default verifies the server.
            * ``server_hostname``: name that the server's certificate must have, and that is sent in
              the TLS handshake (SNI); the host of the URI by default.
            * ``host`` and ``port``: where to connect to instead of the host and port of the URI.
            * ``sock``: a connected socket to use.

    Raises:
        InvalidURI: The URI isn't valid. Raised at once.
        ValueError: An argument isn't possible, alone or together with the URI. Raised at once.
        OSError: The TCP connection fails.
        InvalidHandshake: The opening handshake fails;
            :exc:`~ws_legacy.exceptions.InvalidStatusCode` if the server refuses it.
        TimeoutError: It takes longer than ``open_timeout``.
        TypeError: An argument is of the new API. Raised at once.

    .. deprecated:: 1.0
        The arguments ``timeout``, ``klass``, ``loop`` and ``legacy_recv``.

    """

    MAX_REDIRECTS_ALLOWED = MAX_REDIRECTS

    BACKOFF_INITIAL = BACKOFF_INITIAL_DELAY
    BACKOFF_MIN = BACKOFF_MIN_DELAY
    BACKOFF_MAX = BACKOFF_MAX_DELAY
    BACKOFF_FACTOR = BACKOFF_FACTOR

    protocol: WebSocketClientProtocol

    def __init__(
        self,
        uri: str,
        *,
        create_protocol: Callable[..., WebSocketClientProtocol] | None = None,
        logger: LoggerLike | None = None,
        compression: str | None = "deflate",
        origin: Origin | None = None,
        extensions: Sequence[ClientExtensionFactory] | None = None,
        subprotocols: Sequence[Subprotocol] | None = None,
        extra_headers: HeadersLike | None = None,
        user_agent_header: str | None = USER_AGENT,
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
        create, close_timeout, self._legacy_recv, self._loop = rename_arguments(
            kwargs, create_protocol, close_timeout, WebSocketClientProtocol
        )
        reject_new_arguments("connect", "client", kwargs)
        extensions = choose_client_extensions(extensions, compression)
        if subprotocols is not None:
            validate_subprotocols(subprotocols)
        self.logger: LoggerLike = logger or logging.getLogger("websockets.client")
        self.open_timeout = open_timeout
        self._uri = uri
        self._wsuri = parse_uri(uri)
        check_tls(self._wsuri, kwargs)
        self._kwargs = kwargs
        self._create_protocol = functools.partial(
            create,
            logger=logger,
            origin=origin,
            extensions=extensions,
            subprotocols=subprotocols,
            extra_headers=extra_headers,
            user_agent_header=user_agent_header,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_size=max_size,
            max_queue=max_queue,
            read_limit=read_limit,
            write_limit=write_limit,
            legacy_recv=False,
            loop=None,
        )

    # A coroutine function can't be an asynchronous context manager and iterator, too.

    def __await__(self) -> Generator[Any, None, WebSocketClientProtocol]:
        return self._connect().__await__()

    # For yield from, in generators that were coroutines before there were others.
    __iter__ = __await__

    async def __aenter__(self) -> WebSocketClientProtocol:
        return await self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.protocol.close()

    async def __aiter__(self) -> AsyncIterator[WebSocketClientProtocol]:
        delays = None
        while True:
            try:
                protocol = await self
            except Exception:
                if delays is None:
                    delays = backoff(
                        self.BACKOFF_INITIAL,
                        self.BACKOFF_MIN,
                        self.BACKOFF_MAX,
                        self.BACKOFF_FACTOR,
                    )
                    message = "! connect failed; reconnecting in %.1f seconds"
                else:
                    message = "! connect failed again; retrying in %d seconds"
                delay = next(delays)
                self.logger.info(message, delay, exc_info=True)
                await asyncio.sleep(delay)
            else:
                delays = None
                try:
                    yield protocol
                finally:
                    await protocol.close()

    async def _connect(self) -> WebSocketClientProtocol:
        """Connect, and follow redirects."""
        try:
            async with asyncio.timeout(self.open_timeout):
                return await self._follow_redirects()
        except TimeoutError as exc:
            raise TimeoutError("timed out during opening handshake") from exc

    async def _follow_redirects(self) -> WebSocketClientProtocol:
        uri, wsuri, kwargs = self._uri, self._wsuri, self._kwargs
        headers: HeadersLike | None = None
        for attempt in range(self.MAX_REDIRECTS_ALLOWED + 1):
            protocol = self._create_protocol(host=wsuri.host, port=wsuri.port, secure=wsuri.secure)
            protocol.legacy_recv = protocol.legacy_recv or self._legacy_recv
            if attempt == 0:
                headers = protocol.extra_headers
            try:
                await self._dial(protocol, wsuri, kwargs)
                await protocol.handshake(
                    wsuri,
                    origin=protocol.origin,
                    available_extensions=protocol.available_extensions,
                    available_subprotocols=protocol.available_subprotocols,
                    extra_headers=headers,
                )
            except BaseException as exc:
                if hasattr(protocol, "transport"):
                    # When cancelled after the TLS handshake, event loops say goodbye, and wait for
                    # the answer.
                    protocol.transport.abort()
                    await protocol.wait_closed()
                redirect = None
                if isinstance(exc, RedirectHandshake) and exc.__cause__ is not None:
                    redirect = follow_redirect(uri, wsuri, exc.__cause__)
                if redirect is None:
                    raise
            else:
                self.protocol = protocol
                return protocol
            headers = escape(redirect.allowed_headers(unescape(headers or ())))
            kwargs = redirect.allowed_arguments(kwargs)
            uri, wsuri = redirect.uri, redirect.ws_uri
        raise SecurityError("too many redirects")

    async def _dial(
        self, protocol: WebSocketClientProtocol, wsuri: WebSocketURI, kwargs: dict[str, Any]
    ) -> None:
        """Open a TCP connection, with TLS where the URI asks for it."""
        loop = self._loop or asyncio.get_running_loop()
        kwargs = dict(kwargs)
        if wsuri.secure:
            if kwargs.get("ssl") is None:
                kwargs["ssl"] = True
            if kwargs.get("server_hostname") is None:
                # RFC 6066, section 3: without the dot at the end of an absolute name.
                kwargs["server_hostname"] = wsuri.host.rstrip(".")
        if kwargs.pop("unix", False):
            await loop.create_unix_connection(lambda: protocol, **kwargs)
            return
        if "sock" not in kwargs:
            kwargs.setdefault("host", wsuri.host)
            kwargs.setdefault("port", wsuri.port)
        await loop.create_connection(lambda: protocol, **kwargs)


connect = Connect


def check_tls(wsuri: WebSocketURI, kwargs: dict[str, Any]) -> None:
    """Check that ``ssl`` goes with the URI.

    Raises:
        ValueError: It doesn't.

    """
    if wsuri.secure:
        # The original API connected without TLS then, where nobody expects it.
        if "ssl" in kwargs and not kwargs["ssl"]:
            raise ValueError(f"ssl={kwargs['ssl']} is incompatible with a wss:// URI")
    elif kwargs.get("ssl") is not None:
        raise ValueError(
            "connect() received a ssl argument for a ws:// URI, use a wss:// URI to enable TLS"
        )


def unix_connect(
    path: str | os.PathLike[str] | None = None, uri: str = "ws://localhost/", **kwargs: Any
) -> Connect:
    """Connect to a WebSocket server that listens on a Unix socket.

    It has all arguments of :class:`connect`, and returns one.

    Args:
        path: Path of the socket.
        uri: URI, whose host is sent in the ``Host`` header and, with TLS, as the name of the
            server.
        kwargs: Other arguments of :class:`connect`.

    """
    if path is not None:
        kwargs["path"] = os.fspath(path)
    return connect(uri, unix=True, **kwargs)
