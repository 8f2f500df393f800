"""Keepalive, pings and their pongs, in memory."""

import asyncio
import gc
import itertools

import pytest

from ws_protocol.exceptions import ConnectionClosed, ConnectionClosedError, ConnectionClosedOK
from ws_protocol.frames import Close, Frame, Opcode
from ws_protocol.protocol import Side, State


def count_pings(peer):
    return peer.opcodes().count(Opcode.PING)


# Keepalive


async def test_ping_is_sent_in_each_interval(link, clock):
    connection, peer = await link(ping_interval=20)
    await clock.advance(19.9)
    assert peer.frames == []
    await clock.advance(0.2)
    assert peer.opcodes() == [Opcode.PING]
    await clock.advance(60)
    assert peer.opcodes() == [Opcode.PING] * 4
    assert len({bytes(frame.data) for frame in peer.frames}) == 4
    assert connection.state is State.OPEN


async def test_defaults_are_20_seconds(link, clock):
    _, peer = await link()
    peer.silent = True
    await clock.advance(20.1)
    assert peer.opcodes() == [Opcode.PING]
    await clock.advance(19.8)
    assert Opcode.CLOSE not in peer.opcodes()
    await clock.advance(0.2)
    assert peer.opcodes()[-1] == Opcode.CLOSE


async def test_no_ping_is_sent_without_an_interval(link, clock):
    connection, peer = await link(ping_interval=None)
    peer.silent = True
    await clock.advance(1e6)
    assert peer.frames == []
    assert connection.state is State.OPEN


async def test_peer_that_answers_is_not_given_up(link, clock):
    connection, peer = await link(ping_interval=20, ping_timeout=1)
    await clock.advance(10_010)
    assert connection.state is State.OPEN
    assert count_pings(peer) == 500


@pytest.mark.parametrize("ping_interval, ping_timeout", [(20, 20), (5, 30), (30, 5)])
async def test_peer_that_does_not_answer_is_given_up(link, clock, ping_interval, ping_timeout):
    connection, peer = await link(
        ping_interval=ping_interval, ping_timeout=ping_timeout, close_timeout=10
    )
    peer.silent = True
    start = clock.time()
    with pytest.raises(ConnectionClosedError) as raised:
        await connection.recv()
    # A ping, an answer, and a close frame are waited for.
    assert clock.time() - start == pytest.approx(ping_interval + ping_timeout + 10, abs=0.01)
    assert raised.value.sent == Close(1011, "keepalive ping timeout")
    assert raised.value.rcvd is None
    assert isinstance(raised.value.__cause__, TimeoutError)
    assert "keepalive" in str(raised.value.__cause__)
    assert connection.transport.aborted
    # No more than were due.
    assert count_pings(peer) <= 1 + ping_timeout // ping_interval


async def test_peer_that_reads_again_after_it_was_given_up_learns_why(link, clock):
    connection, peer = await link(close_timeout=10)
    connection.transport.block()
    await clock.advance(45)
    connection.transport.unblock()
    await connection.wait_closed()
    assert peer.opcodes() == [Opcode.PING, Opcode.CLOSE]
    assert peer.protocol.close_rcvd.code == 1011
    assert not connection.transport.aborted


async def test_peer_is_not_given_up_without_a_timeout(link, clock):
    connection, peer = await link(ping_interval=20, ping_timeout=None)
    peer.silent = True
    await clock.advance(1010)
    assert connection.state is State.OPEN
    assert count_pings(peer) == 50


async def test_every_byte_of_the_peer_counts_as_an_answer(link, clock):
    connection, peer = await link(ping_interval=20, ping_timeout=20, max_queue=None)
    peer.silent = True
    message_without_end = itertools.chain(b"\x02\x00", itertools.cycle(b"\x00\x01!"))
    for _ in range(100):
        await clock.advance(15)
        peer.transport.receive(bytes([next(message_without_end)]))
    assert connection.state is State.OPEN
    assert connection.latency == 0
    with pytest.raises(ConnectionClosedError) as raised:
        await connection.recv()
    assert raised.value.sent.code == 1011


