"""Nothing is left of a connection that is closed: no task, no timer, no reference cycle.

A cycle isn't a leak, but keeps buffers of dead connections in memory until the garbage collector
runs, and makes it run longer.
"""

import asyncio
import contextlib
import gc
import logging
import socket
import struct
import sys
import weakref

import pytest

from ws_legacy import WebSocketClientProtocol, broadcast, connect, serve
from ws_protocol.exceptions import ConnectionClosed, InvalidHandshake

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])

closed = contextlib.suppress(ConnectionClosed)


async def find_garbage(coroutine):
    """Run a coroutine, and return what only the garbage collector would find afterwards, of
    ours."""
    # What is there already is left out, which takes most of the time.
    gc.freeze()
    gc.disable()
    try:
        await coroutine
        del coroutine
        # Transports forget their protocols a little later.
        for _ in range(5):
            await asyncio.sleep(0)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        return [
            type(item).__qualname__
            for item in gc.garbage
            if type(item).__module__.split(".")[0] in ("ws_legacy", "ws_protocol")
        ]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
        gc.unfreeze()


class Counter(logging.Handler):
    """A log handler that keeps nothing: records refer to connections."""

    count = 0

    def emit(self, record):
        self.format(record)
        self.count += 1


@contextlib.contextmanager
def count_records(level):
    """Give a :class:`Counter` that replaces all other handlers, which may keep records."""
    counter = Counter()
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in ("websockets.client", "websockets.server"):
            logger = logging.getLogger(name)
            monkeypatch.setattr(logger, "handlers", [counter])
            monkeypatch.setattr(logger, "propagate", False)
            logger.setLevel(level)
        try:
            yield counter
        finally:
            for name in ("websockets.client", "websockets.server"):
                logging.getLogger(name).setLevel(logging.NOTSET)


async def use(client, server):
    """Do a little of everything."""
    await client.send("one")
    await client.send(["tw", "o"])
    assert [await server.recv(), await server.recv()] == ["one", "two"]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0):
            await client.recv()
    for websocket in (client, server):
        await (await websocket.ping())
        await websocket.ping()
        await websocket.pong()
        assert websocket.logger is not None
    broadcast([server], "three")
    async for message in client:
        assert message == "three"
        break


# The ends of a connection


def reset(websocket):
    """Close the TCP connection with a reset."""
    linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
    sock = websocket.transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    websocket.transport.abort()


async def close_client(client, server):
    await client.close()


async def close_server(client, server):
    await server.close()


async def reset_server(client, server):
    reset(server)
    with closed:
        await client.recv()


async def reset_client_while_sending(client, server):
    # Reading would notice it first.
    server.transport.pause_reading()
    reset(client)
    await client.wait_closed()
    with closed:
        while True:
            await server.send(bytes(10000))


async def break_protocol(client, server):
    server.transport.write(b"\xff\xff")
    with closed:
        await client.recv()


async def send_invalid_text(client, server):
    server.transport.write(b"\x81\x01\xff")
    with closed:
        await client.recv()


async def send_too_much(client, server):
    await server.send(bytes(2**20 + 1))
    with closed:
        await client.recv()


async def fail_to_send(client, server):
    with contextlib.suppress(TypeError):
        await client.send(["a", b"b"])


async def cancel_close(client, server):
    task = asyncio.create_task(client.close())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])


async def be_silent_while_closing(client, server):
    server.transport.pause_reading()
    await client.close()
    server.transport.abort()


async def let_many_wait(client, server):
    server.transport.pause_reading()
    tasks = [asyncio.create_task(client.recv())]
    tasks += [asyncio.create_task(client.send(bytes(2**18))) for _ in range(20)]
    await asyncio.sleep(0.01)
    pings = [asyncio.create_task(client.ping()) for _ in range(10)]
    await asyncio.sleep(0)
    client.transport.abort()
    await asyncio.gather(*tasks, *pings, return_exceptions=True)
    server.transport.abort()


