import array
import itertools
import logging
import math
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws_protocol.client import ClientProtocol
from ws_protocol.exceptions import (
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidState,
    PayloadTooBig,
    ProtocolError,
    TooManyFragments,
)
from ws_protocol.extensions import Extension
from ws_protocol.frames import Close, CloseCode, Frame, Opcode, serialize_frame
from ws_protocol.protocol import SEND_EOF, Protocol, Side, State
from ws_protocol.server import ServerProtocol
from ws_protocol.shared import SharedMessage
from ws_protocol.uri import parse_uri

CONT, TEXT, BINARY, CLOSE, PING, PONG = Opcode
CONNECTING, OPEN, CLOSING, CLOSED = State

# RFC 6455, section 7.1.5: what a close frame without a code stands for.
NO_CODE = Close(CloseCode.NO_STATUS_RCVD, "")


def from_peer(protocol, *frames):
    """Build frames as the peer of a protocol does, from first bytes and payloads."""
    masked = protocol.side is Side.SERVER
    return b"".join(serialize_frame(head, payload, masked) for head, payload in frames)


def receive(protocol, *frames):
    protocol.receive_data(from_peer(protocol, *frames))


def close_payload(code, reason=b""):
    return code.to_bytes(2, "big") + reason


def protocol_in(state, side):
    """Return a protocol in some state, with nothing to send."""
    protocol = Protocol(side, state=CONNECTING if state is CONNECTING else OPEN)
    if state is CLOSING:
        protocol.send_close(1000)
    elif state is CLOSED:
        protocol.receive_eof()
    protocol.data_to_send()
    assert protocol.state is state
    return protocol


def name_of(member):
    return member.name.lower()


def eof_of_server(protocol):
    """A server closes the TCP connection first; a client waits for it."""
    return [SEND_EOF] if protocol.side is Side.SERVER else []


# Attributes


def test_connection_is_open_at_first(side):
    protocol = Protocol(side)
    assert protocol.side is side
    assert protocol.state is OPEN
    assert protocol.extensions == []
    assert protocol.subprotocol is None
    assert protocol.origin is None
    assert protocol.handshake_exc is None
    assert protocol.parser_exc is None
    assert protocol.close_rcvd is None
    assert protocol.close_sent is None
    assert protocol.close_rcvd_then_sent is None
    assert not protocol.sending_fragments
    assert not protocol.eof_sent
    assert not protocol.congested
    assert not protocol.close_expected()
    assert protocol.events_received() == []
    assert protocol.data_to_send() == []


def test_id_is_unique_and_stays(side):
    protocol, other = Protocol(side), Protocol(side)
    assert isinstance(protocol.id, uuid.UUID)
    assert protocol.id == protocol.id
    assert protocol.id != other.id


@pytest.mark.parametrize(
    "kwargs, message_size, fragment_size",
    [
        ({}, 2**20, None),
        ({"max_size": 10}, 10, None),
        ({"max_size": None}, None, None),
        ({"max_size": (20, 10)}, 20, 10),
        ({"max_size": (None, 10)}, None, 10),
        ({"max_size": (20, None)}, 20, None),
        # Not what the annotation says, and what people write.
        ({"max_size": (1e6, math.inf)}, 10**6, None),
    ],
)
def test_max_size_is_for_messages_or_for_messages_and_fragments(
    kwargs, message_size, fragment_size, side
):
    protocol = Protocol(side, **kwargs)
    assert protocol.max_message_size == message_size
    assert protocol.max_fragment_size == fragment_size


@pytest.mark.parametrize(
    "max_size, exception, message",
    [
        ("1MB", TypeError, "max_size must be an int, or None for no limit, not str"),
        ([20, 10], TypeError, "max_size must be an int, or None for no limit, not list"),
        ((20, "10"), TypeError, "max_size must be an int, or None for no limit, not str"),
        (-1, ValueError, "max_size must be at least 0, or None for no limit, got (-1, None)"),
        ((20, 10, 5), ValueError, r"max_size must be a limit, or a pair of two, got (20, 10, 5)"),
    ],
)
def test_max_size_that_is_no_limit_is_refused(max_size, exception, message):
    with pytest.raises(exception) as raised:
        Protocol(Side.CLIENT, max_size=max_size)
    assert str(raised.value) == message


def test_limit_on_messages_may_be_set_at_any_time(side):
    protocol = Protocol(side, max_size=10)
    protocol.max_message_size = 20
    receive(protocol, (0x82, bytes(20)))
    protocol.max_message_size = None
    receive(protocol, (0x82, bytes(2000)))
    assert [len(frame.data) for frame in protocol.events_received()] == [20, 2000]
    protocol.max_message_size = 5
    receive(protocol, (0x82, bytes(6)))
    assert protocol.max_message_size == 5
    assert protocol.close_sent.code == 1009


def test_default_logger_has_the_name_of_the_side(side):
    assert Protocol(side).logger is logging.getLogger(f"websockets.{side.name.lower()}")


@pytest.mark.parametrize(
    "logger",
    [logging.getLogger("test"), logging.LoggerAdapter(logging.getLogger("test"), {})],
    ids=["logger", "adapter"],
)
def test_logger_may_be_given(logger, side):
    assert Protocol(side, logger=logger).logger is logger


def test_state_may_be_set(side):
    protocol = Protocol(side)
    protocol.state = CLOSED
    assert protocol.state is CLOSED


# Every method in every state

SENDING = {
    "send_continuation": lambda protocol: protocol.send_continuation(b"", fin=True),
    "send_text": lambda protocol: protocol.send_text(b""),
    "send_binary": lambda protocol: protocol.send_binary(b""),
    "send_close": lambda protocol: protocol.send_close(),
    "send_ping": lambda protocol: protocol.send_ping(b""),
    "send_pong": lambda protocol: protocol.send_pong(b""),
}


@pytest.mark.parametrize("state", State, ids=name_of)
@pytest.mark.parametrize("method", SENDING.keys())
def test_what_can_be_sent_depends_on_the_state(method, state, side, sent):
    protocol = protocol_in(state, side)
    allowed = {
        CONNECTING: set(),
        # No fragmented message was begun.
        OPEN: SENDING.keys() - {"send_continuation"},
        # RFC 6455, section 5.5.1: no data frames after a close frame.
        CLOSING: {"send_ping", "send_pong"},
        CLOSED: set(),
    }[state]
    if method in allowed:
        SENDING[method](protocol)
        assert len(sent(protocol)) == 1
    elif state is OPEN:
        with pytest.raises(ProtocolError) as raised:
            SENDING[method](protocol)
        assert str(raised.value) == "unexpected continuation frame"
        assert protocol.data_to_send() == []
    else:
        with pytest.raises(InvalidState) as raised:
            SENDING[method](protocol)
        assert str(raised.value) == f"connection is {state.name.lower()}"
        assert protocol.data_to_send() == []
    assert protocol.state is (CLOSING if method == "send_close" and state is OPEN else state)


