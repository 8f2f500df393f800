"""Connecting: the client's side of the opening handshake, redirects and reconnection."""

import asyncio
import logging
import socket

import pytest

from ws_legacy import (
    InvalidStatusCode,
    WebSocketClientProtocol,
    connect,
    serve,
    unix_connect,
    unix_serve,
)
from ws_protocol.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidHeaderValue,
    InvalidMessage,
    InvalidStatus,
    InvalidUpgrade,
    InvalidURI,
    NegotiationError,
    SecurityError,
)

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])


async def hello(websocket):
    await websocket.send("Hello!")


def redirect(location, status="302 Found"):
    return f"HTTP/1.1 {status}\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"


FORBIDDEN = "HTTP/1.1 403 Forbidden\r\nX-Why: so\r\nContent-Length: 3\r\n\r\nno\n"


# Ways to connect


async def test_connect_can_be_awaited(get_uri):
    async with serve(hello, "127.0.0.1", 0) as server:
        websocket = await connect(get_uri(server))
        assert isinstance(websocket, WebSocketClientProtocol)
        assert await websocket.recv() == "Hello!"
        await websocket.close()
        assert websocket.closed


async def test_connect_is_a_context_manager(get_uri):
    async with serve(hello, "127.0.0.1", 0) as server:
        connecting = connect(get_uri(server))
        async with connecting as websocket:
            assert connecting.protocol is websocket
            assert await websocket.recv() == "Hello!"
        assert websocket.close_code == 1000


async def test_connect_can_be_used_again(get_uri):
    async with serve(hello, "127.0.0.1", 0) as server:
        connecting = connect(get_uri(server))
        for _ in range(2):
            async with connecting as websocket:
                assert await websocket.recv() == "Hello!"


async def test_connect_and_serve_can_be_made_without_an_event_loop():
    # As in scripts that give them to an event loop later.
    def make():
        return connect("ws://localhost/"), serve(hello)

    connecting, serving = await asyncio.to_thread(make)
    assert isinstance(connecting, connect)
    assert isinstance(serving, serve)


async def test_connect_over_unix_sockets(socket_path):
    path = socket_path
    async with unix_serve(hello, path), unix_connect(path) as websocket:
        assert websocket.request_headers["Host"] == "localhost"
        assert await websocket.recv() == "Hello!"


async def test_connect_over_a_unix_socket_given_as_argument(socket_path):
    path = str(socket_path)
    async with unix_serve(hello, path), unix_connect(uri="ws://a/b", path=path) as websocket:
        assert (websocket.request_headers["Host"], websocket.path) == ("a", "/b")


