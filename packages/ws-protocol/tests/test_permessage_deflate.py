import importlib
import itertools
import random
import types
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws_protocol.exceptions import (
    DuplicateParameter,
    InvalidParameterName,
    InvalidParameterValue,
    NegotiationError,
    PayloadTooBig,
    ProtocolError,
)
from ws_protocol.extensions import ClientExtensionFactory, Extension, ServerExtensionFactory
from ws_protocol.extensions._zlib import error, select_zlib
from ws_protocol.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
    choose_client_extensions,
    choose_server_extensions,
    enable_client_permessage_deflate,
    enable_server_permessage_deflate,
)
from ws_protocol.frames import Frame, Opcode, serialize_frame
from ws_protocol.protocol import Protocol, Side

CONT, TEXT, BINARY, CLOSE, PING, PONG = Opcode


def extension(
    remote_no_context_takeover=False,
    local_no_context_takeover=False,
    remote_max_window_bits=15,
    local_max_window_bits=15,
    compress_settings=None,
):
    return PerMessageDeflate(
        remote_no_context_takeover,
        local_no_context_takeover,
        remote_max_window_bits,
        local_max_window_bits,
        compress_settings,
    )


def compressed(opcode, data, fin=True):
    """A frame as it is on the wire."""
    return Frame(opcode, data, fin, rsv1=opcode is not CONT)


def deflate(data, wbits=15, level=9):
    """The payload of a compressed message, made independently of the code under test."""
    compressor = zlib.compressobj(level, wbits=-wbits)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


HELLO = bytes.fromhex("f2 48 cd c9 c9 07 00")


# Examples of RFC 7692


def test_compressed_block_of_section_7_2_3_1_is_encoded():
    assert extension().encode(Frame(TEXT, b"Hello")) == compressed(TEXT, HELLO)


DECODED = {
    "7.2.3.1, one compressed block": "f2 48 cd c9 c9 07 00",
    "7.2.3.3, uncompressed block": "00 05 00 fa ff 48 65 6c 6c 6f 00",
    "7.2.3.4, BFINAL": "f3 48 cd c9 c9 07 00 00",
    "7.2.3.5, two blocks": "f2 48 05 00 00 00 ff ff ca c9 c9 07 00",
}


@pytest.mark.parametrize("payload", DECODED.values(), ids=DECODED.keys())
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_example_of_section_7_2_3_is_decoded(opcode, payload):
    frame = compressed(opcode, bytes.fromhex(payload))
    assert extension().decode(frame) == Frame(opcode, b"Hello")


@pytest.mark.parametrize("payload", DECODED.values(), ids=DECODED.keys())
def test_example_of_section_7_2_3_is_decoded_in_fragments_cut_anywhere(payload):
    payload = bytes.fromhex(payload)
    for cut in range(len(payload) + 1):
        deflate = extension()
        first = deflate.decode(compressed(TEXT, payload[:cut], fin=False))
        last = deflate.decode(compressed(CONT, payload[cut:]))
        assert (first.fin, last.fin, first.rsv1, last.rsv1) == (False, True, False, False)
        assert first.data + last.data == b"Hello"


def test_fragments_of_section_7_2_3_1_are_decoded():
    deflate = extension()
    assert deflate.decode(compressed(TEXT, bytes.fromhex("f2 48 cd"), fin=False)) == Frame(
        TEXT, b"He", fin=False
    )
    assert deflate.decode(compressed(CONT, bytes.fromhex("c9 c9 07 00"))) == Frame(CONT, b"llo")


def test_window_is_shared_as_in_section_7_2_3_2():
    sender, receiver = extension(), extension()
    for payload in ("f2 48 cd c9 c9 07 00", "f2 00 11 00 00"):
        frame = compressed(TEXT, bytes.fromhex(payload))
        assert sender.encode(Frame(TEXT, b"Hello")) == frame
        assert receiver.decode(frame) == Frame(TEXT, b"Hello")


def test_window_is_not_shared_without_context_takeover():
    sender = extension(local_no_context_takeover=True)
    receiver = extension(remote_no_context_takeover=True)
    for _ in range(3):
        assert sender.encode(Frame(TEXT, b"Hello")) == compressed(TEXT, HELLO)
        assert receiver.decode(compressed(TEXT, HELLO)) == Frame(TEXT, b"Hello")


def test_window_of_earlier_messages_cannot_be_used_without_context_takeover():
    receiver = extension(remote_no_context_takeover=True)
    receiver.decode(compressed(TEXT, HELLO))
    with pytest.raises(ProtocolError):
        receiver.decode(compressed(TEXT, bytes.fromhex("f2 00 11 00 00")))


def test_each_side_has_context_takeover_of_its_own():
    local = extension(local_no_context_takeover=True)
    for payload in ("f2 48 cd c9 c9 07 00", "f2 00 11 00 00"):
        local.decode(compressed(TEXT, bytes.fromhex(payload)))
        assert local.encode(Frame(TEXT, b"Hello")).data == HELLO


def test_empty_fragment_of_section_7_2_3_6():
    # One byte, the start of an empty block.
    deflate = extension()
    deflate.encode(Frame(TEXT, b"Hello", fin=False))
    assert deflate.encode(Frame(CONT, b"")) == compressed(CONT, b"\x00")

    deflate = extension()
    deflate.decode(compressed(TEXT, HELLO[:-1] + b"\x00\x00\x00\xff\xff", fin=False))
    assert deflate.decode(compressed(CONT, b"\x00")) == Frame(CONT, b"")


# Frames there and back