@pytest.mark.parametrize("method", SENDING.keys())
def test_what_is_sent_after_the_peers_close_frame(method, side, sent):
    protocol = Protocol(side)
    receive(protocol, (0x88, b""))
    protocol.data_to_send()
    if side is Side.CLIENT and method in ("send_ping", "send_pong"):
        SENDING[method](protocol)
        assert len(sent(protocol)) == 1
    else:
        with pytest.raises(InvalidState):
            SENDING[method](protocol)


@pytest.mark.parametrize("method", SENDING.keys())
@pytest.mark.parametrize("state", [OPEN, CLOSING], ids=name_of)
def test_nothing_is_sent_after_the_end_of_this_side(method, state, side):
    protocol = protocol_in(state, side)
    protocol.send_eof()
    with pytest.raises(InvalidState) as raised:
        SENDING[method](protocol)
    assert str(raised.value) == "connection is closed"
    assert protocol.state is state
    assert protocol.data_to_send() == [SEND_EOF]


def test_fragments_cannot_be_continued_after_the_end_of_this_side(side, sent):
    protocol = Protocol(side)
    protocol.send_text(b"a", fin=False)
    protocol.send_eof()
    with pytest.raises(InvalidState):
        protocol.send_continuation(b"b", fin=True)
    assert sent(protocol) == [(0x01, b"a"), SEND_EOF]


def test_bytes_of_the_opening_handshake_are_not_for_this_class(side):
    protocol = protocol_in(CONNECTING, side)
    with pytest.raises(InvalidState) as raised:
        protocol.receive_data(b"GET / HTTP/1.1\r\n")
    assert str(raised.value) == "connection is connecting, and has no opening handshake"


@pytest.mark.parametrize("state", [OPEN, CLOSING], ids=name_of)
def test_data_is_received(state, side):
    protocol = protocol_in(state, side)
    receive(protocol, (0x81, b"hello"))
    assert protocol.events_received() == [Frame(TEXT, b"hello")]
    assert protocol.state is state


def test_data_after_the_end_of_the_stream_is_a_mistake(side):
    protocol = protocol_in(CLOSED, side)
    with pytest.raises(EOFError) as raised:
        protocol.receive_data(b"\x81\x00")
    assert str(raised.value) == "stream ended"


@pytest.mark.parametrize("state", State, ids=name_of)
def test_end_of_stream_closes_the_connection(state, side):
    protocol = protocol_in(state, side)
    protocol.receive_eof()
    assert protocol.state is CLOSED
    assert protocol.eof_sent
    assert protocol.data_to_send() == ([] if state is CLOSED else [SEND_EOF])
    assert not protocol.close_expected()


@pytest.mark.parametrize("state", State, ids=name_of)
def test_end_of_stream_may_be_received_again(state, side):
    protocol = protocol_in(state, side)
    protocol.receive_eof()
    protocol.data_to_send()
    exc = protocol.parser_exc
    protocol.receive_eof()
    assert protocol.state is CLOSED
    assert protocol.data_to_send() == []
    assert protocol.parser_exc is exc


def test_end_of_stream_of_a_connection_that_was_set_to_closed(side):
    protocol = Protocol(side, state=CLOSED)
    protocol.receive_eof()
    assert protocol.state is CLOSED
    assert protocol.data_to_send() == [SEND_EOF]


@pytest.mark.parametrize("state", [CONNECTING, OPEN, CLOSING], ids=name_of)
def test_end_of_this_side_is_sent_once_in_any_state(state, side):
    protocol = protocol_in(state, side)
    protocol.send_eof()
    protocol.send_eof()
    assert protocol.data_to_send() == [SEND_EOF]
    assert protocol.state is state
    assert protocol.eof_sent


@pytest.mark.parametrize("state", State, ids=name_of)
def test_close_is_expected_once_it_began(state, side):
    assert protocol_in(state, side).close_expected() is (state is CLOSING)


@pytest.mark.parametrize("state", [CONNECTING, OPEN, CLOSING], ids=name_of)
def test_connection_that_is_not_closed_has_no_close_code(state, side):
    protocol = protocol_in(state, side)
    assert protocol.close_code is None
    assert protocol.close_reason is None
    with pytest.raises(InvalidState) as raised:
        protocol.close_exc  # noqa: B018
    assert str(raised.value) == "connection isn't closed yet"


def test_connection_that_was_never_open_is_closed_abnormally(side):
    protocol = protocol_in(CONNECTING, side)
    protocol.receive_eof()
    assert protocol.close_code == 1006
    assert protocol.close_reason == ""
    assert type(protocol.close_exc) is ConnectionClosedError
    assert protocol.close_exc.__cause__ is None


# Receiving


@pytest.mark.parametrize(
    "wire, events",
    [
        ([(0x81, b"hello")], [Frame(TEXT, b"hello")]),
        ([(0x82, b"\xff")], [Frame(BINARY, b"\xff")]),
        (
            [(0x01, b"a"), (0x89, b"b"), (0x00, b"c"), (0x8A, b"d"), (0x80, b"e")],
            [
                Frame(TEXT, b"a", fin=False),
                Frame(PING, b"b"),
                Frame(CONT, b"c", fin=False),
                Frame(PONG, b"d"),
                Frame(CONT, b"e"),
            ],
        ),
        ([(0x88, b"\x03\xe8bye")], [Frame(CLOSE, b"\x03\xe8bye")]),
        ([(0x88, b"")], [Frame(CLOSE, b"")]),
    ],
)
def test_frames_are_events(wire, events, side, way):
    protocol = Protocol(side)
    trailing = from_peer(protocol, (0x81, b"trailing"))
    received = []
    for chunk in way.chunks(from_peer(protocol, *wire), trailing):
        protocol.receive_data(chunk)
        received += protocol.events_received()
    if way.trailing and events[-1].opcode is not CLOSE:
        events = [*events, Frame(TEXT, b"trailing")]
    assert received == events
    assert protocol.events_received() == []


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_kind_of_bytes_is_received(kind, side):
    protocol = Protocol(side)
    data = bytearray(from_peer(protocol, (0x82, b"hello")))
    protocol.receive_data(kind(data))
    # Buffers of the network are used again.
    data[:] = bytes(len(data))
    assert protocol.events_received() == [Frame(BINARY, b"hello")]


