"""Closing a server, whatever its clients and connection handlers do at that time."""

import asyncio
import contextlib
import logging

import pytest

from ws_legacy import WebSocketServerProtocol, connect, serve
from ws_protocol.exceptions import ConnectionClosed, InvalidHandshake
from ws_protocol.protocol import State

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)

MASK = b"\0\0\0\0"


def complaints(caplog):
    """Return what servers logged above level INFO."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "websockets.server" and record.levelno > logging.INFO
    ]


@contextlib.asynccontextmanager
async def open_tcp_connection(server, **kwargs):
    """Give a reader and a writer of a TCP connection to a server."""
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), **kwargs)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def until(condition):
    """Let the event loop run until something is true."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # there is no event for it
            await asyncio.sleep(0)


# Clients: what each does before the server is closed


async def connect_only(server, reader, writer):
    pass


async def be_accepted(server, reader, writer):
    await until(lambda: server.websockets)


async def send_half_a_request(server, reader, writer):
    await be_accepted(server, reader, writer)
    writer.write(REQUEST[:20])


async def send_a_request(server, reader, writer):
    writer.write(REQUEST)


async def be_idle(server, reader, writer):
    writer.write(REQUEST)
    await reader.readuntil(b"\r\n\r\n")


async def send_half_a_frame(server, reader, writer):
    await be_idle(server, reader, writer)
    writer.write(b"\x81\xff\x00")


async def send_half_a_message(server, reader, writer):
    await be_idle(server, reader, writer)
    writer.write(b"\x01\x80" + MASK)


async def send_pings(server, reader, writer):
    await be_idle(server, reader, writer)
    writer.write((b"\x89\x80" + MASK) * 10_000)


async def flood(server, reader, writer):
    await be_idle(server, reader, writer)
    for _ in range(50):
        # Connection handlers may have had enough.
        if not writer.is_closing():
            writer.write(b"\x82\xfe\xff\xff" + MASK + bytes(2**16 - 1))
            await asyncio.sleep(0)


async def send_a_close_frame(server, reader, writer):
    # The TCP connection stays open.
    await be_idle(server, reader, writer)
    writer.write(b"\x88\x82" + MASK + b"\x03\xe8")
    await until(lambda: all(websocket.close_rcvd for websocket in server.websockets))


async def leave(server, reader, writer):
    await be_idle(server, reader, writer)
    writer.transport.abort()


async def leave_before_the_request(server, reader, writer):
    writer.transport.abort()


async def break_the_protocol(server, reader, writer):
    await be_idle(server, reader, writer)
    writer.write(b"\xff\xff")


CLIENTS = [
    connect_only,
    be_accepted,
    send_half_a_request,
    send_a_request,
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


# Connection handlers


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


async def ignore(websocket):
    """Do not even receive."""
    await websocket.wait_closed()


async def send_all_the_time(websocket):
    while True:
        await websocket.send(bytes(2**16))


async def send_fragments_all_the_time(websocket):
    async def fragments():
        while True:
            yield bytes(2**16)
            await asyncio.sleep(0)

    await websocket.send(fragments())


async def receive_again_and_again(websocket):
    """Take the end of the connection for something that passes."""
    for _ in range(100):
        with contextlib.suppress(ConnectionClosed):
            await websocket.recv()


async def close_slowly(websocket):
    with contextlib.suppress(ConnectionClosed):
        await websocket.recv()
    await websocket.close()


HANDLERS = [
    echo,
    ignore,
    send_all_the_time,
    send_fragments_all_the_time,
    receive_again_and_again,
    close_slowly,
]


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler.__name__)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_server_closes_whatever_clients_and_handlers_do(
    server_tls, client_tls, caplog, scheme, client, handler
):
    tls = scheme == "wss"
    async with (
        asyncio.timeout(20),
        serve(
            handler,
            "127.0.0.1",
            0,
            compression=None,
            ssl=server_tls if tls else None,
            open_timeout=None,
            close_timeout=0.01,
            ping_interval=None,
        ) as server,
        open_tcp_connection(server, **({"ssl": client_tls} if tls else {})) as (reader, writer),
    ):
        await client(server, reader, writer)
        server.close()
        await server.wait_closed()
        assert server.websockets == set()
        # The TCP connection is gone.
        with contextlib.suppress(ConnectionError):
            await reader.read()
    # Those learn that the connection is closed, and don't handle it.
    careless = handler in (echo, send_all_the_time, send_fragments_all_the_time)
    assert set(complaints(caplog)) <= ({"connection handler failed"} if careless else set())


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@pytest.mark.parametrize(
    "client, told",
    [
        (connect_only, b"HTTP/1.1 503 Service Unavailable\r\n"),
        (send_half_a_request, b"HTTP/1.1 503 Service Unavailable\r\n"),
        (be_idle, b"\x88\x02\x03\xe9"),
        (send_half_a_frame, b"\x88\x02\x03\xe9"),
        (send_half_a_message, b"\x88\x02\x03\xe9"),
    ],
)
async def test_clients_are_told_that_the_server_closes(
    server_tls, client_tls, scheme, client, told
):
    tls = scheme == "wss"
    server = await serve(ignore, "127.0.0.1", 0, ssl=server_tls if tls else None, open_timeout=None)
    async with (
        asyncio.timeout(20),
        open_tcp_connection(server, **({"ssl": client_tls} if tls else {})) as (reader, writer),
    ):
        await client(server, reader, writer)
        if tls:
            # The client finishes its part of the TLS handshake first.
            await be_accepted(server, reader, writer)
        server.close()
        if told.startswith(b"HTTP"):
            assert (await reader.read()).startswith(told)
        else:
            assert await reader.readexactly(len(told)) == told
            writer.write(b"\x88\x82" + MASK + told[-2:])
            assert await reader.read() == b""
        writer.close()
        await server.wait_closed()


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_connection_of_a_silent_client_is_closed_after_a_while(
    server_tls, client_tls, scheme
):
    tls = scheme == "wss"
    server = await serve(
        ignore, "127.0.0.1", 0, ssl=server_tls if tls else None, close_timeout=0.01
    )
    async with (
        asyncio.timeout(20),
        open_tcp_connection(server, **({"ssl": client_tls} if tls else {})) as (reader, writer),
    ):
        await be_idle(server, reader, writer)
        (websocket,) = server.websockets
        server.close()
        await server.wait_closed()
        assert websocket.close_code == 1006
        assert websocket.close_sent.code == 1001


