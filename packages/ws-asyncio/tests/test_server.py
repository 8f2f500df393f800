import asyncio
import contextlib
import email.utils
import http
import logging
import re
import socket

import pytest

from ws_asyncio import ServerConnection, basic_auth, connect, serve
from ws_protocol.datastructures import Headers
from ws_protocol.exceptions import (
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidStatus,
    NegotiationError,
)
from ws_protocol.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from ws_protocol.frames import CloseCode
from ws_protocol.http11 import Response
from ws_protocol.protocol import State
from ws_protocol.server import ServerProtocol

both_loops = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def echo(connection):
    async for message in connection:
        await connection.send(message)


def serve_echo(**kwargs):
    return serve(echo, "127.0.0.1", 0, **kwargs)


async def refusal(uri, **kwargs):
    """Connect; return the response of the server, which refuses."""
    with pytest.raises(InvalidStatus) as info:
        await connect(uri, **kwargs)
    return info.value.response


@pytest.fixture
def ask(open_tcp_connection):
    """Return a coroutine function that sends bytes to a server, and returns all that it answers."""

    async def ask(server, data):
        reader, writer = await open_tcp_connection(server)
        writer.write(data)
        response = await reader.read()
        writer.close()
        return response

    return ask


@pytest.fixture
def logged(caplog):
    """Return a function that returns what was logged of connections: pairs of level and message."""
    caplog.set_level(logging.INFO)

    def logged():
        return [
            (record.levelname, record.getMessage())
            for record in caplog.records
            if record.name == "websockets.server" and not record.message.startswith("server ")
        ]

    return logged


@pytest.fixture
def logged_of_servers(caplog):
    """Return a function that returns the messages that were logged of servers."""
    caplog.set_level(logging.INFO)

    def logged_of_servers():
        return [
            record.getMessage()
            for record in caplog.records
            if record.name == "websockets.server" and record.message.startswith("server ")
        ]

    return logged_of_servers


# The connection handler


@both_loops
async def test_handler_talks_to_a_client(get_uri):
    async with serve_echo() as server:
        async with connect(get_uri(server)) as connection:
            await connection.send("hello")
            assert await connection.recv() == "hello"


@both_loops
async def test_connection_is_closed_normally_when_the_handler_returns(get_uri, logged):
    async def handler(connection):
        assert isinstance(connection, ServerConnection)

    async with serve(handler, "127.0.0.1", 0) as server:
        async with connect(get_uri(server)) as connection:
            with pytest.raises(ConnectionClosedOK):
                await connection.recv()
        assert connection.close_code == CloseCode.NORMAL_CLOSURE
    assert logged() == [("INFO", "connection open"), ("INFO", "connection closed")]


@both_loops
async def test_connection_is_closed_with_an_error_when_the_handler_raises(get_uri, caplog):
    async def handler(connection):
        raise LookupError("mine")

    async with serve(handler, "127.0.0.1", 0) as server:
        async with connect(get_uri(server)) as connection:
            with pytest.raises(ConnectionClosedError):
                await connection.recv()
        assert connection.close_code == CloseCode.INTERNAL_ERROR
        # The client isn't told what went wrong.
        assert connection.close_reason == ""
    (record,) = [record for record in caplog.records if record.levelno > logging.INFO]
    assert record.levelno == logging.ERROR
    assert record.message == "connection handler failed"
    assert record.exc_info[0] is LookupError
    assert isinstance(record.websocket, ServerConnection)


@both_loops
async def test_handler_may_let_the_end_of_its_connection_out(get_uri, logged):
    async def handler(connection):
        while True:
            await connection.recv()

    async with serve(handler, "127.0.0.1", 0) as server:
        async with connect(get_uri(server)) as connection:
            pass
        async with connect(get_uri(server)) as connection:
            await connection.close(CloseCode.GOING_AWAY)
        async with connect(get_uri(server)) as connection:
            await connection.close(4000, "bye")
        async with connect(get_uri(server)) as connection:
            connection.transport.abort()
    lost = [message for _, message in logged() if message.startswith("connection lost")]
    assert lost == [
        "connection lost: received 4000 (private use) bye; then sent 4000 (private use) bye",
        "connection lost: no close frame received or sent",
    ]
    assert {level for level, _ in logged()} == {"INFO"}