def test_limits_hold(side):
    protocol = Protocol(side, max_size=(10, 5))
    receive(protocol, (0x02, bytes(5)), (0x80, bytes(5)))
    assert len(protocol.events_received()) == 2
    receive(protocol, (0x82, bytes(6)))
    assert protocol.events_received() == []
    assert protocol.close_sent.code == 1009


def test_limit_on_fragments_holds(side, sent):
    protocol = Protocol(side)
    protocol.max_fragments = 3
    receive(protocol, (0x02, b""), (0x00, b""), (0x00, b""), (0x00, b""))
    assert len(protocol.events_received()) == 3
    assert isinstance(protocol.parser_exc, TooManyFragments)
    assert sent(protocol) == [
        (0x88, close_payload(1009, b"fragmented message exceeds limit of 3 frames")),
        *eof_of_server(protocol),
    ]


# What the peer does wrong


class Failing(Extension):
    """An extension of somebody else, with a bug."""

    name = "x-failing"

    def decode(self, frame, *, max_size=None):
        raise ValueError("secret")

    def encode(self, frame):
        return frame


VIOLATIONS = {
    "reserved bit": ((0xC1, b""), ProtocolError, 1002, "reserved bits must be 0"),
    "opcode": ((0x83, b""), ProtocolError, 1002, "invalid opcode"),
    "text": ((0x81, b"caf\xff"), UnicodeDecodeError, 1007, "invalid start byte at position 3"),
    "end of text": (
        (0x81, b"caf\xc3"),
        UnicodeDecodeError,
        1007,
        "unexpected end of data at position 3",
    ),
    "size": (
        (0x82, bytes(101)),
        PayloadTooBig,
        1009,
        "frame with 101 bytes exceeds limit of 100 bytes",
    ),
    "fragments": ((0x80, b""), ProtocolError, 1002, "unexpected continuation frame"),
    "short close": ((0x88, b"\x03"), ProtocolError, 1002, "close frame too short"),
    "close code": ((0x88, b"\x03\xee"), ProtocolError, 1002, "invalid status code"),
    "close reason": (
        (0x88, b"\x03\xe8\xff"),
        UnicodeDecodeError,
        1007,
        "invalid start byte at position 0",
    ),
}


@pytest.fixture(params=VIOLATIONS.values(), ids=VIOLATIONS.keys())
def violation(request):
    return request.param


def test_violation_fails_the_connection(violation, side, way, sent):
    frame, exc_type, code, _ = violation
    protocol = Protocol(side, max_size=100)
    data = from_peer(protocol, (0x81, b"before"), frame)
    for chunk in way.chunks(data, trailing=from_peer(protocol, (0x81, b"after"))):
        protocol.receive_data(chunk)
    assert protocol.events_received() == [Frame(TEXT, b"before")]
    assert protocol.state is CLOSING
    assert protocol.close_expected()
    assert isinstance(protocol.parser_exc, exc_type)
    assert protocol.close_sent.code == code
    head, payload = sent(protocol)[0]
    assert (head, payload[:2]) == (0x88, close_payload(code))

    # Nothing that comes now counts.
    receive(protocol, (0x81, b"after"), (0x89, b""), (0x88, b"\x03\xe8"))
    assert protocol.events_received() == []
    assert protocol.close_rcvd is None
    protocol.data_to_send()
    receive(protocol, (0x89, b""))
    assert protocol.data_to_send() == []

    protocol.receive_eof()
    assert protocol.data_to_send() == ([SEND_EOF] if side is Side.CLIENT else [])
    assert protocol.state is CLOSED
    assert protocol.close_code == 1006
    assert type(protocol.close_exc) is ConnectionClosedError
    assert protocol.close_exc.__cause__ is protocol.parser_exc
    assert isinstance(protocol.parser_exc, exc_type)


@pytest.mark.parametrize(
    "frames, position",
    [
        ([(0x81, b"caf\xff")], 3),
        ([(0x81, "café ".encode() + b"\xff")], 6),
        ([(0x01, b"hello "), (0x80, b"caf\xff")], 9),
        ([(0x01, b"hello "), (0x89, b""), (0x80, b"caf\xc3")], 9),
        ([(0x01, "café".encode()[:4]), (0x00, b"\xa9 caf\xc3"), (0x80, b"caf\xc3")], 9),
        ([(0x01, "café".encode()[:4]), (0x80, b"\xa9 caf\xff")], 9),
        ([(0x81, "café".encode()), (0x01, b"ab"), (0x00, b"\xed\xa0")], 2),
        ([(0x01, b"hello "), (0x88, b"\x03\xe8a\xff")], 1),
    ],
    ids=[
        "frame",
        "after other characters",
        "fragment",
        "end of a fragment",
        "after a character that is cut",
        "at the end of the text",
        "surrogate of another message",
        "close reason in a message",
    ],
)
def test_position_of_what_is_not_utf8_does_not_depend_on_fragments_and_chunks(
    frames, position, side, way
):
    protocol = Protocol(side)
    for chunk in way.chunks(from_peer(protocol, *frames), trailing=b""):
        protocol.receive_data(chunk)
    assert protocol.close_sent.code == 1007
    assert protocol.close_sent.reason.endswith(f" at position {position}")


def test_peer_is_told_what_it_did_wrong(violation, side, sent):
    frame, _, code, reason = violation
    protocol = Protocol(side, max_size=100)
    receive(protocol, frame)
    assert sent(protocol) == [
        (0x88, close_payload(code, reason.encode())),
        *eof_of_server(protocol),
    ]


def test_violation_while_this_side_is_closing_ends_the_connection(violation, side, sent):
    frame, exc_type, _, _ = violation
    protocol = Protocol(side, max_size=100)
    protocol.send_close(1000)
    sent(protocol)
    receive(protocol, frame)
    assert sent(protocol) == eof_of_server(protocol)
    assert protocol.close_sent == Close(1000, "")
    protocol.receive_eof()
    assert protocol.close_code == 1006
    assert isinstance(protocol.close_exc.__cause__, exc_type)


def test_pings_before_a_violation_are_answered(violation, side, sent):
    frame, _, code, _ = violation
    protocol = Protocol(side, max_size=100)
    receive(protocol, (0x89, b"ping"), frame)
    assert protocol.events_received() == [Frame(PING, b"ping")]
    pong, (head, payload), *_ = sent(protocol)
    assert pong == (0x8A, b"ping")
    assert (head, payload[:2]) == (0x88, close_payload(code))


