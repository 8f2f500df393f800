"""Servers, on the loopback interface."""

import contextlib
import logging
import signal
import subprocess
import sys

import pytest
import trio
from trio.testing import assert_checkpoints, trio_test, wait_all_tasks_blocked

from ws_protocol.exceptions import (
    ConnectionClosed,
    InvalidMessage,
    InvalidStatus,
    NegotiationError,
    ProtocolError,
)
from ws_protocol.protocol import State
from ws_trio import Server, ServerConnection, basic_auth, broadcast, connect, serve


async def wait_for(websocket):
    """Wait until the client closes the connection."""
    async for _ in websocket:
        pass


async def open_tcp(server):
    """Open a TCP connection to a server."""
    return await trio.open_tcp_stream(*server.listeners[0].socket.getsockname())


async def read_all(stream):
    """Return what a stream receives until it ends."""
    data = b""
    with contextlib.suppress(trio.BrokenResourceError):
        while received := await stream.receive_some():
            data += received
    return data


REQUEST = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


# Starting


@pytest.mark.parametrize(
    "arguments, exception, match",
    [
        ({}, TypeError, "port isn't provided"),
        ({"port": 0, "ssl": True}, TypeError, "ssl must be an ssl.SSLContext, not bool"),
        ({"port": 0, "compression": "zip"}, ValueError, "unsupported compression"),
        ({"port": 0, "subprotocols": "chat"}, TypeError, ".+"),
        ({"port": 0, "max_queue": (1, 2)}, ValueError, "high must be at least low"),
        ({"port": 0, "max_size": (1, 2, 3)}, ValueError, ".+"),
    ],
)
@trio_test
async def test_wrong_arguments_are_refused_at_once(arguments, exception, match):
    with pytest.raises(exception, match=match):
        await serve(wait_for, **arguments)


@trio_test
async def test_server_logs_what_it_does(run_server, get_uri, caplog):
    caplog.set_level(logging.INFO, "websockets.server")
    async with run_server() as server:
        port = server.listeners[0].socket.getsockname()[1]
        async with connect(get_uri(server)) as websocket:
            assert server.is_serving()
            # The handler has returned then.
            await websocket.aclose()
            while server._tasks:
                await trio.testing.wait_all_tasks_blocked(0.001)
    assert caplog.messages == [
        f"server listening on 127.0.0.1:{port}",
        "connection open",
        "connection closed",
        "server closing",
        "server closed",
    ]


@trio_test
async def test_server_can_have_listeners_of_its_own(run_server):
    class Listener(trio.abc.Listener):
        async def accept(self):
            return await streams.receive()

        async def aclose(self):
            await trio.lowlevel.checkpoint()

    send, streams = trio.open_memory_channel(0)
    async with run_server(listeners=[Listener()]):
        ours, theirs = trio.testing.memory_stream_pair()
        await send.send(theirs)
        async with connect("ws://localhost/", stream=ours) as websocket:
            assert websocket.local_address is None
            assert websocket.remote_address is None
            await websocket.send("a")
            assert await websocket.recv() == "a"


@trio_test
async def test_server_can_be_made_without_serve(run_server, get_uri):
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery, Server(listeners, wait_for) as server:
        assert await nursery.start(server.serve_forever) is server
        async with connect(get_uri(server)) as websocket:
            assert websocket.subprotocol is None


@trio_test
async def test_server_that_was_not_started_can_be_closed():
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    server = Server(listeners, wait_for)
    await server.aclose()
    assert not server.is_serving()
    with pytest.raises(trio.ClosedResourceError):
        await listeners[0].accept()


# Opening handshakes


