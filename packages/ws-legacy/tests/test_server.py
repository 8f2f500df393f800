"""Running a server: the opening handshake, connection handlers and shutdown."""

import asyncio
import http
import logging

import pytest

from ws_legacy import (
    AbortHandshake,
    InvalidStatusCode,
    WebSocketServer,
    WebSocketServerProtocol,
    connect,
    serve,
    unix_serve,
)
from ws_protocol.exceptions import ConnectionClosedError, ConnectionClosedOK
from ws_protocol.protocol import State

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])


async def hello(websocket):
    await websocket.send("Hello!")


async def wait(websocket):
    await websocket.wait_closed()


def status_of(response):
    return int(response.split()[1])


# Refused requests


@pytest.mark.parametrize(
    "line, headers, status, text",
    [
        ("POST / HTTP/1.1", {}, 400, "unsupported HTTP method: POST"),
        ("GET / HTTP/1.0", {}, 400, "unsupported HTTP version: HTTP/1.0"),
        ("GET / HTTP/1.1", {"Host": None}, 400, "missing Host header"),
        ("GET / HTTP/1.1", {"host": "localhost"}, 400, "invalid Host header: multiple values"),
        ("GET / HTTP/1.1", {"Host": "a b"}, 400, "invalid Host header: a b"),
        ("GET / HTTP/1.1", {"Upgrade": None}, 426, "missing Upgrade header"),
        ("GET / HTTP/1.1", {"Upgrade": "h2c"}, 426, "invalid Upgrade header: h2c"),
        ("GET / HTTP/1.1", {"Connection": "close"}, 426, "invalid Connection header: close"),
        ("GET / HTTP/1.1", {"Sec-WebSocket-Key": None}, 400, "missing Sec-WebSocket-Key header"),
        ("GET / HTTP/1.1", {"Sec-WebSocket-Key": "AAAA"}, 400, "invalid Sec-WebSocket-Key header"),
        ("GET / HTTP/1.1", {"Sec-WebSocket-Version": "12"}, 426, "Sec-WebSocket-Version"),
        ("GET / HTTP/1.1", {"Sec-WebSocket-Extensions": ";;"}, 400, "expected token at 0 in ;;"),
    ],
)
async def test_wrong_request_is_refused(request_raw, records, line, headers, status, text):
    async with serve(hello, "127.0.0.1", 0) as server:
        response = await request_raw(server, line, headers)
    assert status_of(response) == status
    assert text in response
    for name in ("Date", "Server", "Content-Length", "Content-Type", "Connection: close"):
        assert f"\r\n{name}" in response
    phrase = http.HTTPStatus(status).phrase
    assert ("INFO", f"connection rejected ({status} {phrase})") in records("websockets.server")


@pytest.mark.parametrize(
    "name, status",
    [
        ("Host", 400),
        ("Upgrade", 400),
        ("Connection", 400),
        ("Sec-WebSocket-Key", 400),
        ("Sec-WebSocket-Version", 426),
        ("Sec-WebSocket-Extensions", 400),
        ("Sec-WebSocket-Protocol", 400),
        ("Origin", 403),
    ],
)
async def test_bytes_outside_ascii_are_refused(request_raw, name, status):
    async with serve(hello, "127.0.0.1", 0, origins=[None], subprotocols=["a"]) as server:
        response = await request_raw(server, headers={name: "\xe9"})
    assert status_of(response) == status


@pytest.mark.parametrize(
    "raw, status",
    [
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", 400),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 9000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", 431),
    ],
)
async def test_what_is_no_request_is_refused(request_raw, records, raw, status):
    async with serve(hello, "127.0.0.1", 0) as server:
        response = await request_raw(server, raw=raw)
    assert status_of(response) == status
    messages = [message for _, message in records("websockets.server")]
    assert any(message.startswith("connection rejected: ") for message in messages)