def test_connection_that_failed_is_freed_without_the_garbage_collector(violation, side, freed):
    frame, exc_type, _, _ = violation

    def make():
        protocol = Protocol(side, max_size=100)
        receive(protocol, frame)
        assert isinstance(protocol.parser_exc, exc_type)
        protocol.receive_eof()
        return protocol

    assert freed(make)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535])
@pytest.mark.parametrize("reason", [b"", b"reason"])
def test_close_code_that_is_not_allowed_is_a_violation(code, reason, side):
    protocol = Protocol(side)
    receive(protocol, (0x88, close_payload(code, reason)))
    assert protocol.close_rcvd is None
    assert protocol.close_sent == Close(1002, "invalid status code")


def test_exception_of_an_extension_is_logged_and_not_told_the_peer(side, sent, caplog):
    protocol = Protocol(side)
    protocol.extensions = [Failing()]
    receive(protocol, (0x81, b"hello"))
    assert sent(protocol) == [(0x88, close_payload(1011)), *eof_of_server(protocol)]
    assert isinstance(protocol.parser_exc, ValueError)
    [record] = caplog.records
    assert record.getMessage() == "receiving failed"
    assert record.levelno == logging.ERROR
    assert record.exc_info[1] is protocol.parser_exc


def test_whatever_a_frame_begins_with_is_accepted_or_fails_the_connection(side):
    seconds = (0, 1, 2, 125, 126, 127, 128, 129, 253, 254, 255)
    for first, second in itertools.product(range(256), seconds):
        protocol = Protocol(side)
        protocol.receive_data(bytes([first, second]) + b"\x03\xe8\xff\x00")
        protocol.receive_eof()
        assert protocol.state is CLOSED
        assert protocol.data_to_send()[-1] == SEND_EOF


@pytest.mark.parametrize("side", Side, ids=name_of)
@given(data=st.binary(max_size=300), cut=st.integers(1, 300))
def test_any_bytes_are_accepted_or_fail_the_connection(side, data, cut):
    protocol = Protocol(side)
    for i in range(0, len(data), cut):
        protocol.receive_data(data[i : i + cut])
    protocol.receive_eof()
    assert protocol.state is CLOSED
    assert protocol.data_to_send()[-1] == SEND_EOF


# Pings and pongs


@pytest.mark.parametrize("data", [b"", b"data", b"\xff" * 125])
def test_ping_is_answered_with_its_data(data, side, way, sent):
    protocol = Protocol(side)
    trailing = from_peer(protocol, (0x81, b"trailing"))
    for chunk in way.chunks(from_peer(protocol, (0x89, data)), trailing):
        protocol.receive_data(chunk)
    assert sent(protocol) == [(0x8A, data)]


def test_ping_in_a_fragmented_message_is_answered_at_once(side, sent):
    protocol = Protocol(side)
    receive(protocol, (0x01, b"a"), (0x89, b"ping"))
    assert sent(protocol) == [(0x8A, b"ping")]


def test_ping_is_answered_between_the_fragments_that_this_side_sends(side, sent):
    protocol = Protocol(side)
    protocol.send_text(b"a", fin=False)
    receive(protocol, (0x89, b"ping"))
    protocol.send_continuation(b"b", fin=True)
    assert sent(protocol) == [(0x01, b"a"), (0x8A, b"ping"), (0x80, b"b")]


def test_pong_is_not_answered(side):
    protocol = Protocol(side)
    receive(protocol, (0x8A, b"data"))
    assert protocol.data_to_send() == []
    assert protocol.events_received() == [Frame(PONG, b"data")]


def test_16_pings_are_answered_each(side, sent):
    protocol = Protocol(side)
    receive(protocol, *[(0x89, bytes([i])) for i in range(16)])
    assert sent(protocol) == [(0x8A, bytes([i])) for i in range(16)]


@pytest.mark.parametrize("chunks", [1, 50])
def test_of_more_than_16_pings_the_latest_is_answered(chunks, side, sent):
    protocol = Protocol(side)
    pings = [(0x89, bytes([i])) for i in range(50)]
    size = len(pings) // chunks
    for i in range(0, len(pings), size):
        receive(protocol, *pings[i : i + size])
    assert len(protocol.events_received()) == 50
    assert sent(protocol) == [(0x8A, bytes([i])) for i in [*range(16), 49]]
    assert sent(protocol) == []


def test_pings_count_anew_once_pongs_were_taken_to_be_sent(side, sent):
    protocol = Protocol(side)
    for _ in range(3):
        receive(protocol, *[(0x89, bytes([i])) for i in range(18)])
        assert sent(protocol) == [(0x8A, bytes([i])) for i in [*range(16), 17]]


def test_pongs_that_the_application_sends_do_not_count(side, sent):
    protocol = Protocol(side)
    for _ in range(20):
        protocol.send_pong(b"")
    receive(protocol, (0x89, b"ping"))
    assert sent(protocol)[-1] == (0x8A, b"ping")


def test_no_pong_is_made_while_the_peer_does_not_read(side, sent):
    protocol = Protocol(side)
    protocol.congested = True
    for i in range(100):
        receive(protocol, (0x89, bytes([i])))
        assert sent(protocol) == []
    protocol.send_text(b"message")
    assert sent(protocol) == [(0x81, b"message")]
    protocol.congested = False
    assert sent(protocol) == [(0x8A, bytes([99]))]
    assert sent(protocol) == []


def test_held_pong_does_not_leave_after_that_of_a_later_ping(side, sent):
    protocol = Protocol(side)
    protocol.congested = True
    receive(protocol, (0x89, b"earlier"))
    protocol.congested = False
    receive(protocol, (0x89, b"later"))
    # RFC 6455, section 5.5.3: it answers the earlier one, too.
    assert sent(protocol) == [(0x8A, b"later")]
    assert sent(protocol) == []


@pytest.mark.parametrize("pings", [1, 20])
def test_held_pong_is_dropped_when_a_close_frame_is_received(pings, side, sent):
    protocol = Protocol(side)
    protocol.congested = pings == 1
    receive(protocol, *[(0x89, b"ping")] * pings, (0x88, b"\x03\xe8"))
    protocol.congested = False
    frames = sent(protocol)
    assert frames[-1 - len(eof_of_server(protocol))] == (0x88, b"\x03\xe8")
    assert frames[:-1].count((0x8A, b"ping")) == (16 if pings == 20 else 0)
    assert sent(protocol) == []


