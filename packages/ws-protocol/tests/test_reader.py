import itertools

import pytest

from ws_protocol.exceptions import PayloadTooBig, ProtocolError, TooManyFragments
from ws_protocol.extensions import Extension
from ws_protocol.frames import Frame, Opcode, serialize_frame
from ws_protocol.reader import FrameReader

CONT, TEXT, BINARY, CLOSE, PING, PONG = Opcode

PING_AFTERWARDS = (0x89, b"afterwards")


@pytest.fixture(params=[True, False], ids=["server reads", "client reads"])
def masked(request):
    return request.param


def new_reader(
    masked,
    *,
    max_message_size=None,
    max_fragment_size=None,
    max_fragments=None,
    extensions=(),
):
    return FrameReader(
        masked=masked,
        max_message_size=max_message_size,
        max_fragment_size=max_fragment_size,
        max_fragments=max_fragments,
        extensions=extensions,
    )


def build(masked, *frames):
    return b"".join(serialize_frame(head, payload, masked) for head, payload in frames)


def read(reader, *chunks):
    frames = []
    for chunk in chunks:
        reader.feed(chunk, frames)
    return frames


def each_byte(data):
    return [data[i : i + 1] for i in range(len(data))]


def bytes_until_failure(reader, data, exc_type):
    """Feed bytes one by one; return how many it took to fail, and the exception."""
    for number, byte in enumerate(each_byte(data), 1):
        try:
            reader.feed(byte, [])
        except exc_type as exc:
            return number, exc
    pytest.fail("reader didn't fail")


# Valid frames

VALID = {
    "text": [(0x81, b"hello")],
    "text that isn't ASCII": [(0x81, "κόσμε \N{SMILING FACE WITH SUNGLASSES}".encode())],
    "empty text": [(0x81, b"")],
    "binary": [(0x82, b"\x00\xff\xfe")],
    "empty binary": [(0x82, b"")],
    "one byte": [(0x82, b"a")],
    "125 bytes": [(0x82, b"a" * 125)],
    "126 bytes": [(0x82, b"a" * 126)],
    "65535 bytes": [(0x82, b"a" * 65535)],
    "65536 bytes": [(0x82, b"a" * 65536)],
    "large text that isn't ASCII": [(0x81, "é".encode() * 200)],
    "fragments": [(0x01, b"spam"), (0x00, b"ham"), (0x80, b"eggs")],
    "fragments of binary": [(0x02, b"\xff"), (0x00, b"\xfe"), (0x80, b"\xfd")],
    "empty fragments": [(0x01, b""), (0x00, b""), (0x80, b"")],
    "character across fragments": [(0x01, b"\xe2"), (0x00, b"\x82"), (0x80, b"\xac")],
    "character across empty fragments": [(0x01, b"\xc3"), (0x00, b""), (0x80, b"\xa9")],
    "character across large fragments": [
        (0x01, b"a" * 200 + b"\xf0\x9f"),
        (0x80, b"\x98\x8e" + b"a" * 200),
    ],
    "ping": [(0x89, b"data")],
    "empty ping": [(0x89, b"")],
    "ping that isn't UTF-8": [(0x89, b"\xff\xfe")],
    "longest ping": [(0x89, b"a" * 125)],
    "pong": [(0x8A, b"data")],
    "ping in a fragmented message": [(0x01, b"a"), (0x89, b"b"), (0x80, b"c")],
    "ping in a character": [(0x01, b"\xc3"), (0x89, b"\xff"), (0x80, b"\xa9")],
    "several messages": [(0x81, b"a"), (0x82, b"\xff"), (0x81, b"c")],
    "fragmented messages": [(0x01, b"a"), (0x80, b"b"), (0x02, b"\xff"), (0x80, b"d")],
    "binary after fragmented text": [(0x01, b"\xc3"), (0x80, b"\xa9"), (0x82, b"\xff")],
}


@pytest.mark.parametrize("wire", VALID.values(), ids=VALID.keys())
def test_reads_valid_frames(wire, masked, way):
    reader = new_reader(masked)
    frames = read(
        reader, *way.chunks(build(masked, *wire), trailing=build(masked, PING_AFTERWARDS))
    )
    if way.trailing:
        wire = [*wire, PING_AFTERWARDS]
    assert [(frame.head, frame.data) for frame in frames] == wire
    assert all(type(frame.data) is bytes for frame in frames)
    assert not reader.closed
    assert reader.control_frames == sum(1 for head, _ in wire if head & 0x08)
    assert reader.describe_missing() is None


@pytest.mark.parametrize(
    "wire, frames",
    [
        ("81 85 37fa213d 7f9f4d5158", [Frame(TEXT, b"Hello")]),
        ("8a 85 37fa213d 7f9f4d5158", [Frame(PONG, b"Hello")]),
    ],
)
def test_server_reads_masked_examples_of_rfc6455(wire, frames, way):
    chunks = way.chunks(bytes.fromhex(wire), trailing=build(True, PING_AFTERWARDS))
    assert read(new_reader(True), *chunks)[:1] == frames


