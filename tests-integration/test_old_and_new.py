"""Old clients talk to new servers, and new clients to old servers: the original API and the new.

The original API on both sides is there, too, as the yardstick.
"""

import asyncio
import contextlib
import http
import os
import ssl

import pytest
import trustme

import websockets.asyncio.client
import websockets.asyncio.server
import websockets.legacy.auth
import websockets.legacy.client
import websockets.legacy.exceptions
import websockets.legacy.server
from websockets.exceptions import (
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidStatus,
)
from websockets.frames import Close
from websockets.protocol import State

TIMEOUT = 20


# The two APIs, where they differ


class New:
    """The new API."""

    connect = staticmethod(websockets.asyncio.client.connect)
    unix_connect = staticmethod(websockets.asyncio.client.unix_connect)
    serve = staticmethod(websockets.asyncio.server.serve)
    unix_serve = staticmethod(websockets.asyncio.server.unix_serve)
    broadcast = staticmethod(websockets.asyncio.server.broadcast)
    rejected = InvalidStatus

    @staticmethod
    def client_options(headers):
        return {"additional_headers": headers}

    @staticmethod
    def server_options(response=None, headers=None, credentials=None):
        """Options to answer with this response, to add headers, or to ask for credentials."""
        options = {}
        if response is not None:
            options["process_request"] = lambda connection, request: New.respond(
                connection, request, *response
            )
        if headers is not None:
            options["process_response"] = lambda connection, request, response: (
                response.headers.update(headers)
            )
        if credentials is not None:
            options["process_request"] = websockets.asyncio.server.basic_auth(
                realm="tests", credentials=credentials
            )
        return options

    @staticmethod
    def respond(connection, request, path, status, headers, body):
        if request.path != path:
            return None
        response = connection.respond(status, body)
        response.headers.update(headers)
        return response

    @staticmethod
    def handshake(connection):
        """Return the path and the headers of the request, and the headers of the response."""
        request, response = connection.request, connection.response
        return request.path, request.headers, response.headers

    @staticmethod
    def rejection(exc):
        return exc.response.status_code, exc.response.headers


class Original:
    """The original API."""

    connect = staticmethod(websockets.legacy.client.connect)
    unix_connect = staticmethod(websockets.legacy.client.unix_connect)
    serve = staticmethod(websockets.legacy.server.serve)
    unix_serve = staticmethod(websockets.legacy.server.unix_serve)
    broadcast = staticmethod(websockets.legacy.server.broadcast)
    rejected = websockets.legacy.exceptions.InvalidStatusCode

    @staticmethod
    def client_options(headers):
        return {"extra_headers": headers}

    @staticmethod
    def server_options(response=None, headers=None, credentials=None):
        options = {}
        if response is not None:
            options["process_request"] = lambda path, _: Original.respond(path, *response)
        if headers is not None:
            options["extra_headers"] = headers
        if credentials is not None:
            options["create_protocol"] = websockets.legacy.auth.basic_auth_protocol_factory(
                realm="tests", credentials=credentials
            )
        return options

    @staticmethod
    async def respond(actual_path, path, status, headers, body):
        return None if actual_path != path else (status, headers, body.encode())

    @staticmethod
    def handshake(connection):
        return connection.path, connection.request_headers, connection.response_headers

    @staticmethod
    def rejection(exc):
        return exc.status_code, exc.headers


SIDES = {
    "original-to-new": (Original, New),
    "new-to-original": (New, Original),
    "original-to-original": (Original, Original),
}


@pytest.fixture(params=SIDES)
def sides(request):
    """The API of the client, and that of the server."""
    return SIDES[request.param]


@pytest.fixture
def client_api(sides):
    """The API of the client."""
    return sides[0]


@pytest.fixture
def server_api(sides):
    """The API of the server."""
    return sides[1]


