"""Receiving messages, on connections in memory."""

import asyncio
import contextlib
import threading
import zlib

import pytest

from ws_protocol.exceptions import (
    ConcurrencyError,
    ConnectionClosedError,
    ConnectionClosedOK,
    PayloadTooBig,
    ProtocolError,
)
from ws_protocol.extensions.permessage_deflate import PerMessageDeflate
from ws_protocol.frames import Close, Opcode, serialize_frame
from ws_protocol.protocol import Side, State


async def receive_all(connection):
    """Return all messages until the connection is closed."""
    messages = []
    with contextlib.suppress(ConnectionClosedOK, ConnectionClosedError):
        while True:
            messages.append(await connection.recv())
    return messages


def start_message(peer, first, *others):
    """Send the start of a text message."""
    peer.protocol.send_text(first, fin=False)
    for data in others:
        peer.protocol.send_continuation(data, fin=False)
    peer.flush()


# Messages


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("message", ["café", "", b"caf\xe9", b""])
async def test_recv_returns_messages_in_their_own_type(link, side, message):
    connection, peer = await link(side)
    peer.send(message)
    received = await connection.recv()
    assert received == message
    assert type(received) is type(message)


@pytest.mark.parametrize(
    "decode, message, expected",
    [
        (None, "café", "café"),
        (True, "café", "café"),
        (False, "café", b"caf\xc3\xa9"),
        (None, b"caf\xc3\xa9", b"caf\xc3\xa9"),
        (True, b"caf\xc3\xa9", "café"),
        (False, b"caf\xc3\xa9", b"caf\xc3\xa9"),
    ],
)
@pytest.mark.parametrize("fragments", [1, 2, 5])
async def test_decode_chooses_the_type_of_messages(link, decode, message, expected, fragments):
    data = message.encode() if isinstance(message, str) else message
    connection, peer = await link()
    cut = [data[i:] if i == fragments - 1 else data[i : i + 1] for i in range(fragments)]
    # In the third byte, a character is cut.
    send = peer.protocol.send_text if isinstance(message, str) else peer.protocol.send_binary
    for _ in range(2):
        send(cut[0], fin=fragments == 1)
        for i in range(1, fragments):
            peer.protocol.send_continuation(cut[i], fin=i == fragments - 1)
    peer.flush()
    received = await connection.recv(decode)
    assert received == expected
    assert type(received) is type(expected)
    pieces = [piece async for piece in connection.recv_streaming(decode)]
    assert type(expected)().join(pieces) == expected
    assert len(pieces) == fragments


async def test_recv_waits_for_a_message(link, clock):
    connection, peer = await link()
    task = asyncio.create_task(connection.recv())
    await clock.advance(60)
    assert not task.done()
    peer.send("Hello")
    assert await task == "Hello"


async def test_recv_waits_for_the_last_fragment(link, clock):
    connection, peer = await link()
    task = asyncio.create_task(connection.recv())
    for send, data, fin in [
        (peer.protocol.send_text, b"Hel", False),
        (peer.protocol.send_continuation, b"lo", False),
        (peer.protocol.send_continuation, b"", True),
    ]:
        await clock.settle()
        assert not task.done()
        send(data, fin=fin)
        peer.flush()
    assert await task == "Hello"


async def test_recv_gets_messages_that_arrive_byte_by_byte(link):
    connection, peer = await link()
    peer.put("one", ["tw", "o"], b"three")
    peer.protocol.send_ping(b"!")
    peer.put([b"fo", b"", b"ur"])
    task = asyncio.create_task(receive_all(connection))
    for byte in peer.collect():
        await asyncio.sleep(0)
        peer.transport.receive(bytes([byte]))
    peer.close()
    assert await task == ["one", "two", b"three", b"four"]


