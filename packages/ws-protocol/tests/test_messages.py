import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws_protocol.exceptions import ConcurrencyError
from ws_protocol.frames import Frame, Opcode
from ws_protocol.messages import Assembler

TEXT = [
    Frame(Opcode.TEXT, b"caf\xc3", fin=False),
    Frame(Opcode.CONT, b"", fin=False),
    Frame(Opcode.CONT, b"\xa9"),
]
BINARY = [Frame(Opcode.BINARY, b"\xff", fin=False), Frame(Opcode.CONT, b"\xfe")]


def assembler_of(*frames, **kwargs):
    assembler = Assembler(**kwargs)
    for frame in frames:
        assembler.put(frame)
    return assembler


def fragments_of(assembler, decode=None):
    fragments = []
    while True:
        fragment, fin = assembler.get_fragment(decode)
        fragments.append(fragment)
        if fin:
            return fragments


# Whole messages


def test_empty_assembler_has_nothing():
    assembler = Assembler()
    assert assembler.get_message() is None
    assert assembler.get_fragment() is None
    assert assembler.complete == 0


@pytest.mark.parametrize(
    "frames, message",
    [
        ([Frame(Opcode.TEXT, "café".encode())], "café"),
        ([Frame(Opcode.TEXT, b"")], ""),
        ([Frame(Opcode.BINARY, b"\xff")], b"\xff"),
        ([Frame(Opcode.BINARY, b"")], b""),
        (TEXT, "café"),
        (BINARY, b"\xff\xfe"),
        ([Frame(Opcode.BINARY, b"", fin=False), Frame(Opcode.CONT, b"")], b""),
        (
            [Frame(Opcode.TEXT, b"a" * 5000, fin=False), Frame(Opcode.CONT, b"b" * 5000)],
            "a" * 5000 + "b" * 5000,
        ),
    ],
)
def test_message_is_taken_out_whole(frames, message):
    assembler = Assembler()
    for frame in frames[:-1]:
        assembler.put(frame)
        assert assembler.get_message() is None
        assert assembler.complete == 0
    assembler.put(frames[-1])
    assert assembler.complete == 1
    assert assembler.get_message() == message
    assert assembler.complete == 0
    assert assembler.get_message() is None


def test_messages_are_taken_out_in_order():
    assembler = assembler_of(
        Frame(Opcode.TEXT, b"1"), *BINARY, *TEXT, Frame(Opcode.BINARY, b"4"), TEXT[0]
    )
    assert assembler.complete == 4
    assert [assembler.get_message() for _ in range(5)] == ["1", b"\xff\xfe", "café", b"4", None]


DECODED = [
    # A frame, decode, and what comes of it.
    (Frame(Opcode.TEXT, b"a"), None, "a"),
    (Frame(Opcode.TEXT, b"a"), True, "a"),
    (Frame(Opcode.TEXT, b"a"), False, b"a"),
    (Frame(Opcode.BINARY, b"a"), None, b"a"),
    (Frame(Opcode.BINARY, b"a"), True, "a"),
    (Frame(Opcode.BINARY, b"a"), False, b"a"),
]


@pytest.mark.parametrize("frame, decode, expected", DECODED)
def test_message_is_decoded_as_told(frame, decode, expected):
    assert assembler_of(frame).get_message(decode) == expected


@pytest.mark.parametrize("frame, decode, expected", DECODED)
def test_fragmented_message_is_decoded_as_told(frame, decode, expected):
    first = Frame(frame.opcode, frame.data, fin=False)
    assembler = assembler_of(first, Frame(Opcode.CONT, b"a"))
    assert assembler.get_message(decode) == expected * 2


@pytest.mark.parametrize("frame, decode, expected", DECODED)
def test_fragments_are_decoded_as_told(frame, decode, expected):
    first = Frame(frame.opcode, frame.data, fin=False)
    assembler = assembler_of(first, Frame(Opcode.CONT, b"a"))
    assert assembler.get_fragment(decode) == (expected, False)
    assert assembler.get_fragment(decode) == (expected, True)


@pytest.mark.parametrize("kind", [bytearray, memoryview])
@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
def test_message_is_bytes_or_str_whatever_the_frames_have(opcode, kind):
    # Extensions may make other things than bytes.
    whole = Frame(opcode, kind(b"ab"))
    halves = [Frame(opcode, kind(b"a"), fin=False), Frame(Opcode.CONT, kind(b"b"))]
    expected = "ab" if opcode is Opcode.TEXT else b"ab"
    for frames in ([whole], halves):
        message = assembler_of(*frames).get_message()
        assert message == expected
        assert type(message) is type(expected)
    fragment, _ = assembler_of(whole).get_fragment()
    assert type(fragment) is type(expected)


