"""Receiving messages, on connections in memory."""

import contextlib

import pytest
import trio
from trio.testing import assert_checkpoints, trio_test, wait_all_tasks_blocked

from ws_protocol.exceptions import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
)
from ws_protocol.frames import Close
from ws_protocol.protocol import Side, State


async def receive_all(connection):
    """Return all messages until the connection is closed."""
    messages = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            messages.append(await connection.recv())
    return messages


async def collect(results, function, *args):
    """Append what a coroutine function returns."""
    results.append(await function(*args))


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("message", ["café", "", b"caf\xe9", b"", ["Hel", "lo"]])
@trio_test
async def test_recv_returns_messages(link, side, message):
    async with link(side) as (connection, peer):
        peer.send(message)
        with assert_checkpoints():
            received = await connection.recv()
        assert received == ("".join(message) if isinstance(message, list) else message)


@pytest.mark.parametrize(
    "decode, message, expected",
    [(True, b"caf\xc3\xa9", "café"), (False, "café", b"caf\xc3\xa9")],
)
@trio_test
async def test_decode_chooses_the_type_of_messages(link, decode, message, expected):
    async with link() as (connection, peer):
        peer.send(message, message)
        assert await connection.recv(decode) == expected
        assert [piece async for piece in connection.recv_streaming(decode)] == [expected]


@trio_test
async def test_recv_waits_for_the_last_fragment(link, clock):
    async with link() as (connection, peer), trio.open_nursery() as nursery:
        results = []
        nursery.start_soon(collect, results, connection.recv)
        for data in (b"Hel", b"lo"):
            await wait_all_tasks_blocked()
            peer.send_fragment(data, first=data == b"Hel")
        await trio.sleep(60)
        assert results == []
        peer.protocol.send_continuation(b"", fin=True)
        peer.flush()
        await wait_all_tasks_blocked()
        assert results == ["Hello"]


@trio_test
async def test_cancelled_recv_loses_no_fragment(link, clock):
    async with link(max_queue=2) as (connection, peer):
        peer.send_fragment(b"a", first=True)
        for letter in b"bcdef":
            with trio.move_on_after(1):
                await connection.recv()
            peer.send_fragment(bytes([letter]))
        peer.protocol.send_continuation(b"", fin=True)
        peer.send("next")
        assert await connection.recv() == "abcdef"
        assert await connection.recv() == "next"


@trio_test
async def test_cancelled_recv_leaves_a_message_that_is_there(link):
    async with link() as (connection, peer):
        peer.send("a")
        with trio.CancelScope() as scope:
            scope.cancel()
            await connection.recv()
        assert scope.cancelled_caught
        assert await connection.recv() == "a"


@trio_test
async def test_recv_is_one_at_a_time(link):
    async with link() as (connection, peer), trio.open_nursery() as nursery:
        results = []
        nursery.start_soon(collect, results, connection.recv)
        await wait_all_tasks_blocked()
        with pytest.raises(ConcurrencyError, match="cannot call recv while another task"):
            await connection.recv()
        with pytest.raises(ConcurrencyError, match="cannot call recv_streaming while another"):
            await anext(connection.recv_streaming())
        peer.send("a")
        await wait_all_tasks_blocked()
        assert results == ["a"]


@trio_test
async def test_iteration_ends_with_the_connection(link):
    async with link() as (connection, peer):
        peer.send("one", b"two")
        peer.close()
        assert [message async for message in connection] == ["one", b"two"]


@trio_test
async def test_iteration_over_a_connection_that_fails_raises(link):
    async with link() as (connection, peer):
        peer.send("one")
        peer.close(1011)
        messages = aiter(connection)
        assert await anext(messages) == "one"
        with pytest.raises(ConnectionClosedError):
            await anext(messages)


@trio_test
async def test_iteration_can_end_early(link):
    async with link() as (connection, peer):
        peer.send("one", "two", ["th", "ree"])
        async for message in connection:
            assert message == "one"
            break
        assert await connection.recv() == "two"
        async with contextlib.aclosing(connection.recv_streaming()) as stream:
            assert await anext(stream) == "th"
            await stream.aclose()
            assert [fragment async for fragment in stream] == []
        assert [fragment async for fragment in connection.recv_streaming()] == ["ree"]


@trio_test
async def test_recv_streaming_yields_fragments_as_they_arrive(link):
    async with link() as (connection, peer), trio.open_nursery() as nursery:
        stream = connection.recv_streaming()
        peer.send_fragment(b"Hel", first=True)
        with assert_checkpoints():
            assert await anext(stream) == "Hel"
        results = []
        nursery.start_soon(collect, results, anext, stream)
        await wait_all_tasks_blocked()
        peer.send_fragment(b"lo")
        await wait_all_tasks_blocked()
        assert results == ["lo"]
        peer.protocol.send_continuation(b"", fin=True)
        peer.send("next")
        assert [fragment async for fragment in stream] == [""]
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        assert await connection.recv() == "next"