async def test_connect_elsewhere(get_uri):
    async with serve(hello, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect("ws://example.com/", host="127.0.0.1", port=port) as websocket:
            assert websocket.request_headers["Host"] == "example.com"


async def test_connect_with_a_socket():
    async with serve(hello, "127.0.0.1", 0) as server:
        sock = socket.create_connection(server.sockets[0].getsockname())
        sock.setblocking(False)
        async with connect("ws://localhost/", sock=sock) as websocket:
            assert await websocket.recv() == "Hello!"


async def test_create_protocol_makes_the_connection(get_uri):
    class Protocol(WebSocketClientProtocol):
        pass

    async with (
        serve(hello, "127.0.0.1", 0) as server,
        connect(get_uri(server), create_protocol=Protocol) as websocket,
    ):
        assert type(websocket) is Protocol


# Request


async def test_request_has_what_the_arguments_say(answer_raw):
    async with answer_raw(FORBIDDEN) as (uri, requests):
        with pytest.raises(InvalidStatusCode):
            await connect(
                uri + "?a=b",
                compression=None,
                origin="https://example.com",
                subprotocols=["a", "b"],
                extra_headers=[("X-A", "1"), ("X-A", "2")],
                user_agent_header="me",
            )
    lines = requests[0].split("\r\n")
    assert lines[0] == "GET /?a=b HTTP/1.1"
    assert {
        "Origin: https://example.com",
        "Sec-WebSocket-Protocol: a, b",
        "X-A: 1",
        "X-A: 2",
        "User-Agent: me",
    } <= set(lines)
    assert "Sec-WebSocket-Extensions" not in requests[0]


async def test_request_has_headers_that_are_no_strings_or_no_ascii(answer_raw):
    headers = {"X-Number": 1, "X-Name": "日本"}
    async with answer_raw(redirect("/elsewhere"), FORBIDDEN) as (uri, requests):
        with pytest.raises(InvalidStatusCode):
            await connect(uri, extra_headers=headers)
    assert len(requests) == 2
    for request in requests:
        assert "\r\nX-Number: 1\r\n" in request
        assert "\r\nX-Name: 日本\r\n" in request


async def test_headers_are_the_same_on_both_sides(pair):
    client = {"extra_headers": {"X-Name": "Zoë"}}
    server = {"extra_headers": {"X-Name": "日本"}}
    async with pair(client, server) as (websocket, accepted):
        assert websocket.request_headers == accepted.request_headers
        assert websocket.response_headers == accepted.response_headers


async def test_request_has_defaults(answer_raw):
    async with answer_raw(FORBIDDEN) as (uri, requests):
        with pytest.raises(InvalidStatusCode):
            await connect(uri.replace("ws://", "ws://user:p%20w@"))
    assert "Authorization: Basic dXNlcjpwIHc=\r\n" in requests[0]
    assert "User-Agent: Python/" in requests[0]
    assert "Sec-WebSocket-Extensions: permessage-deflate" in requests[0]


async def test_negotiation(get_uri):
    async with (
        serve(hello, "127.0.0.1", 0, subprotocols=["b", "c"]) as server,
        connect(get_uri(server), subprotocols=["a", "b"]) as websocket,
    ):
        assert websocket.subprotocol == "b"
        assert [extension.name for extension in websocket.extensions] == ["permessage-deflate"]


# Errors


@pytest.mark.parametrize("uri", ["http://localhost/", "ws://", "ws://localhost:x/"])
async def test_wrong_uri_is_refused_at_once(uri):
    with pytest.raises(InvalidURI):
        connect(uri)


@pytest.mark.parametrize(
    "kwargs, error",
    [
        ({"compression": "gzip"}, ValueError),
        ({"subprotocols": "abc"}, TypeError),
        ({"subprotocols": ["@"]}, ValueError),
        ({"ssl": True}, ValueError),
    ],
)
async def test_wrong_arguments_are_refused_at_once(kwargs, error):
    with pytest.raises(error):
        connect("ws://localhost/", **kwargs)


async def test_dot_at_the_end_of_the_host_is_not_in_the_certificate(server_tls, client_tls):
    async with serve(hello, "127.0.0.1", 0, ssl=server_tls) as server:
        host, port = server.sockets[0].getsockname()
        async with connect(f"wss://localhost.:{port}/", host=host, ssl=client_tls) as websocket:
            ssl_object = websocket.transport.get_extra_info("ssl_object")
            assert ssl_object.server_hostname == "localhost"


async def test_tls_cannot_be_switched_off():
    with pytest.raises(ValueError, match="incompatible with a wss:// URI"):
        connect("wss://localhost/", ssl=None)


async def test_refusal_has_status_code_and_headers(answer_raw):
    async with answer_raw(FORBIDDEN) as (uri, _):
        with pytest.raises(InvalidStatusCode) as raised:
            await connect(uri)
    assert raised.value.status_code == 403
    assert raised.value.headers["X-Why"] == "so"
    assert isinstance(raised.value.__cause__, InvalidStatus)
    assert raised.value.__cause__.response.body == b"no\n"


SWITCHING = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"


@pytest.mark.parametrize(
    "answer, error",
    [
        ("", InvalidMessage),
        ("hello\r\n\r\n", InvalidMessage),
        ("HTTP/1.1 200", InvalidMessage),
        ("HTTP/1.1 200 OK\r\nA: " + "a" * 9000 + "\r\n\r\n", InvalidMessage),
        ("HTTP/1.1 200 OK\r\n" + "A: b\r\n" * 200 + "\r\n", InvalidMessage),
        ("HTTP/1.1 200 OK\r\n\r\n", InvalidStatusCode),
        ("HTTP/1.1 302 Found\r\n\r\n", InvalidStatusCode),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", InvalidUpgrade),
        (SWITCHING + "Sec-WebSocket-Accept: x\r\n\r\n", InvalidHeaderValue),
    ],
)
async def test_wrong_response_is_refused(answer_raw, answer, error):
    async with answer_raw(answer) as (uri, _):
        with pytest.raises(error):
            await connect(uri)


async def test_subprotocol_that_was_not_offered_is_refused(get_uri):
    async with serve(
        hello,
        "127.0.0.1",
        0,
        subprotocols=["a"],
        select_subprotocol=lambda client, server: "b",
    ) as server:
        with pytest.raises(NegotiationError, match="unsupported subprotocol: b"):
            await connect(get_uri(server), subprotocols=["a"])


async def test_server_that_speaks_first_is_refused():
    async def handle(reader, writer):
        writer.write(b"220 hello\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        with pytest.raises(InvalidMessage):
            await connect(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/")


async def test_server_that_does_not_answer_is_given_up():
    async def handle(reader, writer):
        await reader.read()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        with pytest.raises(TimeoutError, match=r"^timed out during opening handshake$"):
            await connect(
                f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", open_timeout=0.05
            )


async def test_closing_while_connecting_gives_up():
    connections = []

    class Protocol(WebSocketClientProtocol):
        def connection_made(self, transport):
            super().connection_made(transport)
            connections.append(asyncio.ensure_future(self.close()))

    async def handle(reader, writer):
        await reader.read()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        with pytest.raises((InvalidHandshake, ConnectionError)):
            await connect(
                f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/",
                create_protocol=Protocol,
            )
        await asyncio.gather(*connections)


async def test_nobody_listens(unused_tcp_port):
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await connect(f"ws://127.0.0.1:{unused_tcp_port}/")


async def test_certificate_is_verified(get_uri, server_tls):
    async with serve(hello, "127.0.0.1", 0, ssl=server_tls) as server:
        with pytest.raises(OSError, match="certificate"):
            await connect(get_uri(server, scheme="wss"))


# Redirects


async def test_redirect_is_followed(get_uri, answer_raw):
    async with (
        serve(hello, "127.0.0.1", 0) as server,
        answer_raw(redirect("/elsewhere"), redirect(get_uri(server, "/there"))) as (uri, requests),
    ):
        async with connect(uri) as websocket:
            assert websocket.path == "/there"
    assert [request.split()[1] for request in requests] == ["/", "/elsewhere"]


async def test_credentials_never_go_to_another_origin(answer_raw):
    headers = {"Authorization": "secret", "Cookie": "secret", "X-A": "b"}
    async with answer_raw(FORBIDDEN) as (other, other_requests):
        async with answer_raw(redirect("/same"), redirect(other)) as (uri, requests):
            with pytest.raises(InvalidStatusCode):
                await connect(uri, extra_headers=headers)
    assert all("secret" in request for request in requests)
    assert len(requests) == 2
    assert len(other_requests) == 1
    assert "secret" not in other_requests[0]
    assert "X-A: b" in other_requests[0]


async def test_credentials_do_not_come_back_within_the_other_origin(answer_raw):
    async with answer_raw(redirect("/again"), FORBIDDEN) as (other, other_requests):
        async with answer_raw(redirect(other)) as (uri, _):
            with pytest.raises(InvalidStatusCode):
                await connect(uri, extra_headers={"Authorization": "secret"})
    assert len(other_requests) == 2
    assert "secret" not in "".join(other_requests)


async def test_address_to_connect_to_holds_for_the_origin_only(answer_raw, get_uri):
    async with serve(hello, "127.0.0.1", 0) as server:
        async with answer_raw(redirect("/same"), redirect(get_uri(server))) as (uri, _):
            port = int(uri.split(":")[-1].strip("/"))
            async with connect("ws://example.com/", host="127.0.0.1", port=port) as websocket:
                assert await websocket.recv() == "Hello!"


async def test_redirects_have_a_limit(answer_raw):
    async with answer_raw(redirect("/again")) as (uri, requests):
        with pytest.raises(SecurityError, match=r"^too many redirects$"):
            await connect(uri)
    assert len(requests) == connect.MAX_REDIRECTS_ALLOWED + 1


async def test_redirect_to_something_else_is_refused(answer_raw):
    async with answer_raw(redirect("ftp://127.0.0.1/")) as (uri, _):
        with pytest.raises(InvalidURI):
            await connect(uri)


async def test_redirect_is_not_followed_with_a_socket(answer_raw):
    async with answer_raw(redirect("/elsewhere")) as (uri, _):
        sock = socket.create_connection(("127.0.0.1", int(uri.split(":")[-1].strip("/"))))
        sock.setblocking(False)
        with pytest.raises(ValueError, match="preexisting socket"):
            await connect(uri, sock=sock)


async def test_redirect_to_another_origin_is_not_followed_with_a_unix_socket(socket_path):
    path = str(socket_path)

    async def refuse(path, headers):
        return 302, {"Location": "ws://example.com/"}, b""

    async with unix_serve(hello, path, process_request=refuse):
        with pytest.raises(ValueError, match="cross-origin redirect"):
            await unix_connect(path)


# Reconnection


async def test_iterator_connects_again(get_uri):
    async with serve(hello, "127.0.0.1", 0) as server:
        seen = []
        async for websocket in connect(get_uri(server)):
            seen.append(websocket)
            if len(seen) == 3:
                break
            with pytest.raises(ConnectionClosed):
                while True:
                    await websocket.recv()
    assert len({websocket.id for websocket in seen}) == 3
    await asyncio.sleep(0)


async def test_iterator_retries_after_any_error(answer_raw, caplog):
    class Connect(connect):
        BACKOFF_INITIAL = 0.001
        BACKOFF_MIN = 0.001
        BACKOFF_MAX = 0.003
        BACKOFF_FACTOR = 2

    caplog.set_level(logging.INFO, "websockets.client")
    async with answer_raw(*[FORBIDDEN] * 5, "not HTTP") as (uri, requests):

        async def connect_for_ever():
            async for _ in Connect(uri):
                pass

        task = asyncio.create_task(connect_for_ever())
        while len(requests) < 7:  # noqa: ASYNC110  # there is no event for it
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    records = [record for record in caplog.records if record.name == "websockets.client"]
    (first,) = records[0].args
    assert 0 <= first <= 0.001
    assert [record.args[0] for record in records[1:5]] == [0.001, 0.002, 0.003, 0.003]
    assert records[0].getMessage() == "! connect failed; reconnecting in 0.0 seconds"
    assert records[1].getMessage() == "! connect failed again; retrying in 0 seconds"
    assert isinstance(records[0].exc_info[1], InvalidStatusCode)
    assert isinstance(records[5].exc_info[1], InvalidMessage)


# Cancellation


async def test_connecting_can_be_cancelled():
    accepted = asyncio.Event()

    async def handle(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        accepted.set()
        assert await reader.read() == b""
        writer.close()
        gone.set()

    gone = asyncio.Event()
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        uri = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"

        async def connecting():
            await connect(uri)

        task = asyncio.create_task(connecting())
        await accepted.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await gone.wait()


@pytest.mark.asyncio(loop_factories=["asyncio"])  # uvloop leaves the socket open
@pytest.mark.parametrize("steps", range(8))
async def test_connecting_can_be_cancelled_at_any_time(get_uri, steps):
    async with serve(hello, "127.0.0.1", 0) as server:

        async def connecting():
            websocket = await connect(get_uri(server))
            await websocket.close()

        task = asyncio.create_task(connecting())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    assert not server.websockets