@pytest.mark.parametrize("frames", [[Frame(Opcode.BINARY, b"\xff\xfe")], BINARY])
def test_binary_message_that_is_not_text_is_taken_out_when_decoding_fails(frames):
    assembler = assembler_of(*frames, Frame(Opcode.TEXT, b"next"))
    with pytest.raises(UnicodeDecodeError):
        assembler.get_message(decode=True)
    assert assembler.complete == 1
    assert assembler.get_message() == "next"


# Messages that are put in as such


def message_of(frame):
    return frame.data.decode() if frame.opcode is Opcode.TEXT else frame.data


@pytest.mark.parametrize("frame, decode, expected", DECODED)
def test_message_that_is_put_in_as_such_is_decoded_as_told(frame, decode, expected):
    assembler = assembler_of(message_of(frame), message_of(frame))
    assert assembler.complete == 2
    assert assembler.get_message(decode) == expected
    assert assembler.get_fragment(decode) == (expected, True)
    assert assembler.complete == 0
    assert assembler.get_message(decode) is None


@pytest.mark.parametrize("take", ["get_message", "get_fragment"])
def test_message_put_in_as_such_is_taken_out_when_decoding_fails(take):
    assembler = assembler_of(b"\xff", "next")
    with pytest.raises(UnicodeDecodeError):
        getattr(assembler, take)(decode=True)
    assert assembler.complete == 1
    assert assembler.get_message() == "next"


PUT = [
    ["a", b"b", "c"],
    ["a", *BINARY, "b", Frame(Opcode.TEXT, b"c")],
    [BINARY[0]],
    [BINARY[1], "a", TEXT[0]],
    [],
]


@pytest.mark.parametrize("joining", [False, True])
@pytest.mark.parametrize("high", [None, 1, 2, 3, 5])
def test_several_are_put_in_as_each_alone_is(high, joining):
    alone, together = Assembler(high=high), Assembler(high=high)
    alone.joining = together.joining = joining
    for frames in PUT:
        for frame in frames:
            alone.put(frame)
        together.put_all(frames)
        assert together.frames == alone.frames
        assert together.complete == alone.complete
        assert together.paused is alone.paused
    for _ in range(7):
        assert together.get_message() == alone.get_message()
        assert together.paused is alone.paused


def test_message_put_in_as_such_waits_behind_the_fragments_before_it():
    assembler = assembler_of(*TEXT, "next")
    assert assembler.get_fragment() == ("caf", False)
    with pytest.raises(ConcurrencyError):
        assembler.get_message()
    assert fragments_of(assembler) == ["", "é"]
    assert assembler.get_message() == "next"


# Fragments


def test_fragments_are_taken_out_as_they_come():
    assembler = Assembler()
    for frame in BINARY:
        assert assembler.get_fragment() is None
        assembler.put(frame)
        assert assembler.get_fragment() == (frame.data, frame.fin)
    assert assembler.get_fragment() is None


def test_unfragmented_message_has_one_fragment():
    assembler = assembler_of(Frame(Opcode.TEXT, b"a"), Frame(Opcode.BINARY, b"b"))
    assert assembler.get_fragment() == ("a", True)
    assert assembler.get_fragment() == (b"b", True)


def test_character_across_fragments_comes_with_its_last_byte():
    assert fragments_of(assembler_of(*TEXT)) == ["caf", "", "é"]
    assert fragments_of(assembler_of(*TEXT), decode=False) == [b"caf\xc3", b"", b"\xa9"]


def test_character_across_fragments_of_a_binary_message():
    frames = [Frame(Opcode.BINARY, b"\xc3", fin=False), Frame(Opcode.CONT, b"\xa9")]
    assert fragments_of(assembler_of(*frames), decode=True) == ["", "é"]


@pytest.mark.parametrize(
    "frames",
    [
        [Frame(Opcode.BINARY, b"\xff")],
        [Frame(Opcode.BINARY, b"\xc3")],
        [Frame(Opcode.BINARY, b"\xc3", fin=False), Frame(Opcode.CONT, b"")],
        [Frame(Opcode.BINARY, b"\xc3", fin=False), Frame(Opcode.CONT, b"a")],
    ],
)
def test_fragments_of_a_binary_message_that_is_not_text_cannot_be_decoded(frames):
    assembler = assembler_of(*frames, Frame(Opcode.TEXT, "é".encode()))
    with pytest.raises(UnicodeDecodeError):
        fragments_of(assembler, decode=True)
    assert assembler.get_message() == "é"