@pytest.mark.parametrize(
    "wire, frames",
    [
        ("81 05 48656c6c6f", [Frame(TEXT, b"Hello")]),
        ("01 03 48656c 80 02 6c6f", [Frame(TEXT, b"Hel", fin=False), Frame(CONT, b"lo")]),
        ("89 05 48656c6c6f", [Frame(PING, b"Hello")]),
        ("82 7e 0100" + "00" * 256, [Frame(BINARY, bytes(256))]),
        ("82 7f 0000000000010000" + "00" * 65536, [Frame(BINARY, bytes(65536))]),
    ],
    ids=["text", "fragmented text", "ping", "256 bytes", "64 KiB"],
)
def test_client_reads_unmasked_examples_of_rfc6455(wire, frames, way):
    chunks = way.chunks(bytes.fromhex(wire), trailing=build(False, PING_AFTERWARDS))
    assert read(new_reader(False), *chunks)[: len(frames)] == frames


@pytest.mark.parametrize("cut", range(1, 60))
def test_frames_may_be_cut_anywhere(cut, masked):
    wire = [(0x01, b"spam"), (0x89, b"ping"), (0x80, "é".encode() * 70), (0x82, b"\xff")]
    data = build(masked, *wire)
    chunks = [data[i : i + cut] for i in range(0, len(data), cut)]
    frames = read(new_reader(masked), *chunks)
    assert [(frame.head, frame.data) for frame in frames] == wire


def test_empty_chunks_change_nothing(masked):
    wire = [(0x01, b"spam"), (0x80, b"ham")]
    chunks = itertools.chain.from_iterable(
        (b"", byte, b"") for byte in each_byte(build(masked, *wire))
    )
    frames = read(new_reader(masked), *chunks)
    assert [(frame.head, frame.data) for frame in frames] == wire


# Messages instead of data frames


def as_messages(wire):
    """What is read instead of frames, if they are small."""
    return [
        {0x81: bytes.decode, 0x82: bytes}.get(
            head, lambda data, head=head: Frame(Opcode(head & 0x0F), data, fin=head > 127)
        )(payload)
        for head, payload in wire
        if not head & 0x08
    ]


@pytest.mark.parametrize(
    "wire",
    [*VALID.values(), [(0x81, "aé€𝄞".encode() * 10), (0x82, b"\xff" * 200), (0x81, b"a" * 200)]],
)
def test_whole_messages_are_read_as_such(wire, masked, way):
    reader = new_reader(masked)
    frames, messages = [], []
    data = build(masked, *wire)
    for chunk in way.chunks(data, trailing=build(masked, PING_AFTERWARDS)):
        reader.feed(chunk, frames, messages)
    if way.trailing:
        wire = [*wire, PING_AFTERWARDS]
    assert [(frame.head, frame.data) for frame in frames] == [
        (head, data) for head, data in wire if head & 0x08
    ]
    assert messages == as_messages(wire)
    assert reader.describe_missing() is None


def test_large_text_is_read_as_the_bytes_that_it_came_in(masked, way):
    # Decoded, they might need four times as much memory while the message waits.
    text = b"a" * 65537
    reader = new_reader(masked)
    messages = []
    for chunk in way.chunks(build(masked, (0x81, text)), trailing=b""):
        reader.feed(chunk, [], messages)
    assert messages == [Frame(TEXT, text)]


def test_messages_of_other_extensions_are_read_as_such(masked):
    class Reversing(Extension):
        def decode(self, frame, *, max_size=None):
            return Frame(frame.opcode, memoryview(frame.data[::-1]), frame.fin)

    reader = new_reader(masked, extensions=[Reversing()])
    wire = [(0x81, b"abc"), (0x82, b"123"), (0x01, b"x"), (0x89, b"ping")]
    frames, messages = [], []
    reader.feed(build(masked, *wire), frames, messages)
    assert messages == ["cba", b"321", Frame(TEXT, b"x", fin=False)]
    assert frames == [Frame(PING, b"gnip")]


# Frames that break the protocol


def header(head, length, masked, length_bytes=0):
    """Build the header of a frame up to the masking key, with a length of any size."""
    if length_bytes:
        marker = {2: 126, 8: 127}[length_bytes]
        extended = length.to_bytes(length_bytes, "big")
    else:
        marker, extended = length, b""
    return bytes([head, marker | 0x80 if masked else marker]) + extended


RESERVED = {"rsv1": 0x40, "rsv2": 0x20, "rsv3": 0x10}


@pytest.mark.parametrize("head", [0x81, 0x01, 0x82, 0x89, 0x8A, 0x88])
@pytest.mark.parametrize("bit", RESERVED.values(), ids=RESERVED.keys())
def test_reserved_bit_is_refused_as_soon_as_the_header_is_there(bit, head, masked):
    data = build(masked, (head | bit, b"hello"))
    number, exc = bytes_until_failure(new_reader(masked), data, ProtocolError)
    assert number == 2
    assert str(exc) == "reserved bits must be 0"


