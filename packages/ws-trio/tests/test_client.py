"""Clients, on the loopback interface."""

import logging
import socket
import ssl
import sys

import pytest
import trio
from trio.testing import trio_test

from ws_protocol.client import ClientProtocol
from ws_protocol.exceptions import (
    ConnectionClosed,
    ConnectionClosedError,
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
    InvalidURI,
    SecurityError,
)
from ws_protocol.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from ws_protocol.limits import MAX_REDIRECTS
from ws_protocol.protocol import State
from ws_protocol.uri import parse_uri
from ws_trio import ClientConnection, connect, serve, unix_connect, unix_serve


async def echo(websocket):
    """Send messages back."""
    async for message in websocket:
        await websocket.send(message)


@trio_test
async def test_client_and_server_exchange_messages(run_server, get_uri):
    async with run_server() as server, connect(get_uri(server)) as websocket:
        assert websocket.local_address[0] == "127.0.0.1"
        assert websocket.remote_address[1] == int(get_uri(server).split(":")[2][:-1])
        assert websocket.request.path == "/"
        assert websocket.response.status_code == 101
        assert len(websocket.protocol.extensions) == 1
        for message in ("Hello", b"\xff", 2**20 * "a"):
            await websocket.send(message)
            assert await websocket.recv() == message
    assert websocket.close_code == 1000


@trio_test
async def test_arguments_reach_the_opening_handshake(run_server, get_uri):
    class Connection(ClientConnection):
        pass

    async with run_server(subprotocols=["chat"], origins=["https://example.com"]) as server:
        async with connect(
            get_uri(server, "/path").replace("//", "//user:p%40ss@"),
            origin="https://example.com",
            subprotocols=["chat"],
            compression=None,
            extensions=[ClientPerMessageDeflateFactory()],
            additional_headers={"X-Test": "1"},
            user_agent_header="me",
            create_connection=Connection,
            ping_interval=1,
            max_queue=1,
        ) as websocket:
            assert type(websocket) is Connection
            assert websocket.subprotocol == "chat"
            headers = websocket.request.headers
            assert headers["X-Test"] == "1"
            assert headers["User-Agent"] == "me"
            assert headers["Authorization"] == "Basic dXNlcjpwQHNz"
            assert websocket.ping_interval == 1


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="unsupported compression: zip"):
        connect("ws://localhost/", compression="zip")


@pytest.mark.parametrize(
    "uri, arguments, exception",
    [
        ("http://localhost/", {}, InvalidURI),
        ("ws://localhost/", {"ssl": ssl.create_default_context()}, ValueError),
        ("ws://localhost/", {"subprotocols": "chat"}, TypeError),
        ("ws://localhost/", {"unix": True}, ValueError),
    ],
)
@trio_test
async def test_arguments_that_do_not_go_with_the_uri_are_refused(uri, arguments, exception):
    with pytest.raises(exception):
        async with connect(uri, proxy=None, **arguments):
            pytest.fail("connected")


@trio_test
async def test_connection_that_is_refused_is_an_os_error():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        with pytest.raises(OSError, match=r"127\.0\.0\.1"):
            async with connect(f"ws://127.0.0.1:{port}/"):
                pytest.fail("connected")


@trio_test
async def test_refused_opening_handshake_raises_one_exception(run_server, get_uri):
    def refuse(connection, request):
        return connection.respond(403, "No\n")

    async with run_server(process_request=refuse) as server:
        with pytest.raises(InvalidStatus) as raised:
            async with connect(get_uri(server)):
                pytest.fail("connected")
        assert raised.value.response.body == b"No\n"


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0\r\n\r\n"])
@trio_test
async def test_server_that_does_not_speak_http_is_an_invalid_message(run_tcp_server, answer):
    async def talk(stream):
        await stream.receive_some()
        if answer:
            await stream.send_all(answer)

    async with run_tcp_server(talk) as port:
        with pytest.raises(InvalidMessage):
            async with connect(f"ws://127.0.0.1:{port}/"):
                pytest.fail("connected")


@trio_test
async def test_opening_handshake_has_a_timeout(run_tcp_server):
    asked, closed = trio.Event(), trio.Event()

    async def talk(stream):
        asked.set()
        while await stream.receive_some():
            pass
        closed.set()

    async with run_tcp_server(talk) as port:
        # On a machine that is busy, it may be over before the server is asked.
        while not asked.is_set():
            with pytest.raises(TimeoutError, match="timed out during opening handshake"):
                async with connect(f"ws://127.0.0.1:{port}/", open_timeout=0.05):
                    pytest.fail("connected")
        await closed.wait()