@trio_test
async def test_recv_refuses_the_rest_of_a_message_that_another_iterator_can_have(link):
    async with link() as (connection, peer):
        peer.send(["a", "b", "c"], "next")
        first = connection.recv_streaming()
        assert await anext(first) == "a"
        with pytest.raises(ConcurrencyError, match="the rest of them must be received first"):
            await connection.recv()
        second = connection.recv_streaming()
        assert await anext(second) == "b"
        with pytest.raises(ConcurrencyError):
            await anext(first)
        assert await anext(second) == "c"
        with pytest.raises(StopAsyncIteration):
            await anext(second)
        assert await connection.recv() == "next"


@trio_test
async def test_cancelled_recv_streaming_loses_nothing(link, clock):
    async with link() as (connection, peer):
        stream = connection.recv_streaming()
        with trio.move_on_after(1):
            await anext(stream)
        peer.send(["a", "b"])
        with trio.CancelScope() as scope:
            scope.cancel()
            await anext(stream)
        assert [fragment async for fragment in stream] == ["a", "b"]


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("side", Side)
@trio_test
async def test_binary_message_that_is_not_text_fails_connection_when_text_is_asked_for(
    link, side, streaming
):
    async with link(side) as (connection, peer):
        peer.send(b"caf\xe9")
        with pytest.raises(ConnectionClosedError) as raised:
            if streaming:
                await anext(connection.recv_streaming(decode=True))
            else:
                await connection.recv(decode=True)
        assert raised.value.sent == Close(1007, "unexpected end of data at position 3")
        assert isinstance(raised.value.__cause__, UnicodeDecodeError)
        assert connection.state is State.CLOSED
        assert peer.protocol.close_rcvd.code == 1007


@trio_test
async def test_failure_to_decode_a_message_of_a_closed_connection_loses_nothing_else(link):
    async with link() as (connection, peer):
        peer.send(b"\xff", "last")
        peer.close(4000, "bye")
        await connection.wait_closed()
        with pytest.raises(UnicodeDecodeError):
            await connection.recv(decode=True)
        assert await connection.recv() == "last"
        with pytest.raises(ConnectionClosedError) as raised:
            await connection.recv()
        assert raised.value.rcvd == Close(4000, "bye")


@trio_test
async def test_failure_to_decode_loses_nothing_that_waits_for_room_in_the_queue(link):
    async with link(max_queue=0) as (connection, peer):
        # So large that what follows isn't looked at before there is room for it.
        peer.send(b"\xff" * 50_000, "last")
        await wait_all_tasks_blocked()
        peer.stream.unblock(ConnectionResetError())
        await connection.ping()
        await connection.wait_closed()
        with pytest.raises(UnicodeDecodeError):
            await connection.recv(decode=True)
        assert [fragment async for fragment in connection.recv_streaming()] == ["last"]


# Backpressure


@trio_test
async def test_reading_stops_when_enough_waits_and_goes_on_when_it_does_not(link):
    async with link(max_queue=(4, 2)) as (connection, peer):
        await wait_all_tasks_blocked()
        reads = connection.stream.reads
        for number in range(10):
            peer.send(str(number))
        await wait_all_tasks_blocked()
        assert connection.stream.reads == reads + 4
        assert [await connection.recv() for _ in range(2)] == ["0", "1"]
        await wait_all_tasks_blocked()
        assert connection.stream.reads == reads + 4
        assert await connection.recv() == "2"
        await wait_all_tasks_blocked()
        assert connection.stream.reads == reads + 7
        peer.close()
        assert await receive_all(connection) == [str(number) for number in range(3, 10)]


@trio_test
async def test_message_of_more_fragments_than_the_queue_has_room_for_is_received(link):
    async with link(max_queue=2) as (connection, peer):
        for number in range(20):
            peer.send_fragment(b"a", first=number == 0)
        await wait_all_tasks_blocked()
        peer.protocol.send_continuation(b"", fin=True)
        peer.flush()
        assert await connection.recv() == 20 * "a"


@trio_test
async def test_fragments_are_received_one_by_one_when_the_queue_is_full(link):
    async with link(max_queue=1) as (connection, peer):
        for number in range(10):
            peer.send_fragment(b"%d" % number, first=number == 0)
        peer.protocol.send_continuation(b"", fin=True)
        peer.flush()
        assert [fragment async for fragment in connection.recv_streaming()] == [
            *"0123456789",
            "",
        ]


@pytest.mark.parametrize("side", Side)
@trio_test
async def test_close_of_the_peer_is_noticed_behind_messages_that_nobody_reads(link, side):
    async with link(side, max_queue=2) as (connection, peer):
        peer.send("one", "two", "three")
        peer.close()
        await wait_all_tasks_blocked()
        assert await receive_all(connection) == ["one", "two", "three"]
        with pytest.raises(ConnectionClosedOK):
            await connection.recv()


@pytest.mark.parametrize("ending", ["open", "lost"])
@trio_test
async def test_what_one_chunk_holds_is_decoded_when_there_is_room(link, ending):
    # Much more than is decoded at a time.
    count = 100_000
    async with link(max_queue=2) as (connection, peer):
        for _ in range(count):
            peer.protocol.send_text(b"a")
        chunk = b"".join(peer.protocol.data_to_send())
        connection._process_received(connection.session.receive_data(chunk, trio.current_time()))
        assert 2 < len(connection.session.messages.frames) < count / 2
        if ending == "lost":
            connection._abort.cancel()
            await connection.wait_closed()
        for _ in range(count):
            assert await connection.recv() == "a"