def test_held_pong_is_dropped_when_a_close_frame_is_sent(side, sent):
    protocol = Protocol(side)
    protocol.congested = True
    receive(protocol, (0x89, b"ping"))
    protocol.send_close(1000)
    protocol.congested = False
    assert sent(protocol) == [(0x88, b"\x03\xe8")]
    assert sent(protocol) == []


def test_held_pong_is_dropped_when_the_stream_ends(side):
    protocol = Protocol(side)
    protocol.congested = True
    receive(protocol, (0x89, b"ping"))
    protocol.receive_eof()
    protocol.congested = False
    assert protocol.data_to_send() == [SEND_EOF]
    assert protocol.data_to_send() == []


def test_ping_is_answered_after_this_side_sent_its_close_frame(side, sent):
    # RFC 6455, section 5.5.2: unless a close frame was received.
    protocol = Protocol(side)
    protocol.send_close(1000)
    receive(protocol, (0x89, b"ping"))
    assert sent(protocol) == [(0x88, b"\x03\xe8"), (0x8A, b"ping")]


def test_ping_is_not_answered_after_a_close_frame_was_received(side, sent):
    protocol = Protocol(side)
    receive(protocol, (0x88, b"\x03\xe8"), (0x89, b"ping"))
    receive(protocol, (0x89, b"ping"))
    assert sent(protocol) == [(0x88, b"\x03\xe8"), *eof_of_server(protocol)]


def test_ping_is_not_answered_after_the_end_of_this_side(side):
    protocol = Protocol(side)
    protocol.send_eof()
    receive(protocol, (0x89, b"ping"))
    assert protocol.data_to_send() == [SEND_EOF]


# Sending data

MESSAGES = {"text": (0x01, Protocol.send_text), "binary": (0x02, Protocol.send_binary)}


@pytest.fixture(params=MESSAGES.values(), ids=MESSAGES.keys())
def message(request):
    return request.param


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_message_is_sent(size, message, side, sent):
    opcode, send = message
    protocol = Protocol(side)
    send(protocol, b"a" * size)
    assert not protocol.sending_fragments
    assert sent(protocol) == [(0x80 | opcode, b"a" * size)]


def test_fragmented_message_is_sent(message, side, sent):
    opcode, send = message
    protocol = Protocol(side)
    send(protocol, b"a", fin=False)
    assert protocol.sending_fragments
    protocol.send_continuation(b"b", fin=False)
    assert protocol.sending_fragments
    protocol.send_continuation(b"c", fin=True)
    assert not protocol.sending_fragments
    send(protocol, b"d")
    assert sent(protocol) == [(opcode, b"a"), (0, b"b"), (0x80, b"c"), (0x80 | opcode, b"d")]


@pytest.mark.parametrize("fin", [False, True])
def test_message_cannot_be_sent_in_a_fragmented_message(message, fin, side, sent):
    opcode, send = message
    protocol = Protocol(side)
    send(protocol, b"a", fin=False)
    for other in (Protocol.send_text, Protocol.send_binary):
        with pytest.raises(ProtocolError) as raised:
            other(protocol, b"b", fin=fin)
        assert str(raised.value) == "expected a continuation frame"
    assert sent(protocol) == [(opcode, b"a")]


def test_continuation_cannot_be_sent_after_a_message(message, side):
    _, send = message
    protocol = Protocol(side)
    send(protocol, b"a", fin=False)
    protocol.send_continuation(b"b", fin=True)
    with pytest.raises(ProtocolError):
        protocol.send_continuation(b"c", fin=True)


def test_control_frames_may_be_sent_in_a_fragmented_message(message, side, sent):
    opcode, send = message
    protocol = Protocol(side)
    send(protocol, b"a", fin=False)
    protocol.send_ping(b"ping")
    protocol.send_pong(b"pong")
    protocol.send_continuation(b"b", fin=True)
    assert sent(protocol) == [(opcode, b"a"), (0x89, b"ping"), (0x8A, b"pong"), (0x80, b"b")]


@pytest.mark.parametrize(
    "data",
    [
        b"abcd",
        bytearray(b"abcd"),
        memoryview(b"abcd"),
        memoryview(array.array("H", b"abcd")),
        memoryview(b"aXbXcXdX")[::2],
    ],
    ids=["bytes", "bytearray", "memoryview", "of larger items", "strided"],
)
@pytest.mark.parametrize("method", ["send_text", "send_binary", "send_ping", "send_pong"])
def test_anything_bytes_like_is_sent(method, data, side, sent):
    protocol = Protocol(side)
    getattr(protocol, method)(data)
    [(_, payload)] = sent(protocol)
    assert payload == b"abcd"


def test_what_is_sent_does_not_change_with_the_buffer_it_came_from(side, sent):
    protocol = Protocol(side)
    data = bytearray(b"abcd")
    protocol.send_binary(data)
    protocol.send_binary(memoryview(data))
    data[:] = b"XXXX"
    assert sent(protocol) == [(0x82, b"abcd"), (0x82, b"abcd")]


@pytest.mark.parametrize("data", ["abcd", None, 4])
@pytest.mark.parametrize("method", ["send_text", "send_binary", "send_ping", "send_pong"])
def test_what_is_not_bytes_like_is_refused(method, data, side):
    protocol = Protocol(side)
    with pytest.raises(TypeError):
        getattr(protocol, method)(data)
    assert protocol.data_to_send() == []
    protocol.send_text(b"still possible")


def test_refused_fragment_does_not_begin_a_message(message, side):
    _, send = message
    protocol = Protocol(side)
    with pytest.raises(TypeError):
        send(protocol, "abcd", fin=False)
    assert not protocol.sending_fragments


@pytest.mark.parametrize("method", ["send_ping", "send_pong"])
@pytest.mark.parametrize(
    "data", [bytes(126), memoryview(array.array("I", bytes(128)))], ids=["bytes", "view"]
)
def test_control_frame_that_is_too_long_is_refused(method, data, side, sent):
    protocol = Protocol(side)
    with pytest.raises(ProtocolError) as raised:
        getattr(protocol, method)(data)
    assert str(raised.value) == "control frame too long"
    getattr(protocol, method)(bytes(125))
    assert len(sent(protocol)) == 1


def test_messages_of_the_peer_and_ours_do_not_get_in_each_others_way(side, sent):
    protocol = Protocol(side)
    protocol.send_text(b"a", fin=False)
    receive(protocol, (0x02, b"b"))
    protocol.send_continuation(b"c", fin=True)
    receive(protocol, (0x80, b"d"))
    assert sent(protocol) == [(0x01, b"a"), (0x80, b"c")]
    assert protocol.events_received() == [Frame(BINARY, b"b", fin=False), Frame(CONT, b"d")]