FRAMES = {
    "text": [Frame(TEXT, b"hello")],
    "binary": [Frame(BINARY, bytes(range(256)))],
    "empty text": [Frame(TEXT, b"")],
    "empty binary": [Frame(BINARY, b"")],
    "empty messages": [Frame(TEXT, b""), Frame(TEXT, b""), Frame(TEXT, b"a"), Frame(TEXT, b"")],
    "fragments": [Frame(TEXT, b"a", fin=False), Frame(CONT, b"b", fin=False), Frame(CONT, b"c")],
    "empty fragments": [
        Frame(TEXT, b"", fin=False),
        Frame(CONT, b"", fin=False),
        Frame(CONT, b""),
        Frame(TEXT, b"after"),
    ],
    "empty last fragment": [Frame(BINARY, b"a", fin=False), Frame(CONT, b"")],
    "empty first fragment": [Frame(BINARY, b"", fin=False), Frame(CONT, b"a")],
    "ends like an empty block": [Frame(BINARY, b"\x00\x00\xff\xff")],
    "large": [Frame(BINARY, random.Random(1).randbytes(100_000))],
    "same again and again": [Frame(TEXT, b"hello")] * 10,
}


@pytest.mark.parametrize("frames", FRAMES.values(), ids=FRAMES.keys())
@pytest.mark.parametrize("no_context_takeover", [False, True])
@pytest.mark.parametrize("bits", [9, 12, 15])
@pytest.mark.parametrize("settings", [None, {"level": 0}, {"level": 9, "memLevel": 1}])
def test_frames_go_there_and_back(frames, no_context_takeover, bits, settings):
    sender = extension(False, no_context_takeover, 15, bits, settings)
    receiver = extension(no_context_takeover, False, bits, 15)
    for frame in frames:
        wire = sender.encode(frame)
        assert wire.fin is frame.fin
        assert wire.opcode is frame.opcode
        assert wire.rsv1 is (frame.opcode is not CONT)
        assert receiver.decode(wire) == frame


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_anything_bytes_like_is_encoded_and_decoded(kind):
    assert extension().encode(Frame(TEXT, kind(b"Hello"))).data == HELLO
    assert extension().decode(compressed(TEXT, kind(HELLO))).data == b"Hello"


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_control_frames_are_left_alone(opcode):
    frame = Frame(opcode, b"data")
    deflate = extension()
    assert deflate.encode(frame) is frame
    assert deflate.decode(frame) is frame
    assert deflate.decode(frame, max_size=0) is frame


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_control_frames_in_a_fragmented_message_are_left_alone(opcode):
    control = Frame(opcode, b"data")
    sender, receiver = extension(), extension()
    first = sender.encode(Frame(TEXT, b"a", fin=False))
    assert sender.encode(control) is control
    last = sender.encode(Frame(CONT, b"b"))
    assert receiver.decode(first) == Frame(TEXT, b"a", fin=False)
    assert receiver.decode(control) is control
    assert receiver.decode(last) == Frame(CONT, b"b")


def test_uncompressed_messages_are_left_alone():
    # RFC 7692, section 6: a sender may compress some messages and others not.
    deflate = extension()
    for frames in ([Frame(TEXT, b"a")], [Frame(BINARY, b"b", fin=False), Frame(CONT, b"c")]):
        assert deflate.decode(compressed(TEXT, HELLO)).data == b"Hello"
        for frame in frames:
            assert deflate.decode(frame) is frame
        assert deflate.decode(compressed(TEXT, bytes.fromhex("f2 00 11 00 00"))).data == b"Hello"
        deflate = extension()


def test_uncompressed_message_of_another_extension_is_left_alone_when_encoding():
    # A continuation frame of a message whose start this extension didn't see.
    frame = Frame(CONT, b"data")
    assert extension().encode(frame) is frame
    assert extension().decode(frame) is frame


def test_other_reserved_bits_are_kept():
    deflate = extension()
    wire = deflate.encode(Frame(TEXT, b"Hello", rsv2=True))
    assert wire == Frame(TEXT, HELLO, rsv1=True, rsv2=True)
    assert extension().decode(wire) == Frame(TEXT, b"Hello", rsv2=True)
    wire = deflate.encode(Frame(TEXT, b"", rsv3=True))
    assert (wire.rsv1, wire.rsv2, wire.rsv3) == (True, False, True)


MISPLACED = {
    "continuation of a compressed message": [(0x41, HELLO[:3]), (0xC0, HELLO[3:])],
    "continuation of an uncompressed message": [(0x01, b"a"), (0xC0, HELLO)],
    "ping": [(0xC9, HELLO)],
    "pong": [(0xCA, HELLO)],
    "close frame": [(0xC8, b"\x03\xe8")],
}


@pytest.mark.parametrize("frames", MISPLACED.values(), ids=MISPLACED.keys())
def test_bit_of_compression_in_the_wrong_place_is_refused(frames, side, way):
    protocol = Protocol(side)
    protocol.extensions = [extension()]
    masked = side is Side.SERVER
    data = b"".join(serialize_frame(head, payload, masked) for head, payload in frames)
    for chunk in way.chunks(data, trailing=serialize_frame(0x81, b"", masked)):
        protocol.receive_data(chunk)
    assert protocol.close_sent.code == 1002
    assert protocol.close_sent.reason == "reserved bits must be 0"
    assert len(protocol.events_received()) == len(frames) - 1


@pytest.mark.parametrize("head", [0xA1, 0x91, 0xE1, 0xD1])
def test_bits_that_are_not_of_compression_are_refused(head, side):
    protocol = Protocol(side)
    protocol.extensions = [extension()]
    protocol.receive_data(serialize_frame(head, HELLO, side is Side.SERVER))
    assert protocol.close_sent.reason == "reserved bits must be 0"


