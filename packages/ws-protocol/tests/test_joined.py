"""A client and a server, joined in memory: what goes in comes out."""

import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ws_protocol.client import ClientProtocol
from ws_protocol.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    ServerPerMessageDeflateFactory,
)
from ws_protocol.frames import Frame, Opcode
from ws_protocol.protocol import SEND_EOF, State
from ws_protocol.server import ServerProtocol
from ws_protocol.uri import parse_uri

CONT, TEXT, BINARY, CLOSE, PING, PONG = Opcode


class End:
    """One end of the connection, what is on its way to it, and what it did."""

    def __init__(self, protocol):
        self.protocol = protocol
        self.incoming = bytearray()
        self.eof_incoming = False
        self.sent = []
        self.received = []

    def receive(self, size=None):
        """Receive some of what is on its way."""
        data = bytes(self.incoming[:size])
        del self.incoming[:size]
        if data:
            self.protocol.receive_data(data)
        elif self.eof_incoming:
            self.protocol.receive_eof()
        self.received += self.protocol.events_received()


class Pair:
    """A client and a server after their opening handshake."""

    def __init__(self, client_extensions=None, server_extensions=None, chunk=None):
        self.client = End(
            ClientProtocol(parse_uri("ws://localhost/"), extensions=client_extensions)
        )
        self.server = End(ServerProtocol(extensions=server_extensions))
        self.ends = (self.client, self.server)
        self.chunk = chunk

        self.client.protocol.send_request(self.client.protocol.connect())
        self.run()
        [request] = self.server.received
        self.server.protocol.send_response(self.server.protocol.accept(request))
        self.run()
        assert [end.protocol.state for end in self.ends] == [State.OPEN, State.OPEN]
        self.client.received.clear()
        self.server.received.clear()

    def flush(self):
        """Put what both ends have to send on its way."""
        for end, peer in (self.ends, self.ends[::-1]):
            for data in end.protocol.data_to_send():
                assert not peer.eof_incoming
                if data == SEND_EOF:
                    peer.eof_incoming = True
                else:
                    peer.incoming += data

    def run(self):
        """Move bytes until there are no more."""
        self.flush()
        while any(
            end.incoming or (end.eof_incoming and end.protocol.state is not State.CLOSED)
            for end in self.ends
        ):
            for end in self.ends:
                end.receive(self.chunk)
                self.flush()


def deflate(client_settings=None, server_settings=None):
    return {
        "client_extensions": [ClientPerMessageDeflateFactory(**(client_settings or {}))],
        "server_extensions": [ServerPerMessageDeflateFactory(**(server_settings or {}))],
    }


COMPRESSIONS = {
    "no compression": {},
    "compression": deflate(),
    "server_no_context_takeover": deflate({"server_no_context_takeover": True}),
    "client_no_context_takeover": deflate({"client_no_context_takeover": True}),
    "server_max_window_bits": deflate({"server_max_window_bits": 9}),
    "client_max_window_bits": deflate({"client_max_window_bits": 9}),
    "settings of the server": deflate(
        {},
        {
            "server_no_context_takeover": True,
            "client_no_context_takeover": True,
            "server_max_window_bits": 9,
            "client_max_window_bits": 9,
        },
    ),
}


@pytest.fixture(params=COMPRESSIONS.values(), ids=COMPRESSIONS.keys())
def compression(request):
    return request.param


@pytest.fixture(params=[None, 1, 7], ids=["at once", "byte by byte", "in chunks of 7"])
def pair(compression, request):
    return Pair(chunk=request.param, **compression)


FRAMES = [
    Frame(TEXT, "hello, wörld".encode()),
    Frame(BINARY, bytes(range(256)) * 3),
    Frame(TEXT, b""),
    Frame(TEXT, b"caf\xc3", fin=False),
    Frame(CONT, b"", fin=False),
    Frame(CONT, b"\xa9"),
    Frame(BINARY, b"again " * 200),
    Frame(BINARY, b"again " * 200),
]


def send(protocol, frame):
    if frame.opcode is CONT:
        protocol.send_continuation(frame.data, frame.fin)
    elif frame.opcode is TEXT:
        protocol.send_text(frame.data, frame.fin)
    else:
        protocol.send_binary(frame.data, frame.fin)