class Marking(Extension):
    """Sets and resets a reserved bit."""

    name = "x-marking"

    def encode(self, frame):
        return Frame(frame.opcode, frame.data, frame.fin, rsv2=True)

    def decode(self, frame, *, max_size=None):
        assert frame.rsv2
        return Frame(frame.opcode, frame.data, frame.fin)


def test_extensions_encode_and_decode_every_frame(side, sent):
    protocol = Protocol(side)
    protocol.extensions = [Marking()]
    receive(protocol, (0x21, b"a"), (0xA9, b"b"), (0xA0, b"c"), (0xA8, b"\x03\xe8"))
    assert protocol.events_received() == [
        Frame(TEXT, b"a", fin=False),
        Frame(PING, b"b"),
        Frame(CONT, b"c"),
        Frame(CLOSE, b"\x03\xe8"),
    ]
    assert sent(protocol) == [(0xAA, b"b"), (0xA8, b"\x03\xe8"), *eof_of_server(protocol)]


# Closing handshake


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1011, 1014, 3000, 3999, 4000, 4999])
@pytest.mark.parametrize("reason", ["", "à bientôt", "x" * 123])
def test_closing_handshake_that_the_peer_begins(code, reason, side, way, sent):
    protocol = Protocol(side)
    payload = close_payload(code, reason.encode())
    trailing = from_peer(protocol, (0x81, b"dropped"), (0x89, b"dropped"))
    for chunk in way.chunks(from_peer(protocol, (0x88, payload)), trailing):
        protocol.receive_data(chunk)
    assert protocol.state is CLOSING
    assert protocol.close_expected()
    assert protocol.close_rcvd == protocol.close_sent == Close(code, reason)
    assert protocol.close_rcvd_then_sent is True
    assert protocol.events_received() == [Frame(CLOSE, payload)]
    assert sent(protocol) == [(0x88, payload), *eof_of_server(protocol)]

    protocol.receive_eof()
    assert sent(protocol) == ([SEND_EOF] if side is Side.CLIENT else [])
    assert protocol.state is CLOSED
    assert not protocol.close_expected()
    assert protocol.close_code == code
    assert protocol.close_reason == reason
    assert protocol.parser_exc is None


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1011, 1014, 3000, 3999, 4000, 4999])
@pytest.mark.parametrize("reason", ["", "à bientôt", "x" * 123])
def test_closing_handshake_that_this_side_begins(code, reason, side, way, sent):
    protocol = Protocol(side)
    payload = close_payload(code, reason.encode())
    protocol.send_close(code, reason)
    assert protocol.state is CLOSING
    assert protocol.close_expected()
    assert protocol.close_sent == Close(code, reason)
    assert protocol.close_rcvd_then_sent is None
    assert sent(protocol) == [(0x88, payload)]

    receive(protocol, (0x81, b"on its way already"))
    trailing = from_peer(protocol, (0x81, b"dropped"))
    for chunk in way.chunks(from_peer(protocol, (0x88, payload)), trailing):
        protocol.receive_data(chunk)
    assert protocol.state is CLOSING
    assert protocol.close_rcvd == Close(code, reason)
    assert protocol.close_rcvd_then_sent is False
    assert protocol.events_received() == [
        Frame(TEXT, b"on its way already"),
        Frame(CLOSE, payload),
    ]
    assert sent(protocol) == eof_of_server(protocol)

    protocol.receive_eof()
    assert protocol.state is CLOSED
    assert protocol.close_code == code
    assert protocol.close_reason == reason
    assert protocol.parser_exc is None


def test_closing_handshake_that_both_sides_begin_at_once(side, sent):
    protocol = Protocol(side)
    protocol.send_close(1000, "ours")
    receive(protocol, (0x88, close_payload(1001, b"theirs")))
    assert sent(protocol) == [
        (0x88, close_payload(1000, b"ours")),
        *eof_of_server(protocol),
    ]
    protocol.receive_eof()
    assert protocol.close_rcvd == Close(1001, "theirs")
    assert protocol.close_sent == Close(1000, "ours")
    assert protocol.close_rcvd_then_sent is False
    assert protocol.close_code == 1001
    assert protocol.close_reason == "theirs"


def test_close_frame_without_a_code_is_answered_without_one(side, sent):
    protocol = Protocol(side)
    receive(protocol, (0x88, b""))
    assert sent(protocol) == [(0x88, b""), *eof_of_server(protocol)]
    assert protocol.close_rcvd == protocol.close_sent == NO_CODE
    protocol.receive_eof()
    assert protocol.close_code == 1005
    assert protocol.close_reason == ""
    assert type(protocol.close_exc) is ConnectionClosedOK


def test_close_frame_without_a_code_is_sent(side, sent):
    protocol = Protocol(side)
    protocol.send_close()
    assert sent(protocol) == [(0x88, b"")]
    assert protocol.close_sent == NO_CODE


@pytest.mark.parametrize("opcode", [0x01, 0x02])
def test_close_frame_in_a_fragmented_message_is_answered(opcode, side, sent):
    protocol = Protocol(side)
    receive(protocol, (opcode, b"a"), (0x88, b"\x03\xe8"))
    assert sent(protocol) == [(0x88, b"\x03\xe8"), *eof_of_server(protocol)]
    protocol.receive_eof()
    assert protocol.close_code == 1000
    assert protocol.parser_exc is None


def test_close_frame_may_be_sent_in_a_fragmented_message(message, side, sent):
    opcode, send = message
    protocol = Protocol(side)
    send(protocol, b"a", fin=False)
    protocol.send_close(1001)
    with pytest.raises(InvalidState):
        protocol.send_continuation(b"b", fin=True)
    assert sent(protocol) == [(opcode, b"a"), (0x88, b"\x03\xe9")]


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65536, -1])
def test_close_code_that_is_not_allowed_is_not_sent(code, side):
    protocol = Protocol(side)
    with pytest.raises(ProtocolError) as raised:
        protocol.send_close(code)
    assert str(raised.value) == "invalid status code"
    assert protocol.state is OPEN
    assert protocol.close_sent is None
    assert protocol.data_to_send() == []


@pytest.mark.parametrize("reason", ["x" * 124, "é" * 62], ids=["ASCII", "not ASCII"])
def test_close_reason_that_is_too_long_is_not_sent(reason, side):
    protocol = Protocol(side)
    with pytest.raises(ProtocolError) as raised:
        protocol.send_close(1000, reason)
    assert str(raised.value) == "control frame too long"
    assert protocol.state is OPEN
    assert protocol.close_sent is None
    assert protocol.data_to_send() == []