async def test_peer_is_not_given_up_because_the_application_is_slow(link, clock):
    connection, peer = await link(ping_interval=20, ping_timeout=20, max_queue=2)
    peer.send("0", "1", "2")
    assert not connection.transport.reading
    peer.silent = True
    await clock.advance(10_000)
    assert connection.state is State.OPEN
    # Pings that aren't answered in time don't pile up.
    assert count_pings(peer) == 1
    peer.silent = False
    peer.flush()
    assert [await connection.recv() for _ in range(3)] == ["0", "1", "2"]
    assert connection.transport.reading
    await clock.advance(1000)
    assert connection.state is State.OPEN
    assert count_pings(peer) > 45


async def test_peer_is_not_given_up_because_the_application_receives_slowly(link, clock):
    connection, peer = await link(ping_interval=20, ping_timeout=20, max_queue=(4, 1))

    async def produce():
        for i in range(40):
            await asyncio.sleep(1)
            peer.send(str(i))

    task = asyncio.create_task(produce())
    for i in range(40):
        await clock.advance(50)
        assert await connection.recv() == str(i)
    assert connection.state is State.OPEN
    assert connection.transport.pauses > 1
    await task


async def test_peer_that_is_gone_is_given_up_once_the_application_reads_again(link, clock):
    connection, peer = await link(ping_interval=20, ping_timeout=20, close_timeout=10, max_queue=0)
    peer.send("last")
    peer.silent = True
    await clock.advance(1000)
    assert await connection.recv() == "last"
    start = clock.time()
    with pytest.raises(ConnectionClosedError) as raised:
        await connection.recv()
    assert isinstance(raised.value.__cause__, TimeoutError)
    assert clock.time() - start < 20 + 20 + 10 + 1


async def test_peer_that_is_gone_is_given_up_before_the_next_ping(link, clock):
    connection, peer = await link(
        ping_interval=1000, ping_timeout=10, close_timeout=10, max_queue=0
    )
    peer.silent = True
    peer.send("full")
    # A ping is sent while reading is paused.
    await clock.advance(1500)
    assert count_pings(peer) == 1
    assert await connection.recv() == "full"
    start = clock.time()
    with pytest.raises(ConnectionClosedError):
        await connection.recv()
    assert clock.time() - start == pytest.approx(10 + 10, abs=0.01)


async def test_pong_that_waits_in_the_network_while_reading_is_paused_is_an_answer(link, clock):
    connection, peer = await link(ping_interval=20, ping_timeout=20, max_queue=0)
    await clock.advance(19)
    peer.send("full")
    # As much of it is read ahead as ever is. That counts as an answer to the first ping.
    peer.send(b"x" * 400_000)
    # Pings and pongs happen now; the pongs aren't read.
    await clock.advance(100)
    assert count_pings(peer) == 2
    assert connection.latency == 0
    assert await connection.recv() == "full"
    assert await connection.recv() == b"x" * 400_000
    await clock.settle()
    assert connection.latency > 70
    await clock.advance(10)
    assert connection.state is State.OPEN


@pytest.mark.parametrize("close_frame", [False, True])
async def test_peer_that_leaves_is_noticed_although_the_application_does_not_receive(
    link, clock, close_frame
):
    connection, peer = await link(ping_interval=20, max_queue=0)
    sent = ["0", *(str(i) * 1000 for i in range(1, 10))]
    peer.send(sent[0])
    assert not connection.transport.reading
    peer.send(*sent[1:])
    await clock.advance(1000)
    # It may have to do with something else for long, but it is there.
    assert connection.state is State.OPEN
    if close_frame:
        peer.close()
    peer.send_eof()
    await clock.advance(100)
    assert connection.state is State.CLOSED
    # What it sent before can still be received.
    received = []
    with pytest.raises(ConnectionClosed) as raised:
        while True:
            received.append(await connection.recv())
    assert received == sent
    assert raised.value.rcvd == (Close(1000, "") if close_frame else None)


