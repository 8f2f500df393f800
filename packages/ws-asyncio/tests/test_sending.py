"""Sending messages, on connections in memory."""

import array
import asyncio
import collections
import sys

import pytest

from ws_asyncio import broadcast
from ws_protocol.exceptions import (
    ConcurrencyError,
    ConnectionClosedError,
    ConnectionClosedOK,
    ProtocolError,
)
from ws_protocol.frames import Close, Frame, Opcode
from ws_protocol.protocol import Side, State


async def asynchronously(items):
    """Yield items, and let others run in between."""
    for item in items:
        await asyncio.sleep(0)
        yield item


class Source:
    """An asynchronous iterable of fragments, to which a test adds them one by one.

    Attributes:
        closed: Whether the iteration ended before the last.

    """

    def __init__(self, *items):
        self._queue = asyncio.Queue()
        self.closed = False
        for item in items:
            self.put(item)

    def put(self, item):
        self._queue.put_nowait(item)

    def end(self, exc=StopAsyncIteration):
        """End it, or let it raise an exception."""
        self._queue.put_nowait(exc)

    async def __aiter__(self):
        try:
            while True:
                item = await self._queue.get()
                if item is StopAsyncIteration:
                    return
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self.closed = True


# Types

strided = memoryview(b"-a-b-c")[1::2]
of_items = memoryview(array.array("H", [1, 2, 3]))
of_dimensions = memoryview(b"abcdef").cast("B", (2, 3))

MESSAGES = [
    ("café", "café"),
    ("", ""),
    (b"\x00\xff", b"\x00\xff"),
    (b"", b""),
    (bytearray(b"\x01"), b"\x01"),
    (memoryview(b"\x02\x03"), b"\x02\x03"),
    (memoryview(b""), b""),
    (strided, b"abc"),
    (of_items, array.array("H", [1, 2, 3]).tobytes()),
    (of_items[::2], array.array("H", [1, 3]).tobytes()),
    (of_dimensions, b"abcdef"),
]


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("message, expected", MESSAGES)
async def test_message_of_each_type_is_sent_in_one_frame(link, side, message, expected):
    connection, peer = await link(side)
    await connection.send(message)
    opcode = Opcode.TEXT if isinstance(expected, str) else Opcode.BINARY
    assert peer.opcodes() == [opcode]
    assert peer.messages == [expected]


@pytest.mark.parametrize("iterate", [list, iter, tuple, asynchronously])
@pytest.mark.parametrize("message, expected", MESSAGES)
async def test_message_in_fragments_of_each_type_is_sent_in_a_frame_for_each(
    link, iterate, message, expected
):
    connection, peer = await link()
    await connection.send(iterate([message, message]))
    await asyncio.sleep(0)
    opcode = Opcode.TEXT if isinstance(expected, str) else Opcode.BINARY
    data = expected.encode() if isinstance(expected, str) else expected
    assert peer.frames == [
        Frame(opcode, data, fin=False),
        Frame(Opcode.CONT, data, fin=False),
        Frame(Opcode.CONT, b"", fin=True),
    ]


@pytest.mark.parametrize("iterate", [list, asynchronously])
async def test_message_of_one_fragment_is_sent(link, iterate):
    connection, peer = await link()
    await connection.send(iterate(["alone"]))
    await asyncio.sleep(0)
    assert peer.messages == ["alone"]


@pytest.mark.parametrize("iterate", [list, asynchronously])
async def test_message_without_fragments_is_not_sent(link, iterate):
    connection, peer = await link()
    await connection.send(iterate([]))
    assert peer.frames == []
    await connection.send("next")
    assert peer.messages == ["next"]


async def test_fragments_of_all_bytes_like_types_make_one_message(link):
    connection, peer = await link()
    await connection.send([b"a", bytearray(b"b"), memoryview(b"c")])
    await asyncio.sleep(0)
    assert peer.messages == [b"abc"]


@pytest.mark.parametrize(
    "message, text, expected",
    [
        ("café", False, "café".encode()),
        ("café", True, "café"),
        ("café".encode(), True, "café"),
        (bytearray(b"abc"), True, "abc"),
        (strided, True, "abc"),
        (b"abc", False, b"abc"),
        (["ca", "fé"], False, "café".encode()),
        (["ca", "fé"], True, "café"),
        ([b"caf\xc3", b"\xa9"], True, "café"),
        ([b"caf\xc3", b"\xa9"], False, "café".encode()),
    ],
)
async def test_text_chooses_the_kind_of_message(link, message, text, expected):
    connection, peer = await link()
    await connection.send(message, text=text)
    if isinstance(message, list):
        await connection.send(asynchronously(message), text=text)
        await asyncio.sleep(0)
        assert peer.messages == [expected, expected]
    else:
        assert peer.messages == [expected]
    assert peer.protocol.parser_exc is None


