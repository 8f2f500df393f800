import array
import ctypes
import itertools

import pytest

from ws_protocol import frames
from ws_protocol.exceptions import ProtocolError
from ws_protocol.extensions import Extension
from ws_protocol.frames import (
    CLOSE_CODE_EXPLANATIONS,
    CTRL_OPCODES,
    DATA_OPCODES,
    EXTERNAL_CLOSE_CODES,
    OK_CLOSE_CODES,
    Close,
    CloseCode,
    Frame,
    Opcode,
    contiguous,
    serialize_frame,
)

SIZES = {
    0: "00",
    125: "7d",
    126: "7e 007e",
    65535: "7e ffff",
    65536: "7f 0000000000010000",
}

# Views of memory whose len() isn't the number of their bytes, or that can't be cast as they are.
VIEWS = {
    "of bytes": (memoryview(b"abcdef"), b"abcdef"),
    "of a bytearray": (memoryview(bytearray(b"abcdef")), b"abcdef"),
    "of larger items": (memoryview(array.array("H", b"abcdef")), b"abcdef"),
    "of a C array": (memoryview((ctypes.c_uint16 * 3).from_buffer_copy(b"abcdef")), b"abcdef"),
    "two-dimensional": (memoryview(b"abcdef").cast("B", [2, 3]), b"abcdef"),
    "strided": (memoryview(b"aXbXcXdXeXf")[::2], b"abcdef"),
    "reversed": (memoryview(b"fedcba")[::-1], b"abcdef"),
    "strided with larger items": (memoryview(array.array("H", b"abXXcdXXef"))[::2], b"abcdef"),
    "empty": (memoryview(b""), b""),
    "empty with larger items": (memoryview(array.array("H")), b""),
    "empty and two-dimensional": (memoryview(((ctypes.c_uint8 * 3) * 0)()), b""),
}


@pytest.fixture(params=VIEWS.values(), ids=VIEWS.keys())
def view(request):
    return request.param


def unmask(data, header_size):
    header = data[:header_size]
    key = data[header_size : header_size + 4]
    payload = bytes(a ^ b for a, b in zip(data[header_size + 4 :], itertools.cycle(key)))
    return header, payload


class Suffix(Extension):
    """An extension that appends to the payload, and sets a reserved bit."""

    name = "x-suffix"

    def __init__(self, suffix, bit):
        self.suffix = suffix
        self.bit = bit

    def encode(self, frame):
        # Fails if the payload isn't made of bytes.
        assert len(frame.data) == len(bytes(frame.data))
        frame = Frame(
            frame.opcode,
            bytes(frame.data) + self.suffix,
            frame.fin,
            frame.rsv1,
            frame.rsv2,
            frame.rsv3,
        )
        setattr(frame, self.bit, True)
        return frame


# Opcodes and close codes


def test_opcodes_are_those_of_rfc6455():
    assert {opcode.name: opcode.value for opcode in Opcode} == {
        "CONT": 0,
        "TEXT": 1,
        "BINARY": 2,
        "CLOSE": 8,
        "PING": 9,
        "PONG": 10,
    }


def test_every_opcode_is_either_of_data_or_of_control():
    assert sorted(DATA_OPCODES + CTRL_OPCODES) == list(Opcode)
    assert all(opcode < 8 for opcode in DATA_OPCODES)
    assert all(opcode >= 8 for opcode in CTRL_OPCODES)


def test_every_close_code_has_an_explanation():
    assert CLOSE_CODE_EXPLANATIONS.keys() == set(CloseCode)


def test_close_codes_that_stand_for_none_are_never_sent():
    assert set(CloseCode) - EXTERNAL_CLOSE_CODES == {1005, 1006, 1015}


def test_ok_close_codes():
    assert {1000, 1001, 1005} == OK_CLOSE_CODES


# contiguous()


@pytest.mark.parametrize("data", [b"abc", bytearray(b"abc")])
def test_bytes_are_contiguous_already(data):
    assert contiguous(data) is data


def test_view_becomes_contiguous_bytes(view):
    data, expected = view
    result = contiguous(data)
    assert len(result) == len(expected)
    assert bytes(result) == expected