async def test_client_that_leaves_before_its_request_is_complete(records):
    async with serve(hello, "127.0.0.1", 0) as server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"GET / HTTP/1.1\r\n")
        writer.close()
        await writer.wait_closed()
        while ("INFO", "connection closed") not in records("websockets.server"):  # noqa: ASYNC110  # nothing else tells
            await asyncio.sleep(0)


async def test_client_that_sends_no_request_is_given_up():
    async with serve(hello, "127.0.0.1", 0, open_timeout=0.01) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


# process_request


@pytest.mark.parametrize("kind", ["argument", "method", "exception"])
async def test_process_request_answers(request_raw, kind):
    async def process_request(path, headers):
        assert headers["Host"] == "localhost"
        if path == "/health":
            return http.HTTPStatus.OK, [("X-A", "b")], b"OK\n"
        return None

    class Protocol(WebSocketServerProtocol):
        async def process_request(self, path, request_headers):
            assert self.path == path
            assert self.request_headers is request_headers
            assert self.state is State.CONNECTING
            response = await process_request(path, request_headers)
            if response is not None and kind == "exception":
                raise AbortHandshake(*response)
            return response

    kwargs = (
        {"process_request": process_request}
        if kind == "argument"
        else {"create_protocol": Protocol}
    )
    async with serve(hello, "127.0.0.1", 0, **kwargs) as server:
        response = await request_raw(server, "GET /health HTTP/1.1")
        assert response.startswith("HTTP/1.1 200 OK\r\n")
        assert "\r\nX-A: b\r\n" in response
        assert "\r\nContent-Length: 3\r\n" in response
        assert "\r\nContent-Type: text/plain\r\n" in response
        assert "\r\nConnection: close\r\n" in response
        assert response.endswith("\r\n\r\nOK\n")
        assert status_of(await request_raw(server)) == 101


async def test_response_may_have_its_own_headers(request_raw):
    async def process_request(path, headers):
        return 200, {"Content-Type": "text/html", "Server": "mine", "Date": "now"}, b"<p>"

    async with serve(hello, "127.0.0.1", 0, process_request=process_request) as server:
        response = await request_raw(server)
    assert response.count("Content-Type") == response.count("Server") == response.count("Date") == 1
    assert "Content-Type: text/html" in response


async def test_process_request_may_set_the_size_of_messages(get_uri):
    class Protocol(WebSocketServerProtocol):
        async def process_request(self, path, request_headers):
            self.max_size = 10
            return await super().process_request(path, request_headers)

    async def handler(websocket):
        await websocket.send(await websocket.recv())
        # It is who it says it is.
        websocket.max_size = None
        await websocket.send(await websocket.recv())
        websocket.max_size = 5
        with pytest.raises(ConnectionClosedError, match="sent 1009"):
            await websocket.recv()

    async with serve(handler, "127.0.0.1", 0, create_protocol=Protocol, max_size=1) as server:
        async with connect(get_uri(server)) as websocket:
            for message in ["a" * 10, "b" * 1000]:
                await websocket.send(message)
                assert await websocket.recv() == message
            await websocket.send("c" * 6)
            with pytest.raises(ConnectionClosedError, match="received 1009"):
                await websocket.recv()


async def test_response_may_have_headers_that_are_no_strings(request_raw):
    async def process_request(path, headers):
        return 200, [("Content-Length", 5), ("X-Name", "Zoë")], b"Hello"

    async with serve(hello, "127.0.0.1", 0, process_request=process_request) as server:
        response = await request_raw(server)
    assert status_of(response) == 200
    assert response.count("Content-Length") == response.count("Content-Length: 5\r\n") == 1
    assert "\r\nX-Name: Zoë\r\n" in response