async def test_recv_gets_messages_of_one_chunk_one_by_one(link):
    connection, peer = await link()
    peer.send("one", b"two", ["th", "ree"])
    assert [await connection.recv() for _ in range(3)] == ["one", b"two", "three"]


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("side", Side)
async def test_binary_message_that_is_not_text_fails_connection_when_text_is_asked_for(
    link, clock, side, streaming
):
    connection, peer = await link(side)
    peer.send(b"caf\xe9")
    start = clock.time()
    with pytest.raises(ConnectionClosedError) as raised:
        if streaming:
            await anext(connection.recv_streaming(decode=True))
        else:
            await connection.recv(decode=True)
    assert raised.value.sent == Close(1007, "unexpected end of data at position 3")
    # RFC 6455, section 7.1.7: what comes after a failure isn't processed.
    assert raised.value.rcvd is None
    assert isinstance(raised.value.__cause__, UnicodeDecodeError)
    assert connection.state is State.CLOSED
    assert peer.protocol.close_rcvd.code == 1007
    assert clock.time() - start < 1
    with pytest.raises(ConnectionClosedError) as raised:
        await connection.recv()
    assert isinstance(raised.value.__cause__, UnicodeDecodeError)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("side", Side)
async def test_connection_that_fails_because_of_decoding_notices_that_the_peer_closes_it(
    link, clock, side, streaming
):
    connection, peer = await link(side, max_queue=2)
    peer.send(b"\xff", "next", "last")
    assert not connection.transport.reading
    start = clock.time()
    with pytest.raises(ConnectionClosedError) as raised:
        if streaming:
            await anext(connection.recv_streaming(decode=True))
        else:
            await connection.recv(decode=True)
    assert raised.value.sent.code == 1007
    assert isinstance(raised.value.__cause__, UnicodeDecodeError)
    assert clock.time() - start < 1
    assert await receive_all(connection) == ["next", "last"]


async def test_failure_to_decode_a_message_of_a_closed_connection_loses_nothing_else(link):
    connection, peer = await link()
    peer.send(b"\xff", "last")
    peer.close(4000, "bye")
    await connection.wait_closed()
    with pytest.raises(UnicodeDecodeError):
        await connection.recv(decode=True)
    assert await connection.recv() == "last"
    with pytest.raises(ConnectionClosedError) as raised:
        await connection.recv()
    assert raised.value.rcvd == Close(4000, "bye")
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("streaming", [False, True])
async def test_failure_to_decode_loses_nothing_that_waits_for_room_in_the_queue(link, streaming):
    connection, peer = await link(max_queue=0)
    # So large that what follows isn't looked at before there is room for it.
    peer.send(b"\xff" * 50_000, "last")
    connection.transport.abort()
    await connection.wait_closed()
    with pytest.raises(UnicodeDecodeError):
        if streaming:
            await anext(connection.recv_streaming(decode=True))
        else:
            await connection.recv(decode=True)
    assert [fragment async for fragment in connection.recv_streaming()] == ["last"]


# Streaming


async def test_recv_streaming_yields_fragments_as_they_arrive(link):
    connection, peer = await link()
    stream = connection.recv_streaming()
    peer.protocol.send_text(b"Hel", fin=False)
    peer.flush()
    assert await anext(stream) == "Hel"
    task = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    peer.protocol.send_continuation(b"lo", fin=False)
    peer.flush()
    assert await task == "lo"
    peer.protocol.send_continuation(b"", fin=True)
    peer.send("next")
    assert [fragment async for fragment in stream] == [""]
    assert await connection.recv() == "next"


async def test_recv_streaming_keeps_parts_of_characters_for_the_next_fragment(link):
    connection, peer = await link()
    for i, byte in enumerate("€ é".encode()):
        send = peer.protocol.send_continuation if i else peer.protocol.send_text
        send(bytes([byte]), fin=i == 5)
    peer.flush()
    fragments = [fragment async for fragment in connection.recv_streaming()]
    assert fragments == ["", "", "€", " ", "", "é"]


