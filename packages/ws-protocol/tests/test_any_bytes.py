"""Whatever is done, in whatever order, and whatever arrives: it ends as the model says."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from ws_protocol.client import ClientProtocol
from ws_protocol.exceptions import (
    ConnectionClosed,
    ConnectionClosedOK,
    InvalidHandshake,
    InvalidState,
    SecurityError,
)
from ws_protocol.extensions.permessage_deflate import PerMessageDeflate
from ws_protocol.frames import Frame
from ws_protocol.protocol import SEND_EOF, Protocol, Side, State
from ws_protocol.server import ServerProtocol
from ws_protocol.session import Session
from ws_protocol.uri import parse_uri

SIDES = st.sampled_from(list(Side))


# Any bytes

PIECES = st.sampled_from(
    [
        b"HTTP/1.1 101 Switching Protocols\r\n",
        b"HTTP/1.1 404 Not Found\r\n",
        b"GET / HTTP/1.1\r\n",
        b"Host: localhost\r\n",
        b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        b"Sec-WebSocket-Version: 13\r\n",
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Length: 3\r\n",
        b"\r\n",
        b"3\r\nabc\r\n",
        b"\x81\x02hi",
        b"\x01\x01\xc3",
        b"\x88\x02\x03\xe8",
        b"\x89\x81mask\0",
        b"\x82\xff",
    ]
) | st.binary(max_size=20)


@given(pieces=st.lists(PIECES, max_size=12), side=SIDES)
def test_any_bytes_end_the_opening_handshake_with_a_documented_exception(pieces, side):
    if side is Side.CLIENT:
        protocol = ClientProtocol(parse_uri("ws://localhost/"))
        protocol.key = "dGhlIHNhbXBsZSBub25jZQ=="
    else:
        protocol = ServerProtocol()
    for piece in filter(None, pieces):
        protocol.receive_data(piece)
        for event in protocol.events_received():
            if side is Side.SERVER and not isinstance(event, Frame):
                protocol.send_response(protocol.accept(event))
    protocol.receive_eof()
    assert protocol.state is State.CLOSED
    assert isinstance(protocol.handshake_exc, InvalidHandshake | SecurityError | None)
    assert isinstance(protocol.close_exc, ConnectionClosed)


# Sessions


class Talk(RuleBasedStateMachine):
    """Two sessions, with time that passes, readers that don't read, and connections that end."""

    @initialize(
        max_queue=st.integers(1, 8), compressed=st.booleans(), chunk=st.none() | st.integers(1, 40)
    )
    def connect(self, max_queue, compressed, chunk):
        self.chunk = chunk
        self.now = 0.0
        self.max_queue = max_queue
        self.sessions = {}
        for side in Side:
            protocol = Protocol(side)
            if compressed:
                protocol.extensions = [PerMessageDeflate(False, False, 15, 15)]
            self.sessions[side] = Session(
                protocol, ping_interval=20, ping_timeout=20, close_timeout=10, max_queue=max_queue
            )
            self.sessions[side].start_keepalive(self.now)
        self.wire = {side: bytearray() for side in Side}
        self.eof = dict.fromkeys(Side, False)
        self.sent = {side: [] for side in Side}
        self.received = {side: [] for side in Side}
        self.pings = dict.fromkeys(Side, 0)
        self.answered = {side: [] for side in Side}
        # Whether something else than a closing handshake ends the connection.
        self.broken = False

    def peer(self, side):
        return Side.CLIENT if side is Side.SERVER else Side.SERVER

    def flush(self):
        for side, session in self.sessions.items():
            for data in session.protocol.data_to_send():
                if data == SEND_EOF:
                    self.eof[self.peer(side)] = True
                else:
                    self.wire[self.peer(side)] += data

    def deliver(self, side, size):
        """Deliver what is on its way, if the session reads."""
        session = self.sessions[side]
        if session.lost or not session.wants_data(self.now):
            return False
        data = bytes(self.wire[side][:size])
        del self.wire[side][:size]
        if data and side is Side.CLIENT:
            # At the least cost.
            pos = session.receive_messages(memoryview(data), len(data))
            if pos < len(data):
                self.answered[side] += session.receive_data(data[pos:], self.now)
        elif data:
            self.answered[side] += session.receive_data(data, self.now)
        elif self.eof[side]:
            session.receive_eof()
        self.flush()
        return bool(data)

    @rule(
        side=SIDES,
        text=st.text(max_size=20),
        times=st.sampled_from([1, 1, 1, 500]),
        cuts=st.integers(0, 3),
    )
    def send(self, side, text, times, cuts):
        session = self.sessions[side]
        text *= times
        try:
            for number in range(cuts):
                session.send_fragment(text, None, first=number == 0)
            if cuts:
                session.protocol.send_continuation(text.encode(), fin=True)
            else:
                session.protocol.send_message(text)
        except InvalidState:
            assert session.protocol.state is not State.OPEN or session.protocol.eof_sent
        else:
            self.sent[side].append(text * (cuts + 1))
        self.flush()

    @rule(side=SIDES, text=st.text(min_size=1, max_size=20))
    def send_burst(self, side, text):
        """More than may wait to be read, in one chunk."""
        for number in range(100):
            self.send(side, f"{number}{text}", 20, 0)

    @rule(side=SIDES)
    def ping(self, side):
        session = self.sessions[side]
        try:
            session.send_ping(None, self.pings[side], self.now)
        except InvalidState:
            assert session.protocol.state is State.CLOSED or session.protocol.eof_sent
        else:
            self.pings[side] += 1
        self.flush()

    @rule(side=SIDES)
    def deliver_some(self, side):
        self.deliver(side, self.chunk)

    @rule(side=SIDES)
    def read(self, side):
        session = self.sessions[side]
        message = session.messages.get_message()
        if message is not None:
            self.received[side].append(message)
        if session.wants_unread():
            self.answered[side] += session.process_events(self.now)
        self.flush()

    @rule(seconds=st.floats(0, 25))
    def wait(self, seconds):
        """Let time pass, no further than the next deadline, which both meet."""
        deadlines = [s.next_deadline(self.now) for s in self.sessions.values() if not s.lost]
        end = min([self.now + seconds, *(d for d in deadlines if d is not None)])
        self.now = max(self.now, end)
        for side, session in self.sessions.items():
            if session.lost:
                continue
            open_before = session.protocol.state is State.OPEN
            if session.meet_deadline(self.now):
                self.lose(side)
            if open_before and session.protocol.state is not State.OPEN:
                self.broken = True  # keepalive gave up, because nothing was delivered
        self.flush()

    @rule(side=SIDES, often=st.integers(0, 5))
    def close(self, side, often):
        if often == 0:
            self.sessions[side].close()
            self.flush()

    @rule(side=SIDES, often=st.integers(0, 9))
    def fail(self, side, often):
        if often == 0 and self.sessions[side].protocol.state is State.OPEN:
            self.sessions[side].fail(1011, "on purpose", RuntimeError("on purpose"))
            self.broken = True
            self.flush()

    @rule(side=SIDES, often=st.integers(0, 9))
    def lose_connection(self, side, often):
        if often == 0:
            self.lose(side)

    def lose(self, side):
        """The TCP connection is gone, for one of them: what is on its way to it, too."""
        session = self.sessions[side]
        if not session.lost:
            if session.protocol.state is not State.CLOSED:
                self.broken = True
            session.lose_connection()
            self.flush()
            self.eof[self.peer(side)] = True

    @invariant()
    def messages_arrive_in_order(self):
        for side in getattr(self, "sessions", ()):
            sent = self.sent[self.peer(side)]
            assert self.received[side] == sent[: len(self.received[side])]

    @invariant()
    def no_more_waits_than_may(self):
        for session in getattr(self, "sessions", {}).values():
            waiting = len(session.messages.frames)
            if session.protocol.state is State.OPEN and waiting > self.max_queue:
                assert session.messages.paused
                assert not session.wants_data(self.now)

    @invariant()
    def pings_are_answered_in_order(self):
        for answered in getattr(self, "answered", {}).values():
            numbers = [number for number, _ in answered]
            assert numbers == sorted(set(numbers))
            assert all(latency >= 0 for _, latency in answered)

    def teardown(self):
        if not hasattr(self, "sessions"):
            return
        self.sessions[Side.CLIENT].close()
        self.flush()
        # Everybody reads, and nothing more is said: it ends, at the latest by the deadlines.
        for _ in range(100):
            delivered = True
            while delivered:
                delivered = False
                for side in Side:
                    delivered |= self.deliver(side, None)
                    self.read_all(side)
            for side, session in self.sessions.items():
                self.read_all(side)
                if session.protocol.state is State.CLOSED:
                    self.lose(side)
            if all(session.lost for session in self.sessions.values()):
                break
            self.wait(25)
        for side, session in self.sessions.items():
            assert session.lost
            assert session.next_deadline(self.now) is None
            exc = session.closed_exception()
            assert isinstance(exc, ConnectionClosed)
            if not self.broken:
                assert isinstance(exc, ConnectionClosedOK)
                # Who begins to close doesn't wait for what it has no room for.
                if session.protocol.close_rcvd_then_sent:
                    assert self.received[side] == self.sent[self.peer(side)]
        self.messages_arrive_in_order()

    def read_all(self, side):
        session = self.sessions[side]
        while True:
            before = len(self.received[side])
            self.read(side)
            if len(self.received[side]) == before and not session.wants_unread():
                return


@pytest.mark.slow
def test_sessions_end_as_they_should_whatever_happens():
    run_state_machine_as_test(Talk, settings=settings(stateful_step_count=40))
