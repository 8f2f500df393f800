"""Clients behind proxies."""

import contextlib
import itertools
import select
import socket
import ssl
import sys

import pytest

from ws_protocol.exceptions import (
    InvalidProxyMessage,
    InvalidProxyStatus,
    InvalidStatus,
    ProxyError,
)
from ws_threading import connect

from .conftest import TIMEOUT, echo, get_uri


class Proxy:
    """An HTTP or SOCKS proxy, which takes every host name for 127.0.0.1.

    Args:
        scheme: Scheme of its URL.
        refusing: Whether it refuses all connections.

    Attributes:
        targets: The hosts that it was asked for.

    """

    def __init__(self, scheme, refusing):
        self.scheme = scheme
        self.refusing = refusing
        self.targets = []

    def talk(self, sock):
        """Do what it is asked for on a new connection."""
        if self.scheme.startswith("http"):
            head = self.read_until(sock, b"\r\n\r\n").decode()
            host, port = head.split(" ", 2)[1].rsplit(":", 1)
            yes, no = b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"
        else:
            # RFC 1928.
            self.read(sock, self.read(sock, 2)[1])
            sock.sendall(b"\x05\x00")
            *_, kind = self.read(sock, 4)
            host = self.read(sock, 4 if kind == 1 else self.read(sock, 1)[0])
            host = ".".join(map(str, host)) if kind == 1 else host.decode()
            port = int.from_bytes(self.read(sock, 2))
            yes, no = b"\x05\x00\x00\x01" + bytes(6), b"\x05\x02\x00\x01" + bytes(6)
        self.targets.append(host)
        if self.refusing:
            sock.sendall(no)
            return
        with socket.create_connection(("127.0.0.1", int(port)), TIMEOUT) as target:
            sock.sendall(yes)
            self.copy(sock, target)

    def read(self, sock, size):
        data = b""
        while len(data) < size:
            received = sock.recv(size - len(data))
            assert received
            data += received
        return data

    def read_until(self, sock, end):
        data = b""
        while not data.endswith(end):
            data += self.read(sock, 1)
        return data

    def copy(self, sock, target):
        """Copy both ways until one of them ends, in one thread: a socket with TLS bears no two."""
        with contextlib.suppress(OSError):
            while True:
                pending = isinstance(sock, ssl.SSLSocket) and sock.pending()
                ready = [sock] if pending else select.select([sock, target], [], [], TIMEOUT)[0]
                for source in ready:
                    data = source.recv(2**16)
                    if not data:
                        return
                    (target if source is sock else sock).sendall(data)


@pytest.fixture
def run_proxy(run_tcp, server_tls):
    """Return a function that runs a :class:`Proxy` for one connection, and returns it."""

    def run_proxy(scheme, *, refusing=False):
        proxy = Proxy(scheme, refusing)
        port = run_tcp(proxy.talk, server_tls if scheme == "https" else None)
        proxy.url = f"{scheme}://127.0.0.1:{port}"
        return proxy

    return run_proxy


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize(
    "scheme, host",
    [
        ("http", "localhost"),
        ("https", "localhost"),
        ("socks5h", "localhost"),
        ("socks5", "127.0.0.1"),
    ],
)
def test_client_connects_through_a_proxy(run, run_proxy, server_tls, client_tls, scheme, host, tls):
    server = run(echo, ssl=server_tls if tls else None)
    proxy = run_proxy(scheme)
    options = {"ssl": client_tls} if tls else {}
    if scheme == "https":
        options["proxy_ssl"] = client_tls
    uri = get_uri(server, scheme="wss" if tls else "ws", host=host)
    with connect(uri, proxy=proxy.url, **options) as websocket:
        websocket.send(2**18 * "a")
        assert websocket.recv() == 2**18 * "a"
    assert websocket.close_code == 1000
    assert proxy.targets == [host]


def test_environment_configures_the_proxy(run, run_proxy, monkeypatch):
    server = run(echo)
    proxy = run_proxy("http")
    monkeypatch.setenv("ws_proxy", proxy.url)
    with connect(get_uri(server)):
        assert len(proxy.targets) == 1
    with connect(get_uri(server, host="127.0.0.1"), proxy=None):
        assert len(proxy.targets) == 1


@pytest.mark.parametrize(
    "scheme, exception", [("http", InvalidProxyStatus), ("socks5h", ProxyError)]
)
def test_proxy_may_refuse(run_proxy, scheme, exception):
    proxy = run_proxy(scheme, refusing=True)
    with pytest.raises(exception):
        connect("ws://localhost:1/", proxy=proxy.url)