def test_close_reason_without_a_code_is_not_sent(side):
    protocol = Protocol(side)
    with pytest.raises(ProtocolError) as raised:
        protocol.send_close(reason="why")
    assert str(raised.value) == "cannot send a reason without a code"
    assert protocol.state is OPEN


def test_close_frame_is_not_answered_after_the_end_of_this_side(side):
    protocol = Protocol(side)
    protocol.send_eof()
    receive(protocol, (0x88, b"\x03\xe8"))
    assert protocol.data_to_send() == [SEND_EOF]
    assert protocol.state is CLOSING
    assert protocol.close_rcvd == Close(1000, "")
    assert protocol.close_sent is None
    assert protocol.close_rcvd_then_sent is None
    protocol.receive_eof()
    assert type(protocol.close_exc) is ConnectionClosedError


def test_end_is_sent_last(side, sent):
    protocol = Protocol(side)
    protocol.send_text(b"a")
    receive(protocol, (0x89, b"b"))
    receive(protocol, (0x88, b""))
    protocol.receive_eof()
    assert sent(protocol) == [(0x81, b"a"), (0x8A, b"b"), (0x88, b""), SEND_EOF]


# Exceptions of closed connections


def closed_by_both(side, received, sent):
    protocol = Protocol(side)
    protocol.send_close(sent)
    receive(protocol, (0x88, b"" if received is None else close_payload(received)))
    protocol.receive_eof()
    return protocol


@pytest.mark.parametrize("received", [1000, 1001, None])
@pytest.mark.parametrize("sent", [1000, 1001, None])
def test_connection_closed_ok_if_both_codes_are_ok(received, sent, side):
    exc = closed_by_both(side, received, sent).close_exc
    assert type(exc) is ConnectionClosedOK
    assert (exc.rcvd.code, exc.sent.code) == (received or 1005, sent or 1005)
    assert exc.rcvd_then_sent is False
    assert exc.__cause__ is None


@pytest.mark.parametrize(
    "received, sent", [(1000, 1002), (1011, 1000), (None, 4000), (3000, None), (1008, 1008)]
)
def test_connection_closed_error_if_one_code_is_not_ok(received, sent, side):
    exc = closed_by_both(side, received, sent).close_exc
    assert type(exc) is ConnectionClosedError
    assert exc.__cause__ is None


def test_exception_of_a_closed_connection_is_new_each_time(side):
    # Tracebacks would pile up in a single one.
    protocol = closed_by_both(side, 1000, 1000)
    assert protocol.close_exc is not protocol.close_exc


@pytest.mark.parametrize(
    "wire, cut, text",
    [
        ([], None, "stream ended unexpectedly"),
        ([(0x82, b"hello")], None, "stream ended unexpectedly"),
        ([(0x82, b"hello")], 1, "stream ended unexpectedly, in the header of a frame"),
        (
            [(0x82, b"hello")],
            -2,
            "stream ended unexpectedly, in a frame with 2 bytes missing",
        ),
        ([(0x01, b"a")], None, "stream ended unexpectedly, in a fragmented message"),
        ([(0x89, b"a")], None, "stream ended unexpectedly"),
    ],
)
def test_end_of_stream_in_the_middle_of_something_is_described(wire, cut, text, side):
    protocol = Protocol(side)
    data = from_peer(protocol, *wire)[:cut]
    if data:
        protocol.receive_data(data)
    protocol.receive_eof()
    assert protocol.state is CLOSED
    assert protocol.data_to_send()[-1] == SEND_EOF
    assert type(protocol.parser_exc) is EOFError
    assert str(protocol.parser_exc) == text
    assert protocol.close_code == 1006
    assert protocol.close_reason == ""
    exc = protocol.close_exc
    assert type(exc) is ConnectionClosedError
    assert (exc.rcvd, exc.sent, exc.rcvd_then_sent) == (None, None, None)
    assert exc.__cause__ is protocol.parser_exc


def test_end_of_stream_before_the_answer_to_a_close_frame(side):
    protocol = Protocol(side)
    protocol.send_close(1000)
    protocol.receive_eof()
    exc = protocol.close_exc
    assert type(exc) is ConnectionClosedError
    assert (exc.rcvd, exc.sent) == (None, Close(1000, ""))
    assert type(exc.__cause__) is EOFError
    assert protocol.close_code == 1006


# fail()


def test_failure_sends_a_close_frame(side, sent):
    protocol = Protocol(side)
    protocol.fail(1011, "bug")
    assert protocol.state is CLOSING
    assert protocol.close_expected()
    assert protocol.close_sent == Close(1011, "bug")
    assert sent(protocol) == [(0x88, close_payload(1011, b"bug")), *eof_of_server(protocol)]
    receive(protocol, (0x81, b"dropped"), (0x88, b"\x03\xe8"))
    assert protocol.events_received() == []
    assert protocol.close_rcvd is None
    protocol.receive_eof()
    assert protocol.close_code == 1006
    assert protocol.parser_exc is None


def test_failure_with_1006_sends_no_close_frame(side):
    protocol = Protocol(side)
    protocol.fail(1006)
    assert protocol.state is CLOSING
    assert protocol.close_expected()
    assert protocol.close_sent is None
    assert protocol.data_to_send() == eof_of_server(protocol)


def test_failure_after_the_end_of_this_side_sends_no_close_frame(side):
    protocol = Protocol(side)
    protocol.send_eof()
    protocol.fail(1011)
    assert protocol.data_to_send() == [SEND_EOF]
    assert protocol.state is CLOSING
    assert protocol.close_sent is None


@pytest.mark.parametrize("code", [0, 1005, 1015, 2000, 5000])
def test_failure_with_a_code_that_is_not_allowed_is_a_mistake(code, side):
    protocol = Protocol(side)
    with pytest.raises(ProtocolError):
        protocol.fail(code)
    assert protocol.state is OPEN
    assert protocol.data_to_send() == []


@pytest.mark.parametrize(
    "reason, expected",
    [
        ("x" * 123, "x" * 123),
        ("x" * 124, "x" * 123),
        ("é" * 100, "é" * 61),
        ("x" + "é" * 100, "x" + "é" * 61),
        ("\N{GRINNING FACE}" * 100, "\N{GRINNING FACE}" * 30),
        ("x" * 10_000, "x" * 123),
    ],
)
def test_reason_of_a_failure_is_cut_at_a_character(reason, expected, side, sent):
    protocol = Protocol(side)
    protocol.fail(1011, reason)
    assert protocol.close_sent == Close(1011, expected)
    assert sent(protocol)[0] == (0x88, close_payload(1011, expected.encode()))