@pytest.mark.parametrize("message", [{"a": 1}, collections.OrderedDict(), collections.ChainMap()])
async def test_mapping_is_refused(link, message):
    connection, peer = await link()
    with pytest.raises(TypeError, match="mapping"):
        await connection.send(message)
    await connection.send("next")
    assert peer.messages == ["next"]


@pytest.mark.parametrize("message", [None, 1, 1.5, object(), len])
async def test_message_of_another_type_is_refused(link, message):
    connection, peer = await link()
    with pytest.raises(TypeError, match=f"not {type(message).__name__}"):
        await connection.send(message)
    await connection.send("next")
    assert peer.messages == ["next"]


@pytest.mark.parametrize("iterate", [list, asynchronously])
@pytest.mark.parametrize("fragments", [[None], [1, "a"], [["a"]]])
async def test_first_fragment_of_another_type_is_refused(link, iterate, fragments):
    connection, peer = await link()
    with pytest.raises(TypeError, match="fragments must be str or bytes-like"):
        await connection.send(iterate(fragments))
    await connection.send("next")
    assert peer.messages == ["next"]


@pytest.mark.parametrize("iterate", [list, asynchronously])
@pytest.mark.parametrize(
    "fragments", [["a", 1], ["a", b"b"], [b"a", "b"], [b"a", bytearray(b"b"), "c"], [b"a", None]]
)
@pytest.mark.parametrize("side", Side)
async def test_later_fragment_of_another_type_fails_the_connection(link, iterate, fragments, side):
    connection, peer = await link(side)
    with pytest.raises(TypeError, match="fragments must be"):
        await connection.send(iterate(fragments))
    assert connection.state is State.CLOSING
    with pytest.raises(ConnectionClosedError) as raised:
        await connection.send("next")
    assert raised.value.sent == Close(1011, "error in fragmented message")
    assert peer.messages == []
    assert peer.protocol.close_rcvd.code == 1011