def test_proxy_may_have_a_name_of_its_own(run, run_proxy, client_tls):
    server = run(echo)
    proxy = run_proxy("https")
    with connect(
        get_uri(server), proxy=proxy.url, proxy_ssl=client_tls, proxy_server_hostname="localhost"
    ) as websocket:
        websocket.send("a")
        assert websocket.recv() == "a"


@pytest.mark.parametrize(
    "proxy, match",
    [
        ("http://localhost", "incompatible with an http:// proxy"),
        ("socks5://localhost", "can't be used with a SOCKS proxy"),
    ],
)
def test_tls_arguments_that_do_not_go_with_the_proxy_are_refused(client_tls, proxy, match):
    with pytest.raises(ValueError, match=match):
        connect("ws://localhost/", proxy=proxy, proxy_ssl=client_tls)


def test_other_arguments_for_the_proxy_are_refused():
    with pytest.raises(TypeError, match="got an unexpected argument 'headers'"):
        connect("ws://localhost/", proxy_headers={})


def test_proxy_whose_certificate_is_not_trusted_is_refused(run_proxy):
    proxy = run_proxy("https")
    with pytest.raises(OSError, match="certificate verify failed"):
        connect("ws://localhost/", proxy=proxy.url)


def test_answer_of_the_proxy_may_come_in_pieces(run_tcp):
    def talk(sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.recv(65536)
        for byte in b"HTTP/1.1 200 OK\r\n\r\n":
            sock.sendall(bytes([byte]))
        sock.recv(65536)
        sock.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    port = run_tcp(talk)
    with pytest.raises(InvalidStatus):
        connect("ws://localhost/", proxy=f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0\r\n\r\n"])
def test_proxy_that_does_not_speak_http_is_an_invalid_message(run_tcp, answer):
    def talk(sock):
        sock.recv(65536)
        sock.sendall(answer)

    port = run_tcp(talk)
    with pytest.raises(InvalidProxyMessage):
        connect("ws://localhost/", proxy=f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
def test_proxy_that_says_nothing_is_given_up(run_tcp, scheme):
    def talk(sock):
        while sock.recv(65536):
            pass

    port = run_tcp(talk)
    with pytest.raises(TimeoutError, match="timed out during opening handshake"):
        connect("ws://localhost/", proxy=f"{scheme}://127.0.0.1:{port}", open_timeout=0.05)


def test_socks_proxy_that_is_not_there_is_an_os_error():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        with pytest.raises(OSError, match=r".+"):
            connect("ws://localhost/", proxy=f"socks5://127.0.0.1:{port}")


def test_socks_proxy_is_connected_to_from_the_source_address(run, run_proxy):
    server = run(echo)
    proxy = run_proxy("socks5h")
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        source_address = sock.getsockname()
    with connect(get_uri(server), proxy=proxy.url, source_address=source_address) as websocket:
        assert websocket.local_address == source_address


def test_messages_leave_at_once_through_a_socks_proxy(run, run_proxy):
    server = run(echo)
    proxy = run_proxy("socks5h")
    with connect(get_uri(server), proxy=proxy.url) as websocket:
        assert websocket.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_timeout_is_for_all_that_a_socks_proxy_says_together(run, run_proxy, monkeypatch):
    server = run(echo)
    proxy = run_proxy("socks5h")

    class Clock:
        """A second goes by with each look at it."""

        monotonic = itertools.count().__next__

    monkeypatch.setattr("ws_threading._deadline.time", Clock)
    # It is looked at before each of two requests and four parts of answers.
    with pytest.raises(TimeoutError, match="timed out during opening handshake"):
        connect(get_uri(server), proxy=proxy.url, open_timeout=6)
    assert proxy.targets


def test_credentials_that_a_socks_proxy_can_not_get_are_a_proxy_error(run_tcp):
    def talk(sock):
        sock.recv(65536)
        # It asks for user name and password (RFC 1929).
        sock.sendall(b"\x05\x02")
        assert sock.recv(65536) == b""

    port = run_tcp(talk)
    with pytest.raises(ProxyError, match="failed to connect through SOCKS proxy"):
        connect("ws://localhost/", proxy=f"socks5h://caf%C3%A9:a@127.0.0.1:{port}")


def test_socks_proxy_without_python_socks_is_an_import_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "python_socks", None)
    with pytest.raises(ImportError, match=r"install ws-threading\[socks\]"):
        connect("ws://localhost/", proxy="socks5h://localhost")
