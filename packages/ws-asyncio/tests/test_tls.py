import asyncio
import contextlib
import socket
import ssl

import pytest

from ws_asyncio import connect, serve

both_loops = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])


async def echo(connection):
    async for message in connection:
        await connection.send(message)


@pytest.fixture
async def server(server_tls):
    async with serve(echo, "127.0.0.1", 0, ssl=server_tls) as server:
        yield server


# Clients


@both_loops
@pytest.mark.parametrize("size", [5, 2**20])
async def test_messages_go_back_and_forth(server, get_uri, client_tls, size):
    async with connect(get_uri(server, scheme="wss"), ssl=client_tls) as connection:
        await connection.send("x" * size)
        assert await connection.recv() == "x" * size
    assert connection.close_code == 1000


@both_loops
@pytest.mark.parametrize("kwargs", [{}, {"ssl": True}], ids=["default", "true"])
async def test_server_is_verified_by_default(server, get_uri, untrusted_tls, kwargs):
    async with connect(get_uri(server, scheme="wss"), **kwargs) as connection:
        ssl_object = connection.transport.get_extra_info("ssl_object")
        assert ssl_object.context.verify_mode is ssl.CERT_REQUIRED
        assert ssl_object.context.check_hostname
    async with serve(echo, "127.0.0.1", 0, ssl=untrusted_tls) as other:
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(get_uri(other, scheme="wss"), **kwargs)


async def test_one_default_context_serves_all_connections(server, get_uri):
    uri = get_uri(server, scheme="wss")
    async with connect(uri) as first, connect(uri) as second:
        contexts = {
            connection.transport.get_extra_info("ssl_object").context
            for connection in [first, second]
        }
        assert len(contexts) == 1


@both_loops
async def test_host_of_the_uri_must_be_that_of_the_certificate(server_tls, client_tls):
    async with serve(echo, "127.0.0.1", 0, ssl=server_tls) as server:
        host, port = server.sockets[0].getsockname()
        with pytest.raises(ssl.SSLCertVerificationError, match=r"example\.com"):
            await connect(f"wss://example.com:{port}/", host=host, ssl=client_tls)
        async with connect(f"wss://localhost:{port}/", host=host, ssl=client_tls) as connection:
            ssl_object = connection.transport.get_extra_info("ssl_object")
            assert ssl_object.server_hostname == "localhost"


@both_loops
async def test_dot_at_the_end_of_the_host_is_not_in_the_certificate(server, client_tls):
    host, port = server.sockets[0].getsockname()
    async with connect(f"wss://localhost.:{port}/", host=host, ssl=client_tls) as connection:
        ssl_object = connection.transport.get_extra_info("ssl_object")
        assert ssl_object.server_hostname == "localhost"
        assert connection.request.headers["Host"] == f"localhost.:{port}"


@both_loops
async def test_server_hostname_can_be_overridden(server, get_uri, client_tls):
    uri = get_uri(server, scheme="wss")
    async with connect(uri, ssl=client_tls, server_hostname="localhost") as connection:
        ssl_object = connection.transport.get_extra_info("ssl_object")
        assert ssl_object.server_hostname == "localhost"
    with pytest.raises(ssl.SSLCertVerificationError, match=r"example\.com"):
        await connect(uri, ssl=client_tls, server_hostname="example.com")


async def test_server_hostname_none_stands_for_the_host(server, get_uri, client_tls):
    uri = get_uri(server, scheme="wss")
    async with connect(uri, ssl=client_tls, server_hostname=None) as connection:
        ssl_object = connection.transport.get_extra_info("ssl_object")
        assert ssl_object.server_hostname == "127.0.0.1"


@both_loops
async def test_socket_can_be_brought(server, get_uri, client_tls):
    sock = socket.create_connection(server.sockets[0].getsockname())
    async with connect("wss://localhost/", sock=sock, ssl=client_tls) as connection:
        await connection.send("hello")
        assert await connection.recv() == "hello"


@pytest.mark.parametrize("value", [None, False])
async def test_tls_can_not_be_turned_off_for_wss(value):
    with pytest.raises(ValueError, match=f"ssl={value} is incompatible with a wss:// URI"):
        await connect("wss://localhost/", ssl=value)


@pytest.mark.parametrize("value", [True, False, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)])
async def test_tls_can_not_be_asked_for_without_wss(value):
    with pytest.raises(ValueError, match="ssl argument is incompatible with a ws:// URI"):
        await connect("ws://localhost/", ssl=value)


async def test_tls_may_be_none_without_wss(get_uri):
    async with serve(echo, "127.0.0.1", 0, ssl=None) as server:
        async with connect(get_uri(server), ssl=None) as connection:
            await connection.send("hello")
            assert await connection.recv() == "hello"