async def test_recv_streaming_receives_one_message(link):
    connection, peer = await link()
    peer.send("one", "two")
    assert [fragment async for fragment in connection.recv_streaming()] == ["one"]
    assert await connection.recv() == "two"


async def test_recv_streaming_raises_when_the_connection_closes_in_a_message(link):
    connection, peer = await link()
    peer.protocol.send_text(b"begun", fin=False)
    peer.flush()
    stream = connection.recv_streaming()
    assert await anext(stream) == "begun"
    task = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    peer.send_eof()
    with pytest.raises(ConnectionClosedError) as raised:
        await task
    assert isinstance(raised.value.__cause__, EOFError)


async def test_rest_of_a_message_is_received_by_another_call(link):
    connection, peer = await link()
    peer.send(["one ", "two ", "three"], "next")
    async for fragment in connection.recv_streaming():
        assert fragment == "one "
        break
    with pytest.raises(ConcurrencyError, match="fragments"):
        await connection.recv()
    with pytest.raises(ConcurrencyError, match="fragments"):
        await anext(aiter(connection))
    assert [fragment async for fragment in connection.recv_streaming()] == ["two ", "three"]
    assert await connection.recv() == "next"


async def test_rest_of_a_message_that_comes_later_is_received_by_another_call(link, clock):
    connection, peer = await link()
    peer.protocol.send_binary(b"\x01", fin=False)
    peer.flush()
    assert await anext(connection.recv_streaming()) == b"\x01"
    task = asyncio.ensure_future(anext(connection.recv_streaming()))
    await clock.settle()
    peer.protocol.send_continuation(b"\x02", fin=True)
    peer.flush()
    assert await task == b"\x02"


async def test_rest_of_a_message_that_recv_waited_for_is_received_by_recv_streaming(link, clock):
    connection, peer = await link()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            # It arrives while recv() waits.
            asyncio.get_running_loop().call_later(0.5, start_message, peer, b"Hel", b"lo ")
            await connection.recv()
    peer.protocol.send_continuation(b"world", fin=True)
    peer.flush()
    fragments = [fragment async for fragment in connection.recv_streaming()]
    assert "".join(fragments) == "Hello world"


async def test_iterator_that_was_given_up_can_not_go_on(link):
    connection, peer = await link()
    peer.send(["one", "two", "three", "four"])
    first, second = connection.recv_streaming(), connection.recv_streaming()
    assert await anext(first) == "one"
    assert await anext(second) == "two"
    with pytest.raises(ConcurrencyError):
        await anext(first)
    assert [fragment async for fragment in second] == ["three", "four"]


# One at a time


def call_recv(connection):
    return connection.recv()


def call_recv_streaming(connection):
    return anext(connection.recv_streaming())


def call_iteration(connection):
    return anext(aiter(connection))


CALLS = [call_recv, call_recv_streaming, call_iteration]


@pytest.mark.parametrize("first", CALLS)
@pytest.mark.parametrize("second", CALLS)
async def test_second_task_that_receives_is_refused(link, clock, first, second):
    connection, peer = await link()
    task = asyncio.ensure_future(first(connection))
    await clock.settle()
    with pytest.raises(ConcurrencyError, match="another coroutine"):
        await second(connection)
    peer.send("Hello")
    # It is woken, and hasn't run yet.
    with pytest.raises(ConcurrencyError):
        await second(connection)
    assert await task == "Hello"
    peer.send("next")
    assert await second(connection) == "next"


async def test_second_task_is_refused_while_fragments_are_waited_for(link, clock):
    connection, peer = await link()
    stream = connection.recv_streaming()
    start_message(peer, b"one")
    assert await anext(stream) == "one"
    task = asyncio.ensure_future(anext(stream))
    await clock.settle()
    for call in CALLS:
        with pytest.raises(ConcurrencyError, match="another coroutine"):
            await call(connection)
    peer.protocol.send_continuation(b"two", fin=True)
    peer.flush()
    assert await task == "two"


