"""Both forms of the kernel, one against the other, and how one is selected."""

import collections
import importlib
import importlib.util
import itertools
import logging
import os
import subprocess
import sys
import tracemalloc
import types

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ws_protocol import _pure, kernel
from ws_protocol.exceptions import PayloadTooBig, ProtocolError, TooManyFragments
from ws_protocol.frames import Frame, Opcode
from ws_protocol.reader import FrameReader

COMPILED = "ws_protocol._compiled"
MASK = b"\x01\x80\xff\x5a"

if importlib.util.find_spec(COMPILED) is None:
    FORMS = [_pure]
else:
    FORMS = [_pure, importlib.import_module(COMPILED)]


@pytest.fixture(params=FORMS, ids=lambda form: form.__name__.rpartition("_")[2])
def form(request):
    return request.param


def mask_naively(data, mask):
    """Mask as RFC 6455, section 5.3, puts it."""
    return bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))


def read(
    form,
    data,
    *,
    pos=0,
    end=None,
    until=sys.maxsize,
    limit=sys.maxsize,
    masked=False,
    max_size=1000,
    decode=None,
):
    messages = []
    end = len(data) if end is None else end
    pos = form.read_messages(data, pos, end, until, limit, masked, max_size, decode, messages)
    return pos, messages


# Masking

# Where loops over words of some size begin and end.
SIZES = [*range(70), 125, 126, 127, 128, 1000, 65535, 65536, 100_001]


@pytest.mark.parametrize("size", SIZES)
def test_masking_gives_what_a_naive_loop_gives(form, size):
    data = bytes(i % 253 for i in range(size))
    assert form.apply_mask(data, MASK) == mask_naively(data, MASK)


@pytest.mark.parametrize("offset", range(9))
def test_data_to_mask_may_lie_anywhere_in_memory(form, offset):
    data = bytes(range(100))
    view = memoryview(data)[offset:]
    assert form.apply_mask(view, MASK) == mask_naively(data[offset:], MASK)


