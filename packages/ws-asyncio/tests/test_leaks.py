"""Nothing is left of a connection that is closed: no task, no timer, no reference cycle.

A cycle isn't a leak, but keeps buffers of dead connections in memory until the garbage collector
runs, and makes it run longer.
"""

import asyncio
import contextlib
import gc
import itertools
import logging
import socket
import struct
import sys
import weakref

import pytest

from ws_asyncio import broadcast, connect, serve
from ws_protocol.exceptions import ConnectionClosed, InvalidHandshake
from ws_protocol.protocol import Side, State

pytestmark = pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="only CPython counts references"
)

closed = contextlib.suppress(ConnectionClosed)


@pytest.fixture
async def find_garbage():
    """Return a coroutine function that runs a coroutine, and returns what only the garbage
    collector would find afterwards, of ours."""

    async def find_garbage(coroutine):
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
                if type(item).__module__.split(".")[0] in ("ws_asyncio", "ws_protocol")
            ]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
            gc.unfreeze()

    return find_garbage


class Counter(logging.Handler):
    """A log handler that keeps nothing: records refer to connections."""

    count = 0

    def emit(self, record):
        self.format(record)
        self.count += 1


# In memory


async def use(connection, peer):
    """Do a little of everything."""
    peer.send("one", ["tw", "o"], b"three", ["fo", "ur"])
    assert await connection.recv() == "one"
    assert [fragment async for fragment in connection.recv_streaming()] == ["tw", "o"]
    async for message in connection:
        assert message == b"three"
        break
    assert await anext(connection.recv_streaming()) == "fo"
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1):
            [_ async for _ in connection.recv_streaming()]
            await connection.recv()
    await connection.send("one")
    await connection.send(["tw", "o"])
    await (await connection.ping())
    await connection.ping()
    await connection.pong()
    broadcast([connection], "three")
    connection.logger.debug("used %s", connection.id)
    # Until after some pings.
    await asyncio.sleep(50)


async def end_with_close(connection, peer):
    await connection.close()


async def end_with_close_of_the_peer(connection, peer):
    peer.close()
    with closed:
        await connection.recv()


async def end_with_eof(connection, peer):
    peer.send_eof()
    with closed:
        await connection.send("a")


async def end_with_reset(connection, peer):
    def fail():
        # With a traceback, as it has when a transport caught it.
        raise ConnectionResetError("gone")

    try:
        fail()
    except ConnectionResetError as exc:
        peer.transport.lose(exc)
    with closed:
        await connection.recv()


async def end_with_invalid_frame(connection, peer):
    peer.transport.receive(b"\xff\xff")
    with closed:
        await connection.recv()


async def end_with_invalid_text(connection, peer):
    peer.protocol.send_text(b"\xff")
    peer.flush()
    with closed:
        await connection.recv()


async def end_with_message_that_is_too_big(connection, peer):
    peer.send(bytes(2**20 + 1))
    with closed:
        await connection.recv()


async def end_with_failure_to_decode(connection, peer):
    peer.send(b"\xff")
    with closed:
        await connection.recv(decode=True)


async def end_with_failure_to_decode_a_fragment(connection, peer):
    peer.send([b"\xff", b"\xff"])
    with closed:
        await anext(connection.recv_streaming(decode=True))


async def end_with_silence(connection, peer):
    peer.silent = True
    with closed:
        await connection.recv()


async def end_with_silence_while_closing(connection, peer):
    peer.silent = True
    await connection.close()


async def end_with_failure_to_send(connection, peer):
    with contextlib.suppress(TypeError):
        await connection.send(["a", b"b"])
    await connection.wait_closed()


async def end_with_cancellation(connection, peer):
    task = asyncio.create_task(connection.close())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await connection.wait_closed()


async def end_with_many_that_wait(connection, peer):
    connection.transport.block()
    tasks = [asyncio.create_task(connection.recv())]
    tasks += [asyncio.create_task(connection.send(bytes(10000))) for _ in range(10)]
    tasks += [asyncio.create_task(connection.ping()) for _ in range(10)]
    await asyncio.sleep(1)
    connection.transport.abort()
    await asyncio.gather(*tasks, return_exceptions=True)


