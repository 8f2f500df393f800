import asyncio
import socket
import ssl
import sys

import pytest

from ws_asyncio import connect, serve
from ws_protocol.exceptions import (
    InvalidMessage,
    InvalidProxy,
    InvalidProxyMessage,
    InvalidProxyStatus,
    ProxyError,
)

both_loops = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])

SCHEMES = ["http", "https", "socks5h", "socks5", "socks4a", "socks4"]


async def echo(connection):
    async for message in connection:
        await connection.send(message)


async def check(connection):
    """Check that messages go back and forth."""
    for size in [5, 2**18]:
        await connection.send("x" * size)
        assert await connection.recv() == "x" * size


@pytest.fixture
async def server():
    async with serve(echo, "127.0.0.1", 0) as server:
        yield server


@pytest.fixture
async def secure_server(server_tls):
    async with serve(echo, "127.0.0.1", 0, ssl=server_tls) as server:
        yield server


@pytest.fixture
async def answer(start_tcp_server):
    """Return a coroutine function that starts a proxy that answers the first bytes with others, and
    returns its URL."""

    async def answer(response, scheme="http", **kwargs):
        async def talk(reader, writer):
            await reader.read(2**16)
            writer.write(response)

        return f"{scheme}://127.0.0.1:{await start_tcp_server(talk, **kwargs)}"

    return answer


def port_of(server):
    return server.sockets[0].getsockname()[1]


# All kinds


@both_loops
@pytest.mark.parametrize("scheme", SCHEMES)
async def test_connection_goes_through_a_proxy(server, get_uri, start_proxy, scheme):
    proxy = await start_proxy(scheme)
    async with connect(get_uri(server), proxy=proxy.url) as connection:
        await check(connection)
        assert connection.remote_address == ("127.0.0.1", proxy.port)
    assert proxy.targets == [("127.0.0.1", port_of(server))]


@both_loops
@pytest.mark.parametrize("scheme", SCHEMES)
async def test_connection_with_tls_goes_through_a_proxy(
    secure_server, get_uri, client_tls, start_proxy, scheme
):
    proxy = await start_proxy(scheme)
    uri = get_uri(secure_server, scheme="wss")
    async with connect(uri, ssl=client_tls, proxy=proxy.url) as connection:
        await check(connection)
        ssl_object = connection.transport.get_extra_info("ssl_object")
        assert ssl_object.server_hostname == "127.0.0.1"
    assert proxy.targets == [("127.0.0.1", port_of(secure_server))]


@both_loops
@pytest.mark.parametrize("scheme", SCHEMES)
async def test_certificate_is_verified_through_a_proxy(
    secure_server, client_tls, start_proxy, scheme
):
    if scheme == "https" and sys.version_info < (3, 12, 3):
        pytest.skip("before Python 3.12.3, asyncio reports failures of TLS in TLS as TypeError")
    proxy = await start_proxy(scheme)
    uri = f"wss://127.0.0.1:{port_of(secure_server)}"
    with pytest.raises(ssl.SSLCertVerificationError, match=r"example\.com"):
        await connect(uri, ssl=client_tls, server_hostname="example.com", proxy=proxy.url)


@both_loops
@pytest.mark.parametrize("scheme", ["http", "https", "socks5h", "socks4a"])
async def test_proxy_resolves_names(server, start_proxy, scheme):
    # There is no such name but for the proxy.
    proxy = await start_proxy(scheme)
    port = port_of(server)
    async with connect(f"ws://server.invalid:{port}/", proxy=proxy.url) as connection:
        await check(connection)
        assert connection.request.headers["Host"] == f"server.invalid:{port}"
    assert proxy.targets == [("server.invalid", port)]


@both_loops
@pytest.mark.parametrize("scheme", ["socks5", "socks4"])
async def test_client_resolves_names_for_a_socks_proxy_that_does_not(server, start_proxy, scheme):
    proxy = await start_proxy(scheme)
    port = port_of(server)
    async with connect(f"ws://localhost:{port}/", proxy=proxy.url):
        assert proxy.targets in ([("127.0.0.1", port)], [("::1", port)])


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_proxy_is_told_the_host_that_overrides_that_of_the_uri(server, start_proxy, scheme):
    proxy = await start_proxy(scheme)
    host, port = server.sockets[0].getsockname()
    async with connect("ws://example.com/", host=host, port=port, proxy=proxy.url) as connection:
        assert connection.request.headers["Host"] == "example.com"
    assert proxy.targets == [(host, port)]