@pytest.mark.parametrize("wrap_mask", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("wrap_data", [bytes, bytearray, memoryview])
def test_masking_takes_what_is_bytes_like_by_name_too(form, wrap_data, wrap_mask):
    masked = form.apply_mask(data=wrap_data(b"Hello"), mask=wrap_mask(MASK))
    assert type(masked) is bytes
    assert masked == mask_naively(b"Hello", MASK)


@pytest.mark.parametrize("mask", [b"", b"\1\2\3", b"\1\2\3\4\5"])
def test_masking_key_has_four_bytes(form, mask):
    with pytest.raises(ValueError, match="mask must contain 4 bytes"):
        form.apply_mask(b"Hello", mask)


@pytest.mark.parametrize("arguments", [("a", MASK), (b"a", None), (b"a",), (b"a", MASK, 1)])
def test_masking_refuses_other_arguments(form, arguments):
    with pytest.raises(TypeError):
        form.apply_mask(*arguments)


# Frames built

LENGTHS = {0: b"\x00", 125: b"\x7d", 126: b"\x7e\x00\x7e", 65535: b"\x7e\xff\xff"}
LENGTHS[65536] = b"\x7f\x00\x00\x00\x00\x00\x01\x00\x00"


@pytest.mark.parametrize("size", LENGTHS)
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_frame_is_header_and_payload(form, size, kind):
    payload = b"\xa5" * size
    assert form.build_frame(0x82, kind(payload), None) == b"\x82" + LENGTHS[size] + payload


@pytest.mark.parametrize("size", LENGTHS)
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_masked_frame_has_its_key_and_a_masked_payload(form, size, kind):
    payload = b"\xa5" * size
    length = bytes([LENGTHS[size][0] | 0x80]) + LENGTHS[size][1:]
    frame = form.build_frame(0x82, kind(payload), MASK)
    assert frame == b"\x82" + length + MASK + mask_naively(payload, MASK)


@pytest.mark.parametrize("head", [-1, 256])
def test_first_byte_of_a_frame_is_a_byte(form, head):
    with pytest.raises(ValueError, match=r"range\(0, 256\)"):
        form.build_frame(head, b"", None)


@pytest.mark.parametrize(
    "arguments",
    [(0x81, "a", None), (0x81, b"a", 1), (0x81, b"a"), (0x81, b"a", None, 1), ("a", b"a", None)],
)
def test_frame_is_built_of_nothing_else(form, arguments):
    with pytest.raises(TypeError):
        form.build_frame(*arguments)


# Messages read

WHOLE = {
    "text": (0x81, b"hello", "hello"),
    "text of one character": (0x81, b"a", "a"),
    "empty text": (0x81, b"", ""),
    "text in the upper half of Latin-1": (0x81, "é".encode(), "é"),
    "text of all lengths": (0x81, "aé€𝄞".encode() * 20, "aé€𝄞" * 20),
    "long ASCII text": (0x81, b"a" * 200, "a" * 200),
    "ASCII text with an end that isn't": (0x81, b"a" * 33 + "é".encode(), "a" * 33 + "é"),
    "binary": (0x82, b"\x00\xff\xfe", b"\x00\xff\xfe"),
    "empty binary": (0x82, b"", b""),
    "125 bytes": (0x82, b"\xff" * 125, b"\xff" * 125),
    "126 bytes": (0x82, b"\xff" * 126, b"\xff" * 126),
    "65535 bytes": (0x82, b"\xff" * 65535, b"\xff" * 65535),
    "65536 bytes": (0x82, b"\xff" * 65536, b"\xff" * 65536),
}


@pytest.fixture(params=[None, MASK], ids=["not masked", "masked"])
def mask(request):
    return request.param


@pytest.mark.parametrize("head, payload, message", WHOLE.values(), ids=WHOLE)
def test_whole_message_is_read(form, mask, head, payload, message):
    data = form.build_frame(head, payload, mask)
    pos, messages = read(form, data, masked=mask is not None, max_size=len(payload))
    assert messages == [message]
    assert type(messages[0]) is type(message)
    assert pos == len(data)


def test_all_messages_of_a_chunk_are_read_and_added(form, mask):
    frames = [form.build_frame(head, payload, mask) for head, payload, _ in WHOLE.values()]
    messages = ["before"]
    data = b"skipped" + b"".join(frames)
    end = len(data)
    pos = form.read_messages(data, 7, end, end, 99, mask is not None, 10**6, None, messages)
    assert messages == ["before", *(message for _, _, message in WHOLE.values())]
    assert pos == len(data)


OTHERS = {
    "first fragment": (0x01, b"a"),
    "last fragment": (0x80, b"a"),
    "fragment": (0x00, b"a"),
    "close": (0x88, b""),
    "ping": (0x89, b""),
    "pong": (0x8A, b""),
    "unknown opcode": (0x83, b""),
    "rsv1": (0xC1, b"a"),
    "rsv2": (0xA1, b"a"),
    "rsv3": (0x92, b"a"),
    "too large": (0x82, b"a" * 1001),
    "much too large": (0x82, b"a" * 65536),
    "not UTF-8": (0x81, b"a\xff"),
    "character cut": (0x81, b"a" * 40 + b"\xe2\x82"),
    "surrogate": (0x81, b"\xed\xa0\x80"),
}


@pytest.mark.parametrize("head, payload", OTHERS.values(), ids=OTHERS)
def test_reading_stops_at_what_is_not_a_whole_message(form, mask, head, payload):
    first = form.build_frame(0x81, b"first", mask)
    other = form.build_frame(head, payload, mask)
    data = first + other + first
    assert read(form, data, masked=mask is not None) == (len(first), ["first"])


@pytest.mark.parametrize("payload", [b"", b"abc", b"a" * 200])
def test_messages_with_rsv1_are_decoded(form, mask, payload):
    heads = (0xC1, 0x82, 0xC2)
    data = b"".join(form.build_frame(head, payload, mask) for head in heads)
    pos, messages = read(form, data, masked=mask is not None, decode=lambda *args: args)
    assert messages == [(0xC1, payload), payload, (0xC2, payload)]
    assert pos == len(data)


def test_reading_raises_what_decoding_raises(form):
    def decode(head, payload):
        raise LookupError(head, payload)

    messages = []
    data = form.build_frame(0x82, b"first", None) + form.build_frame(0xC1, b"a", None)
    with pytest.raises(LookupError) as raised:
        form.read_messages(data, 0, len(data), len(data), 9, False, 1000, decode, messages)
    assert raised.value.args == (0xC1, b"a")
    assert messages == [b"first"]


@pytest.mark.parametrize("head", [0x41, 0x42, 0xC0, 0xC8, 0xC9, 0xE1, 0xF2, 0xC3])
def test_nothing_else_is_decoded(form, mask, head):
    data = form.build_frame(head, b"a", mask)
    assert read(form, data, masked=mask is not None, decode=lambda *args: args) == (0, [])


@pytest.mark.parametrize("size", [0, 5, 126, 65536])
def test_reading_stops_at_an_incomplete_frame(form, mask, size):
    first = form.build_frame(0x81, b"first", mask)
    frame = form.build_frame(0x82, bytes(size), mask)
    for end in [*range(min(20, len(frame))), len(frame) - 1]:
        data = first + frame[:end]
        pos, messages = read(form, data, masked=mask is not None, max_size=10**6)
        assert (pos, messages) == (len(first), ["first"])


@pytest.mark.parametrize("masked", [True, False])
def test_reading_stops_at_incorrect_masking(form, masked):
    data = form.build_frame(0x81, b"hello", None if masked else MASK)
    assert read(form, data, masked=masked) == (0, [])


@pytest.mark.parametrize(
    "length",
    [
        b"\x7e\x00\x7d",
        b"\x7f\x00\x00\x00\x00\x00\x00\xff\xff",
        b"\x7f\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\x7f\x80\x00\x00\x00\x00\x00\x00\x00",
        b"\x7f\xff\xff\xff\xff\xff\xff\xff\xff",
    ],
)
def test_reading_stops_at_a_length_that_is_not_minimal_or_not_there(form, length):
    data = b"\x82" + length + bytes(70000)
    assert read(form, data, max_size=sys.maxsize) == (0, [])


def test_nothing_is_read_after_the_end(form):
    assert read(form, b"\x81\x00", pos=2) == (2, [])
    assert read(form, b"") == (0, [])


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_chunk_may_be_the_start_of_something_longer(form, mask, kind):
    frame = form.build_frame(0x82, b"binary", mask)
    data = kind(frame * 3)
    for end in range(len(frame), 2 * len(frame)):
        assert read(form, data, end=end, masked=mask is not None) == (len(frame), [b"binary"])
    _, messages = read(form, data, masked=mask is not None)
    assert messages == [b"binary"] * 3
    assert all(type(message) is bytes for message in messages)


def test_last_frame_that_is_read_begins_before_a_position(form, mask):
    frame = form.build_frame(0x81, b"text", mask)
    data = frame * 5
    for until in range(len(data) + 1):
        number = -(-until // len(frame))
        pos, messages = read(form, data, until=until, masked=mask is not None)
        assert (pos, messages) == (number * len(frame), ["text"] * number)


@pytest.mark.parametrize("limit", range(-1, 5))
def test_no_more_messages_are_read_than_the_limit(form, mask, limit):
    frame = form.build_frame(0x82, b"abc", mask)
    number = min(max(limit, 0), 3)
    pos, messages = read(form, frame * 3, masked=mask is not None, limit=limit)
    assert (pos, messages) == (number * len(frame), [b"abc"] * number)


@pytest.mark.parametrize("queue", [list, collections.deque])
def test_messages_are_added_to_a_list_or_a_deque(form, queue):
    messages = queue(["before"])
    data = form.build_frame(0x81, b"a", None) + form.build_frame(0x82, b"b", None)
    assert form.read_messages(data, 0, 6, 6, 9, False, 10, None, messages) == 6
    assert list(messages) == ["before", "a", b"b"]


def test_messages_before_one_that_cannot_be_decoded_are_added_to_a_deque(form):
    def decode(head, payload):
        raise LookupError

    messages = collections.deque()
    data = form.build_frame(0x82, b"first", None) + form.build_frame(0xC1, b"a", None)
    with pytest.raises(LookupError):
        form.read_messages(data, 0, len(data), len(data), 9, False, 1000, decode, messages)
    assert list(messages) == [b"first"]


def test_queue_may_refuse_messages(form):
    class Full(collections.deque):
        def extend(self, items):
            raise OverflowError

    data = form.build_frame(0x82, b"", None)
    with pytest.raises(OverflowError):
        form.read_messages(data, 0, 2, 2, 9, False, 1000, None, Full())
    with pytest.raises(AttributeError):
        form.read_messages(data, 0, 2, 2, 9, False, 1000, None, None)


@pytest.mark.parametrize("pos, end", [(3, 2), (-1, 2), (0, 3), (0, -1), (3, 3)])
def test_positions_must_be_in_the_data(form, pos, end):
    with pytest.raises(ValueError, match="pos and end must be in order, and in data"):
        read(form, b"\x81\x00", pos=pos, end=end)


# Payloads in pieces


def collect(form, payload, mask, pieces):
    """Give a payload, masked, to a buffer: pieces that are appended, or read into it."""
    buffer = form.PayloadBuffer(len(payload), mask)
    wire = form.apply_mask(payload, mask) if mask else payload
    pos = 0
    for size, appended in pieces:
        assert buffer.missing == len(payload) - pos
        if appended:
            piece = wire[pos : pos + size]
            buffer.append(piece)
            size = len(piece)
        elif buffer.missing:
            with buffer.get_buffer() as view:
                assert 0 < len(view) <= buffer.missing
                size = min(size, len(view))
                view[:size] = wire[pos : pos + size]
            buffer.advance(size)
        else:
            size = 0
        assert buffer.last == payload[pos : pos + size] or not size
        pos += size
    buffer.append(wire[pos:])
    assert buffer.missing == 0
    assert buffer.size == len(payload)
    return buffer.take()


@given(
    st.binary(min_size=1, max_size=300) | st.integers(1, 10**6).map(lambda size: b"ab\xff" * size),
    st.sampled_from([b"", MASK]),
    st.lists(st.tuples(st.integers(0, 200_000) | st.integers(0, 20), st.booleans())),
)
def test_payload_is_what_its_pieces_are(payload, mask, pieces):
    for form in FORMS:
        collected = collect(form, payload, mask, pieces)
        assert type(collected) is bytes
        assert collected == payload


@pytest.mark.parametrize("mask", [b"a", b"abc", b"abcde"])
def test_masking_key_of_a_payload_has_four_bytes_or_none(form, mask):
    with pytest.raises(ValueError, match="mask must contain 4 bytes"):
        form.PayloadBuffer(1, mask)


@pytest.mark.parametrize("arguments", [(), (1,), (1, b"", 2)])
def test_payload_is_collected_with_nothing_else(form, arguments):
    with pytest.raises(TypeError):
        form.PayloadBuffer(*arguments)
    with pytest.raises(TypeError):
        form.PayloadBuffer(1, b"", mask=b"")


def test_payload_does_not_get_more_than_its_size(form):
    buffer = form.PayloadBuffer(3, b"")
    with pytest.raises(ValueError, match="more bytes than are missing"):
        buffer.append(b"abcd")
    buffer.append(b"ab")
    with pytest.raises(ValueError, match="more bytes than are missing"):
        buffer.append(b"cd")
    with buffer.get_buffer() as view:
        assert len(view) == 1
        view[0] = ord("c")
    for size in (2, -1):
        with pytest.raises(ValueError, match="more bytes than are missing"):
            buffer.advance(size)
    with pytest.raises(TypeError):
        buffer.advance("a")
    with pytest.raises(TypeError):
        buffer.append("a")
    buffer.advance(1)
    with pytest.raises(ValueError, match="nothing is missing"):
        buffer.get_buffer()
    assert buffer.take() == b"abc"


def test_nothing_is_read_where_there_is_no_room(form):
    buffer = form.PayloadBuffer(10**6, b"")
    with pytest.raises(ValueError, match="more bytes than there was room for"):
        buffer.advance(1)
    with buffer.get_buffer() as view:
        room = len(view)
    with pytest.raises(ValueError, match="more bytes than there was room for"):
        buffer.advance(room + 1)


def test_payload_is_taken_once_and_whole(form):
    buffer = form.PayloadBuffer(2, b"")
    assert buffer.last == b""
    for piece in (b"a", b"b"):
        with pytest.raises(ValueError, match="the payload isn't whole"):
            buffer.take()
        buffer.append(piece)
    assert buffer.take() == b"ab"
    with pytest.raises(ValueError, match="the payload isn't whole"):
        buffer.take()


def test_payload_does_not_grow_while_what_is_read_into_is_in_use(form):
    buffer = form.PayloadBuffer(10**6, b"")
    with buffer.get_buffer() as view:
        size = len(view)
        with pytest.raises(BufferError):
            buffer.append(bytes(size + 1))
        view[:] = bytes(size)
        buffer.advance(size)
        with pytest.raises(BufferError):
            buffer.get_buffer()
    buffer.append(bytes(10**6 - size))
    assert buffer.take() == bytes(10**6)


def test_what_is_read_into_is_there_as_long_as_it_is_in_use(form):
    size = 60_000
    tracemalloc.start()
    try:
        buffer = form.PayloadBuffer(size, b"")
        view = buffer.get_buffer()
        view[:] = bytes(size)
        buffer.advance(size)
        assert len(buffer.take()) == size
        # The payload is gone. What is written now must not go to memory that is others'.
        assert tracemalloc.get_traced_memory()[0] > size
        view[:] = b"a" * size
        view.release()
        del buffer, view
        assert tracemalloc.get_traced_memory()[0] < size
    finally:
        tracemalloc.stop()


def test_room_is_made_for_what_arrives_and_not_for_what_is_announced(form):
    tracemalloc.start()
    try:
        buffer = form.PayloadBuffer(2**62, MASK)
        buffer.append(bytes(1000))
        _, small = tracemalloc.get_traced_memory()
        with buffer.get_buffer() as view:
            assert len(view) < 10**6
        _, large = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert small < 20_000
    assert large < 300_000


# Messages taken

FRAME = Frame(Opcode.TEXT, b"frame")


@pytest.mark.parametrize(
    "items, low, message",
    [
        ([], -1, None),
        (["a"], -1, "a"),
        ([b"a"], -1, b"a"),
        ([FRAME], -1, None),
        ([FRAME, "a"], -1, None),
        (["a", FRAME], -1, "a"),
        ([], 0, None),
        (["a"], 0, None),
        (["a", "b"], 0, "a"),
        (["a", "b"], 1, None),
        (["a", "b"], sys.maxsize, None),
        ([bytearray(b"a")], -1, None),
    ],
)
def test_message_is_taken_if_more_than_so_many_remain(form, items, low, message):
    frames = collections.deque(items)
    take = form.message_taker(frames, low)
    assert take() == message
    assert list(frames) == (items if message is None else items[1:])


def test_messages_are_taken_from_the_same_queue_as_long_as_they_are_there(form):
    frames = collections.deque()
    take = form.message_taker(frames, -1)
    for _ in range(3):
        assert take() is None
        frames.extend(["a", b"b"])
        assert [take(), take(), take()] == ["a", b"b", None]


@pytest.mark.parametrize(
    "items, expected",
    [([], True), (["a", b"b"], True), (["a", FRAME], False), ([bytearray()], False)],
)
def test_messages_are_told_from_frames(form, items, expected):
    assert form.are_messages(items) is expected


@pytest.mark.parametrize("name", ["message_taker", "are_messages", "read_messages"])
def test_other_arguments_are_refused(form, name):
    with pytest.raises(TypeError):
        getattr(form, name)(None, None, None)


# One against the other


def feed(form, chunks, masked, messages):
    """Give chunks to a reader that has one form of the kernel; return all that comes of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ws_protocol.reader.read_messages", form.read_messages)
        patch.setattr("ws_protocol.reader.apply_mask", form.apply_mask)
        patch.setattr("ws_protocol.reader.PayloadBuffer", form.PayloadBuffer)
        reader = FrameReader(
            masked=masked, max_message_size=300, max_fragment_size=None, max_fragments=5
        )
        frames = []
        try:
            for chunk in chunks:
                reader.feed(chunk, frames, messages)
        except Exception as exc:
            return frames, messages, type(exc), str(exc)
    return frames, messages, reader.closed, reader.describe_missing()


FRAMES = st.builds(
    _pure.build_frame,
    st.sampled_from([0x81, 0x81, 0x82, 0x82, 0x01, 0x02, 0x00, 0x80, 0x88, 0x89, 0x8A, 0xC1]),
    st.one_of(
        st.text().map(str.encode),
        st.text("ab", min_size=20, max_size=200).map(str.encode),
        st.binary(),
        st.integers(100, 400).map(bytes),
    ),
    st.sampled_from([None, MASK, MASK, bytes(4)]),
)
STREAMS = st.lists(st.one_of(FRAMES, FRAMES, FRAMES, st.binary(max_size=20))).map(b"".join)


@given(STREAMS, st.lists(st.integers(0, 500)), st.booleans(), st.booleans())
@example(b"\x81\x80\0\0\0\0\x82\x81\1\2\3\4\5", [], True, True)
def test_readers_with_either_form_give_the_same(data, cuts, masked, whole):
    cuts = [0, *sorted(cuts), len(data)]
    chunks = [data[start:stop] for start, stop in itertools.pairwise(cuts)]
    results = [feed(form, chunks, masked, [] if whole else None) for form in FORMS]
    assert results == [results[0]] * len(FORMS)


@given(STREAMS, st.lists(st.integers(0, 500)), st.booleans())
def test_messages_are_the_same_at_the_least_cost(data, cuts, masked):
    cuts = [0, *sorted(cuts), len(data)]
    chunks = [data[start:stop] for start, stop in itertools.pairwise(cuts)]
    reader = FrameReader(
        masked=masked, max_message_size=300, max_fragment_size=None, max_fragments=5
    )
    frames, messages = [], collections.deque()
    try:
        for chunk in chunks:
            size = len(chunk)
            pos = reader.read_messages(memoryview(chunk + b"rest"), size, size, 99, messages)
            rest = []
            try:
                assert reader.feed(chunk, frames, rest, pos) == size
            finally:
                messages += rest
        result = reader.closed, reader.describe_missing()
    except (ProtocolError, UnicodeDecodeError, PayloadTooBig, TooManyFragments) as exc:
        result = type(exc), str(exc)
    assert (frames, list(messages), *result) == feed(kernel, chunks, masked, [])


@given(STREAMS, st.integers(0, 500), st.booleans())
def test_chunk_can_be_read_bit_by_bit(data, step, masked):
    reader = FrameReader(
        masked=masked, max_message_size=300, max_fragment_size=None, max_fragments=5
    )
    frames, messages, pos = [], [], 0
    try:
        while pos < len(data):
            stop = reader.feed(data, frames, messages, pos, pos + step + 1)
            assert pos < stop <= len(data)
            pos = stop
        result = reader.closed, reader.describe_missing()
    except (ProtocolError, UnicodeDecodeError, PayloadTooBig, TooManyFragments) as exc:
        result = type(exc), str(exc)
    assert (frames, messages, *result) == feed(kernel, [data], masked, [])


@given(STREAMS, st.booleans())
def test_messages_are_those_that_the_frames_make(data, masked):
    frames, _, *ends = feed(kernel, [data], masked, None)
    others, messages, *same = feed(kernel, [data], masked, [])
    assert same == ends
    assert others == [frame for frame in frames if frame.opcode >= 8]
    made = []
    for message in messages:
        if isinstance(message, str):
            made.append(Frame(Opcode.TEXT, message.encode()))
        elif isinstance(message, bytes):
            made.append(Frame(Opcode.BINARY, message))
        else:
            made.append(message)
    assert made == [frame for frame in frames if frame.opcode < 8]


@given(st.binary(), st.integers(0, 255), st.none() | st.binary(min_size=4, max_size=4))
def test_either_form_builds_the_same_frames(payload, head, mask):
    frames = [form.build_frame(head, payload, mask) for form in FORMS]
    assert frames == [frames[0]] * len(FORMS)


# Which one


def test_kernel_in_use_is_the_one_that_it_says():
    form = importlib.import_module(COMPILED) if kernel.IMPLEMENTATION == "compiled" else _pure
    for name in _pure.__all__:
        assert getattr(kernel, name) is getattr(form, name)


@pytest.fixture
def compiled(monkeypatch):
    """Have something in the place of the compiled form, or an exception instead of it."""

    def compiled(form):
        def import_module(name):
            assert name == COMPILED
            if isinstance(form, Exception):
                raise form
            return form

        monkeypatch.setattr(importlib, "import_module", import_module)

    return compiled


NOT_THERE = ModuleNotFoundError("no module", name=COMPILED)
BROKEN = [ImportError("undefined symbol"), ModuleNotFoundError("no module", name="other")]


def test_compiled_form_is_used_where_it_is_there(compiled):
    form = types.ModuleType(COMPILED)
    compiled(form)
    assert kernel.select_implementation(None) is form
    assert kernel.select_implementation("compiled") is form
    assert kernel.select_implementation("pure") is _pure


def test_pure_form_is_used_where_there_is_no_other(compiled, caplog):
    compiled(NOT_THERE)
    assert kernel.select_implementation(None) is _pure
    assert not caplog.records


@pytest.mark.parametrize("exc", BROKEN)
def test_compiled_form_that_cannot_be_loaded_makes_a_warning(compiled, caplog, exc):
    compiled(exc)
    assert kernel.select_implementation(None) is _pure
    assert caplog.record_tuples == [
        (
            "websockets.kernel",
            logging.WARNING,
            f"compiled kernel can't be loaded, and the pure one is used: {exc}",
        )
    ]


@pytest.mark.parametrize("exc", [NOT_THERE, *BROKEN])
def test_compiled_form_that_is_demanded_must_be_there(compiled, exc):
    compiled(exc)
    with pytest.raises(ImportError) as raised:
        kernel.select_implementation("compiled")
    assert raised.value is exc


def test_there_is_no_third_form():
    with pytest.raises(ValueError, match="must be pure or compiled, got 'fast'"):
        kernel.select_implementation("fast")


@pytest.mark.slow
@pytest.mark.parametrize("wanted", ["pure", ""])
def test_environment_variable_selects_the_form(wanted):
    run = subprocess.run(
        [sys.executable, "-c", "from ws_protocol import kernel; print(kernel.IMPLEMENTATION)"],
        env={**os.environ, "WS_PROTOCOL_KERNEL": wanted},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == [wanted or ("pure" if len(FORMS) == 1 else "compiled")]


def test_form_in_use_is_logged_once(monkeypatch, caplog):
    monkeypatch.setattr(kernel, "_logged", False)
    caplog.set_level(logging.DEBUG, "websockets.kernel")
    kernel.log_implementation()
    kernel.log_implementation()
    assert caplog.messages == [f"kernel is {kernel.IMPLEMENTATION}"]


# A program in interpreters beside the main one: in one that shares its GIL, in one that doesn't.
INTERPRETERS = """
import sys
try:
    import _interpreters as interpreters
    configs = ["legacy", "isolated"]
except ImportError:
    import _xxsubinterpreters as interpreters
    configs = [False, True]

code = '''
from ws_protocol.frames import serialize_frame
from ws_protocol.reader import FrameReader

reader = FrameReader(
    masked=True, max_message_size=None, max_fragment_size=None, max_fragments=None
)
messages = []
data = serialize_frame(0x81, b"hello", True) * 100
for pos in range(0, len(data), 1000):
    reader.feed(data[pos : pos + 1000], [], messages)
assert messages == ["hello"] * 100
'''
exec(code)
for config in configs * 3:
    if isinstance(config, str):
        interpreter = interpreters.create(config)
    else:
        interpreter = interpreters.create(isolated=config)
    failure = interpreters.run_string(interpreter, code)
    assert failure is None, failure
    interpreters.destroy(interpreter)
exec(code)
"""


@pytest.mark.slow
@pytest.mark.skipif(
    sys.implementation.name != "cpython", reason="only CPython has more interpreters than one"
)
def test_interpreters_of_a_process_have_a_kernel_each():
    subprocess.run([sys.executable, "-c", INTERPRETERS], check=True)