def test_contiguous_view_is_not_copied():
    data = bytearray(b"abcd")
    result = contiguous(memoryview(data).cast("H"))
    data[0] = ord("x")
    assert bytes(result) == b"xbcd"


@pytest.mark.parametrize("data", ["abc", None, 3, [1, 2], array.array("B", b"abc")])
def test_what_is_not_bytes_like_is_refused(data):
    with pytest.raises(TypeError) as raised:
        contiguous(data)
    assert str(raised.value) == (
        f"expected bytes, bytearray or memoryview, got {type(data).__name__}"
    )


# Frames to bytes

EXAMPLES_OF_RFC6455 = [
    (Frame(Opcode.TEXT, b"Hello"), "81 05 48656c6c6f"),
    (Frame(Opcode.TEXT, b"Hel", fin=False), "01 03 48656c"),
    (Frame(Opcode.CONT, b"lo"), "80 02 6c6f"),
    (Frame(Opcode.PING, b"Hello"), "89 05 48656c6c6f"),
    (Frame(Opcode.PONG, b"Hello"), "8a 05 48656c6c6f"),
    (Frame(Opcode.BINARY, bytes(256)), "82 7e 0100" + "00" * 256),
    (Frame(Opcode.BINARY, bytes(65536)), "82 7f 0000000000010000" + "00" * 65536),
]


@pytest.mark.parametrize("frame, wire", EXAMPLES_OF_RFC6455, ids=lambda value: str(value)[:30])
def test_unmasked_frame_of_the_examples_in_rfc6455(frame, wire):
    assert frame.serialize(mask=False) == bytes.fromhex(wire)


@pytest.mark.parametrize("frame, wire", EXAMPLES_OF_RFC6455, ids=lambda value: str(value)[:30])
def test_masked_frame_has_the_same_header_with_the_mask_bit(frame, wire):
    expected = bytearray.fromhex(wire)
    expected[1] |= 0x80
    header_size = len(expected) - len(frame.data)
    header, payload = unmask(frame.serialize(mask=True), header_size)
    assert header == expected[:header_size]
    assert payload == frame.data


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("size", SIZES)
def test_length_takes_the_fewest_bytes(size, kind):
    payload = bytes(range(256)) * 257
    payload = payload[:size]
    length = bytes.fromhex(SIZES[size])
    assert serialize_frame(0x82, kind(payload), False) == b"\x82" + length + payload

    masked_length = bytes([length[0] | 0x80]) + length[1:]
    assert unmask(serialize_frame(0x82, kind(payload), True), 1 + len(length)) == (
        b"\x82" + masked_length,
        payload,
    )


@pytest.mark.parametrize("mask", [False, True])
def test_frame_with_a_view_has_its_bytes(view, mask):
    data, expected = view
    wire = Frame(Opcode.BINARY, data).serialize(mask=mask)
    if mask:
        assert unmask(wire, 2) == (bytes([0x82, 0x80 | len(expected)]), expected)
    else:
        assert wire == bytes([0x82, len(expected)]) + expected


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("opcode", Opcode)
@pytest.mark.parametrize("data", ["text", None, [1, 2]])
def test_frame_with_what_is_not_bytes_like_is_refused(data, opcode, mask):
    with pytest.raises(TypeError, match="expected bytes, bytearray or memoryview"):
        Frame(opcode, data).serialize(mask=mask)


def test_each_masked_frame_has_a_key_of_its_own():
    frame = Frame(Opcode.BINARY, bytes(16))
    wires = {frame.serialize(mask=True) for _ in range(10)}
    assert len(wires) > 1


@pytest.mark.parametrize("opcode", Opcode)
def test_head_has_fin_and_opcode(opcode):
    assert Frame(opcode, b"").head == 0x80 | opcode
    assert Frame(opcode, b"", fin=False).head == opcode


@pytest.mark.parametrize("bit, value", [("rsv1", 0x40), ("rsv2", 0x20), ("rsv3", 0x10)])
def test_head_has_reserved_bits(bit, value):
    assert Frame(Opcode.TEXT, b"", **{bit: True}).head == 0x81 | value


@pytest.mark.parametrize("bit", ["rsv1", "rsv2", "rsv3"])
def test_reserved_bit_cannot_be_sent_without_an_extension(bit):
    with pytest.raises(ProtocolError) as raised:
        Frame(Opcode.TEXT, b"", **{bit: True}).serialize(mask=False)
    assert str(raised.value) == "reserved bits must be 0"