@both_loops
@pytest.mark.parametrize("scheme", SCHEMES)
async def test_refusal_is_a_proxy_error(server, get_uri, start_proxy, scheme):
    proxy = await start_proxy(scheme, refusing=True)
    with pytest.raises(ProxyError):
        await connect(get_uri(server), proxy=proxy.url)


@both_loops
@pytest.mark.parametrize("scheme", SCHEMES)
async def test_proxy_that_is_not_there_is_a_network_error(scheme):
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    with pytest.raises(OSError, match=r"(?i)connect"):
        await connect("ws://127.0.0.1/", proxy=f"{scheme}://127.0.0.1:{port}")


@both_loops
@pytest.mark.parametrize("scheme", SCHEMES)
async def test_proxy_that_never_answers_times_out(start_tcp_server, scheme):
    async def talk(reader, writer):
        asked.set()
        await reader.read()
        closed.set()

    asked, closed = asyncio.Event(), asyncio.Event()
    proxy = f"{scheme}://127.0.0.1:{await start_tcp_server(talk)}"
    # On a machine that is busy, it may be over before the proxy is asked.
    while not asked.is_set():
        with pytest.raises(TimeoutError, match="timed out during opening handshake"):
            await connect("ws://127.0.0.1/", proxy=proxy, open_timeout=0.02)
    await closed.wait()


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_local_address_is_for_the_connection_to_the_proxy(
    secure_server, get_uri, client_tls, start_proxy, scheme
):
    proxy = await start_proxy(scheme)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        local_addr = sock.getsockname()
    uri = get_uri(secure_server, scheme="wss")
    async with connect(uri, ssl=client_tls, local_addr=local_addr, proxy=proxy.url) as connection:
        assert connection.local_address == local_addr


@both_loops
async def test_iterator_tries_again_when_the_proxy_is_overloaded(start_tcp_server):
    async def talk(reader, writer):
        attempts.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")

    attempts = []
    proxy = f"http://127.0.0.1:{await start_tcp_server(talk)}"
    with pytest.raises(InvalidProxyStatus):
        await anext(
            aiter(connect("ws://127.0.0.1/", proxy=proxy, reconnect_delays=lambda: iter([0, 0])))
        )
    assert len(attempts) == 3


@pytest.mark.parametrize(
    "proxy", ["ftp://127.0.0.1", "http://", "127.0.0.1:8080", "http://127.0.0.1/path"]
)
async def test_url_of_a_proxy_that_is_not_valid_is_refused(proxy):
    with pytest.raises(InvalidProxy):
        await connect("ws://127.0.0.1/", proxy=proxy)


# HTTP


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_request_to_an_http_proxy_has_the_usual_headers(server, get_uri, start_proxy, scheme):
    proxy = await start_proxy(scheme, credentials=("hello", "ilove%3Ayou"))
    port = port_of(server)
    headers = {"Authorization": "secret", "Cookie": "secret"}
    async with connect(
        get_uri(server),
        proxy=proxy.url,
        user_agent_header="Smith",
        origin="http://localhost",
        additional_headers=headers,
    ):
        pass
    (head,) = proxy.heads
    assert head == (
        f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{port}\r\n"
        "User-Agent: Smith\r\n"
        "Proxy-Authorization: Basic aGVsbG86aWxvdmU6eW91\r\n\r\n"
    )


async def test_server_does_not_get_the_credentials_for_the_proxy(server, get_uri, start_proxy):
    proxy = await start_proxy("http", credentials=("hello", "iloveyou"))
    async with connect(get_uri(server), proxy=proxy.url):
        (connection,) = server.connections
        assert "Proxy-Authorization" not in connection.request.headers


@both_loops
async def test_refusal_of_an_http_proxy_tells_its_response(answer):
    proxy = await answer(
        b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 3\r\n\r\nNo\n"
    )
    with pytest.raises(InvalidProxyStatus) as info:
        await connect("ws://127.0.0.1/", proxy=proxy)
    assert str(info.value) == "proxy rejected connection: HTTP 407"
    assert info.value.response.body == b"No\n"


@both_loops
async def test_body_of_a_refusal_may_end_with_the_connection(answer):
    proxy = await answer(b"HTTP/1.0 403 Forbidden\r\n\r\nNo\n")
    with pytest.raises(InvalidProxyStatus) as info:
        await connect("ws://127.0.0.1/", proxy=proxy)
    assert info.value.response.body == b"No\n"