@trio_test
async def test_functions_may_answer_the_request(run_server, get_uri):
    async def process_request(connection, request):
        await trio.lowlevel.checkpoint()
        assert isinstance(connection, ServerConnection)
        if request.path == "/":
            return None
        if request.path == "/error":
            raise ValueError("oops")
        return connection.respond(404, "not here")

    def process_response(connection, request, response):
        response.headers["X-Test"] = "1"

    async with run_server(
        process_request=process_request, process_response=process_response, server_header="me"
    ) as server:
        async with connect(get_uri(server)) as websocket:
            assert websocket.response.headers["X-Test"] == "1"
            assert websocket.response.headers["Server"] == "me"
        for path, status in [("/error", 500), ("/other", 404)]:
            with pytest.raises(InvalidStatus) as raised:
                async with connect(get_uri(server, path)):
                    pytest.fail("connected")
            assert raised.value.response.status_code == status


@trio_test
async def test_function_may_choose_the_subprotocol(run_server, get_uri):
    def select(connection, subprotocols):
        assert connection.request.path == "/"
        if not subprotocols:
            raise NegotiationError("no subprotocol")
        return subprotocols[-1]

    async with run_server(select_subprotocol=select) as server:
        async with connect(get_uri(server), subprotocols=["a", "b"]) as websocket:
            assert websocket.subprotocol == "b"
        with pytest.raises(InvalidStatus):
            async with connect(get_uri(server)):
                pytest.fail("connected")


@trio_test
async def test_basic_auth_asks_for_credentials(run_server, get_uri):
    usernames = []

    async def handler(websocket):
        usernames.append(websocket.username)

    async with run_server(
        handler, process_request=basic_auth("realm", credentials=("user", "pass"))
    ) as server:
        with pytest.raises(InvalidStatus) as raised:
            async with connect(get_uri(server)):
                pytest.fail("connected")
        assert raised.value.response.status_code == 401
        async with connect(get_uri(server).replace("//", "//user:pass@")) as websocket:
            await websocket.wait_closed()
    assert usernames == ["user"]


@trio_test
async def test_frames_that_arrive_with_the_request_are_received(run_server):
    async with run_server() as server:
        stream = await open_tcp(server)
        async with stream:
            await stream.send_all(REQUEST + b"\x81\x81\x00\x00\x00\x00a")
            data = b""
            while not data.endswith(b"\x81\x01a"):
                data += await stream.receive_some()


@pytest.mark.parametrize(
    "data, answer, message",
    [
        (b"", b"", "opening handshake failed: did not receive a valid HTTP request"),
        (b"SSH-2.0\r\n\r\n", b"HTTP/1.1 400 ", "opening handshake failed: did not receive"),
        (REQUEST.replace(b"13", b"12"), b"HTTP/1.1 426 ", "connection rejected (426 "),
    ],
)
@trio_test
async def test_opening_handshakes_that_fail_are_logged(run_server, caplog, data, answer, message):
    caplog.set_level(logging.INFO, "websockets.server")
    async with run_server() as server:
        stream = await open_tcp(server)
        async with stream:
            if data:
                await stream.send_all(data)
            else:
                await stream.send_eof()
            assert (await read_all(stream)).startswith(answer)
    assert caplog.messages[1].startswith(message)


@pytest.mark.parametrize("tls", [False, True])
@trio_test
async def test_opening_handshake_has_a_timeout(run_tcp_server, run_server, server_tls, caplog, tls):
    caplog.set_level(logging.INFO, "websockets.server")
    async with run_server(open_timeout=0.05, ssl=server_tls if tls else None) as server:
        listener = server.listeners[0]
        sock = listener.transport_listener.socket if tls else listener.socket
        async with await trio.open_tcp_stream(*sock.getsockname()) as stream:
            assert await read_all(stream) == b""
    assert "opening handshake timed out" in caplog.messages


@trio_test
async def test_tls_handshake_that_fails_is_logged(run_server, server_tls, caplog):
    caplog.set_level(logging.INFO, "websockets.server")
    async with run_server(open_timeout=None, ssl=server_tls) as server:
        address = server.listeners[0].transport_listener.socket.getsockname()
        async with await trio.open_tcp_stream(*address) as stream:
            await stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
            await read_all(stream)
    assert any(message.startswith("TLS handshake failed: ") for message in caplog.messages)


