"""Opening the TCP connection of a client: directly, over a Unix socket or through a proxy, and with
TLS where the URI asks for it."""

from __future__ import annotations

import asyncio
import functools
import math
import socket
import ssl
from typing import Any, cast

from ws_protocol.exceptions import ProxyError
from ws_protocol.proxy import ConnectTunnel, Proxy, choose_proxy
from ws_protocol.uri import WebSocketURI

from ._tls import start_tls
from .connection import Connection

__all__ = ["dial"]

# Arguments for the event loop that concern TLS. The others concern the TCP connection.
_TLS_ARGUMENTS = ("ssl", "server_hostname", "ssl_handshake_timeout", "ssl_shutdown_timeout")


@functools.cache
def default_tls_context() -> ssl.SSLContext:
    """Return the TLS context of clients that don't bring their own: it verifies the server.

    One for all: loading the certificates takes milliseconds and a megabyte.
    """
    return ssl.create_default_context()


async def dial(
    connection: Connection,
    ws_uri: WebSocketURI,
    *,
    proxy: str | bool | None,
    user_agent_header: str | None,
    **kwargs: Any,
) -> None:
    """Open a TCP connection.

    Args:
        connection: The connection that is to use it.
        ws_uri: Where to.
        proxy: URL of a proxy; :obj:`True` for the one that the environment configures, if any;
            :obj:`None` for none.
        user_agent_header: What to say to a proxy.
        kwargs: More arguments for the event loop: those that begin with ``proxy_`` are for the
            connection to the proxy.

    Raises:
        OSError: The TCP connection fails.
        ProxyError: The proxy fails, or refuses.
        InvalidProxy: The URL of the proxy isn't valid.
        ValueError: ``ssl`` doesn't go with the URI, or an argument for the connection to the proxy
            doesn't go with the proxy.

    """
    loop = asyncio.get_running_loop()
    proxy_kwargs = {
        name.removeprefix("proxy_"): kwargs.pop(name)
        for name in list(kwargs)
        if name.startswith("proxy_")
    }
    set_tls_arguments(ws_uri, kwargs)

    def factory() -> Connection:
        return connection

    if kwargs.pop("unix", False):
        await loop.create_unix_connection(factory, **kwargs)
        return

    if "sock" in kwargs:
        await loop.create_connection(factory, **kwargs)
        return

    kwargs.setdefault("host", ws_uri.host)
    kwargs.setdefault("port", ws_uri.port)
    chosen = choose_proxy(ws_uri, proxy, proxy_kwargs)
    if chosen is None:
        await loop.create_connection(factory, **kwargs)
        return

    # The proxy is told where to connect to.
    host, port = kwargs.pop("host"), kwargs.pop("port")
    if chosen.is_socks:
        sock = await connect_through_socks_proxy(chosen, host, port, kwargs.pop("local_addr", None))
        try:
            await loop.create_connection(factory, sock=sock, **kwargs)
        except BaseException:
            # Once there is a transport, that closes it.
            if not hasattr(connection, "transport"):
                sock.close()
            raise
        return

    target = WebSocketURI(ws_uri.secure, host, port, "", "")
    tls = {name: kwargs.pop(name) for name in _TLS_ARGUMENTS if name in kwargs}
    transport = await connect_through_http_proxy(
        chosen, target, user_agent_header, kwargs | proxy_kwargs
    )
    if tls.get("ssl") is not None:
        await start_tls(transport, connection, tls.pop("ssl"), **tls)
    else:
        transport.set_protocol(connection)
        connection.connection_made(transport)


def set_tls_arguments(ws_uri: WebSocketURI, kwargs: dict[str, Any]) -> None:
    """Complete the arguments for the event loop that concern TLS.

    Raises:
        ValueError: ``ssl`` doesn't go with the URI.

    """
    if not ws_uri.secure:
        if kwargs.get("ssl") is not None:
            raise ValueError("ssl argument is incompatible with a ws:// URI")
        return
    if "ssl" in kwargs and not kwargs["ssl"]:
        raise ValueError(f"ssl={kwargs['ssl']} is incompatible with a wss:// URI")
    if kwargs.get("ssl", True) is True:
        kwargs["ssl"] = default_tls_context()
    if kwargs.get("server_hostname") is None:
        # RFC 6066, section 3: without the dot at the end of an absolute name.
        kwargs["server_hostname"] = ws_uri.host.rstrip(".")


