"""Tests of what is made beforehand, against what this project makes of it."""

import pytest
from counterpart import FrameCounter
from frames import BINARY, CLOSE, FIN, MASK, PING, make_close, make_frame, make_message, mask

from ws_protocol.frames import Opcode
from ws_protocol.protocol import Protocol, Side


def count_in_pieces(counter, data, size):
    return sum(counter.count(data[start : start + size]) for start in range(0, len(data), size))


@pytest.mark.parametrize("size", [0, 5, 125, 126, 65535, 65536])
@pytest.mark.parametrize("masked", [False, True])
def test_frames_are_what_a_protocol_receives(size, masked):
    payload = bytes(number % 251 for number in range(size))
    protocol = Protocol(Side.SERVER if masked else Side.CLIENT, max_size=None)
    protocol.receive_data(make_message(BINARY, payload, masked))
    (frame,) = protocol.events_received()
    assert (frame.opcode, bytes(frame.data)) == (Opcode.BINARY, payload)


def test_masking_twice_changes_nothing():
    assert mask(mask(b"Hello", MASK), MASK) == b"Hello"


@pytest.mark.parametrize("pieces", [1, 3, 7, 10**6])
@pytest.mark.parametrize("masked", [False, True])
def test_counter_counts_data_frames_however_they_are_cut(pieces, masked):
    messages = [make_message(BINARY, bytes(size), masked) for size in (0, 5, 126, 65536)]
    counter = FrameCounter()
    assert count_in_pieces(counter, b"".join(messages), pieces) == len(messages)
    assert not counter.closing


@pytest.mark.parametrize("pieces", [1, 10**6])
@pytest.mark.parametrize("masked", [False, True])
def test_counter_keeps_pings_and_sees_a_close_frame(pieces, masked):
    data = make_frame(FIN | PING, b"ping", masked) + make_message(BINARY, b"data", masked)
    counter = FrameCounter()
    assert count_in_pieces(counter, data, pieces) == 1
    assert counter.pings == [b"ping"]
    assert not counter.closing
    assert count_in_pieces(counter, make_close(masked), pieces) == 0
    assert counter.closing


def test_counter_takes_no_other_opcode_for_a_close_frame():
    counter = FrameCounter()
    counter.count(make_frame(FIN | CLOSE + 2, b"pong", True))
    assert not counter.closing