@pytest.mark.parametrize("opcode", CTRL_OPCODES)
def test_longest_control_frame(opcode):
    assert Frame(opcode, bytes(125)).serialize(mask=False) == (
        bytes([0x80 | opcode, 125]) + bytes(125)
    )


@pytest.mark.parametrize("data", [bytes(126), memoryview(array.array("I", [0] * 32))])
@pytest.mark.parametrize("opcode", CTRL_OPCODES)
def test_longer_control_frame_is_refused(opcode, data):
    with pytest.raises(ProtocolError) as raised:
        Frame(opcode, data).serialize(mask=False)
    assert str(raised.value) == "control frame too long"


@pytest.mark.parametrize("opcode", CTRL_OPCODES)
def test_fragmented_control_frame_is_refused(opcode):
    with pytest.raises(ProtocolError) as raised:
        Frame(opcode, b"", fin=False).serialize(mask=False)
    assert str(raised.value) == "fragmented control frame"


@pytest.mark.parametrize("opcode", DATA_OPCODES)
@pytest.mark.parametrize("fin", [False, True])
def test_data_frame_of_any_size_passes_the_check(opcode, fin):
    Frame(opcode, bytes(126), fin=fin).check()


def test_extensions_encode_in_order():
    extensions = [Suffix(b"-1", "rsv2"), Suffix(b"-2", "rsv3")]
    assert Frame(Opcode.TEXT, b"a").serialize(mask=False, extensions=extensions) == (
        b"\xb1\x05a-1-2"
    )


def test_extension_gets_the_bytes_of_a_view(view):
    data, expected = view
    wire = Frame(Opcode.BINARY, data).serialize(mask=False, extensions=[Suffix(b"!", "rsv1")])
    assert wire == bytes([0xC2, len(expected) + 1]) + expected + b"!"


def test_frame_that_extensions_encoded_is_not_changed():
    frame = Frame(Opcode.TEXT, memoryview(b"a"))
    frame.serialize(mask=False, extensions=[Suffix(b"!", "rsv1")])
    assert frame == Frame(Opcode.TEXT, b"a")


def test_frames_are_equal_if_their_bytes_are():
    assert Frame(Opcode.TEXT, b"a") == Frame(Opcode.TEXT, bytearray(b"a"))
    assert Frame(Opcode.TEXT, b"a") != Frame(Opcode.TEXT, b"a", fin=False)
    assert Frame(Opcode.TEXT, b"a") != Frame(Opcode.BINARY, b"a")


# Frames in logs