class TunnelProtocol(asyncio.Protocol):
    """Opens a tunnel through an HTTP proxy.

    Args:
        tunnel: What to say to the proxy.

    Attributes:
        transport: The transport, once there is a connection.
        opened: Set when the tunnel is there.

    """

    transport: asyncio.Transport

    def __init__(self, tunnel: ConnectTunnel) -> None:
        self._tunnel = tunnel
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the tunnel."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._tunnel.request)

    def data_received(self, data: bytes) -> None:
        """Receive bytes from the proxy."""
        if self.opened.done():
            return
        try:
            if self._tunnel.receive_data(data):
                self.opened.set_result(None)
        except ProxyError as exc:
            self._fail(exc)

    def eof_received(self) -> None:
        """Receive the end of the stream from the proxy."""
        if self.opened.done():
            return
        try:
            self._tunnel.receive_eof()
        except ProxyError as exc:
            self._fail(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits that there will be no tunnel."""
        if not self.opened.done():
            self._fail(exc or ConnectionError("connection to proxy lost"))

    def _fail(self, exc: Exception) -> None:
        self.opened.set_exception(exc)
        # Nobody waits for it if the connecting was cancelled.
        self.opened.exception()


async def connect_through_http_proxy(
    proxy: Proxy, target: WebSocketURI, user_agent_header: str | None, kwargs: dict[str, Any]
) -> asyncio.Transport:
    """Open a tunnel through an HTTP proxy.

    Raises:
        OSError: The TCP connection to the proxy fails.
        ProxyError: The proxy refuses, or doesn't answer in HTTP.

    """
    loop = asyncio.get_running_loop()
    if proxy.scheme == "https":
        if kwargs.get("ssl", True) is True:
            kwargs["ssl"] = default_tls_context()
        kwargs.setdefault("server_hostname", proxy.host.rstrip("."))
    protocol = TunnelProtocol(ConnectTunnel(proxy, target, user_agent_header))
    try:
        await loop.create_connection(lambda: protocol, proxy.host, proxy.port, **kwargs)
        await protocol.opened
    except BaseException:
        # When cancelled after the TLS handshake, event loops say goodbye, and wait for the answer.
        if hasattr(protocol, "transport"):
            protocol.transport.abort()
        raise
    return protocol.transport


async def connect_through_socks_proxy(
    proxy: Proxy, host: str, port: int, local_addr: tuple[str, int] | None
) -> socket.socket:
    """Connect through a SOCKS proxy.

    Raises:
        ImportError: python-socks isn't installed.
        OSError: The TCP connection to the proxy fails.
        ProxyError: The proxy refuses, or doesn't answer in SOCKS.

    """
    try:
        from python_socks import ProxyError as SocksProxyError
        from python_socks import ProxyType
        from python_socks.async_.asyncio import Proxy as SocksProxy
    except ImportError as exc:
        raise ImportError(
            "connecting through a SOCKS proxy requires python-socks: "
            "install ws-asyncio[socks], or set proxy=None to connect directly"
        ) from exc
    socks_proxy = SocksProxy(
        ProxyType.SOCKS5 if proxy.scheme.startswith("socks5") else ProxyType.SOCKS4,
        proxy.host,
        proxy.port,
        proxy.username,
        proxy.password,
        proxy.resolves_names,
    )
    try:
        return await socks_proxy.connect(
            host,
            port,
            # connect() has one, which holds for all that it does.
            timeout=math.inf,
            local_addr=local_addr,
        )
    except OSError:
        raise
    # It can't send all credentials, nor read whatever comes: that is a ValueError.
    except (SocksProxyError, ValueError) as exc:
        raise ProxyError("failed to connect through SOCKS proxy") from exc
