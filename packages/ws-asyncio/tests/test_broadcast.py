"""Sending one message to many connections, in memory."""

import array
import asyncio
import contextlib

import pytest

from ws_asyncio import broadcast
from ws_protocol.exceptions import ConcurrencyError, ConnectionClosedError
from ws_protocol.frames import Frame, Opcode
from ws_protocol.protocol import Side, State

strided = memoryview(b"-a-b-c")[1::2]
of_items = memoryview(array.array("H", [1, 2, 3]))


@pytest.mark.parametrize(
    "message, text, expected",
    [
        ("café", None, "café"),
        ("", None, ""),
        ("café", True, "café"),
        ("café", False, "café".encode()),
        (b"\xff", None, b"\xff"),
        (b"", None, b""),
        (b"caf\xc3\xa9", True, "café"),
        (b"abc", False, b"abc"),
        (bytearray(b"abc"), None, b"abc"),
        (strided, None, b"abc"),
        (strided, True, "abc"),
        (of_items, None, bytes(of_items)),
    ],
)
@pytest.mark.parametrize("side", Side)
async def test_message_is_sent_to_all_connections(link, side, message, text, expected):
    links = [await link(side) for _ in range(3)]
    broadcast([connection for connection, _ in links], message, text=text)
    # Without waiting for anything.
    for _, peer in links:
        assert peer.messages == [expected]
        assert len(peer.frames) == 1


async def test_connections_may_be_any_iterable(link):
    (first, peer), (second, other_peer) = [await link() for _ in range(2)]
    broadcast({first, second}, "set")
    broadcast((connection for connection in [first, second]), "generator")
    broadcast({first: 1, second: 2}, "keys")
    broadcast([], "nobody")
    await asyncio.sleep(0)
    assert peer.messages == other_peer.messages == ["set", "generator", "keys"]


async def test_servers_make_the_message_once_for_all_clients(link):
    (first, peer), (second, other_peer) = [await link(Side.SERVER) for _ in range(2)]
    broadcast([first, second], "message")
    assert peer.messages == other_peer.messages == ["message"]
    assert first.transport.writes[-1] is second.transport.writes[-1]


async def test_broadcast_stays_in_order_with_messages(link):
    connection, peer = await link()
    await connection.send("1")
    broadcast([connection], "2")
    await connection.send(["3"])
    broadcast([connection], "4")
    await asyncio.sleep(0)
    assert peer.messages == ["1", "2", "3", "4"]


@pytest.mark.parametrize("message", [None, 1, ["a"], ("a",), {"a": 1}, iter(["a"]), object()])
@pytest.mark.parametrize("raise_exceptions", [False, True])
async def test_message_of_another_type_is_refused(link, message, raise_exceptions):
    connection, peer = await link()
    with pytest.raises(TypeError, match=f"not {type(message).__name__}"):
        broadcast([connection], message, raise_exceptions=raise_exceptions)
    assert peer.frames == []


async def test_connections_that_are_not_open_are_skipped_silently(link, caplog):
    connecting, connecting_peer = await link(handshake=False)
    connection, peer = await link()
    closing, closing_peer = await link()
    closing_peer.silent = True
    task = asyncio.create_task(closing.close())
    await asyncio.sleep(0)
    assert closing.state is State.CLOSING
    closed, closed_peer = await link()
    await closed.close()
    lost, _ = await link()
    lost.transport.abort()
    broadcast([connecting, closing, closed, lost, connection], "a", raise_exceptions=True)
    broadcast([connecting, closing, closed, lost, connection], "b")
    await asyncio.sleep(0)
    assert peer.messages == ["a", "b"]
    assert connecting_peer.frames == []
    assert closing_peer.opcodes() == closed_peer.opcodes() == [Opcode.CLOSE]
    assert caplog.records == []
    closing_peer.flush()
    await task


@contextlib.asynccontextmanager
async def sending_fragments(connection):
    """Let a connection be in the middle of a fragmented message."""
    begun, ready = asyncio.Event(), asyncio.Event()

    async def fragments():
        yield "frag"
        begun.set()
        await ready.wait()
        yield "ments"

    task = asyncio.create_task(connection.send(fragments()))
    await begun.wait()
    yield
    ready.set()
    await task


async def test_connections_that_send_fragments_are_skipped_with_a_warning(link, caplog):
    (first, peer), (busy, busy_peer), (last, last_peer) = [await link() for _ in range(3)]
    async with sending_fragments(busy):
        broadcast([first, busy, last], "Hello")
    assert peer.messages == last_peer.messages == ["Hello"]
    assert busy_peer.messages == ["fragments"]
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage() == "skipped broadcast: sending a fragmented message"
    assert record.websocket is busy
    broadcast([first, busy, last], "again")
    assert busy_peer.messages == ["fragments", "again"]


