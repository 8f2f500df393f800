"""Sending messages, pings and pongs, on connections in memory."""

import contextlib

import pytest
import trio
from trio.testing import Sequencer, assert_checkpoints, trio_test, wait_all_tasks_blocked

from ws_protocol.client import ClientProtocol
from ws_protocol.exceptions import (
    ConcurrencyError,
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidState,
    ProtocolError,
)
from ws_protocol.frames import Opcode
from ws_protocol.limits import MAX_UNSENT_PONGS
from ws_protocol.protocol import Side, State
from ws_protocol.uri import parse_uri
from ws_trio import ClientConnection, broadcast


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize(
    "message, text, opcode",
    [
        ("café", None, Opcode.TEXT),
        (b"caf\xc3\xa9", None, Opcode.BINARY),
        (bytearray(b"caf\xc3\xa9"), True, Opcode.TEXT),
        (memoryview(b"caf\xc3\xa9"), False, Opcode.BINARY),
        ("café", False, Opcode.BINARY),
    ],
)
@trio_test
async def test_send_sends_messages(link, side, message, text, opcode):
    async with link(side) as (connection, peer):
        with assert_checkpoints():
            await connection.send(message, text=text)
        await wait_all_tasks_blocked()
        assert [(frame.opcode, frame.data) for frame in peer.frames] == [(opcode, b"caf\xc3\xa9")]


async def fragments(*items):
    """Yield items."""
    for item in items:
        await trio.lowlevel.checkpoint()
        yield item


@pytest.mark.parametrize("make", [list, lambda items: fragments(*items)])
@trio_test
async def test_send_sends_fragments(link, make):
    async with link() as (connection, peer):
        await connection.send(make(["Hel", "lo"]))
        await connection.send(make([b"by", b"e"]), text=True)
        await connection.send(make([]))
        await wait_all_tasks_blocked()
        assert peer.payloads() == [b"Hel", b"lo", b"", b"by", b"e", b""]
        assert peer.opcodes() == 2 * [Opcode.TEXT, Opcode.CONT, Opcode.CONT]


@pytest.mark.parametrize(
    "message, text",
    [
        (42, "message must be str, bytes-like, an iterable"),
        ({"a": 1}, "message is a mapping"),
        ([1], "fragments must be str or bytes-like, not int"),
    ],
)
@trio_test
async def test_send_refuses_other_types(link, message, text):
    async with link() as (connection, peer):
        with pytest.raises(TypeError, match=text):
            await connection.send(message)
        await connection.send("next")
        await wait_all_tasks_blocked()
        assert peer.payloads() == [b"next"]


@trio_test
async def test_fragments_of_two_kinds_fail_the_connection(link):
    async with link() as (connection, peer):
        with pytest.raises(TypeError, match="all str, or all bytes-like"):
            await connection.send(["a", b"b"])
        await connection.wait_closed()
        assert connection.protocol.close_sent.code == 1011
        assert peer.payloads() == [b"a"]


@trio_test
async def test_messages_do_not_come_between_fragments(link):
    async with link() as (connection, peer):
        order = Sequencer()

        async def items():
            async with order(0):
                yield "a"
            async with order(2):
                yield "b"

        async def send_another():
            async with order(1):
                pass
            await connection.send("c")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_another)
            await connection.send(items())
        await wait_all_tasks_blocked()
        assert peer.payloads() == [b"a", b"b", b"", b"c"]


@trio_test
async def test_control_frames_come_between_fragments(link):
    async with link() as (connection, peer):

        async def items():
            yield "a"
            await connection.ping(b"ping")
            await connection.pong("pong")
            yield "b"

        await connection.send(items())
        await wait_all_tasks_blocked()
        assert peer.opcodes() == [Opcode.TEXT, Opcode.PING, Opcode.PONG, Opcode.CONT, Opcode.CONT]


# Backpressure


@trio_test
async def test_send_waits_while_the_peer_does_not_read(link, clock):
    async with link() as (connection, peer):
        peer.stream.blocked = True
        await connection.send("one")
        for _ in range(2):
            with trio.move_on_after(1) as scope:
                await connection.send("cancelled")
            assert scope.cancelled_caught
        with trio.move_on_after(1) as scope:
            await connection.ping()
        assert scope.cancelled_caught
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.send, "two")
            await wait_all_tasks_blocked()
            peer.stream.unblock()
        await wait_all_tasks_blocked()
        assert peer.payloads() == [b"one", b"two"]


