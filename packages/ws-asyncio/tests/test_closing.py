"""The closing handshake, and other ends of a connection, in memory."""

import asyncio
import errno

import pytest

from ws_protocol.exceptions import (
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidMessage,
    InvalidState,
    ProtocolError,
)
from ws_protocol.frames import Close, Opcode
from ws_protocol.protocol import Side, State


async def get_exception(connection):
    """Return the exception that receiving and sending raise, which is the same."""
    with pytest.raises((ConnectionClosedOK, ConnectionClosedError)) as received:
        await connection.recv()
    with pytest.raises((ConnectionClosedOK, ConnectionClosedError)) as sent:
        await connection.send("a")
    assert type(received.value) is type(sent.value)
    assert received.value.args == sent.value.args
    assert received.value.__cause__ is sent.value.__cause__
    return received.value


# Closing handshakes


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize(
    "code, reason, ok",
    [(1000, "", True), (1001, "bye", True), (1011, "ü" * 61, False), (4999, "", False)],
)
async def test_close_performs_the_closing_handshake(link, clock, side, tls, code, reason, ok):
    connection, peer = await link(side, tls=tls)
    start = clock.time()
    await connection.close(code, reason)
    assert clock.time() - start < 1
    assert connection.state is State.CLOSED
    assert (connection.close_code, connection.close_reason) == (code, reason)
    assert peer.protocol.close_rcvd == Close(code, reason)
    assert peer.eof_received
    assert not connection.transport.aborted
    exc = await get_exception(connection)
    assert type(exc) is (ConnectionClosedOK if ok else ConnectionClosedError)
    assert exc.rcvd == exc.sent == Close(code, reason)
    assert exc.rcvd_then_sent is False
    assert exc.__cause__ is None


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize(
    "code, reason, ok", [(1000, "", True), (1001, "bye", True), (1011, "oops", False)]
)
async def test_close_frame_of_the_peer_is_answered(link, clock, side, tls, code, reason, ok):
    connection, peer = await link(side, tls=tls)
    start = clock.time()
    peer.close(code, reason)
    exc = await get_exception(connection)
    assert clock.time() - start < 1
    assert type(exc) is (ConnectionClosedOK if ok else ConnectionClosedError)
    assert exc.rcvd == exc.sent == Close(code, reason)
    assert exc.rcvd_then_sent is True
    assert exc.__cause__ is None
    assert (connection.close_code, connection.close_reason) == (code, reason)
    assert peer.opcodes() == [Opcode.CLOSE]


async def test_close_frame_without_a_code_is_answered(link):
    connection, peer = await link()
    peer.protocol.send_close()
    peer.flush()
    exc = await get_exception(connection)
    assert isinstance(exc, ConnectionClosedOK)
    assert exc.rcvd.code == 1005
    assert (connection.close_code, connection.close_reason) == (1005, "")
    assert peer.protocol.close_rcvd.code == 1005


@pytest.mark.parametrize("side", Side)
async def test_close_frames_may_cross(link, side):
    connection, peer = await link(side)
    peer.silent = True
    peer.protocol.send_close(1001, "peer")
    data = peer.collect()
    task = asyncio.create_task(connection.close(1000, "connection"))
    await asyncio.sleep(0)
    peer.transport.receive(data)
    peer.flush()
    if side is Side.CLIENT:
        peer.send_eof()
    await task
    exc = await get_exception(connection)
    assert exc.sent == Close(1000, "connection")
    assert exc.rcvd == Close(1001, "peer")
    assert exc.rcvd_then_sent is False
    assert peer.opcodes() == [Opcode.CLOSE]


async def test_close_again_waits_for_the_same(link, clock):
    connection, peer = await link()
    peer.silent = True
    tasks = [
        asyncio.create_task(connection.close(1000, "first")),
        asyncio.create_task(connection.close(1011, "second")),
        asyncio.create_task(connection.wait_closed()),
    ]
    await clock.settle()
    assert not any(task.done() for task in tasks)
    peer.flush()
    await asyncio.gather(*tasks)
    assert peer.opcodes() == [Opcode.CLOSE]
    assert connection.close_reason == "first"
    await connection.close(1011)
    await connection.wait_closed()
    assert connection.close_code == 1000


async def test_close_after_the_peer_closed_waits_for_the_end(link, clock):
    connection, peer = await link()
    peer.silent = True
    peer.close(1001)
    assert connection.state is State.CLOSING
    task = asyncio.create_task(connection.close())
    await clock.settle()
    assert not task.done()
    peer.send_eof()
    await task
    assert connection.close_code == 1001