@both_loops
@pytest.mark.parametrize("code", [CloseCode.NORMAL_CLOSURE, CloseCode.INTERNAL_ERROR])
async def test_end_of_another_connection_is_an_error_of_the_handler(get_uri, caplog, code):
    async def close(connection):
        await connection.close(code)

    async def forward(connection):
        async with connect(get_uri(backend)) as upstream:
            await upstream.recv()

    async with (
        serve(close, "127.0.0.1", 0) as backend,
        serve(forward, "127.0.0.1", 0) as server,
    ):
        async with connect(get_uri(server)) as connection:
            with pytest.raises(ConnectionClosedError):
                await connection.recv()
        assert connection.close_code == CloseCode.INTERNAL_ERROR
    (record,) = [record for record in caplog.records if record.levelno > logging.INFO]
    assert record.message == "connection handler failed"


@both_loops
async def test_handler_that_is_cancelled_loses_the_connection(get_uri):
    async def handler(connection):
        await connection.send("one")
        await connection.send("two")
        asyncio.current_task().cancel()
        await asyncio.Event().wait()

    async with serve(handler, "127.0.0.1", 0) as server:
        async with connect(get_uri(server)) as connection:
            assert await connection.recv() == "one"
            assert await connection.recv() == "two"
            with pytest.raises(ConnectionClosedError):
                await connection.recv()
        assert connection.close_code == CloseCode.INTERNAL_ERROR
        assert server.connections == set()


async def test_handler_may_close_the_connection_and_go_on(get_uri):
    async def handler(connection):
        await connection.close(4000, "bye")
        finished.set()

    finished = asyncio.Event()
    async with serve(handler, "127.0.0.1", 0) as server:
        async with connect(get_uri(server)) as connection:
            with pytest.raises(ConnectionClosedError):
                await connection.recv()
        await finished.wait()
    assert (connection.close_code, connection.close_reason) == (4000, "bye")


# Where it listens


@both_loops
async def test_server_that_was_not_started_is_not_serving():
    server = serve(echo, "127.0.0.1", 0)
    assert not server.is_serving()
    assert server.sockets == ()
    with pytest.raises(RuntimeError, match="server wasn't started"):
        server.close()


async def test_socket_can_be_brought(get_uri):
    sock = socket.create_server(("127.0.0.1", 0))
    async with serve(echo, sock=sock) as server:
        assert [sock.getsockname() for sock in server.sockets] == [sock.getsockname()]
        async with connect(get_uri(server)):
            pass


@both_loops
async def test_port_can_be_shared(get_uri):
    if not hasattr(socket, "SO_REUSEPORT"):
        pytest.skip("the platform doesn't let sockets share a port")
    async with serve_echo(reuse_port=True) as first:
        port = first.sockets[0].getsockname()[1]
        async with serve(echo, "127.0.0.1", port, reuse_port=True) as second:
            assert second.sockets[0].getsockname()[1] == port


async def test_several_hosts_can_be_listened_on():
    try:
        server = await serve(echo, ["127.0.0.1", "::1"], 0)
    except OSError as exc:
        pytest.skip(f"no IPv6: {exc}")
    async with server:
        assert {sock.getsockname()[0] for sock in server.sockets} == {"127.0.0.1", "::1"}
        for sock in server.sockets:
            async with connect(
                "ws://localhost/", host=sock.getsockname()[0], port=sock.getsockname()[1]
            ):
                pass


@both_loops
async def test_port_in_use_is_a_network_error(get_uri):
    async with serve_echo() as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(OSError, match=r"(?i)address already in use"):
            await serve(echo, "127.0.0.1", port)


async def test_addresses_are_logged(logged_of_servers):
    async with serve_echo() as server:
        port = server.sockets[0].getsockname()[1]
    assert logged_of_servers() == [
        f"server listening on 127.0.0.1:{port}",
        "server closing",
        "server closed",
    ]


async def test_address_of_a_unix_socket_is_logged(logged_of_servers, socket_path):
    path = str(socket_path)
    async with serve(echo, unix=True, path=path):
        assert logged_of_servers() == [f"server listening on {path}"]


async def test_address_of_ipv6_stands_in_brackets(logged_of_servers):
    try:
        server = await serve(echo, "::1", 0)
    except OSError as exc:
        pytest.skip(f"no IPv6: {exc}")
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert logged_of_servers() == [f"server listening on [::1]:{port}"]


