import asyncio
import logging
import socket
import types

import pytest

from ws_asyncio import ClientConnection, basic_auth, connect, serve
from ws_asyncio.client import process_exception
from ws_protocol.client import ClientProtocol
from ws_protocol.client import process_exception as protocol_process_exception
from ws_protocol.datastructures import Headers
from ws_protocol.exceptions import (
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidHeaderValue,
    InvalidMessage,
    InvalidStatus,
    InvalidURI,
    SecurityError,
)
from ws_protocol.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from ws_protocol.frames import CloseCode
from ws_protocol.handshake import accept_key
from ws_protocol.protocol import State

both_loops = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])


async def echo(connection):
    async for message in connection:
        await connection.send(message)


@pytest.fixture
async def server():
    async with serve(echo, "127.0.0.1", 0) as server:
        yield server


@pytest.fixture
async def refuse(start_tcp_server):
    """Return a coroutine function that starts a server that answers requests with some bytes, and
    returns its URI."""

    async def refuse(response):
        async def talk(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(response)

        return f"ws://127.0.0.1:{await start_tcp_server(talk)}"

    return refuse


def received_headers(server):
    """Return the headers that the server received from its only client."""
    (connection,) = server.connections
    return connection.request.headers


# How to use it


@both_loops
async def test_connect_can_be_awaited(server, get_uri):
    connection = await connect(get_uri(server))
    assert isinstance(connection, ClientConnection)
    await connection.send("hello")
    assert await connection.recv() == "hello"
    await connection.close()
    assert connection.close_code == CloseCode.NORMAL_CLOSURE


@both_loops
async def test_connect_is_a_context_manager_that_closes_normally(server, get_uri):
    async with connect(get_uri(server)) as connection:
        await connection.send("hello")
        assert await connection.recv() == "hello"
    assert connection.state is State.CLOSED
    assert connection.close_code == CloseCode.NORMAL_CLOSURE


async def test_connect_closes_with_an_error_code_when_the_block_raises(server, get_uri):
    with pytest.raises(ZeroDivisionError):
        async with connect(get_uri(server)) as connection:
            raise ZeroDivisionError
    assert connection.close_code == CloseCode.INTERNAL_ERROR


async def test_connect_can_be_a_task(server, get_uri):
    async def open_connection():
        return await connect(get_uri(server))

    connection = await asyncio.create_task(open_connection())
    await connection.close()


async def test_connect_can_be_used_again(server, get_uri):
    connector = connect(get_uri(server))
    for _ in range(2):
        async with connector as connection:
            await connection.send("hello")
            assert await connection.recv() == "hello"


async def test_connect_reads_the_configuration_only_when_awaited(get_uri):
    # There need be no event loop, nor a valid URI.
    connector = connect("nonsense")
    with pytest.raises(InvalidURI):
        await connector


def test_connect_can_be_made_without_an_event_loop():
    assert connect("ws://localhost/") is not None


@pytest.mark.parametrize("name", ["send", "recv", "close"])
def test_connect_that_is_not_awaited_is_no_connection(name):
    with pytest.raises(AttributeError, match=f"no attribute '{name}'; await it, or use it in"):
        getattr(connect("ws://localhost/"), name)


def test_connect_has_no_other_attributes():
    with pytest.raises(AttributeError, match=r"^'connect' object has no attribute 'nonsense'$"):
        connect("ws://localhost/").nonsense  # noqa: B018  # it raises


def test_process_exception_is_the_one_of_the_protocol():
    assert process_exception is protocol_process_exception


@both_loops
async def test_message_that_arrives_together_with_the_response_is_received(start_tcp_server):
    async def talk(reader, writer):
        request = await reader.readuntil(b"\r\n\r\n")
        key = request.split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0].decode()
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept_key(key).encode() + b"\r\n\r\n"
            b"\x81\x05hello\x88\x02\x03\xe8"
        )
        # The close frame.
        await reader.readexactly(8)

    connection = await connect(f"ws://127.0.0.1:{await start_tcp_server(talk)}")
    assert await connection.recv() == "hello"
    with pytest.raises(ConnectionClosedOK):
        await connection.recv()


# What the request says


async def test_request_has_the_usual_headers(server, get_uri):
    async with connect(get_uri(server, "/path?a=b")) as connection:
        headers = received_headers(server)
        assert connection.request.path == "/path?a=b"
        assert connection.request.headers == headers
        assert connection.response.status_code == 101
        assert [name for name, _ in headers.raw_items()] == [
            "Host",
            "Upgrade",
            "Connection",
            "Sec-WebSocket-Key",
            "Sec-WebSocket-Version",
            "Sec-WebSocket-Extensions",
            "User-Agent",
        ]
        assert headers["Host"] == get_uri(server, "").removeprefix("ws://")
        assert headers["User-Agent"].startswith("Python/")


