"""Clients behind proxies."""

import contextlib
import sys

import pytest
import trio
from trio.testing import trio_test

from ws_protocol.exceptions import (
    InvalidHeaderValue,
    InvalidProxyMessage,
    InvalidProxyStatus,
    InvalidStatus,
    ProxyError,
)
from ws_trio import connect


class Proxy:
    """An HTTP or SOCKS proxy, which takes every host name for 127.0.0.1.

    Attributes:
        targets: The hosts and ports that it was asked for.
        refusing: Whether it refuses all connections.

    """

    def __init__(self, scheme):
        self.scheme = scheme
        self.targets = []
        self.refusing = False

    async def talk(self, stream):
        """Do what it is asked for on a new connection."""
        if self.scheme.startswith("http"):
            head = (await self.read_until(stream, b"\r\n\r\n")).decode()
            host, port = head.split(" ", 2)[1].rsplit(":", 1)
            yes, no = b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"
        else:
            # RFC 1928.
            await self.read(stream, (await self.read(stream, 2))[1])
            await stream.send_all(b"\x05\x00")
            *_, kind = await self.read(stream, 4)
            size = 4 if kind == 1 else (await self.read(stream, 1))[0]
            host = await self.read(stream, size)
            host = ".".join(map(str, host)) if kind == 1 else host.decode()
            port = int.from_bytes(await self.read(stream, 2))
            yes, no = b"\x05\x00\x00\x01" + bytes(6), b"\x05\x02\x00\x01" + bytes(6)
        self.targets.append((host, int(port)))
        if self.refusing:
            await stream.send_all(no)
            return
        async with await trio.open_tcp_stream("127.0.0.1", int(port)) as target:
            await stream.send_all(yes)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.copy, stream, target, nursery.cancel_scope)
                await self.copy(target, stream, nursery.cancel_scope)

    async def read(self, stream, size):
        data = b""
        while len(data) < size:
            received = await stream.receive_some(size - len(data))
            if not received:
                raise trio.BrokenResourceError
            data += received
        return data

    async def read_until(self, stream, end):
        data = b""
        while not data.endswith(end):
            data += await self.read(stream, 1)
        return data

    async def copy(self, source, target, scope):
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await source.receive_some():
                await target.send_all(data)
        scope.cancel()


@pytest.fixture
def run_proxy(run_tcp_server, server_tls):
    """Return an asynchronous context manager that runs a :class:`Proxy`, and returns it and its
    URL."""

    @contextlib.asynccontextmanager
    async def run_proxy(scheme):
        proxy = Proxy(scheme)
        async with run_tcp_server(proxy.talk, server_tls if scheme == "https" else None) as port:
            yield proxy, f"{scheme}://127.0.0.1:{port}"

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
@trio_test
async def test_client_connects_through_a_proxy(
    run_server, run_proxy, get_uri, server_tls, scheme, host, tls
):
    async with run_server(ssl=server_tls if tls else None) as server:
        async with run_proxy(scheme) as (proxy, url):
            uri = get_uri(server, scheme="wss" if tls else "ws").replace("127.0.0.1", "localhost")
            async with connect(uri, proxy=url) as websocket:
                await websocket.send(2**18 * "a")
                assert await websocket.recv() == 2**18 * "a"
            assert websocket.close_code == 1000
            assert [target for target, _ in proxy.targets] == [host]


@trio_test
async def test_environment_configures_the_proxy(run_server, run_proxy, get_uri, monkeypatch):
    async with run_server() as server, run_proxy("http") as (proxy, url):
        monkeypatch.setenv("ws_proxy", url)
        async with connect(get_uri(server)):
            assert len(proxy.targets) == 1
        async with connect(get_uri(server), proxy=None):
            assert len(proxy.targets) == 1


@pytest.mark.parametrize(
    "scheme, exception", [("http", InvalidProxyStatus), ("socks5h", ProxyError)]
)
@trio_test
async def test_proxy_may_refuse(run_proxy, scheme, exception):
    async with run_proxy(scheme) as (proxy, url):
        proxy.refusing = True
        with pytest.raises(exception):
            async with connect("ws://localhost:1/", proxy=url):
                pytest.fail("connected")


@trio_test
async def test_proxy_may_have_a_name_and_a_context_of_its_own(
    run_server, run_proxy, get_uri, client_tls
):
    async with run_server() as server, run_proxy("https") as (_, url):
        async with connect(
            get_uri(server), proxy=url, proxy_ssl=client_tls, proxy_server_hostname="localhost"
        ) as websocket:
            await websocket.send("a")
            assert await websocket.recv() == "a"


@pytest.mark.parametrize(
    "proxy, arguments, match",
    [
        ("http://localhost", "proxy_ssl", "incompatible with an http:// proxy"),
        ("socks5://localhost", "proxy_ssl", "can't be used with a SOCKS proxy"),
    ],
)
@trio_test
async def test_tls_arguments_that_do_not_go_with_the_proxy_are_refused(
    client_tls, proxy, arguments, match
):
    with pytest.raises(ValueError, match=match):
        async with connect("ws://localhost/", proxy=proxy, **{arguments: client_tls}):
            pytest.fail("connected")