# Arguments


@pytest.mark.parametrize(
    "kwargs, exception",
    [
        ({"compression": "gzip"}, ValueError),
        ({"subprotocols": "chat"}, TypeError),
        ({"subprotocols": ["not a token"]}, ValueError),
    ],
)
def test_wrong_argument_is_refused_at_once(kwargs, exception):
    with pytest.raises(exception):
        serve(echo, "127.0.0.1", 0, **kwargs)


def test_port_in_the_place_of_the_host_is_refused():
    with pytest.raises(TypeError, match="the port is the argument after it"):
        serve(echo, 8765)


@pytest.mark.parametrize(
    "kwargs, match",
    [
        ({"max_queue": (4, 8)}, "high"),
        ({"write_limit": (4, 8)}, "high"),
        ({"ping_interval": 0}, "ping_interval must be positive, or None"),
        ({"max_size": (1, 2, 3)}, ".+"),
    ],
)
async def test_wrong_limit_is_refused_before_a_client_connects(kwargs, match):
    with pytest.raises(ValueError, match=match):
        await serve(echo, "127.0.0.1", 0, **kwargs)


async def test_server_listens_on_several_addresses():
    async with serve(echo, ["127.0.0.1", "127.0.0.2"], 0) as server:
        assert len(server.sockets) == 2


async def test_arguments_reach_the_connection(get_uri):
    arguments = {}

    def create_connection(protocol, server, **kwargs):
        assert isinstance(protocol, ServerProtocol)
        arguments.update(kwargs, max_size=protocol.max_message_size, server=server)
        return ServerConnection(protocol, server, **kwargs)

    given = {
        "ping_interval": 1,
        "ping_timeout": 2,
        "close_timeout": 3,
        "max_size": 4,
        "max_queue": 5,
        "write_limit": 6,
    }
    async with serve_echo(create_connection=create_connection, **given) as server:
        async with connect(get_uri(server)):
            assert arguments == given | {"server": server}


@both_loops
async def test_connection_can_be_of_a_subclass(get_uri, server_tls, client_tls):
    class MyConnection(ServerConnection):
        pass

    for scheme, tls in [("ws", None), ("wss", server_tls)]:
        async with serve_echo(create_connection=MyConnection, ssl=tls) as server:
            uri = get_uri(server, scheme=scheme)
            async with connect(uri, ssl=None if tls is None else client_tls):
                (connection,) = server.connections
                assert type(connection) is MyConnection
                assert connection.server is server


@pytest.mark.parametrize(
    "kwargs, name",
    [({}, "websockets.server"), ({"logger": logging.getLogger("my")}, "my")],
    ids=["default", "other"],
)
async def test_logger_can_be_chosen(get_uri, caplog, kwargs, name):
    caplog.set_level(logging.INFO)
    async with serve_echo(**kwargs) as server:
        async with connect(get_uri(server)):
            pass
    assert {record.name for record in caplog.records} - {"asyncio"} == {name}


@both_loops
async def test_message_that_is_too_large_fails_the_connection(get_uri):
    async with serve_echo(max_size=5) as server:
        async with connect(get_uri(server)) as connection:
            await connection.send("hello!")
            with pytest.raises(ConnectionClosedError):
                await connection.recv()
    assert connection.close_code == CloseCode.MESSAGE_TOO_BIG


ORIGINS = ["https://example.com", re.compile(r"https?://localhost(:\d+)?")]


@pytest.mark.parametrize(
    "origins, origin, accepted",
    [
        (None, "https://evil.example", True),
        (None, None, True),
        (ORIGINS, "https://example.com", True),
        (ORIGINS, "http://localhost:8000", True),
        (ORIGINS, "https://localhost", True),
        (ORIGINS, "http://localhost:8000.evil.example", False),
        (ORIGINS, "xhttp://localhost", False),
        (ORIGINS, "https://example.com.evil.example", False),
        (ORIGINS, "http://example.com", False),
        (ORIGINS, "https://EXAMPLE.com", False),
        (ORIGINS, "null", False),
        (ORIGINS, None, False),
        ([*ORIGINS, None], None, True),
        ([*ORIGINS, None], "null", False),
        ([], "https://example.com", False),
        ([], None, False),
    ],
)
async def test_origins_can_be_restricted(get_uri, origins, origin, accepted):
    async with serve_echo(origins=origins) as server:
        if accepted:
            async with connect(get_uri(server), origin=origin):
                (connection,) = server.connections
                assert connection.protocol.origin == origin
        else:
            response = await refusal(get_uri(server), origin=origin)
            assert response.status_code == http.HTTPStatus.FORBIDDEN