@both_loops
@pytest.mark.parametrize("target", ["ws", "wss"])
@pytest.mark.parametrize(
    "response",
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", id="not HTTP"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: y\r\n", id="half"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 101", id="more than the response"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 10_000 + b"\r\n\r\n", id="too long"),
    ],
)
async def test_response_of_an_http_proxy_that_is_not_valid_is_refused(
    answer, client_tls, target, response
):
    with pytest.raises(InvalidProxyMessage):
        await connect(f"{target}://127.0.0.1/", proxy=await answer(response))


@both_loops
@pytest.mark.parametrize("target", ["ws", "wss"])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_tunnel_that_ends_at_once_is_a_lost_connection(answer, server_tls, scheme, target):
    proxy = await answer(
        b"HTTP/1.1 200 OK\r\n\r\n", scheme, ssl=server_tls if scheme == "https" else None
    )
    with pytest.raises(OSError if target == "wss" else InvalidMessage) as info:
        await connect(f"{target}://127.0.0.1/", proxy=proxy)
    assert not isinstance(info.value, TimeoutError)


@both_loops
async def test_http_proxy_that_resets_the_connection_is_a_network_error(start_tcp_server):
    async def talk(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()

    proxy = f"http://127.0.0.1:{await start_tcp_server(talk)}"
    with pytest.raises(ConnectionError):
        await connect("ws://127.0.0.1/", proxy=proxy)


@both_loops
async def test_certificate_of_an_https_proxy_is_verified(
    server, get_uri, start_proxy, start_tcp_server, untrusted_tls
):
    async def talk(reader, writer):
        await reader.read()

    proxy = f"https://127.0.0.1:{await start_tcp_server(talk, ssl=untrusted_tls)}"
    with pytest.raises(ssl.SSLCertVerificationError):
        await connect(get_uri(server), proxy=proxy)


@both_loops
async def test_tls_arguments_of_an_https_proxy_can_be_chosen(
    server, get_uri, start_proxy, client_tls
):
    proxy = await start_proxy("https")
    uri = get_uri(server)
    async with connect(uri, proxy=proxy.url, proxy_ssl=client_tls):
        pass
    async with connect(uri, proxy=proxy.url, proxy_ssl=True, proxy_server_hostname="localhost"):
        pass
    with pytest.raises(ssl.SSLCertVerificationError, match=r"example\.com"):
        await connect(uri, proxy=proxy.url, proxy_server_hostname="example.com")


async def test_tls_argument_needs_an_https_proxy(client_tls, start_proxy):
    proxy = await start_proxy("http")
    with pytest.raises(
        ValueError, match="proxy_ssl argument is incompatible with an http:// proxy"
    ):
        await connect("ws://127.0.0.1/", proxy=proxy.url, proxy_ssl=client_tls)


async def test_wrong_argument_is_refused_through_a_proxy(start_proxy):
    proxy = await start_proxy("http")
    with pytest.raises(ValueError, match="high"):
        await connect("ws://127.0.0.1/", proxy=proxy.url, max_queue=(4, 8))
    assert proxy.targets == []


# SOCKS


@both_loops
@pytest.mark.parametrize("scheme", ["socks5h", "socks5"])
async def test_credentials_are_sent_to_a_socks_proxy(server, get_uri, start_proxy, scheme):
    proxy = await start_proxy(scheme, credentials=("hello", "iloveyou"))
    async with connect(get_uri(server), proxy=proxy.url) as connection:
        await check(connection)


@both_loops
@pytest.mark.parametrize("response", [b"", b"\x05", b"\x05\xff", b"HTTP/1.1 400 Bad Request\r\n"])
async def test_socks_proxy_that_answers_something_else_is_refused(answer, response):
    proxy = await answer(response, "socks5h")
    with pytest.raises(ProxyError, match="failed to connect through SOCKS proxy") as info:
        await connect("ws://127.0.0.1/", proxy=proxy)
    assert info.value.__cause__ is not None


@both_loops
async def test_credentials_that_a_socks_proxy_can_not_get_are_a_proxy_error(answer):
    # It asks for user name and password (RFC 1929).
    proxy = await answer(b"\x05\x02", "socks5h")
    with pytest.raises(ProxyError, match="failed to connect through SOCKS proxy"):
        await connect("ws://127.0.0.1/", proxy=proxy.replace("://", "://caf%C3%A9:a@"))


@both_loops
async def test_only_open_timeout_limits_how_long_a_socks_proxy_takes(
    server, get_uri, start_proxy, monkeypatch
):
    monkeypatch.setattr("python_socks.async_.asyncio._proxy.DEFAULT_TIMEOUT", 0)
    proxy = await start_proxy("socks5h")
    async with connect(get_uri(server), proxy=proxy.url, open_timeout=None) as connection:
        await check(connection)


async def test_wrong_argument_closes_the_socket(server, get_uri, start_proxy):
    proxy = await start_proxy("socks5h")
    with pytest.raises(ValueError, match="server_hostname is only meaningful with ssl"):
        await connect(get_uri(server), proxy=proxy.url, server_hostname="localhost")


async def test_arguments_for_the_connection_to_a_socks_proxy_are_refused(client_tls):
    with pytest.raises(ValueError, match="proxy_ssl can't be used with a SOCKS proxy"):
        await connect("ws://localhost/", proxy="socks5://localhost/", proxy_ssl=client_tls)


async def test_missing_python_socks_is_told(monkeypatch):
    for name in list(sys.modules):
        if name.partition(".")[0] == "python_socks":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "python_socks", None)
    with pytest.raises(
        ImportError,
        match=r"SOCKS proxy requires python-socks: install ws-asyncio\[socks\]",
    ):
        await connect("ws://127.0.0.1/", proxy="socks5h://127.0.0.1")