@pytest.mark.parametrize(
    "additional_headers",
    [{"X-One": "1"}, [("X-One", "1")], Headers({"X-One": "1"})],
    ids=["mapping", "pairs", "Headers"],
)
async def test_headers_are_added(server, get_uri, additional_headers):
    async with connect(get_uri(server), additional_headers=additional_headers):
        assert received_headers(server).get_all("X-One") == ["1"]


async def test_header_may_be_added_several_times(server, get_uri):
    additional_headers = [("Cookie", "a=1"), ("Cookie", "b=2")]
    async with connect(get_uri(server), additional_headers=additional_headers):
        assert received_headers(server).get_all("Cookie") == ["a=1", "b=2"]


@pytest.mark.parametrize("name", ["Host", "User-Agent", "Origin", "Authorization"])
@pytest.mark.parametrize("change_case", [str, str.lower, str.upper])
async def test_header_that_occurs_once_is_replaced(server, get_uri, name, change_case):
    uri = get_uri(server).replace("://", "://user:password@")
    async with connect(
        uri, origin="http://localhost", additional_headers={change_case(name): "other"}
    ):
        assert received_headers(server).get_all(name) == ["other"]


@pytest.mark.parametrize("value", ["a\r\nX-Injected: 1", "a\nb", "a\0b", "密码"])
@both_loops
async def test_header_that_http_can_not_carry_is_refused(server, get_uri, value):
    with pytest.raises(InvalidHeaderValue):
        await connect(get_uri(server), additional_headers={"X-One": value})


@pytest.mark.parametrize(
    "user_agent_header, values", [("Smith", ["Smith"]), (None, [])], ids=["other", "none"]
)
async def test_user_agent_can_be_changed(server, get_uri, user_agent_header, values):
    async with connect(get_uri(server), user_agent_header=user_agent_header):
        assert received_headers(server).get_all("User-Agent") == values


@pytest.mark.parametrize("name", ["user_agent_header", "origin"])
async def test_other_argument_injects_no_header(server, get_uri, name):
    with pytest.raises(InvalidHeaderValue):
        await connect(get_uri(server), **{name: "a\r\nX-Injected: 1"})


async def test_origin_is_sent(server, get_uri):
    async with connect(get_uri(server), origin="https://example.com"):
        assert received_headers(server)["Origin"] == "https://example.com"


@pytest.mark.parametrize(
    "user_info, credentials",
    [
        ("hello:iloveyou", ("hello", "iloveyou")),
        ("hello:", ("hello", "")),
        ("a%40b:c%3Ad%2Fe%25", ("a@b", "c:d/e%")),
        ("j%C3%B6rg:p%C3%A4ss", ("jörg", "päss")),
        ("jörg:пароль", ("jörg", "пароль")),
    ],
)
async def test_credentials_of_the_uri_are_sent_decoded(get_uri, user_info, credentials):
    process_request = basic_auth(credentials=credentials)
    async with serve(echo, "127.0.0.1", 0, process_request=process_request) as server:
        uri = get_uri(server).replace("://", f"://{user_info}@")
        async with connect(uri):
            (connection,) = server.connections
            assert connection.username == credentials[0]


@pytest.mark.parametrize("user_info", ["hello", "hel%3Alo:iloveyou", "hello:ilove%0Ayou"])
async def test_credentials_that_can_not_be_sent_are_refused_without_showing_them(
    server, get_uri, user_info
):
    uri = get_uri(server).replace("://", f"://{user_info}@")
    with pytest.raises((InvalidURI, ValueError)) as info:
        await connect(uri)
    assert "love" not in str(info.value)


async def test_subprotocol_is_negotiated(get_uri):
    async with serve(echo, "127.0.0.1", 0, subprotocols=["chat", "superchat"]) as server:
        async with connect(get_uri(server), subprotocols=["superchat"]) as connection:
            assert connection.subprotocol == "superchat"
            assert received_headers(server)["Sec-WebSocket-Protocol"] == "superchat"


@pytest.mark.parametrize(
    "compression, extensions, names",
    [
        ("deflate", None, ["PerMessageDeflate"]),
        (None, None, []),
        (None, [ClientPerMessageDeflateFactory()], ["PerMessageDeflate"]),
        ("deflate", [ClientPerMessageDeflateFactory()], ["PerMessageDeflate"]),
    ],
)
async def test_extensions_are_negotiated(server, get_uri, compression, extensions, names):
    async with connect(
        get_uri(server), compression=compression, extensions=extensions
    ) as connection:
        assert [type(extension).__name__ for extension in connection.protocol.extensions] == names
        assert ("Sec-WebSocket-Extensions" in received_headers(server)) == bool(names)
        await connection.send("hello" * 1000)
        assert await connection.recv() == "hello" * 1000


