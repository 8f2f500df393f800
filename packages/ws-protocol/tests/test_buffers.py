import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ws_protocol import buffers
from ws_protocol.buffers import PieceBuffer, keep_memory

# Around what is copied at once and what isn't, whatever the threshold is.
SIZES = st.one_of(st.integers(0, 10), st.integers(1000, 10_000))
TYPES = st.sampled_from([bytes, bytearray, memoryview])


def test_new_buffer_is_empty():
    buffer = PieceBuffer()
    assert buffer.size == 0
    assert buffer.take() == b""


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("size", [0, 1, 100, 4095, 4096, 100_000])
def test_buffer_returns_a_piece_as_bytes(size, wrap):
    data = bytes(i % 251 for i in range(size))
    buffer = PieceBuffer()
    buffer.append(wrap(data))
    assert buffer.size == size
    taken = buffer.take()
    assert type(taken) is bytes
    assert taken == data


def test_buffer_starts_again_after_take():
    buffer = PieceBuffer()
    buffer.append(b"spam")
    buffer.append(bytes(5000))
    assert buffer.take() == b"spam" + bytes(5000)
    assert buffer.size == 0
    assert buffer.take() == b""
    buffer.append(b"eggs")
    assert buffer.size == 4
    assert buffer.take() == b"eggs"


def test_buffer_does_not_change_what_it_is_given():
    pieces = [bytearray(b"small"), bytearray(5000), bytearray(b"small again")]
    buffer = PieceBuffer()
    for piece in pieces:
        buffer.append(piece)
    buffer.take()
    assert pieces == [b"small", bytes(5000), b"small again"]


def test_small_pieces_after_a_large_bytearray_leave_it_alone():
    large = bytearray(5000)
    buffer = PieceBuffer()
    buffer.append(large)
    buffer.append(b"small")
    assert len(large) == 5000
    assert buffer.take() == bytes(5000) + b"small"


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(st.tuples(SIZES, st.integers(0, 255), TYPES), max_size=20))
def test_buffer_keeps_all_pieces_in_order(pieces):
    buffer = PieceBuffer()
    expected = b""
    for size, byte, wrap in pieces:
        data = bytes([byte]) * size
        buffer.append(wrap(data))
        expected += data
        assert buffer.size == len(expected)
    assert buffer.take() == expected


def test_many_small_pieces_cost_no_more_than_a_few_times_their_bytes(traced):
    data = memoryview(bytes(20_000))
    buffer = PieceBuffer()
    with traced() as memory:
        for i in range(0, len(data), 2):
            buffer.append(data[i : i + 2])
        _, peak = memory()
    assert buffer.size == len(data)
    assert peak < 4 * len(data)


def test_large_pieces_are_not_copied_before_the_end(traced):
    pieces = [bytes(100_000) for _ in range(10)]
    buffer = PieceBuffer()
    with traced() as memory:
        for piece in pieces:
            buffer.append(piece)
        _, peak = memory()
    assert buffer.take() == bytes(1_000_000)
    assert peak < 100_000


def test_large_block_is_returned_to_the_c_library_once_a_process(traced, monkeypatch):
    with traced() as get_traced_memory:
        keep_memory()
        assert get_traced_memory()[1] < 2**20
        monkeypatch.setattr(buffers, "_kept", False)
        keep_memory()
        assert get_traced_memory()[0] < 2**20
        assert get_traced_memory()[1] >= 2**24
