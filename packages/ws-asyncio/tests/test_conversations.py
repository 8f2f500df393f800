"""Two connections that do anything in any order, over a network that does what it likes.

Whatever happens: messages arrive whole, once, and in order, without gaps; whoever waits doesn't
wait for ever; both sides agree how it ended.
"""

import asyncio
import contextlib
import itertools

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from ws_asyncio import Connection, broadcast
from ws_protocol.client import ClientProtocol
from ws_protocol.exceptions import ConcurrencyError, ConnectionClosed
from ws_protocol.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    ServerPerMessageDeflateFactory,
)
from ws_protocol.protocol import State
from ws_protocol.server import ServerProtocol
from ws_protocol.uri import parse_uri


class SteppedLoop(asyncio.SelectorEventLoop):
    """An event loop that runs round by round, while time stands still."""

    def __init__(self):
        self.now = 1000.0
        super().__init__()

    def time(self):
        return self.now

    def run(self, rounds):
        for _ in range(rounds):
            self.call_soon(self.stop)
            self.run_forever()


class Wire(asyncio.Transport):
    """A transport whose bytes wait at both ends until a test moves them.

    Args:
        loop: The event loop.
        protocol: The asyncio protocol on this side.

    Attributes:
        peer: The other side.
        buffer: What was written, and waits to be sent.
        arrived: What was sent, and waits to be read.
        ending: What comes after it: the end of the stream, or an error.
        lost: Whether the connection is lost.

    """

    def __init__(self, loop, protocol):
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self._reading = True
        self._closing = self._eof_written = self._writing_paused = self._ended = False
        self.peer = None
        self.buffer = bytearray()
        self.arrived = bytearray()
        self.ending = None
        self.lost = False
        protocol.connection_made(self)

    # For the connection

    def set_write_buffer_limits(self, high=None, low=None):
        self._high, self._low = high, low

    def get_write_buffer_size(self):
        return len(self.buffer)

    def is_closing(self):
        return self._closing

    def pause_reading(self):
        assert self._closing or self._reading
        self._reading = False

    def resume_reading(self):
        assert self._closing or not self._reading
        self._reading = True

    def write(self, data):
        assert data
        assert not self._closing
        assert not self._eof_written
        self.buffer += data
        if len(self.buffer) > self._high and not self._writing_paused:
            self._writing_paused = True
            self._protocol.pause_writing()

    def can_write_eof(self):
        return True

    def write_eof(self):
        self._eof_written = True
        self.send()

    def close(self):
        self._closing = True
        self.send()

    def abort(self):
        self._lose(None)

    # For the test

    def send(self, size=None):
        """Let the network take some of what was written."""
        if self.peer.ending is None:
            self.peer.arrived += self.buffer[:size]
        del self.buffer[:size]
        if self._writing_paused and len(self.buffer) <= self._low:
            self._writing_paused = False
            self._protocol.resume_writing()
        if not self.buffer:
            if (self._eof_written or self._closing) and self.peer.ending is None:
                self.peer.ending = EOFError
            if self._closing:
                self._lose(None)

    def read(self, size=None):
        """Let the connection read some of what arrived, if it wants to; tell whether it did."""
        if self._closing or not self._reading or self._ended:
            return False
        if self.arrived:
            buffer = self._protocol.get_buffer(-1)
            data = self.arrived[: len(buffer)][:size]
            del self.arrived[: len(data)]
            buffer[: len(data)] = data
            self._protocol.buffer_updated(len(data))
            return True
        if self.ending is None:
            return False
        self._ended = True
        if self.ending is ConnectionResetError:
            self._lose(ConnectionResetError())
        elif not self._protocol.eof_received():
            self.close()
        return True

    def _lose(self, exc):
        self._closing = True
        if not self.lost:
            self.lost = True
            self.buffer.clear()
            self.arrived.clear()
            if self.peer.ending is None:
                self.peer.ending = ConnectionResetError
            self._loop.call_soon(self._protocol.connection_lost, exc)


class Sending:
    """A message that is sent, and when that was begun and done."""

    def __init__(self, message, begun):
        self.message = message
        self.begun = begun
        self.done = None


class End:
    """One end: a connection, and what it did."""

    def __init__(self, connection, wire, max_queue):
        self.connection = connection
        self.wire = wire
        self.max_queue = max_queue
        self.state = State.OPEN
        self.sendings = []
        self.received = []
        self.fragments = []
        self.receiver = None
        self.tasks = []
        self.pongs = []

    def count_received(self):
        return len(self.received), len(self.fragments)


ENDS = st.sampled_from([0, 1])
ROUNDS = st.integers(0, 3)
SIZES = st.none() | st.integers(1, 300)
BODIES = st.sampled_from(["", "a", "\u20ac" * 40, "abc" * 300, "abcdefg" * 10_000])
RARELY = st.sampled_from([True] + [False] * 9)