# A connection


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    """Hide the proxies that the environment configures: the original API has none."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
async def tidiness(caplog):
    """Fail a test that takes too long, leaves a task behind, loses an exception, or logs an error.

    It gets the list of the errors that are to be logged.
    """
    lost = []
    expected = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: lost.append(context))
    async with asyncio.timeout(TIMEOUT):
        yield expected
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert lost == []
    errors = [record for record in caplog.get_records("call") if record.levelname == "ERROR"]
    assert [record.getMessage() for record in errors] == expected


@pytest.fixture(scope="module")
def certificates():
    """Options of the client and of the server for TLS."""
    authority = trustme.CA()
    client = ssl.create_default_context()
    authority.configure_trust(client)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    return {"ssl": client}, {"ssl": server}


def uri_of(server, path="/", userinfo="", scheme="ws"):
    """Return the address of a path of a server."""
    return f"{scheme}://{userinfo}127.0.0.1:{server.sockets[0].getsockname()[1]}{path}"


@pytest.fixture
def make_pair(client_api, server_api):
    """Return a context manager that makes a connection, and gives both its ends."""

    @contextlib.asynccontextmanager
    async def make_pair(client_options=None, server_options=None, scheme="ws"):
        accepted = asyncio.get_running_loop().create_future()
        done = asyncio.Event()

        async def handler(connection):
            accepted.set_result(connection)
            await done.wait()

        async with server_api.serve(handler, "127.0.0.1", 0, **server_options or {}) as server:
            uri = uri_of(server, scheme=scheme)
            connection = await client_api.connect(uri, **client_options or {})
            try:
                yield connection, await accepted
            finally:
                done.set()
                with contextlib.suppress(ConnectionClosed):
                    await connection.close()

    return make_pair


@pytest.fixture(params=["tcp", "tls"])
def transport(request, certificates):
    """Scheme, options of the client and options of the server."""
    if request.param == "tcp":
        return "ws", {}, {}
    return "wss", *certificates


@pytest.fixture(params=["deflate", None], ids=["compressed", "plain"])
def compression(request):
    """The compression that both sides offer."""
    return {"compression": request.param}


@pytest.fixture
async def pair(make_pair, transport, compression):
    """Both ends of a connection: over TCP and TLS, with and without compression."""
    scheme, client_options, server_options = transport
    client_options, server_options = client_options | compression, server_options | compression
    async with make_pair(client_options, server_options, scheme) as (client, server):
        yield client, server


@pytest.fixture(params=["client", "server"])
def ends(request, make_pair):
    """Return a context manager that makes a connection, with the end that acts first."""

    @contextlib.asynccontextmanager
    async def ends(acting_options=None, other_options=None):
        if request.param == "client":
            async with make_pair(acting_options, other_options) as (client, server):
                yield client, server
        else:
            async with make_pair(other_options, acting_options) as (client, server):
                yield server, client

    return ends


async def exception_of(connection):
    """Wait until a connection is closed, and return the exception that says why."""
    with pytest.raises(ConnectionClosed) as raised:
        await connection.recv()
    await connection.wait_closed()
    assert connection.state is State.CLOSED
    return raised.value


# The handshake


async def test_both_see_the_same_handshake(make_pair, client_api, server_api):
    async with make_pair(
        client_api.client_options({"X-Client": "Zoe", "X-Many": "1"}),
        server_api.server_options(headers={"X-Server": "Max"}),
    ) as (client, server):
        path, request_headers, response_headers = client_api.handshake(client)
        assert server_api.handshake(server) == (path, request_headers, response_headers)
        assert path == "/"
        assert request_headers["X-Client"] == "Zoe"
        assert response_headers["X-Server"] == "Max"
        assert client.id != server.id
        assert client.remote_address == server.local_address
        assert client.local_address == server.remote_address


async def test_path_reaches_the_server(client_api, server_api):
    paths = []

    async def handler(connection):
        paths.append(server_api.handshake(connection)[0])

    async with server_api.serve(handler, "127.0.0.1", 0) as server:
        async with client_api.connect(uri_of(server, "/caf%C3%A9?au=lait")) as client:
            await client.wait_closed()
    assert paths == ["/caf%C3%A9?au=lait"]


@pytest.mark.parametrize(
    "client_subprotocols, server_subprotocols, subprotocol",
    [
        (["chat"], ["chat"], "chat"),
        (["superchat", "chat"], ["chat", "talk"], "chat"),
        (["chat"], None, None),
        (None, None, None),
    ],
)
async def test_subprotocols(make_pair, client_subprotocols, server_subprotocols, subprotocol):
    async with make_pair(
        {"subprotocols": client_subprotocols}, {"subprotocols": server_subprotocols}
    ) as (client, server):
        assert client.subprotocol == server.subprotocol == subprotocol


async def test_client_without_a_subprotocol(client_api, server_api, make_pair):
    if server_api is New:
        with pytest.raises(client_api.rejected) as raised:
            async with make_pair(server_options={"subprotocols": ["chat"]}):
                pass
        assert client_api.rejection(raised.value)[0] == http.HTTPStatus.BAD_REQUEST
    else:
        async with make_pair(server_options={"subprotocols": ["chat"]}) as (client, server):
            assert client.subprotocol is server.subprotocol is None


@pytest.mark.parametrize("of_client", ["deflate", None])
@pytest.mark.parametrize("of_server", ["deflate", None])
async def test_compression(make_pair, client_api, of_client, of_server):
    async with make_pair({"compression": of_client}, {"compression": of_server}) as (
        client,
        server,
    ):
        extensions = client_api.handshake(client)[2].get("Sec-WebSocket-Extensions", "")
        assert extensions.startswith("permessage-deflate") is bool(of_client and of_server)
        await client.send("again and again and again")
        assert await server.recv() == "again and again and again"


async def echo(connection):
    async for message in connection:
        await connection.send(message)


async def handle_nothing(connection):
    raise AssertionError("no connection is expected")


@pytest.mark.parametrize(
    "userinfo, status",
    [
        ("walter:sesame@", None),
        ("walter:wrong@", http.HTTPStatus.UNAUTHORIZED),
        ("jesse:sesame@", http.HTTPStatus.UNAUTHORIZED),
        ("", http.HTTPStatus.UNAUTHORIZED),
    ],
)
async def test_authentication(client_api, server_api, userinfo, status):
    usernames = []

    async def handler(connection):
        usernames.append(connection.username)

    options = server_api.server_options(credentials=("walter", "sesame"))
    async with server_api.serve(handler, "127.0.0.1", 0, **options) as server:
        uri = uri_of(server, userinfo=userinfo)
        if status is None:
            async with client_api.connect(uri) as client:
                await client.wait_closed()
            assert usernames == ["walter"]
        else:
            with pytest.raises(client_api.rejected) as raised:
                await client_api.connect(uri)
            actual_status, headers = client_api.rejection(raised.value)
            assert actual_status == status
            assert headers["WWW-Authenticate"] == 'Basic realm="tests", charset="UTF-8"'
            assert usernames == []


async def test_response_instead_of_a_handshake(client_api, server_api):
    response = "/", http.HTTPStatus.IM_A_TEAPOT, [("X-Server", "Max")], "short and stout\n"
    options = server_api.server_options(response)
    async with server_api.serve(handle_nothing, "127.0.0.1", 0, **options) as server:
        with pytest.raises(client_api.rejected) as raised:
            await client_api.connect(uri_of(server))
    status, headers = client_api.rejection(raised.value)
    assert status == http.HTTPStatus.IM_A_TEAPOT
    assert headers["X-Server"] == "Max"
    assert headers["Content-Length"] == "16"


async def test_redirect(client_api, server_api):
    async def handler(connection):
        await connection.send(server_api.handshake(connection)[0])

    response = "/old", http.HTTPStatus.FOUND, [("Location", "/new")], ""
    options = server_api.server_options(response)
    async with server_api.serve(handler, "127.0.0.1", 0, **options) as server:
        async with client_api.connect(uri_of(server, "/old")) as client:
            assert await client.recv() == "/new"


@pytest.mark.parametrize("origin", ["https://example.com", "https://example.org", None])
async def test_origins(client_api, server_api, make_pair, origin):
    options = {"origin": origin}, {"origins": ["https://example.com"]}
    if origin == "https://example.com":
        async with make_pair(*options) as (client, _):
            assert client_api.handshake(client)[1]["Origin"] == origin
    else:
        with pytest.raises(client_api.rejected) as raised:
            async with make_pair(*options):
                pass
        assert client_api.rejection(raised.value)[0] == http.HTTPStatus.FORBIDDEN


@pytest.mark.skipif(os.name == "nt", reason="there are no Unix sockets")
async def test_unix_socket(client_api, server_api, socket_path):
    path = str(socket_path)
    async with server_api.unix_serve(echo, path):
        async with client_api.unix_connect(path) as client:
            await client.send("hello")
            assert await client.recv() == "hello"


# Messages


MESSAGES = {
    "text": "naïve café — 你好 👋🏽\n\0",
    "empty text": "",
    "1 MiB of text": "é" * 2**19,
    "bytes": bytes(range(256)),
    "empty bytes": b"",
    "1 MiB of bytes": bytes(i * i % 251 for i in range(2**20)),
}


async def test_messages_arrive(pair):
    client, server = pair
    for message in MESSAGES.values():
        await client.send(message)
        assert await server.recv() == message
        await server.send(message)
        assert await client.recv() == message


@pytest.mark.parametrize(
    "fragments", [["naïve ", "", "café — " * 999, "👋🏽"], [b"\0", b"", b"\1"]]
)
async def test_fragmented_messages_arrive(pair, fragments):
    async def generate():
        for fragment in fragments:
            yield fragment

    message = type(fragments[0])().join(fragments)
    for sender, receiver in [pair, pair[::-1]]:
        for iterable in (fragments, generate()):
            await sender.send(iterable)
            assert await receiver.recv() == message


async def test_messages_arrive_in_order_both_ways_at_the_same_time(make_pair):
    # More than all the buffers on the way hold.
    messages = [str(number) * 2**16 for number in range(10)] * 4
    options = {"max_queue": 1, "compression": None}

    async def send(connection):
        for message in messages:
            await connection.send(message)

    async def receive(connection):
        return [await connection.recv() for _ in messages]

    async with make_pair(options, options) as (client, server):
        _, received_by_client, _, received_by_server = await asyncio.gather(
            send(server), receive(client), send(client), receive(server)
        )
    assert received_by_client == received_by_server == messages


async def test_pings_are_answered(pair):
    for sender, _ in [pair, pair[::-1]]:
        waiters = [await sender.ping(data) for data in ("one", b"two", None)]
        assert await waiters[2] > 0
        # A pong answers all pings before.
        assert all(waiter.done() for waiter in waiters)
        assert sender.latency > 0


async def test_broadcast(server_api):
    connections = set()
    complete = asyncio.Event()

    async def handler(connection):
        connections.add(connection)
        if len(connections) == 4:
            complete.set()
        await connection.wait_closed()

    async with (
        server_api.serve(handler, "127.0.0.1", 0) as server,
        contextlib.AsyncExitStack() as stack,
    ):
        clients = [
            await stack.enter_async_context(api.connect(uri_of(server), compression=compression))
            for api in (New, Original)
            for compression in ("deflate", None)
        ]
        await complete.wait()
        server_api.broadcast(connections, "to all of you")
        assert [await client.recv() for client in clients] == ["to all of you"] * 4


# Closing


CODES = [(1000, ""), (1001, "adieu — ça va"), (1011, "oops"), (4321, "x" * 123)]


@pytest.mark.parametrize("code, reason", CODES)
async def test_either_side_closes(ends, code, reason):
    async with ends() as (acting, other):
        await acting.close(code, reason)
        close = Close(code, reason)
        expected = ConnectionClosedOK if code in {1000, 1001} else ConnectionClosedError
        for connection, rcvd_then_sent in [(acting, False), (other, True)]:
            exc = await exception_of(connection)
            assert type(exc) is expected
            assert (exc.rcvd, exc.sent, exc.rcvd_then_sent) == (close, close, rcvd_then_sent)
            with pytest.raises(expected):
                await connection.send("too late")
            with pytest.raises(expected):
                await connection.ping()
            # Nothing is left to be done.
            await connection.close(1002, "ignored")
            assert (await exception_of(connection)).sent == close


async def test_either_side_closes_with_messages_on_the_way(ends):
    async with ends() as (acting, other):
        for number in range(3):
            await acting.send(str(number))
        await acting.close()
        assert [message async for message in other] == ["0", "1", "2"]


async def test_both_sides_close_at_the_same_time(make_pair):
    async with make_pair() as (client, server):
        await asyncio.gather(client.close(4001, "one"), server.close(4002, "two"))
        exc_of_client, exc_of_server = await exception_of(client), await exception_of(server)
        # Each sent its own close frame, or answered the other's.
        assert exc_of_client.sent == exc_of_server.rcvd
        assert exc_of_client.rcvd == exc_of_server.sent


async def test_either_side_drops_the_connection(ends):
    async with ends() as (acting, other):
        acting.transport.abort()
        for connection in (acting, other):
            exc = await exception_of(connection)
            assert type(exc) is ConnectionClosedError
            assert (exc.rcvd, exc.sent) == (None, None)
            with pytest.raises(ConnectionClosedError):
                await connection.send("too late")


async def test_pending_calls_end_with_the_connection(ends):
    async with ends() as (acting, other):
        other.transport.pause_reading()
        calls = [asyncio.create_task(acting.recv()), await acting.ping()]
        other.transport.abort()
        for result in await asyncio.gather(*calls, return_exceptions=True):
            assert type(result) is ConnectionClosedError
        await exception_of(other)


async def test_other_side_does_not_answer_the_close_frame(ends):
    async with ends({"close_timeout": 0.05}) as (acting, other):
        other.transport.pause_reading()
        await acting.close(1000, "bye")
        exc = await exception_of(acting)
        assert (exc.rcvd, exc.sent) == (None, Close(1000, "bye"))
        other.transport.resume_reading()
        assert (await exception_of(other)).rcvd == Close(1000, "bye")


async def test_other_side_does_not_answer_pings(ends):
    options = {"ping_interval": 0.02, "ping_timeout": 0.02, "close_timeout": 0.02}
    async with ends(options, {"ping_interval": None}) as (acting, other):
        other.transport.pause_reading()
        exc = await exception_of(acting)
        assert (exc.rcvd, exc.sent) == (None, Close(1011, "keepalive ping timeout"))
        other.transport.resume_reading()
        assert (await exception_of(other)).rcvd == Close(1011, "keepalive ping timeout")


async def test_handler_returns(client_api, server_api):
    async def handler(connection):
        await connection.send("that's all")

    async with server_api.serve(handler, "127.0.0.1", 0) as server:
        async with client_api.connect(uri_of(server)) as client:
            assert [message async for message in client] == ["that's all"]
            assert (await exception_of(client)).rcvd == Close(1000, "")


async def test_handler_raises_an_exception(client_api, server_api, tidiness):
    async def handler(connection):
        raise ValueError("this handler is broken")

    async with server_api.serve(handler, "127.0.0.1", 0) as server:
        async with client_api.connect(uri_of(server)) as client:
            assert (await exception_of(client)).rcvd == Close(1011, "")
    tidiness.append("connection handler failed")


async def test_client_block_raises_an_exception(client_api, server_api):
    closed = asyncio.get_running_loop().create_future()

    async def handler(connection):
        closed.set_result(await exception_of(connection))

    async with server_api.serve(handler, "127.0.0.1", 0) as server:
        with pytest.raises(ValueError, match="this client is broken"):
            async with client_api.connect(uri_of(server)):
                raise ValueError("this client is broken")
        # The original API doesn't tell the server that something is wrong.
        assert (await closed).rcvd == Close(1011 if client_api is New else 1000, "")


async def test_server_shuts_down(client_api, server_api):
    accepted = asyncio.get_running_loop().create_future()
    closed = asyncio.get_running_loop().create_future()

    async def handler(connection):
        accepted.set_result(None)
        closed.set_result(await exception_of(connection))

    server = await server_api.serve(handler, "127.0.0.1", 0)
    uri = uri_of(server)
    async with client_api.connect(uri) as client:
        await accepted
        server.close()
        assert (await exception_of(client)).rcvd == Close(1001, "")
        await server.wait_closed()
        assert (await closed).sent == Close(1001, "")
        with pytest.raises(ConnectionRefusedError):
            await client_api.connect(uri)


async def test_server_shuts_down_and_leaves_connections_alone(client_api, server_api):
    server = await server_api.serve(echo, "127.0.0.1", 0)
    uri = uri_of(server)
    async with client_api.connect(uri) as client:
        await client.send("before")
        assert await client.recv() == "before"
        server.close(close_connections=False)
        await client.send("after")
        assert await client.recv() == "after"
        with pytest.raises(ConnectionRefusedError):
            await client_api.connect(uri)
    await server.wait_closed()


@pytest.mark.parametrize("fragments", [1, 3])
async def test_message_is_too_large(ends, compression, fragments):
    limit = {"max_size": 1000}
    async with ends(compression, compression | limit) as (acting, other):
        # Compressed, it is small.
        message = "x" * 999 + "é"
        await acting.send([message[i::fragments] for i in range(fragments)])
        for connection, side in [(acting, "rcvd"), (other, "sent")]:
            exc = await exception_of(connection)
            assert type(exc) is ConnectionClosedError
            assert getattr(exc, side).code == 1009


async def test_message_is_as_large_as_can_be(ends, compression):
    limit = {"max_size": 1000}
    async with ends(compression, compression | limit) as (acting, other):
        for message in ["x" * 998 + "é", bytes(1000)]:
            await acting.send(message)
            assert await other.recv() == message


async def test_client_connects_again(client_api, server_api):
    numbers = iter(range(3))

    async def handler(connection):
        await connection.send(str(next(numbers)))

    received = []
    async with server_api.serve(handler, "127.0.0.1", 0) as server:
        async for client in client_api.connect(uri_of(server)):
            received += [message async for message in client]
            if len(received) == 3:
                break
        await client.close()
    assert received == ["0", "1", "2"]