def test_unknown_compression_is_refused():
    with pytest.raises(ValueError, match="unsupported compression: gzip"):
        connect("ws://localhost/", compression="gzip")


# Where it connects to


@both_loops
async def test_socket_can_be_brought(server, get_uri):
    sock = socket.create_connection(server.sockets[0].getsockname())
    async with connect("ws://example.com/", sock=sock) as connection:
        await connection.send("hello")
        assert await connection.recv() == "hello"
        assert received_headers(server)["Host"] == "example.com"
    assert sock.fileno() == -1


@both_loops
async def test_host_and_port_can_be_overridden(server):
    host, port = server.sockets[0].getsockname()
    async with connect("ws://example.com:8080/", host=host, port=port):
        assert received_headers(server)["Host"] == "example.com:8080"


async def test_host_alone_can_be_overridden(server):
    host, port = server.sockets[0].getsockname()
    async with connect(f"ws://example.com:{port}/", host=host):
        assert received_headers(server)["Host"] == f"example.com:{port}"


@both_loops
async def test_local_address_can_be_chosen(server, get_uri):
    with socket.create_server(("127.0.0.1", 0)) as sock:
        local_addr = sock.getsockname()
    async with connect(get_uri(server), local_addr=local_addr) as connection:
        assert connection.local_address == local_addr
        assert connection.remote_address == server.sockets[0].getsockname()


async def test_address_family_can_be_chosen(server):
    port = server.sockets[0].getsockname()[1]
    async with connect(f"ws://localhost:{port}/", family=socket.AF_INET) as connection:
        assert connection.remote_address == ("127.0.0.1", port)
    with pytest.raises(OSError):  # noqa: PT011  # which one depends on the platform
        await connect(f"ws://127.0.0.1:{port}/", family=socket.AF_INET6)


async def test_ipv6_address_stands_in_brackets():
    try:
        server = await serve(echo, "::1", 0)
    except OSError as exc:
        pytest.skip(f"no IPv6: {exc}")
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://[::1]:{port}/") as connection:
            assert received_headers(server)["Host"] == f"[::1]:{port}"
            assert connection.remote_address[:2] == ("::1", port)


# The connection


async def test_connection_can_be_of_a_subclass(server, get_uri):
    class MyConnection(ClientConnection):
        pass

    async with connect(get_uri(server), create_connection=MyConnection) as connection:
        assert type(connection) is MyConnection


async def test_arguments_reach_the_connection(server, get_uri):
    arguments = {}

    def create_connection(protocol, **kwargs):
        assert isinstance(protocol, ClientProtocol)
        arguments.update(kwargs, max_size=protocol.max_message_size)
        return ClientConnection(protocol, **kwargs)

    given = {
        "ping_interval": 1,
        "ping_timeout": 2,
        "close_timeout": 3,
        "max_size": 4,
        "max_queue": 5,
        "write_limit": 6,
    }
    async with connect(get_uri(server), create_connection=create_connection, **given):
        assert arguments == given


@pytest.mark.parametrize(
    "kwargs, exception",
    [
        ({"max_queue": (4, 8)}, ValueError),
        ({"write_limit": (4, 8)}, ValueError),
        ({"subprotocols": "chat"}, TypeError),
        ({"subprotocols": ["not a token"]}, ValueError),
        ({"create_connection": lambda protocol: None}, TypeError),
    ],
)
async def test_wrong_argument_is_refused_before_anything_is_opened(kwargs, exception):
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setblocking(False)
        host, port = sock.getsockname()
        with pytest.raises(exception):
            await connect(f"ws://{host}:{port}", **kwargs)
        with pytest.raises(BlockingIOError):
            sock.accept()


async def test_message_that_is_too_large_fails_the_connection(server, get_uri):
    async with connect(get_uri(server), max_size=5) as connection:
        await connection.send("hello")
        assert await connection.recv() == "hello"
        await connection.send("hello!")
        with pytest.raises(ConnectionClosedError):
            await connection.recv()
    assert connection.protocol.close_sent.code == CloseCode.MESSAGE_TOO_BIG


@pytest.mark.parametrize(
    "kwargs, name",
    [({}, "websockets.client"), ({"logger": logging.getLogger("my")}, "my")],
    ids=["default", "other"],
)
async def test_logger_can_be_chosen(server, get_uri, caplog, kwargs, name):
    caplog.set_level(logging.DEBUG)
    async with connect(get_uri(server), **kwargs) as connection:
        (record, *_) = [record for record in caplog.records if "GET / HTTP" in record.message]
        assert record.name == name
        assert record.websocket is connection


# Failures