def test_half_a_character_does_not_get_into_the_next_message():
    # The rest is taken out as bytes, by somebody who wants to be done with it.
    assembler = assembler_of(*TEXT, Frame(Opcode.TEXT, b"next"))
    assert assembler.get_fragment() == ("caf", False)
    assert assembler.get_fragment(decode=False) == (b"", False)
    assert assembler.get_fragment(decode=False) == (b"\xa9", True)
    assert assembler.get_fragment() == ("next", True)


def test_half_a_character_does_not_get_into_what_follows_invalid_text():
    frames = [
        Frame(Opcode.BINARY, b"\xc3", fin=False),
        Frame(Opcode.CONT, b"\xff", fin=False),
        Frame(Opcode.CONT, b"\xa9"),
    ]
    assembler = assembler_of(*frames)
    assert assembler.get_fragment(decode=True) == ("", False)
    for _ in range(2):
        with pytest.raises(UnicodeDecodeError):
            assembler.get_fragment(decode=True)
    assert assembler.get_fragment() is None


# Messages and fragments


def test_message_cannot_be_taken_out_after_some_of_its_fragments():
    assembler = assembler_of(*TEXT, Frame(Opcode.TEXT, b"next"))
    assembler.get_fragment()
    for _ in range(2):
        with pytest.raises(ConcurrencyError) as raised:
            assembler.get_message()
        assert str(raised.value) == (
            "cannot receive a message while the fragments of one are received; "
            "the rest of them must be received first"
        )
        assembler.get_fragment()
    assert assembler.get_message() == "next"


def test_message_cannot_be_taken_out_while_the_rest_of_one_is_missing():
    assembler = assembler_of(TEXT[0])
    assembler.get_fragment()
    with pytest.raises(ConcurrencyError):
        assembler.get_message()


def test_reader_that_is_interrupted_loses_nothing():
    # Somebody waits for a message, then somebody else wants it in fragments.
    assembler = Assembler()
    assembler.joining = True
    assert assembler.get_message() is None
    assembler.put(TEXT[0])
    assembler.put(TEXT[1])
    assembler.joining = False
    assembler.put(TEXT[2])
    assert assembler.get_fragment() == ("caf", False)
    assert assembler.get_fragment() == ("é", True)


@pytest.mark.parametrize("interruptions", list(itertools.product([False, True], repeat=3)))
def test_message_is_whole_whenever_its_reader_is_interrupted(interruptions):
    assembler = Assembler()
    for frame, interruption in zip(TEXT, interruptions, strict=True):
        assert assembler.get_message() is None
        assembler.joining = interruption
        assembler.put(frame)
    assembler.joining = False
    assert assembler.get_message() == "café"


@pytest.mark.parametrize("first, decoded", [(TEXT[0], "abc"), (BINARY[0], b"abc")])
def test_fragments_joined_in_a_message_that_is_taken_out_in_fragments_keep_its_kind(first, decoded):
    first = Frame(first.opcode, b"", fin=False)
    assembler = assembler_of(first)
    assembler.get_fragment()
    assembler.joining = True
    assembler.put(Frame(Opcode.CONT, b"a", fin=False))
    assembler.put(Frame(Opcode.CONT, b"bc", fin=False))
    assert assembler.get_fragment() == (decoded, False)


def test_fragments_joined_for_an_interrupted_reader_come_as_one():
    frames = [Frame(Opcode.BINARY, b"a", fin=False), Frame(Opcode.CONT, b"b", fin=False)]
    assembler = assembler_of(*frames)
    assert assembler.get_message() is None
    assembler.put(Frame(Opcode.CONT, b"c", fin=False))
    assembler.put(Frame(Opcode.CONT, b"d"))
    assert fragments_of(assembler) == [b"ab", b"c", b"d"]


# Watermarks


@pytest.mark.parametrize(
    "high, low, message",
    [
        (4, -1, "low must be at least 0, got -1"),
        (-1, None, "low must be at least 0, got -1"),
        (4, 5, "high must be at least low, got high=4 and low=5"),
        (-1, 0, "high must be at least low, got high=-1 and low=0"),
    ],
)
def test_impossible_watermarks_are_refused(high, low, message):
    with pytest.raises(ValueError, match="must be at least") as raised:
        Assembler(high, low)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    "high, low", [(0, 0), (1, 0), (1, 1), (4, None), (5, None), (16, 4), (16, 16)]
)
def test_reading_is_paused_above_high_and_resumed_at_low(high, low):
    assembler = Assembler(high, low)
    if low is None:
        low = high // 4
    for _ in range(2):
        for _ in range(high):
            assembler.put(Frame(Opcode.BINARY, b""))
            assert not assembler.paused
        assembler.put(Frame(Opcode.BINARY, b""))
        assert assembler.paused
        while len(assembler.frames) > low:
            assert assembler.paused
            assembler.get_message()
        assert not assembler.paused
        while assembler.get_message() is not None:
            assert not assembler.paused