@trio_test
async def test_messages_of_many_tasks_all_arrive(link):
    async with link() as (connection, peer):
        peer.stream.blocked = True
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(connection.send, str(number))
            await wait_all_tasks_blocked()
            peer.stream.unblock()
        await wait_all_tasks_blocked()
        assert sorted(peer.payloads(), key=int) == [b"%d" % number for number in range(20)]


@trio_test
async def test_pings_of_many_tasks_that_waited_are_sent_together(link, monkeypatch):
    async with link() as (connection, peer):
        chunks = []
        monkeypatch.setattr(peer, "receive", chunks.append)
        peer.stream.blocked = True
        await connection.send("one")
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(connection.ping)
            await wait_all_tasks_blocked()
            peer.stream.unblock()
        await wait_all_tasks_blocked()
        monkeypatch.undo()
        for chunk in chunks:
            peer.receive(chunk)
        assert peer.opcodes() == [Opcode.TEXT] + 20 * [Opcode.PING]
        # The message, the first ping, and all others.
        assert len(chunks) == 3


@trio_test
async def test_peer_that_pings_and_does_not_read_fills_no_memory(link):
    async with link(ping_interval=None) as (_, peer):
        peer.stream.blocked = True
        for number in range(1000):
            peer.protocol.send_ping(b"%d" % number)
            peer.flush()
        await wait_all_tasks_blocked()
        peer.stream.unblock()
        await wait_all_tasks_blocked()
        assert len(peer.frames) <= MAX_UNSENT_PONGS + 2
        assert peer.frames[-1].data == b"999"


@pytest.mark.parametrize("operation", ["send", "ping", "fragments"])
@trio_test
async def test_waiting_to_send_ends_with_the_connection(link, operation):
    async with link() as (connection, peer):
        peer.stream.blocked = True
        await connection.send("one")

        async def use():
            with pytest.raises(ConnectionClosedError) as raised:
                if operation == "ping":
                    await connection.ping()
                else:
                    await connection.send("two" if operation == "send" else ["two"])
            assert isinstance(raised.value.__cause__, ConnectionResetError)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(use)
            nursery.start_soon(use)
            await wait_all_tasks_blocked()
            peer.stream.receive(ConnectionResetError("gone"))


@trio_test
async def test_sending_of_fragments_ends_with_the_connection(link):
    async with link() as (connection, peer):
        ended = trio.Event()

        async def items():
            yield "a"
            try:
                await trio.sleep_forever()
            finally:
                ended.set()

        async def send(message):
            with pytest.raises(ConnectionClosedError):
                await connection.send(message)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, items())
            await wait_all_tasks_blocked()
            nursery.start_soon(send, "b")
            await wait_all_tasks_blocked()
            peer.stream.receive(ConnectionResetError("gone"))
        assert ended.is_set()


@trio_test
async def test_cancelled_fragments_fail_the_connection(link, clock):
    async with link() as (connection, _):

        async def items():
            yield "a"
            await trio.sleep_forever()

        with trio.move_on_after(1):
            await connection.send(items())
        await connection.wait_closed()
        assert connection.protocol.close_sent.code == 1011
        assert connection.protocol.close_sent.reason == "error in fragmented message"


@trio_test
async def test_fragments_that_are_cancelled_before_the_first_leave_the_connection_open(link, clock):
    async with link() as (connection, peer):

        async def items():
            await trio.sleep_forever()
            yield

        with trio.move_on_after(1):
            await connection.send(items())
        await connection.send("next")
        await wait_all_tasks_blocked()
        assert peer.payloads() == [b"next"]


@trio_test
async def test_close_makes_fragments_fail(link):
    async with link() as (connection, _):

        async def items():
            yield "a"
            await connection.aclose()
            yield "b"

        with pytest.raises(ConnectionClosedError):
            await connection.send(items())
        assert connection.protocol.close_sent.code == 1011
        assert connection.protocol.close_sent.reason == "close during fragmented message"


# Pings