@pytest.mark.parametrize(
    "compression, extensions, names",
    [
        ("deflate", None, ["PerMessageDeflate"]),
        (None, None, []),
        (None, [ServerPerMessageDeflateFactory()], ["PerMessageDeflate"]),
        ("deflate", [ServerPerMessageDeflateFactory()], ["PerMessageDeflate"]),
    ],
)
async def test_extensions_are_negotiated(get_uri, compression, extensions, names):
    async with serve_echo(compression=compression, extensions=extensions) as server:
        async with connect(get_uri(server)) as connection:
            assert [type(ext).__name__ for ext in connection.protocol.extensions] == names
            assert ("Sec-WebSocket-Extensions" in connection.response.headers) == bool(names)


@pytest.mark.parametrize(
    "server_header, values", [("Smith", ["Smith"]), (None, [])], ids=["other", "none"]
)
async def test_server_header_can_be_changed(get_uri, server_header, values):
    async with serve_echo(server_header=server_header) as server:
        async with connect(get_uri(server)) as connection:
            assert connection.response.headers.get_all("Server") == values


async def test_response_has_the_usual_headers(get_uri):
    async with serve_echo() as server:
        async with connect(get_uri(server)) as connection:
            headers = connection.response.headers
            assert list(headers) == [
                "date",
                "upgrade",
                "connection",
                "sec-websocket-accept",
                "sec-websocket-extensions",
                "server",
            ]
            assert headers["Server"].startswith("Python/")
            assert email.utils.parsedate_to_datetime(headers["Date"]) is not None
            assert headers["Date"].endswith(" GMT")


@both_loops
async def test_client_that_sends_no_request_times_out(open_tcp_connection, logged):
    async with serve_echo(open_timeout=0.01) as server:
        reader, _ = await open_tcp_connection(server)
        assert await reader.read() == b""
    assert logged() == [("INFO", "opening handshake timed out")]


async def test_client_that_sends_its_request_byte_by_byte_times_out(
    open_tcp_connection, clock, logged
):
    async with serve_echo() as server:
        reader, writer = await open_tcp_connection(server)
        with contextlib.suppress(ConnectionError):
            for byte in REQUEST:
                writer.write(bytes([byte]))
                await clock.advance(1)
                if reader.at_eof():
                    break
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
    assert logged() == [("INFO", "opening handshake timed out")]


@both_loops
async def test_client_that_never_begins_the_tls_handshake_times_out(
    open_tcp_connection, server_tls, logged
):
    async with serve_echo(open_timeout=0.01, ssl=server_tls) as server:
        reader, _ = await open_tcp_connection(server)
        assert await reader.read() == b""
    assert logged() == [("INFO", "opening handshake timed out")]


@both_loops
async def test_tls_handshake_counts_towards_the_timeout(server_tls, client_tls, logged, get_uri):
    async def process_request(connection, request):
        await asyncio.Event().wait()

    async with serve_echo(
        open_timeout=0.1, ssl=server_tls, process_request=process_request
    ) as server:
        with pytest.raises(Exception, match="valid HTTP response"):
            await connect(get_uri(server, scheme="wss"), ssl=client_tls)
    assert logged() == [("INFO", "opening handshake timed out")]


async def test_client_is_waited_for_without_a_timeout(open_tcp_connection, clock):
    async with serve_echo(open_timeout=None) as server:
        reader, writer = await open_tcp_connection(server)
        await clock.advance(3600)
        writer.write(REQUEST)
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 101 ")


async def test_timeout_of_opening_does_not_last(clock, get_uri):
    async with serve_echo(open_timeout=1) as server:
        async with connect(get_uri(server)) as connection:
            await clock.advance(10)
            await connection.send("hello")
            assert await connection.recv() == "hello"


# Subprotocols