@pytest.mark.parametrize(
    "frame, text",
    [
        (Frame(Opcode.TEXT, b"hello"), "TEXT 'hello' [5 bytes]"),
        (Frame(Opcode.TEXT, b""), "TEXT '' [0 bytes]"),
        (Frame(Opcode.TEXT, b"a"), "TEXT 'a' [1 byte]"),
        (Frame(Opcode.TEXT, "café".encode()), "TEXT 'café' [5 bytes]"),
        (Frame(Opcode.TEXT, b"line\n\x1b[0m"), r"TEXT 'line\n\x1b[0m' [9 bytes]"),
        (Frame(Opcode.TEXT, b"\xc3"), "TEXT '\N{REPLACEMENT CHARACTER}' [1 byte]"),
        (Frame(Opcode.TEXT, b"a", fin=False), "TEXT 'a' [1 byte, continued]"),
        (
            Frame(Opcode.TEXT, b"a" * 100, fin=False),
            f"TEXT '{'a' * 47}...{'a' * 23}' [100 bytes, continued]",
        ),
        (Frame(Opcode.TEXT, b"a" * 73), f"TEXT '{'a' * 73}' [73 bytes]"),
        (Frame(Opcode.TEXT, b"a" * 74), f"TEXT '{'a' * 47}...{'a' * 23}' [74 bytes]"),
        (Frame(Opcode.BINARY, b""), "BINARY  [0 bytes]"),
        (Frame(Opcode.BINARY, b"\x00\x01\xfe\xff"), "BINARY 00 01 fe ff [4 bytes]"),
        (Frame(Opcode.BINARY, b"\x00", fin=False), "BINARY 00 [1 byte, continued]"),
        (Frame(Opcode.BINARY, bytes(25)), f"BINARY {' '.join(['00'] * 25)} [25 bytes]"),
        (
            Frame(Opcode.BINARY, b"a" * 26),
            f"BINARY {' '.join(['61'] * 16)} ... {' '.join(['61'] * 8)} [26 bytes]",
        ),
        (
            Frame(Opcode.BINARY, b"hello" * 48),
            (
                "BINARY 68 65 6c 6c 6f 68 65 6c 6c 6f 68 65 6c 6c 6f 68 ... "
                "6c 6c 6f 68 65 6c 6c 6f [240 bytes]"
            ),
        ),
        (Frame(Opcode.CONT, b"abc"), "CONT 'abc' [text, 3 bytes]"),
        (Frame(Opcode.CONT, b"abc", fin=False), "CONT 'abc' [text, 3 bytes, continued]"),
        (Frame(Opcode.CONT, b"\xff\xfe"), "CONT ff fe [binary, 2 bytes]"),
        (Frame(Opcode.CONT, "é\t\r\n".encode()), r"CONT 'é\t\r\n' [text, 5 bytes]"),
        (Frame(Opcode.CONT, b""), "CONT '' [0 bytes]"),
        (Frame(Opcode.PING, b""), "PING '' [0 bytes]"),
        (Frame(Opcode.PING, b"abc"), "PING 'abc' [text, 3 bytes]"),
        (Frame(Opcode.PONG, b"\x00\x01"), "PONG 00 01 [binary, 2 bytes]"),
        (Frame(Opcode.PONG, "\x85".encode()), "PONG c2 85 [binary, 2 bytes]"),
        (Frame(Opcode.PONG, b"\x00\xff"), "PONG 00 ff [binary, 2 bytes]"),
        (Frame(Opcode.CLOSE, b""), "CLOSE '' [0 bytes]"),
        (Frame(Opcode.CLOSE, b"\x03\xe8x"), "CLOSE 1000 (OK) x [3 bytes]"),
        (Frame(Opcode.CLOSE, b"\x03\xe8"), "CLOSE 1000 (OK) [2 bytes]"),
        (Frame(Opcode.CLOSE, b"\x0b\xb8"), "CLOSE 3000 (registered) [2 bytes]"),
        (Frame(Opcode.CLOSE, b"\x03\xe8a\nb"), r"CLOSE 1000 (OK) a\nb [5 bytes]"),
        (
            Frame(Opcode.CLOSE, b"\x03\xe8" + b"a" * 123),
            f"CLOSE 1000 (OK) {'a' * 38}...{'a' * 24} [125 bytes]",
        ),
        (Frame(Opcode.CLOSE, b"\x03"), "CLOSE 03 [binary, 1 byte]"),
        (Frame(Opcode.CLOSE, b"\x03\xee"), "CLOSE 03 ee [binary, 2 bytes]"),
        (Frame(Opcode.CLOSE, b"\x03\xe8\xff"), "CLOSE 03 e8 ff [binary, 3 bytes]"),
    ],
)
def test_frame_is_described_in_a_line(frame, text):
    assert str(frame) == text


@pytest.mark.parametrize(
    "frame, shown",
    [
        (Frame(Opcode.TEXT, b"secret"), ["...", "...", "'...", "'s...'"]),
        (Frame(Opcode.BINARY, b"secret"), ["...", "...", "...", "73 ..."]),
        (Frame(Opcode.PING, b"secret"), ["...", "...", "'...", "'s...'"]),
        (Frame(Opcode.PING, b"secret\xff"), ["...", "...", "...", "73 ..."]),
    ],
    ids=["text", "binary", "text-control", "binary-control"],
)
def test_no_more_of_a_payload_is_shown_than_the_limit_allows(frame, shown, monkeypatch):
    for size, text in zip([0, 2, 4, 6], shown, strict=True):
        monkeypatch.setattr(frames, "MAX_LOG_SIZE", size)
        assert str(frame).split(" ", 1)[1].rpartition(" [")[0] == text


@pytest.mark.parametrize("opcode", Opcode)
def test_frame_with_a_view_is_described_as_with_its_bytes(opcode, view):
    data, expected = view
    assert str(Frame(opcode, data)) == str(Frame(opcode, expected))


