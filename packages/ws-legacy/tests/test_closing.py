"""Closing: every way in which a connection ends, what waits at that time, and what is cancelled."""

import asyncio
import contextlib
import errno
import socket
import struct
import sys

import pytest

from ws_legacy import connect, serve
from ws_legacy.handshake import build_response
from ws_protocol.datastructures import Headers
from ws_protocol.exceptions import ConnectionClosed, ConnectionClosedError, ConnectionClosedOK
from ws_protocol.frames import Close
from ws_protocol.protocol import State

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])

MASK = b"\0\0\0\0"

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def until(condition):
    """Let the event loop run until something is true."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # there is no event for it
            await asyncio.sleep(0)


def reset(websocket):
    """Close the TCP connection with a reset."""
    linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
    sock = websocket.transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    websocket.transport.abort()


@pytest.fixture(params=["plain", "tls"])
def any_pair(request, pair, server_tls, client_tls):
    """Return what makes a client and its connection at the server, without and with TLS."""

    def any_pair(client=None, server=None):
        client, server = dict(client or {}), dict(server or {})
        if request.param == "tls":
            client["ssl"], server["ssl"] = client_tls, server_tls
        return pair(client, server)

    return any_pair


@pytest.fixture
def raw_pair():
    """Return an asynchronous context manager: the reader and writer of a raw client, and its
    connection at a server, with some arguments."""

    @contextlib.asynccontextmanager
    async def raw_pair(**kwargs):
        accepted = asyncio.get_running_loop().create_future()

        async def handler(websocket):
            accepted.set_result(websocket)
            await websocket.wait_closed()

        async with asyncio.timeout(20), serve(handler, "127.0.0.1", 0, **kwargs) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            try:
                writer.write(REQUEST)
                await reader.readuntil(b"\r\n\r\n")
                yield reader, writer, await accepted
            finally:
                writer.transport.abort()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    return raw_pair


# Who closes, and what waits


async def close_here(here, there):
    await here.close(4000, "a")


async def close_there(here, there):
    await there.close(4000, "a")


async def close_both(here, there):
    await asyncio.gather(here.close(4000, "a"), there.close(4000, "a"))


async def fail_here(here, there):
    here.fail_connection(4000, "a")


async def fail_there(here, there):
    there.fail_connection(4000, "a")


async def abort_here(here, there):
    here.transport.abort()


async def abort_there(here, there):
    there.transport.abort()


async def reset_there(here, there):
    reset(there)


HANDSHAKES = [close_here, close_there, close_both]
FAILURES = [fail_here, fail_there]
LOSSES = [abort_here, abort_there, reset_there]


@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.parametrize("end", HANDSHAKES + FAILURES + LOSSES, ids=lambda end: end.__name__)
async def test_recv_that_waits_is_told_how_the_connection_ended(any_pair, side, end):
    async with any_pair() as (client, server):
        here, there = (client, server) if side == "client" else (server, client)
        task = asyncio.create_task(here.recv())
        await asyncio.sleep(0)
        await end(here, there)
        with pytest.raises(ConnectionClosedError) as raised:
            await task
        await there.wait_closed()
        for websocket in (here, there):
            assert websocket.state is State.CLOSED
            assert websocket.closed
            assert not websocket.open
            if end in HANDSHAKES:
                assert (websocket.close_code, websocket.close_reason) == (4000, "a")
                assert websocket.close_rcvd == websocket.close_sent == Close(4000, "a")
            elif end in FAILURES:
                # Who fails doesn't wait for the answer.
                failed = websocket is (here if end is fail_here else there)
                assert websocket.close_code == (1006 if failed else 4000)
                assert websocket.close_rcvd == (None if failed else Close(4000, "a"))
                assert websocket.close_sent == Close(4000, "a")
            else:
                assert (websocket.close_code, websocket.close_reason) == (1006, "")
                assert websocket.close_rcvd is websocket.close_sent is None
        assert raised.value.rcvd == here.close_rcvd
        assert raised.value.sent == here.close_sent
        if end in LOSSES:
            assert str(raised.value) == "no close frame received or sent"


@pytest.mark.parametrize("end", HANDSHAKES + FAILURES + LOSSES, ids=lambda end: end.__name__)
@pytest.mark.parametrize("method", ["recv", "send", "ping", "pong", "ensure_open"])
async def test_methods_tell_afterwards_how_the_connection_ended(pair, end, method):
    async with pair() as (client, server):
        await end(client, server)
        await client.wait_closed()
        for _ in range(2):
            with pytest.raises(ConnectionClosedError) as raised:
                await getattr(client, method)(*(["a"] if method == "send" else []))
            assert (raised.value.sent is None) is (end in LOSSES)
        # Not an error, nor anything else.
        await client.close()
        client.fail_connection(1011)
        await client.wait_closed()


@pytest.mark.parametrize("end", LOSSES, ids=lambda end: end.__name__)
async def test_ping_that_waits_is_told_that_the_connection_is_lost(any_pair, end):
    async with any_pair() as (client, server):
        # The pongs won't come.
        server.transport.pause_reading()
        pong_waiters = [await client.ping(), await client.ping()]
        await end(client, server)
        for pong_waiter in pong_waiters:
            with pytest.raises(ConnectionClosedError, match=r"^no close frame received or sent$"):
                await pong_waiter
        server.transport.abort()


# Closing handshakes that cross


async def test_both_sides_close_at_once(any_pair):
    async with any_pair() as (client, server):
        await asyncio.gather(client.close(4000, "client"), server.close(4001, "server"))
        assert (client.close_sent, client.close_rcvd) == (
            Close(4000, "client"),
            Close(4001, "server"),
        )
        assert (server.close_sent, server.close_rcvd) == (
            Close(4001, "server"),
            Close(4000, "client"),
        )
        assert client.close_rcvd_then_sent is server.close_rcvd_then_sent is False
        assert (client.close_code, server.close_code) == (4001, 4000)


async def test_one_side_closes_while_the_other_fails(any_pair):
    async with any_pair() as (client, server):
        client.fail_connection(1011, "oops")
        await server.close()
        await client.wait_closed()
        # Who fails doesn't wait for the peer's close frame.
        assert (client.close_code, server.close_code) == (1006, 1011)


async def test_close_is_called_several_times_at_once(any_pair):
    async with any_pair() as (client, server):
        await asyncio.gather(*(client.close(code) for code in (4000, 4001, 4002)))
        assert server.close_rcvd == Close(4000, "")


async def test_close_in_answer_to_closing(pair):
    async with pair() as (client, server):
        task = asyncio.create_task(server.close(4000))
        with pytest.raises(ConnectionClosed):
            await client.recv()
        await client.close(4001)
        await task
        assert client.close_sent == Close(4000, "")


async def test_messages_on_their_way_when_the_connection_closes_are_received(any_pair):
    async with any_pair() as (client, server):
        for i in range(10):
            await server.send(str(i))
        await client.close()
        assert [message async for message in client] == [str(i) for i in range(10)]


@pytest.mark.parametrize("closer", ["client", "server"])
async def test_closing_does_not_wait_for_messages_to_be_received(pair, closer):
    # Nobody receives, and reading is paused when the close frame comes.
    async with pair(client={"max_queue": 1, "compression": None}, server={"compression": None}) as (
        client,
        server,
    ):
        for _ in range(100):
            await server.send(bytes(10_000))
        await until(lambda: not client.transport.is_reading())
        if closer == "client":
            await client.close()
        else:
            task = asyncio.create_task(server.close())
            with contextlib.suppress(ConnectionClosedOK):
                while True:
                    assert await client.recv() == bytes(10_000)
            await task
        assert (client.close_code, server.close_code) == (1000, 1000)


@pytest.mark.parametrize("end", ["abort", "close", "fail"])
async def test_connection_ends_while_reading_is_paused(pair, end):
    # What was read already, a close frame among it, can still be received.
    async with pair(client={"max_queue": 1, "compression": None}) as (client, server):
        message = b"\x82\x7e\x03\xe8" + bytes(1000)
        server.transport.write(message * 40 + b"\x88\x02\x0f\xa0")
        await until(lambda: not client.transport.is_reading())
        if end == "abort":
            client.transport.abort()
        elif end == "fail":
            client.fail_connection()
        else:
            await client.close()
        await client.wait_closed()
        received = 0
        with pytest.raises(ConnectionClosedError):
            while True:
                assert await client.recv() == bytes(1000)
                received += 1
        if end == "abort":
            assert received == 40
        server.transport.abort()


# Timeouts


async def test_peer_that_does_not_close_the_tcp_connection_is_given_up():
    # The server is to close it (RFC 6455, section 7.1.1).
    finish = asyncio.Event()

    async def handle(reader, writer):
        request = await reader.readuntil(b"\r\n\r\n")
        key = request.split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0].decode()
        writer.write(switching(key).encode() + b"\x88\x02\x03\xe8")
        await finish.wait()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server, asyncio.timeout(20):
        uri = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        websocket = await connect(uri, close_timeout=0.05)
        await until(lambda: websocket.close_sent is not None)
        # The closing handshake is complete, the connection isn't closed.
        assert websocket.state is State.CLOSING
        assert (websocket.open, websocket.closed, websocket.close_code) == (False, False, None)
        with pytest.raises(ConnectionClosedOK):
            await websocket.recv()
        assert websocket.close_code == 1000
        finish.set()


def switching(key):
    """Return the response that completes an opening handshake."""
    headers = Headers()
    build_response(headers, key)
    return f"HTTP/1.1 101 Switching Protocols\r\n{headers}"


async def test_server_closes_the_tcp_connection_first(raw_pair):
    async with raw_pair(close_timeout=None) as (reader, writer, websocket):
        task = asyncio.create_task(websocket.close(4000))
        assert await reader.readexactly(4) == b"\x88\x02\x0f\xa0"
        writer.write(b"\x88\x82" + MASK + b"\x0f\xa0")
        assert await reader.read() == b""
        writer.close()
        await task


async def test_client_that_does_not_answer_is_given_up(raw_pair):
    async with raw_pair(close_timeout=0.01) as (_, _, websocket):
        await websocket.close(4000)
        assert websocket.close_code == 1006
        assert websocket.close_sent == Close(4000, "")
        with pytest.raises(ConnectionClosedError, match=r"sent 4000 .* no close frame received"):
            await websocket.recv()


async def test_timeouts_may_be_set_on_an_open_connection(raw_pair):
    async with raw_pair(ping_interval=0.01, ping_timeout=None, close_timeout=None) as (
        _,
        _,
        websocket,
    ):
        websocket.ping_timeout = websocket.close_timeout = 0.01
        assert (websocket.ping_timeout, websocket.close_timeout) == (0.01, 0.01)
        async with asyncio.timeout(10):
            with pytest.raises(ConnectionClosedError, match="keepalive ping timeout"):
                await websocket.recv()


async def test_client_that_sends_data_instead_of_closing_is_given_up(raw_pair):
    async with raw_pair(close_timeout=0.05) as (reader, writer, websocket):
        task = asyncio.create_task(websocket.close())
        assert await reader.readexactly(4) == b"\x88\x02\x03\xe8"
        while not task.done():
            if not writer.is_closing():
                writer.write(b"\x82\x81" + MASK + b"a")
            await asyncio.sleep(0)
        await task
        assert websocket.close_code == 1006


@pytest.mark.parametrize(
    "data, sent, code",
    [
        (b"\x88\x80" + MASK, b"\x88\x00", 1005),
        (b"\x88\x82" + MASK + b"\x03\xe8", b"\x88\x02\x03\xe8", 1000),
        (b"\x88\x83" + MASK + b"\x0f\xa0x", b"\x88\x03\x0f\xa0x", 4000),
    ],
)
async def test_close_frame_is_answered(raw_pair, data, sent, code):
    async with raw_pair() as (reader, writer, websocket):
        writer.write(data)
        assert await reader.read() == sent
        writer.close()
        await websocket.wait_closed()
        assert websocket.close_code == code
        assert websocket.close_rcvd_then_sent is True


async def test_client_that_leaves_in_the_middle_of_a_frame(raw_pair):
    async with raw_pair() as (_, writer, websocket):
        writer.write(b"\x82\xff")
        writer.close()
        with pytest.raises(ConnectionClosedError, match=r"^no close frame received or sent$"):
            await websocket.recv()


async def test_client_that_closes_its_side_only_is_told(raw_pair):
    async with raw_pair() as (reader, writer, websocket):
        writer.write_eof()
        await reader.read()
        await websocket.wait_closed()
        assert websocket.close_code == 1006


# Keepalive


async def test_keepalive_goes_on_without_a_timeout_for_pongs(raw_pair):
    async with raw_pair(ping_interval=0.01, ping_timeout=None) as (reader, _, websocket):
        payloads = set()
        for _ in range(5):
            assert await reader.readexactly(2) == b"\x89\x04"
            payloads.add(await reader.readexactly(4))
        assert len(payloads) == 5
        assert websocket.open


async def test_keepalive_gives_up_a_client_that_does_not_answer(raw_pair):
    async with raw_pair(ping_interval=0.01, ping_timeout=0.01, close_timeout=0.01) as (
        reader,
        _,
        websocket,
    ):
        with pytest.raises(ConnectionClosedError, match="keepalive ping timeout"):
            await websocket.recv()
        assert b"\x88\x18\x03\xf3keepalive ping timeout" in await reader.read()
        assert websocket.close_code == 1006


# Cancellation


@pytest.mark.parametrize("method", ["wait_closed", "close", "ensure_open", "recv"])
async def test_waiting_for_the_end_can_be_cancelled(pair, method):
    async with pair() as (client, server):
        server.transport.pause_reading()
        closing = asyncio.create_task(client.close(4000))
        await asyncio.sleep(0)
        tasks = [asyncio.create_task(client.wait_closed())]
        tasks += [asyncio.create_task(getattr(client, method)())]
        await asyncio.sleep(0)
        tasks[1].cancel()
        with pytest.raises(asyncio.CancelledError):
            await tasks[1]
        assert not tasks[0].done()
        server.transport.resume_reading()
        await asyncio.gather(closing, tasks[0])
        assert client.close_code == 4000


async def test_futures_that_took_the_place_of_tasks_can_be_cancelled(pair):
    # Frameworks cancel them.
    async with pair() as (client, server):
        for future in (client.close_connection_task, client.transfer_data_task):
            future.cancel()
        await server.send("a")
        assert await client.recv() == "a"
        await client.close()
        assert client.close_code == 1000
        await client.close_connection_task
        await client.transfer_data_task


@pytest.mark.parametrize("method", ["send", "ping", "pong"])
async def test_cancelling_what_waits_for_the_network_does_no_harm(pair, method):
    async with pair(
        client={"write_limit": 1024, "compression": None},
        server={"compression": None, "max_size": None},
    ) as (client, server):
        server.transport.pause_reading()
        first = asyncio.create_task(client.send(bytes(2**24)))
        await asyncio.sleep(0)
        task = asyncio.create_task(getattr(client, method)("x"))
        await asyncio.sleep(0)
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        server.transport.resume_reading()
        assert await server.recv() == bytes(2**24)
        await first
        await client.send("last")
        if method == "send":
            assert await server.recv() == "x"
        assert await server.recv() == "last"


async def test_cancelling_recv_when_a_message_is_there_keeps_the_message(pair):
    async with pair() as (client, server):
        task = asyncio.create_task(client.recv())
        await asyncio.sleep(0)
        await server.send("a")
        # Its future is done, and it hasn't run since.
        await until(lambda: client.messages)
        task.cancel()
        await asyncio.wait([task])
        messages = [] if task.cancelled() else [task.result()]
        await server.send("b")
        while len(messages) < 2:
            messages.append(await client.recv())
        assert messages == ["a", "b"]


async def test_timeout_of_recv_loses_nothing(pair):
    async with pair() as (client, server):
        messages = []
        for i in range(20):
            await server.send(str(i))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0):
                    messages.append(await client.recv())
        while len(messages) < 20:
            messages.append(await client.recv())
        assert messages == [str(i) for i in range(20)]


async def test_cancelling_a_send_that_waits_for_fragments(pair):
    go_on = asyncio.Event()

    async def slow():
        yield "a"
        await go_on.wait()
        yield "b"

    async with pair() as (client, server):
        first = asyncio.create_task(client.send(slow()))
        await asyncio.sleep(0)
        second = asyncio.create_task(client.send("never"))
        third = asyncio.create_task(client.send("c"))
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        go_on.set()
        await asyncio.gather(first, third)
        assert [await server.recv(), await server.recv()] == ["ab", "c"]


async def test_cancelling_the_closing_of_a_client_closes_it_all_the_same(get_uri):
    async def handler(websocket):
        await websocket.wait_closed()

    async with serve(handler, "127.0.0.1", 0) as server:
        websocket = await connect(get_uri(server))
        task = asyncio.create_task(websocket.close(4000))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await websocket.wait_closed()
        assert websocket.close_code == 4000


class Gone:
    """A transport whose peer is gone, which the event loop hasn't noticed."""

    def __init__(self, transport):
        self._transport = transport

    def __getattr__(self, name):
        return getattr(self._transport, name)

    def write_eof(self):
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")


async def test_peer_that_is_gone_without_notice_does_not_hinder_closing(pair):
    async with pair() as (_, server):
        server.transport = Gone(server.transport)
        await server.close()
        assert server.state is State.CLOSED
        assert server.close_code == 1000