def test_failure_while_connecting_drops_what_arrives(side):
    protocol = protocol_in(CONNECTING, side)
    protocol.fail(1011)
    assert protocol.state is CONNECTING
    assert protocol.close_expected()
    assert protocol.close_sent is None
    assert protocol.data_to_send() == eof_of_server(protocol)
    protocol.receive_data(b"whatever")
    assert protocol.events_received() == []
    protocol.receive_eof()
    assert protocol.state is CLOSED


@pytest.mark.parametrize("byte", [b"a", b"\xff"])
def test_failure_drops_what_is_read_into_a_buffer_meanwhile(side, byte):
    protocol = Protocol(side)
    data = from_peer(protocol, (0x81, b"a" * 100 + byte * 30_000))
    protocol.receive_data(data[:14])
    buffer = protocol.get_buffer()
    protocol.fail(CloseCode.POLICY_VIOLATION)
    buffer[:] = data[14:]
    protocol.receive_payload(len(buffer))
    assert protocol.events_received() == []
    assert protocol.parser_exc is None
    assert protocol.get_buffer() is None


def test_failure_while_closing_sends_no_second_close_frame(side):
    protocol = protocol_in(CLOSING, side)
    protocol.fail(1011, "bug")
    assert protocol.state is CLOSING
    assert protocol.close_sent == Close(1000, "")
    assert protocol.data_to_send() == eof_of_server(protocol)
    receive(protocol, (0x88, b"\x03\xe8"))
    assert protocol.close_rcvd is None


def test_failure_of_a_closed_connection_does_nothing(side):
    protocol = protocol_in(CLOSED, side)
    protocol.fail(1011)
    assert protocol.state is CLOSED
    assert protocol.close_sent is None
    assert protocol.data_to_send() == []


def test_failure_again_does_nothing(side, sent):
    protocol = Protocol(side)
    protocol.fail(1011, "first")
    sent(protocol)
    protocol.fail(1002, "second")
    assert protocol.close_sent == Close(1011, "first")
    assert protocol.data_to_send() == []


# Logs


@pytest.fixture
def log(caplog):
    """What is logged at level DEBUG, and the logger."""
    logger = logging.getLogger("test")
    caplog.set_level(logging.DEBUG, "test")

    def lines():
        assert all(record.levelno == logging.DEBUG for record in caplog.records)
        return [record.getMessage() for record in caplog.records]

    return logger, lines


def test_everything_is_logged(log, side):
    logger, lines = log
    protocol = Protocol(side, logger=logger)
    assert protocol.debug
    receive(protocol, (0x01, b"hel"), (0x89, b"\xff"), (0x80, b"lo"))
    protocol.send_text(b"hello")
    protocol.send_binary(b"\x00\x01", fin=False)
    protocol.send_continuation(b"", fin=True)
    protocol.send_ping(b"ping")
    protocol.send_close(1000, "bye")
    receive(protocol, (0x88, b"\x03\xe8bye"))
    protocol.data_to_send()
    protocol.receive_eof()
    eof = ["> EOF"]
    assert lines() == [
        "< TEXT 'hel' [3 bytes, continued]",
        "< PING ff [binary, 1 byte]",
        "< CONT 'lo' [text, 2 bytes]",
        "> PONG ff [binary, 1 byte]",
        "> TEXT 'hello' [5 bytes]",
        "> BINARY 00 01 [2 bytes, continued]",
        "> CONT '' [0 bytes]",
        "> PING 'ping' [text, 4 bytes]",
        "= connection is CLOSING",
        "> CLOSE 1000 (OK) bye [5 bytes]",
        "< CLOSE 1000 (OK) bye [5 bytes]",
        *(eof if side is Side.SERVER else []),
        "< EOF",
        "= connection is CLOSED",
        *(eof if side is Side.CLIENT else []),
    ]


def test_wire_is_the_same_when_it_is_logged(log, side, sent):
    def run(protocol):
        receive(protocol, (0x81, b"hello"), (0x89, b"ping"))
        protocol.send_text(memoryview(array.array("H", b"abcd")))
        protocol.send_binary(b"", fin=False)
        protocol.send_continuation(bytes(70000), fin=True)
        receive(protocol, (0x88, b""))
        return sent(protocol), protocol.events_received()

    logger, _ = log
    assert run(Protocol(side, logger=logger)) == run(Protocol(side))


def test_close_frame_that_is_a_violation_is_logged(log, side):
    logger, lines = log
    protocol = Protocol(side, logger=logger)
    receive(protocol, (0x88, b"\x03"))
    assert lines()[:3] == [
        "< CLOSE 03 [binary, 1 byte]",
        "= connection is CLOSING",
        "> CLOSE 1002 (protocol error) close frame too short [23 bytes]",
    ]


def test_nothing_is_logged_at_higher_levels(caplog, side):
    logger = logging.getLogger("test")
    caplog.set_level(logging.INFO, "test")
    protocol = Protocol(side, logger=logger)
    assert not protocol.debug
    receive(protocol, (0x81, b"a"), (0x88, b"\x03"))
    protocol.receive_eof()
    assert not caplog.records


def test_size_of_what_is_to_be_sent_can_be_asked_for(side):
    protocol = Protocol(side)
    assert protocol.unsent_size == 0
    protocol.send_text(b"hello")
    protocol.send_ping(b"")
    size = protocol.unsent_size
    assert size == sum(map(len, protocol.data_to_send()))
    assert protocol.unsent_size == 0
    protocol.send_ping(b"hello")
    size = protocol.unsent_size
    protocol.send_text(b"hello again")
    assert size < protocol.unsent_size == sum(map(len, protocol.data_to_send()))


def test_size_of_what_is_to_be_sent_is_counted_once_however_often_it_is_asked_for():
    class Frame(bytes):
        counted = 0

        def __len__(self):
            Frame.counted += 1
            return super().__len__()

    class Message(SharedMessage):
        def serialize(self, deflate=None):
            return (Frame(b"\x82\x00"),)

    protocol = Protocol(Side.SERVER)
    message = Message(b"")
    for sent in range(1, 101):
        protocol.send_shared(message)
        assert protocol.unsent_size == 2 * sent
    assert Frame.counted == 100


@pytest.mark.parametrize("make", [ServerProtocol, lambda: ClientProtocol(parse_uri("ws://host/"))])
def test_connection_has_no_more_attributes_than_objects_keep_without_a_dictionary(make):
    assert len(vars(make())) <= 30