# Iteration


@pytest.mark.parametrize("code", [1000, 1001, None])
async def test_iteration_ends_when_the_connection_is_closed_normally(link, code):
    connection, peer = await link()
    peer.send("one", b"two")
    peer.protocol.send_close(code)
    peer.flush()
    assert [message async for message in connection] == ["one", b"two"]


@pytest.mark.parametrize("code", [1002, 1011, 3000, 4999])
async def test_iteration_raises_when_the_connection_is_closed_with_an_error(link, code):
    connection, peer = await link()
    peer.send("one", "two")
    peer.close(code, "why")
    messages = []
    with pytest.raises(ConnectionClosedError) as raised:
        async for message in connection:
            messages.append(message)  # noqa: PERF401
    assert messages == ["one", "two"]
    assert raised.value.rcvd == Close(code, "why")


async def test_iteration_raises_when_the_connection_is_lost(link):
    connection, peer = await link()
    task = asyncio.ensure_future(anext(aiter(connection)))
    await asyncio.sleep(0)
    peer.transport.lose(ConnectionResetError("gone"))
    with pytest.raises(ConnectionClosedError) as raised:
        await task
    assert isinstance(raised.value.__cause__, ConnectionResetError)


async def test_iteration_can_be_left_and_begun_again(link):
    connection, peer = await link()
    peer.send("one", "two")
    async for message in connection:
        assert message == "one"
        break
    async for message in connection:
        assert message == "two"
        break


# After the end


def end_with_close_frame(connection, peer):
    peer.close()


def end_with_close_frame_in_the_same_chunk(connection, peer):
    pass  # is sent with the messages


def end_with_eof(connection, peer):
    peer.send_eof()


def end_with_reset(connection, peer):
    peer.transport.lose(ConnectionResetError("gone"))


def end_with_invalid_frame(connection, peer):
    peer.transport.receive(b"\x83\x00")


def end_with_abort(connection, peer):
    connection.transport.abort()


ENDS = [
    end_with_close_frame,
    end_with_close_frame_in_the_same_chunk,
    end_with_eof,
    end_with_reset,
    end_with_invalid_frame,
    end_with_abort,
]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("receiving", ["before", "after"])
async def test_messages_that_arrived_before_the_end_are_received(link, side, end, receiving):
    # Many more than the queue takes.
    messages = [["fragments ", f"of {i}"] if i % 3 else f"message {i}" for i in range(100)]
    connection, peer = await link(side, max_queue=4)
    task = asyncio.create_task(receive_all(connection))
    if receiving == "before":
        await asyncio.sleep(0)
    peer.put(*messages)
    if end is end_with_close_frame_in_the_same_chunk:
        peer.protocol.send_close(1000)
    peer.flush()
    if end is end_with_invalid_frame and side is Side.SERVER:
        peer.transport.receive(b"\x83\x80")
    end(connection, peer)
    # What comes later than a full queue isn't read before the queue is.
    if receiving == "after" and end not in (
        end_with_close_frame,
        end_with_eof,
        end_with_invalid_frame,
    ):
        await connection.wait_closed()
    assert await task == ["".join(message) for message in messages]


async def test_messages_before_an_error_in_the_same_chunk_are_received(link):
    messages = [str(i) for i in range(100)]
    connection, peer = await link(max_queue=4)
    peer.put(*messages)
    peer.transport.receive(peer.collect() + b"\x83\x00" + b"what follows is dropped")
    assert await receive_all(connection) == messages
    with pytest.raises(ConnectionClosedError) as raised:
        await connection.recv()
    assert raised.value.sent.code == 1002
    assert isinstance(raised.value.__cause__, ProtocolError)


async def test_part_of_a_message_is_not_received_when_the_connection_ends(link):
    connection, peer = await link()
    peer.put("whole")
    start_message(peer, b"begun")
    peer.send_eof()
    assert await receive_all(connection) == ["whole"]