@trio_test
async def test_pong_sets_the_event_of_the_ping(link, clock):
    async with link() as (connection, peer):
        peer.silent = True
        with assert_checkpoints():
            first = await connection.ping()
        second = await connection.ping("two")
        await trio.sleep(2)
        assert not first.is_set()
        peer.flush()
        await second.wait()
        assert first.is_set()
        assert connection.latency == 2
        assert peer.frames[1].data == b"two"


@trio_test
async def test_ping_with_a_payload_that_waits_for_its_pong_is_refused(link):
    async with link() as (connection, peer):
        peer.silent = True
        await connection.ping("a")
        with pytest.raises(ConcurrencyError):
            await connection.ping(b"a")
        with pytest.raises(ProtocolError, match="too long"):
            await connection.ping(bytes(126))
        with pytest.raises(TypeError, match="data must be str or bytes-like"):
            await connection.ping(1)
        with pytest.raises(TypeError, match="data must be str or bytes-like"):
            await connection.pong(1)


@trio_test
async def test_lost_connection_sets_the_events_that_ask_for_it(link):
    async with link() as (connection, peer):
        peer.silent = True
        asking = await connection.ping(ack_on_close=True)
        other = await connection.ping()
        peer.stream.receive(ConnectionResetError("gone"))
        await asking.wait()
        assert not other.is_set()


@trio_test
async def test_pong_sends_a_pong(link):
    async with link() as (connection, peer):
        with assert_checkpoints():
            await connection.pong("a")
        await wait_all_tasks_blocked()
        assert peer.opcodes() == [Opcode.PONG]


# States


@trio_test
async def test_nothing_can_be_sent_before_the_opening_handshake(link):
    async with link() as (_, peer), trio.open_nursery() as nursery:
        protocol = ClientProtocol(parse_uri("ws://localhost/"))
        connection = ClientConnection(nursery, peer.stream, protocol)
        for operation in (connection.send, connection.ping, connection.pong):
            with pytest.raises(InvalidState, match="connection is connecting"):
                await operation("a")
        nursery.cancel_scope.cancel()


@trio_test
async def test_nothing_can_be_sent_once_the_connection_closes(link):
    async with link() as (connection, peer):
        peer.close()
        await wait_all_tasks_blocked()
        for operation in (connection.send, connection.ping, connection.pong):
            with pytest.raises(ConnectionClosedOK):
                await operation("a")


# Broadcast


@trio_test
async def test_broadcast_sends_without_waiting(link, caplog):
    async with contextlib.AsyncExitStack() as stack:
        links = [await stack.enter_async_context(link()) for _ in range(4)]
        (slow, slow_peer), (closed, closed_peer), (busy, busy_peer), (_, peer) = links
        slow_peer.stream.blocked = True
        await closed.aclose()

        async def items():
            yield "a"
            await broadcast([connection for connection, _ in links], "b")
            with pytest.raises(ExceptionGroup, match="skipped broadcast"):
                await broadcast([slow, busy], b"c", raise_exceptions=True)

        with assert_checkpoints():
            await busy.send(items())
        with pytest.raises(TypeError):
            await broadcast([], ["a"])
        await wait_all_tasks_blocked()
        assert slow_peer.payloads() == []
        slow_peer.stream.unblock()
        await wait_all_tasks_blocked()
        assert slow_peer.payloads() == [b"b", b"c"]
        assert closed_peer.payloads() == []
        assert busy_peer.payloads() == [b"a", b""]
        assert peer.payloads() == [b"b"]
        assert closed.state is State.CLOSED
        assert caplog.messages == ["skipped broadcast: sending a fragmented message"]


@trio_test
async def test_broadcast_leaves_out_connections_that_are_too_slow(link):
    async with link() as (connection, peer):
        peer.stream.blocked = True
        for number in range(5):
            await broadcast([connection], str(number) * 100, max_buffer=250)
        assert 250 < connection.get_buffer_size() < 400
        assert connection.state is State.OPEN
        await broadcast([connection], "a", max_buffer=250, slow="close")
        assert connection.protocol.close_sent.reason == "too slow"
        peer.stream.unblock()
        await wait_all_tasks_blocked()
        assert [payload[:1] for payload in peer.payloads()[:3]] == [b"0", b"1", b"2"]