@pytest.mark.parametrize(
    "code, reason",
    [
        (0, ""),
        (999, ""),
        (1004, ""),
        (1005, ""),
        (1006, ""),
        (1015, ""),
        (5000, ""),
        (1000, "ü" * 62),
    ],
)
async def test_close_frame_that_is_not_possible_is_refused(link, code, reason):
    connection, peer = await link()
    with pytest.raises(ProtocolError):
        await connection.close(code, reason)
    assert connection.state is State.OPEN
    await connection.send("still open")
    assert peer.messages == ["still open"]


async def test_wait_closed_closes_nothing(link, clock):
    connection, peer = await link()
    task = asyncio.create_task(connection.wait_closed())
    await clock.settle()
    assert not task.done()
    peer.send("Hello")
    assert await connection.recv() == "Hello"
    peer.close()
    await task
    assert connection.state is State.CLOSED


async def test_code_and_reason_are_none_until_the_connection_is_closed(link, clock):
    connection, peer = await link()
    assert connection.close_code is connection.close_reason is None
    peer.silent = True
    task = asyncio.create_task(connection.close())
    await clock.settle()
    assert connection.close_code is connection.close_reason is None
    peer.flush()
    await task
    assert connection.close_code == 1000


# Context manager


async def test_leaving_the_context_closes_the_connection(link):
    connection, peer = await link()
    async with connection as entered:
        assert entered is connection
    assert connection.state is State.CLOSED
    assert peer.protocol.close_rcvd == Close(1000, "")


@pytest.mark.parametrize("exc_type", [ZeroDivisionError, asyncio.CancelledError])
async def test_leaving_the_context_with_an_exception_tells_the_peer_of_an_error(link, exc_type):
    connection, peer = await link()
    with pytest.raises(exc_type):
        async with connection:
            raise exc_type
    assert connection.state is State.CLOSED
    assert peer.protocol.close_rcvd == Close(1011, "")


async def test_leaving_the_context_with_an_exception_of_the_closed_connection_lets_it_through(link):
    connection, peer = await link()
    peer.close(1001)
    with pytest.raises(ConnectionClosedOK):
        async with connection:
            await connection.recv()
    assert connection.close_code == 1001


# Peers that vanish


def never_answer(connection, peer):
    peer.silent = True


def never_read(connection, peer):
    # It reads nothing, so that the close frame can't even leave.
    connection.transport.block()


def send_without_end(connection, peer):
    peer.silent = True

    def send():
        if connection.state is not State.CLOSED:
            # Anything but a close frame.
            connection.transport.receive(data)
            asyncio.get_running_loop().call_later(0.1, send)

    peer.put("never ends")
    data = peer.collect()
    send()


@pytest.mark.parametrize("behave", [never_answer, never_read, send_without_end])
@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("ping_interval", [None, 1, 1000])
async def test_close_takes_no_longer_than_the_timeout(
    link, clock, side, tls, behave, ping_interval
):
    connection, peer = await link(side, tls=tls, close_timeout=7, ping_interval=ping_interval)
    behave(connection, peer)
    start = clock.time()
    await connection.close()
    assert clock.time() - start == pytest.approx(7, abs=0.01)
    assert connection.transport.aborted
    assert connection.state is State.CLOSED
    assert (connection.close_code, connection.close_reason) == (1006, "")
    while connection.state is State.CLOSED:
        try:
            assert await connection.recv() == "never ends"
        except ConnectionClosedError:
            break
    exc = await get_exception(connection)
    assert isinstance(exc, ConnectionClosedError)
    assert exc.sent == Close(1000, "")
    assert exc.rcvd is None
    assert isinstance(exc.__cause__, TimeoutError)
    # No timer is left that would do anything.
    await clock.advance(3600)


async def test_close_waits_as_long_as_it_takes_without_a_timeout(link, clock):
    connection, peer = await link(close_timeout=None)
    peer.silent = True
    task = asyncio.create_task(connection.close())
    await clock.advance(1e6)
    assert not task.done()
    peer.flush()
    await task
    assert connection.close_code == 1000


async def test_calling_close_again_does_not_prolong_the_timeout(link, clock):
    connection, peer = await link(close_timeout=10)
    peer.silent = True
    start = clock.time()

    async def close():
        await connection.close()
        return clock.time() - start

    tasks = []
    for _ in range(4):
        tasks.append(asyncio.create_task(close()))
        await clock.advance(3)
    assert await asyncio.gather(*tasks) == [pytest.approx(10, abs=0.01)] * 4