@both_loops
async def test_server_without_tls_is_a_network_error(get_uri, client_tls):
    async with serve(echo, "127.0.0.1", 0) as server:
        with pytest.raises(ssl.SSLError):
            await connect(get_uri(server, scheme="wss"), ssl=client_tls)


@both_loops
async def test_server_that_never_performs_the_handshake_times_out(start_tcp_server, client_tls):
    accepted, closed = asyncio.Event(), asyncio.Event()

    async def talk(reader, writer):
        accepted.set()
        await reader.read()
        closed.set()

    uri = f"wss://127.0.0.1:{await start_tcp_server(talk)}"
    # On a machine that is busy, it may be over before the connection is accepted.
    while not accepted.is_set():
        with pytest.raises(TimeoutError, match="timed out during opening handshake"):
            await connect(uri, ssl=client_tls, open_timeout=0.01)
    await closed.wait()


@both_loops
async def test_connection_that_ends_during_the_handshake_is_a_network_error(
    start_tcp_server, client_tls
):
    async def talk(reader, writer):
        await reader.read(1)

    uri = f"wss://127.0.0.1:{await start_tcp_server(talk)}"
    with pytest.raises(OSError):  # noqa: PT011  # which one depends on the event loop
        await connect(uri, ssl=client_tls)


# Servers


@pytest.mark.parametrize("value", [True, False, "certificate.pem"])
def test_server_needs_a_context(value):
    with pytest.raises(
        TypeError, match=rf"ssl must be an ssl\.SSLContext, not {type(value).__name__}"
    ):
        serve(echo, "127.0.0.1", 0, ssl=value)


@both_loops
async def test_timeouts_of_tls_can_be_set(server_tls, client_tls, get_uri):
    async with serve(
        echo,
        "127.0.0.1",
        0,
        ssl=server_tls,
        ssl_handshake_timeout=5,
        ssl_shutdown_timeout=5,
    ) as server:
        async with connect(
            get_uri(server, scheme="wss"),
            ssl=client_tls,
            ssl_handshake_timeout=5,
            ssl_shutdown_timeout=5,
        ) as connection:
            await connection.send("hello")
            assert await connection.recv() == "hello"


@both_loops
async def test_many_clients_connect_at_once(server, get_uri, client_tls):
    async def talk():
        async with connect(get_uri(server, scheme="wss"), ssl=client_tls) as connection:
            await connection.send("hello")
            return await connection.recv()

    assert await asyncio.gather(*(talk() for _ in range(20))) == ["hello"] * 20


@both_loops
async def test_request_that_comes_together_with_the_end_of_the_handshake_is_answered(
    server, client_tls
):
    # By hand, since event loops send the end of the TLS handshake first.
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_tls.wrap_bio(incoming, outgoing, server_hostname="localhost")
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            writer.write(outgoing.read())
            incoming.write(await reader.read(2**16))
    tls.write(b"not a request\r\n\r\n")
    writer.write(outgoing.read())
    response = b""
    while b"\r\n" not in response:
        incoming.write(await reader.read(2**16))
        with contextlib.suppress(ssl.SSLWantReadError):
            response += tls.read(2**16)
    assert response.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    writer.close()
    await writer.wait_closed()


@both_loops
async def test_handshake_that_fails_is_no_error_of_the_server(server, open_tcp_connection, caplog):
    caplog.set_level("INFO")
    for data in [b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\0" * 100, b"\x16\x03\x01"]:
        reader, writer = await open_tcp_connection(server)
        writer.write(data)
        writer.write_eof()
        await reader.read()
    server.close()
    await server.wait_closed()
    failures = [record for record in caplog.records if "TLS handshake failed" in record.message]
    assert len(failures) == 3
    assert not any(record.message.endswith(": ") for record in failures)
    assert {record.levelname for record in caplog.records} == {"INFO"}


@both_loops
async def test_client_that_leaves_is_noticed_although_the_handler_does_not_receive(
    server_tls, client_tls, get_uri
):
    accepted = asyncio.Queue()

    async def handler(connection):
        accepted.put_nowait(connection)
        await connection.wait_closed()

    async with (
        asyncio.timeout(20),
        serve(handler, "127.0.0.1", 0, ssl=server_tls, max_queue=0, ping_interval=0.01) as server,
    ):
        client = await connect(get_uri(server, scheme="wss"), ssl=client_tls)
        connection = await accepted.get()
        await client.send("Nobody receives it.")
        while not connection._reading_paused:
            # Nothing else tells of it, and a pong arrives after the message.
            await (await client.ping())
        client.transport.close()
        await connection.wait_closed()
        assert await connection.recv() == "Nobody receives it."