async def test_connections_that_send_fragments_are_in_an_exception_group_if_asked_for(link, caplog):
    (first, peer), (busy, busy_peer), (busier, _), (last, last_peer) = [
        await link() for _ in range(4)
    ]
    async with sending_fragments(busy), sending_fragments(busier):
        with pytest.raises(ExceptionGroup, match="skipped broadcast") as raised:
            broadcast([first, busy, busier, last], "Hello", raise_exceptions=True)
    assert [type(exc) for exc in raised.value.exceptions] == [ConcurrencyError, ConcurrencyError]
    assert peer.messages == last_peer.messages == ["Hello"]
    assert busy_peer.messages == ["fragments"]
    assert caplog.records == []


async def test_fragmented_message_without_its_first_fragment_is_no_obstacle(link, clock):
    async def fragments():
        await asyncio.sleep(1)
        yield "later"

    connection, peer = await link()
    task = asyncio.create_task(connection.send(fragments()))
    await clock.settle()
    broadcast([connection], "now", raise_exceptions=True)
    await task
    assert peer.messages == ["now", "later"]


async def test_connection_that_is_slow_does_not_stop_broadcast(link, clock):
    slow, slow_peer = await link(write_limit=10)
    connection, peer = await link()
    slow.transport.block()
    for i in range(100):
        broadcast([slow, connection], str(i))
    await asyncio.sleep(0)
    assert peer.messages == [str(i) for i in range(100)]
    assert slow_peer.messages == []
    slow.transport.unblock()
    assert slow_peer.messages == [str(i) for i in range(100)]


async def test_text_that_can_not_be_encoded_is_refused(link):
    connection, peer = await link()
    with pytest.raises(UnicodeEncodeError):
        broadcast([connection], "\ud800")
    assert peer.frames == []


async def test_message_may_change_after_the_broadcast(link):
    for side in Side:
        connection, peer = await link(side)
        connection.transport.block()
        data = bytearray(b"before")
        broadcast([connection], data)
        data[:] = b"after!"
        connection.transport.unblock()
        assert peer.frames == [Frame(Opcode.BINARY, b"before")]


# Connections that are too slow


async def test_message_is_left_out_where_too_much_waits(link):
    (slow, slow_peer), (fast, fast_peer) = [await link() for _ in range(2)]
    slow.transport.block()
    for number in range(10):
        broadcast([slow, fast], f"{number}" * 1000, max_buffer=2500)
    # Writes of a turn of the event loop leave at its end.
    await asyncio.sleep(0)
    assert 2500 < len(slow.transport.buffer) < 2500 + 1100
    slow.transport.unblock()
    broadcast([slow, fast], "last", max_buffer=2500)
    await asyncio.sleep(0)
    assert slow_peer.messages == ["0" * 1000, "1" * 1000, "2" * 1000, "last"]
    assert len(fast_peer.messages) == 11


async def test_transport_is_not_given_more_and_more_while_the_peer_does_not_read(link):
    connection, peer = await link(Side.SERVER, write_limit=1000)
    transport = connection.transport
    transport.block()
    for number in range(1000):
        broadcast([connection], f"{number:098}")
    assert len(transport.buffer) == 1100
    assert connection.get_buffer_size() == 100_000
    transport.unblock(900)
    # What it gets at a time.
    assert 60_000 < len(transport.buffer) < 70_000
    assert connection.get_buffer_size() == 99_100
    transport.unblock()
    assert peer.messages == [f"{number:098}" for number in range(1000)]
    assert connection.get_buffer_size() == 0


async def test_what_waits_for_the_end_of_a_turn_does_not_make_a_connection_slow(link):
    connection, peer = await link()
    for number in range(4):
        await connection.send(f"{number}" * 1000)
    broadcast([connection], "last", max_buffer=1000)
    await asyncio.sleep(0)
    assert peer.messages[-1] == "last"
    assert len(peer.messages) == 5


async def test_connection_can_be_closed_when_too_much_waits(link, clock):
    connection, _ = await link(close_timeout=5)
    connection.transport.block()
    start = clock.time()
    for _ in range(10):
        broadcast([connection], bytes(1000), max_buffer=2500, slow="close")
    assert len(connection.transport.buffer) < 2500 + 1200
    assert connection.state is State.CLOSING
    await connection.wait_closed()
    assert 5 <= clock.time() - start < 6
    assert connection.transport.aborted
    with pytest.raises(ConnectionClosedError, match=r"^sent 1008 \(policy violation\) too slow"):
        await connection.recv()


async def test_what_to_do_with_slow_connections_is_checked_first(link):
    connection, peer = await link()
    with pytest.raises(ValueError, match="slow must be 'skip' or 'close', got 'drop'"):
        broadcast([connection], "a", slow="drop")
    assert peer.messages == []