ENDS = [value for name, value in sorted(globals().items()) if name.startswith("end_with_")]


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize(
    "side, end",
    # In memory, a server has no keepalive.
    [case for case in itertools.product(Side, ENDS) if case != (Side.SERVER, end_with_silence)],
)
async def test_connection_is_gone_when_it_is_not_referred_to_any_more(
    link, clock, monkeypatch, find_garbage, side, end, debug
):
    logger = logging.getLogger(f"websockets.{side.name.lower()}")
    counter = Counter()
    monkeypatch.setattr(logger, "handlers", [counter])
    monkeypatch.setattr(logger, "propagate", False)
    logger.setLevel(logging.DEBUG if debug else logging.NOTSET)
    references = []

    async def run():
        connection, peer = await link(side)
        references.extend([weakref.ref(connection), weakref.ref(connection.protocol)])
        await use(connection, peer)
        await end(connection, peer)
        assert connection.state is State.CLOSED
        assert clock.timers() == []

    try:
        assert await find_garbage(run()) == []
    finally:
        logger.setLevel(logging.NOTSET)
    assert bool(counter.count) is debug
    assert [reference() for reference in references] == [None, None]


async def test_broadcast_that_fails_leaves_nothing(link, find_garbage):
    async def run():
        connections = [(await link())[0] for _ in range(3)]

        async def fragments():
            yield "first"
            await asyncio.Event().wait()

        tasks = [asyncio.create_task(connection.send(fragments())) for connection in connections]
        await asyncio.sleep(0)
        with contextlib.suppress(ExceptionGroup):
            broadcast(connections, "a", raise_exceptions=True)
        for connection, task in zip(connections, tasks, strict=True):
            task.cancel()
            await connection.wait_closed()

    assert await find_garbage(run()) == []


# Over sockets


def reset(connection):
    """Close the TCP connection with a reset."""
    linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
    sock = connection.transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    connection.transport.abort()


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


async def never_read(client, server):
    client.transport.pause_reading()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            while True:
                await server.send(bytes(1_000_000))
    await server.close()
    await client.close()


@pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])
@pytest.mark.parametrize(
    "end",
    [
        close_client,
        close_server,
        reset_server,
        reset_client_while_sending,
        break_protocol,
        pytest.param(never_read, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_nothing_is_left_of_both_sides(
    get_uri, server_tls, client_tls, find_garbage, tls, end
):
    references = []

    async def run():
        accepted = asyncio.Queue()

        async def handler(connection):
            accepted.put_nowait(connection)
            await connection.send(await connection.recv())
            await connection.wait_closed()

        settings = {"close_timeout": 0.1, "compression": None}
        async with serve(
            handler, "127.0.0.1", 0, ssl=server_tls if tls else None, **settings
        ) as server:
            uri = get_uri(server, scheme="wss" if tls else "ws")
            client = await connect(uri, ssl=client_tls if tls else None, **settings)
            connection = await accepted.get()
            for side in [client, connection]:
                references.extend([weakref.ref(side), weakref.ref(side.protocol)])
            await client.send("Hello")
            assert await client.recv() == "Hello"
            await (await client.ping())
            await (await connection.ping())
            await end(client, connection)
            await client.wait_closed()
            await connection.wait_closed()

    assert await find_garbage(run()) == []
    assert [reference() for reference in references] == [None] * 4


@pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])
async def test_nothing_is_left_of_an_opening_handshake_that_fails(get_uri, find_garbage):
    async def run():
        def refuse(connection, request):
            return connection.respond(403, "no\n")

        async with serve(None, "127.0.0.1", 0, process_request=refuse) as server:
            with contextlib.suppress(InvalidHandshake):
                await connect(get_uri(server))

    assert await find_garbage(run()) == []


@pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])
@pytest.mark.parametrize("debug", [False, True])
async def test_nothing_is_left_of_a_tcp_connection_that_fails(caplog, debug, find_garbage):
    logger = logging.getLogger("test_leaks")
    caplog.set_level(logging.DEBUG if debug else logging.INFO, logger.name)

    async def run():
        with socket.socket() as sock:
            # It doesn't listen.
            sock.bind(("127.0.0.1", 0))
            with contextlib.suppress(OSError):
                await connect(f"ws://127.0.0.1:{sock.getsockname()[1]}/", logger=logger)

    assert await find_garbage(run()) == []
