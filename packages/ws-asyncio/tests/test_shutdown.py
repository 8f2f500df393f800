import asyncio
import contextlib
import logging
import ssl

import pytest

from ws_asyncio import ServerConnection, connect, serve
from ws_protocol.exceptions import (
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidHandshake,
    InvalidStatus,
    ProtocolError,
)
from ws_protocol.frames import CloseCode
from ws_protocol.protocol import State

both_loops = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)

MASK = b"\0\0\0\0"


async def echo(connection):
    async for message in connection:
        await connection.send(message)


def complaints(caplog):
    """Return what servers logged above level INFO."""
    return [
        record
        for record in caplog.records
        if record.name == "websockets.server" and record.levelno > logging.INFO
    ]


async def settle():
    """Run what a few rounds of the event loop run."""
    for _ in range(10):
        await asyncio.sleep(0.001)


# Starting


@both_loops
async def test_server_can_be_awaited(get_uri):
    server = await serve(echo, "127.0.0.1", 0)
    assert server.is_serving()
    async with connect(get_uri(server)):
        pass
    server.close()
    await server.wait_closed()


@both_loops
async def test_server_is_a_context_manager(get_uri):
    async with serve(echo, "127.0.0.1", 0) as server:
        assert server.is_serving()
        uri = get_uri(server)
    assert not server.is_serving()
    with pytest.raises(ConnectionRefusedError):
        await connect(uri)


async def test_server_that_was_awaited_can_be_a_context_manager(get_uri):
    server = await serve(echo, "127.0.0.1", 0)
    uri = get_uri(server)
    async with server as same_server:
        assert same_server is server
        assert get_uri(server) == uri
        async with connect(uri):
            pass
    assert not server.is_serving()


@both_loops
async def test_server_may_start_to_accept_later(get_uri):
    server = await serve(echo, "127.0.0.1", 0, start_serving=False)
    assert not server.is_serving()
    await server.start_serving()
    assert server.is_serving()
    async with connect(get_uri(server)):
        pass
    server.close()
    await server.wait_closed()


def test_server_can_be_made_without_an_event_loop():
    assert serve(echo, "127.0.0.1", 0) is not None


@both_loops
async def test_server_has_the_attributes_of_the_one_of_asyncio(get_uri):
    async with serve(echo, "127.0.0.1", 0) as server:
        assert server.get_loop() is asyncio.get_running_loop()
        assert isinstance(server.sockets, tuple)
        assert [sock.getsockname()[0] for sock in server.sockets] == ["127.0.0.1"]
        assert server.handler is echo
        assert server.logger.name == "websockets.server"
    assert server.sockets == ()


@both_loops
async def test_server_knows_the_connections_that_are_open(get_uri, open_tcp_connection):
    async with serve(echo, "127.0.0.1", 0) as server:
        assert server.connections == set()
        # Not open, and never will be.
        _, writer = await open_tcp_connection(server)
        async with connect(get_uri(server)), connect(get_uri(server)):
            connections = server.connections
            assert len(connections) == 2
            for connection in connections:
                assert isinstance(connection, ServerConnection)
                assert connection.state is State.OPEN
            # It is a copy.
            connections.clear()
            assert len(server.connections) == 2
        await settle()
        assert server.connections == set()
        writer.close()


# serve_forever


@both_loops
async def test_serving_forever_ends_when_the_server_is_closed(get_uri):
    server = await serve(echo, "127.0.0.1", 0, start_serving=False)
    task = asyncio.create_task(server.serve_forever())
    await settle()
    assert server.is_serving()
    async with connect(get_uri(server)) as connection:
        server.close()
        with pytest.raises(ConnectionClosedOK):
            await connection.recv()
    await task
    assert connection.close_code == CloseCode.GOING_AWAY


@both_loops
async def test_serving_forever_closes_the_server_when_it_is_cancelled(get_uri):
    server = await serve(echo, "127.0.0.1", 0)
    task = asyncio.create_task(server.serve_forever())
    async with connect(get_uri(server)) as connection:
        task.cancel()
        with pytest.raises(ConnectionClosedOK):
            await connection.recv()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not server.is_serving()


async def test_serving_forever_lets_connections_remain_if_that_is_wanted(get_uri):
    server = await serve(echo, "127.0.0.1", 0)
    task = asyncio.create_task(server.serve_forever())
    async with connect(get_uri(server)) as connection:
        server.close(close_connections=False)
        await connection.send("hello")
        assert await connection.recv() == "hello"
        assert not task.done()
    await task