@pytest.mark.parametrize("low", [None, 3, -1])
def test_without_a_limit_reading_is_never_paused(low):
    assembler = assembler_of(*[Frame(Opcode.BINARY, b"")] * 1000, high=None, low=low)
    assert not assembler.paused
    assert len(assembler.frames) == 1000


def test_fragments_count_as_frames():
    assembler = assembler_of(TEXT[0], TEXT[1], high=2, low=0)
    assert not assembler.paused
    assembler.put(TEXT[2])
    assert assembler.paused
    for _ in range(2):
        assembler.get_fragment()
        assert assembler.paused
    assembler.get_fragment()
    assert not assembler.paused


def test_message_taken_out_resumes_reading():
    assembler = assembler_of(*TEXT, high=2, low=0)
    assert assembler.get_message() == "café"
    assert not assembler.paused


@pytest.mark.parametrize("waiting", [0, 3])
def test_message_of_more_fragments_than_high_is_completed(waiting):
    # Somebody asks for it before it comes, or when reading is paused already.
    assembler = Assembler(high=2, low=0)
    frames = [
        Frame(Opcode.BINARY, b"0", fin=False),
        *[Frame(Opcode.CONT, b"%d" % i, fin=False) for i in range(1, 10)],
        Frame(Opcode.CONT, b"end"),
    ]
    for frame in frames[:waiting]:
        assembler.put(frame)
    assert assembler.paused is (waiting == 3)
    assert assembler.get_message() is None
    assembler.joining = True
    assert not assembler.paused
    for frame in frames[waiting:]:
        assembler.put(frame)
        assert not assembler.paused
    assembler.joining = False
    assert assembler.get_message() == b"0123456789end"


def test_only_the_message_that_is_waited_for_is_joined():
    assembler = Assembler(high=2, low=0)
    assembler.joining = True
    for frame in [*BINARY, *TEXT]:
        assert not assembler.paused
        assembler.put(frame)
        if frame is TEXT[1]:
            break
    assert assembler.paused
    assert assembler.get_message() == b"\xff\xfe"
    assembler.put(TEXT[2])
    assert assembler.get_message() == "café"


def test_small_fragments_take_no_more_memory_than_their_payload_when_joined(traced):
    assembler = Assembler()
    assembler.joining = True
    assembler.put(Frame(Opcode.BINARY, b"a", fin=False))
    with traced() as memory:
        for _ in range(20_000):
            assembler.put(Frame(Opcode.CONT, b"a", fin=False))
        size, _ = memory()
    assert size < 100_000
    assert len(assembler.frames) == 0


# All together

MESSAGES = st.lists(
    st.tuples(st.booleans(), st.lists(st.text(max_size=5), min_size=1, max_size=4)), max_size=6
)


@pytest.mark.slow
@given(messages=MESSAGES, data=st.data())
def test_what_is_put_in_comes_out_in_order(messages, data):
    frames = []
    expected = []
    for text, texts in messages:
        payload = "".join(texts).encode()
        expected.append(payload.decode() if text else payload)
        # Cut anywhere, also in a character.
        cuts = data.draw(st.lists(st.integers(0, len(payload)), max_size=3).map(sorted))
        pieces = [payload[i:j] for i, j in zip([0, *cuts], [*cuts, None], strict=True)]
        for number, piece in enumerate(pieces, 1):
            opcode = Opcode.TEXT if text else Opcode.BINARY
            if number > 1:
                opcode = Opcode.CONT
            frames.append(Frame(opcode, piece, fin=number == len(pieces)))

    assembler = Assembler(high=data.draw(st.integers(0, 4) | st.none()))
    received = []
    streamed = None

    def take():
        nonlocal streamed
        if streamed is None and data.draw(st.booleans()):
            message = assembler.get_message()
            if message is not None:
                received.append(message)
            return message is not None
        fragment = assembler.get_fragment()
        if fragment is None:
            return False
        piece, fin = fragment
        streamed = piece if streamed is None else streamed + piece
        if fin:
            received.append(streamed)
            streamed = None
        return True

    for frame in frames:
        assembler.joining = data.draw(st.booleans())
        assembler.put(frame)
        if data.draw(st.booleans()):
            take()
    while take():
        pass
    assert received == expected
    assert not assembler.paused
    assert assembler.complete == 0