@pytest.mark.parametrize("side", Side)
async def test_messages_that_arrived_before_close_was_called_are_received(link, side):
    connection, peer = await link(side)
    peer.send("one", "two")
    await connection.close()
    assert await receive_all(connection) == ["one", "two"]


async def test_messages_that_the_peer_sends_before_it_answers_a_close_frame_are_received(link):
    connection, peer = await link()
    peer.silent = True
    peer.send("one")
    task = asyncio.create_task(connection.close())
    await asyncio.sleep(0)
    # It hasn't read the close frame yet, so to say.
    for message in ["two", ["th", "ree"], "four"]:
        peer.transport.receive(server_frames(message))
    peer.flush()
    await task
    assert await receive_all(connection) == ["one", "two", "three", "four"]


def server_frames(message):
    """Return the frames of a text message from a server."""
    fragments = message if isinstance(message, list) else [message]
    return b"".join(
        bytes([(Opcode.CONT if i else Opcode.TEXT) | (0x80 if i == len(fragments) - 1 else 0)])
        + bytes([len(fragment)])
        + fragment.encode()
        for i, fragment in enumerate(fragments)
    )


async def test_recv_that_waits_gets_a_message_that_arrives_while_closing(link, clock):
    connection, peer = await link()
    peer.silent = True
    receiving = asyncio.create_task(connection.recv())
    await clock.settle()
    closing = asyncio.create_task(connection.close())
    await clock.settle()
    peer.transport.receive(server_frames(["la", "st"]))
    assert await receiving == "last"
    peer.flush()
    await closing


async def test_messages_in_a_full_queue_are_received_after_close(link):
    connection, peer = await link(max_queue=2)
    peer.send("one", ["two ", "parts"])
    peer.send("three")
    assert not connection.transport.reading
    await connection.close()
    assert connection.close_code == 1000
    # There is no room for the third.
    assert await receive_all(connection) == ["one", "two parts"]


@pytest.mark.parametrize("received", range(5))
async def test_message_with_a_hole_is_never_received_after_close(link, clock, received):
    connection, peer = await link(max_queue=(3, 2))
    peer.silent = True
    peer.send("0", "1", "2", "3")
    assert not connection.transport.reading
    closing = asyncio.create_task(connection.close())
    await clock.settle()
    # All but the last fragment arrives while the queue is full.
    peer.transport.receive(b"\x01\x01a" + b"\x00\x01b")
    messages = [await connection.recv() for _ in range(min(received, 4))]
    peer.transport.receive(b"\x80\x01c" + b"\x81\x01d")
    peer.flush()
    await closing
    messages += await receive_all(connection)
    # They end somewhere, and there is no gap.
    assert messages == ["0", "1", "2", "3", "abc", "d"][: len(messages)]
    assert len(messages) >= 4


# What fails a connection


async def test_message_that_is_too_big_fails_the_connection(link):
    connection, peer = await link(Side.SERVER)
    connection.protocol.max_message_size = 10
    peer.send("0123456789", ["01234", "567890"])
    assert await connection.recv() == "0123456789"
    with pytest.raises(ConnectionClosedError) as raised:
        await connection.recv()
    assert raised.value.sent.code == 1009
    assert isinstance(raised.value.__cause__, PayloadTooBig)


async def test_text_that_is_not_utf8_fails_the_connection(link):
    connection, peer = await link()
    task = asyncio.create_task(connection.recv())
    await asyncio.sleep(0)
    peer.protocol.send_text(b"\xff")
    peer.flush()
    with pytest.raises(ConnectionClosedError) as raised:
        await task
    assert raised.value.sent.code == 1007
    assert isinstance(raised.value.__cause__, UnicodeDecodeError)