class Conversations(RuleBasedStateMachine):
    """What each end does, and the network between them."""

    @initialize(
        compression=st.booleans(),
        takeover=st.booleans(),
        max_queues=st.tuples(*[st.sampled_from([0, 1, (3, 0), 16, None])] * 2),
        write_limits=st.tuples(*[st.sampled_from([0, 100, (1000, 0), 32768])] * 2),
        ping_interval=st.sampled_from([None, 3]),
    )
    def connect(self, compression, takeover, max_queues, write_limits, ping_interval):
        self.loop = SteppedLoop()
        self.contexts = []
        self.loop.set_exception_handler(lambda _, context: self.contexts.append(context))
        self.numbers = itertools.count()
        self.reset = False
        client = ClientProtocol(
            parse_uri("ws://localhost/"),
            extensions=[ClientPerMessageDeflateFactory(not takeover)] if compression else None,
        )
        server = ServerProtocol(
            extensions=[ServerPerMessageDeflateFactory()] if compression else None
        )
        client.send_request(client.connect())
        server.receive_data(b"".join(client.data_to_send()))
        [request] = server.events_received()
        server.send_response(server.accept(request))
        client.receive_data(b"".join(server.data_to_send()))
        client.events_received()

        async def make(protocol, max_queue, write_limit):
            connection = Connection(
                protocol,
                ping_interval=ping_interval,
                max_queue=max_queue,
                write_limit=write_limit,
            )
            wire = Wire(self.loop, connection)
            connection.session.start_keepalive(self.loop.time())
            return End(connection, wire, max_queue)

        self.ends = [
            self.loop.run_until_complete(make(*arguments))
            for arguments in zip((client, server), max_queues, write_limits, strict=True)
        ]
        for end, peer in self.pairs():
            end.wire.peer = peer.wire

    def pairs(self):
        return zip(self.ends, self.ends[::-1], strict=True)

    def spawn(self, end, coroutine, rounds=0):
        task = self.loop.create_task(coroutine)
        end.tasks.append(task)
        self.loop.run(rounds)
        return task

    # Sending

    @rule(e=ENDS, body=BODIES, text=st.booleans(), cuts=st.lists(st.integers(0, 99)), rounds=ROUNDS)
    def send(self, e, body, text, cuts, rounds):
        end = self.ends[e]
        message = f"{next(self.numbers)}:{body}"
        message = message if text else message.encode()
        sending = Sending(message, next(self.numbers))
        end.sendings.append(sending)

        async def fragments():
            bounds = [0, *sorted(cut * len(message) // 100 for cut in cuts), len(message)]
            for start, stop in itertools.pairwise(bounds):
                await asyncio.sleep(0)
                yield message[start:stop]

        async def send():
            await end.connection.send(fragments() if cuts else message)
            sending.done = next(self.numbers)

        self.spawn(end, send(), rounds)

    @rule(body=BODIES, text=st.booleans())
    def broadcast(self, body, text):
        message = f"{next(self.numbers)}:{body}"
        message = message if text else message.encode()
        recipients = [
            end
            for end in self.ends
            if end.connection.state is State.OPEN and not end.connection.protocol.sending_fragments
        ]
        for end in recipients:
            sending = Sending(message, next(self.numbers))
            sending.done = next(self.numbers)
            end.sendings.append(sending)
        broadcast([end.connection for end in recipients], message, raise_exceptions=True)

    @rule(e=ENDS, data=st.none() | st.binary(max_size=1), rounds=ROUNDS)
    def ping(self, e, data, rounds):
        end = self.ends[e]

        async def ping():
            end.pongs.append(await end.connection.ping(data))

        self.spawn(end, ping(), rounds)

    @rule(e=ENDS, code=st.sampled_from([1000, 1001, 3000]), rarely=RARELY, rounds=ROUNDS)
    def close(self, e, code, rarely, rounds):
        if rarely:
            self.spawn(self.ends[e], self.ends[e].connection.close(code, "why"), rounds)

    # Receiving

    @rule(e=ENDS, way=st.sampled_from(["recv", "iterate", "stream"]), rounds=ROUNDS)
    def receive(self, e, way, rounds):
        end = self.ends[e]
        if end.receiver is None or end.receiver.done():
            if end.fragments:
                way = "stream"
            end.receiver = self.spawn(end, getattr(self, f"_{way}")(end), rounds)

    async def _recv(self, end):
        end.received.append(await end.connection.recv())

    async def _iterate(self, end):
        async for message in end.connection:
            end.received.append(message)

    async def _stream(self, end):
        async for fragment in end.connection.recv_streaming():
            end.fragments.append(fragment)
            await asyncio.sleep(0)
        end.received.append(type(fragment)().join(end.fragments))
        end.fragments.clear()

    # Everything else

    @rule(e=ENDS, which=st.integers(0, 3), rounds=ROUNDS)
    def cancel(self, e, which, rounds):
        pending = [task for task in self.ends[e].tasks if not task.done()]
        for task in pending[which : which + 1]:
            task.cancel()
        self.loop.run(rounds)

    @rule(e=ENDS, sent=SIZES, read=SIZES, rounds=ROUNDS)
    def move(self, e, sent, read, rounds):
        end = self.ends[e]
        end.wire.send(sent)
        end.wire.peer.read(read)
        self.loop.run(rounds)

    @rule(e=ENDS, ending=st.sampled_from([EOFError, ConnectionResetError]), rarely=RARELY)
    def cut(self, e, ending, rarely):
        wire = self.ends[e].wire
        if rarely and wire.ending is None:
            self.reset = True
            wire.ending = ending

    @rule(rounds=st.integers(1, 5))
    def run_loop(self, rounds):
        self.loop.run(rounds)

    @rule(seconds=st.integers(1, 5), moving=st.booleans())
    def pass_time(self, seconds, moving):
        for _ in range(seconds):
            self.loop.now += 1
            self.loop.run(5)
            if moving:
                self.move_all()

    def move_all(self):
        moved = True
        while moved:
            moved = False
            for end in self.ends:
                end.wire.send()
            for end in self.ends:
                moved |= end.wire.read()
            self.loop.run(10)

    def receive_all(self):
        """Have both ends receive until there is nothing more, and let the loop rest."""
        before = None
        while before != (progress := [end.count_received() for end in self.ends]):
            before = progress
            self.move_all()
            for e in (0, 1):
                self.receive(e, "iterate", 10)
        self.move_all()

    # What is true

    @invariant()
    def nothing_is_reported(self):
        for end in getattr(self, "ends", ()):
            assert self.contexts == []
            for task in end.tasks:
                if task.done() and not task.cancelled():
                    assert isinstance(task.exception(), ConnectionClosed | ConcurrencyError | None)

    @invariant()
    def states_only_move_on(self):
        for end in getattr(self, "ends", ()):
            connection = end.connection
            assert connection.state >= end.state
            end.state = connection.state
            closed = end.state is State.CLOSED
            assert (connection.close_code is not None) is closed
            assert (connection.close_reason is not None) is closed

    @invariant()
    def messages_arrive_once_and_in_order_and_without_gaps(self):
        for end, peer in self.pairs() if hasattr(self, "ends") else ():
            sendings = {sending.message: sending for sending in peer.sendings}
            arrived = [sendings.pop(message) for message in end.received]
            for before, after in itertools.pairwise(arrived):
                assert after.done is None or before.begun < after.done
            missing = [sending for sending in sendings.values() if sending.done is not None]
            for sending in missing:
                assert all(other.begun < sending.done for other in arrived)

    def teardown(self):
        if hasattr(self, "ends"):
            try:
                self.finish()
            finally:
                self.clean_up()

    def finish(self):
        self.loop.run(50)
        self.receive_all()
        if all(end.connection.state is State.OPEN for end in self.ends):
            self.everything_arrived()
        self.spawn(self.ends[0], self.ends[0].connection.close())
        self.receive_all()
        if self.reset:
            self.pass_time(30, moving=True)
        self.nothing_is_reported()
        self.states_only_move_on()
        self.messages_arrive_once_and_in_order_and_without_gaps()
        self.both_agree_how_it_ended()
        for end in self.ends:
            assert all(task.done() for task in end.tasks)
            assert all(pong.done() for pong in end.pongs)
        assert asyncio.all_tasks(self.loop) == set()

    def everything_arrived(self):
        for end, peer in self.pairs():
            done = {sending.message for sending in peer.sendings if sending.done is not None}
            assert done <= set(end.received)
            assert all(pong.done() for pong in end.pongs)

    def both_agree_how_it_ended(self):
        for end, peer in self.pairs():
            assert end.wire.lost
            connection, sent = end.connection, peer.connection.protocol.close_sent
            received = connection.protocol.close_rcvd
            assert connection.state is State.CLOSED
            if received is None:
                assert connection.close_code == 1006
                assert connection.close_reason == ""
            else:
                assert received == sent
                assert connection.close_code == sent.code
                assert connection.close_reason == sent.reason

    def clean_up(self):
        for end in self.ends:
            end.wire.abort()
            for task in end.tasks:
                task.cancel()
        self.loop.run(10)
        for end in self.ends:
            for done in [*end.tasks, *end.pongs]:
                with contextlib.suppress(asyncio.CancelledError):
                    done.exception()
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


@pytest.mark.slow
def test_any_conversation_arrives_as_it_was_sent():
    run_state_machine_as_test(
        Conversations,
        settings=settings(
            deadline=None,
            derandomize=True,
            max_examples=50,
            stateful_step_count=40,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
