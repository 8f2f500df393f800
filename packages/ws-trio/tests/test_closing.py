"""The closing handshake, and other ends of a connection, in memory."""

import contextlib

import pytest
import trio
from trio.testing import assert_checkpoints, trio_test, wait_all_tasks_blocked

from ws_protocol.exceptions import ConnectionClosedError, ConnectionClosedOK, ProtocolError
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


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("code, reason", [(1000, ""), (1001, "bye"), (1011, "ü" * 61)])
@trio_test
async def test_close_performs_the_closing_handshake(link, clock, side, tls, code, reason):
    async with link(side, tls=tls) as (connection, peer):
        start = trio.current_time()
        with assert_checkpoints():
            await connection.aclose(code, reason)
        assert trio.current_time() == start
        assert connection.state is State.CLOSED
        assert (connection.close_code, connection.close_reason) == (code, reason)
        assert peer.eof_received
        assert peer.stream.closed
        exc = await get_exception(connection)
        assert type(exc) is (ConnectionClosedError if code == 1011 else ConnectionClosedOK)
        assert exc.rcvd == exc.sent == Close(code, reason)
        assert exc.__cause__ is None


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("side", Side)
@trio_test
async def test_close_frame_of_the_peer_is_answered(link, side, tls):
    async with link(side, tls=tls) as (connection, peer):
        peer.close(1001, "bye")
        exc = await get_exception(connection)
        assert exc.rcvd == exc.sent == Close(1001, "bye")
        assert exc.rcvd_then_sent is True
        assert peer.opcodes() == [Opcode.CLOSE]


@pytest.mark.parametrize(
    "arguments", [(1006,), (999,), (1000, "ü" * 62)], ids=["reserved", "invalid", "too long"]
)
@trio_test
async def test_impossible_close_frame_is_refused(link, arguments):
    async with link() as (connection, peer):
        with pytest.raises(ProtocolError):
            await connection.aclose(*arguments)
        await connection.send("a")
        await wait_all_tasks_blocked()
        assert peer.payloads() == [b"a"]


@trio_test
async def test_close_again_waits_for_the_same(link):
    async with link() as (connection, peer):
        peer.silent = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.aclose, 1000, "first")
            await wait_all_tasks_blocked()
            nursery.start_soon(connection.aclose, 1011, "second")
            nursery.start_soon(connection.wait_closed)
            await wait_all_tasks_blocked()
            assert len(nursery.child_tasks) == 3
            peer.flush()
        assert connection.close_reason == "first"
        await connection.aclose(1011)
        assert connection.close_code == 1000


@pytest.mark.parametrize("side", Side)
@trio_test
async def test_silent_peer_is_given_up_after_close_timeout(link, clock, side):
    async with link(side, close_timeout=7) as (connection, peer):
        peer.silent = True
        start = trio.current_time()
        await connection.aclose()
        assert trio.current_time() - start == 7
        exc = await get_exception(connection)
        assert exc.sent == Close(1000, "")
        assert exc.rcvd is None
        assert isinstance(exc.__cause__, TimeoutError)


@trio_test
async def test_peer_that_does_not_read_is_given_up_after_close_timeout(link, clock):
    async with link(close_timeout=7) as (connection, peer):
        peer.stream.blocked = True
        await connection.send("a")
        start = trio.current_time()
        await connection.aclose()
        assert trio.current_time() - start == 7


@trio_test
async def test_close_waits_for_ever_without_a_timeout(link, clock):
    async with link(close_timeout=None) as (connection, peer):
        peer.silent = True
        with trio.move_on_after(1e5) as scope:
            await connection.aclose()
        assert scope.cancelled_caught
        peer.flush()
        await connection.wait_closed()


@trio_test
async def test_cancelled_close_goes_on(link, clock):
    async with link(close_timeout=7) as (connection, peer):
        peer.silent = True
        start = trio.current_time()
        with trio.CancelScope() as scope:
            scope.cancel()
            await connection.aclose()
        await connection.wait_closed()
        assert trio.current_time() - start == 7
        assert peer.opcodes() == [Opcode.CLOSE]


@trio_test
async def test_messages_that_arrive_before_the_answer_can_be_received(link):
    async with link() as (connection, peer):
        peer.silent = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.aclose)
            await wait_all_tasks_blocked()
            peer.stream.receive(b"\x81\x01a")
            peer.flush()
        assert await connection.recv() == "a"
        with pytest.raises(ConnectionClosedOK):
            await connection.recv()


# The context manager


@pytest.mark.parametrize(
    "exception, code",
    [(None, 1000), (ValueError("oops"), 1011), (KeyboardInterrupt(), 1011)],
)
@trio_test
async def test_context_manager_closes_the_connection(link, exception, code):
    async with link() as (connection, peer):
        with contextlib.nullcontext() if exception is None else pytest.raises(type(exception)):
            async with connection as same:
                assert same is connection
                if exception is not None:
                    raise exception
        assert connection.state is State.CLOSED
        assert peer.protocol.close_rcvd.code == code


@trio_test
async def test_cancelled_context_manager_closes_the_connection(link, clock):
    async with link() as (connection, peer):
        with trio.move_on_after(1):
            async with connection:
                await connection.recv()
        await connection.wait_closed()
        assert peer.protocol.close_rcvd.code == 1001


# Lost connections