async def test_not_much_is_read_while_the_application_does_not_receive(link, clock):
    connection, peer = await link(ping_interval=20, max_queue=0)
    # It sends no pongs in the middle of frames.
    peer.silent = True
    sent = ["0", "1" * 100, b"2" * 200_000, *["3" * 10_000] * 100]
    for message in sent:
        peer.put(message)
        data = peer.collect()
        peer.transport.receive(data[:1000])
        await clock.advance(20)
        if data[1000:]:
            peer.transport.receive(data[1000:])
            await clock.advance(20)
    await clock.advance(1000)
    assert sum(map(len, sent)) - sum(map(len, peer.transport._incoming)) < 2 * 262144
    assert [await connection.recv() for _ in sent] == sent
    assert connection.state is State.OPEN


async def test_answer_that_the_program_was_too_busy_to_read_counts(link, clock):
    connection, peer = await link(ping_interval=20, ping_timeout=20)
    peer.silent = True
    await clock.advance(21)
    assert count_pings(peer) == 1
    # The answer is there all the time, but timers are first.
    clock.stall(100)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert connection.state is State.OPEN
    peer.flush()
    peer.silent = False
    await clock.advance(1000)
    assert connection.state is State.OPEN


async def test_peer_that_is_gone_is_given_up_although_the_program_was_busy(link, clock):
    connection, peer = await link(ping_interval=20, ping_timeout=20)
    peer.silent = True
    await clock.advance(21)
    clock.stall(100)
    await clock.advance(1)
    assert connection.state is State.CLOSING


async def test_keepalive_stops_when_the_connection_is_closing(link, clock):
    connection, peer = await link(ping_interval=1, ping_timeout=1, close_timeout=None)
    peer.silent = True
    task = asyncio.create_task(connection.close())
    await clock.advance(100)
    assert peer.opcodes() == [Opcode.CLOSE]
    peer.flush()
    await task
    await clock.advance(100)


async def test_keepalive_stops_when_the_peer_is_closing(link, clock):
    connection, peer = await link(ping_interval=1, ping_timeout=1, close_timeout=10)
    peer.silent = True
    peer.close(1001)
    await connection.wait_closed()
    assert peer.opcodes() == [Opcode.CLOSE]
    assert connection.close_code == 1001


async def test_keepalive_stops_when_the_connection_is_lost(link, clock):
    connection, peer = await link(ping_interval=1)
    peer.transport.lose(None)
    await connection.wait_closed()
    await clock.advance(100)
    assert peer.frames == []


async def test_keepalive_tells_the_latency(link, clock):
    connection, peer = await link(ping_interval=20)
    assert connection.latency == 0
    peer.silent = True
    await clock.advance(21)
    peer.flush()
    assert connection.latency == pytest.approx(1, abs=0.01)


# Pings


@pytest.mark.parametrize("side", Side)
async def test_ping_tells_the_latency(link, clock, side):
    connection, peer = await link(side)
    peer.silent = True
    pong_received = await connection.ping()
    await clock.advance(3)
    assert not pong_received.done()
    peer.flush()
    assert await pong_received == pytest.approx(3, abs=0.01)
    assert connection.latency == await pong_received


async def test_pong_answers_the_pings_before_it(link, clock):
    connection, peer = await link()
    peer.silent = True
    pongs = []
    for payload in ["first", "second", "third"]:
        pongs.append(await connection.ping(payload))
        await clock.advance(1)
    peer.protocol.data_to_send()
    peer.protocol.send_pong(b"second")
    peer.flush()
    assert await pongs[0] == pytest.approx(3, abs=0.01)
    assert await pongs[1] == pytest.approx(2, abs=0.01)
    assert connection.latency == await pongs[1]
    assert not pongs[2].done()
    peer.protocol.send_pong(b"third")
    peer.flush()
    await pongs[2]