async def test_rest_of_a_large_message_is_dropped_once_the_connection_failed(link, caplog):
    connection, peer = await link(Side.SERVER)
    payload = b"x" * 300_000
    peer.protocol.send_binary(payload)
    frame = peer.collect()
    peer.transport.receive(frame[:100_000])
    # TLS transports ask where to read to before they know whether there is anything.
    connection.get_buffer(-1)
    connection.give_up("too slow", BufferError())
    peer.transport.receive(frame[100_000:])
    with pytest.raises(ConnectionClosedError) as raised:
        await connection.recv()
    assert raised.value.sent.code == 1008
    assert caplog.records == []


async def test_event_loops_in_two_threads_never_read_into_the_same_memory(link):
    # An event loop may stop, and run on in another thread than its connections were made in.
    connection, _ = await link()
    buffers = [connection.get_buffer(-1)]
    thread = threading.Thread(target=lambda: buffers.append(connection.get_buffer(-1)))
    thread.start()
    thread.join()
    assert buffers[0].obj is not buffers[1].obj


# Backpressure


@pytest.mark.parametrize(
    "max_queue, high, low",
    [
        (16, 16, 4),
        (4, 4, 1),
        (1, 1, 0),
        (0, 0, 0),
        ((8, None), 8, 2),
        ((8, 7), 8, 7),
        ((3, 3), 3, 3),
    ],
)
async def test_reading_pauses_above_the_high_mark_and_continues_at_the_low_mark(
    link, max_queue, high, low
):
    connection, peer = await link(max_queue=max_queue)
    transport = connection.transport
    for i in range(high + 1):
        assert transport.reading
        peer.send(str(i))
    assert not transport.reading
    for i in range(high + 1):
        assert not transport.reading
        assert await connection.recv() == str(i)
        if high - i <= low:
            break
    assert transport.reading
    assert transport.pauses == 1
    peer.send("last")
    assert [await connection.recv() for _ in range(high - i + 1)][-1] == "last"


async def test_frames_of_streamed_messages_count_for_the_marks(link):
    connection, peer = await link(max_queue=(4, 2))
    peer.send(["1", "2", "3", "4"])
    assert connection.transport.reading
    peer.send("5")
    assert not connection.transport.reading
    stream = connection.recv_streaming()
    assert await anext(stream) == "1"
    assert await anext(stream) == "2"
    assert not connection.transport.reading
    assert await anext(stream) == "3"
    assert connection.transport.reading
    assert await anext(stream) == "4"
    assert await connection.recv() == "5"


async def test_control_frames_do_not_count_for_the_marks(link):
    connection, peer = await link(max_queue=1)
    for _ in range(10):
        peer.protocol.send_ping(b"")
    peer.flush()
    assert connection.transport.reading


@pytest.mark.parametrize("max_queue", [None, (None, None), (None, 3)])
async def test_reading_never_pauses_without_a_limit(link, max_queue):
    connection, peer = await link(max_queue=max_queue)
    for i in range(1000):
        peer.send(str(i))
    assert connection.transport.reading
    assert [await connection.recv() for _ in range(1000)] == [str(i) for i in range(1000)]


@pytest.mark.parametrize("max_queue", [-1, (4, 5), (4, -1)])
async def test_impossible_marks_are_refused(link, max_queue):
    with pytest.raises(ValueError, match="must be at least"):
        await link(max_queue=max_queue)


@pytest.mark.parametrize("max_queue", [0, 1, 16])
@pytest.mark.parametrize("fragments", [2, 17, 100])
@pytest.mark.parametrize("waiting", [True, False])
async def test_message_of_more_fragments_than_the_queue_takes_is_received(
    link, max_queue, fragments, waiting
):
    connection, peer = await link(max_queue=max_queue)
    message = [f"{i}," for i in range(fragments)]
    task = asyncio.create_task(connection.recv())
    if waiting:
        await asyncio.sleep(0)
    for i, fragment in enumerate(message):
        send = peer.protocol.send_continuation if i else peer.protocol.send_text
        send(fragment.encode(), fin=i == fragments - 1)
        peer.flush()
    peer.send("next")
    assert await task == "".join(message)
    assert await connection.recv() == "next"


