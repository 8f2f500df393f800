"""Opening the stream of a client: directly, over a Unix socket or through a proxy, and with TLS
where the URI asks for it."""

from __future__ import annotations

import functools
import math
import os
import ssl as ssl_module
from typing import Any

import trio

from ws_protocol.exceptions import ProxyError
from ws_protocol.proxy import ConnectTunnel, Proxy, choose_proxy
from ws_protocol.uri import WebSocketURI

from ._streams import closing_on_failure

__all__ = ["dial"]


@functools.cache
def default_tls_context() -> ssl_module.SSLContext:
    """Return the TLS context of clients that don't bring their own: it verifies the server.

    One for all: loading the certificates takes milliseconds and a megabyte.
    """
    return ssl_module.create_default_context()


async def dial(
    ws_uri: WebSocketURI,
    *,
    user_agent_header: str | None,
    proxy: str | bool | None,
    proxy_ssl: ssl_module.SSLContext | None = None,
    proxy_server_hostname: str | None = None,
    ssl: ssl_module.SSLContext | None = None,
    server_hostname: str | None = None,
    sock: trio.abc.Stream | None = None,
    unix: bool = False,
    path: str | os.PathLike[str] | None = None,
    host: str | None = None,
    port: int | None = None,
    **kwargs: Any,
) -> trio.abc.Stream:
    """Open a stream.

    Args:
        ws_uri: Where to.
        user_agent_header: What to say to a proxy.
        proxy: URL of a proxy; :obj:`True` for the one that the environment configures, if any;
            :obj:`None` for none.
        proxy_ssl: TLS context for the connection to the proxy.
        proxy_server_hostname: Name that the proxy's certificate must have.
        ssl: TLS context.
        server_hostname: Name that the server's certificate must have.
        sock: A stream that is there already.
        unix: Whether to connect to a Unix socket.
        path: Its path.
        host: Where to connect to instead of the host of the URI.
        port: Where to connect to instead of the port of the URI.
        kwargs: More arguments for :func:`trio.open_tcp_stream`.

    Raises:
        OSError: The TCP connection or the TLS handshake fails.
        ProxyError: The proxy fails, or refuses.
        InvalidProxy: The URL of the proxy isn't valid.
        ValueError: An argument doesn't go with the URI, or with the proxy.

    """
    if ssl is not None and not ws_uri.secure:
        raise ValueError("ssl argument is incompatible with a ws:// URI")
    target = WebSocketURI(
        ws_uri.secure,
        ws_uri.host if host is None else host,
        ws_uri.port if port is None else port,
        "",
        "",
    )
    if sock is not None:
        stream = sock
    elif unix:
        if path is None:
            raise ValueError("path of the Unix socket isn't provided")
        stream = await trio.open_unix_socket(path)
    else:
        proxy_arguments = {"ssl": proxy_ssl, "server_hostname": proxy_server_hostname}
        chosen = choose_proxy(
            ws_uri,
            proxy,
            {name: value for name, value in proxy_arguments.items() if value is not None},
        )
        if chosen is None:
            stream = await trio.open_tcp_stream(target.host, target.port, **kwargs)
        elif chosen.is_socks:
            stream = await connect_through_socks_proxy(chosen, target, **kwargs)
        else:
            # Before there is a stream, since an argument may be wrong.
            tunnel = ConnectTunnel(chosen, target, user_agent_header)
            stream = await trio.open_tcp_stream(chosen.host, chosen.port, **kwargs)
            if chosen.scheme == "https":
                stream = await start_tls(stream, proxy_ssl, proxy_server_hostname or chosen.host)
            await open_tunnel(stream, tunnel)
    if ws_uri.secure:
        stream = await start_tls(stream, ssl, server_hostname or ws_uri.host)
    return stream


async def start_tls(
    stream: trio.abc.Stream, context: ssl_module.SSLContext | None, server_hostname: str
) -> trio.SSLStream[trio.abc.Stream]:
    """Perform the TLS handshake of a client. If that fails, the stream is closed.

    Raises:
        OSError: It fails.

    """
    if context is None:
        context = default_tls_context()
    # RFC 6066, section 3: without the dot at the end of an absolute name.
    name = server_hostname.rstrip(".")
    async with closing_on_failure(stream):
        tls_stream = trio.SSLStream(stream, context, server_hostname=name)
        await tls_stream.do_handshake()
    return tls_stream


async def open_tunnel(stream: trio.abc.Stream, tunnel: ConnectTunnel) -> None:
    """Open a tunnel through an HTTP proxy. If that fails, the stream is closed.

    Raises:
        OSError: The connection to the proxy is lost.
        ProxyError: The proxy refuses, or doesn't answer in HTTP.

    """
    async with closing_on_failure(stream):
        await stream.send_all(tunnel.request)
        while data := await stream.receive_some():
            if tunnel.receive_data(bytes(data)):
                return
        tunnel.receive_eof()


async def connect_through_socks_proxy(
    proxy: Proxy,
    target: WebSocketURI,
    *,
    local_address: str | None = None,
    happy_eyeballs_delay: float | None = None,
) -> trio.SocketStream:
    """Connect through a SOCKS proxy.

    Args:
        proxy: The proxy.
        target: Where to.
        local_address: Address to connect to the proxy from.
        happy_eyeballs_delay: Of no use here: python-socks connects to one address of the proxy.

    Raises:
        ImportError: python-socks isn't installed.
        OSError: The TCP connection to the proxy fails.
        ProxyError: The proxy refuses, or doesn't answer in SOCKS.

    """
    try:
        from python_socks import ProxyError as SocksProxyError
        from python_socks import ProxyType
        from python_socks.async_.trio import Proxy as SocksProxy
    except ImportError as exc:
        raise ImportError(
            "connecting through a SOCKS proxy requires python-socks: "
            "install ws-trio[socks], or set proxy=None to connect directly"
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
        sock = await socks_proxy.connect(
            target.host,
            target.port,
            # connect() has one, which holds for all that it does.
            timeout=math.inf,
            local_addr=None if local_address is None else (local_address, 0),
        )
    except OSError:
        raise
    # It can't send all credentials, nor read whatever comes: that is a ValueError.
    except (SocksProxyError, ValueError) as exc:
        raise ProxyError("failed to connect through SOCKS proxy") from exc
    return trio.SocketStream(sock)