async def test_pong_that_answers_no_ping_is_ignored(link, clock):
    connection, peer = await link()
    peer.silent = True
    pong_received = await connection.ping(b"this")
    for payload in [b"", b"that", b"thi"]:
        peer.protocol.data_to_send()
        peer.protocol.send_pong(payload)
        peer.flush()
    await clock.settle()
    assert not pong_received.done()
    for _ in range(3):
        peer.protocol.send_pong(b"this")
        peer.flush()
    await pong_received
    assert connection.state is State.OPEN


async def test_cancelled_ping_is_forgotten(link):
    connection, peer = await link()
    peer.silent = True
    first = await connection.ping(b"1")
    second = await connection.ping(b"2")
    first.cancel()
    await asyncio.sleep(0)
    peer.flush()
    await second
    await asyncio.sleep(0)
    third = await connection.ping(b"1")
    peer.flush()
    assert await third >= 0


async def test_pong_that_comes_after_it_was_waited_for_is_ignored(link, clock):
    connection, peer = await link()
    peer.silent = True
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(await connection.ping(), 5)
    peer.flush()
    await clock.settle()
    peer.silent = False
    assert await (await connection.ping()) >= 0


async def test_many_tasks_may_wait_for_a_pong(link, clock):
    connection, peer = await link()
    peer.silent = True

    async def ping():
        return await (await connection.ping())

    tasks = [asyncio.create_task(ping()) for _ in range(100)]
    await clock.advance(1)
    peer.flush()
    assert await asyncio.gather(*tasks) == [pytest.approx(1, abs=0.01)] * 100


@pytest.mark.parametrize("side", Side)
async def test_pings_are_answered(link, clock, side):
    connection, peer = await link(side)
    for payload in [b"", b"payload", b"x" * 125]:
        peer.protocol.send_ping(payload)
        peer.flush()
        await clock.settle()
        assert peer.frames[-1] == Frame(Opcode.PONG, payload)
    assert connection.state is State.OPEN


async def test_pings_are_answered_although_the_queue_is_full(link, clock):
    connection, peer = await link(max_queue=1)
    peer.put("1", "2", "3")
    peer.protocol.send_ping(b"!")
    peer.flush()
    assert not connection.transport.reading
    await clock.settle()
    assert peer.frames == [Frame(Opcode.PONG, b"!")]


# Pings whose connection ends


def end_with_close(connection, peer):
    peer.close()


def end_with_reset(connection, peer):
    peer.transport.lose(ConnectionResetError("gone"))


def end_with_eof(connection, peer):
    peer.send_eof()


def end_with_invalid_frame(connection, peer):
    peer.transport.receive(b"\xff\xff")


@pytest.mark.parametrize(
    "end, exc_type",
    [
        (end_with_close, ConnectionClosedOK),
        (end_with_reset, ConnectionClosedError),
        (end_with_eof, ConnectionClosedError),
        (end_with_invalid_frame, ConnectionClosedError),
    ],
)
async def test_whoever_waits_for_a_pong_is_told_of_the_end(link, clock, end, exc_type):
    connection, peer = await link()
    peer.silent = True
    pongs = [await connection.ping() for _ in range(3)]
    pongs[1].cancel()
    task = asyncio.ensure_future(asyncio.wait_for(pongs[0], 1000))
    await clock.settle()
    peer.silent = False
    peer.protocol.data_to_send()
    end(connection, peer)
    for pong_received in [task, pongs[2]]:
        with pytest.raises(exc_type) as raised:
            await pong_received
        with pytest.raises(exc_type) as expected:
            await connection.recv()
        assert raised.value.args == expected.value.args
        assert raised.value.__cause__ is expected.value.__cause__


async def test_nothing_is_logged_about_pongs_that_nobody_waited_for(link, clock):
    contexts = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: contexts.append(context))
    connection, peer = await link()
    peer.silent = True
    for _ in range(3):
        await connection.ping()
    pong_received = await connection.ping()
    peer.transport.lose(ConnectionResetError("gone"))
    await connection.wait_closed()
    assert pong_received.done()
    del connection, peer, pong_received
    await clock.settle()
    gc.collect()
    assert contexts == []