@trio_test
async def test_opening_handshake_can_be_cancelled(run_tcp_server):
    requested, closed = trio.Event(), trio.Event()

    async def talk(stream):
        while await stream.receive_some():
            requested.set()
        closed.set()

    async def run_client():
        async with connect(f"ws://127.0.0.1:{port}/", open_timeout=None):
            pytest.fail("connected")

    async with run_tcp_server(talk) as port:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_client)
            await requested.wait()
            nursery.cancel_scope.cancel()
        await closed.wait()


@trio_test
async def test_context_manager_raises_what_was_raised_inside(run_server, get_uri):
    async with run_server() as server:
        with pytest.raises(ValueError, match="oops"):
            async with connect(get_uri(server)) as websocket:
                raise ValueError("oops")
        assert websocket.protocol.close_sent.code == 1011
        with pytest.raises(ConnectionClosed):
            async with connect(get_uri(server)) as websocket:
                await websocket.aclose()
                await websocket.recv()


@trio_test
async def test_context_manager_can_be_cancelled(run_server, get_uri):
    async with run_server() as server:
        with trio.CancelScope() as scope:
            async with connect(get_uri(server)) as websocket:
                scope.cancel()
                await websocket.recv()
        assert scope.cancelled_caught
        assert websocket.state is State.CLOSED
        assert websocket.protocol.close_sent.code == 1001


@trio_test
async def test_client_can_connect_in_a_nursery(run_server, get_uri):
    async with run_server() as server, trio.open_nursery() as nursery:
        async with await connect(get_uri(server)).connect(nursery) as websocket:
            await websocket.send("a")
            assert await websocket.recv() == "a"
            assert websocket.nursery is nursery
        abandoned = await connect(get_uri(server)).connect(nursery)
        nursery.cancel_scope.cancel()
    assert abandoned.state is State.CLOSED
    assert abandoned.protocol.close_sent.code == 1001


@trio_test
async def test_cancelled_nursery_ends_the_context_manager(run_server, get_uri):
    async with run_server() as server:
        async with connect(get_uri(server)) as websocket:
            websocket.nursery.cancel_scope.cancel()
            await trio.sleep_forever()
        assert websocket.protocol.close_sent.code == 1001
        # In the middle of the closing handshake, too.
        async with connect(get_uri(server)) as websocket:
            websocket.nursery.start_soon(cancel_closing, websocket)
        assert websocket.protocol.close_sent.code == 1000


async def cancel_closing(websocket):
    """Cancel the nursery of a connection once the connection is closing."""
    while websocket.state is State.OPEN:
        await trio.lowlevel.checkpoint()
    websocket.nursery.cancel_scope.cancel()


@trio_test
async def test_task_that_fails_in_the_nursery_ends_the_context_manager(run_server, get_uri):
    async def fail():
        raise ValueError("failed")

    async with run_server() as server:
        with pytest.raises(ExceptionGroup) as raised:
            async with connect(get_uri(server)) as websocket:
                websocket.nursery.start_soon(fail)
                await trio.sleep_forever()
        assert raised.group_contains(ValueError, match="failed")
        assert websocket.state is State.CLOSED


@trio_test
async def test_client_can_use_a_stream(run_server, get_uri):
    async with run_server() as server:
        port = int(get_uri(server).split(":")[2][:-1])
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        async with connect("ws://example.com/", stream=stream) as websocket:
            assert websocket.stream is stream
            assert websocket.request.headers["Host"] == "example.com"
            await websocket.send("a")
            assert await websocket.recv() == "a"


@trio_test
async def test_stream_is_closed_when_the_connection_cannot_be_made():
    ours, _ = trio.testing.memory_stream_pair()
    with pytest.raises(ValueError, match="high must be at least low"):
        async with connect("ws://localhost/", stream=ours, max_queue=(1, 2)):
            pytest.fail("connected")
    with pytest.raises(trio.ClosedResourceError):
        await ours.send_all(b"a")


@trio_test
async def test_client_can_connect_to_another_host_than_that_of_the_uri(run_server, get_uri):
    async with run_server() as server:
        port = int(get_uri(server).split(":")[2][:-1])
        async with connect("ws://example.com/", host="127.0.0.1", port=port) as websocket:
            assert websocket.request.headers["Host"] == "example.com"


@trio_test
async def test_peer_that_is_gone_has_no_address():
    async with trio.open_nursery() as nursery:
        with trio.socket.socket() as sock:
            connection = ClientConnection(
                nursery, trio.SocketStream(sock), ClientProtocol(parse_uri("ws://localhost/"))
            )
            assert connection.remote_address is None
            await connection.wait_closed()
    assert isinstance(connection._error, OSError)


# Unix sockets