def test_messages_arrive_in_order_both_ways(pair):
    for frame in FRAMES:
        for end in pair.ends:
            send(end.protocol, frame)
        pair.run()
    assert pair.client.received == pair.server.received == FRAMES


def test_messages_that_were_sent_before_a_close_frame_arrive(pair):
    for frame in FRAMES:
        send(pair.server.protocol, frame)
    pair.server.protocol.send_close(1000)
    pair.client.protocol.send_close(1001)
    pair.run()
    assert pair.client.received == [*FRAMES, Frame(CLOSE, b"\x03\xe8")]
    assert pair.server.received == [Frame(CLOSE, b"\x03\xe9")]


@pytest.mark.parametrize("closing", ["client", "server"])
@pytest.mark.parametrize("code", [None, 1000, 1001, 1011, 3000, 4999])
def test_both_sides_agree_why_the_connection_closed(closing, code, pair):
    getattr(pair, closing).protocol.send_close(code, "" if code is None else "why")
    pair.run()
    for end in pair.ends:
        assert end.protocol.state is State.CLOSED
        assert end.protocol.close_code == (1005 if code is None else code)
        assert end.protocol.close_reason == ("" if code is None else "why")
        assert end.protocol.close_rcvd_then_sent is (end is not getattr(pair, closing))


@pytest.mark.parametrize("failing", ["client", "server"])
def test_failure_of_one_side_closes_both(failing, pair):
    end = getattr(pair, failing)
    end.protocol.fail(1011, "bug")
    pair.run()
    peer = pair.server if end is pair.client else pair.client
    assert [end.protocol.state for end in pair.ends] == [State.CLOSED, State.CLOSED]
    assert end.protocol.close_code == 1006
    assert (peer.protocol.close_code, peer.protocol.close_reason) == (1011, "bug")


@pytest.mark.parametrize("lost", range(0, 80, 5))
def test_frames_that_arrived_before_the_connection_was_lost_are_kept(lost, compression):
    pair = Pair(**compression)
    for frame in FRAMES:
        send(pair.server.protocol, frame)
    pair.flush()
    pair.client.receive(lost)
    for end in pair.ends:
        end.protocol.receive_eof()
        assert end.protocol.state is State.CLOSED
        assert end.protocol.close_code == 1006
    assert pair.client.received == FRAMES[: len(pair.client.received)]
    assert len(pair.client.received) < len(FRAMES)


# Anything in any order

ENDS = st.sampled_from(["client", "server"])
CODES = st.none() | st.sampled_from([1000, 1001, 1003, 1011, 3000, 4999])
REASONS = st.text(max_size=20)
PAYLOADS = st.one_of(
    st.tuples(st.just(TEXT), st.text(max_size=30).map(str.encode)),
    st.tuples(st.just(BINARY), st.binary(max_size=30)),
    # Larger than what the shortest form of the length has room for, and than small windows.
    st.tuples(st.just(BINARY), st.integers(100, 2000).map(lambda size: b"abc" * size)),
)


@st.composite
def compressions(draw):
    if draw(st.booleans()):
        return {}
    flags = st.booleans()
    bits = st.none() | st.integers(9, 15)
    return deflate(
        {
            "server_no_context_takeover": draw(flags),
            "client_no_context_takeover": draw(flags),
            "server_max_window_bits": draw(bits),
            "client_max_window_bits": draw(bits | st.just(True)),
        },
        {
            "server_no_context_takeover": draw(flags),
            "client_no_context_takeover": draw(flags),
            "server_max_window_bits": draw(bits),
            "client_max_window_bits": draw(bits),
        },
    )


