import array
import collections
import logging
import types
import uuid
import weakref

import pytest

from ws_protocol.connection import (
    BaseConnection,
    check_fragment,
    check_iterable,
    encode_payload,
    iterate,
    show_address,
)
from ws_protocol.frames import serialize_frame
from ws_protocol.protocol import Protocol, Side, State
from ws_protocol.session import Session


@pytest.fixture
def connection(side):
    return BaseConnection(Session(Protocol(side)))


# Attributes


def test_id_can_be_set(connection):
    connection.id = name = uuid.uuid4()
    assert connection.id == name
    assert connection.protocol.id == name


def test_attributes_are_those_of_the_protocol(connection):
    protocol = connection.protocol
    assert connection.id == protocol.id
    assert connection.state is State.OPEN
    assert connection.subprotocol is None
    assert connection.close_code is None
    assert connection.close_reason is None
    protocol.subprotocol = "chat"
    assert connection.subprotocol == "chat"
    masked = protocol.side is Side.SERVER
    connection.session.receive_data(serialize_frame(0x88, b"\x03\xe9bye", masked), 0.0)
    assert connection.state is State.CLOSING
    connection.session.lose_connection()
    assert connection.state is State.CLOSED
    assert connection.close_code == 1001
    assert connection.close_reason == "bye"


def test_attributes_of_a_new_connection(side):
    connection = BaseConnection(
        Session(Protocol(side), ping_interval=1, ping_timeout=2, close_timeout=3, max_queue=None)
    )
    assert connection.ping_interval == 1
    assert connection.ping_timeout == 2
    assert connection.close_timeout == 3
    assert connection.request is None
    assert connection.response is None
    assert connection.latency == 0.0


# Logs


class Adapter(logging.LoggerAdapter):
    """An adapter that adds to what it is given, as the documentation shows."""

    def process(self, msg, kwargs):
        return f"[{kwargs['extra']['websocket'].id}] {msg}", kwargs


@pytest.mark.parametrize("adapt", [False, True], ids=["logger", "adapter"])
@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG])
def test_records_have_the_connection(adapt, level, side, caplog):
    caplog.set_level(level, "test")
    logger = logging.getLogger("test")
    protocol = Protocol(side, logger=Adapter(logger, None) if adapt else logger)
    connection = BaseConnection(Session(protocol))
    connection.log_as_connection()
    connection.logger.info("hello")
    protocol.send_text(b"hello")
    connection.session.close()
    assert len(caplog.records) == (1 if level == logging.INFO else 4)
    assert all(record.websocket is connection for record in caplog.records)
    if adapt:
        assert caplog.records[0].getMessage() == f"[{connection.id}] hello"


def test_logger_that_has_a_connection_already_is_used_as_it_is(side, caplog):
    caplog.set_level(logging.DEBUG, "test")
    logger = logging.LoggerAdapter(logging.getLogger("test"), {"websocket": "ours"})
    protocol = Protocol(side, logger=logger)
    connection = BaseConnection(Session(protocol))
    connection.log_as_connection()
    assert connection.logger is logger
    protocol.send_text(b"hello")
    connection.log_as_protocol()
    assert protocol.logger is logger
    assert {record.websocket for record in caplog.records} == {"ours"}


@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG])
def test_lost_connection_is_freed_without_the_garbage_collector(level, side, without_gc):
    logger = logging.Logger("test", level)  # noqa: LOG001  # nobody keeps its records
    connection = BaseConnection(Session(Protocol(side, logger=logger)))
    connection.log_as_connection()
    for _ in range(2):
        connection.log_as_protocol()
        assert connection.protocol.logger is logger
    reference = weakref.ref(connection)
    del connection
    assert reference() is None


# Helper functions


async def fragments():
    yield "a"


@pytest.mark.parametrize(
    "message", [["a"], ("a", "b"), (text for text in "ab"), {"a"}, fragments(), []]
)
def test_message_may_be_an_iterable(message):
    assert check_iterable(message) is message


@pytest.mark.parametrize(
    "message", [{"key": "value"}, collections.OrderedDict(), types.MappingProxyType({})]
)
def test_message_cannot_be_a_mapping(message):
    with pytest.raises(TypeError) as raised:
        check_iterable(message)
    assert str(raised.value) == ("message is a mapping; serialize it first, to JSON for example")


@pytest.mark.parametrize("message", [None, 3, 1.5, object()])
def test_message_cannot_be_anything_else(message):
    with pytest.raises(TypeError) as raised:
        check_iterable(message)
    assert str(raised.value) == (
        "message must be str, bytes-like, an iterable or an async iterable of either, "
        f"not {type(message).__name__}"
    )


BYTES_LIKE = [b"a", bytearray(b"a"), memoryview(b"a")]


@pytest.mark.parametrize("fragment, kind", [("a", str), *((data, bytes) for data in BYTES_LIKE)])
def test_fragments_have_a_kind(fragment, kind):
    assert check_fragment(fragment, None) is kind
    assert check_fragment(fragment, kind) is kind


@pytest.mark.parametrize("fragment, kind", [("a", bytes), *((data, str) for data in BYTES_LIKE)])
def test_fragments_must_be_of_one_kind(fragment, kind):
    with pytest.raises(TypeError) as raised:
        check_fragment(fragment, kind)
    assert str(raised.value) == "fragments must be all str, or all bytes-like"


@pytest.mark.parametrize("kind", [None, str, bytes])
@pytest.mark.parametrize("fragment", [None, 3, ["a"], array.array("B", b"a")])
def test_fragment_cannot_be_anything_else(fragment, kind):
    with pytest.raises(TypeError) as raised:
        check_fragment(fragment, kind)
    assert str(raised.value) == (
        f"fragments must be str or bytes-like, not {type(fragment).__name__}"
    )


@pytest.mark.parametrize(
    "data, payload",
    [("é", b"\xc3\xa9"), (b"a", b"a"), (bytearray(b"a"), b"a"), (memoryview(b"aXb")[::2], b"ab")],
)
def test_payload_of_a_ping_may_be_text_or_bytes_like(data, payload):
    encoded = encode_payload(data)
    assert encoded == payload
    assert type(encoded) is bytes


@pytest.mark.parametrize("data", [None, 3, ["a"]])
def test_payload_of_a_ping_cannot_be_anything_else(data):
    with pytest.raises(TypeError) as raised:
        encode_payload(data)
    assert str(raised.value) == f"data must be str or bytes-like, not {type(data).__name__}"


async def test_fragments_come_from_either_kind_of_iterable():
    assert [fragment async for fragment in iterate(["a", "b"])] == ["a", "b"]
    assert [fragment async for fragment in iterate(fragments())] == ["a"]


@pytest.mark.parametrize(
    "address, text",
    [
        (("127.0.0.1", 80), "127.0.0.1:80"),
        (("::1", 80, 0, 0), "[::1]:80"),
        ("/run/socket", "/run/socket"),
    ],
)
def test_address_is_shown(address, text):
    assert show_address(address) == text
