import array
import logging
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws_protocol.client import ClientProtocol
from ws_protocol.exceptions import (
    ConcurrencyError,
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidMessage,
    InvalidState,
    ProtocolError,
)
from ws_protocol.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from ws_protocol.frames import Close, serialize_frame
from ws_protocol.http11 import Request, Response
from ws_protocol.protocol import SEND_EOF, Protocol, Side, State
from ws_protocol.server import ServerProtocol
from ws_protocol.session import Session, parse_watermarks
from ws_protocol.uri import parse_uri


class Conversation(Session[str]):
    """A session whose I/O is done by tests, and whose clock they set."""

    def __init__(self, protocol, **kwargs):
        super().__init__(protocol, **kwargs)
        self.now = 0.0
        self.answered = []

    # What an I/O layer does when bytes arrive, and with its timer.

    def receive(self, *frames):
        for frame in frames:
            self.receive_at_once(frame)

    def receive_at_once(self, *frames):
        masked = self.protocol.side is Side.SERVER
        data = [serialize_frame(head, payload, masked) for head, payload in frames]
        self.receive_chunk(b"".join(data))
        self.next_deadline(self.now)

    def receive_chunk(self, data):
        """Receive a chunk at the least cost, as I/O does that reads into buffers."""
        while data and (buffer := self.get_buffer()) is not None:
            with buffer:
                size = min(len(buffer), len(data))
                buffer[:size] = data[:size]
            self.answered += self.receive_payload(size, self.now)
            data = data[size:]
        pos = self.receive_messages(memoryview(data + b"left from before"), len(data))
        if pos < len(data):
            self.answered += self.receive_data(data[pos:], self.now)

    def ping(self, data, waiter):
        self.send_ping(data, waiter, self.now)

    def close(self, code=1000, reason=""):
        super().close(code, reason)
        self.next_deadline(self.now)

    def tick(self, now):
        self.now = now
        return self.meet_deadline(now)

    def received(self):
        messages = []
        while (message := self.messages.get_message()) is not None:
            messages.append(message)
        return messages


@pytest.fixture
def connection(side):
    return Conversation(Protocol(side))


def eof_of_server(connection):
    return [SEND_EOF] if connection.protocol.side is Side.SERVER else []


# Receiving


def test_messages_are_received(connection):
    connection.receive(
        (0x81, "é".encode()), (0x02, b"a"), (0x89, b"ping"), (0x80, b"b"), (0x8A, b"pong")
    )
    assert connection.received() == ["é", b"ab"]


def test_messages_are_received_at_the_least_cost(connection):
    masked = connection.protocol.side is Side.SERVER
    data = serialize_frame(0x81, b"text", masked) * 3
    # What may be read next is known once there was something.
    connection.receive_data(data, 0.0)
    assert connection.receive_messages(data, len(data)) == len(data)
    assert connection.received() == ["text"] * 6
    ping = serialize_frame(0x89, b"", masked)
    assert connection.receive_messages(data + ping, len(data + ping)) == len(data)


def test_messages_received_at_the_least_cost_take_no_more_room_than_their_bytes(connection):
    masked = connection.protocol.side is Side.SERVER
    connection.receive((0x82, b""))
    large = serialize_frame(0x82, bytes(5000), masked) * 50
    assert connection.receive_messages(large, len(large)) == len(large)
    assert len(connection.received()) == 51
    # Small ones do: objects are larger than frames.
    small = serialize_frame(0x82, b"a", masked) * 20_000
    assert 0 < connection.receive_messages(small, len(small)) < len(small) // 5
    assert 1000 < len(connection.received()) < 4000


def test_messages_are_not_received_before_those_that_wait(connection):
    connection.receive(*[(0x82, bytes(30))] * 20)
    masked = connection.protocol.side is Side.SERVER
    data = b"".join(serialize_frame(0x82, b"%d" % number, masked) for number in range(20_000))
    connection.receive_chunk(data)
    assert connection.wants_unread() is False
    last = serialize_frame(0x82, b"last", masked)
    assert connection.receive_messages(last, len(last)) == 0
    connection.receive_data(last, 0.0)
    messages = []
    while (message := connection.messages.get_message()) is not None:
        messages.append(message)
        process_events(connection)
    assert messages[20:] == [*(b"%d" % number for number in range(20_000)), b"last"]


def test_messages_are_received_in_another_way_when_frames_are_logged(side, caplog):
    caplog.set_level(logging.DEBUG)
    connection = Conversation(Protocol(side))
    connection.receive((0x81, b"a"))
    data = serialize_frame(0x81, b"b", side is Side.SERVER)
    assert connection.receive_messages(data, len(data)) == 0