def test_frame_with_a_large_view_is_described_as_with_its_bytes():
    data = memoryview(array.array("I", range(100)))[::2]
    assert str(Frame(Opcode.BINARY, data)) == str(Frame(Opcode.BINARY, bytes(data)))


@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY, Opcode.CONT])
@pytest.mark.parametrize("character", [b"a", b"\xff", b"\n", "é".encode()])
def test_description_of_a_large_frame_is_short(opcode, character):
    assert len(str(Frame(opcode, character * 100_000))) < 130


# Close frames


@pytest.mark.parametrize(
    "close, text",
    [
        (Close(1000, ""), "1000 (OK)"),
        (Close(1001, "bye"), "1001 (going away) bye"),
        (Close(CloseCode.NO_STATUS_RCVD, ""), "1005 (no status received [internal])"),
        (Close(1016, ""), "1016 (unknown)"),
        (Close(2999, ""), "2999 (unknown)"),
        (Close(3000, ""), "3000 (registered)"),
        (Close(3999, ""), "3999 (registered)"),
        (Close(4000, ""), "4000 (private use)"),
        (Close(4999, "why"), "4999 (private use) why"),
        (Close(5000, ""), "5000 (unknown)"),
        (Close(1000, "a\r\nb\x1b[2J\x85\x00é"), r"1000 (OK) a\r\nb\x1b[2J\x85\x00é"),
        # Right-to-left override, and line separator.
        (Close(1000, "a\u202eb\u2028c"), r"1000 (OK) a\u202eb\u2028c"),
    ],
)
def test_close_is_described_with_what_its_code_means(close, text):
    assert str(close) == text


ALLOWED = [*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999]
NOT_ALLOWED = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]


@pytest.mark.parametrize("code", ALLOWED)
@pytest.mark.parametrize("reason", ["", "see you", "à bientôt", "x" * 123])
def test_close_with_an_allowed_code_goes_there_and_back(code, reason):
    wire = code.to_bytes(2, "big") + reason.encode()
    assert Close(code, reason).serialize() == wire
    assert Close.parse(wire) == Close(code, reason)


@pytest.mark.parametrize("code", NOT_ALLOWED)
def test_close_with_another_code_is_refused(code):
    with pytest.raises(ProtocolError) as raised:
        Close(code, "").serialize()
    assert str(raised.value) == "invalid status code"
    with pytest.raises(ProtocolError) as raised:
        Close.parse(code.to_bytes(2, "big"))
    assert str(raised.value) == "invalid status code"


@pytest.mark.parametrize(
    "close, message",
    [
        (Close("bye", ""), "close code must be an int, not str; the reason comes after it"),
        (Close(1000, b"bye"), "close reason must be a str, not bytes"),
    ],
)
def test_close_with_arguments_of_other_types_is_refused(close, message):
    with pytest.raises(TypeError, match=f"^{message}$"):
        close.serialize()


@pytest.mark.parametrize("code", [-1, 65536, 10**9])
def test_close_code_that_does_not_fit_is_refused(code):
    with pytest.raises(ProtocolError):
        Close(code, "").serialize()


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_close_is_parsed_from_anything_bytes_like(kind):
    assert Close.parse(kind(b"\x03\xe8bye")) == Close(1000, "bye")


def test_close_is_parsed_from_a_view_that_is_not_of_bytes():
    assert Close.parse(memoryview(array.array("H", b"\x03\xe8by"))) == Close(1000, "by")
    assert Close.parse(memoryview(b"\x03X\xe8XbX")[::2]) == Close(1000, "b")


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_empty_close_frame_stands_for_no_code(kind):
    assert Close.parse(kind(b"")) == Close(1005, "")


def test_close_frame_with_half_a_code_is_refused():
    with pytest.raises(ProtocolError) as raised:
        Close.parse(b"\x03")
    assert str(raised.value) == "close frame too short"


@pytest.mark.parametrize("reason", [b"\xff", b"caf\xc3", b"\xed\xa0\x80", b"\xc0\x80"])
def test_close_reason_that_is_not_utf8_is_refused(reason):
    with pytest.raises(UnicodeDecodeError):
        Close.parse(b"\x03\xe8" + reason)