@pytest.mark.parametrize(
    "wire",
    ["c1 07 f248cdc9c90700", "41 03 f248cd 80 04 c9c90700", "c1 0b 000500faff48656c6c6f00"],
)
def test_client_reads_examples_of_rfc7692(wire, way):
    protocol = Protocol(Side.CLIENT)
    protocol.extensions = [extension()]
    for chunk in way.chunks(bytes.fromhex(wire), trailing=b"\x89\x00"):
        protocol.receive_data(chunk)
    frames = [frame for frame in protocol.events_received() if frame.opcode in (TEXT, CONT)]
    assert b"".join(frame.data for frame in frames) == b"Hello"


# Window bits

# It repeats itself after 600 bytes, which a window of 9 bits can't use, and one of 10 bits can.
REPETITIVE = random.Random(2).randbytes(600) * 2


def inflate_strictly(data, bits):
    """Inflate a byte at a time, so that zlib has nothing but its window to look back into."""
    decompressor = zlib.decompressobj(wbits=-bits)
    return b"".join(decompressor.decompress(data[i : i + 1]) for i in range(len(data)))


@pytest.mark.parametrize("bits", range(9, 16))
def test_window_is_no_larger_than_was_agreed(bits):
    data = random.Random(bits).randbytes(2**bits + 100) * 2
    wire = extension(local_max_window_bits=bits).encode(Frame(BINARY, data)).data
    assert inflate_strictly(wire, bits) == data
    if bits < 15:
        with pytest.raises(zlib.error, match="too far back"):
            inflate_strictly(deflate(data, 15), bits)


def test_window_is_as_large_as_was_agreed():
    sizes = [
        len(extension(local_max_window_bits=bits).encode(Frame(BINARY, REPETITIVE)).data)
        for bits in (9, 11)
    ]
    assert sizes[0] > 1200
    assert sizes[1] < 700


def test_peer_that_uses_a_larger_window_than_was_agreed_fails():
    sender = extension(local_max_window_bits=15)
    wire = [sender.encode(Frame(BINARY, REPETITIVE[:600])) for _ in range(2)]
    receiver = extension(remote_max_window_bits=9)
    assert receiver.decode(wire[0]).data == REPETITIVE[:600]
    with pytest.raises(ProtocolError, match="decompression failed"):
        receiver.decode(wire[1])


def test_window_of_8_bits_is_inflated():
    # No distance in it is above 256, although zlib can't be told to see to it.
    payload = deflate(b"hello " * 100, 9)
    data = extension(remote_max_window_bits=8).decode(compressed(TEXT, payload)).data
    assert data == b"hello " * 100


def test_nothing_is_deflated_with_a_window_of_8_bits():
    sender = extension(local_max_window_bits=8)
    for frame in (
        Frame(TEXT, b"hello " * 100),
        Frame(BINARY, b"hello " * 100, fin=False),
        Frame(CONT, b"hello " * 100),
    ):
        assert sender.encode(frame) == frame
    assert sender.decode(compressed(TEXT, deflate(b"hello", 15))).data == b"hello"


@pytest.mark.parametrize("bits", [0, 7, 16, -15, 100, None, "15"])
def test_impossible_window_of_the_peer_is_refused(bits):
    with pytest.raises(ValueError, match="remote_max_window_bits") as raised:
        extension(remote_max_window_bits=bits)
    assert str(raised.value) == f"remote_max_window_bits must be between 8 and 15, got {bits!r}"


@pytest.mark.parametrize("bits", [0, 7, 16, -15, 100, None, "15"])
def test_impossible_window_of_this_side_is_refused(bits):
    with pytest.raises(ValueError, match="local_max_window_bits") as raised:
        extension(local_max_window_bits=bits)
    assert str(raised.value) == f"local_max_window_bits must be between 8 and 15, got {bits!r}"


# What the peer does wrong


@pytest.mark.parametrize("fin", [False, True])
@pytest.mark.parametrize(
    "payload",
    [
        b"\xff",  # a block type that doesn't exist
        b"\x07",
        b"\x00\x05\x00\x00\x00",  # lengths that contradict each other
        b"\xf2\x00\x11\x00\x00",  # a distance past the start
        b"hello, world",
    ],
)
def test_invalid_data_is_refused(payload, fin):
    with pytest.raises(ProtocolError) as raised:
        extension().decode(compressed(TEXT, payload, fin))
    assert str(raised.value) == "decompression failed"
    assert isinstance(raised.value.__cause__, error)


def test_invalid_data_fails_the_connection(side):
    protocol = Protocol(side)
    protocol.extensions = [extension()]
    protocol.receive_data(serialize_frame(0xC1, b"\xff\xff", side is Side.SERVER))
    assert protocol.close_sent.code == 1002
    assert protocol.close_sent.reason == "decompression failed"


def test_connection_that_failed_is_freed_without_the_garbage_collector(side, freed):
    def make():
        protocol = Protocol(side)
        protocol.extensions = [extension()]
        protocol.receive_data(serialize_frame(0xC1, b"\xff\xff", side is Side.SERVER))
        assert isinstance(protocol.parser_exc.__cause__, error)
        return protocol

    assert freed(make)


def final(data):
    """Data in a block with BFINAL."""
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush(zlib.Z_FINISH)


@pytest.mark.parametrize("ending", [b"", b"\x00"], ids=["without a byte more", "as in the RFC"])
@pytest.mark.parametrize("max_size", [None, 5, 100])
def test_final_block_ends_a_message_and_not_the_connection(ending, max_size):
    deflate = extension()
    for data in (b"Hello", b"again", b""):
        frame = compressed(TEXT, final(data) + ending)
        assert deflate.decode(frame, max_size=max_size) == Frame(TEXT, data)
    assert deflate.decode(compressed(TEXT, HELLO)) == Frame(TEXT, b"Hello")