async def test_connections_that_nobody_closes_outlive_the_server(get_uri):
    server = await serve(echo, "127.0.0.1", 0)
    async with connect(get_uri(server)) as websocket:
        server.close(close_connections=False)
        with pytest.raises(ConnectionRefusedError):
            await connect(f"ws://127.0.0.1:{websocket.remote_address[1]}/")
        await websocket.send("a")
        assert await websocket.recv() == "a"
    await server.wait_closed()
    assert websocket.close_code == 1000


async def test_process_request_goes_on_while_the_server_closes(request_raw):
    processing, go_on = asyncio.Event(), asyncio.Event()

    async def process_request(path, headers):
        processing.set()
        await go_on.wait()
        return 200, [], b"OK\n"

    server = await serve(ignore, "127.0.0.1", 0, process_request=process_request)
    request = asyncio.create_task(request_raw(server))
    await processing.wait()
    server.close()
    waiter = asyncio.create_task(server.wait_closed())
    await asyncio.sleep(0.01)
    assert not waiter.done()
    go_on.set()
    # It is answered, and no connection is opened.
    assert (await request).endswith("OK\n")
    await waiter


async def test_waiting_for_the_server_can_be_cancelled(get_uri):
    finish = asyncio.Event()

    async def handler(websocket):
        await finish.wait()

    server = await serve(handler, "127.0.0.1", 0)
    async with connect(get_uri(server)):
        server.close()
        waiter = asyncio.create_task(server.wait_closed())
        await asyncio.sleep(0)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        finish.set()
        await server.wait_closed()


async def test_handler_that_fails_while_the_server_closes_is_an_error(get_uri, caplog):
    async def handler(websocket):
        await websocket.wait_closed()
        raise LookupError("mine")

    async with serve(handler, "127.0.0.1", 0) as server, connect(get_uri(server)):
        server.close()
        await server.wait_closed()
    assert complaints(caplog) == ["connection handler failed"]


async def test_handler_may_close_the_server(get_uri):
    async def handler(websocket):
        server.close()

    server = await serve(handler, "127.0.0.1", 0)
    async with connect(get_uri(server)) as websocket:
        await server.wait_closed()
        await websocket.wait_closed()
    # Either may come first: the handler's, or the server's.
    assert websocket.close_code in (1000, 1001)


async def test_handler_tasks_may_all_be_cancelled(get_uri):
    # As asyncio.run() does when the program ends.
    server = await serve(ignore, "127.0.0.1", 0)
    websockets = [await connect(get_uri(server)) for _ in range(3)]
    tasks = [websocket.handler_task for websocket in server.websockets]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    server.close()
    await server.wait_closed()
    for websocket in websockets:
        await websocket.wait_closed()
        assert websocket.closed


async def test_connection_is_registered_as_long_as_its_handler_runs(get_uri):
    finish = asyncio.Event()

    async def handler(websocket):
        await finish.wait()

    async with serve(handler, "127.0.0.1", 0) as server:
        async with connect(get_uri(server)):
            (websocket,) = server.websockets
        assert isinstance(websocket, WebSocketServerProtocol)
        await until(lambda: websocket.state is State.CLOSED)
        assert server.websockets == {websocket}
        finish.set()
        await until(lambda: not server.websockets)


async def test_clients_that_come_while_the_server_closes(get_uri):
    # All of them get an answer, or none at all; none hangs.
    server = await serve(ignore, "127.0.0.1", 0)
    uri = get_uri(server)
    clients = [asyncio.ensure_future(open_and_close(uri)) for _ in range(10)]
    await until(lambda: server.websockets)
    server.close()
    async with asyncio.timeout(20):
        results = await asyncio.gather(*clients, return_exceptions=True)
        await server.wait_closed()
    for result in results:
        assert result is None or isinstance(result, (InvalidHandshake, OSError))


async def open_and_close(uri):
    async with connect(uri) as websocket:
        await websocket.wait_closed()