@pytest.mark.parametrize(
    "result",
    [ZeroDivisionError("oops"), (299, [], b""), (200, [], "text"), 200],
    ids=["exception", "status", "body", "type"],
)
async def test_wrong_process_request_is_an_internal_error(request_raw, records, result):
    async def process_request(path, headers):
        if isinstance(result, Exception):
            raise result
        return result

    async with serve(hello, "127.0.0.1", 0, process_request=process_request) as server:
        response = await request_raw(server)
    assert status_of(response) == 500
    assert "See server log for more information." in response
    assert ("ERROR", "opening handshake failed") in records("websockets.server")


async def test_client_that_leaves_while_the_request_is_processed(records):
    go_on = asyncio.Event()
    processing = asyncio.Event()

    async def process_request(path, headers):
        processing.set()
        await go_on.wait()

    async with serve(hello, "127.0.0.1", 0, process_request=process_request) as server:
        task = asyncio.ensure_future(connect_to(server))
        await processing.wait()
        (websocket,) = server.websockets
        task.cancel()
        await asyncio.wait([task])
        await websocket.wait_closed()
        go_on.set()
    assert ("INFO", "connection open") not in records("websockets.server")


async def connect_to(server):
    return await connect(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/")


# Headers


@pytest.mark.parametrize(
    "extra_headers, expected",
    [
        ({"X-A": "b"}, ["X-A: b"]),
        ([("X-A", "b"), ("X-A", "c")], ["X-A: b", "X-A: c"]),
        ({"X-A": 1, "X-A-Name": "日本"}, ["X-A: 1", "X-A-Name: 日本"]),
        (lambda path, headers: {"X-A": path + headers["Host"]}, ["X-A: /?a=blocalhost"]),
    ],
    ids=["mapping", "iterable", "other values", "callable"],
)
async def test_extra_headers_are_added(request_raw, extra_headers, expected):
    async with serve(hello, "127.0.0.1", 0, extra_headers=extra_headers) as server:
        lines = (await request_raw(server)).split("\r\n")
    assert [line for line in lines if line.startswith("X-A")] == expected


@pytest.mark.parametrize("where", ["extra_headers", "process_request", "select_subprotocol"])
async def test_impossible_header_is_an_internal_error(request_raw, records, where):
    impossible = "a\r\nSet-Cookie: b"

    async def process_request(path, headers):
        return 200, {"X-Secret": impossible}, b""

    kwargs = {
        "extra_headers": {"extra_headers": {"X-Secret": impossible}},
        "process_request": {"process_request": process_request},
        "select_subprotocol": {
            "subprotocols": ["a"],
            "select_subprotocol": lambda client, server: impossible,
        },
    }[where]
    async with serve(hello, "127.0.0.1", 0, **kwargs) as server:
        response = await request_raw(server, headers={"Sec-WebSocket-Protocol": "a"})
    assert status_of(response) == 500
    assert "X-Secret" not in response
    assert "Set-Cookie" not in response
    assert ("ERROR", "opening handshake failed") in records("websockets.server")


@pytest.mark.parametrize(
    "kwargs, expected",
    [
        ({"server_header": "mine"}, ["Server: mine"]),
        ({"server_header": None}, []),
        ({"extra_headers": {"Server": "other"}}, ["Server: other"]),
    ],
)
async def test_server_header(request_raw, kwargs, expected):
    async with serve(hello, "127.0.0.1", 0, **kwargs) as server:
        lines = (await request_raw(server)).split("\r\n")
    assert [line for line in lines if line.startswith("Server")] == expected


@pytest.mark.parametrize(
    "origin, status", [(None, 101), ("http://a", 101), ("http://b", 403), ("", 403)]
)
async def test_origins(request_raw, origin, status):
    async with serve(hello, "127.0.0.1", 0, origins=["http://a", None]) as server:
        assert status_of(await request_raw(server, headers={"Origin": origin})) == status


async def test_origin_of_the_connection(pair):
    async with pair(client={"origin": "http://a"}) as (client, server):
        assert client.origin == server.origin == "http://a"


@pytest.mark.parametrize("compression", ["deflate", None])
async def test_compression(pair, compression):
    async with pair(server={"compression": compression}) as (client, server):
        assert len(client.extensions) == len(server.extensions) == (compression is not None)


# Subprotocols


@pytest.mark.parametrize(
    "available, offered, selected",
    [
        (["a", "b", "c"], "a", "a"),
        (["c", "b", "a"], "b, a", "b"),
        (["c", "b", "a"], "a, c", "c"),
        # A tie, in which the server's preference counts.
        (["a", "b"], "b, a", "a"),
        (["b", "a"], "a, b", "b"),
        # No common one isn't an error.
        (["x"], "a, b", None),
        (["x"], None, None),
        ([], "a", None),
        (None, "a", None),
    ],
)
async def test_preferences_of_both_sides_are_averaged(request_raw, available, offered, selected):
    async with serve(hello, "127.0.0.1", 0, subprotocols=available) as server:
        response = await request_raw(server, headers={"Sec-WebSocket-Protocol": offered})
    lines = [line for line in response.split("\r\n") if line.startswith("Sec-WebSocket-Protocol")]
    assert lines == ([] if selected is None else [f"Sec-WebSocket-Protocol: {selected}"])


@pytest.mark.parametrize("kind", ["argument", "method"])
async def test_select_subprotocol(request_raw, kind):
    calls = []

    def select_subprotocol(client_subprotocols, server_subprotocols):
        calls.append((client_subprotocols, server_subprotocols))
        return client_subprotocols[-1]

    class Protocol(WebSocketServerProtocol):
        def select_subprotocol(self, client_subprotocols, server_subprotocols):
            return select_subprotocol(client_subprotocols, server_subprotocols)

    kwargs = (
        {"select_subprotocol": select_subprotocol}
        if kind == "argument"
        else {"create_protocol": Protocol}
    )
    async with serve(hello, "127.0.0.1", 0, subprotocols=["a"], **kwargs) as server:
        response = await request_raw(server, headers={"Sec-WebSocket-Protocol": "a, b"})
    assert "\r\nSec-WebSocket-Protocol: b\r\n" in response
    assert calls == [(["a", "b"], ["a"])]


# Wrong arguments


@pytest.mark.parametrize(
    "kwargs, error",
    [
        ({"compression": "gzip"}, ValueError),
        ({"subprotocols": "abc"}, TypeError),
        ({"subprotocols": ["@"]}, ValueError),
    ],
)
async def test_wrong_arguments_are_refused_at_once(kwargs, error):
    with pytest.raises(error):
        serve(hello, "127.0.0.1", 0, **kwargs)


# Handlers


async def test_connection_is_closed_when_the_handler_returns(get_uri, records):
    async with serve(hello, "127.0.0.1", 0) as server, connect(get_uri(server)) as websocket:
        assert await websocket.recv() == "Hello!"
        with pytest.raises(ConnectionClosedOK, match="received 1000"):
            await websocket.recv()
    listening, *rest = [message for _, message in records("websockets.server")]
    assert listening.startswith("server listening on 127.0.0.1:")
    assert sorted(rest) == [
        "connection closed",
        "connection open",
        "server closed",
        "server closing",
    ]


async def test_connection_fails_when_the_handler_raises(get_uri, caplog):
    async def handler(websocket):
        raise ZeroDivisionError("oops")

    async with serve(handler, "127.0.0.1", 0) as server, connect(get_uri(server)) as websocket:
        with pytest.raises(ConnectionClosedError, match="received 1011"):
            await websocket.recv()
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage() == "connection handler failed"
    assert isinstance(record.exc_info[1], ZeroDivisionError)
    assert isinstance(record.websocket, WebSocketServerProtocol)


async def test_connection_fails_when_the_handler_is_cancelled(get_uri):
    async with serve(wait, "127.0.0.1", 0) as server, connect(get_uri(server)) as websocket:
        (connection,) = server.websockets
        connection.handler_task.cancel()
        with pytest.raises(ConnectionClosedError):
            await websocket.recv()
        await asyncio.wait([connection.handler_task])
        assert not server.websockets


async def test_handler_may_be_a_method_with_defaults(get_uri):
    class Application:
        async def handle(self, websocket, greeting="Hi!"):
            await websocket.send(greeting)

    async with (
        serve(Application().handle, "127.0.0.1", 0) as server,
        connect(get_uri(server)) as websocket,
    ):
        assert await websocket.recv() == "Hi!"


async def test_early_message_is_received(request_raw, get_uri):
    received = asyncio.get_running_loop().create_future()

    async def handler(websocket):
        received.set_result(await websocket.recv())

    async with serve(handler, "127.0.0.1", 0) as server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            b"\x81\x81\0\0\0\0a"
        )
        assert await received == "a"
        writer.close()
        await writer.wait_closed()