@pytest.mark.parametrize("bit", RESERVED.values(), ids=RESERVED.keys())
def test_reserved_bit_of_a_continuation_frame_is_refused(bit, masked):
    reader = new_reader(masked)
    read(reader, build(masked, (0x01, b"a")))
    with pytest.raises(ProtocolError, match="reserved bits must be 0"):
        reader.feed(build(masked, (0x80 | bit, b"b")), [])


@pytest.mark.parametrize("fin", [0x00, 0x80])
@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_reserved_opcode_is_refused_as_soon_as_the_header_is_there(opcode, fin, masked):
    data = build(masked, (fin | opcode, b"hello"))
    number, exc = bytes_until_failure(new_reader(masked), data, ProtocolError)
    assert number == 2
    assert str(exc) == "invalid opcode"


@pytest.mark.parametrize("opcode", [3, 7])
def test_reserved_opcode_is_refused_in_a_fragmented_message(opcode, masked):
    reader = new_reader(masked)
    read(reader, build(masked, (0x01, b"a")))
    with pytest.raises(ProtocolError, match="invalid opcode"):
        reader.feed(build(masked, (0x80 | opcode, b"")), [])


@pytest.mark.parametrize("payload", [b"", b"hello", bytes(126), bytes(65536)])
@pytest.mark.parametrize("head", [0x81, 0x82, 0x89, 0x8A, 0x88])
def test_frame_with_the_wrong_masking_is_refused_at_its_second_byte(head, payload, masked):
    data = build(not masked, (head, payload))
    number, exc = bytes_until_failure(new_reader(masked), data, ProtocolError)
    assert number == 2
    assert str(exc) == "incorrect masking"


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_fragmented_control_frame_is_refused_at_its_second_byte(opcode, masked):
    data = build(masked, (opcode, b"hello"))
    number, exc = bytes_until_failure(new_reader(masked), data, ProtocolError)
    assert number == 2
    assert str(exc) == "fragmented control frame"


@pytest.mark.parametrize("size", [126, 65535, 65536])
@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_long_control_frame_is_refused_at_its_second_byte(opcode, size, masked):
    data = build(masked, (0x80 | opcode, bytes(size)))
    number, exc = bytes_until_failure(new_reader(masked), data, ProtocolError)
    assert number == 2
    assert str(exc) == "control frame too long"


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_long_control_frame_is_refused_with_extensions_too(opcode, masked):
    reader = new_reader(masked, extensions=[Unchanged()])
    with pytest.raises(ProtocolError, match="control frame too long"):
        reader.feed(build(masked, (0x80 | opcode, bytes(126))), [])


@pytest.mark.parametrize("head", [0x00, 0x80])
def test_continuation_frame_is_refused_without_a_message(head, masked):
    data = build(masked, (head, b"hello"))
    number, exc = bytes_until_failure(new_reader(masked), data, ProtocolError)
    assert number == 2
    assert str(exc) == "unexpected continuation frame"


@pytest.mark.parametrize("head", [0x00, 0x80])
@pytest.mark.parametrize("message", [[(0x81, b"a")], [(0x01, b"a"), (0x80, b"b")]])
def test_continuation_frame_is_refused_after_a_message(message, head, masked):
    frames = []
    with pytest.raises(ProtocolError, match="unexpected continuation frame"):
        new_reader(masked).feed(build(masked, *message, (head, b"c")), frames)
    assert len(frames) == len(message)


@pytest.mark.parametrize("head", [0x81, 0x01, 0x82, 0x02])
@pytest.mark.parametrize("message", [[(0x01, b"a")], [(0x02, b"a"), (0x89, b""), (0x00, b"b")]])
def test_message_in_a_fragmented_message_is_refused(message, head, masked):
    reader = new_reader(masked)
    assert len(read(reader, build(masked, *message))) == len(message)
    number, exc = bytes_until_failure(reader, build(masked, (head, b"hello")), ProtocolError)
    assert number == 2
    assert str(exc) == "expected a continuation frame"


@pytest.mark.parametrize(
    "length, length_bytes",
    [
        (0, 2),
        (1, 2),
        (125, 2),
        (0, 8),
        (125, 8),
        (126, 8),
        (65535, 8),
        (2**63, 8),
        (2**63 + 5, 8),
        (2**64 - 1, 8),
    ],
)
def test_impossible_length_is_refused_once_it_is_there(length, length_bytes, masked):
    data = header(0x82, length, masked, length_bytes) + bytes(20)
    reader = new_reader(masked)
    number, exc = bytes_until_failure(reader, data, ProtocolError)
    assert number == 2 + length_bytes
    assert str(exc) == "invalid payload length"


@pytest.mark.parametrize("length", [126, 65535])
def test_shortest_form_of_16_bits_is_accepted(length, masked):
    read(new_reader(masked), header(0x82, length, masked, 2))