@pytest.mark.parametrize("side", Side)
@trio_test
async def test_reset_connection_tells_the_cause(link, side):
    async with link(side) as (connection, peer):
        peer.send("a")
        peer.stream.receive(ConnectionResetError("gone"))
        await connection.wait_closed()
        assert await connection.recv() == "a"
        exc = await get_exception(connection)
        assert isinstance(exc.__cause__, ConnectionResetError)
        assert connection.close_code == 1006


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("side", Side)
@trio_test
async def test_peer_that_closes_its_side_ends_the_connection(link, side, tls):
    async with link(side, tls=tls) as (connection, peer):
        peer.send("a")
        peer.stream.receive(b"")
        await connection.wait_closed()
        assert peer.eof_received
        assert await connection.recv() == "a"
        exc = await get_exception(connection)
        assert isinstance(exc.__cause__, EOFError)


@trio_test
async def test_peer_that_closes_its_side_and_does_not_read_is_given_up(link, clock):
    async with link(close_timeout=7) as (connection, peer):
        peer.stream.blocked = True
        await connection.send("a")
        peer.stream.receive(b"")
        start = trio.current_time()
        await connection.wait_closed()
        assert trio.current_time() - start == 7


@pytest.mark.parametrize("close_timeout", [7, None])
@trio_test
async def test_what_the_peer_sent_can_be_received_after_an_error_in_sending(
    link, clock, close_timeout
):
    async with link(max_queue=2, close_timeout=close_timeout) as (connection, peer):
        peer.stream.unblock(BrokenPipeError("gone"))
        await connection.send("a")
        await wait_all_tasks_blocked()
        peer.send("one", "two", "three")
        peer.stream.receive(b"")
        await wait_all_tasks_blocked()
        assert [await connection.recv() for _ in range(3)] == ["one", "two", "three"]
        exc = await get_exception(connection)
        assert isinstance(exc.__cause__, BrokenPipeError)


@trio_test
async def test_error_in_sending_ends_the_connection_even_if_nobody_receives(link, clock):
    async with link(max_queue=2, close_timeout=7) as (connection, peer):
        peer.send("one", "two", "three")
        peer.send("four")
        peer.stream.unblock(BrokenPipeError("gone"))
        await connection.send("a")
        start = trio.current_time()
        with pytest.raises(ConnectionClosedError) as raised:
            await connection.send("b")
        assert isinstance(raised.value.__cause__, BrokenPipeError)
        assert trio.current_time() - start == 7
        assert await connection.recv() == "one"


@trio_test
async def test_both_directions_may_break(link):
    async with link() as (connection, peer):
        peer.stream.unblock(BrokenPipeError("first"))
        await connection.send("a")
        await wait_all_tasks_blocked()
        peer.stream.receive(ConnectionResetError("second"))
        exc = await get_exception(connection)
        assert isinstance(exc.__cause__, BrokenPipeError)


@pytest.mark.parametrize("side", Side)
@trio_test
async def test_mistake_of_the_peer_fails_the_connection(link, side):
    async with link(side) as (connection, peer):
        peer.send("a")
        peer.stream.receive(b"\xff\xff")
        await connection.wait_closed()
        assert await connection.recv() == "a"
        exc = await get_exception(connection)
        assert exc.sent.code == 1002
        assert isinstance(exc.__cause__, ProtocolError)
        assert peer.protocol.close_rcvd.code == 1002


# The nursery


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("side", Side)
@trio_test
async def test_cancelled_nursery_closes_the_connection_without_waiting(link, clock, side, tls):
    async with link(side, tls=tls) as (connection, peer):
        peer.silent = True
        start = trio.current_time()
        connection.nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await connection.wait_closed()
        assert trio.current_time() == start
        assert connection.protocol.close_sent == Close(1001, "")
        assert peer.opcodes() == [Opcode.CLOSE]
        assert peer.stream.closed


@pytest.mark.parametrize("close_timeout, seconds", [(7, 7), (None, 0)])
@trio_test
async def test_cancelled_nursery_waits_for_a_peer_that_does_not_read_no_longer_than_close_timeout(
    link, clock, close_timeout, seconds
):
    async with link(close_timeout=close_timeout) as (connection, peer):
        peer.stream.blocked = True
        await connection.send("a")
        start = trio.current_time()
        connection.nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await connection.wait_closed()
        assert trio.current_time() - start == seconds


@trio_test
async def test_cancelled_nursery_waits_for_what_is_being_sent(link, clock):
    async with link() as (connection, peer):
        peer.stream.blocked = True
        await connection.send("a")
        connection.nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await trio.sleep(1)
            assert connection.state is State.CLOSING
            peer.stream.unblock()
            await connection.wait_closed()
        assert peer.opcodes() == [Opcode.TEXT, Opcode.CLOSE]


@trio_test
async def test_cancelled_nursery_does_not_wait_for_an_error_in_sending(link, clock):
    async with link() as (connection, peer):
        peer.stream.blocked = True
        await connection.send("a")
        connection.nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await wait_all_tasks_blocked()
            start = trio.current_time()
            peer.stream.unblock(BrokenPipeError("gone"))
            await connection.wait_closed()
        assert trio.current_time() == start


@trio_test
async def test_cancelled_nursery_ends_a_closing_handshake(link, clock):
    async with link() as (connection, peer):
        peer.silent = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.aclose)
            await wait_all_tasks_blocked()
            start = trio.current_time()
            connection.nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await connection.wait_closed()
        assert trio.current_time() == start
        assert connection.protocol.close_sent.code == 1000
