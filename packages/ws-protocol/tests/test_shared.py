import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws_protocol.exceptions import InvalidState, ProtocolError
from ws_protocol.extensions import Extension
from ws_protocol.extensions.permessage_deflate import PerMessageDeflate
from ws_protocol.frames import Frame, Opcode
from ws_protocol.protocol import Protocol, Side
from ws_protocol.shared import SharedMessage

TEXT = "text that repeats, text that repeats " * 10


def deflate(*, no_context_takeover=False, bits=15, settings=None):
    return PerMessageDeflate(
        no_context_takeover, no_context_takeover, bits, bits, compress_settings=settings
    )


def protocol_of(side, *extensions, **kwargs):
    protocol = Protocol(side, **kwargs)
    protocol.extensions = list(extensions)
    return protocol


def pair(side, **kwargs):
    """A protocol, and its peer."""
    return protocol_of(side, deflate(**kwargs)), protocol_of(Side(1 - side), deflate(**kwargs))


def receive(peer, protocol):
    """Have the peer receive what a protocol sends; return messages."""
    peer.receive_data(b"".join(protocol.data_to_send()))
    assert peer.parser_exc is None
    frames = peer.events_received()
    assert all(frame.fin for frame in frames)
    return [frame.data.decode() if frame.opcode is Opcode.TEXT else frame.data for frame in frames]


@pytest.mark.parametrize(
    "message, text, received",
    [
        ("café", None, "café"),
        ("café", False, "café".encode()),
        (b"bytes", None, b"bytes"),
        (b"bytes", True, "bytes"),
        (bytearray(b"bytes"), None, b"bytes"),
        (memoryview(b"bytes")[::2], None, b"bts"),
        (b"", None, b""),
        ("a" * 70000, None, "a" * 70000),
    ],
)
@pytest.mark.parametrize("extensions", [0, 1])
def test_shared_message_is_received(message, text, received, extensions, side):
    protocol = protocol_of(side, *[deflate()] * extensions)
    peer = protocol_of(Side(1 - side), *[deflate()] * extensions)
    shared = SharedMessage(message, text)
    protocol.send_shared(shared)
    protocol.send_shared(shared)
    assert receive(peer, protocol) == [received, received]


@pytest.mark.parametrize("message", [None, 1, ["fragment"]])
def test_shared_message_has_the_type_of_a_message(message):
    with pytest.raises(TypeError):
        SharedMessage(message)


@pytest.mark.parametrize("size", [10, 70000])
def test_servers_send_the_same_bytes_to_all_clients(size):
    servers = [protocol_of(Side.SERVER) for _ in range(3)]
    shared = SharedMessage(bytes(size))
    for server in servers:
        server.send_shared(shared)
    first, *others = [server.data_to_send() for server in servers]
    for other in others:
        assert all(a is b for a, b in zip(first, other, strict=True))


@pytest.fixture
def compressions(monkeypatch):
    """How often something was compressed."""
    compressions = []
    encode_payload = PerMessageDeflate.encode_payload

    def count(self, head, payload):
        compressions.append(self)
        return encode_payload(self, head, payload)

    monkeypatch.setattr(PerMessageDeflate, "encode_payload", count)
    return compressions


def test_message_is_compressed_once_for_all_with_the_same_settings(compressions):
    settings = [
        {},
        {"no_context_takeover": True},
        {"bits": 10},
        {"settings": {"level": 1}},
        {"settings": {"level": 1}, "bits": 10},
    ]
    pairs = [pair(Side.SERVER, **kwargs) for kwargs in settings * 3]
    shared = SharedMessage(TEXT)
    for protocol, _ in pairs:
        protocol.send_shared(shared)
    for protocol, peer in pairs:
        assert receive(peer, protocol) == [TEXT]
    assert len(compressions) == 4  # context takeover makes no difference


SENDING = st.lists(st.tuples(st.booleans(), st.sampled_from([TEXT, TEXT[5:50], "", TEXT[::-1]])))


@given(SENDING, st.booleans(), st.sampled_from([9, 12, 15]), st.sampled_from(list(Side)))
def test_shared_messages_and_others_may_follow_each_other(sending, no_context, bits, side):
    protocol, peer = pair(side, no_context_takeover=no_context, bits=bits)
    other, _ = pair(side, no_context_takeover=no_context, bits=bits)
    for is_shared, message in sending:
        if is_shared:
            shared = SharedMessage(message)
            other.send_shared(shared)
            protocol.send_shared(shared)
        else:
            protocol.send_text(message.encode())
    messages = receive(peer, protocol) if sending else []
    assert messages == [message for _, message in sending]


def test_context_of_one_connection_is_not_in_what_others_get():
    # Else they couldn't inflate it, or would learn what was sent to the first.
    first, _ = pair(Side.SERVER)
    first.send_text(TEXT.encode())
    shared = SharedMessage(TEXT)
    first.send_shared(shared)
    second, peer = pair(Side.SERVER)
    second.send_shared(shared)
    assert receive(peer, second) == [TEXT]


class Counting(Extension):
    def __init__(self):
        self.encoded = []

    def encode(self, frame):
        self.encoded.append(frame)
        return frame


def test_other_extensions_encode_a_shared_message_for_each_connection(side):
    extension = Counting()
    protocol = protocol_of(side, extension)
    shared = SharedMessage("a")
    protocol.send_shared(shared)
    protocol.send_shared(shared)
    assert extension.encoded == [Frame(Opcode.TEXT, b"a")] * 2


def test_shared_message_is_logged(side, caplog):
    caplog.set_level(logging.DEBUG, "test")
    protocol = protocol_of(side, logger=logging.getLogger("test"))
    protocol.send_shared(SharedMessage("a"))
    assert caplog.messages == ["> TEXT 'a' [1 byte]"]


def test_shared_message_is_not_sent_between_fragments(side):
    protocol = protocol_of(side)
    protocol.send_text(b"a", fin=False)
    with pytest.raises(ProtocolError, match="expected a continuation frame"):
        protocol.send_shared(SharedMessage("b"))


def test_shared_message_is_not_sent_on_a_closing_connection(side):
    protocol = protocol_of(side)
    protocol.send_close()
    with pytest.raises(InvalidState, match="connection is closing"):
        protocol.send_shared(SharedMessage("a"))
