"""What is sent in one turn of the event loop leaves together, and loses nothing by it."""

import asyncio
import contextlib
import socket

import pytest

from ws_asyncio import Connection
from ws_protocol.exceptions import ConnectionClosed, ConnectionClosedError
from ws_protocol.frames import CloseCode, Frame, Opcode
from ws_protocol.protocol import Protocol, Side, State

SIDES = pytest.mark.parametrize("side", [Side.CLIENT, Side.SERVER])


@contextlib.contextmanager
def counting(connection):
    """Give the list of what is written from now on, one by one."""
    writes = connection.transport.writes
    writes.clear()
    yield writes


@SIDES
async def test_first_message_of_a_turn_leaves_at_once(link, side):
    connection, peer = await link(side)
    await connection.send("1")
    assert peer.messages == ["1"]


@SIDES
async def test_messages_that_follow_in_the_same_turn_leave_in_one_write(link, side):
    connection, peer = await link(side)
    with counting(connection) as writes:
        for i in range(10):
            await connection.send(str(i))
        assert peer.messages == ["0", "1"]
        await asyncio.sleep(0)
    assert peer.messages == [str(i) for i in range(10)]
    assert len(writes) == 3


async def test_answers_to_messages_that_arrive_one_by_one_need_no_end_of_the_turn(link, clock):
    connection, peer = await link()
    for i in range(3):
        peer.send(f"question {i}")
        assert await connection.recv() == f"question {i}"
        with counting(connection) as writes:
            await connection.send(f"answer {i}")
            assert len(writes) == 1
        assert not connection._writer._in_turn


async def test_messages_of_many_tasks_leave_in_one_write(link):
    connection, peer = await link()
    with counting(connection) as writes:
        await asyncio.gather(*(connection.send(str(i)) for i in range(10)))
    assert peer.messages == [str(i) for i in range(10)]
    assert len(writes) == 3


async def test_first_message_of_the_next_turn_leaves_at_once(link):
    connection, peer = await link()
    for i in range(3):
        await connection.send(f"{i} first")
        assert peer.messages[-1] == f"{i} first"
        await connection.send(f"{i} second")
        await asyncio.sleep(0)
        assert peer.messages[-1] == f"{i} second"


@SIDES
async def test_answers_to_messages_that_arrived_together_leave_together(link, clock, side):
    connection, peer = await link(side)

    async def echo():
        async for message in connection:
            await connection.send(message)

    task = asyncio.create_task(echo())
    await clock.settle()
    with counting(connection) as writes:
        peer.send(*map(str, range(10)))
        await clock.settle()
    assert peer.messages == [str(i) for i in range(10)]
    assert len(writes) == 1
    peer.close()
    await task


async def test_answer_to_a_message_that_arrived_alone_leaves_at_once(link):
    connection, peer = await link()
    peer.send("question")
    assert await connection.recv() == "question"
    await connection.send("answer")
    assert peer.messages == ["answer"]


async def test_messages_broadcast_and_pings_and_pongs_stay_in_order(link):
    connection, peer = await link()
    await connection.send("1")
    await connection.ping(b"2")
    await connection.send(["3", "4"])
    await connection.pong(b"5")
    peer.protocol.send_ping(b"6")
    peer.flush()
    await connection.send(b"7")
    await asyncio.sleep(0)
    assert peer.frames == [
        Frame(Opcode.TEXT, b"1"),
        Frame(Opcode.PING, b"2"),
        Frame(Opcode.TEXT, b"3", fin=False),
        Frame(Opcode.CONT, b"4", fin=False),
        Frame(Opcode.CONT, b"", fin=True),
        Frame(Opcode.PONG, b"5"),
        Frame(Opcode.PONG, b"6"),
        Frame(Opcode.BINARY, b"7"),
    ]


async def test_large_payload_of_a_server_is_not_copied(link):
    connection, peer = await link(Side.SERVER)
    message = bytes(2**20)
    with counting(connection) as writes:
        await connection.send(message)
    assert any(data is message for data in writes)
    assert peer.messages == [message]


# With backpressure


@pytest.mark.parametrize("limit", [0, 10, 1000, 40_000, 100_000, (None, 5000), (None, None)])
async def test_no_more_is_joined_than_may_wait(link, clock, limit):
    connection, peer = await link(write_limit=limit)
    high = connection.transport.get_write_buffer_limits()[1]
    connection.transport.block()
    sent = 0

    async def produce():
        nonlocal sent
        for i in range(1000):
            await connection.send(f"{i:0500d}")
            sent += 1

    task = asyncio.create_task(produce())
    await clock.settle()
    assert not task.done()
    waiting = len(connection.transport.buffer)
    # Each was sent when no more than the limit waited, and none was kept elsewhere.
    assert high < waiting <= high + 508
    assert waiting == 508 * sent
    connection.transport.unblock()
    await task
    await asyncio.sleep(0)
    assert peer.messages == [f"{i:0500d}" for i in range(1000)]


