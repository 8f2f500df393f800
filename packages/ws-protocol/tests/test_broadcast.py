import gc
import logging

import pytest

from ws_protocol.broadcast import broadcast
from ws_protocol.connection import BaseConnection
from ws_protocol.exceptions import ConcurrencyError
from ws_protocol.frames import Close, CloseCode, Opcode
from ws_protocol.protocol import Protocol, Side, State
from ws_protocol.session import Session
from ws_protocol.shared import SharedMessage


class Connection(BaseConnection):
    """A connection that keeps what it is to send, or fails."""

    def __init__(self, exc=None):
        super().__init__(Session(Protocol(Side.SERVER)))
        self.sent = []
        self.exc = exc

    def get_buffer_size(self):
        return sum(len(payload) for _, payload in self.sent)

    def give_up(self, reason, exc):
        self.session.fail(CloseCode.POLICY_VIOLATION, reason, exc)

    def send_shared(self, message):
        if self.exc is not None:
            raise self.exc
        self.sent.append((message.opcode, bytes(message.payload)))


@pytest.mark.parametrize(
    "message, arguments, sent",
    [
        ("héllo", {}, (Opcode.TEXT, "héllo".encode())),
        ("hello", {"text": False}, (Opcode.BINARY, b"hello")),
        (b"hello", {}, (Opcode.BINARY, b"hello")),
        (b"hello", {"text": True}, (Opcode.TEXT, b"hello")),
        (bytearray(b"hello"), {}, (Opcode.BINARY, b"hello")),
        (memoryview(b"hello"), {}, (Opcode.BINARY, b"hello")),
    ],
)
def test_message_goes_to_all(message, arguments, sent):
    connections = [Connection(), Connection()]
    broadcast(iter(connections), message, **arguments)
    assert [connection.sent for connection in connections] == [[sent], [sent]]


@pytest.mark.parametrize("message", [None, 1, ["a"], {"a": "b"}])
def test_message_cannot_be_anything_else(message):
    with pytest.raises(TypeError) as raised:
        broadcast([], message)
    assert str(raised.value) == f"message must be str or bytes-like, not {type(message).__name__}"


def test_connection_that_cannot_send_now_is_skipped_with_a_warning(caplog):
    busy, idle = Connection(ConcurrencyError("sending a fragmented message")), Connection()
    broadcast([busy, idle], "hello")
    assert idle.sent == [(Opcode.TEXT, b"hello")]
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.message == "skipped broadcast: sending a fragmented message"
    assert record.websocket is busy


def test_exceptions_are_raised_together_after_all_is_sent(caplog):
    failures = [ConcurrencyError("a"), ConcurrencyError("b")]
    connections = [Connection(failures[0]), Connection(), Connection(failures[1])]
    gc.disable()
    try:
        with pytest.raises(ExceptionGroup, match="skipped broadcast") as raised:
            broadcast(connections, "hello", raise_exceptions=True)
        assert list(raised.value.exceptions) == failures
    finally:
        gc.enable()
    assert connections[1].sent == [(Opcode.TEXT, b"hello")]
    assert caplog.records == []


@pytest.mark.parametrize(
    "method, arguments",
    [
        ("send_shared", (SharedMessage("hello"),)),
        ("get_buffer_size", ()),
        ("give_up", ("too slow", BufferError())),
    ],
)
def test_io_is_for_a_way_of_doing_it(method, arguments):
    connection = BaseConnection(Session(Protocol(Side.SERVER)))
    with pytest.raises(NotImplementedError):
        getattr(connection, method)(*arguments)


# Connections that are too slow


def test_message_is_left_out_where_too_much_waits():
    slow, fast = Connection(), Connection()
    for number in range(5):
        fast.sent.clear()
        broadcast([slow, fast], str(number) * 100, max_buffer=250)
    assert [payload[:1] for _, payload in slow.sent] == [b"0", b"1", b"2"]
    assert fast.sent == [(Opcode.TEXT, b"4" * 100)]
    assert slow.state is State.OPEN


def test_connection_can_be_closed_where_too_much_waits():
    slow = Connection()
    for number in range(3):
        broadcast([slow], str(number) * 100, max_buffer=150, slow="close")
    assert len(slow.sent) == 2
    assert slow.protocol.close_sent == Close(CloseCode.POLICY_VIOLATION, "too slow")
    slow.session.lose_connection()
    exc = slow.session.closed_exception()
    assert str(exc.__cause__) == "200 bytes wait to be sent, over 150"
    # It isn't open any more.
    broadcast([slow], "hello", max_buffer=150, slow="close")


def test_what_to_do_with_slow_connections_must_be_known():
    connection = Connection()
    with pytest.raises(ValueError, match="slow must be 'skip' or 'close', got 'drop'"):
        broadcast([connection], "hello", slow="drop")
    assert connection.sent == []