@trio_test
async def test_connection_that_cannot_be_made_does_not_end_the_server(run_server, get_uri, caplog):
    made = []

    def create_connection(*args, **kwargs):
        made.append(args)
        if len(made) == 1:
            raise ValueError("oops")
        return ServerConnection(*args, **kwargs)

    async with run_server(create_connection=create_connection) as server:
        with pytest.raises((OSError, InvalidMessage)):
            async with connect(get_uri(server)):
                pytest.fail("connected")
        async with connect(get_uri(server)) as websocket:
            await websocket.send("a")
            assert await websocket.recv() == "a"
    assert "connection failed" in caplog.messages


# Handlers


@pytest.mark.parametrize(
    "exception, code, message",
    [
        (None, 1000, None),
        (ValueError("oops"), 1011, "connection handler failed"),
        (ExceptionGroup("several", [ValueError("oops")]), 1011, "connection handler failed"),
    ],
)
@trio_test
async def test_connection_is_closed_when_the_handler_ends(
    run_server, get_uri, caplog, exception, code, message
):
    async def handler(websocket):
        if exception is not None:
            raise exception

    async with run_server(handler) as server, connect(get_uri(server)) as websocket:
        with pytest.raises(ConnectionClosed) as raised:
            await websocket.recv()
        assert raised.value.rcvd.code == code
    assert caplog.messages == ([] if message is None else [message])


@pytest.mark.parametrize("code", [1000, 1011])
@pytest.mark.parametrize("nested", [False, True])
@trio_test
async def test_handler_need_not_care_for_the_end_of_the_connection(
    run_server, get_uri, caplog, code, nested
):
    caplog.set_level(logging.INFO, "websockets.server")

    async def handler(websocket):
        if nested:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(websocket.recv)
                await trio.sleep_forever()
        else:
            await websocket.recv()

    async with run_server(handler) as server:
        async with connect(get_uri(server)) as websocket:
            await websocket.aclose(code)
    lost = [message for message in caplog.messages if message.startswith("connection lost: ")]
    assert len(lost) == (code == 1011)
    assert "connection handler failed" not in caplog.messages


@trio_test
async def test_server_can_broadcast_to_its_connections(run_server, get_uri):
    async with run_server(wait_for) as server:
        async with connect(get_uri(server)) as one, connect(get_uri(server)) as two:
            assert len(server.connections) == 2
            await broadcast(server.connections, "Hello")
            assert [await one.recv(), await two.recv()] == 2 * ["Hello"]


# Closing


@trio_test
async def test_server_closes_its_connections(run_server, get_uri):
    async with run_server(wait_for) as server, connect(get_uri(server)) as websocket:
        with assert_checkpoints():
            await server.aclose(code=1012, reason="back soon")
        assert server.connections == set()
        assert not server.is_serving()
        await websocket.wait_closed()
        assert (websocket.close_code, websocket.close_reason) == (1012, "back soon")
        with assert_checkpoints():
            await server.aclose()
        with pytest.raises(OSError, match=r".+"):
            async with connect(get_uri(server)):
                pytest.fail("connected")


@pytest.mark.parametrize("arguments", [{"code": 1006}, {"reason": "ü" * 62}])
@trio_test
async def test_server_refuses_an_impossible_close_frame(run_server, get_uri, arguments):
    async with run_server() as server:
        with pytest.raises(ProtocolError):
            await server.aclose(**arguments)
        async with connect(get_uri(server)):
            assert server.is_serving()


@trio_test
async def test_server_can_leave_its_connections_open(run_server, get_uri):
    async with run_server() as server, trio.open_nursery() as nursery:
        async with connect(get_uri(server)) as websocket:
            nursery.start_soon(server.aclose, False)
            await wait_all_tasks_blocked()
            await websocket.send("a")
            assert await websocket.recv() == "a"
            assert len(nursery.child_tasks) == 1