@pytest.mark.parametrize("head", [0x81, 0x82])
@pytest.mark.parametrize("size", [65_537, 300_000])
def test_rest_of_a_large_payload_is_read_to_where_it_belongs(side, head, size):
    connection = Conversation(Protocol(side))
    message = b"0123456789" * (size // 10) + bytes(size % 10)
    data = serialize_frame(head, message, side is Side.SERVER)
    assert connection.get_buffer() is None
    start = 0
    for size in (1, 13, 20_000, 1000, len(data)):
        connection.receive_chunk(data[start : start + size])
        start += size
    assert connection.get_buffer() is None
    assert connection.received() == [message.decode() if head == 0x81 else message]
    assert not connection.protocol.data_to_send()


def test_text_that_is_read_to_where_it_belongs_is_checked(side):
    connection = Conversation(Protocol(side))
    data = serialize_frame(0x81, b"a" * 50_000 + b"\xff" * 50_000, side is Side.SERVER)
    connection.receive_chunk(data[:1000])
    assert connection.get_buffer() is not None
    connection.receive_chunk(data[1000:])
    assert connection.protocol.close_sent == Close(1007, "invalid start byte at position 50000")
    assert connection.get_buffer() is None


def test_large_payload_is_logged(side, caplog):
    caplog.set_level(logging.DEBUG)
    connection = Conversation(Protocol(side))
    data = serialize_frame(0x82, bytes(100_000), side is Side.SERVER)
    connection.receive_chunk(data[:1000])
    connection.receive_chunk(data[1000:])
    assert any(message.startswith("< BINARY") for message in caplog.messages)
    assert connection.received() == [bytes(100_000)]


def test_message_that_cannot_be_inflated_makes_the_connection_fail(side):
    protocol = Protocol(side)
    protocol.extensions = [PerMessageDeflate(False, False, 15, 15)]
    connection = Conversation(protocol)
    connection.receive((0x81, b"first"))
    connection.receive_at_once((0x81, b"second"), (0xC1, b"\xff"), (0x81, b"never"))
    assert connection.received() == ["first", "second"]
    assert protocol.close_sent.code == 1002 or protocol.close_sent.code == 1007
    assert protocol.data_to_send()


@pytest.mark.parametrize("event", ["request", "response"])
def test_events_of_the_opening_handshake_are_received(event):
    client = Conversation(ClientProtocol(parse_uri("ws://localhost/")))
    server = Conversation(ServerProtocol())
    client.protocol.send_request(client.protocol.connect())
    for data in client.protocol.data_to_send():
        server.protocol.receive_data(data)
    server.process_events(0.0)
    assert isinstance(server.request, Request)
    server.protocol.send_response(server.protocol.accept(server.request))
    server.protocol.send_text(b"hello")
    client.protocol.receive_data(b"".join(server.protocol.data_to_send()))
    client.process_events(0.0)
    assert isinstance(client.response, Response)
    assert client.received() == ["hello"]


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
def test_same_is_received_whether_frames_are_logged_or_not(level, side, caplog):
    caplog.set_level(level, f"websockets.{side.name.lower()}")
    connection = Conversation(Protocol(side))
    connection.send_ping(b"ping", "waiter", 0)
    connection.receive_at_once(
        (0x81, b"text"), (0x01, b"frag"), (0x8A, b"ping"), (0x80, b"ments"), (0x82, b"binary")
    )
    assert connection.received() == ["text", "fragments", b"binary"]
    assert connection.answered == [("waiter", 0)]
    logged = [message for message in caplog.messages if message.startswith("<")]
    assert len(logged) == (5 if level == logging.DEBUG else 0)


def test_frames_that_are_for_messages_are_no_events(connection):
    connection.protocol.receive_data(
        serialize_frame(0x81, b"text", connection.protocol.side is Side.SERVER)
    )
    assert connection.protocol.events_received() == []
    assert connection.received() == []
    connection.process_events(0)
    assert connection.received() == ["text"]


def test_pong_answers_who_waits_for_it(connection):
    connection.ping(b"first", "A")
    connection.now = 1.0
    connection.ping(b"second", "B")
    connection.now = 3.0
    connection.receive((0x8A, b"second"))
    assert connection.answered == [("A", 3.0), ("B", 2.0)]
    assert connection.latency == 2.0


def test_pongs_that_answer_nothing_change_nothing(connection):
    connection.ping(b"ping", "A")
    connection.now = 1.0
    connection.receive((0x8A, b"pong"), (0x8A, b""))
    assert connection.answered == []
    assert connection.latency == 0.0
    connection.receive((0x8A, b"ping"), (0x8A, b"ping"))
    assert connection.answered == [("A", 1.0)]


def test_ping_timeout_may_be_set_at_any_time(connection):
    connection.start_keepalive(0.0)
    connection.ping_timeout = 5.0
    assert connection.ping_timeout == 5.0
    connection.tick(20.0)
    connection.tick(25.0)
    assert connection.protocol.close_sent.reason == "keepalive ping timeout"


def test_nobody_waits_for_pongs_of_keepalive(connection, sent):
    connection.start_keepalive(0.0)
    assert connection.tick(20.0) is False
    [(head, payload)] = sent(connection.protocol)
    assert head == 0x89
    connection.now = 20.5
    connection.receive((0x8A, payload))
    assert connection.answered == []
    assert connection.latency == 0.5


@pytest.mark.parametrize("data", [b"", b"data", None])
def test_ping_is_sent_with_its_data(data, connection, sent):
    connection.ping(data, "A")
    [(head, payload)] = sent(connection.protocol)
    assert head == 0x89
    assert payload == data if data is not None else len(payload) == 4
    connection.receive((0x8A, payload))
    assert connection.answered == [("A", 0.0)]


def test_ping_with_data_that_is_waited_for_is_not_sent(connection, sent):
    connection.ping(b"ping", "A")
    with pytest.raises(ConcurrencyError):
        connection.ping(b"ping", "B")
    assert sent(connection.protocol) == [(0x89, b"ping")]


def test_nobody_waits_for_the_pong_of_a_ping_that_was_not_sent(connection):
    with pytest.raises(ProtocolError):
        connection.ping(bytes(126), "A")
    connection.close()
    connection.protocol.send_eof()
    with pytest.raises(InvalidState):
        connection.ping(b"ping", "B")
    assert connection.lose_connection() == []


def test_messages_are_received_while_closing_until_too_many_wait(side):
    connection = Conversation(Protocol(side), max_queue=2)
    connection.close()
    connection.receive(*[(0x82, b"%d" % i) for i in range(10)], (0x8A, b"pong"))
    assert connection.received() == [b"0", b"1", b"2"]
    # There would be a gap.
    connection.receive((0x82, b"last"))
    assert connection.received() == []
    connection.receive((0x88, b"\x03\xe8"))
    assert connection.lose_connection() == []
    assert connection.protocol.close_code == 1000


def test_no_message_has_a_gap_when_too_many_wait_while_closing(side):
    connection = Conversation(Protocol(side), max_queue=2)
    connection.close()
    connection.receive((0x82, b"0"), (0x82, b"1"), (0x02, b"a"), (0x00, b"b"))
    assert connection.received() == [b"0", b"1"]
    connection.receive((0x80, b"c"), (0x82, b"2"))
    assert connection.received() == []


def test_closing_drops_nothing_while_few_messages_wait(side):
    connection = Conversation(Protocol(side), max_queue=2)
    connection.close()
    for i in range(10):
        connection.receive((0x82, b"%d" % i))
        assert connection.received() == [b"%d" % i]


@pytest.mark.parametrize("end", [[], [(0x88, b"\x03\xe8")], [(0x83, b"")]])
def test_all_messages_that_were_read_are_kept_unless_this_side_closes(end, side):
    # The I/O layer pauses reading; what is in the chunk is there already.
    connection = Conversation(Protocol(side), max_queue=2)
    frames = [(0x82, b"%d" % i) for i in range(10)]
    connection.receive_at_once(*frames, *end)
    assert connection.received() == [b"%d" % i for i in range(10)]
    assert (connection.protocol.state is State.OPEN) is (not end)


def test_all_is_received_when_the_peer_violates_the_protocol_while_this_side_closes(side):
    # What arrived before its mistake is as good as if it had closed the connection.
    connection = Conversation(Protocol(side), max_queue=0)
    connection.close()
    connection.receive_at_once((0x82, b"0"), (0x82, b"1"), (0x83, b""))
    assert connection.received() == [b"0", b"1"]


def test_messages_that_were_received_survive_the_connection(connection):
    connection.receive((0x82, b"0"), (0x02, b"part"))
    connection.lose_connection(ConnectionResetError())
    assert connection.received() == [b"0"]
    assert connection.messages.get_fragment() == (b"part", False)
    assert connection.messages.get_fragment() is None


@pytest.mark.parametrize("close", [(), ((0x88, b"\x03\xe8"),)], ids=["no close", "close"])
@pytest.mark.parametrize("closing", [False, True])
def test_pongs_are_received_until_the_peer_closes(closing, close, connection):
    connection.ping(b"1", "A")
    connection.ping(b"2", "B")
    if closing:
        connection.close()
    connection.receive_at_once((0x8A, b"1"), *close, (0x8A, b"2"))
    if close:
        # RFC 6455, section 1.4: what follows a close frame is dropped.
        assert connection.answered == [("A", 0.0)]
        assert connection.lose_connection() == ["B"]
    else:
        assert connection.answered == [("A", 0.0), ("B", 0.0)]
        assert connection.lose_connection() == []


def test_pongs_are_received_in_the_midst_of_a_message(connection):
    connection.ping(b"1", "A")
    connection.receive((0x01, b"a"), (0x8A, b"1"), (0x80, b"b"))
    assert connection.answered == [("A", 0.0)]
    assert connection.received() == ["ab"]


def test_ping_without_anybody_waiting_answers_those_before_it(connection):
    connection.ping(b"1", "A")
    connection.now = 1.0
    connection.ping(b"2", None)
    connection.now = 3.0
    connection.receive((0x8A, b"2"))
    assert connection.answered == [("A", 3.0)]
    assert connection.latency == 2.0


def test_ping_that_was_answered_may_be_sent_again(connection, sent):
    for _ in range(2):
        connection.ping(b"ping", "A")
        connection.receive((0x8A, b"ping"))
    assert connection.answered == [("A", 0.0)] * 2
    assert sent(connection.protocol) == [(0x89, b"ping")] * 2


def test_nothing_is_received_after_the_end_of_the_stream(connection):
    connection.receive_eof()
    connection.receive_eof()
    assert connection.protocol.state is State.CLOSED
    assert connection.protocol.data_to_send() == [SEND_EOF]
    assert not connection.lost
    with pytest.raises(EOFError):
        connection.receive((0x82, b"0"))
    assert connection.lose_connection() == []
    assert connection.lost


# Closing and time


def test_nothing_is_due_without_keepalive(side):
    connection = Conversation(Protocol(side), ping_interval=None)
    connection.start_keepalive(0.0)
    assert connection.next_deadline(connection.now) is None


def test_keepalive_starts_when_told(connection):
    assert connection.next_deadline(connection.now) is None
    connection.start_keepalive(100.0)
    assert connection.next_deadline(connection.now) == 120.0


def test_nothing_is_done_before_the_deadline(connection):
    connection.start_keepalive(0.0)
    assert connection.tick(19.0) is False
    assert connection.protocol.data_to_send() == []
    connection.close()
    connection.protocol.data_to_send()
    assert connection.next_deadline(connection.now) == 29.0
    assert connection.tick(28.0) is False
    assert connection.protocol.data_to_send() == []


def test_peer_that_answers_no_ping_is_given_up(connection, sent):
    connection.start_keepalive(0.0)
    connection.tick(20.0)
    sent(connection.protocol)
    waiting = connection.next_deadline(connection.now)
    assert waiting == 40.0
    assert connection.tick(waiting) is False
    assert sent(connection.protocol) == [
        (0x88, b"\x03\xf3keepalive ping timeout"),
        *eof_of_server(connection),
    ]
    # It may still answer with a close frame, or close the TCP connection.
    assert connection.next_deadline(connection.now) == 50.0
    assert connection.tick(50.0) is True
    assert connection.lose_connection() == []
    exc = connection.closed_exception()
    assert type(exc) is ConnectionClosedError
    assert exc.sent == Close(1011, "keepalive ping timeout")
    assert isinstance(exc.__cause__, TimeoutError)
    assert str(exc.__cause__) == "keepalive ping timed out"


def test_peer_that_sends_anything_is_not_given_up(connection):
    connection.start_keepalive(0.0)
    connection.tick(20.0)
    connection.receive((0x82, b""))
    connection.tick(40.0)
    assert connection.protocol.state is State.OPEN


def test_keepalive_is_logged(side, caplog):
    caplog.set_level(logging.DEBUG, "test")
    connection = Conversation(Protocol(side, logger=logging.getLogger("test")))
    connection.start_keepalive(0.0)
    connection.tick(20.0)
    connection.tick(40.0)
    messages = [record.getMessage() for record in caplog.records]
    assert messages[0].startswith("> PING ")
    assert messages[1:3] == ["% sent keepalive ping", "- timed out waiting for keepalive pong"]


@pytest.mark.parametrize("begun", ["by this side", "by the peer", "by a failure"])
def test_closing_has_a_deadline_and_ends_keepalive(begun, connection):
    connection.start_keepalive(0.0)
    connection.now = 5.0
    if begun == "by this side":
        connection.close()
    elif begun == "by the peer":
        connection.receive((0x88, b""))
    else:
        connection.protocol.fail(1011)
        connection.next_deadline(5.0)
    assert connection.next_deadline(connection.now) == 15.0
    # It doesn't move.
    connection.next_deadline(8.0)
    assert connection.next_deadline(connection.now) == 15.0
    connection.protocol.data_to_send()
    assert connection.tick(15.0) is True
    assert connection.protocol.data_to_send() == []


def test_open_connection_has_no_deadline_for_closing(connection):
    connection.next_deadline(0.0)
    assert connection.next_deadline(connection.now) is None


@pytest.mark.parametrize("close_timeout", [0, 0.5])
def test_closing_is_given_up_at_its_deadline_until_the_connection_is_lost(close_timeout, side):
    connection = Conversation(Protocol(side), close_timeout=close_timeout)
    connection.close()
    deadline = connection.next_deadline(0.0)
    assert deadline == close_timeout
    assert connection.tick(deadline) is True
    assert connection.tick(deadline + 1) is True
    connection.lose_connection()
    assert connection.tick(deadline + 2) is False


def test_keepalive_does_not_start_once_the_connection_closes(connection):
    connection.close()
    connection.protocol.data_to_send()
    connection.start_keepalive(0.0)
    assert connection.next_deadline(0.0) == 10.0
    connection.lose_connection()
    connection.start_keepalive(0.0)
    assert connection.next_deadline(0.0) is None
    assert connection.tick(1000.0) is False


def test_timer_of_keepalive_may_fire_before_anybody_asks_for_another_deadline(connection):
    connection.start_keepalive(0.0)
    connection.receive_eof()
    connection.protocol.data_to_send()
    assert connection.tick(20.0) is False
    assert connection.protocol.data_to_send() == []
    assert connection.next_deadline(25.0) == 30.0


def test_closing_has_no_deadline_if_so_wanted(side):
    connection = Conversation(Protocol(side), close_timeout=None)
    connection.start_keepalive(0.0)
    connection.close()
    assert connection.next_deadline(connection.now) is None
    assert connection.tick(1000.0) is False
    assert connection.protocol.state is State.CLOSING


def test_closed_connection_has_a_deadline_until_it_is_lost(connection):
    connection.protocol.receive_eof()
    connection.next_deadline(5.0)
    assert connection.next_deadline(connection.now) == 15.0
    connection.lose_connection()
    assert connection.next_deadline(connection.now) is None


def test_refused_handshake_has_a_deadline():
    connection = Conversation(ServerProtocol())
    connection.protocol.receive_data(b"not HTTP\r\n")
    connection.next_deadline(0.0)
    assert connection.next_deadline(connection.now) == 10.0


def test_timeout_while_closing_is_the_cause(connection):
    connection.close()
    assert connection.tick(10.0) is True
    connection.lose_connection()
    exc = connection.closed_exception()
    assert isinstance(exc.__cause__, TimeoutError)
    assert str(exc.__cause__) == "timed out while closing the connection"


def test_pings_are_given_back_when_the_connection_is_lost(connection):
    connection.ping(b"1", "A")
    connection.ping(b"2", None)
    connection.ping(b"3", "B")
    assert connection.lose_connection() == ["A", "B"]
    assert connection.lose_connection() == []


def test_keepalive_stops_when_the_connection_is_lost(connection):
    connection.start_keepalive(0.0)
    connection.lose_connection()
    assert connection.next_deadline(connection.now) is None
    # A timer that was set before may still fire.
    assert connection.tick(20.0) is False


def test_error_of_the_network_is_the_cause(connection):
    error = ConnectionResetError("reset by peer")
    connection.lose_connection(error)
    exc = connection.closed_exception()
    assert type(exc) is ConnectionClosedError
    assert exc.__cause__ is error


def test_end_of_the_stream_is_the_cause_without_an_error(connection):
    connection.lose_connection()
    assert type(connection.closed_exception().__cause__) is EOFError


@pytest.mark.parametrize("begun", ["by this side", "by the peer"])
def test_error_of_the_network_does_not_matter_after_a_closing_handshake(begun, connection):
    if begun == "by this side":
        connection.close()
    connection.receive((0x88, b"\x03\xe8"))
    connection.lose_connection(ConnectionResetError())
    exc = connection.closed_exception()
    assert type(exc) is ConnectionClosedOK
    assert exc.__cause__ is None


@pytest.mark.parametrize("code", [1000, 1011])
@pytest.mark.parametrize("begun", ["by this side", "by the peer"])
def test_timeout_does_not_matter_after_a_closing_handshake(begun, code, connection):
    # Both close frames were exchanged, and the peer keeps the TCP connection.
    if begun == "by this side":
        connection.close(code)
    connection.receive((0x88, code.to_bytes(2, "big")))
    assert connection.next_deadline(0.0) == 10.0
    assert connection.tick(10.0) is True
    connection.lose_connection(ConnectionAbortedError())
    exc = connection.closed_exception()
    assert type(exc) is (ConnectionClosedOK if code == 1000 else ConnectionClosedError)
    assert exc.__cause__ is None


def test_error_of_the_network_matters_in_a_closing_handshake(connection):
    connection.close()
    error = ConnectionResetError()
    connection.lose_connection(error)
    assert connection.closed_exception().__cause__ is error


def test_error_of_the_network_matters_when_the_close_frame_was_not_answered(connection):
    connection.protocol.send_eof()
    connection.receive((0x88, b"\x03\xe8"))
    error = ConnectionResetError()
    connection.lose_connection(error)
    assert connection.closed_exception().__cause__ is error


def test_mistake_of_the_peer_remains_the_cause(connection):
    connection.receive((0x83, b""))
    connection.tick(10.0)
    connection.lose_connection(ConnectionResetError())
    exc = connection.closed_exception()
    assert isinstance(exc.__cause__, ProtocolError)


def test_first_failure_remains_the_cause(connection):
    connection.close()
    connection.tick(10.0)
    connection.lose_connection(ConnectionResetError())
    assert isinstance(connection.closed_exception().__cause__, TimeoutError)


def test_end_of_the_stream_remains_the_cause(connection):
    connection.receive_eof()
    connection.lose_connection(ConnectionResetError())
    assert type(connection.closed_exception().__cause__) is EOFError


@pytest.mark.parametrize("error", [None, ConnectionResetError("reset by peer")])
@pytest.mark.parametrize(
    "make_protocol", [lambda: ClientProtocol(parse_uri("ws://localhost/")), ServerProtocol]
)
def test_error_of_the_network_is_the_cause_of_a_failed_opening_handshake(make_protocol, error):
    connection = Conversation(make_protocol())
    connection.lose_connection(error)
    exc = connection.protocol.handshake_exc
    assert isinstance(exc, InvalidMessage)
    assert isinstance(exc.__cause__, EOFError)
    assert exc.__cause__.__cause__ is error


def test_failure_that_the_application_found_is_the_cause(connection, sent):
    error = ValueError("not what was agreed on")
    connection.fail(1008, "no", error)
    assert sent(connection.protocol)[0] == (0x88, b"\x03\xf0no")
    connection.lose_connection(ConnectionResetError())
    assert connection.closed_exception().__cause__ is error


def test_each_user_of_a_closed_connection_gets_an_exception_of_its_own(connection):
    connection.lose_connection(ConnectionResetError())
    assert connection.closed_exception() is not connection.closed_exception()


def test_connection_that_is_not_closed_has_no_exception(connection):
    with pytest.raises(InvalidState):
        connection.closed_exception()
    connection.fail(1011, "", ValueError())
    with pytest.raises(InvalidState):
        connection.closed_exception()


def test_failure_with_an_impossible_code_is_not_the_cause(connection):
    with pytest.raises(ProtocolError):
        connection.fail(1005, "", ValueError())
    assert connection.protocol.state is State.OPEN
    error = ConnectionResetError()
    connection.lose_connection(error)
    assert connection.closed_exception().__cause__ is error


def test_failure_after_the_end_is_not_the_cause(connection):
    connection.lose_connection()
    connection.fail(1011, "", ValueError())
    assert type(connection.closed_exception().__cause__) is EOFError


def test_timeout_after_the_end_of_the_stream_is_not_the_cause(connection):
    connection.receive_eof()
    assert connection.next_deadline(0.0) == 10.0
    assert connection.tick(10.0) is True
    connection.lose_connection()
    assert type(connection.closed_exception().__cause__) is EOFError


# Sending


@pytest.mark.parametrize(
    "message, text, frame",
    [
        ("é", None, (0x81, b"\xc3\xa9")),
        ("é", True, (0x81, b"\xc3\xa9")),
        ("é", False, (0x82, b"\xc3\xa9")),
        (b"a", None, (0x82, b"a")),
        (b"a", True, (0x81, b"a")),
        (b"a", False, (0x82, b"a")),
        (bytearray(b"a"), None, (0x82, b"a")),
        (memoryview(b"aXb")[::2], None, (0x82, b"ab")),
        (memoryview(array.array("H", b"ab")), True, (0x81, b"ab")),
        ("", None, (0x81, b"")),
        (b"", None, (0x82, b"")),
    ],
)
def test_kind_of_a_message_depends_on_its_type_unless_told(message, text, frame, connection, sent):
    connection.protocol.send_message(message, text)
    head, payload = frame
    connection.send_fragment(message, text, first=True)
    connection.send_fragment(message, text, first=False)
    assert sent(connection.protocol) == [frame, (head & 0x0F, payload), (0x00, payload)]


def test_closing_in_the_middle_of_a_message_fails_the_connection(connection, sent):
    connection.send_fragment("a", None, first=True)
    connection.close(1001, "bye")
    assert sent(connection.protocol)[1] == (0x88, b"\x03\xf3close during fragmented message")


@pytest.mark.parametrize("code, reason", [(1005, ""), (1006, ""), (999, ""), (1000, "é" * 62)])
def test_impossible_close_frame_leaves_the_connection_open(code, reason, connection):
    with pytest.raises(ProtocolError):
        connection.close(code, reason)
    assert connection.protocol.state is State.OPEN
    assert connection.protocol.data_to_send() == []
    assert connection.next_deadline(0.0) is None


def test_closing_after_a_fragmented_message_is_normal(connection, sent):
    connection.send_fragment("a", None, first=True)
    connection.protocol.send_continuation(b"b", fin=True)
    connection.close(1001, "bye")
    assert sent(connection.protocol)[2] == (0x88, b"\x03\xe9bye")


@pytest.mark.parametrize("text", ["\ud800", "a\udfff"])
def test_text_that_has_no_encoding_is_not_sent(text, connection):
    with pytest.raises(UnicodeEncodeError):
        connection.protocol.send_message(text)
    with pytest.raises(UnicodeEncodeError):
        connection.send_fragment(text, None, first=True)
    assert connection.protocol.data_to_send() == []
    assert not connection.protocol.sending_fragments


def test_messages_and_fragments_are_not_mixed(connection):
    connection.send_fragment(b"a", None, first=True)
    with pytest.raises(ProtocolError):
        connection.protocol.send_message(b"b")
    with pytest.raises(ProtocolError):
        connection.send_fragment(b"b", None, first=True)
    connection.send_fragment(b"b", None, first=False)


@pytest.mark.parametrize("end", ["close", "receive_eof", "lose_connection"])
def test_nothing_is_sent_once_the_connection_closes(end, connection):
    getattr(connection, end)()
    connection.protocol.data_to_send()
    with pytest.raises(InvalidState):
        connection.protocol.send_message(b"a")
    with pytest.raises(InvalidState):
        connection.send_fragment(b"a", None, first=True)
    connection.close()
    assert connection.protocol.data_to_send() == []


def test_closing_again_does_nothing(connection, sent):
    connection.close(1001, "bye")
    connection.close(1000, "again")
    assert sent(connection.protocol) == [(0x88, b"\x03\xe9bye")]


# Reading


def test_reading_pauses_while_enough_messages_wait(side):
    connection = Conversation(Protocol(side), max_queue=2)
    assert connection.wants_data(0.0)
    connection.receive((0x82, b"0"), (0x82, b"1"))
    assert connection.wants_data(0.0)
    connection.receive((0x82, b"2"))
    assert not connection.wants_data(0.0)
    assert connection.received() == [b"0", b"1", b"2"]
    assert connection.wants_data(0.0)


def test_peer_is_not_given_up_while_reading_is_paused(side):
    connection = Conversation(Protocol(side), max_queue=0)
    connection.start_keepalive(0.0)
    connection.receive((0x82, b"0"))
    assert not connection.wants_data(0.0)
    for now in (20.0, 40.0, 60.0):
        connection.tick(now)
        assert not connection.wants_data(now)
    assert connection.protocol.state is State.OPEN
    assert connection.received() == [b"0"]
    assert connection.wants_data(70.0)
    # The peer gets all of the timeout to answer.
    connection.tick(89.0)
    assert connection.protocol.state is State.OPEN
    connection.tick(90.0)
    assert connection.protocol.state is State.CLOSING


def test_reading_goes_on_while_closing(side):
    connection = Conversation(Protocol(side), max_queue=0)
    connection.receive((0x82, b"0"))
    assert not connection.wants_data(0.0)
    connection.close()
    assert connection.wants_data(0.0)


@pytest.mark.parametrize("end", ["by the peer", "by a failure"])
def test_reading_goes_on_when_the_connection_ends(end, side):
    connection = Conversation(Protocol(side), max_queue=0)
    connection.receive((0x82, b"0"))
    assert not connection.wants_data(0.0)
    if end == "by the peer":
        connection.receive((0x88, b""))
    else:
        connection.fail(1011, "", ValueError())
    assert connection.wants_data(0.0)
    assert connection.received() == [b"0"]


def test_nothing_is_left_to_read_after_the_end_of_the_stream(connection):
    connection.receive_eof()
    assert connection.eof_received
    assert not connection.wants_data(0.0)


def test_reading_does_not_pause_without_a_limit(side):
    connection = Conversation(Protocol(side), max_queue=None)
    connection.receive(*[(0x82, b"")] * 1000)
    assert connection.wants_data(0.0)


# Opening handshake


def test_handshaking_ends_with_the_part_of_the_peer():
    client, server = (
        Conversation(ClientProtocol(parse_uri("ws://localhost/"))),
        Conversation(ServerProtocol()),
    )
    client.request = client.protocol.connect()
    client.protocol.send_request(client.request)
    assert client.handshaking()
    assert server.handshaking()
    server.receive_data(b"".join(client.protocol.data_to_send()), 0.0)
    assert not server.handshaking()
    server.response = server.protocol.accept(server.request)
    server.protocol.send_response(server.response)
    client.receive_data(b"".join(server.protocol.data_to_send()), 0.0)
    assert not client.handshaking()


def test_frames_that_come_before_the_response_are_received_after_it():
    client = ClientProtocol(parse_uri("ws://localhost/"))
    client.send_request(client.connect())
    server = Conversation(ServerProtocol())
    server.receive_data(
        b"".join(client.data_to_send()) + serialize_frame(0x81, b"early", True), 0.0
    )
    assert server.received() == []
    assert server.wants_data(0.0)
    assert server.next_deadline(0.0) is None
    server.protocol.send_response(server.protocol.accept(server.request))
    assert list(server.process_events(0.0)) == []
    assert server.received() == ["early"]


@pytest.mark.parametrize("end", ["receive_eof", "lose_connection"])
def test_response_may_end_with_the_stream(end):
    client = Conversation(ClientProtocol(parse_uri("ws://localhost/")))
    client.receive_data(b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\nno", 0.0)
    assert client.handshaking()
    getattr(client, end)()
    assert not client.handshaking()
    assert client.response.body == b"no"


def test_connection_without_an_opening_handshake_is_not_handshaking(connection):
    assert not connection.handshaking()


def test_connection_that_is_connecting_is_not_closed_by_a_closing_handshake():
    connection = Conversation(ClientProtocol(parse_uri("ws://localhost/")))
    connection.close()
    assert connection.handshaking()
    assert connection.protocol.data_to_send() == []
    assert connection.next_deadline(0.0) is None


@pytest.mark.parametrize("how", ["invalid", "lost"])
def test_handshaking_ends_with_its_failure(how):
    connection = Conversation(ServerProtocol())
    if how == "invalid":
        connection.receive_data(b"not HTTP\r\n", 0.0)
    else:
        connection.lose_connection()
    assert not connection.handshaking()
    connection.start_keepalive(0.0)
    connection.tick(100.0)
    assert connection.request is None


# Keepalive pings that pile up


def test_pings_of_keepalive_do_not_pile_up(connection, sent):
    connection.start_keepalive(0.0)
    connection.ping(b"ours", "A")
    payloads = []
    for now in (20.0, 40.0, 60.0, 80.0, 100.0, 120.0):
        connection.tick(now)
        payloads += [payload for head, payload in sent(connection.protocol) if payload != b"ours"]
        connection.receive((0x82, b""))
    # The first two are forgotten; ours isn't.
    connection.now = 121.0
    connection.receive((0x8A, payloads[0]), (0x8A, payloads[1]))
    assert connection.answered == []
    assert connection.latency == 0.0
    # Later than the next ping was sent.
    connection.receive((0x8A, payloads[2]))
    assert connection.answered == [("A", 121.0)]
    assert connection.latency == 61.0


def test_keepalive_leaves_a_ping_alone_that_has_the_payload_of_its_last(connection, sent):
    connection.start_keepalive(0.0)
    connection.tick(20.0)
    [(_, payload)] = sent(connection.protocol)
    connection.receive((0x8A, payload))
    connection.ping(payload, "A")
    connection.tick(40.0)
    assert connection.lose_connection() == ["A"]


# Connections that were in vain


@pytest.mark.parametrize(
    "frames, in_vain",
    [
        ([], True),
        ([(0x89, b"")], True),
        ([(0x88, b"\x03\xe8")], True),
        ([(0x83, b"")], True),
        ([(0x82, b"")], False),
        ([(0x82, b""), (0x88, b"\x03\xe8")], False),
    ],
)
def test_connection_that_the_peer_ends_without_a_message_was_in_vain(frames, in_vain, connection):
    assert not connection.ended_in_vain()
    connection.receive(*frames)
    connection.lose_connection()
    assert connection.ended_in_vain() is in_vain


def test_connection_that_brought_a_part_of_a_message_was_in_vain(connection):
    data = serialize_frame(0x82, bytes(10_000), connection.protocol.side is Side.SERVER)
    for start in range(0, 9000, 1000):
        connection.receive_chunk(data[start : start + 1000])
    connection.lose_connection()
    assert connection.received() == []
    assert connection.ended_in_vain()


def test_connection_that_brought_a_message_before_a_mistake_was_not_in_vain(side):
    connection = Conversation(Protocol(side), max_queue=0)
    connection.protocol.extensions = [PerMessageDeflate(False, False, 15, 15)]
    connection.receive((0x89, b""))
    connection.receive_at_once((0xC2, b"K\x04\x00"), (0xC2, b"\xff\xff"))
    assert connection.messages.paused
    connection.lose_connection()
    assert connection.protocol.close_sent.code == 1002
    assert connection.received() == [b"a"]
    assert not connection.ended_in_vain()


def test_connection_that_this_side_closes_was_not_in_vain(connection):
    connection.close()
    connection.receive((0x88, b"\x03\xe8"))
    connection.lose_connection()
    assert not connection.ended_in_vain()


@pytest.mark.parametrize("how", ["lost while closing", "given up"])
def test_connection_that_this_side_ends_was_not_in_vain(how, connection):
    if how == "lost while closing":
        connection.close()
    else:
        connection.start_keepalive(0.0)
        connection.tick(20.0)
        connection.tick(40.0)
    connection.lose_connection(ConnectionResetError())
    assert not connection.ended_in_vain()


# Watermarks


@pytest.mark.parametrize(
    "value, expected",
    [
        (None, (None, None)),
        (16, (16, None)),
        ((16, 4), (16, 4)),
        ((16, None), (16, None)),
        ((None, None), (None, None)),
    ],
)
def test_watermarks_are_one_number_or_two(value, expected):
    assert parse_watermarks(value) == expected


def test_watermarks_decide_when_too_much_waits(side):
    assert Conversation(Protocol(side), max_queue=(8, 3)).messages.low == 3
    assert Conversation(Protocol(side), max_queue=8).messages.low == 2
    with pytest.raises(ValueError, match="low must be at least 0"):
        Conversation(Protocol(side), max_queue=(8, -1))


@pytest.mark.parametrize(
    "name, kind",
    [
        ("ping_interval", "a number of seconds"),
        ("ping_timeout", "a number of seconds"),
        ("close_timeout", "a number of seconds"),
        ("max_queue", "an int"),
    ],
)
def test_arguments_that_are_no_numbers_are_refused_by_name(name, kind):
    message = f"^{name} must be {kind}, or None[a-z ]*, not str$"
    with pytest.raises(TypeError, match=message):
        Session(Protocol(Side.CLIENT), **{name: "20"})


# Two sessions, joined


class End:
    """A session, what is on its way to it, and who waits for its pings."""

    def __init__(self, side, draw):
        settings = {
            "ping_interval": draw(st.sampled_from([None, 1, 5])),
            "ping_timeout": draw(st.sampled_from([None, 1, 8])),
            "max_queue": draw(st.sampled_from([None, 0, 2])),
        }
        self.session = Session(Protocol(side), close_timeout=10, **settings)
        self.session.start_keepalive(0.0)
        self.incoming = bytearray()
        self.eof_incoming = False
        self.waiting = set()
        self.sent = []
        self.received = []

    def answer(self, answered):
        for waiter, latency in answered:
            assert latency >= 0
            self.waiting.remove(waiter)

    def lose(self):
        for waiter in self.session.lose_connection():
            self.waiting.remove(waiter)
        assert not self.waiting

    def read(self):
        while (message := self.session.messages.get_message()) is not None:
            self.received.append(message)


class Pair:
    """Two ends, the clock, and what an I/O layer does."""

    def __init__(self, draw):
        self.ends = [End(side, draw) for side in Side]
        self.now = 0.0

    def settle(self, end):
        """Do what is done after everything else."""
        peer = self.ends[end is self.ends[0]]
        session = end.session
        for data in session.protocol.data_to_send():
            if data == SEND_EOF:
                peer.eof_incoming = True
            else:
                peer.incoming += data
        deadline = session.next_deadline(self.now)
        assert session.protocol.state is State.OPEN or session.lost or deadline is not None
        if deadline is not None and deadline <= self.now:
            if session.meet_deadline(self.now):
                peer.eof_incoming = True
                end.lose()
            later = session.next_deadline(self.now)
            assert later is None or later > self.now
            self.settle(end)

    def deliver(self, end, size):
        """Let bytes arrive, if they are wanted."""
        if end.session.lost or not end.session.wants_data(self.now):
            return
        data = bytes(end.incoming[:size])
        del end.incoming[:size]
        if data:
            end.answer(end.session.receive_data(data, self.now))
        elif end.eof_incoming:
            # This side closes the TCP connection, too, and it is gone.
            end.session.receive_eof()
            self.settle(end)
            end.lose()
        self.settle(end)

    def do(self, end, action, number):
        session = end.session
        is_open = session.protocol.state is State.OPEN
        if action == "send" and is_open:
            message = b"%d" % len(end.sent)
            session.protocol.send_message(message)
            end.sent.append(message)
        elif action == "ping" and is_open:
            waiter = object()
            session.send_ping(None, waiter, self.now)
            end.waiting.add(waiter)
        elif action == "close":
            session.close(1000 + number % 2)
        elif action == "fail":
            session.fail(1011, "", ValueError())
        elif action == "read":
            end.read()
        elif action == "deliver":
            self.deliver(end, number)
        elif action == "wait":
            self.now += number / 4
        for other in self.ends:
            self.settle(other)


ACTIONS = ["send", "send", "ping", "read", "read", "deliver", "deliver", "wait", "close", "fail"]


@pytest.mark.slow
@given(st.data())
def test_every_message_and_every_pong_has_an_outcome(data):
    pair = Pair(data.draw)
    steps = st.tuples(st.sampled_from([0, 1]), st.sampled_from(ACTIONS), st.integers(1, 40))
    for which, action, number in data.draw(st.lists(steps, max_size=60)):
        pair.do(pair.ends[which], action, number)
    # Whatever happened, a connection that is to be closed is closed soon.
    pair.do(pair.ends[0], "close", 0)
    for _ in range(60):
        for end in pair.ends:
            pair.do(end, "read", 0)
            pair.do(end, "deliver", 1000)
        pair.now += 0.5
    for end, peer in (pair.ends, pair.ends[::-1]):
        end.read()
        assert end.session.lost
        assert not end.waiting
        assert end.session.next_deadline(pair.now) is None
        end.session.closed_exception()
        # There are no gaps in what was received.
        assert end.received == peer.sent[: len(end.received)]


# What isn't decoded yet


def deflated(size):
    """Return the payload of a compressed message of zeros."""
    compressor = zlib.compressobj(wbits=-15)
    data = compressor.compress(bytes(size)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return data[:-4]


@pytest.fixture
def deflating(side):
    protocol = Protocol(side)
    protocol.extensions = [PerMessageDeflate(True, True, 15, 15)]
    return Conversation(protocol, max_queue=2)


def process_events(connection):
    while connection.wants_unread():
        connection.answered += connection.process_events(connection.now)


def test_no_more_of_a_chunk_is_inflated_than_may_wait(deflating):
    bomb = deflated(2**20)
    deflating.receive_at_once(*[(0xC2, bomb)] * 100, (0x89, b"ping"))
    # Those that fit in the queue, and those that begin in the same 4 KiB.
    assert 2 < len(deflating.messages.frames) <= 8
    assert not deflating.wants_data(0.0)
    assert not deflating.wants_unread()
    received = 0
    while (message := deflating.messages.get_message()) is not None:
        assert message == bytes(2**20)
        received += 1
        process_events(deflating)
        assert len(deflating.messages.frames) <= 8
    assert received == 100
    assert deflating.wants_data(0.0)


@pytest.mark.parametrize("frames", [[(0x82, b"")], [(0x02, b""), (0x80, b"")]])
def test_no_more_of_a_chunk_becomes_objects_than_may_wait(side, frames):
    connection = Conversation(Protocol(side), max_queue=2)
    connection.receive_at_once(*frames * 50000)
    assert len(connection.messages.frames) < 20000
    received = 0
    while True:
        message = connection.messages.get_message()
        if message is not None:
            assert message == b""
            received += 1
        elif not connection.wants_unread():
            break
        process_events(connection)
    assert received == 50000


def test_what_arrives_while_other_data_is_unread_follows_it(side):
    connection = Conversation(Protocol(side), max_queue=2)
    sent = [[f"{chunk}: {number}" for number in range(10000)] for chunk in range(3)]
    for messages in sent:
        connection.receive_at_once(*[(0x81, message.encode()) for message in messages])
    received = []
    while connection.wants_unread() or connection.messages.complete:
        received += connection.received()
        process_events(connection)
    assert received == [message for messages in sent for message in messages]


def test_what_is_unread_when_the_connection_is_lost_can_be_received(deflating):
    deflating.receive_at_once(*[(0xC2, deflated(2**20))] * 100)
    assert deflating.lose_connection(ConnectionResetError("reset")) == []
    assert deflating.protocol.state is State.CLOSED
    assert not deflating.wants_unread()
    assert not deflating.wants_data(0.0)
    received = 0
    while deflating.messages.get_message() is not None:
        received += 1
        process_events(deflating)
        assert len(deflating.messages.frames) <= 8
    assert received == 100
    assert isinstance(deflating.closed_exception().__cause__, ConnectionResetError)


@pytest.mark.parametrize("began", [False, True], ids=["peer closed", "both closed"])
def test_close_frame_is_noted_late(side, began):
    connection = Conversation(Protocol(side), max_queue=0)
    frames = [(0x82, bytes(100))] * 1000
    connection.receive_at_once(*frames, (0x89, b"ping"), (0x88, Close(1001, "bye").serialize()))
    connection.protocol.data_to_send()
    if began:
        connection.protocol.close_sent = Close(1000, "")
    connection.lose_connection()
    assert connection.protocol.close_code == 1006
    while connection.messages.get_message() is not None:
        process_events(connection)
    assert connection.protocol.close_rcvd == Close(1001, "bye")
    assert connection.protocol.close_rcvd_then_sent is (False if began else None)
    assert connection.closed_exception().__cause__ is None
    # Nothing is answered any more, and nothing follows a close frame.
    assert connection.protocol.data_to_send() == [SEND_EOF]
    assert connection.protocol.receive_piece(b"\x82\x00", 0, 2) == 2
    assert connection.protocol.events_received() == []


def test_mistake_is_noted_late(side):
    connection = Conversation(Protocol(side), max_queue=0)
    connection.receive_at_once(*[(0x82, bytes(100))] * 1000, (0x83, b""))
    connection.lose_connection()
    while connection.messages.get_message() is not None:
        process_events(connection)
    assert isinstance(connection.closed_exception().__cause__, ProtocolError)


def test_unread_bytes_are_dropped_when_this_side_closes(deflating):
    deflating.receive_at_once(*[(0xC2, deflated(2**20))] * 100)
    waiting = len(deflating.messages.frames)
    deflating.close()
    assert deflating.wants_unread()
    process_events(deflating)
    assert len(deflating.messages.frames) == waiting
    assert deflating.wants_data(0.0)


def request_of(client):
    client.protocol.send_request(client.protocol.connect())
    return b"".join(client.protocol.data_to_send())


@pytest.fixture
def early():
    """A server that has a request, and hasn't answered it."""
    server = Conversation(
        ServerProtocol(extensions=[ServerPerMessageDeflateFactory()]), max_queue=2
    )
    client = Conversation(
        ClientProtocol(parse_uri("ws://localhost/"), extensions=[ClientPerMessageDeflateFactory()])
    )
    server.receive_data(request_of(client), 0.0)
    return server


def test_what_arrives_before_the_response_isnt_inflated_whole(early):
    frames = serialize_frame(0xC2, deflated(2**20), True) * 40
    for pos in range(0, len(frames), 1000):
        early.receive_data(frames[pos : pos + 1000], 0.0)
    assert not early.wants_unread()
    early.protocol.send_response(early.protocol.accept(early.request))
    early.process_events(0.0)
    assert 2 < len(early.messages.frames) <= 8
    received = 0
    while early.messages.get_message() is not None:
        received += 1
        process_events(early)
    assert received == 40


def test_what_arrives_before_the_response_is_limited(early):
    for _ in range(40):
        early.receive_data(bytes(2**13), 0.0)
    early.protocol.send_response(early.protocol.accept(early.request))
    early.process_events(0.0)
    assert early.protocol.close_sent.code == 1008


def test_what_arrived_before_the_response_is_dropped_when_the_client_leaves(early):
    early.receive_data(bytes(100), 0.0)
    early.lose_connection()
    assert not early.wants_unread()
    assert early.process_events(0.0) == []


def test_client_inflates_no_more_of_what_comes_with_the_response_than_may_wait():
    server = ServerProtocol(extensions=[ServerPerMessageDeflateFactory()])
    client = Conversation(
        ClientProtocol(parse_uri("ws://localhost/"), extensions=[ClientPerMessageDeflateFactory()]),
        max_queue=2,
    )
    server.receive_data(request_of(client))
    (request,) = server.events_received()
    server.send_response(server.accept(request))
    response = b"".join(server.data_to_send())
    client.receive_data(response + serialize_frame(0xC2, deflated(2**20), False) * 100, 0.0)
    assert client.protocol.state is State.OPEN
    assert len(client.messages.frames) <= 8