@pytest.mark.parametrize("length", [65536, 2**32, 2**63 - 1])
def test_shortest_form_of_64_bits_is_accepted(length, masked):
    read(new_reader(masked), header(0x82, length, masked, 8))


MISTAKES = {
    "reserved bit": lambda masked: build(masked, (0xC1, b"a")),
    "opcode": lambda masked: build(masked, (0x83, b"a")),
    "masking": lambda masked: build(not masked, (0x81, b"a")),
    "long ping": lambda masked: build(masked, (0x89, bytes(126))),
    "length": lambda masked: header(0x81, 2**63, masked, 8),
    "UTF-8": lambda masked: build(masked, (0x81, b"\xff")),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_frames_before_a_mistake_are_kept(mistake, masked, way):
    data = build(masked, (0x81, b"a"), (0x89, b"b")) + mistake(masked)
    reader = new_reader(masked)
    frames = []
    with pytest.raises((ProtocolError, UnicodeDecodeError)):
        for chunk in way.chunks(data, trailing=build(masked, PING_AFTERWARDS)):
            reader.feed(chunk, frames)
    assert frames == [Frame(TEXT, b"a"), Frame(PING, b"b")]


# Close frames


@pytest.mark.parametrize("payload", [b"", b"\x03\xe8", b"\x03\xe8bye", b"\x00", b"\xff\xff\xff"])
def test_nothing_is_read_after_a_close_frame(payload, masked, way):
    reader = new_reader(masked)
    frames = read(
        reader,
        *way.chunks(build(masked, (0x88, payload)), trailing=build(masked, PING_AFTERWARDS)),
    )
    assert frames == [Frame(CLOSE, payload)]
    assert reader.closed
    assert reader.control_frames == 1
    assert read(reader, build(masked, (0x81, b"a")), b"GET / HTTP/1.1\r\n") == []
    assert reader.control_frames == 1


def test_nothing_is_read_after_a_close_frame_that_came_in_two_chunks(masked):
    data = build(masked, (0x88, b"\x03\xe8"), (0x81, b"a"))
    reader = new_reader(masked)
    cut = data.index(b"\x81", 2) - 1
    assert read(reader, data[:cut], data[cut:]) == [Frame(CLOSE, b"\x03\xe8")]


@pytest.mark.parametrize("message", [[(0x01, b"a")], [(0x02, b"a"), (0x00, b"b")]])
def test_close_frame_may_come_in_a_fragmented_message(message, masked):
    reader = new_reader(masked)
    frames = read(reader, build(masked, *message, (0x88, b"")))
    assert frames[-1] == Frame(CLOSE, b"")
    assert reader.closed


# What is missing when no more comes


@pytest.mark.parametrize(
    "wire, cut, missing",
    [
        ([(0x82, b"hello")], 1, "the header of a frame"),
        ([(0x82, bytes(126))], 3, "the header of a frame"),
        ([(0x82, b"hello")], -5, "a frame with 5 bytes missing"),
        ([(0x82, b"hello")], -1, "a frame with 1 byte missing"),
        ([(0x02, b"a"), (0x80, b"hello")], -2, "a frame with 2 bytes missing"),
        ([(0x02, b"a"), (0x00, b"b")], None, "a fragmented message"),
        ([(0x01, b"a"), (0x89, b"b")], None, "a fragmented message"),
        ([(0x01, b"a"), (0x80, b"b")], None, None),
        ([(0x88, b"")], None, None),
        ([], None, None),
    ],
)
def test_what_is_missing_is_described(wire, cut, missing, masked):
    reader = new_reader(masked)
    read(reader, build(masked, *wire)[:cut])
    assert reader.describe_missing() == missing


# UTF-8

# Each with the position of the byte that can't be.
INVALID = {
    "continuation byte alone": (b"\x80", 0),
    "continuation byte after ASCII": (b"ab\xbf", 2),
    "byte that never is": (b"\xff", 0),
    "overlong ASCII, C0": (b"\xc0\xaf", 0),
    "overlong ASCII, C1": (b"\xc1\xbf", 0),
    "overlong in three bytes": (b"\xe0\x80\xaf", 1),
    "longest overlong in three bytes": (b"\xe0\x9f\xbf", 1),
    "overlong in four bytes": (b"\xf0\x80\x80\xaf", 1),
    "longest overlong in four bytes": (b"\xf0\x8f\xbf\xbf", 1),
    "first surrogate": (b"\xed\xa0\x80", 1),
    "last surrogate": (b"\xed\xbf\xbf", 1),
    "pair of surrogates": (b"\xed\xa0\xbd\xed\xb8\x80", 1),
    "above U+10FFFF": (b"\xf4\x90\x80\x80", 1),
    "start of five bytes": (b"\xf8\x88\x80\x80\x80", 0),
    "start of F5": (b"\xf5\x80\x80\x80", 0),
    "ASCII after the first of two": (b"\xc3a", 1),
    "ASCII after the first of three": (b"\xe2a", 1),
    "ASCII after the second of three": (b"\xe2\x82a", 2),
    "ASCII after the third of four": (b"\xf0\x9f\x98a", 3),
    "start after a start": (b"\xe2\x82\xc3", 2),
}

PREFIXES = {"": b"", " after ASCII": b"abc", " after more than ASCII": "κόσμε".encode()}

INVALID_TEXT = [
    pytest.param(prefix + sequence, len(prefix) + bad, id=name + where)
    for name, (sequence, bad) in INVALID.items()
    for where, prefix in PREFIXES.items()
]

# What is fine unless the message ends there.
INCOMPLETE = [b"\xc3", b"\xe2", b"\xe2\x82", b"\xf0", b"\xf0\x9f", b"\xf0\x9f\x98", b"ab\xc3"]


@pytest.mark.parametrize("text, bad", INVALID_TEXT)
def test_invalid_text_in_one_frame_is_refused(text, bad, masked):
    with pytest.raises(UnicodeDecodeError):
        new_reader(masked).feed(build(masked, (0x81, text + b"more")), [])


@pytest.mark.parametrize("head", [0x81, 0x01])
@pytest.mark.parametrize("text, bad", INVALID_TEXT)
def test_invalid_text_is_refused_with_the_byte_in_a_frame_that_comes_byte_by_byte(
    text, bad, head, masked
):
    data = build(masked, (head, text + b"more"))
    header_size = len(data) - len(text + b"more")
    number, _ = bytes_until_failure(new_reader(masked), data, UnicodeDecodeError)
    assert number == header_size + bad + 1


@pytest.mark.parametrize("text, bad", INVALID_TEXT)
def test_invalid_text_is_refused_with_the_fragment_that_has_the_byte(text, bad, masked):
    reader = new_reader(masked)
    wire = [(0x00 if i else 0x01, byte) for i, byte in enumerate(each_byte(text))]
    assert len(read(reader, build(masked, *wire[:bad]))) == bad
    with pytest.raises(UnicodeDecodeError):
        reader.feed(build(masked, wire[bad]), [])


@pytest.mark.parametrize("text, bad", INVALID_TEXT)
def test_invalid_text_is_refused_in_a_fragment_that_comes_byte_by_byte(text, bad, masked):
    # The first fragment ends in the middle of a character, sometimes.
    for cut in range(1, bad + 1):
        reader = new_reader(masked)
        read(reader, build(masked, (0x01, text[:cut]), (0x89, b"\xff")))
        data = build(masked, (0x80, text[cut:]))
        header_size = len(data) - len(text[cut:])
        number, _ = bytes_until_failure(reader, data, UnicodeDecodeError)
        assert number == header_size + bad - cut + 1


@pytest.mark.parametrize("text", INCOMPLETE)
def test_message_that_ends_in_a_character_is_refused(text, masked, way):
    chunks = way.chunks(build(masked, (0x81, text)), trailing=build(masked, PING_AFTERWARDS))
    frames = []
    reader = new_reader(masked)
    with pytest.raises(UnicodeDecodeError, match="unexpected end of data"):
        for chunk in chunks:
            reader.feed(chunk, frames)
    assert frames == []


@pytest.mark.parametrize("last", [b"", b"\xe2\x82"])
@pytest.mark.parametrize("text", INCOMPLETE)
def test_fragmented_message_that_ends_in_a_character_is_refused(text, last, masked, way):
    reader = new_reader(masked)
    assert len(read(reader, build(masked, (0x01, text)))) == 1
    chunks = way.chunks(build(masked, (0x80, last)), trailing=build(masked, PING_AFTERWARDS))
    with pytest.raises(UnicodeDecodeError):
        read(reader, *chunks)


def test_each_message_is_checked_on_its_own(masked):
    reader = new_reader(masked)
    read(reader, build(masked, (0x01, b"\xc3"), (0x80, b"\xa9")))
    with pytest.raises(UnicodeDecodeError):
        reader.feed(build(masked, (0x81, b"\xa9")), [])


def test_binary_messages_and_control_frames_are_not_checked(masked, way):
    wire = [(0x02, b"\xff" * 200), (0x89, b"\xff"), (0x80, b"\xff"), (0x8A, b"\xc3")]
    frames = read(
        new_reader(masked),
        *way.chunks(build(masked, *wire), trailing=build(masked, PING_AFTERWARDS)),
    )
    assert [(frame.head, frame.data) for frame in frames[:4]] == wire


# Limits


@pytest.mark.parametrize("limit", [0, 1, 125, 126, 1000, 65535, 65536])
@pytest.mark.parametrize("name", ["max_message_size", "max_fragment_size"])
def test_frame_at_the_limit_is_read(name, limit, masked):
    reader = new_reader(masked, **{name: limit})
    assert read(reader, build(masked, (0x82, bytes(limit)))) == [Frame(BINARY, bytes(limit))]


@pytest.mark.parametrize("limit", [0, 1, 124, 125, 1000, 65534, 65535])
@pytest.mark.parametrize("name", ["max_message_size", "max_fragment_size"])
def test_frame_past_the_limit_is_refused_before_its_payload(name, limit, masked):
    reader = new_reader(masked, **{name: limit})
    data = build(masked, (0x82, bytes(limit + 1)))
    # No byte of the masking key is needed.
    header_size = len(data) - (limit + 1) - (4 if masked else 0)
    number, exc = bytes_until_failure(reader, data, PayloadTooBig)
    assert number == header_size
    assert (exc.size, exc.max_size, exc.current_size) == (limit + 1, limit, None)
    assert str(exc) == f"frame with {limit + 1} bytes exceeds limit of {limit} bytes"


def test_smaller_limit_on_fragments_holds_for_unfragmented_messages(masked):
    reader = new_reader(masked, max_message_size=100, max_fragment_size=10)
    with pytest.raises(PayloadTooBig, match="frame with 11 bytes exceeds limit of 10 bytes"):
        reader.feed(build(masked, (0x82, bytes(11))), [])


def test_fragments_at_the_limit_of_messages_are_read(masked):
    reader = new_reader(masked, max_message_size=10)
    wire = [(0x02, bytes(4)), (0x00, bytes(5)), (0x00, b""), (0x80, bytes(1))]
    assert len(read(reader, build(masked, *wire, *wire))) == 8


@pytest.mark.parametrize("head", [0x00, 0x80])
def test_fragments_past_the_limit_of_messages_are_refused_before_the_payload(head, masked):
    reader = new_reader(masked, max_message_size=10)
    read(reader, build(masked, (0x02, bytes(4)), (0x00, bytes(5))))
    number, exc = bytes_until_failure(reader, build(masked, (head, bytes(2))), PayloadTooBig)
    assert number == 2
    assert (exc.size, exc.max_size, exc.current_size) == (2, 1, 9)
    assert str(exc) == "frame with 2 bytes after reading 9 bytes exceeds limit of 10 bytes"


def test_fragments_within_the_limit_of_fragments_make_messages_of_any_size(masked):
    reader = new_reader(masked, max_fragment_size=10)
    wire = [(0x02, bytes(10)), *[(0x00, bytes(10))] * 20, (0x80, bytes(10))]
    assert len(read(reader, build(masked, *wire))) == 22
    with pytest.raises(PayloadTooBig, match="frame with 11 bytes exceeds limit of 10 bytes"):
        reader.feed(build(masked, (0x02, bytes(11))), [])


def test_messages_have_the_limit_each_for_itself(masked):
    reader = new_reader(masked, max_message_size=10)
    assert len(read(reader, build(masked, *[(0x82, bytes(10))] * 20))) == 20


def test_limits_do_not_hold_for_control_frames(masked):
    reader = new_reader(masked, max_message_size=0, max_fragment_size=0, max_fragments=0)
    wire = [(0x82, b""), *[(0x89, bytes(125))] * 10]
    assert len(read(reader, build(masked, *wire))) == 11


@pytest.mark.parametrize("length", [2**20 + 1, 2**32, 2**62, 2**63 - 1])
def test_huge_declared_length_is_refused_with_the_header(length, masked):
    reader = new_reader(masked, max_message_size=2**20)
    number, exc = bytes_until_failure(reader, header(0x82, length, masked, 8), PayloadTooBig)
    assert number == 10
    assert exc.size == length


def test_huge_declared_length_takes_no_memory_without_a_limit(masked, traced):
    reader = new_reader(masked)
    with traced() as memory:
        read(reader, header(0x82, 2**62, masked, 8) + bytes(4 + 100))
        _, peak = memory()
    assert peak < 10_000


def test_message_with_as_many_frames_as_the_limit_is_read(masked):
    reader = new_reader(masked, max_fragments=5)
    wire = [(0x02, b"a"), *[(0x00, b"a")] * 3, (0x80, b"a")]
    assert len(read(reader, build(masked, *wire, *wire))) == 10


@pytest.mark.parametrize("head", [0x00, 0x80])
@pytest.mark.parametrize("payload", [b"", b"a"])
def test_message_with_more_frames_than_the_limit_is_refused(payload, head, masked):
    reader = new_reader(masked, max_fragments=5)
    read(reader, build(masked, (0x02, payload), *[(0x00, payload)] * 4))
    number, exc = bytes_until_failure(reader, build(masked, (head, b"a")), TooManyFragments)
    assert number == 2
    assert str(exc) == "fragmented message exceeds limit of 5 frames"


def test_control_frames_do_not_count_as_fragments(masked):
    reader = new_reader(masked, max_fragments=2)
    wire = [(0x02, b"a"), *[(0x89, b"")] * 10, (0x80, b"a")]
    assert len(read(reader, build(masked, *wire))) == 12


def test_endless_empty_fragments_are_refused(masked):
    reader = new_reader(masked, max_fragments=1000)
    read(reader, build(masked, (0x01, b"")))
    fragment = build(masked, (0x00, b""))
    frames = []
    with pytest.raises(TooManyFragments):
        for _ in range(10_000):
            reader.feed(fragment, frames)
    assert len(frames) == 999


@pytest.mark.slow
def test_many_messages_do_not_add_up_to_a_limit(masked):
    reader = new_reader(masked, max_message_size=3, max_fragments=3)
    data = build(masked, *[(0x01, b"a"), (0x00, b"b"), (0x80, b"c"), (0x82, b"abc")] * 1000)
    for _ in range(50):
        assert len(read(reader, data)) == 4000


def test_masked_payload_in_chunks_takes_each_byte_of_the_key_in_turn():
    key = b"\x01\x02\x03\x04"
    payload = bytes(23)
    masked = (key * 6)[:23]
    for sizes in itertools.product([1, 2, 3, 5], repeat=3):
        reader = new_reader(True)
        data = b"\x82" + bytes([0x80 | 23]) + key + masked
        chunks, pos = [data[:6]], 6
        for size in sizes:
            chunks.append(data[pos : pos + size])
            pos += size
        assert read(reader, *chunks, data[pos:]) == [Frame(BINARY, payload)]


# Extensions


class Unchanged(Extension):
    """Leaves frames alone, and keeps them with the limit."""

    name = "x-unchanged"

    def __init__(self):
        self.decoded = []

    def decode(self, frame, *, max_size=None):
        self.decoded.append((frame.head, frame.data, max_size))
        return frame


class Changed(Extension):
    """Changes the payload of data frames, whatever the limit, and resets a reserved bit."""

    name = "x-changed"

    def __init__(self, change, bit="rsv1"):
        self.change = change
        self.bit = bit

    def decode(self, frame, *, max_size=None):
        if frame.opcode in (CLOSE, PING, PONG):
            return frame
        frame.data = self.change(frame.data)
        if self.bit is not None:
            setattr(frame, self.bit, False)
        return frame


class Failing(Extension):
    name = "x-failing"

    def __init__(self, exc):
        self.exc = exc

    def decode(self, frame, *, max_size=None):
        raise self.exc


def test_extensions_decode_frames_in_reverse_order(masked, way):
    extensions = [
        Changed(lambda data: data + b"1", "rsv1"),
        Changed(lambda data: data + b"2", "rsv2"),
    ]
    reader = new_reader(masked, extensions=extensions)
    frames = read(
        reader,
        *way.chunks(build(masked, (0xE1, b"0")), trailing=build(masked, PING_AFTERWARDS)),
    )
    assert frames[0] == Frame(TEXT, b"021")


def test_extensions_see_every_frame_with_its_reserved_bits(masked):
    extension = Unchanged()
    reader = new_reader(masked, extensions=[Changed(bytes), extension])
    wire = [(0x41, b"a"), (0x89, b"b"), (0x80, b"c"), (0x8A, b"d"), (0xC2, b"e"), (0x88, b"")]
    assert len(read(reader, build(masked, *wire))) == 6
    assert [(head, data) for head, data, _ in extension.decoded] == wire
    assert reader.closed


@pytest.mark.parametrize("bit", RESERVED.values(), ids=RESERVED.keys())
@pytest.mark.parametrize("head", [0x81, 0x82, 0x89, 0x88])
def test_reserved_bit_that_no_extension_resets_is_refused(head, bit, masked):
    reader = new_reader(masked, extensions=[Unchanged()])
    frames = []
    with pytest.raises(ProtocolError, match="reserved bits must be 0"):
        reader.feed(build(masked, (head | bit, b"a")), frames)
    assert frames == []


def test_limit_that_extensions_are_told(masked):
    def limits(**kwargs):
        extension = Unchanged()
        reader = new_reader(masked, extensions=[extension], **kwargs)
        read(reader, build(masked, (0x02, b"abc"), (0x89, b""), (0x80, b"de"), (0x82, b"")))
        return [max_size for _, _, max_size in extension.decoded]

    assert limits() == [None, None, None, None]
    assert limits(max_message_size=10) == [10, None, 7, 10]
    assert limits(max_fragment_size=10) == [10, None, 10, 10]
    assert limits(max_message_size=10, max_fragment_size=8) == [8, None, 7, 8]
    assert limits(max_message_size=10, max_fragment_size=20) == [10, None, 7, 10]


def test_frame_that_an_extension_enlarges_past_the_limit_is_refused(masked):
    extensions = [Changed(lambda data: data * 3)]
    reader = new_reader(masked, extensions=extensions, max_message_size=10)
    assert read(reader, build(masked, (0xC2, b"abc"))) == [Frame(BINARY, b"abcabcabc")]
    with pytest.raises(PayloadTooBig) as raised:
        reader.feed(build(masked, (0xC2, b"abcd")), [])
    assert (raised.value.size, raised.value.max_size) == (12, 10)


def test_fragments_that_an_extension_enlarges_past_the_limit_are_refused(masked):
    extensions = [Changed(lambda data: data * 3)]
    reader = new_reader(masked, extensions=extensions, max_message_size=10)
    read(reader, build(masked, (0x42, b"ab")))
    with pytest.raises(PayloadTooBig) as raised:
        reader.feed(build(masked, (0x80, b"cd")), [])
    assert str(raised.value) == (
        "frame with 6 bytes after reading 6 bytes exceeds limit of 10 bytes"
    )


def test_frame_that_an_extension_shrinks_to_the_limit_is_read(masked):
    extensions = [Changed(lambda data: data[5:])]
    reader = new_reader(masked, extensions=extensions, max_message_size=100)
    assert read(reader, build(masked, (0xC2, bytes(105)))) == [Frame(BINARY, bytes(100))]
    with pytest.raises(PayloadTooBig):
        reader.feed(build(masked, (0xC2, bytes(106))), [])


def test_frame_that_no_extension_could_shrink_to_the_limit_is_refused_with_its_header(masked):
    extensions = [Changed(lambda data: b"")]
    reader = new_reader(masked, extensions=extensions, max_message_size=1000)
    number, _ = bytes_until_failure(
        reader, header(0xC2, 2000, masked, 2) + bytes(2004), PayloadTooBig
    )
    assert number == 4


def test_error_of_an_extension_says_how_much_was_read_before(masked):
    def too_big(data):
        if data == b"big":
            raise PayloadTooBig(None, 4)
        return data

    reader = new_reader(masked, extensions=[Changed(too_big)], max_message_size=10)
    read(reader, build(masked, (0x42, b"before")))
    with pytest.raises(PayloadTooBig) as raised:
        reader.feed(build(masked, (0x80, b"big")), [])
    assert raised.value.current_size == 6
    assert str(raised.value) == "frame after reading 6 bytes exceeds limit of 10 bytes"


@pytest.mark.parametrize(
    "limits, fragment",
    [
        ({"max_message_size": 10}, False),
        ({"max_fragment_size": 10}, False),
        ({"max_fragment_size": 10}, True),
        ({"max_message_size": 100, "max_fragment_size": 10}, True),
    ],
)
def test_error_of_an_extension_says_nothing_of_what_does_not_count(limits, fragment, masked):
    reader = new_reader(masked, extensions=[OnlyAscii()], **limits)
    head = 0x82
    if fragment:
        read(reader, build(masked, (0x02, b"before")))
        head = 0x80
    with pytest.raises(PayloadTooBig) as raised:
        reader.feed(build(masked, (head, b"\xff")), [])
    assert str(raised.value) == "frame exceeds limit of 10 bytes"


class OnlyAscii(Extension):
    """Says that what isn't ASCII is too big."""

    name = "x-only-ascii"

    def decode(self, frame, *, max_size=None):
        if not frame.data.isascii():
            raise PayloadTooBig(None, max_size)
        return frame


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_extension_may_return_anything_bytes_like(kind, masked, way):
    reader = new_reader(masked, extensions=[Changed(kind)])
    wire = [(0x41, b"caf\xc3"), (0x80, b"\xa9"), (0xC2, b"\xff"), (0xC1, "é".encode())]
    frames = read(
        reader, *way.chunks(build(masked, *wire), trailing=build(masked, PING_AFTERWARDS))
    )
    assert [bytes(frame.data) for frame in frames[:4]] == [payload for _, payload in wire]
    assert not any(isinstance(frame.data, memoryview) for frame in frames)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_text_is_checked_after_extensions(kind, masked, way):
    decoded = {b"bad": b"\xff", b"good": b"good"}
    reader = new_reader(masked, extensions=[Changed(lambda data: kind(decoded[data]))])
    frames = []
    with pytest.raises(UnicodeDecodeError):
        for chunk in way.chunks(
            build(masked, (0xC1, b"good"), (0xC1, b"bad")),
            trailing=build(masked, PING_AFTERWARDS),
        ):
            reader.feed(chunk, frames)
    assert frames == [Frame(TEXT, b"good")]


def test_text_is_not_checked_before_extensions(masked, way):
    reader = new_reader(masked, extensions=[Changed(lambda data: b"text")])
    frames = read(
        reader,
        *way.chunks(build(masked, (0xC1, b"\xff\xfe")), trailing=build(masked, PING_AFTERWARDS)),
    )
    assert frames[0] == Frame(TEXT, b"text")


@pytest.mark.parametrize("head", [0x81, 0x82, 0x89, 0x88])
def test_exception_of_an_extension_passes_through(head, masked):
    exc = ValueError("not ours")
    with pytest.raises(ValueError, match="not ours") as raised:
        new_reader(masked, extensions=[Failing(exc)]).feed(build(masked, (head, b"")), [])
    assert raised.value is exc


def test_payload_of_a_frame_may_be_cut_by_any_chunk_with_extensions(masked):
    reader = new_reader(masked, extensions=[Changed(lambda data: data.upper())])
    data = build(masked, (0xC1, b"a" * 300))
    frames = read(reader, data[:50], data[50:51], data[51:])
    assert frames == [Frame(TEXT, b"A" * 300)]