# Servers


async def test_server_is_like_the_server_of_asyncio(get_uri):
    server = await serve(wait, "127.0.0.1", 0, start_serving=False)
    assert isinstance(server, WebSocketServer)
    assert not server.is_serving()
    await server.start_serving()
    assert server.is_serving()
    assert server.get_loop() is asyncio.get_running_loop()
    assert len(server.sockets) == 1
    async with connect(get_uri(server)):
        assert len(server.websockets) == 1
    async with server as same:
        assert same is server
    assert not server.is_serving()
    assert not list(server.sockets)
    await server.wait_closed()


async def test_serve_forever_ends_when_the_server_is_closed():
    server = await serve(wait, "127.0.0.1", 0, start_serving=False)
    task = asyncio.create_task(server.serve_forever())
    while not server.is_serving():  # noqa: ASYNC110  # there is no event for it
        await asyncio.sleep(0)
    server.close()
    await task
    await server.serve_forever()


async def test_serve_forever_closes_the_server_when_it_is_cancelled(get_uri):
    server = await serve(wait, "127.0.0.1", 0)
    task = asyncio.create_task(server.serve_forever())
    async with connect(get_uri(server)) as websocket:
        task.cancel()
        with pytest.raises(ConnectionClosedOK, match="received 1001"):
            await websocket.recv()
    with pytest.raises(asyncio.CancelledError):
        await task
    await server.wait_closed()