class Conversation(RuleBasedStateMachine):
    """What each end sends, which the other must receive."""

    @initialize(compression=compressions(), chunk=st.none() | st.integers(1, 50))
    def connect(self, compression, chunk):
        self.pair = Pair(chunk=chunk, **compression)
        self.fragments = {end: [] for end in self.pair.ends}
        self.pings = itertools.count()
        self.states = dict.fromkeys(self.pair.ends, State.OPEN)

    def end(self, name):
        return getattr(self.pair, name)

    def peer(self, end):
        client, server = self.pair.ends
        return server if end is client else client

    def open_ends(self):
        return [end for end in self.pair.ends if end.protocol.state is State.OPEN]

    @precondition(lambda self: self.open_ends())
    @rule(name=ENDS, payload=PAYLOADS, cuts=st.lists(st.integers(0, 30), max_size=4))
    def send_message_or_its_next_fragment(self, name, payload, cuts):
        end = self.end(name)
        if end not in self.open_ends():
            return
        fragments = self.fragments[end]
        if not fragments:
            opcode, data = payload
            cuts = sorted(cuts)
            pieces = [data[i:j] for i, j in zip([0, *cuts], [*cuts, None], strict=True)]
            for number, piece in enumerate(pieces, 1):
                fragments.append(
                    Frame(opcode if number == 1 else CONT, piece, fin=number == len(pieces))
                )
        frame = fragments.pop(0)
        send(end.protocol, frame)
        end.sent.append(frame)

    @precondition(lambda self: self.open_ends())
    @rule(name=ENDS, times=st.integers(1, 20))
    def send_pings(self, name, times):
        end = self.end(name)
        if end not in self.open_ends():
            return
        for _ in range(times):
            frame = Frame(PING, b"%d" % next(self.pings))
            end.protocol.send_ping(frame.data)
            end.sent.append(frame)

    @rule(name=ENDS, congested=st.booleans())
    def stop_or_start_to_read(self, name, congested):
        self.end(name).protocol.congested = congested

    @precondition(lambda self: self.open_ends())
    @rule(name=ENDS, code=CODES, reason=REASONS, often=st.integers(0, 4))
    def close(self, name, code, reason, often):
        end = self.end(name)
        # Else most conversations would be short.
        if end in self.open_ends() and often == 0:
            end.protocol.send_close(code, "" if code is None else reason)

    @rule()
    def flush(self):
        self.pair.flush()

    @rule(name=ENDS, size=st.integers(1, 300) | st.just(None))
    def receive(self, name, size):
        self.pair.flush()
        self.end(name).receive(size)

    @invariant()
    def states_only_move_on(self):
        for end in getattr(self, "states", ()):
            assert end.protocol.state >= self.states[end]
            self.states[end] = end.protocol.state

    @invariant()
    def nothing_goes_wrong(self):
        for end in getattr(self, "states", ()):
            assert end.protocol.parser_exc is None
            assert end.protocol.handshake_exc is None

    @invariant()
    def what_is_received_was_sent_in_this_order(self):
        for end in getattr(self, "states", ()):
            received = [frame for frame in end.received if frame.opcode not in (CLOSE, PONG)]
            assert received == self.peer(end).sent[: len(received)]
            pings = iter([frame.data for frame in end.sent if frame.opcode is PING])
            pongs = [frame.data for frame in end.received if frame.opcode is PONG]
            # In the same order, perhaps not all.
            assert all(pong in pings for pong in pongs)

    def teardown(self):
        if not hasattr(self, "pair"):
            return
        pair = self.pair
        for end in pair.ends:
            end.protocol.congested = False
        pair.run()
        if len(self.open_ends()) == 2:
            self.last_ping_is_answered()
            pair.client.protocol.send_close(1000)
            pair.run()
        self.everything_was_received()
        self.both_agree_how_it_ended()

    def last_ping_is_answered(self):
        for end in self.pair.ends:
            pings = [frame.data for frame in end.sent if frame.opcode is PING]
            pongs = [frame.data for frame in end.received if frame.opcode is PONG]
            assert pongs[-1:] == pings[-1:]

    def everything_was_received(self):
        for end in self.pair.ends:
            received = [frame for frame in end.received if frame.opcode is not PONG]
            assert received.pop().opcode is CLOSE
            assert received == self.peer(end).sent

    def both_agree_how_it_ended(self):
        client, server = (end.protocol for end in self.pair.ends)
        for protocol, peer in ((client, server), (server, client)):
            assert protocol.state is State.CLOSED
            assert protocol.eof_sent
            assert not protocol.close_expected()
            assert protocol.close_sent == peer.close_rcvd
            assert protocol.close_code == peer.close_sent.code
            assert protocol.close_reason == peer.close_sent.reason
        # Both may have begun at the same time. Then none was first to receive.
        assert not (client.close_rcvd_then_sent and server.close_rcvd_then_sent)
        if client.close_rcvd_then_sent or server.close_rcvd_then_sent:
            assert client.close_sent == server.close_sent


@pytest.mark.slow
def test_any_conversation_arrives_as_it_was_sent():
    run_state_machine_as_test(Conversation, settings=settings(stateful_step_count=40))