@both_loops
async def test_tcp_connection_that_is_refused_is_a_network_error():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        await connect(f"ws://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    "uri", ["http://localhost/", "ws://", "ws://localhost:port/", "ws://localhost/#fragment", ""]
)
async def test_uri_that_is_not_valid_is_refused(uri):
    with pytest.raises(InvalidURI):
        await connect(uri)


@both_loops
async def test_refusal_by_the_server_tells_its_response(refuse):
    uri = await refuse(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nNo\n")
    with pytest.raises(InvalidStatus) as info:
        await connect(uri)
    assert str(info.value) == "server rejected WebSocket connection: HTTP 403"
    assert info.value.response.status_code == 403
    assert info.value.response.body == b"No\n"


@both_loops
async def test_body_of_a_refusal_may_end_with_the_connection(refuse):
    uri = await refuse(b"HTTP/1.0 404 Not Found\r\n\r\nIt isn't here\n")
    with pytest.raises(InvalidStatus) as info:
        await connect(uri)
    assert info.value.response.body == b"It isn't here\n"


@both_loops
@pytest.mark.parametrize(
    "response",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 101 Switching", id="half a line"),
        pytest.param(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n", id="half"),
    ],
)
async def test_connection_that_ends_during_the_response_is_told_apart(refuse, response):
    with pytest.raises(InvalidMessage) as info:
        await connect(await refuse(response))
    assert isinstance(info.value.__cause__, EOFError)


@both_loops
@pytest.mark.parametrize(
    "response, exception",
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", InvalidMessage, id="not HTTP"),
        pytest.param(b"HTTP/1.1 101 OK\r\nx y\r\n\r\n", InvalidMessage, id="not a header"),
        pytest.param(b"\0" * 100_000, InvalidMessage, id="too long"),
        pytest.param(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: xxxxxxxxxxxxxxxxxxxxxxxxxxx=\r\n\r\n",
            InvalidHeaderValue,
            id="wrong key",
        ),
    ],
)
async def test_response_that_is_not_valid_is_refused(refuse, response, exception):
    with pytest.raises(exception):
        await connect(await refuse(response))


async def test_response_larger_than_the_limit_is_refused(refuse):
    uri = await refuse(b"HTTP/1.1 200 OK\r\nContent-Length: 1048577\r\n\r\n")
    with pytest.raises(InvalidMessage) as info:
        await connect(uri)
    assert isinstance(info.value.__cause__, SecurityError)


@both_loops
async def test_server_that_never_answers_times_out(start_tcp_server):
    accepted, closed = asyncio.Event(), asyncio.Event()

    async def talk(reader, writer):
        accepted.set()
        await reader.read()
        closed.set()

    uri = f"ws://127.0.0.1:{await start_tcp_server(talk)}"
    # On a machine that is busy, it may be over before the connection is accepted.
    while not accepted.is_set():
        with pytest.raises(TimeoutError, match="timed out during opening handshake"):
            await connect(uri, open_timeout=0.01)
    await closed.wait()


async def test_server_that_answers_byte_by_byte_times_out(start_tcp_server, clock):
    async def talk(reader, writer):
        for byte in b"HTTP/1.1 101 Switching Protocols\r\n" + b"X: y\r\n" * 100:
            writer.write(bytes([byte]))
            await clock.advance(1)

    uri = f"ws://127.0.0.1:{await start_tcp_server(talk)}"
    with pytest.raises(TimeoutError, match="timed out during opening handshake"):
        await connect(uri)


async def test_server_that_answers_late_is_waited_for_without_a_timeout(clock, get_uri):
    async def process_request(connection, request):
        await clock.advance(3600)

    async with serve(
        echo, "127.0.0.1", 0, process_request=process_request, open_timeout=None
    ) as server:
        async with connect(get_uri(server), open_timeout=None) as connection:
            await connection.send("hello")
            assert await connection.recv() == "hello"


async def test_timeout_of_opening_does_not_last(clock, server, get_uri):
    async with connect(get_uri(server), open_timeout=1) as connection:
        await clock.advance(10)
        await connection.send("hello")
        assert await connection.recv() == "hello"


@both_loops
async def test_failing_handshake_closes_the_tcp_connection(start_tcp_server):
    closed = asyncio.Event()

    async def talk(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        # The server keeps its side open.
        await reader.read()
        closed.set()
        await asyncio.Event().wait()

    with pytest.raises(InvalidStatus):
        await connect(f"ws://127.0.0.1:{await start_tcp_server(talk)}")
    await closed.wait()


async def test_connecting_from_a_generator_that_is_a_coroutine(get_uri):
    @types.coroutine
    def connect_to(uri):
        connection = yield from connect(uri)
        return connection

    async with serve(echo, "127.0.0.1", 0) as server:
        connection = await connect_to(get_uri(server))
        await connection.close()
        assert connection.close_code == CloseCode.NORMAL_CLOSURE