async def test_exception_of_the_first_fragment_leaves_the_connection_open(link):
    connection, peer = await link()
    source = Source()
    source.end(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await connection.send(source)
    await connection.send("next")
    assert peer.messages == ["next"]


async def test_exception_of_a_later_fragment_fails_the_connection(link, clock):
    connection, peer = await link(max_queue=0)
    # The close frame of the peer can be read only if reading goes on.
    peer.send("unread")
    assert not connection.transport.reading
    source = Source("a")
    source.end(ZeroDivisionError())
    start = clock.time()
    with pytest.raises(ZeroDivisionError):
        await connection.send(source)
    assert source.closed
    assert connection.state is State.CLOSING
    await connection.wait_closed()
    assert peer.protocol.close_rcvd.code == 1011
    assert clock.time() - start < 1


@pytest.mark.parametrize("fragments", ["\ud800", ["\ud800"]])
async def test_text_that_can_not_be_encoded_is_refused(link, fragments):
    connection, peer = await link()
    with pytest.raises(UnicodeEncodeError):
        await connection.send(fragments)
    await connection.send("next")
    assert peer.messages == ["next"]


async def test_bytearray_may_change_after_it_was_sent(link):
    for side in Side:
        connection, peer = await link(side)
        connection.transport.block()
        data = bytearray(b"before")
        await connection.send(data)
        data[:] = b"after!"
        connection.transport.unblock()
        assert peer.messages == [b"before"]


@pytest.mark.skipif(
    sys.implementation.name != "cpython",
    reason="only CPython counts references",
)
async def test_generator_of_the_message_is_closed_when_sending_fails(link):
    closed = []

    def generate():
        try:
            yield "a"
            yield b"b"
            yield "c"
        finally:
            closed.append(True)

    connection, _ = await link()
    with pytest.raises(TypeError):
        await connection.send(generate())
    assert closed


# One message after another


async def test_fragments_of_messages_never_interleave(link):
    connection, peer = await link()
    messages = [[f"{i}.{j}," for j in range(i)] for i in range(2, 8)]
    tasks = []
    for message in messages:
        tasks += [
            asyncio.create_task(connection.send(asynchronously(message))),
            asyncio.create_task(connection.send(f"between {message}")),
            asyncio.create_task(connection.send(message)),
        ]
    await asyncio.gather(*tasks)
    assert peer.protocol.parser_exc is None
    expected = []
    for message in messages:
        expected += ["".join(message), f"between {message}", "".join(message)]
    assert sorted(peer.messages) == sorted(expected)
    # Those of one kind stay in order.
    between = [message for message in peer.messages if message.startswith("between")]
    assert between == [f"between {message}" for message in messages]


async def test_messages_that_wait_for_a_fragmented_one_are_sent_in_order(link, clock):
    connection, peer = await link()
    source = Source("a")
    tasks = [
        asyncio.create_task(connection.send(message))
        for message in [source, "1", ["2", "3"], b"4", asynchronously(["5", "6"]), "7"]
    ]
    await clock.settle()
    assert peer.opcodes() == [Opcode.TEXT]
    source.put("b")
    await clock.settle()
    assert peer.opcodes() == [Opcode.TEXT, Opcode.CONT]
    source.end()
    await asyncio.gather(*tasks)
    assert peer.messages == ["ab", "1", "23", b"4", "56", "7"]


async def test_end_of_a_fragmented_message_wakes_who_is_next(link, clock, monkeypatch):
    connection, peer = await link()
    source = Source("a")
    sending = asyncio.create_task(connection.send(source))
    await clock.settle()
    waited = []
    create_future = connection.loop.create_future

    def count():
        waited.append(create_future())
        return waited[-1]

    async def two(number):
        yield f"{number}-"
        await asyncio.sleep(0)
        yield "b"

    monkeypatch.setattr(connection.loop, "create_future", count)
    tasks = [asyncio.create_task(connection.send(two(number))) for number in range(20)]
    await clock.settle()
    tasks[0].cancel()
    tasks[10].cancel()
    source.end()
    await asyncio.gather(sending, *tasks, return_exceptions=True)
    monkeypatch.undo()
    messages = [f"{number}-b" for number in range(20) if number not in (0, 10)]
    assert peer.messages == ["a", *messages]
    # One for each that waited, gather()'s, and the source's.
    assert len(waited) < 40


async def test_task_that_is_cancelled_at_its_turn_gives_it_to_the_next(link, clock):
    connection, peer = await link()
    source = Source("a")

    async def send_and_cancel():
        await connection.send(source)
        # The first was woken, and hasn't run.
        tasks[0].cancel()
        tasks[1].cancel()

    sending = asyncio.create_task(send_and_cancel())
    await clock.settle()
    tasks = [asyncio.create_task(connection.send(message)) for message in "1234"]
    await clock.settle()
    source.end()
    await asyncio.gather(sending, *tasks, return_exceptions=True)
    assert peer.messages == ["a", "3", "4"]


async def test_control_frames_are_sent_between_fragments(link, clock):
    connection, peer = await link()
    source = Source("a")
    task = asyncio.create_task(connection.send(source))
    await clock.settle()
    assert await (await connection.ping()) >= 0
    await connection.pong()
    peer.protocol.send_ping(b"!")
    peer.flush()
    source.put("b")
    source.end()
    await task
    assert peer.opcodes() == [
        Opcode.TEXT,
        Opcode.PING,
        Opcode.PONG,
        Opcode.PONG,
        Opcode.CONT,
        Opcode.CONT,
    ]
    assert peer.messages == ["ab"]


@pytest.mark.parametrize("ends", ["never", "later"])
async def test_senders_are_released_when_the_connection_is_lost(link, clock, ends):
    connection, peer = await link()
    source = Source("a")
    fragmented = asyncio.create_task(connection.send(source))
    await clock.settle()
    waiting = [asyncio.create_task(connection.send(message)) for message in ["b", ["c"]]]
    await clock.settle()
    peer.transport.lose(ConnectionResetError("gone"))
    for task in waiting:
        with pytest.raises(ConnectionClosedError) as raised:
            await task
        assert isinstance(raised.value.__cause__, ConnectionResetError)
    assert not fragmented.done()
    if ends == "later":
        source.put("d")
        with pytest.raises(ConnectionClosedError):
            await fragmented
    else:
        fragmented.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fragmented


async def test_fragmented_message_that_ends_after_the_connection_was_lost_raises(link, clock):
    connection, peer = await link()
    source = Source("a")
    task = asyncio.create_task(connection.send(source))
    await clock.settle()
    peer.close()
    await connection.wait_closed()
    source.end()
    with pytest.raises(ConnectionClosedOK):
        await task


async def test_fragment_that_comes_after_the_peer_closed_is_not_sent(link, clock):
    connection, peer = await link()
    source = Source("a")
    task = asyncio.create_task(connection.send(source))
    await clock.settle()
    peer.close(1001)
    source.put("b")
    source.put("c")
    with pytest.raises(ConnectionClosedOK):
        await task
    assert peer.opcodes() == [Opcode.TEXT, Opcode.CLOSE]


async def test_close_in_the_middle_of_a_fragmented_message_fails_the_connection(link, clock):
    connection, peer = await link()
    source = Source("a")
    task = asyncio.create_task(connection.send(source))
    waiting = asyncio.create_task(connection.send("b"))
    await clock.settle()
    await connection.close()
    assert peer.protocol.close_rcvd == Close(1011, "close during fragmented message")
    source.put("b")
    for sender in [task, waiting]:
        with pytest.raises(ConnectionClosedError):
            await sender


async def test_close_before_the_first_fragment_is_a_normal_one(link, clock):
    connection, peer = await link()
    source = Source()
    task = asyncio.create_task(connection.send(source))
    await clock.settle()
    await connection.close()
    assert peer.protocol.close_rcvd.code == 1000
    source.put("a")
    with pytest.raises(ConnectionClosedOK):
        await task


# Backpressure


@pytest.mark.parametrize(
    "write_limit, high, low",
    [(100, 100, 25), ((100, None), 100, 25), ((100, 80), 100, 80), (0, 0, 0)],
)
async def test_send_waits_above_the_high_mark_and_continues_at_the_low_mark(
    link, clock, write_limit, high, low
):
    connection, peer = await link(Side.SERVER, write_limit=write_limit)
    transport = connection.transport
    transport.block()
    sent = 0
    # Each takes 10 bytes.
    while len(transport.buffer) <= high:
        await asyncio.wait_for(connection.send(b"01234567"), 1)
        sent += 1
    waiting = [
        asyncio.create_task(connection.send("last")),
        asyncio.create_task(connection.send(["fra", "gments"])),
        asyncio.create_task(connection.ping()),
        asyncio.create_task(connection.pong()),
    ]
    await clock.advance(5)
    size = len(transport.buffer)
    transport.unblock(size - low - 1)
    transport.block()
    await clock.settle()
    assert not any(task.done() for task in waiting)
    assert len(transport.buffer) == low + 1
    transport.unblock(1)
    transport.unblock()
    (await asyncio.gather(*waiting))[2].cancel()
    assert peer.messages[:sent] == [b"01234567"] * sent
    assert peer.messages[sent:] == ["last", "fragments"]
    assert peer.opcodes().count(Opcode.PING) == 1


async def test_default_write_limit_is_32_kibibytes(link, clock):
    connection, _ = await link(Side.SERVER)
    connection.transport.block()
    await connection.send(bytes(2**15 - 4))  # and 4 bytes of header
    await asyncio.wait_for(connection.send(b""), 1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(connection.send(b""), 60)


@pytest.mark.parametrize("write_limit", [-1, (10, 20), (10, -1)])
async def test_impossible_write_limits_are_refused(link, write_limit):
    with pytest.raises(ValueError, match="write_limit must have"):
        await link(write_limit=write_limit)


async def test_writing_continues_a_fragmented_message_that_was_stopped(link, clock):
    connection, peer = await link(write_limit=10)
    connection.transport.block()
    task = asyncio.create_task(connection.send([f"{i:8}" for i in range(20)]))
    await clock.settle()
    assert not task.done()
    for _ in range(30):
        connection.transport.unblock(len(connection.transport.buffer))
        connection.transport.block()
        await clock.settle()
    await task
    connection.transport.unblock()
    assert peer.messages == ["".join(f"{i:8}" for i in range(20))]


@pytest.mark.parametrize("call", ["send", "fragments", "ping", "pong"])
async def test_whoever_waits_to_write_is_released_when_the_connection_is_lost(link, clock, call):
    connection, peer = await link(write_limit=0)
    connection.transport.block()
    await connection.send("a")
    task = asyncio.create_task(
        {
            "send": lambda: connection.send("b"),
            "fragments": lambda: connection.send(["b", "c"]),
            "ping": connection.ping,
            "pong": connection.pong,
        }[call]()
    )
    await clock.settle()
    assert not task.done()
    peer.transport.lose(BrokenPipeError("gone"))
    with pytest.raises(ConnectionClosedError) as raised:
        await task
    assert isinstance(raised.value.__cause__, BrokenPipeError)


async def test_fragmented_message_that_waits_to_write_is_released_when_connection_is_lost(
    link, clock
):
    connection, peer = await link(write_limit=0)
    connection.transport.block()
    task = asyncio.create_task(connection.send(["a", "b"]))
    await clock.settle()
    peer.transport.lose(None)
    with pytest.raises(ConnectionClosedError):
        await task


async def test_several_senders_do_not_exceed_the_write_limit_together(link, clock):
    connection, peer = await link(Side.SERVER, write_limit=100)
    transport = connection.transport
    transport.block()
    tasks = [asyncio.create_task(connection.send(bytes(98))) for _ in range(20)]
    for i in range(1, 11):
        await clock.settle()
        assert len(transport.buffer) == 200
        assert sum(task.done() for task in tasks) == 2 * i
        transport.unblock(200)
        transport.block()
    await asyncio.gather(*tasks)
    assert len(peer.messages) == 20


async def test_writing_may_stop_again_before_whoever_waits_has_noticed_that_it_went_on(link, clock):
    connection, peer = await link(Side.SERVER, write_limit=0)
    transport = connection.transport
    transport.block()
    await connection.send("1")
    tasks = [asyncio.create_task(connection.send(message)) for message in ["3", "4"]]
    await clock.settle()
    transport.unblock()
    transport.block()
    broadcast([connection], "2")
    transport.unblock()
    await asyncio.gather(*tasks)
    assert peer.messages == ["1", "2", "3", "4"]


@pytest.mark.parametrize("side", Side)
async def test_answers_to_pings_of_a_peer_that_never_reads_do_not_pile_up(link, clock, side):
    connection, peer = await link(side, write_limit=1000, max_queue=None)
    transport = connection.transport
    transport.block()
    peer.silent = True
    for i in range(500):
        for _ in range(20):
            peer.protocol.send_ping(f"{i:>100}".encode())
        peer.flush()
        await asyncio.sleep(0)
    # The limit, and the chunk that exceeds it.
    assert len(transport.buffer) < 1000 + 20 * 110
    transport.unblock()
    await clock.settle()
    # The last one is answered.
    assert peer.frames[-1] == Frame(Opcode.PONG, f"{499:>100}".encode())
    await connection.send("next")
    assert peer.messages == ["next"]


async def test_pong_that_was_held_back_is_not_sent_after_a_close_frame(link, clock):
    connection, peer = await link(write_limit=0)
    connection.transport.block()
    await connection.send("a")
    peer.protocol.send_ping(b"held")
    peer.flush()
    task = asyncio.create_task(connection.close())
    await clock.settle()
    connection.transport.unblock()
    await task
    assert peer.opcodes() == [Opcode.TEXT, Opcode.CLOSE]


# Pings and pongs

PAYLOADS = [
    ("café", b"caf\xc3\xa9"),
    (b"\xff", b"\xff"),
    (b"", b""),
    ("", b""),
    (bytearray(b"abc"), b"abc"),
    (memoryview(b"abc"), b"abc"),
    (strided, b"abc"),
    (of_items, bytes(of_items)),
    (b"x" * 125, b"x" * 125),
]


@pytest.mark.parametrize("data, expected", PAYLOADS)
@pytest.mark.parametrize("method, opcode", [("ping", Opcode.PING), ("pong", Opcode.PONG)])
async def test_payload_of_each_type_is_sent(link, method, opcode, data, expected):
    connection, peer = await link()
    await getattr(connection, method)(data)
    assert peer.frames == [Frame(opcode, expected)]


@pytest.mark.parametrize("method", ["ping", "pong"])
@pytest.mark.parametrize("data", [b"x" * 126, "é" * 63])
async def test_payload_that_is_too_long_is_refused(link, method, data):
    connection, peer = await link()
    with pytest.raises(ProtocolError):
        await getattr(connection, method)(data)
    # Nothing waits for such a pong.
    assert await (await connection.ping(b"x")) >= 0
    assert peer.opcodes() == [Opcode.PING]


@pytest.mark.parametrize("method", ["ping", "pong"])
@pytest.mark.parametrize("data", [1, 1.5, [b"a"], object()])
async def test_payload_of_another_type_is_refused(link, method, data):
    connection, peer = await link()
    with pytest.raises(TypeError, match=f"not {type(data).__name__}"):
        await getattr(connection, method)(data)
    assert peer.frames == []


async def test_ping_has_a_random_payload_by_default(link):
    connection, peer = await link()
    for _ in range(10):
        await connection.ping()
    await asyncio.sleep(0)
    assert len({bytes(frame.data) for frame in peer.frames}) == 10


async def test_pong_is_empty_by_default(link):
    connection, peer = await link()
    await connection.pong()
    assert peer.frames == [Frame(Opcode.PONG, b"")]


async def test_ping_with_the_payload_of_one_that_waits_is_refused(link, clock):
    connection, peer = await link()
    peer.silent = True
    first = await connection.ping(b"same")
    with pytest.raises(ConcurrencyError):
        await connection.ping("same")
    peer.flush()
    await first
    second = await connection.ping(b"same")
    await asyncio.sleep(0)
    peer.flush()
    await second
    assert peer.opcodes() == [Opcode.PING, Opcode.PING]


# States


async def start_closing(connection, peer):
    peer.silent = True
    task = asyncio.create_task(connection.close())
    await asyncio.sleep(0)
    assert connection.state is State.CLOSING
    return task


SENDING_CALLS = {
    "send": lambda connection: connection.send("a"),
    "send fragments": lambda connection: connection.send(["a"]),
    "ping": lambda connection: connection.ping(),
    "pong": lambda connection: connection.pong(),
}


@pytest.mark.parametrize("call", SENDING_CALLS.values(), ids=SENDING_CALLS)
async def test_sending_while_closing_waits_and_raises_what_became_of_the_connection(
    link, clock, call
):
    connection, peer = await link()
    closing = await start_closing(connection, peer)
    task = asyncio.ensure_future(call(connection))
    await clock.settle()
    assert not task.done()
    peer.flush()
    with pytest.raises(ConnectionClosedOK) as raised:
        await task
    assert raised.value.sent.code == raised.value.rcvd.code == 1000
    await closing
    assert peer.opcodes() == [Opcode.CLOSE]


@pytest.mark.parametrize("call", SENDING_CALLS.values(), ids=SENDING_CALLS)
async def test_sending_on_a_closed_connection_raises(link, call):
    connection, peer = await link()
    await connection.close()
    with pytest.raises(ConnectionClosedOK):
        await call(connection)
    assert peer.opcodes() == [Opcode.CLOSE]


@pytest.mark.parametrize("call", SENDING_CALLS.values(), ids=SENDING_CALLS)
async def test_sending_on_a_lost_connection_tells_why(link, call):
    connection, peer = await link()
    exc = ConnectionResetError("gone")
    peer.transport.lose(exc)
    await connection.wait_closed()
    with pytest.raises(ConnectionClosedError) as raised:
        await call(connection)
    assert raised.value.__cause__ is exc
    assert raised.value.rcvd is raised.value.sent is None


@pytest.mark.parametrize("call", SENDING_CALLS.values(), ids=SENDING_CALLS)
async def test_whoever_sends_without_a_pause_notices_that_the_connection_is_lost(link, call):
    connection, peer = await link()
    exc = ConnectionResetError("gone")
    peer.transport.lose(exc)
    with pytest.raises(ConnectionClosedError) as raised:
        # The event loop can tell it when it runs, and not before.
        for _ in range(100):
            await call(connection)
    assert raised.value.__cause__ is exc


@pytest.mark.parametrize("lost_after, taken", [(1, 2), (2, 3), (3, 3)])
async def test_fragmented_message_without_a_pause_notices_that_the_connection_is_lost(
    link, lost_after, taken
):
    connection, peer = await link()
    fragments = []

    def generate():
        for i in range(1, 4):
            fragments.append(i)
            yield "a"
            if i == lost_after:
                peer.transport.lose(None)

    with pytest.raises(ConnectionClosedError):
        await connection.send(generate())
    assert len(fragments) == taken


@pytest.mark.parametrize("iterate", [list, asynchronously])
async def test_empty_iterable_on_a_closed_connection_raises(link, iterate):
    connection, _ = await link()
    await connection.close()
    with pytest.raises(ConnectionClosedOK):
        await connection.send(iterate([]))