# The environment


@pytest.mark.parametrize("name", ["ws_proxy", "socks_proxy", "https_proxy", "http_proxy"])
async def test_proxy_comes_from_the_environment(server, get_uri, monkeypatch, start_proxy, name):
    proxy = await start_proxy("http" if name != "socks_proxy" else "socks5h")
    monkeypatch.setenv(name, proxy.url)
    async with connect(get_uri(server)) as connection:
        await check(connection)
    assert len(proxy.targets) == 1


@pytest.mark.parametrize(
    "name, targets", [("wss_proxy", 1), ("https_proxy", 1), ("http_proxy", 0), ("ws_proxy", 0)]
)
async def test_proxy_for_tls_comes_from_the_environment(
    secure_server, get_uri, monkeypatch, start_proxy, name, targets
):
    proxy = await start_proxy("http")
    monkeypatch.setenv(name, proxy.url)
    async with connect(get_uri(secure_server, scheme="wss")):
        pass
    assert len(proxy.targets) == targets


@pytest.mark.parametrize("no_proxy", ["*", "127.0.0.1", "localhost,127.0.0.1"])
async def test_environment_may_exempt_hosts(server, get_uri, monkeypatch, start_proxy, no_proxy):
    proxy = await start_proxy("http")
    monkeypatch.setenv("ws_proxy", proxy.url)
    monkeypatch.setenv("no_proxy", no_proxy)
    async with connect(get_uri(server)):
        pass
    assert proxy.targets == []


@pytest.mark.parametrize("value", [None, ""])
async def test_proxy_can_be_turned_off(server, get_uri, monkeypatch, start_proxy, value):
    proxy = await start_proxy("http")
    monkeypatch.setenv("ws_proxy", proxy.url)
    async with connect(get_uri(server), proxy=value):
        pass
    assert proxy.targets == []


async def test_proxy_is_not_used_with_a_socket(server, get_uri, monkeypatch, start_proxy):
    proxy = await start_proxy("http")
    monkeypatch.setenv("ws_proxy", proxy.url)
    sock = socket.create_connection(server.sockets[0].getsockname())
    async with connect(get_uri(server), sock=sock, proxy=proxy.url):
        pass
    assert proxy.targets == []


async def test_environment_is_asked_again_after_a_redirect(
    secure_server, get_uri, monkeypatch, start_proxy
):
    def process_request(connection, request):
        response = connection.respond(302, "")
        response.headers["Location"] = get_uri(secure_server, scheme="wss")
        return response

    plain_proxy, tls_proxy = await start_proxy("http"), await start_proxy("http")
    monkeypatch.setenv("ws_proxy", plain_proxy.url)
    monkeypatch.setenv("wss_proxy", tls_proxy.url)
    async with serve(echo, "127.0.0.1", 0, process_request=process_request) as server:
        async with connect(get_uri(server)) as connection:
            await check(connection)
        assert plain_proxy.targets == [("127.0.0.1", port_of(server))]
        assert tls_proxy.targets == [("127.0.0.1", port_of(secure_server))]
