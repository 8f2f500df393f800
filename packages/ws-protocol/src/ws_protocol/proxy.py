"""Proxies: which one to use, and what to say to it.

RFC 6455, section 4.1; RFC 9110, section 9.3.6.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from .datastructures import Headers
from .exceptions import (
    InvalidProxy,
    InvalidProxyMessage,
    InvalidProxyStatus,
    InvalidURI,
    SecurityError,
)
from .headers import build_authorization_basic, build_host
from .http11 import USER_AGENT, Request, ResponseReader
from .uri import WebSocketURI, encode_host, split_url, split_user_info

__all__ = [
    "ConnectTunnel",
    "Proxy",
    "choose_proxy",
    "get_proxy",
    "parse_proxy",
    "prepare_connect_request",
]

_DEFAULT_PORTS = {
    "http": 80,
    "https": 443,
    # RFC 1928, section 3.
    "socks5h": 1080,
    "socks5": 1080,
    "socks4a": 1080,
    "socks4": 1080,
}


@dataclasses.dataclass
class Proxy:
    """A proxy.

    Attributes:
        scheme: ``"http"`` or ``"https"`` for an HTTP proxy, without or with TLS to it;
            ``"socks5h"`` or ``"socks5"`` for a SOCKS 5 proxy; ``"socks4a"`` or ``"socks4"`` for a
            SOCKS 4 proxy. With ``h`` and ``a``, the proxy resolves names, else the client does.
        host: Host, in lower case, without the brackets of an IPv6 address.
        port: Port; 80, 443 or 1080 where the URL names none.
        username: User name, percent-decoded, if the URL has user information.
        password: Password, percent-decoded, if the URL has user information.

    """

    scheme: str
    host: str
    port: int
    username: str | None = None
    password: str | None = dataclasses.field(default=None, repr=False)

    @property
    def is_socks(self) -> bool:
        """Whether it is a SOCKS proxy, rather than an HTTP proxy."""
        return self.scheme.startswith("socks")

    @property
    def resolves_names(self) -> bool:
        """Whether the proxy is told the name of the server, not its address."""
        return self.scheme not in ("socks5", "socks4")

    @property
    def user_info(self) -> tuple[str, str] | None:
        """User name and password, if the URL has them."""
        if self.username is None or self.password is None:
            return None
        return self.username, self.password


def parse_proxy(proxy: str) -> Proxy:
    """Parse the URL of a proxy.

    Args:
        proxy: The URL.

    Raises:
        InvalidProxy: It isn't valid.

    """
    try:
        parsed = split_url(proxy)
        if "://" not in proxy:
            raise InvalidProxy(proxy, "scheme isn't provided")
        if parsed.scheme not in _DEFAULT_PORTS:
            raise InvalidProxy(proxy, f"scheme {parsed.scheme} isn't supported")
        if not parsed.hostname:
            raise InvalidProxy(proxy, "hostname isn't provided")
        if parsed.path not in ("", "/"):
            raise InvalidProxy(proxy, "path is meaningless")
        if parsed.query:
            raise InvalidProxy(proxy, "query is meaningless")
        if parsed.fragment:
            raise InvalidProxy(proxy, "fragment is meaningless")
        host = encode_host(proxy, parsed.hostname)
        username, password = split_user_info(proxy, parsed)
        # RFC 7617, section 2. SOCKS has no such rule.
        if username is not None and ":" in username and parsed.scheme in ("http", "https"):
            raise InvalidProxy(proxy, "username can't contain a colon")
    except InvalidURI as exc:
        raise InvalidProxy(proxy, exc.msg) from exc
    port = _DEFAULT_PORTS[parsed.scheme] if parsed.port is None else parsed.port
    return Proxy(parsed.scheme, host, port, username, password)


def get_proxy(uri: WebSocketURI) -> str | None:
    """Return the URL of the proxy that the environment configures; :obj:`None` if there is none.

    That is environment variables (``wss_proxy``, ``socks_proxy``, ``https_proxy``, ``no_proxy`` and
    so on), or the settings of Windows or macOS. It is the one function here that asks the operating
    system for anything.

    Args:
        uri: URI to connect to.

    """
    # Imported here because it imports sockets, TLS and much else.
    from urllib.request import getproxies, getproxies_environment, proxy_bypass

    # Most often, there are none, which is told here for half of what it costs to look for them.
    if getproxies is getproxies_environment and "_proxy" not in " ".join(os.environ).lower():
        return None
    proxies = getproxies()
    # RFC 6455, section 4.1, has the order: SOCKS, then HTTPS, then, without TLS, HTTP. A proxy for
    # WebSocket comes first, as one is configured on purpose.
    schemes = ["wss", "socks", "https"] if uri.secure else ["ws", "socks", "https", "http"]
    for scheme in schemes:
        proxy = proxies.get(scheme)
        if not proxy:
            continue
        if proxy_bypass(f"{uri.host}:{uri.port}"):
            return None
        # Environment variables often have none, and HTTP clients agree on what it is then.
        if "://" not in proxy:
            proxy = "http://" + proxy
        # On macOS, it is a host and a port, behind http:// for lack of a scheme.
        if scheme == "socks" and proxy.startswith("http://"):
            proxy = "socks5h://" + proxy.removeprefix("http://")
        return proxy
    return None


def choose_proxy(
    ws_uri: WebSocketURI, proxy: str | bool | None, arguments: Mapping[str, Any]
) -> Proxy | None:
    """Choose the proxy for a connection.

    Args:
        ws_uri: URI to connect to.
        proxy: URL of a proxy; :obj:`True` for the one that the environment configures, if any;
            :obj:`None` or :obj:`False` for none.
        arguments: Arguments for the connection to the proxy, such as ``ssl``.

    Returns:
        :obj:`None` for a direct connection.

    Raises:
        InvalidProxy: The URL isn't valid.
        ValueError: The arguments don't go with the proxy.

    """
    if proxy is True:
        proxy = get_proxy(ws_uri)
    if not proxy:
        return None
    parsed = parse_proxy(proxy)
    if parsed.is_socks and arguments:
        names = ", ".join(f"proxy_{name}" for name in arguments)
        raise ValueError(f"{names} can't be used with a SOCKS proxy")
    if parsed.scheme == "http" and arguments.get("ssl") is not None:
        raise ValueError("proxy_ssl argument is incompatible with an http:// proxy")
    return parsed


def prepare_connect_request(
    proxy: Proxy, ws_uri: WebSocketURI, user_agent_header: str | None = USER_AGENT
) -> bytes:
    """Build the request that asks an HTTP proxy for a tunnel (RFC 9110, section 9.3.6).

    Args:
        proxy: The proxy.
        ws_uri: Where the tunnel leads to.
        user_agent_header: Value of the ``User-Agent`` header; :obj:`None` for none.

    """
    host = build_host(ws_uri.host, ws_uri.port, ws_uri.secure, always_include_port=True)
    headers = Headers(Host=host)
    if user_agent_header is not None:
        headers["User-Agent"] = user_agent_header
    if proxy.user_info is not None:
        headers["Proxy-Authorization"] = build_authorization_basic(*proxy.user_info)
    return Request(host, headers, "CONNECT").serialize()


class ConnectTunnel:
    """Opening a tunnel through an HTTP proxy, without I/O: send :attr:`request` to the proxy, then
    call :meth:`receive_data` until it says that the tunnel is there.

    Args:
        proxy: The proxy.
        ws_uri: Where the tunnel leads to.
        user_agent_header: Value of the ``User-Agent`` header; :obj:`None` for none.

    Attributes:
        request: Bytes to send to the proxy.

    """

    def __init__(
        self, proxy: Proxy, ws_uri: WebSocketURI, user_agent_header: str | None = USER_AGENT
    ) -> None:
        self.request: bytes = prepare_connect_request(proxy, ws_uri, user_agent_header)
        self._reader = ResponseReader(proxy=True)

    def receive_data(self, data: bytes) -> bool:
        """Receive bytes from the proxy.

        Returns:
            Whether the tunnel is there.

        Raises:
            InvalidProxyStatus: The proxy refuses.
            InvalidProxyMessage: It doesn't answer in HTTP/1.1.

        """
        try:
            response = self._reader.feed(data)
            if response is None:
                return False
            if not 200 <= response.status_code < 300:
                raise InvalidProxyStatus(response)
            # In WebSocket and in TLS, clients talk first. This is from the proxy.
            if self._reader.rest:
                raise ValueError("received data after the response")
        except (SecurityError, ValueError) as exc:
            raise InvalidProxyMessage("did not receive a valid HTTP response from proxy") from exc
        return True

    def receive_eof(self) -> None:
        """Receive the end of the stream from the proxy.

        Raises:
            InvalidProxyStatus: The proxy refuses.
            InvalidProxyMessage: It didn't answer.

        """
        try:
            response = self._reader.feed_eof()
        except EOFError as exc:
            raise InvalidProxyMessage("did not receive a valid HTTP response from proxy") from exc
        raise InvalidProxyStatus(response)