@trio_test
async def test_answer_of_the_proxy_may_come_in_pieces(run_tcp_server):
    async def talk(stream):
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 ")
        await trio.testing.wait_all_tasks_blocked(0.01)
        await stream.send_all(b"200 OK\r\n\r\n")
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    async with run_tcp_server(talk) as port:
        with pytest.raises(InvalidStatus):
            async with connect("ws://localhost/", proxy=f"http://127.0.0.1:{port}"):
                pytest.fail("connected")


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0\r\n\r\n"])
@trio_test
async def test_proxy_that_does_not_speak_http_is_an_invalid_message(run_tcp_server, answer):
    async def talk(stream):
        await stream.receive_some()
        if answer:
            await stream.send_all(answer)

    async with run_tcp_server(talk) as port:
        with pytest.raises(InvalidProxyMessage):
            async with connect("ws://localhost/", proxy=f"http://127.0.0.1:{port}"):
                pytest.fail("connected")


@trio_test
async def test_connection_to_the_proxy_that_is_reset_is_an_os_error(run_tcp_server):
    async def talk(stream):
        await stream.receive_some()
        reset(stream)

    async with run_tcp_server(talk) as port:
        with pytest.raises(ConnectionResetError):
            async with connect("ws://localhost/", proxy=f"http://127.0.0.1:{port}"):
                pytest.fail("connected")


def reset(stream):
    """Have the TCP connection reset when it is closed."""
    stream.socket.setsockopt(
        trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
    )


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
@trio_test
async def test_proxy_that_says_nothing_is_given_up(run_tcp_server, scheme):
    asked, closed = trio.Event(), trio.Event()

    async def talk(stream):
        asked.set()
        while await stream.receive_some():
            pass
        closed.set()

    async with run_tcp_server(talk) as port:
        # On a machine that is busy, it may be over before the proxy is asked.
        while not asked.is_set():
            with pytest.raises(TimeoutError):
                async with connect(
                    "ws://localhost/", proxy=f"{scheme}://127.0.0.1:{port}", open_timeout=0.05
                ):
                    pytest.fail("connected")
        await closed.wait()


@trio_test
async def test_socks_proxy_that_is_not_there_is_an_os_error(run_tcp_server):
    async with run_tcp_server(trio.sleep_forever) as port:
        pass
    with pytest.raises(OSError, match="Could not connect"):
        async with connect("ws://localhost/", proxy=f"socks5://127.0.0.1:{port}"):
            pytest.fail("connected")


@trio_test
async def test_socks_proxy_is_connected_to_from_a_local_address(run_server, run_proxy, get_uri):
    async with run_server() as server, run_proxy("socks5h") as (_, url):
        async with connect(get_uri(server), proxy=url, local_address="127.0.0.1") as websocket:
            assert websocket.local_address[0] == "127.0.0.1"


@trio_test
async def test_argument_for_several_addresses_goes_with_a_socks_proxy(
    run_server, run_proxy, get_uri
):
    async with run_server() as server, run_proxy("socks5h") as (_, url):
        async with connect(get_uri(server), proxy=url, happy_eyeballs_delay=1) as websocket:
            await websocket.send("a")
            assert await websocket.recv() == "a"


@trio_test
async def test_credentials_that_a_socks_proxy_can_not_get_are_a_proxy_error(run_tcp_server):
    async def talk(stream):
        await stream.receive_some()
        # It asks for user name and password (RFC 1929).
        await stream.send_all(b"\x05\x02")
        assert await stream.receive_some() == b""

    async with run_tcp_server(talk) as port:
        with pytest.raises(ProxyError, match="failed to connect through SOCKS proxy"):
            async with connect("ws://localhost/", proxy=f"socks5h://caf%C3%A9:a@127.0.0.1:{port}"):
                pytest.fail("connected")


@trio_test
async def test_header_that_is_not_possible_leaves_nothing_behind(run_proxy):
    async with run_proxy("http") as (proxy, url):
        with pytest.raises(InvalidHeaderValue):
            async with connect("ws://localhost/", proxy=url, user_agent_header="a\nb"):
                pytest.fail("connected")
        assert proxy.targets == []


@trio_test
async def test_name_that_is_not_possible_in_tls_closes_the_connection(run_tcp_server):
    closed = trio.Event()

    async def talk(stream):
        assert await stream.receive_some() == b""
        closed.set()

    async with run_tcp_server(talk) as port:
        with pytest.raises(ValueError, match="server_hostname"):
            async with connect(f"wss://127.0.0.1:{port}/", server_hostname=".localhost"):
                pytest.fail("connected")
        await closed.wait()


@trio_test
async def test_socks_proxy_without_python_socks_is_an_import_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "python_socks", None)
    with pytest.raises(ImportError, match=r"install ws-trio\[socks\]"):
        async with connect("ws://localhost/", proxy="socks5h://localhost"):
            pytest.fail("connected")