@pytest.mark.parametrize(
    "offered, selected",
    [(["chat"], "chat"), (["superchat", "chat"], "chat"), (["other"], None), (None, None)],
)
async def test_first_subprotocol_that_both_support_is_selected(get_uri, offered, selected):
    async with serve_echo(subprotocols=["chat", "superchat"]) as server:
        if selected is None:
            response = await refusal(get_uri(server), subprotocols=offered)
            assert response.status_code == http.HTTPStatus.BAD_REQUEST
        else:
            async with connect(get_uri(server), subprotocols=offered) as connection:
                assert connection.subprotocol == selected


async def test_function_selects_a_subprotocol_knowing_the_connection(get_uri):
    def select_subprotocol(connection, subprotocols):
        assert isinstance(connection, ServerConnection)
        assert connection.request.path == "/path"
        assert subprotocols == ["superchat", "chat"]
        return "chat"

    async with serve_echo(select_subprotocol=select_subprotocol) as server:
        async with connect(
            get_uri(server, "/path"), subprotocols=["superchat", "chat"]
        ) as connection:
            assert connection.subprotocol == "chat"
            (peer,) = server.connections
            assert peer.subprotocol == "chat"


async def test_function_may_select_no_subprotocol(get_uri):
    async with serve_echo(select_subprotocol=lambda connection, subprotocols: None) as server:
        async with connect(get_uri(server), subprotocols=["chat"]) as connection:
            assert connection.subprotocol is None


async def test_function_may_refuse_because_of_subprotocols(get_uri, logged):
    def select_subprotocol(connection, subprotocols):
        raise NegotiationError("chat only")

    async with serve_echo(select_subprotocol=select_subprotocol) as server:
        response = await refusal(get_uri(server))
    assert response.status_code == http.HTTPStatus.BAD_REQUEST
    assert b"chat only" in response.body
    assert logged() == [("INFO", "connection rejected (400 Bad Request)")]


async def test_function_that_fails_to_select_a_subprotocol_is_an_error(get_uri, caplog):
    def select_subprotocol(connection, subprotocols):
        raise LookupError("mine")

    async with serve_echo(select_subprotocol=select_subprotocol) as server:
        response = await refusal(get_uri(server))
    assert response.status_code == http.HTTPStatus.INTERNAL_SERVER_ERROR
    assert b"mine" not in response.body
    (record,) = [record for record in caplog.records if record.levelno > logging.INFO]
    assert record.exc_info[0] is LookupError


# process_request and process_response


def coroutine_function(function):
    """Return a coroutine function that does what a function does."""

    async def coroutine_function(*args):
        await asyncio.sleep(0)
        return function(*args)

    return coroutine_function


kinds = pytest.mark.parametrize(
    "kind", [lambda function: function, coroutine_function], ids=["function", "coroutine"]
)


@kinds
async def test_process_request_may_accept(get_uri, kind):
    def process_request(connection, request):
        assert isinstance(connection, ServerConnection)
        assert connection.request is request
        assert request.path == "/path"
        assert connection.state is State.CONNECTING

    async with serve_echo(process_request=kind(process_request)) as server:
        async with connect(get_uri(server, "/path")) as connection:
            await connection.send("hello")
            assert await connection.recv() == "hello"


@both_loops
@kinds
async def test_process_request_may_refuse(get_uri, logged, kind):
    def process_request(connection, request):
        response = connection.respond(http.HTTPStatus.NOT_FOUND, "Not here\n")
        response.headers["X-One"] = "1"
        return response

    async with serve_echo(process_request=kind(process_request)) as server:
        response = await refusal(get_uri(server))
    assert (response.status_code, response.reason_phrase) == (404, "Not Found")
    assert response.body == b"Not here\n"
    assert response.headers["Content-Length"] == "9"
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert response.headers["Connection"] == "close"
    assert response.headers["X-One"] == "1"
    assert "Server" in response.headers
    assert "Date" in response.headers
    assert logged() == [("INFO", "connection rejected (404 Not Found)")]


@kinds
@pytest.mark.parametrize("name", ["process_request", "process_response"])
async def test_exception_while_opening_is_an_error_of_the_server(get_uri, caplog, kind, name):
    def fail(*args):
        raise LookupError("mine")

    async with serve_echo(**{name: kind(fail)}) as server:
        response = await refusal(get_uri(server))
    assert response.status_code == http.HTTPStatus.INTERNAL_SERVER_ERROR
    assert b"See server log for more information." in response.body
    assert b"mine" not in response.body
    (record,) = [record for record in caplog.records if record.levelno > logging.INFO]
    assert record.levelno == logging.ERROR
    assert record.message.startswith("opening handshake failed")
    assert record.exc_info[0] is LookupError