async def test_server_on_a_unix_socket_tells_its_path(socket_path, records):
    path = str(socket_path)
    async with unix_serve(wait, path):
        pass
    assert ("INFO", f"server listening on {path}") in records("websockets.server")


async def test_server_on_ipv6_tells_its_address(records):
    try:
        async with serve(wait, "::1", 0):
            pass
    except OSError:  # pragma: no cover  # where there is no IPv6
        pytest.skip("requires IPv6")
    assert records("websockets.server")[0][1].startswith("server listening on [::1]:")


async def test_connections_are_closed_with_the_server(get_uri):
    async with serve(wait, "127.0.0.1", 0) as server:
        websocket = await connect(get_uri(server))
        server.close()
        server.close()
        with pytest.raises(ConnectionClosedOK, match="received 1001"):
            await websocket.recv()


async def test_connections_may_stay_open_when_the_server_is_closed(get_uri):
    async with serve(wait, "127.0.0.1", 0) as server:
        websocket = await connect(get_uri(server))
        server.close(close_connections=False)
        waiter = asyncio.create_task(server.wait_closed())
        await websocket.ping()
        assert not waiter.done()
        server.close()
        await waiter
        await websocket.wait_closed()
        assert websocket.close_code == 1001


async def test_handler_that_goes_on_is_waited_for(get_uri):
    go_on = asyncio.Event()
    done = []

    async def handler(websocket):
        await go_on.wait()
        done.append(websocket)

    server = await serve(handler, "127.0.0.1", 0)
    async with connect(get_uri(server)):
        server.close()
        waiter = asyncio.create_task(server.wait_closed())
    assert not waiter.done()
    go_on.set()
    await waiter
    assert len(done) == 1