def test_final_block_may_be_followed_by_another():
    frame = compressed(TEXT, final(b"Hello, ") + deflate(b"world"))
    assert extension().decode(frame) == Frame(TEXT, b"Hello, world")
    assert extension().decode(frame, max_size=12) == Frame(TEXT, b"Hello, world")
    with pytest.raises(PayloadTooBig):
        extension().decode(frame, max_size=11)


@pytest.mark.parametrize("max_size", [None, 10])
def test_final_block_may_stand_in_each_fragment(max_size):
    deflate = extension()
    decoded = [
        deflate.decode(compressed(TEXT, final(b"a"), fin=False), max_size=max_size),
        deflate.decode(compressed(CONT, final(b"b"), fin=False), max_size=max_size),
        deflate.decode(compressed(CONT, final(b"c")), max_size=max_size),
    ]
    assert [frame.data for frame in decoded] == [b"a", b"b", b"c"]


@pytest.mark.parametrize("fin", [False, True])
def test_many_final_blocks_in_a_frame_are_refused(fin):
    with pytest.raises(ProtocolError) as raised:
        extension().decode(compressed(TEXT, final(b"") * 1000, fin))
    assert str(raised.value) == "decompression failed: too many final blocks"


def test_invalid_data_after_a_final_block_is_refused():
    with pytest.raises(ProtocolError, match="decompression failed"):
        extension().decode(compressed(TEXT, final(b"Hello") + b"\xff"))


# The limit


@pytest.mark.parametrize("size", [0, 1, 100, 10_000])
@pytest.mark.parametrize("level", [0, 9])
def test_message_at_the_limit_is_decoded(size, level):
    frame = compressed(BINARY, deflate(bytes(size), level=level))
    assert extension().decode(frame, max_size=size) == Frame(BINARY, bytes(size))


@pytest.mark.parametrize("limit", [0, 1, 99, 9_999])
@pytest.mark.parametrize("level", [0, 9])
def test_message_past_the_limit_is_refused(limit, level):
    frame = compressed(BINARY, deflate(bytes(limit + 1), level=level))
    with pytest.raises(PayloadTooBig) as raised:
        extension().decode(frame, max_size=limit)
    assert (raised.value.size, raised.value.max_size) == (None, limit)
    assert str(raised.value) == f"frame exceeds limit of {limit} bytes"


@pytest.mark.parametrize("limit", [0, 1, 99, 9_999])
def test_final_block_past_the_limit_is_refused(limit):
    with pytest.raises(PayloadTooBig):
        extension().decode(compressed(BINARY, final(bytes(limit + 1))), max_size=limit)


@pytest.mark.parametrize("fragments", [1, 2, 5])
def test_limit_of_0_lets_empty_messages_pass(fragments):
    sender, receiver = extension(), extension()
    for number in range(fragments):
        frame = Frame(CONT if number else TEXT, b"", fin=number == fragments - 1)
        assert receiver.decode(sender.encode(frame), max_size=0) == frame