@kinds
@pytest.mark.parametrize("name", ["process_request", "process_response"])
@pytest.mark.parametrize(
    "wrong",
    [(200, [], b"OK\n"), 200, "OK", True, http.HTTPStatus.OK],
    ids=lambda wrong: repr(wrong),
)
async def test_wrong_type_of_response_is_told_clearly(get_uri, caplog, kind, name, wrong):
    async with serve_echo(**{name: kind(lambda *args: wrong)}) as server:
        response = await refusal(get_uri(server))
    assert response.status_code == http.HTTPStatus.INTERNAL_SERVER_ERROR
    (record,) = [record for record in caplog.records if record.levelno > logging.INFO]
    assert str(record.exc_info[1]) == (
        f"expected a Response or None, got {type(wrong).__name__}; "
        "connection.respond(status, text) makes a response"
    )


async def test_response_that_serves_for_many_connections_is_not_changed(get_uri):
    shared = Response(404, "Not Found", Headers({"Content-Length": "3"}), b"No\n")

    def process_response(connection, request, response):
        response.headers["X-One"] = "1"

    async with serve_echo(
        process_request=lambda connection, request: shared, process_response=process_response
    ) as server:
        for _ in range(2):
            response = await refusal(get_uri(server))
            assert response.body == b"No\n"
            assert response.headers.get_all("X-One") == ["1"]
    assert shared == Response(404, "Not Found", Headers({"Content-Length": "3"}), b"No\n")


async def test_headers_of_a_response_are_not_overridden(get_uri):
    def process_request(connection, request):
        response = connection.respond(404, "")
        response.headers["Server"] = "Smith"
        del response.headers["Date"]
        response.headers["Date"] = "yesterday"
        return response

    async with serve_echo(process_request=process_request) as server:
        response = await refusal(get_uri(server))
    assert response.headers.get_all("Server") == ["Smith"]
    assert response.headers.get_all("Date") == ["yesterday"]


@kinds
async def test_process_response_may_change_the_response(get_uri, kind):
    def process_response(connection, request, response):
        assert connection.request is request
        assert response.status_code == 101
        response.headers["X-One"] = "1"

    async with serve_echo(process_response=kind(process_response)) as server:
        async with connect(get_uri(server)) as connection:
            assert connection.response.headers["X-One"] == "1"
            (peer,) = server.connections
            assert peer.response.headers == connection.response.headers


@kinds
async def test_process_response_may_return_the_response(get_uri, kind):
    def process_response(connection, request, response):
        response.headers["X-One"] = "1"
        return response

    async with serve_echo(process_response=kind(process_response)) as server:
        async with connect(get_uri(server)) as connection:
            assert connection.response.headers["X-One"] == "1"


@both_loops
@kinds
async def test_process_response_may_return_another_response(get_uri, kind, logged):
    def process_response(connection, request, response):
        return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "Later\n")

    async with serve_echo(process_response=kind(process_response)) as server:
        response = await refusal(get_uri(server))
    assert response.status_code == 503
    assert response.body == b"Later\n"
    assert logged() == [("INFO", "connection rejected (503 Service Unavailable)")]


async def test_process_response_sees_refusals(get_uri):
    seen = []

    def process_response(connection, request, response):
        seen.append(response.status_code)

    async with serve_echo(process_response=process_response, origins=[]) as server:
        await refusal(get_uri(server))
    assert seen == [403]


async def test_response_that_http_can_not_carry_is_an_error(get_uri, caplog, ask):
    def process_response(connection, request, response):
        return Response(404, "Not\r\nFound", Headers())

    async with serve_echo(process_response=process_response) as server:
        assert await ask(server, REQUEST) == b""
    (record,) = [record for record in caplog.records if record.levelno > logging.INFO]
    assert record.message == "opening handshake failed"
    assert record.exc_info[0] is ValueError