@trio_test
async def test_cancelled_close_goes_on(run_server, get_uri):
    async with run_server(wait_for) as server, connect(get_uri(server)) as websocket:
        with trio.CancelScope() as scope:
            scope.cancel()
            await server.aclose()
        await websocket.wait_closed()
        assert websocket.close_code == 1001


@trio_test
async def test_handler_can_close_the_server(run_server, get_uri):
    async def handler(websocket):
        await websocket.recv()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(websocket.server.aclose)
            await websocket.server.aclose()
        closed.set()

    closed = trio.Event()
    async with run_server(handler) as server:
        async with connect(get_uri(server)) as one, connect(get_uri(server)) as two:
            await one.send("close")
            await one.wait_closed()
            await two.wait_closed()
            await closed.wait()


@trio_test
async def test_handlers_that_close_the_server_do_not_wait_for_one_another(run_server, get_uri):
    done, go_on = [], trio.Event()

    async def handler(websocket):
        await websocket.recv()
        if websocket.request.path == "/other":
            await go_on.wait()
        else:
            await websocket.server.aclose()
        done.append(websocket.request.path)

    async with (
        run_server(handler) as server,
        connect(get_uri(server, "/one")) as one,
        connect(get_uri(server, "/two")) as two,
        connect(get_uri(server, "/other")) as other,
    ):
        for websocket in other, one, two:
            await websocket.send("go")
        with trio.fail_after(60):
            for websocket in one, two:
                await websocket.wait_closed()
            await wait_all_tasks_blocked()
            # They wait for all others.
            assert done == []
            go_on.set()
            await server.aclose()
    assert done[0] == "/other"
    assert sorted(done) == ["/one", "/other", "/two"]


@trio_test
async def test_closing_server_refuses_connections_that_are_about_to_open(run_server, get_uri):
    asked, go_on = trio.Event(), trio.Event()

    async def process_request(connection, request):
        asked.set()
        await go_on.wait()

    async with run_server(process_request=process_request) as server:
        silent = await open_tcp(server)
        half = await open_tcp(server)
        await half.send_all(REQUEST[:20])
        asking = await open_tcp(server)
        await asking.send_all(REQUEST)
        await asked.wait()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.aclose)
            for stream in (silent, half):
                assert (await read_all(stream)).startswith(b"HTTP/1.1 503 ")
                await stream.aclose()
            go_on.set()
            assert (await read_all(asking)).startswith(b"HTTP/1.1 503 ")
            await asking.aclose()


@trio_test
async def test_closing_server_ends_tls_handshakes(run_server, server_tls, caplog):
    caplog.set_level(logging.INFO, "websockets.server")
    async with run_server(ssl=server_tls) as server:
        address = server.listeners[0].transport_listener.socket.getsockname()
        async with await trio.open_tcp_stream(*address) as stream:
            while not server._starting_tls:
                await trio.testing.wait_all_tasks_blocked(0.001)
            await server.aclose()
            assert await read_all(stream) == b""
    assert caplog.messages[1:] == ["server closing", "server closed"]


@pytest.mark.parametrize("tls", [False, True])
@trio_test
async def test_connection_that_was_accepted_as_the_server_closed_is_refused(server_tls, tls):
    class Listener(trio.abc.Listener):
        def __init__(self):
            self.accepted = False

        async def accept(self):
            await trio.lowlevel.checkpoint()
            if self.accepted:
                await trio.sleep_forever()
            self.accepted = True
            with trio.CancelScope(shield=True) as scope:
                scope.cancel()
                await server.aclose()
            return theirs

        async def aclose(self):
            await trio.lowlevel.checkpoint()

    ours, theirs = trio.testing.memory_stream_pair()
    if tls:
        theirs = trio.SSLStream(theirs, server_tls, server_side=True)
    server = Server([Listener()], wait_for)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve_forever)
            data = await read_all(ours)
            await ours.aclose()
    assert data == b"" if tls else data.startswith(b"HTTP/1.1 503 ")