ENDS = [
    close_client,
    close_server,
    reset_server,
    reset_client_while_sending,
    break_protocol,
    send_invalid_text,
    send_too_much,
    fail_to_send,
    cancel_close,
    be_silent_while_closing,
    let_many_wait,
]


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_nothing_is_left_of_both_sides(get_uri, server_tls, client_tls, tls, end, debug):
    references = []
    accepted = asyncio.Queue()

    async def handler(websocket):
        accepted.put_nowait(websocket)
        await websocket.wait_closed()

    async def run(uri):
        client = await connect(uri, **settings, **({"ssl": client_tls} if tls else {}))
        websocket = await accepted.get()
        references.extend([weakref.ref(client), weakref.ref(websocket)])
        await use(client, websocket)
        await end(client, websocket)
        await client.wait_closed()
        await asyncio.wait([websocket.handler_task])

    settings = {"close_timeout": 0.1, "compression": None}
    with count_records(logging.DEBUG if debug else logging.WARNING) as counter:
        async with serve(
            handler, "127.0.0.1", 0, ssl=server_tls if tls else None, **settings
        ) as server:
            uri = get_uri(server, scheme="wss" if tls else "ws")
            assert await find_garbage(run(uri)) == []
            assert [reference() for reference in references] == [None] * 2
    assert bool(counter.count) is debug


@pytest.mark.parametrize("failure", ["refuse", "raise", "return"])
async def test_nothing_is_left_of_an_opening_handshake_that_fails(get_uri, failure):
    async def process_request(path, headers):
        if failure == "raise":
            raise LookupError("mine")
        return "?" if failure == "return" else (403, [], b"no\n")

    async def run(uri):
        with contextlib.suppress(InvalidHandshake):
            await connect(uri)
        while server.websockets:  # noqa: ASYNC110  # there is no event for it
            await asyncio.sleep(0)

    async with serve(None, "127.0.0.1", 0, process_request=process_request) as server:
        assert await find_garbage(run(get_uri(server))) == []


async def test_nothing_is_left_of_a_handler_that_fails(get_uri):
    async def handler(websocket):
        raise LookupError("mine")

    async def run(uri):
        async with connect(uri) as websocket:
            with closed:
                await websocket.recv()
        while server.websockets:  # noqa: ASYNC110  # there is no event for it
            await asyncio.sleep(0)

    with count_records(logging.ERROR) as counter:
        async with serve(handler, "127.0.0.1", 0) as server:
            assert await find_garbage(run(get_uri(server))) == []
    assert counter.count == 1


async def test_nothing_is_left_of_a_redirect(answer_raw):
    redirect = "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"

    async def run(uri):
        with contextlib.suppress(InvalidHandshake):
            await connect(uri)

    async with answer_raw(redirect, "HTTP/1.1 403 Forbidden\r\n\r\n") as (uri, requests):
        assert await find_garbage(run(uri)) == []
    assert len(requests) == 2


async def test_nothing_is_left_of_a_response_that_does_not_come():
    connections = []

    class Protocol(WebSocketClientProtocol):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            connections.append(weakref.ref(self))

    async def handle(reader, writer):
        await reader.read()
        writer.close()

    async def run():
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        async with server:
            with contextlib.suppress(TimeoutError):
                await connect(
                    f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/",
                    create_protocol=Protocol,
                    open_timeout=0.01,
                )

    assert await find_garbage(run()) == []
    assert [connection() for connection in connections] == [None]


async def test_nothing_is_left_of_a_tcp_connection_that_fails():
    async def run():
        with socket.socket() as sock:
            # It doesn't listen.
            sock.bind(("127.0.0.1", 0))
            with contextlib.suppress(OSError):
                await connect(f"ws://127.0.0.1:{sock.getsockname()[1]}/")

    assert await find_garbage(run()) == []


async def test_broadcast_that_fails_leaves_nothing(get_uri):
    async def fragments():
        yield "first"
        await asyncio.get_running_loop().create_future()

    async def handler(websocket):
        task = asyncio.create_task(websocket.send(fragments()))
        await asyncio.sleep(0)
        with pytest.raises(ExceptionGroup):
            broadcast([websocket], "a", raise_exceptions=True)
        task.cancel()
        await websocket.wait_closed()

    async def run(uri):
        async with connect(uri) as websocket:
            await websocket.wait_closed()
        while server.websockets:  # noqa: ASYNC110  # there is no event for it
            await asyncio.sleep(0)

    async with serve(handler, "127.0.0.1", 0) as server:
        assert await find_garbage(run(get_uri(server))) == []