@trio_test
async def test_client_and_server_can_use_a_unix_socket(run_server, socket_path):
    # One that a server left, which is gone.
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(socket_path))
    async with run_server(run=unix_serve, path=socket_path, backlog=5) as server:
        assert len(server.listeners) == 1
        async with unix_connect(socket_path) as websocket:
            assert websocket.request.headers["Host"] == "localhost"
            await websocket.send("a")
            assert await websocket.recv() == "a"
    assert not socket_path.exists()


@trio_test
async def test_client_and_server_can_use_tls_on_a_unix_socket(
    run_server, socket_path, server_tls, client_tls
):
    async with run_server(run=unix_serve, path=socket_path, ssl=server_tls):
        async with unix_connect(socket_path, ssl=client_tls) as websocket:
            assert websocket.protocol.uri.secure
            await websocket.send("a")
            assert await websocket.recv() == "a"


@trio_test
async def test_unix_server_leaves_the_socket_of_another_alone(run_server, socket_path):
    async with run_server(run=unix_serve, path=socket_path) as first:
        async with run_server(run=unix_serve, path=socket_path):
            await first.aclose()
            async with unix_connect(socket_path, "ws://example.com/") as websocket:
                assert websocket.request.headers["Host"] == "example.com"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no abstract names")
@trio_test
async def test_unix_server_can_have_an_abstract_name(run_server, socket_path):
    name = f"\0{socket_path}"
    async with run_server(run=unix_serve, path=name):
        sock = trio.socket.socket(trio.socket.AF_UNIX)
        await sock.connect(name)
        async with unix_connect(stream=trio.SocketStream(sock)) as websocket:
            await websocket.send("a")
            assert await websocket.recv() == "a"


# TLS


@trio_test
async def test_client_and_server_can_use_tls(run_server, get_uri, server_tls, client_tls):
    async with run_server(ssl=server_tls) as server:
        for arguments in ({}, {"ssl": client_tls, "server_hostname": "localhost"}):
            async with connect(get_uri(server, scheme="wss"), **arguments) as websocket:
                assert websocket.local_address[0] == "127.0.0.1"
                await websocket.send(2**20 * "a")
                assert await websocket.recv() == 2**20 * "a"
            assert websocket.close_code == 1000


@trio_test
async def test_certificate_that_is_not_trusted_is_refused(run_server, get_uri, untrusted_tls):
    async with run_server(ssl=untrusted_tls) as server:
        with pytest.raises(ssl.SSLCertVerificationError):
            async with connect(get_uri(server, scheme="wss")):
                pytest.fail("connected")


@trio_test
async def test_dot_at_the_end_of_the_host_is_not_in_the_certificate(
    run_server, get_uri, server_tls
):
    async with run_server(ssl=server_tls) as server:
        uri = get_uri(server, scheme="wss").replace("127.0.0.1", "localhost.")
        async with connect(uri, host="127.0.0.1") as websocket:
            assert websocket.request.headers["Host"].startswith("localhost.:")


@trio_test
async def test_server_that_does_not_speak_tls_is_an_os_error(run_tcp_server):
    async def talk(stream):
        await stream.receive_some()

    async with run_tcp_server(talk) as port:
        with pytest.raises(OSError, match=r".+"):
            async with connect(f"wss://127.0.0.1:{port}/"):
                pytest.fail("connected")


@trio_test
async def test_tls_on_a_stream_that_breaks_is_an_os_error(run_tcp_server):
    ours, theirs = trio.testing.memory_stream_pair()
    theirs.send_stream.close()
    theirs.receive_stream.close()
    with pytest.raises(ConnectionError, match="stream is broken"):
        async with connect("wss://localhost/", stream=ours):
            pytest.fail("connected")


@trio_test
async def test_tls_handshake_can_be_cancelled(run_tcp_server):
    async def talk(stream):
        asked.set()
        while await stream.receive_some():
            pass
        closed.set()

    asked, closed = trio.Event(), trio.Event()
    async with run_tcp_server(talk) as port:
        # On a machine that is busy, it may be over before the server is asked.
        while not asked.is_set():
            with pytest.raises(TimeoutError):
                async with connect(f"wss://127.0.0.1:{port}/", open_timeout=0.05):
                    pytest.fail("connected")
        await closed.wait()


# Redirects


@trio_test
async def test_redirects_are_followed(run_server, get_uri):
    def redirect(connection, request):
        if request.path == "/there":
            return None
        response = connection.respond(302, "")
        response.headers["Location"] = "/there"
        return response

    async with run_server(process_request=redirect) as server:
        async with connect(get_uri(server), additional_headers={"Cookie": "a"}) as websocket:
            assert websocket.request.path == "/there"
            assert websocket.request.headers["Cookie"] == "a"