@trio_test
async def test_cancelled_server_closes_its_connections(get_uri):
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve, wait_for, 0)
        server_scope = nursery.cancel_scope
        uri = f"ws://127.0.0.1:{server.listeners[0].socket.getsockname()[1]}/"
        async with trio.open_nursery() as clients:
            clients.cancel_scope.shield = True
            websocket = await connect(uri).connect(clients)
            server_scope.cancel()
            with trio.CancelScope(shield=True):
                await websocket.wait_closed()
    assert websocket.close_code == 1001
    assert websocket.state is State.CLOSED
    assert not server.is_serving()


# Interrupts


PROGRAM = """
import signal
import trio
from ws_protocol.exceptions import ConnectionClosed
from ws_trio import connect, serve

async def handler(websocket):
    async for message in websocket:
        await websocket.send(message)

async def main():
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve, handler, 0)
        port = server.listeners[0].socket.getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}/") as websocket:
            await websocket.send("Hello")
            await websocket.recv()
            print("ready", flush=True)
            while True:
                await websocket.send("Hello")
                await websocket.recv()

# What a shell runs in the background ignores it.
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    trio.run(main)
except* KeyboardInterrupt:
    print("interrupted", flush=True)
except* ConnectionClosed:
    pass  # where the server was faster
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
def test_keyboard_interrupt_ends_the_program():
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=60)
        finally:
            # Leaving the block waits for its end, however long that takes.
            process.kill()
    assert stdout == "interrupted\n"
    assert stderr == ""
    assert process.returncode == 0


# How many connections there may be


async def refusal(uri, **options):
    """Connect to a server that refuses; return its response."""
    with pytest.raises(InvalidStatus) as raised:
        async with connect(uri, **options):
            pass
    return raised.value.response


@trio_test
async def test_client_is_refused_when_there_are_enough_connections(run_server, get_uri):
    async with run_server(max_connections=1) as server:
        uri = get_uri(server)
        async with connect(uri):
            response = await refusal(uri)
            assert response.status_code == 503
            assert response.headers["Retry-After"] == "5"
        while server._tasks:
            await wait_all_tasks_blocked(0.001)
        async with connect(uri) as websocket:
            assert websocket.state is State.OPEN


@trio_test
async def test_client_is_refused_when_there_are_enough_handshakes(run_server, get_uri):
    async with run_server(max_handshakes=1) as server, await open_tcp(server) as stream:
        while not server._connections:
            await wait_all_tasks_blocked(0.001)
        assert (await refusal(get_uri(server))).status_code == 503
        # Which is done now, and isn't in the way any more.
        await stream.send_all(REQUEST)
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 101 ")
        async with connect(get_uri(server)):
            pass


@trio_test
async def test_clients_that_do_not_read_why_are_dropped(run_server, monkeypatch):
    monkeypatch.setattr("ws_protocol.admission.MAX_REFUSED", 1)
    async with run_server(max_handshakes=1, close_timeout=0.1) as server:
        async with await open_tcp(server), await open_tcp(server):
            while len(server._connections) < 2:
                await wait_all_tasks_blocked(0.001)
            async with await open_tcp(server) as dropped:
                assert await read_all(dropped) == b""


@pytest.mark.parametrize("name", ["max_connections", "max_handshakes"])
@trio_test
async def test_server_must_take_some_connections(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1"):
        await serve(wait_for, 0, **{name: 0})


# Pages of the server, and names that it has


@trio_test
async def test_pages_of_other_servers_can_be_refused(run_server, get_uri):
    async with run_server(origins="same-origin") as server:
        uri = get_uri(server)
        async with connect(uri), connect(uri, origin=uri.replace("ws:", "http:").rstrip("/")):
            pass
        assert (await refusal(uri, origin="https://evil.example")).status_code == 403


@trio_test
async def test_other_names_can_be_refused(run_server, get_uri):
    async with run_server(allowed_hosts=["localhost", "127.0.0.1"]) as server:
        async with connect(get_uri(server)):
            pass
        response = await refusal(get_uri(server), additional_headers={"Host": "evil.example"})
        assert response.status_code == 400