async def test_serving_forever_closes_what_remains_when_it_is_cancelled(get_uri):
    server = await serve(echo, "127.0.0.1", 0)
    task = asyncio.create_task(server.serve_forever())
    async with connect(get_uri(server)) as connection:
        server.close(close_connections=False)
        await connection.send("hello")
        assert await connection.recv() == "hello"
        task.cancel()
        with pytest.raises(ConnectionClosedOK):
            await connection.recv()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_serving_forever_in_a_context_manager_can_be_cancelled(get_uri):
    async def main():
        async with serve(echo, "127.0.0.1", 0) as server:
            started.set_result(server)
            await server.serve_forever()

    started = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(main())
    server = await started
    async with connect(get_uri(server)):
        pass
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not server.is_serving()


@both_loops
async def test_serving_forever_ends_at_once_if_the_server_is_closed():
    server = await serve(echo, "127.0.0.1", 0)
    server.close()
    await server.serve_forever()
    await server.serve_forever()


# close and wait_closed


@both_loops
async def test_closing_the_server_closes_connections(get_uri):
    async with serve(echo, "127.0.0.1", 0) as server:
        async with connect(get_uri(server)) as connection:
            server.close()
            with pytest.raises(ConnectionClosedOK):
                await connection.recv()
    assert connection.close_code == CloseCode.GOING_AWAY
    assert connection.close_reason == ""


async def test_closing_the_server_may_tell_code_and_reason(get_uri):
    async with serve(echo, "127.0.0.1", 0) as server:
        async with connect(get_uri(server)) as connection:
            server.close(code=CloseCode.SERVICE_RESTART, reason="back soon")
            with pytest.raises(ConnectionClosedError):
                await connection.recv()
    assert connection.close_code == CloseCode.SERVICE_RESTART
    assert connection.close_reason == "back soon"


@pytest.mark.parametrize("kwargs", [{"code": 1005}, {"code": 999}, {"reason": "é" * 62}])
async def test_closing_with_what_no_frame_can_carry_does_nothing(get_uri, kwargs):
    async with serve(echo, "127.0.0.1", 0) as server:
        async with connect(get_uri(server)) as connection:
            with pytest.raises(ProtocolError):
                server.close(**kwargs)
            assert server.is_serving()
            await connection.send("hello")
            assert await connection.recv() == "hello"


@both_loops
async def test_connections_may_remain_until_they_are_closed_later(get_uri):
    async with serve(echo, "127.0.0.1", 0) as server:
        uri = get_uri(server)
        async with connect(uri) as connection:
            server.close(close_connections=False)
            assert not server.is_serving()
            with pytest.raises(ConnectionRefusedError):
                await connect(uri)
            await connection.send("hello")
            assert await connection.recv() == "hello"
            waiting = asyncio.create_task(server.wait_closed())
            await asyncio.sleep(0)
            server.close(code=CloseCode.SERVICE_RESTART)
            with pytest.raises(ConnectionClosedError):
                await connection.recv()
        await waiting
    assert connection.close_code == CloseCode.SERVICE_RESTART


async def test_closing_twice_does_no_harm(get_uri, caplog):
    caplog.set_level(logging.INFO)
    async with serve(echo, "127.0.0.1", 0) as server:
        server.close()
        server.close()
        await server.wait_closed()
        await server.wait_closed()
        server.close()
    assert caplog.messages.count("server closing") == 1
    assert caplog.messages.count("server closed") == 1


@both_loops
async def test_waiting_does_not_close_anything(get_uri):
    async with serve(echo, "127.0.0.1", 0) as server:
        waiting = asyncio.create_task(server.wait_closed())
        async with connect(get_uri(server)) as connection:
            await connection.send("hello")
            assert await connection.recv() == "hello"
        assert not waiting.done()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert server.is_serving()


async def test_waiting_can_be_cancelled_while_the_server_closes(get_uri):
    async def handler(connection):
        await finish.wait()

    finish = asyncio.Event()
    async with serve(handler, "127.0.0.1", 0) as server:
        async with connect(get_uri(server)):
            server.close()
            waiting = asyncio.create_task(server.wait_closed())
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            finish.set()
            await server.wait_closed()


@both_loops
async def test_waiting_takes_until_handlers_have_returned(get_uri):
    async def handler(connection):
        with contextlib.suppress(ConnectionClosed):
            await connection.recv()
        closed.set()
        await finish.wait()
        finished.set()

    closed, finish, finished = asyncio.Event(), asyncio.Event(), asyncio.Event()
    server = await serve(handler, "127.0.0.1", 0)
    async with connect(get_uri(server)):
        server.close()
        waiting = asyncio.create_task(server.wait_closed())
        await closed.wait()
        await settle()
        assert not waiting.done()
        finish.set()
        await waiting
        assert finished.is_set()