@trio_test
async def test_credentials_do_not_cross_origins(run_server, get_uri):
    async with run_server() as other:

        def redirect(connection, request):
            response = connection.respond(302, "")
            response.headers["Location"] = get_uri(other)
            return response

        async with run_server(process_request=redirect) as server:
            async with connect(
                get_uri(server), additional_headers={"Authorization": "secret"}
            ) as websocket:
                assert "Authorization" not in websocket.request.headers
            port = int(get_uri(server).split(":")[2][:-1])
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            with pytest.raises(ValueError, match="preexisting socket"):
                async with connect(get_uri(server), stream=stream):
                    pytest.fail("connected")


@trio_test
async def test_redirects_do_not_go_on_for_ever(run_server, get_uri):
    def redirect(connection, request):
        response = connection.respond(302, "")
        response.headers["Location"] = "/"
        return response

    async with run_server(process_request=redirect) as server:
        with pytest.raises(SecurityError, match=f"more than {MAX_REDIRECTS} redirects"):
            async with connect(get_uri(server)):
                pytest.fail("connected")


# Reconnection


@trio_test
async def test_loop_connects_again(run_server, get_uri):
    async def handler(websocket):
        await websocket.send("a")
        async for _ in websocket:
            pass

    async with run_server(handler) as server:
        number = 0
        async for websocket in connect(get_uri(server)):
            assert await websocket.recv() == "a"
            assert len(server.connections) == 1
            number += 1
            if number == 3:
                break
            if number == 2:
                await websocket.aclose()
        # It isn't waited for, but closed.
        await websocket.wait_closed()
        assert websocket.close_code == 1000


@trio_test
async def test_loop_that_raises_closes_its_connection(run_server, get_uri):
    async with run_server() as server:
        with pytest.raises(ValueError, match="oops"):
            async for websocket in connect(get_uri(server)):
                assert websocket.state is State.OPEN
                raise ValueError("oops")
        await websocket.wait_closed()
        with trio.CancelScope() as scope:
            async for websocket in connect(get_uri(server)):
                scope.cancel()
                await websocket.recv()
        await websocket.wait_closed()
        iterator = aiter(connect(get_uri(server)))
        websocket = await anext(iterator)
        await iterator.aclose()
        assert websocket.state is State.CLOSED
        with pytest.raises(StopAsyncIteration):
            await anext(iterator)
        await aiter(connect(get_uri(server))).aclose()


def test_loop_may_be_forgotten_after_trio_has_ended():
    iterators = []

    async def main():
        async with trio.open_nursery() as nursery:
            server = await nursery.start(serve, echo, 0)
            port = server.listeners[0].socket.getsockname()[1]
            async with trio.open_nursery() as others:
                others.start_soon(connect_once, port, others.cancel_scope)
            nursery.cancel_scope.cancel()

    async def connect_once(port, scope):
        iterators.append(aiter(connect(f"ws://127.0.0.1:{port}/")))
        await anext(iterators[0])
        scope.cancel()

    trio.run(main)
    # This would tell trio to close the connection, if that wasn't closed.
    iterators.clear()


@trio_test
async def test_loop_tries_again_after_failures(run_server, get_uri, caplog):
    caplog.set_level(logging.INFO, "websockets.client")
    statuses = [503, 503, None]

    def answer(connection, request):
        status = statuses.pop(0)
        return None if status is None else connection.respond(status, "")

    async with run_server(process_request=answer) as server:
        async for websocket in connect(get_uri(server), reconnect_delays=lambda: iter([0, 0])):
            assert websocket.state is State.OPEN
            break
        await websocket.wait_closed()
    message = "InvalidStatus: server rejected WebSocket connection: HTTP 503"
    assert caplog.messages == 2 * [f"connect failed; reconnecting in 0.0 seconds: {message}"]


@trio_test
async def test_loop_waits_when_the_server_ends_connections_at_once(run_server, get_uri, caplog):
    caplog.set_level(logging.INFO, "websockets.client")

    async def handler(websocket):
        await websocket.aclose(1011)

    async with run_server(handler) as server:
        with pytest.raises(ConnectionClosedError):
            async for websocket in connect(get_uri(server), reconnect_delays=lambda: iter([0.001])):
                await websocket.wait_closed()
    assert "connection ended at once; reconnecting in 0.0 seconds" in caplog.messages


@trio_test
async def test_loop_raises_what_would_fail_again(run_server, get_uri):
    def refuse(connection, request):
        return connection.respond(403, "")

    async with run_server(process_request=refuse) as server:
        with pytest.raises(InvalidStatus):
            async for _ in connect(get_uri(server)):
                pytest.fail("connected")
        with pytest.raises(InvalidHandshake, match="mine"):
            async for _ in connect(
                get_uri(server), process_exception=lambda exc: InvalidHandshake("mine")
            ):
                pytest.fail("connected")
