import gc
import logging

import pytest

from ws_protocol.broadcast import broadcast
from ws_protocol.connection import BaseConnection
from ws_protocol.exceptions import ConcurrencyError
from ws_protocol.frames import Opcode
from ws_protocol.protocol import Protocol, Side
from ws_protocol.session import Session
from ws_protocol.shared import SharedMessage


class Connection(BaseConnection):
    """A connection that keeps what it is to send, or fails."""

    def __init__(self, exc=None):
        super().__init__(Session(Protocol(Side.SERVER)))
        self.sent = []
        self.exc = exc

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


def test_sending_is_for_a_way_of_doing_io_to_do():
    connection = BaseConnection(Session(Protocol(Side.SERVER)))
    with pytest.raises(NotImplementedError):
        connection.send_shared(SharedMessage("hello"))