async def test_handler_that_fails_while_the_server_closes_is_an_error(get_uri, caplog):
    async def handler(connection):
        try:
            await connection.recv()
        finally:
            raise LookupError("mine")

    async with serve(handler, "127.0.0.1", 0) as server:
        async with connect(get_uri(server)):
            server.close()
            await server.wait_closed()
    (record,) = complaints(caplog)
    assert record.message == "connection handler failed"


# Clients in every state


async def connect_only(reader, writer):
    pass


async def send_half_a_request(reader, writer):
    writer.write(REQUEST[:20])
    await settle()


async def be_idle(reader, writer):
    writer.write(REQUEST)
    await reader.readuntil(b"\r\n\r\n")


async def send_half_a_frame(reader, writer):
    await be_idle(reader, writer)
    writer.write(b"\x81\xff\x00")


async def send_half_a_message(reader, writer):
    await be_idle(reader, writer)
    writer.write(b"\x01\x80" + MASK)


async def send_pings(reader, writer):
    await be_idle(reader, writer)
    writer.write((b"\x89\x80" + MASK) * 10_000)


async def flood(reader, writer):
    await be_idle(reader, writer)
    for _ in range(50):
        # Handlers may have had enough.
        if not writer.is_closing():
            writer.write(b"\x82\xfe\xff\xff" + MASK + bytes(2**16 - 1))
            await asyncio.sleep(0)


async def send_a_close_frame(reader, writer):
    # The TCP connection stays open.
    await be_idle(reader, writer)
    writer.write(b"\x88\x82" + MASK + b"\x03\xe8")
    await settle()


async def leave(reader, writer):
    await be_idle(reader, writer)
    writer.transport.abort()


async def leave_before_the_request(reader, writer):
    writer.transport.abort()


async def break_the_protocol(reader, writer):
    await be_idle(reader, writer)
    writer.write(b"\xff\xff")


CLIENTS = [
    connect_only,
    send_half_a_request,
    be_idle,
    send_half_a_frame,
    send_half_a_message,
    send_pings,
    flood,
    send_a_close_frame,
    leave,
    leave_before_the_request,
    break_the_protocol,
]


async def ignore(connection):
    """Do not even receive."""
    await connection.wait_closed()


async def send_all_the_time(connection):
    while True:
        await connection.send(bytes(2**16))


async def send_fragments_all_the_time(connection):
    async def fragments():
        while True:
            yield bytes(2**16)
            await asyncio.sleep(0)

    await connection.send(fragments())


async def receive_again_and_again(connection):
    """Take the end of the connection for something that passes."""
    for _ in range(100):
        with contextlib.suppress(ConnectionClosed):
            await connection.recv()


async def close_slowly(connection):
    with contextlib.suppress(ConnectionClosed):
        await connection.recv()
    await connection.close()


HANDLERS = [
    echo,
    ignore,
    send_all_the_time,
    send_fragments_all_the_time,
    receive_again_and_again,
    close_slowly,
]


@both_loops
@pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler.__name__)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_server_closes_whatever_clients_and_handlers_do(
    open_tcp_connection, server_tls, client_tls, caplog, scheme, client, handler
):
    tls = scheme == "wss"
    async with serve(
        handler,
        "127.0.0.1",
        0,
        compression=None,
        ssl=server_tls if tls else None,
        open_timeout=None,
        close_timeout=0.01,
        ping_interval=None,
    ) as server:
        reader, writer = await open_tcp_connection(server, **({"ssl": client_tls} if tls else {}))
        await client(reader, writer)
        server.close()
        await server.wait_closed()
        assert server.connections == set()
        # The TCP connection is gone. PyPy minds what came after the goodbye of TLS.
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await reader.read()
    assert complaints(caplog) == []


@both_loops
@pytest.mark.parametrize("scheme", ["ws", "wss"])
@pytest.mark.parametrize(
    "client, told",
    [
        (connect_only, b"HTTP/1.1 503 Service Unavailable\r\n"),
        (send_half_a_request, b"HTTP/1.1 503 Service Unavailable\r\n"),
        (be_idle, b"\x88\x02\x03\xe9"),
        (send_half_a_frame, b"\x88\x02\x03\xe9"),
        (send_half_a_message, b"\x88\x02\x03\xe9"),
        (send_a_close_frame, b"\x88\x02\x03\xe8"),
    ],
)
async def test_clients_are_told_that_the_server_closes(
    open_tcp_connection, server_tls, client_tls, scheme, client, told
):
    server = await serve(
        echo,
        "127.0.0.1",
        0,
        ssl=server_tls if scheme == "wss" else None,
        open_timeout=None,
        close_timeout=None,
    )
    kwargs = {"ssl": client_tls} if scheme == "wss" else {}
    reader, writer = await open_tcp_connection(server, **kwargs)
    await client(reader, writer)
    # With TLS, the client may have finished the handshake before the server.
    await settle()
    server.close()
    assert await reader.readexactly(len(told)) == told
    writer.close()
    await server.wait_closed()


