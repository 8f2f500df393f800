"""Opening the TCP connection of a client: directly, over a Unix socket or through a proxy, and with
TLS where the URI asks for it."""

from __future__ import annotations

import contextlib
import socket
import ssl as ssl_module
from collections.abc import Iterator
from typing import Any, cast

from ws_protocol.exceptions import ProxyError
from ws_protocol.proxy import ConnectTunnel, Proxy, choose_proxy
from ws_protocol.uri import WebSocketURI

from ._deadline import Deadline
from ._stream import Stream, default_tls_context

__all__ = ["dial"]


def dial(
    ws_uri: WebSocketURI,
    deadline: Deadline,
    *,
    proxy: str | bool | None,
    user_agent_header: str | None,
    sock: socket.socket | None = None,
    ssl: ssl_module.SSLContext | bool | None = None,
    server_hostname: str | None = None,
    unix: bool = False,
    path: str | None = None,
    address: tuple[str, int] | None = None,
    source_address: tuple[str, int] | None = None,
    **proxy_kwargs: Any,
) -> Stream:
    """Open a TCP connection.

    Args:
        ws_uri: Where to.
        deadline: Until when.
        proxy: URL of a proxy; :obj:`True` for the one that the environment configures, if any;
            :obj:`None` for none.
        user_agent_header: What to say to a proxy.
        sock: A connected socket to use.
        ssl: TLS context.
        server_hostname: Name of the server in TLS, instead of the URI's host.
        unix: Whether to connect to a Unix socket.
        path: Path of the Unix socket.
        address: Host and port to connect to, instead of the URI's.
        source_address: Host and port to connect from.
        proxy_kwargs: Arguments for the connection to the proxy, whose names begin with ``proxy_``.

    Raises:
        OSError: The TCP connection fails.
        ProxyError: The proxy fails, or refuses.
        InvalidProxy: The URL of the proxy isn't valid.
        TimeoutError: The deadline is met before.
        TypeError: ``sock`` has TLS already, or there is an argument that isn't known.
        ValueError: ``ssl`` doesn't go with the URI, or an argument for the connection to the proxy
            doesn't go with the proxy.

    """
    proxy_arguments = {
        name.removeprefix("proxy_"): value
        for name, value in proxy_kwargs.items()
        if value is not None
    }
    unknown = proxy_arguments.keys() - {"ssl", "server_hostname"}
    if unknown:
        raise TypeError(f"connect() got an unexpected argument {min(unknown)!r}")
    context = choose_context(ws_uri, ssl)
    if unix:
        if sock is None:
            sock = connect_unix(path, deadline)
        stream = Stream(sock)
    elif sock is not None:
        stream = Stream(sock)
    else:
        host, port = address or (ws_uri.host, ws_uri.port)
        chosen = choose_proxy(ws_uri, proxy, proxy_arguments)
        if chosen is None:
            stream = Stream(connect_tcp(host, port, deadline, source_address))
        elif chosen.is_socks:
            sock = connect_through_socks_proxy(chosen, host, port, deadline, source_address)
            stream = Stream(sock)
        else:
            target = WebSocketURI(ws_uri.secure, host, port, "", "")
            stream = Stream(connect_tcp(chosen.host, chosen.port, deadline, source_address))
            with closing_on_failure(stream.socket):
                open_tunnel(stream, chosen, target, user_agent_header, deadline, **proxy_arguments)
    with closing_on_failure(stream.socket):
        if context is not None:
            # RFC 6066, section 3: without the dot at the end of an absolute name.
            name = ws_uri.host.rstrip(".") if server_hostname is None else server_hostname
            stream.start_tls(context, deadline, server_hostname=name)
    return stream


@contextlib.contextmanager
def closing_on_failure(sock: socket.socket) -> Iterator[None]:
    """Close a socket if there is an exception."""
    try:
        yield
    except BaseException:
        sock.close()
        raise


def choose_context(
    ws_uri: WebSocketURI, ssl: ssl_module.SSLContext | bool | None
) -> ssl_module.SSLContext | None:
    """Choose the TLS context for a URI; :obj:`None` for no TLS.

    Raises:
        ValueError: ``ssl`` doesn't go with the URI.

    """
    if not ws_uri.secure:
        if ssl is not None:
            raise ValueError("ssl argument is incompatible with a ws:// URI")
        return None
    if ssl is False:
        raise ValueError("ssl=False is incompatible with a wss:// URI")
    return default_tls_context() if ssl is None or ssl is True else ssl


def connect_tcp(
    host: str, port: int, deadline: Deadline, source_address: tuple[str, int] | None
) -> socket.socket:
    """Connect to a host: to the first of its addresses where that is possible.

    Unlike :func:`socket.create_connection`, which has a timeout for each of them.

    Raises:
        OSError: It isn't possible.
        TimeoutError: The deadline is met before.

    """
    failure: OSError | None = None
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        ):
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(deadline.timeout())
                if source_address is not None:
                    sock.bind(source_address)
                sock.connect(address)
                # Messages are to leave when they are sent.
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except BaseException as exc:
                sock.close()
                if not isinstance(exc, OSError):
                    raise
                failure = failure or exc
            else:
                return sock
        if failure is None:
            raise OSError(f"no address for {host}")
        raise failure
    finally:
        # Its traceback refers to this frame, which would be a cycle.
        del failure