async def test_connections_that_open_are_refused_when_the_server_is_closed(get_uri):
    go_on = asyncio.Event()

    async def process_request(path, headers):
        server.close()
        await go_on.wait()

    server = await serve(wait, "127.0.0.1", 0, process_request=process_request)
    task = asyncio.ensure_future(connect_to(server))
    await asyncio.sleep(0.01)
    go_on.set()
    with pytest.raises(InvalidStatusCode) as raised:
        await task
    assert raised.value.status_code == 503
    assert raised.value.__cause__.response.body == b"Server is shutting down.\n"
    await server.wait_closed()


async def test_connection_without_a_request_is_refused_when_the_server_is_closed():
    async with serve(wait, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"GET / HTTP/1.1\r\n")
        while not server.websockets:  # noqa: ASYNC110  # there is no event for it
            await asyncio.sleep(0)
        server.close()
        assert (await reader.read()).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        writer.close()
        await writer.wait_closed()


async def test_server_does_not_wait_for_clients_that_begin_no_tls_handshake(server_tls):
    async with asyncio.timeout(5):
        async with serve(wait, "127.0.0.1", 0, ssl=server_tls) as server:
            _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            await asyncio.sleep(0.01)
    writer.transport.abort()
    await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "timeouts",
    [{"open_timeout": 0.05}, {"open_timeout": None, "ssl_handshake_timeout": 0.05}],
    ids=["of-the-server", "of-the-event-loop"],
)
async def test_clients_that_begin_no_tls_handshake_are_gone_after_a_while(server_tls, timeouts):
    async with (
        asyncio.timeout(20),
        serve(wait, "127.0.0.1", 0, ssl=server_tls, **timeouts) as server,
    ):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


# Whoever has a server of its own, as uvicorn


class OwnServer:
    """What takes the place of a server."""

    closing = False

    def register(self, websocket):
        self.websocket = websocket

    def unregister(self, websocket):
        assert self.websocket is websocket

    def is_serving(self):
        return not self.closing


class OwnProtocol(WebSocketServerProtocol):
    """A connection that makes itself."""

    def __init__(self):
        self.ws_server = OwnServer()
        self.opened = asyncio.Event()
        self.transport = None
        super().__init__(ws_handler=self.ws_handler, ws_server=self.ws_server)
        self.server_header = None
        self.extra_headers = [("X-A", "b")]
        self.answer = None

    def connection_made(self, transport):
        self.transport = transport
        super().connection_made(transport)

    async def process_request(self, path, request_headers):
        return self.answer

    def process_subprotocol(self, headers, available_subprotocols):
        return "chosen"

    async def ws_handler(self, websocket):
        self.opened.set()
        await self.wait_closed()


@pytest.mark.parametrize("answer", [None, (403, [], b"")])
async def test_subclass_may_have_its_own_server(request_raw, answer):
    protocols = []

    def factory():
        protocols.append(OwnProtocol())
        protocols[-1].answer = answer
        return protocols[-1]

    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    async with server:
        response = await request_raw(server)
        (protocol,) = protocols
        if answer is None:
            assert status_of(response) == 101
            assert "\r\nSec-WebSocket-Protocol: chosen\r\n" in response
            assert "\r\nX-A: b\r\n" in response
            assert "Server" not in response
            await protocol.opened.wait()
            assert protocol.subprotocol == "chosen"
        else:
            assert status_of(response) == 403
        await asyncio.wait([protocol.handler_task])


async def test_own_server_that_closes_refuses_connections(request_raw):
    def factory():
        protocol = OwnProtocol()
        protocol.ws_server.closing = True
        return protocol

    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    async with server:
        assert status_of(await request_raw(server)) == 503
        await asyncio.sleep(0.01)