async def test_authentication_tells_the_user_name(get_uri):
    process_request = basic_auth(credentials=("hello", "iloveyou"))
    async with serve_echo(process_request=process_request) as server:
        response = await refusal(get_uri(server))
        assert response.status_code == http.HTTPStatus.UNAUTHORIZED
        assert "WWW-Authenticate" in response.headers
        async with connect(get_uri(server).replace("://", "://hello:iloveyou@")):
            (connection,) = server.connections
            assert connection.username == "hello"


# Health checks, and other HTTP


def check_health(connection, request):
    if request.path == "/healthz":
        return connection.respond(http.HTTPStatus.OK, "OK\n")
    return None


@both_loops
@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /healthz HTTP/1.1",
        b"GET /healthz HTTP/1.0",
        b"POST /healthz HTTP/1.1",
        b"OPTIONS /healthz HTTP/1.1",
    ],
)
async def test_health_check_is_answered(ask, logged, request_line):
    async with serve_echo(process_request=check_health) as server:
        response = await ask(server, request_line + b"\r\nHost: localhost\r\n\r\n")
    assert response.startswith(b"HTTP/1.1 200 OK\r\n")
    assert response.endswith(b"\r\n\r\nOK\n")
    assert logged() == [("INFO", "connection rejected (200 OK)")]


async def test_health_check_with_an_empty_body_is_answered(ask):
    async with serve_echo(process_request=check_health) as server:
        response = await ask(
            server, b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
        )
    assert response.startswith(b"HTTP/1.1 200 OK\r\n")


async def test_health_check_without_a_body_gets_none(ask):
    async with serve_echo(process_request=check_health) as server:
        response = await ask(server, b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert response.startswith(b"HTTP/1.1 200 OK\r\n")
        # What GET would have been answered.
        assert b"\r\nContent-Length: 3\r\n" in response
        assert response.endswith(b"\r\n\r\n")


@both_loops
@pytest.mark.parametrize(
    "data, status",
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 426, id="no upgrade"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", 400, id="no host"),
        pytest.param(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n", 405, id="HEAD"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n", 405, id="POST"),
        pytest.param(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n", 505, id="HTTP/1.0"),
        pytest.param(b"GET / HTTP/2.0\r\n\r\n", 505, id="HTTP/2.0"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, id="HTTP/2"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", 400, id="TLS"),
        pytest.param(b"hello\r\n\r\n", 400, id="not HTTP"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello", 400, id="body"
        ),
        pytest.param(b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\n", 414, id="long path"),
        pytest.param(b"GET / HTTP/1.1\r\nX: " + b"y" * 10_000 + b"\r\n", 431, id="long header"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200, 431, id="many headers"),
        pytest.param(REQUEST.replace(b": 13", b": 8"), 426, id="version"),
        pytest.param(REQUEST.replace(b"ZQ==", b"ZQ="), 400, id="key"),
    ],
)
async def test_other_request_is_refused_without_an_error_in_the_log(ask, logged, data, status):
    async with serve_echo() as server:
        response = await ask(server, data)
    assert response.startswith(b"HTTP/1.1 %d " % status)
    ((level, _),) = logged()
    assert level == "INFO"


@both_loops
@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "connection closed while reading HTTP request"),
        (b"GET / HTTP/1.1\r\nHost", "connection closed while reading HTTP request"),
    ],
)
async def test_client_that_leaves_before_its_request_is_no_error(
    open_tcp_connection, logged, data, message
):
    async with serve_echo() as server:
        reader, writer = await open_tcp_connection(server)
        writer.write(data)
        writer.write_eof()
        assert await reader.read() == b""
    assert logged() == [
        (
            "INFO",
            f"opening handshake failed: did not receive a valid HTTP request; {message}",
        )
    ]


@both_loops
@pytest.mark.parametrize("name", ["process_request", "process_response"])
async def test_client_that_leaves_while_its_request_is_processed_is_no_error(
    open_tcp_connection, logged, name
):
    async def wait(connection, *args):
        waiting.set()
        await connection.wait_closed()

    waiting = asyncio.Event()
    async with serve_echo(**{name: wait}) as server:
        _, writer = await open_tcp_connection(server)
        writer.write(REQUEST)
        await waiting.wait()
        writer.close()
    assert logged() == [("INFO", "connection closed during the opening handshake")]