async def test_reading_pauses_in_a_message_that_is_not_waited_for_any_more(link, clock):
    connection, peer = await link(max_queue=4)
    task = asyncio.create_task(connection.recv())
    await clock.settle()
    start_message(peer, *[b"a"] * 100)
    assert connection.transport.reading
    task.cancel()
    await asyncio.wait([task])
    for _ in range(5):
        assert connection.transport.reading
        peer.protocol.send_continuation(b"b", fin=False)
        peer.flush()
    assert not connection.transport.reading
    task = asyncio.create_task(connection.recv())
    await clock.settle()
    assert connection.transport.reading
    peer.protocol.send_continuation(b"c", fin=True)
    peer.flush()
    assert await task == "a" * 100 + "b" * 5 + "c"


async def test_slow_stream_of_many_fragments_pauses_reading(link):
    connection, peer = await link(max_queue=(4, 1))
    received = []
    peer.put([str(i) for i in range(100)])
    for frame in cut_frames(peer.collect()):
        peer.transport.receive(frame)
    async for fragment in connection.recv_streaming():
        received.append(fragment)
        await asyncio.sleep(0)
    assert received == [str(i) for i in range(100)]
    assert connection.transport.pauses > 10


def cut_frames(data):
    """Cut bytes into short frames, without masks."""
    while data:
        end = 2 + data[1]
        yield data[:end]
        data = data[end:]


@pytest.mark.parametrize("tls", [False, True])
async def test_close_frame_is_read_although_the_queue_is_full_when_the_peer_closes(
    link, clock, tls
):
    connection, peer = await link(max_queue=2, tls=tls)
    peer.send("1", "2", "3")
    start = clock.time()
    peer.close()
    assert [await connection.recv() for _ in range(3)] == ["1", "2", "3"]
    with pytest.raises(ConnectionClosedOK):
        await connection.recv()
    assert clock.time() - start < 1


async def test_chunk_that_arrives_although_reading_is_paused_may_close_the_connection(link, clock):
    # TLS transports do it: what they have decrypted already, they deliver.
    connection, peer = await link(max_queue=2)
    peer.send("1", "2", "3")
    assert not connection.transport.reading
    peer.protocol.send_close(1000)
    start = clock.time()
    connection.data_received(peer.collect())
    peer.send_eof()
    await connection.wait_closed()
    assert clock.time() - start < 1
    assert await receive_all(connection) == ["1", "2", "3"]


# What one chunk from the network decodes to


def bomb():
    """Return the frames of 500 messages of 100 kB, which need less than 60 kB in all."""
    compressor = zlib.compressobj(wbits=-15)
    payload = compressor.compress(bytes(100_000)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return serialize_frame(0xC2, payload[:-4], False) * 500


@pytest.mark.parametrize("ending", ["open", "closing", "lost"])
async def test_no_more_of_a_chunk_is_inflated_than_may_wait(link, ending):
    connection, _ = await link(max_queue=2)
    connection.protocol.extensions = [PerMessageDeflate(True, True, 15, 15)]
    connection.transport.receive(bomb())
    waiting = connection.session.messages.frames
    assert 2 < len(waiting) < 60
    assert not connection.transport.reading
    if ending == "lost":
        connection.transport.lose(ConnectionResetError("reset"))
        await connection.wait_closed()
    elif ending == "closing":
        await connection.close()
    received = 0
    with contextlib.suppress(ConnectionClosedError, ConnectionClosedOK):
        while received < 500:
            assert await connection.recv() == bytes(100_000)
            received += 1
            assert len(waiting) < 60
    if ending == "closing":
        # What is too much is dropped then.
        assert 2 < received < 60
    else:
        assert received == 500