async def test_server_that_does_not_close_the_tcp_connection_is_not_waited_for_any_longer(
    link, clock
):
    connection, peer = await link(close_timeout=10)
    peer.silent = True
    peer.protocol.send_close(1000)
    # Its close frame, but not the end of the stream, which comes with its answer.
    data = peer.collect()
    start = clock.time()
    peer.transport.receive(data)
    await connection.wait_closed()
    assert clock.time() - start == pytest.approx(10, abs=0.01)
    assert connection.transport.aborted
    exc = await get_exception(connection)
    assert isinstance(exc, ConnectionClosedOK)
    assert exc.rcvd == exc.sent == Close(1000, "")


async def test_client_that_does_not_close_the_tcp_connection_is_not_waited_for_any_longer(
    link, clock
):
    connection, peer = await link(Side.SERVER, close_timeout=10)
    peer.silent = True
    start = clock.time()
    peer.close(1000)
    assert peer.eof_received  # by the server
    await connection.wait_closed()
    assert clock.time() - start == pytest.approx(10, abs=0.01)
    assert isinstance(await get_exception(connection), ConnectionClosedOK)


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("when", ["open", "closing"])
async def test_reset_is_the_cause(link, clock, side, when):
    connection, peer = await link(side)
    peer.silent = True
    if when == "closing":
        task = asyncio.create_task(connection.close())
        await clock.settle()
    exc = ConnectionResetError("gone")
    peer.transport.lose(exc)
    if when == "closing":
        await task
    raised = await get_exception(connection)
    assert isinstance(raised, ConnectionClosedError)
    assert raised.rcvd is None
    assert raised.sent == (Close(1000, "") if when == "closing" else None)
    assert raised.__cause__ is exc
    assert (connection.close_code, connection.close_reason) == (1006, "")


@pytest.mark.parametrize("side", Side)
async def test_reset_after_the_closing_handshake_does_not_matter(link, side):
    connection, peer = await link(side)
    peer.silent = True
    peer.close(1000)
    peer.transport.lose(ConnectionResetError("gone"))
    raised = await get_exception(connection)
    assert isinstance(raised, ConnectionClosedOK)
    assert raised.__cause__ is None


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize(
    "last, missing",
    [
        (b"", None),
        (b"\x81", "the header of a frame"),
        (b"\x01\x00", "a fragmented message"),
        (b"\x81\x02a", "a frame with 1 byte"),
    ],
)
async def test_end_of_stream_without_a_close_frame_is_the_cause(link, clock, side, last, missing):
    connection, peer = await link(side)
    if side is Side.SERVER and len(last) > 1:
        # Masked.
        last = bytes([last[0], last[1] | 0x80]) + bytes(4) + last[2:]
    if last:
        peer.transport.receive(last)
    start = clock.time()
    peer.send_eof()
    raised = await get_exception(connection)
    assert clock.time() - start < 1
    assert isinstance(raised, ConnectionClosedError)
    assert raised.rcvd is raised.sent is None
    assert isinstance(raised.__cause__, EOFError)
    assert (missing or "unexpectedly") in str(raised.__cause__)
    assert (connection.close_code, connection.close_reason) == (1006, "")


async def test_peer_that_closes_its_side_while_closing_ends_it(link, clock):
    connection, peer = await link()
    peer.silent = True
    task = asyncio.create_task(connection.close())
    await clock.settle()
    start = clock.time()
    peer.send_eof()
    await task
    assert clock.time() - start < 1
    raised = await get_exception(connection)
    assert raised.sent == Close(1000, "")
    assert raised.rcvd is None
    assert isinstance(raised.__cause__, EOFError)


@pytest.mark.parametrize("side", Side)
async def test_peer_that_closes_its_side_and_never_reads_is_not_waited_for(link, clock, side):
    connection, peer = await link(side, close_timeout=10)
    connection.transport.block()
    await connection.send("never arrives")
    start = clock.time()
    peer.send_eof()
    assert connection.state is State.CLOSED
    # Whether the rest of what was sent can leave isn't known yet.
    await connection.wait_closed()
    assert clock.time() - start == pytest.approx(10, abs=0.01)
    assert isinstance(await get_exception(connection), ConnectionClosedError)