async def test_message_before_the_last_is_cancelled_leaves_all_the_same(link, clock):
    connection, peer = await link()

    async def produce():
        await connection.send("0")
        await connection.send("1")
        await connection.send("2")
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    task = asyncio.create_task(produce())
    with pytest.raises(asyncio.CancelledError):
        await task
    await clock.settle()
    assert peer.messages == ["0", "1", "2"]


async def test_cancelled_sender_that_waits_sends_nothing(link, clock):
    connection, peer = await link(write_limit=100)
    connection.transport.block()
    await connection.send("1")
    await connection.send("x" * 200)
    task = asyncio.create_task(connection.send("never"))
    await clock.settle()
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    connection.transport.unblock()
    await connection.send("3")
    await clock.settle()
    assert peer.messages == ["1", "x" * 200, "3"]


# With the end of the connection


@SIDES
@pytest.mark.parametrize("tls", [False, True])
async def test_messages_leave_before_the_close_frame_of_the_same_turn(link, side, tls):
    connection, peer = await link(side, tls=tls)
    await connection.send("0")
    await connection.send("1")
    await connection.send("2")
    await connection.close()
    assert peer.messages == ["0", "1", "2"]
    assert peer.opcodes()[-1] is Opcode.CLOSE
    assert connection.close_code == CloseCode.NORMAL_CLOSURE


@SIDES
@pytest.mark.parametrize("tls", [False, True])
async def test_messages_leave_before_the_answer_to_a_close_frame_of_the_same_turn(link, side, tls):
    connection, peer = await link(side, tls=tls)
    await connection.send("0")
    await connection.send("1")
    await connection.send("2")
    peer.close()
    with pytest.raises(ConnectionClosed):
        await connection.send("3")
    assert peer.messages == ["0", "1", "2"]
    assert peer.opcodes()[-1] is Opcode.CLOSE
    await connection.wait_closed()
    assert peer.protocol.close_code == CloseCode.NORMAL_CLOSURE


@SIDES
async def test_messages_leave_before_the_connection_fails_in_the_same_turn(link, side):
    connection, peer = await link(side)
    await connection.send("0")
    await connection.send("1")
    await connection.send("2")
    connection.transport._read()
    connection.data_received(b"\xff\xff")
    await connection.wait_closed()
    assert peer.messages == ["0", "1", "2"]
    assert peer.protocol.close_code == CloseCode.PROTOCOL_ERROR


async def test_messages_leave_before_the_end_of_the_stream_of_the_same_turn(link):
    connection, peer = await link(Side.SERVER)
    peer.silent = True
    await connection.send("0")
    await connection.send("1")
    await connection.send("2")
    peer.send_eof()
    await connection.wait_closed()
    assert peer.messages == ["0", "1", "2"]


@SIDES
async def test_connection_may_be_lost_before_the_turn_ends(link, side):
    connection, peer = await link(side)
    await connection.send("0")
    await connection.send("1")
    await connection.send("2")
    peer.transport.lose(ConnectionResetError("gone"))
    with pytest.raises(ConnectionClosedError):
        await connection.send("3")
    await connection.wait_closed()
    assert peer.messages == ["0", "1"]


async def test_nothing_is_written_after_the_connection_is_lost(link):
    connection, peer = await link()
    await connection.send("0")
    await connection.send("1")
    await connection.send("2")
    with counting(connection) as writes:
        # Before the end of the turn comes.
        connection.transport._closing = connection.transport._lost = True
        connection.connection_lost(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert writes == []
    assert peer.messages == ["0", "1"]
    assert connection.state is State.CLOSED


async def test_aborted_connection_writes_nothing_more(link):
    connection, peer = await link()
    await connection.send("0")
    await connection.send("1")
    await connection.send("2")
    connection.transport.abort()
    await connection.wait_closed()
    assert peer.messages == ["0", "1"]


async def test_rest_of_a_large_message_is_not_written_once_the_connection_is_lost(link):
    connection, _ = await link(Side.SERVER)
    transport = connection.transport
    write = transport.write

    def write_and_lose(data):
        write(data)
        transport.lose(ConnectionResetError("gone"))

    transport.write = write_and_lose
    with counting(connection) as writes:
        await connection.send(bytes(2**20))
    assert len(writes) == 1
    with pytest.raises(ConnectionClosedError):
        await connection.send("more")


@pytest.mark.parametrize("module", ["asyncio", "uvloop"])
def test_nothing_stays_behind_when_the_loop_ends(module):
    """Nobody waits for anything after the last message."""
    ours, theirs = socket.socketpair()

    async def main():
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: Connection(Protocol(Side.SERVER), ping_interval=None), sock=ours
        )
        for i in range(5):
            await connection.send(str(i))
        return connection

    loop = pytest.importorskip(module).new_event_loop()
    try:
        connection = loop.run_until_complete(main())
        assert theirs.recv(1000) == b"".join(b"\x81\x01%d" % i for i in range(5))
        connection.transport.abort()
        loop.run_until_complete(connection.wait_closed())
    finally:
        theirs.close()
        loop.close()