@both_loops
async def test_client_that_breaks_the_protocol_is_no_error(open_tcp_connection, logged):
    async with serve_echo() as server:
        reader, writer = await open_tcp_connection(server)
        writer.write(REQUEST)
        await reader.readuntil(b"\r\n\r\n")
        # A frame that isn't masked.
        writer.write(b"\x81\x00")
        opcode, _, *code = await reader.readexactly(4)
        assert (opcode, bytes(code)) == (0x88, b"\x03\xea")
        writer.close()
    assert {level for level, _ in logged()} == {"INFO"}


@both_loops
async def test_frames_that_arrive_together_with_the_request_are_received(open_tcp_connection):
    async with serve_echo() as server:
        reader, writer = await open_tcp_connection(server)
        writer.write(REQUEST + b"\x81\x85\0\0\0\0hello")
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(7) == b"\x81\x05hello"
        writer.close()


# How many connections there may be


@both_loops
@pytest.mark.parametrize("tls", [False, True])
async def test_client_is_refused_when_there_are_enough_connections(
    get_uri, server_tls, client_tls, logged, tls
):
    async with serve_echo(max_connections=2, ssl=server_tls if tls else None) as server:
        uri = get_uri(server, scheme="wss" if tls else "ws")
        kwargs = {"ssl": client_tls if tls else None}
        async with connect(uri, **kwargs), connect(uri, **kwargs) as second:
            response = await refusal(uri, **kwargs)
            assert response.status_code == 503
            assert response.headers["Retry-After"] == "5"
            assert ("INFO", "connection rejected (503 Service Unavailable)") in logged()
            await second.close()
            while len(server._tasks) > 1:
                await asyncio.wait(list(server._tasks.values()), return_when="FIRST_COMPLETED")
            async with connect(uri, **kwargs) as third:
                await third.send("there is room again")
                assert await third.recv() == "there is room again"


@both_loops
async def test_client_is_refused_when_there_are_enough_handshakes(get_uri, open_tcp_connection):
    async with serve_echo(max_handshakes=1) as server:
        reader, writer = await open_tcp_connection(server)
        response = await refusal(get_uri(server))
        assert response.status_code == 503
        # Which is done now, and isn't in the way any more.
        writer.write(REQUEST)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        async with connect(get_uri(server)) as connection:
            await connection.send("a")
            assert await connection.recv() == "a"
        writer.close()


@both_loops
@pytest.mark.parametrize("tls", [False, True])
async def test_clients_that_do_not_read_why_are_dropped(
    get_uri, open_tcp_connection, server_tls, monkeypatch, tls
):
    monkeypatch.setattr("ws_protocol.admission.MAX_REFUSED", 1)
    context = server_tls if tls else None
    async with serve_echo(max_handshakes=1, close_timeout=0.1, ssl=context) as server:
        opened = [await open_tcp_connection(server) for _ in range(3)]
        reader, _ = opened[2]
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        assert len(server._tasks) == 2
        for _, writer in opened:
            writer.close()


async def test_request_that_is_there_already_is_refused(get_uri, ask):
    async with serve_echo(max_connections=1) as server, connect(get_uri(server)):
        assert (await ask(server, REQUEST)).startswith(b"HTTP/1.1 503 ")
        assert (await ask(server, b"nonsense\r\n\r\n")).startswith(b"HTTP/1.1 ")


@pytest.mark.parametrize("name", ["max_connections", "max_handshakes"])
async def test_server_must_take_some_connections(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1"):
        serve_echo(**{name: 0})


# Pages of the server, and names that it has


async def test_pages_of_other_servers_can_be_refused(get_uri):
    async with serve_echo(origins="same-origin") as server:
        uri = get_uri(server)
        async with connect(uri), connect(uri, origin=uri.replace("ws:", "http:").rstrip("/")):
            pass
        assert (await refusal(uri, origin="https://evil.example")).status_code == 403


async def test_other_names_can_be_refused(get_uri):
    async with serve_echo(allowed_hosts=["127.0.0.1"]) as server:
        async with connect(get_uri(server)):
            pass
        response = await refusal(get_uri(server), additional_headers={"Host": "evil.example"})
        assert response.status_code == 400


async def test_wrong_origins_or_hosts_are_refused_before_a_client_connects():
    with pytest.raises(TypeError):
        await serve_echo(origins="https://example.com")
    with pytest.raises(ValueError, match="invalid host"):
        await serve_echo(allowed_hosts=["a/b"])