@pytest.mark.parametrize("side", Side)
async def test_what_was_sent_before_closing_arrives(link, clock, side):
    connection, peer = await link(side, write_limit=10**6)
    connection.transport.block()
    await connection.send("a" * 10**5)
    task = asyncio.create_task(connection.close())
    await clock.settle()
    assert not task.done()
    connection.transport.unblock()
    await task
    assert peer.messages == ["a" * 10**5]
    assert connection.close_code == 1000


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("waiting", [True, False])
async def test_frame_that_breaks_the_protocol_is_the_cause(link, clock, side, waiting):
    connection, peer = await link(side)
    if waiting:
        task = asyncio.create_task(get_exception(connection))
        await clock.settle()
    start = clock.time()
    peer.transport.receive(b"\xff\x00")  # reserved bits, and not masked
    raised = await (task if waiting else get_exception(connection))
    assert clock.time() - start < 1
    assert isinstance(raised, ConnectionClosedError)
    assert raised.sent.code == 1002
    assert raised.rcvd is None
    assert isinstance(raised.__cause__, ProtocolError)
    assert peer.protocol.close_rcvd.code == 1002
    assert connection.close_code == 1006


@pytest.mark.parametrize("side", Side)
async def test_peer_that_ignores_a_failure_is_not_waited_for(link, clock, side):
    connection, peer = await link(side, close_timeout=10)
    peer.silent = True
    start = clock.time()
    peer.transport.receive(b"\xff\x00")
    raised = await get_exception(connection)
    assert clock.time() - start == pytest.approx(10, abs=0.01)
    # What went wrong first is the cause.
    assert isinstance(raised.__cause__, ProtocolError)


async def test_reset_after_a_failure_is_not_the_cause(link):
    connection, peer = await link()
    peer.silent = True
    peer.transport.receive(b"\xff\x00")
    peer.transport.lose(ConnectionResetError("gone"))
    raised = await get_exception(connection)
    assert isinstance(raised.__cause__, ProtocolError)


async def test_abort_of_the_transport_ends_the_connection(link):
    connection, _ = await link()
    connection.transport.abort()
    raised = await get_exception(connection)
    assert isinstance(raised, ConnectionClosedError)
    assert raised.rcvd is raised.sent is None


async def test_each_caller_gets_an_exception_of_its_own(link):
    connection, peer = await link()
    peer.transport.receive(b"\xff\x00")
    exceptions = []
    for _ in range(2):
        with pytest.raises(ConnectionClosedError) as raised:
            await connection.recv()
        exceptions.append(raised.value)
    assert exceptions[0] is not exceptions[1]


# Connections that aren't open yet


async def connect(link):
    """Return a connection whose peer doesn't answer, the peer, and the task of the opening
    handshake."""
    connection, peer = await link(handshake=False)
    peer.silent = True
    task = asyncio.create_task(connection.handshake())
    await asyncio.sleep(0)
    return connection, peer, task


async def test_end_of_stream_ends_the_opening_handshake(link):
    connection, peer, task = await connect(link)
    peer.send_eof()
    with pytest.raises(InvalidMessage):
        await task
    await connection.wait_closed()
    assert connection.state is State.CLOSED


async def test_lost_connection_ends_the_opening_handshake(link):
    connection, peer, task = await connect(link)
    peer.transport.lose(ConnectionResetError("gone"))
    with pytest.raises(InvalidMessage):
        await task
    assert connection.state is State.CLOSED


async def test_close_during_the_opening_handshake_aborts_it(link):
    connection, _, task = await connect(link)
    await connection.close()
    assert connection.transport.aborted
    assert connection.state is State.CLOSED
    with pytest.raises(InvalidMessage):
        await task


async def test_cancelled_opening_handshake_can_be_followed_by_close(link):
    connection, _, task = await connect(link)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await connection.close()
    assert connection.state is State.CLOSED


async def test_connection_that_is_not_open_yet_can_not_send(link):
    connection, _, task = await connect(link)
    for call in [
        connection.send("a"),
        connection.send(["a"]),
        connection.ping(),
        connection.pong(),
    ]:
        with pytest.raises(InvalidState, match="connecting"):
            await call
    assert connection.state is State.CONNECTING
    task.cancel()
    await connection.close()


async def test_peer_that_is_gone_without_notice_does_not_hinder_closing(link, monkeypatch):
    connection, _ = await link(Side.SERVER)

    def write_eof():
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

    monkeypatch.setattr(connection.transport, "write_eof", write_eof)
    await connection.close()
    assert connection.state is State.CLOSED
    assert connection.close_code == 1000