@both_loops
@pytest.mark.parametrize("data", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01"])
async def test_server_closes_during_tls_handshakes(open_tcp_connection, server_tls, caplog, data):
    server = await serve(
        echo, "127.0.0.1", 0, ssl=server_tls, open_timeout=None, close_timeout=None
    )
    reader, writer = await open_tcp_connection(server)
    writer.write(data)
    await settle()
    server.close()
    await server.wait_closed()
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    assert caplog.records == []


@both_loops
@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_server_closes_at_any_time_after_it_accepts_a_connection(
    monkeypatch, get_uri, server_tls, client_tls, caplog, scheme
):
    def spy_create_server(factory, *args, **kwargs):
        def spy_factory():
            accepted.set()
            return factory()

        return create_server(spy_factory, *args, **kwargs)

    async def talk(uri):
        async with connect(uri, ssl=client_tls if scheme == "wss" else None) as connection:
            await connection.recv()

    loop = asyncio.get_running_loop()
    create_server = loop.create_server
    monkeypatch.setattr(loop, "create_server", spy_create_server)
    outcomes = []
    while ConnectionClosedOK not in outcomes:
        accepted = asyncio.Event()
        server = await serve(
            echo,
            "127.0.0.1",
            0,
            ssl=server_tls if scheme == "wss" else None,
            open_timeout=None,
            close_timeout=None,
        )
        task = asyncio.create_task(talk(get_uri(server, scheme=scheme)))
        await accepted.wait()
        # One round of the event loop longer each time.
        for _ in outcomes:
            await asyncio.sleep(0)
        server.close()
        await server.wait_closed()
        assert server.connections == set()
        with pytest.raises((OSError, InvalidHandshake, ConnectionClosed)) as info:
            await task
        outcomes.append(info.type)
    assert len(outcomes) > 3
    assert complaints(caplog) == []


@both_loops
@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_client_that_is_about_to_open_is_told_that_the_server_closes(
    get_uri, server_tls, client_tls, scheme
):
    async def process_request(connection, request):
        waiting.set()
        await finish.wait()

    waiting, finish = asyncio.Event(), asyncio.Event()
    tls = server_tls if scheme == "wss" else None
    async with serve(echo, "127.0.0.1", 0, ssl=tls, process_request=process_request) as server:
        uri = get_uri(server, scheme=scheme)
        client = asyncio.ensure_future(
            anext(
                aiter(
                    connect(
                        uri,
                        ssl=client_tls if scheme == "wss" else None,
                        reconnect_delays=lambda: iter([]),
                    )
                )
            )
        )
        await waiting.wait()
        server.close()
        finish.set()
        with pytest.raises(InvalidStatus) as info:
            await client
    assert info.value.response.status_code == 503
    assert info.value.response.body == b"Server is shutting down.\n"


async def test_refusal_by_the_application_goes_before_that_of_the_server(get_uri):
    async def process_request(connection, request):
        waiting.set()
        await finish.wait()
        return connection.respond(404, "Not here\n")

    waiting, finish = asyncio.Event(), asyncio.Event()
    async with serve(echo, "127.0.0.1", 0, process_request=process_request) as server:
        client = asyncio.ensure_future(anext(aiter(connect(get_uri(server)))))
        await waiting.wait()
        server.close()
        finish.set()
        with pytest.raises(InvalidStatus) as info:
            await client
    assert info.value.response.status_code == 404


async def test_request_that_is_processed_for_ever_times_out(open_tcp_connection, clock):
    async def process_request(connection, request):
        await asyncio.Event().wait()

    async with serve(echo, "127.0.0.1", 0, process_request=process_request) as server:
        reader, writer = await open_tcp_connection(server)
        writer.write(REQUEST)
        await clock.settle()
        server.close()
        await server.wait_closed()
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""


@both_loops
async def test_all_connections_close_together(get_uri):
    async with serve(echo, "127.0.0.1", 0) as server:
        connections = [await connect(get_uri(server)) for _ in range(20)]
        server.close()
        await asyncio.gather(*(connection.wait_closed() for connection in connections))
    assert {connection.close_code for connection in connections} == {CloseCode.GOING_AWAY}


@both_loops
async def test_server_without_a_reference_lives_as_long_as_it_listens(get_uri):
    async def handler(connection):
        servers.append(connection.server)

    servers = []
    uri = get_uri(await serve(handler, "127.0.0.1", 0))
    async with connect(uri):
        pass
    servers[0].close()
    await servers[0].wait_closed()