def bomb(size):
    """Payload that inflates to so many MiB."""
    compressor = zlib.compressobj(wbits=-15)
    start = compressor.compress(bytes(2**20)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return start + (compressor.compress(bytes(2**20)) + compressor.flush(zlib.Z_SYNC_FLUSH)) * (
        size - 1
    )


@pytest.fixture
def peak_memory(traced):
    """How many bytes a function has allocated at its worst."""

    def peak_memory(function):
        with traced() as memory:
            before, _ = memory()
            function()
            _, peak = memory()
        return peak - before

    return peak_memory


def test_bomb_is_one():
    assert len(extension().decode(compressed(BINARY, bomb(16)[:-4])).data) == 16 * 2**20


@pytest.mark.parametrize("fin", [False, True])
@pytest.mark.parametrize("limit", [0, 2**16, 2**20])
def test_memory_is_bounded_by_the_limit_whatever_is_inflated(limit, fin, peak_memory):
    payload = bomb(1024)

    def decode():
        with pytest.raises(PayloadTooBig):
            extension().decode(compressed(BINARY, payload, fin), max_size=limit)

    # zlib's output is joined from pieces; its input is copied, and so is what it left.
    assert peak_memory(decode) < 2 * limit + 4 * len(payload) + 2**17


@pytest.mark.parametrize("fragments", [1, 100])
def test_memory_of_a_connection_is_bounded_by_its_limit(fragments, side, peak_memory):
    payload = bomb(1024)
    masked = side is Side.SERVER
    size = len(payload) // fragments
    data = b"".join(
        serialize_frame(0x00 if i else 0x42, payload[i : i + size], masked)
        for i in range(0, len(payload), size)
    )
    protocol = Protocol(side, max_size=2**20)
    protocol.extensions = [extension()]

    def receive():
        for i in range(0, len(data), 4096):
            protocol.receive_data(data[i : i + 4096])
        protocol.events_received()

    assert peak_memory(receive) < 3 * 2**20 + 4 * len(data) + 2**17
    assert protocol.close_sent.code == 1009
    assert isinstance(protocol.parser_exc, PayloadTooBig)


@pytest.mark.parametrize("size, code", [(1000, None), (1001, 1009)])
def test_limit_holds_for_all_fragments_of_a_message_together(size, code, side):
    protocol = Protocol(side, max_size=1000)
    protocol.extensions = [extension()]
    sender = extension()
    for frame in [
        Frame(BINARY, bytes(400), fin=False),
        Frame(CONT, bytes(400), fin=False),
        Frame(CONT, bytes(size - 800)),
    ]:
        protocol.receive_data(frame.serialize(mask=side is Side.SERVER, extensions=[sender]))
    if code is None:
        assert protocol.close_sent is None
        assert len(protocol.events_received()) == 3
    else:
        assert protocol.close_sent.code == code
        assert protocol.close_sent.reason == (
            "frame after reading 800 bytes exceeds limit of 1000 bytes"
        )


@pytest.mark.parametrize("size, code", [(1000, None), (1001, 1009), (1064, 1009)])
@pytest.mark.parametrize("first", [0, 400])
def test_limit_holds_for_messages_that_are_not_compressed(first, size, code, side):
    protocol = Protocol(side, max_size=1000)
    protocol.extensions = [extension()]
    masked = side is Side.SERVER
    if first:
        protocol.receive_data(serialize_frame(0x02, bytes(first), masked))
    rest = serialize_frame(0x80 if first else 0x82, bytes(size - first), masked)
    protocol.receive_data(rest)
    assert (protocol.close_sent and protocol.close_sent.code) == code
    received = [len(frame.data) for frame in protocol.events_received()]
    if code is None:
        assert sum(received) == size
    else:
        assert sum(received) == first
        assert isinstance(protocol.parser_exc, PayloadTooBig)
        assert protocol.parser_exc.size == size - first
        assert protocol.parser_exc.current_size == (first or None)


# Memory


def test_zlib_objects_are_made_when_they_are_needed(peak_memory):
    extensions = []

    def make():
        extensions.extend(extension() for _ in range(20))

    assert peak_memory(make) < 20 * 2000
    assert peak_memory(lambda: extensions[0].encode(Frame(TEXT, b"Hello"))) > 100_000
    assert peak_memory(lambda: extensions[1].decode(compressed(TEXT, HELLO))) > 5_000


def test_zlib_objects_are_dropped_after_each_message_without_context_takeover(traced):
    def held(no_context_takeover):
        deflate = extension(no_context_takeover, no_context_takeover)
        with traced() as memory:
            deflate.encode(Frame(TEXT, b"Hello"))
            deflate.decode(compressed(TEXT, HELLO))
            size, _ = memory()
        return size

    assert held(False) > 100_000
    assert held(True) < 2000


# Settings


@pytest.fixture(
    params=[extension, ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory],
    ids=["extension", "client", "server"],
)
def configurable(request):
    """What takes settings for zlib."""
    return request.param


@pytest.mark.parametrize("compress_settings", [{}, {"level": 1, "memLevel": 5}])
def test_settings_are_kept(configurable, compress_settings):
    obj = configurable(compress_settings=compress_settings)
    assert obj.compress_settings == compress_settings


def test_there_are_no_settings_by_default(configurable):
    assert configurable().compress_settings == {}


def test_settings_cannot_have_wbits(configurable):
    with pytest.raises(ValueError, match="wbits") as raised:
        configurable(compress_settings={"wbits": -15})
    assert str(raised.value) == (
        "compress_settings must not include wbits; set max_window_bits instead"
    )


@pytest.mark.parametrize(
    "compress_settings", [{"level": 10}, {"memLevel": 0}, {"strategy": 99}], ids=str
)
def test_settings_must_be_possible(configurable, compress_settings):
    with pytest.raises(ValueError, match="Invalid initialization option"):
        configurable(compress_settings=compress_settings)


def test_settings_must_exist(configurable):
    with pytest.raises(TypeError):
        configurable(compress_settings={"quality": 11})


def test_settings_are_used():
    data = b"hello " * 100
    stored = extension(compress_settings={"level": 0}).encode(Frame(TEXT, data)).data
    assert data in stored


def test_description_of_an_extension():
    assert repr(extension(True, False, 12, 11)) == (
        "PerMessageDeflate(remote_no_context_takeover=True, local_no_context_takeover=False, "
        "remote_max_window_bits=12, local_max_window_bits=11)"
    )


def test_name():
    for obj in (
        extension(),
        ClientPerMessageDeflateFactory(),
        ServerPerMessageDeflateFactory(),
    ):
        assert obj.name == "permessage-deflate"


# What compresses


@pytest.mark.parametrize("wanted", ["zlib", None])
def test_zlib_of_python_compresses_by_default(wanted):
    assert select_zlib(wanted) is zlib


def test_other_zlib_compresses_if_wanted(monkeypatch):
    other = types.ModuleType("zlib_ng.zlib_ng")
    monkeypatch.setattr(importlib, "import_module", {"zlib_ng.zlib_ng": other}.__getitem__)
    assert select_zlib("zlib-ng") is other


def test_other_zlib_must_be_installed(monkeypatch):
    def import_module(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", import_module)
    with pytest.raises(ImportError, match=r"pip install ws-protocol\[zlib-ng\]") as raised:
        select_zlib("zlib-ng")
    assert isinstance(raised.value.__cause__, ModuleNotFoundError)


def test_there_is_no_third_zlib():
    with pytest.raises(ValueError, match="must be zlib or zlib-ng, got 'isal'"):
        select_zlib("isal")


# Negotiation

SNCT = ("server_no_context_takeover", None)
CNCT = ("client_no_context_takeover", None)
CMWB = ("client_max_window_bits", None)


def smwb(bits):
    return "server_max_window_bits", str(bits)


def cmwb(bits):
    return "client_max_window_bits", str(bits)


@pytest.mark.parametrize("name", ["server_max_window_bits", "client_max_window_bits"])
@pytest.mark.parametrize("bits", [0, 7, 8, 16, -9, 1000, "12", 12.5])
@pytest.mark.parametrize(
    "factory", [ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory]
)
def test_impossible_window_bits_cannot_be_asked_for(factory, bits, name):
    with pytest.raises(ValueError, match=name) as raised:
        factory(**{name: bits})
    assert str(raised.value) == f"{name} must be between 9 and 15, got {bits!r}"


@pytest.mark.parametrize(
    "factory, name",
    [
        (ClientPerMessageDeflateFactory, "server_max_window_bits"),
        (ServerPerMessageDeflateFactory, "server_max_window_bits"),
        (ServerPerMessageDeflateFactory, "client_max_window_bits"),
    ],
)
@pytest.mark.parametrize("value", [True, False])
def test_booleans_are_no_window_bits(factory, name, value):
    with pytest.raises(ValueError, match=name):
        factory(**{name: value})


def test_client_may_leave_its_window_bits_out():
    for value in (False, None):
        assert (
            ClientPerMessageDeflateFactory(client_max_window_bits=value).get_request_params() == []
        )


@pytest.mark.parametrize("bits", range(9, 16))
def test_possible_window_bits_may_be_asked_for(bits):
    client = ClientPerMessageDeflateFactory(
        server_max_window_bits=bits, client_max_window_bits=bits
    )
    assert client.get_request_params() == [smwb(bits), cmwb(bits)]
    server = ServerPerMessageDeflateFactory(
        server_max_window_bits=bits, client_max_window_bits=bits
    )
    assert server.process_request_params([CMWB], [])[0] == [smwb(bits), cmwb(bits)]


@pytest.mark.parametrize(
    "kwargs, params",
    [
        ({}, [CMWB]),
        ({"server_no_context_takeover": True}, [SNCT, CMWB]),
        ({"client_no_context_takeover": True}, [CNCT, CMWB]),
        ({"server_max_window_bits": 10}, [smwb(10), CMWB]),
        ({"client_max_window_bits": 10}, [cmwb(10)]),
        (
            {
                "server_no_context_takeover": True,
                "client_no_context_takeover": True,
                "server_max_window_bits": 10,
                "client_max_window_bits": 11,
            },
            [SNCT, CNCT, smwb(10), cmwb(11)],
        ),
    ],
)
def test_client_offers_what_it_was_told(kwargs, params):
    assert list(ClientPerMessageDeflateFactory(**kwargs).get_request_params()) == params


def parameters_of(deflate):
    return (
        deflate.remote_no_context_takeover,
        deflate.local_no_context_takeover,
        deflate.remote_max_window_bits,
        deflate.local_max_window_bits,
    )


@pytest.mark.parametrize(
    "kwargs, response, expected",
    [
        # What wasn't asked for may be granted all the same.
        ({}, [], (False, False, 15, 15)),
        ({}, [SNCT], (True, False, 15, 15)),
        ({}, [CNCT], (False, True, 15, 15)),
        ({}, [smwb(8)], (False, False, 8, 15)),
        ({}, [smwb(15)], (False, False, 15, 15)),
        ({}, [cmwb(9)], (False, False, 15, 9)),
        ({}, [cmwb(15)], (False, False, 15, 15)),
        ({}, [SNCT, CNCT, smwb(10), cmwb(11)], (True, True, 10, 11)),
        # server_no_context_takeover
        ({"server_no_context_takeover": True}, [SNCT], (True, False, 15, 15)),
        ({"server_no_context_takeover": True}, [], "expected server_no_context_takeover"),
        ({"server_no_context_takeover": True}, [CNCT], "expected server_no_context_takeover"),
        # client_no_context_takeover
        ({"client_no_context_takeover": True}, [CNCT], (False, True, 15, 15)),
        ({"client_no_context_takeover": True}, [], (False, True, 15, 15)),
        # server_max_window_bits
        ({"server_max_window_bits": 10}, [smwb(10)], (False, False, 10, 15)),
        ({"server_max_window_bits": 10}, [smwb(8)], (False, False, 8, 15)),
        ({"server_max_window_bits": 10}, [smwb(11)], "unsupported server_max_window_bits"),
        ({"server_max_window_bits": 10}, [], "expected server_max_window_bits"),
        # client_max_window_bits
        ({"client_max_window_bits": None}, [], (False, False, 15, 15)),
        ({"client_max_window_bits": None}, [cmwb(10)], "unexpected client_max_window_bits"),
        ({"client_max_window_bits": 10}, [], (False, False, 15, 10)),
        ({"client_max_window_bits": 10}, [cmwb(10)], (False, False, 15, 10)),
        ({"client_max_window_bits": 10}, [cmwb(9)], (False, False, 15, 9)),
        ({"client_max_window_bits": 10}, [cmwb(11)], "unsupported client_max_window_bits"),
        # zlib can't deflate with 8 bits, and nobody has to deflate.
        ({"client_max_window_bits": 10}, [cmwb(8)], (False, False, 15, 8)),
        ({}, [cmwb(8)], (False, False, 15, 8)),
        ({"client_max_window_bits": 9}, [cmwb(8)], (False, False, 15, 8)),
    ],
)
def test_client_processes_response(kwargs, response, expected):
    factory = ClientPerMessageDeflateFactory(**kwargs)
    if isinstance(expected, str):
        with pytest.raises(NegotiationError) as raised:
            factory.process_response_params(response, [])
        assert str(raised.value) == expected
    else:
        assert parameters_of(factory.process_response_params(response, [])) == expected


@pytest.mark.parametrize(
    "kwargs, offer, response, expected",
    [
        # What is offered is granted.
        ({}, [], [], (False, False, 15, 15)),
        ({}, [SNCT], [SNCT], (False, True, 15, 15)),
        ({}, [CNCT], [CNCT], (True, False, 15, 15)),
        ({}, [smwb(10)], [smwb(10)], (False, False, 15, 10)),
        ({}, [CMWB], [], (False, False, 15, 15)),
        ({}, [cmwb(10)], [cmwb(10)], (False, False, 10, 15)),
        ({}, [cmwb(8)], [cmwb(8)], (False, False, 8, 15)),
        (
            {},
            [SNCT, CNCT, smwb(10), cmwb(11)],
            [SNCT, CNCT, smwb(10), cmwb(11)],
            (True, True, 11, 10),
        ),
        # server_no_context_takeover
        ({"server_no_context_takeover": True}, [], [SNCT], (False, True, 15, 15)),
        ({"server_no_context_takeover": True}, [SNCT], [SNCT], (False, True, 15, 15)),
        # client_no_context_takeover
        ({"client_no_context_takeover": True}, [], [CNCT], (True, False, 15, 15)),
        ({"client_no_context_takeover": True}, [CNCT], [CNCT], (True, False, 15, 15)),
        # server_max_window_bits
        ({"server_max_window_bits": 10}, [], [smwb(10)], (False, False, 15, 10)),
        ({"server_max_window_bits": 10}, [smwb(9)], [smwb(9)], (False, False, 15, 9)),
        ({"server_max_window_bits": 10}, [smwb(12)], [smwb(10)], (False, False, 15, 10)),
        # client_max_window_bits
        ({"client_max_window_bits": 10}, [], [], (False, False, 15, 15)),
        ({"client_max_window_bits": 10}, [CMWB], [cmwb(10)], (False, False, 10, 15)),
        ({"client_max_window_bits": 10}, [cmwb(9)], [cmwb(9)], (False, False, 9, 15)),
        ({"client_max_window_bits": 10}, [cmwb(12)], [cmwb(10)], (False, False, 10, 15)),
        ({"client_max_window_bits": 10}, [cmwb(8)], [cmwb(8)], (False, False, 8, 15)),
        # zlib can't deflate with 8 bits.
        ({}, [smwb(8)], None, "unsupported server_max_window_bits"),
        ({"server_max_window_bits": 9}, [smwb(8)], None, "unsupported server_max_window_bits"),
        # require_client_max_window_bits
        (
            {"client_max_window_bits": 10, "require_client_max_window_bits": True},
            [],
            None,
            "required client_max_window_bits",
        ),
        (
            {"client_max_window_bits": 10, "require_client_max_window_bits": True},
            [CMWB],
            [cmwb(10)],
            (False, False, 10, 15),
        ),
        (
            {"client_max_window_bits": 10, "require_client_max_window_bits": True},
            [cmwb(9)],
            [cmwb(9)],
            (False, False, 9, 15),
        ),
    ],
)
def test_server_processes_offer(kwargs, offer, response, expected):
    factory = ServerPerMessageDeflateFactory(**kwargs)
    if isinstance(expected, str):
        with pytest.raises(NegotiationError) as raised:
            factory.process_request_params(offer, [])
        assert str(raised.value) == expected
    else:
        params, deflate = factory.process_request_params(offer, [])
        assert params == response
        assert parameters_of(deflate) == expected


def test_server_cannot_require_what_it_does_not_limit():
    with pytest.raises(ValueError, match="is meaningless without client_max_window_bits"):
        ServerPerMessageDeflateFactory(require_client_max_window_bits=True)


def process_response(params):
    ClientPerMessageDeflateFactory().process_response_params(params, [])


def process_offer(params):
    ServerPerMessageDeflateFactory().process_request_params(params, [])


@pytest.mark.parametrize("process", [process_response, process_offer])
@pytest.mark.parametrize("params", [[SNCT, SNCT], [CNCT, SNCT, CNCT], [smwb(10), smwb(10)]])
def test_parameter_cannot_be_repeated(process, params):
    with pytest.raises(DuplicateParameter) as raised:
        process(params)
    assert raised.value.name == params[-1][0]


@pytest.mark.parametrize("process", [process_response, process_offer])
@pytest.mark.parametrize("name", ["x", "", "SERVER_NO_CONTEXT_TAKEOVER", "max_window_bits"])
def test_parameter_must_be_known(process, name):
    with pytest.raises(InvalidParameterName) as raised:
        process([(name, None)])
    assert raised.value.name == name


@pytest.mark.parametrize("process", [process_response, process_offer])
@pytest.mark.parametrize("name", ["server_no_context_takeover", "client_no_context_takeover"])
@pytest.mark.parametrize("value", ["", "true", "1", "0", "15"])
def test_context_takeover_has_no_value(process, name, value):
    with pytest.raises(InvalidParameterValue) as raised:
        process([(name, value)])
    assert (raised.value.name, raised.value.value) == (name, value)


NO_WINDOW_BITS = [
    *["0", "1", "7", "16", "08", "8.0", "-9", "+9", "1_0", " 9", "9 ", "", "true", "nine"],
    *["\N{ARABIC-INDIC DIGIT NINE}", "0x9", "99999999999999999999", "9" * 5000],
]


@pytest.mark.parametrize("process", [process_response, process_offer])
@pytest.mark.parametrize("name", ["server_max_window_bits", "client_max_window_bits"])
@pytest.mark.parametrize("value", NO_WINDOW_BITS, ids=lambda value: ascii(value)[:20])
def test_window_bits_are_a_number_from_8_to_15(process, name, value):
    with pytest.raises(InvalidParameterValue) as raised:
        process([(name, value)])
    assert (raised.value.name, raised.value.value) == (name, value)


@pytest.mark.parametrize(
    "process, name",
    [
        (process_response, "server_max_window_bits"),
        (process_response, "client_max_window_bits"),
        (process_offer, "server_max_window_bits"),
    ],
)
def test_window_bits_need_a_value_but_in_the_offer_of_the_clients(process, name):
    with pytest.raises(InvalidParameterValue) as raised:
        process([(name, None)])
    assert raised.value.value is None


class Other(Extension):
    name = "x-other"


def test_extension_is_not_accepted_twice():
    for factory in (ClientPerMessageDeflateFactory(), ServerPerMessageDeflateFactory()):
        process = getattr(factory, "process_response_params", None) or (
            factory.process_request_params
        )
        process([], [Other()])
        with pytest.raises(NegotiationError) as raised:
            process([], [Other(), extension()])
        assert str(raised.value) == "received duplicate permessage-deflate"


CLIENT_SETTINGS = [
    dict(
        zip(
            (
                "server_no_context_takeover",
                "client_no_context_takeover",
                "server_max_window_bits",
                "client_max_window_bits",
            ),
            values,
            strict=True,
        )
    )
    for values in itertools.product([False, True], [False, True], [None, 9, 15], [None, True, 10])
]
SERVER_SETTINGS = [
    settings for settings in CLIENT_SETTINGS if settings["client_max_window_bits"] is not True
]


@pytest.mark.parametrize("client_settings", CLIENT_SETTINGS, ids=lambda s: str(list(s.values())))
def test_both_sides_agree_whatever_they_are_told(client_settings):
    client_factory = ClientPerMessageDeflateFactory(**client_settings)
    for server_settings in SERVER_SETTINGS:
        server_factory = ServerPerMessageDeflateFactory(**server_settings)
        offer = client_factory.get_request_params()
        response, server = server_factory.process_request_params(offer, [])
        client = client_factory.process_response_params(response, [])

        assert server.local_max_window_bits == client.remote_max_window_bits
        # A client may do less than the server expects.
        assert client.local_max_window_bits <= server.remote_max_window_bits
        assert server.local_no_context_takeover is client.remote_no_context_takeover
        assert client.local_no_context_takeover or not server.remote_no_context_takeover

        # What was asked for is granted.
        if client_settings["server_no_context_takeover"]:
            assert server.local_no_context_takeover
        if server_settings["client_no_context_takeover"]:
            assert client.local_no_context_takeover
        if client_settings["server_max_window_bits"] is not None:
            assert server.local_max_window_bits <= client_settings["server_max_window_bits"]

        for data in (REPETITIVE, b"", REPETITIVE):
            assert server.decode(client.encode(Frame(BINARY, data))).data == data
            assert client.decode(server.encode(Frame(BINARY, data))).data == data


@pytest.mark.slow
@given(
    messages=st.lists(st.lists(st.binary(max_size=50), min_size=1, max_size=3), max_size=5),
    no_context_takeover=st.booleans(),
    bits=st.integers(9, 15),
)
def test_any_messages_go_there_and_back(messages, no_context_takeover, bits):
    sender = extension(False, no_context_takeover, 15, bits)
    receiver = extension(no_context_takeover, False, bits, 15)
    for fragments in messages:
        for number, data in enumerate(fragments, 1):
            frame = Frame(BINARY if number == 1 else CONT, data, fin=number == len(fragments))
            assert receiver.decode(sender.encode(frame), max_size=len(data)) == frame


@given(data=st.binary(max_size=100), fin=st.booleans(), limit=st.none() | st.integers(0, 100))
def test_any_bytes_are_inflated_or_refused(data, fin, limit):
    try:
        frame = extension().decode(compressed(BINARY, data, fin), max_size=limit)
    except ProtocolError:
        pass
    except PayloadTooBig:
        assert limit is not None
    else:
        assert limit is None or len(frame.data) <= limit


# Default settings


class OtherClientFactory(ClientExtensionFactory):
    name = "x-other"


class OtherServerFactory(ServerExtensionFactory):
    name = "x-other"


@pytest.mark.parametrize("extensions", [None, [], ()])
def test_default_settings(extensions):
    [client_factory] = enable_client_permessage_deflate(extensions)
    [server_factory] = enable_server_permessage_deflate(extensions)
    offer = client_factory.get_request_params()
    assert list(offer) == [CMWB]
    response, server = server_factory.process_request_params(offer, [])
    assert response == [smwb(12), cmwb(12)]
    client = client_factory.process_response_params(response, [])
    assert parameters_of(client) == parameters_of(server) == (False, False, 12, 12)
    assert client.compress_settings == server.compress_settings == {"memLevel": 5}


def test_default_settings_are_added_after_other_extensions():
    others = [OtherClientFactory()]
    enabled = enable_client_permessage_deflate(others)
    assert [factory.name for factory in enabled] == ["x-other", "permessage-deflate"]
    assert len(others) == 1
    enabled = enable_server_permessage_deflate((OtherServerFactory(),))
    assert [factory.name for factory in enabled] == ["x-other", "permessage-deflate"]


def test_settings_that_are_there_are_kept():
    client = [ClientPerMessageDeflateFactory(server_max_window_bits=9), OtherClientFactory()]
    assert enable_client_permessage_deflate(client) is client
    server = [OtherServerFactory(), ServerPerMessageDeflateFactory(server_max_window_bits=9)]
    assert enable_server_permessage_deflate(server) is server


@pytest.mark.parametrize("choose", [choose_client_extensions, choose_server_extensions])
@pytest.mark.parametrize("extensions", ["permessage-deflate", ["permessage-deflate"]])
def test_names_in_the_place_of_extensions_are_refused(choose, extensions):
    with pytest.raises(TypeError, match=r"^extensions must be a list of extension factories, "):
        choose(extensions, "deflate")


@pytest.mark.parametrize("choose", [choose_client_extensions, choose_server_extensions])
def test_compression_is_an_argument(choose):
    other = [OtherClientFactory()]
    assert choose(other, None) is other
    assert choose(None, None) is None
    assert [factory.name for factory in choose(other, "deflate")] == [
        "x-other",
        "permessage-deflate",
    ]
    with pytest.raises(ValueError, match="unsupported compression: gzip"):
        choose(None, "gzip")