def connect_unix(path: str | None, deadline: Deadline) -> socket.socket:
    """Connect to a Unix socket.

    Raises:
        OSError: It isn't possible.
        TimeoutError: The deadline is met before.
        ValueError: There is no path.

    """
    if path is None:
        raise ValueError("missing path or sock argument")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with closing_on_failure(sock):
        sock.settimeout(deadline.timeout())
        sock.connect(path)
    return sock


def open_tunnel(
    stream: Stream,
    proxy: Proxy,
    target: WebSocketURI,
    user_agent_header: str | None,
    deadline: Deadline,
    ssl: ssl_module.SSLContext | bool | None = None,
    server_hostname: str | None = None,
) -> None:
    """Open a tunnel through an HTTP proxy.

    Args:
        stream: The connection to the proxy.
        proxy: The proxy.
        target: Where the tunnel leads to.
        user_agent_header: What to say to the proxy.
        deadline: Until when.
        ssl: TLS context for the proxy.
        server_hostname: Name of the proxy in TLS, instead of its URL's host.

    Raises:
        OSError: The TCP connection to the proxy is lost.
        ProxyError: The proxy refuses, or doesn't answer in HTTP.
        TimeoutError: The deadline is met before.

    """
    if proxy.scheme == "https":
        context = default_tls_context() if ssl is None or ssl is True else ssl
        assert isinstance(context, ssl_module.SSLContext)
        name = server_hostname or proxy.host.rstrip(".")
        stream.start_tls(context, deadline, server_hostname=name)
    tunnel = ConnectTunnel(proxy, target, user_agent_header)
    stream.send_all(tunnel.request, deadline)
    opened = False
    while not opened:
        data = stream.receive(deadline)
        if not data:
            tunnel.receive_eof()
        opened = tunnel.receive_data(data)


class SocksDialer:
    """Connects to a SOCKS proxy, for python-socks, which takes it for another proxy before that.

    What it connects keeps the deadline. python-socks has a timeout for each step.

    Args:
        deadline: Until when.
        source_address: Host and port to connect from.

    Attributes:
        sock: The connection to the proxy.

    """

    sock: socket.socket

    def __init__(self, deadline: Deadline, source_address: tuple[str, int] | None) -> None:
        self._deadline = deadline
        self._source_address = source_address

    def connect(self, dest_host: str, dest_port: int, **_: Any) -> SocksDialer:
        """Connect to the proxy, and return what python-socks takes for a socket."""
        self.sock = connect_tcp(dest_host, dest_port, self._deadline, self._source_address)
        return self

    def sendall(self, data: bytes) -> None:
        """Send bytes to the proxy."""
        self.sock.settimeout(self._deadline.timeout())
        self.sock.sendall(data)

    def recv(self, size: int) -> bytes:
        """Receive bytes from the proxy."""
        self.sock.settimeout(self._deadline.timeout())
        return self.sock.recv(size)

    def close(self) -> None:
        """Close the connection."""
        self.sock.close()


def connect_through_socks_proxy(
    proxy: Proxy,
    host: str,
    port: int,
    deadline: Deadline,
    source_address: tuple[str, int] | None,
) -> socket.socket:
    """Connect through a SOCKS proxy.

    Raises:
        ImportError: python-socks isn't installed.
        OSError: The TCP connection to the proxy fails.
        ProxyError: The proxy refuses, or doesn't answer in SOCKS.
        TimeoutError: The deadline is met before.

    """
    try:
        from python_socks import ProxyError as SocksProxyError
        from python_socks import ProxyType
        from python_socks.sync import Proxy as SocksProxy
    except ImportError as exc:
        raise ImportError(
            "connecting through a SOCKS proxy requires python-socks: "
            "install ws-threading[socks], or set proxy=None to connect directly"
        ) from exc
    dialer = SocksDialer(deadline, source_address)
    socks_proxy = SocksProxy(
        ProxyType.SOCKS5 if proxy.scheme.startswith("socks5") else ProxyType.SOCKS4,
        proxy.host,
        proxy.port,
        proxy.username,
        proxy.password,
        proxy.resolves_names,
        forward=cast(Any, dialer),
    )
    try:
        socks_proxy.connect(host, port)
    except BaseException as exc:
        # python-socks doesn't close it when it is interrupted.
        if hasattr(dialer, "sock"):
            dialer.close()
        # It can't send all credentials, nor read whatever comes: that is a ValueError.
        if isinstance(exc, (SocksProxyError, ValueError)) and not isinstance(exc, OSError):
            raise ProxyError("failed to connect through SOCKS proxy") from exc
        raise
    return dialer.sock
