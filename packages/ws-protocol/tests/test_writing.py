import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws_protocol.writing import TurnWriter

LARGE = bytes(65536)


class FakeTransport:
    """A transport that keeps what is written while it is blocked."""

    def __init__(self):
        self.writes = []
        self.closing = False
        self.blocked = False

    def write(self, data):
        assert data
        self.writes.append(data)

    def is_closing(self):
        return self.closing

    def get_write_buffer_size(self):
        return sum(map(len, self.writes)) if self.blocked else 0


class Turn:
    """A writer, its transport, and the end of a turn of the event loop.

    Something was sent since something arrived, unless said otherwise.
    """

    def __init__(self, limit=1000, answered=True):
        self.at_end = []
        self.writer = TurnWriter(self.at_end.append, limit)
        self.writer.answered = answered
        self.transport = self.writer.transport = FakeTransport()

    @property
    def writes(self):
        return self.transport.writes

    def end(self):
        assert len(self.at_end) <= 1
        for function in self.at_end:
            function()
        self.at_end.clear()


def test_first_of_a_turn_is_written_at_once_and_the_rest_together_when_it_ends():
    turn = Turn()
    for i in range(5):
        turn.writer.send([b"%d" % i], False)
    assert turn.writes == [b"0"]
    turn.end()
    assert turn.writes == [b"0", b"1234"]


def test_end_of_the_turn_is_awaited_once_two_were_sent_since_something_arrived():
    turn = Turn(answered=False)
    for _ in range(3):
        turn.writer.send([b"answer"], False)
        assert turn.at_end == []
        turn.writer.answered = False
    for i in range(5):
        turn.writer.send([b"%d" % i], False)
        assert len(turn.at_end) == min(i, 1)
    turn.end()
    assert turn.writes == [b"answer"] * 3 + [b"0", b"1", b"234"]


def test_first_of_a_turn_waits_if_more_is_likely_to_follow():
    turn = Turn()
    turn.writer.send([b"1"], True)
    turn.writer.send([b"2"], False)
    assert turn.writes == []
    turn.end()
    assert turn.writes == [b"12"]


def test_each_turn_begins_anew():
    turn = Turn()
    for i in range(3):
        turn.writer.send([b"%d first" % i], False)
        assert turn.writes[-1] == b"%d first" % i
        turn.writer.send([b"%d second" % i], False)
        turn.end()
        assert turn.writes[-1] == b"%d second" % i


def test_end_of_a_turn_in_which_nothing_was_joined_writes_nothing():
    turn = Turn()
    turn.writer.send([b"1"], False)
    turn.end()
    assert turn.writes == [b"1"]


def test_what_is_sent_alone_does_not_wait_for_the_end_of_the_turn():
    turn = Turn()
    turn.writer.send_alone([b"1"])
    turn.writer.send_alone([b"2"])
    assert turn.writes == [b"1", b"2"]
    assert turn.at_end == []


def test_what_is_sent_alone_stays_behind_what_was_joined_before():
    turn = Turn()
    turn.writer.send([b"1"], True)
    turn.writer.send_alone([b"2"])
    assert turn.writes == []
    turn.end()
    assert turn.writes == [b"12"]


def test_flush_writes_what_was_joined_and_what_follows_it():
    turn = Turn()
    turn.writer.send([b"1"], True)
    turn.writer.flush()
    assert turn.writes == [b"1"]
    turn.writer.send([b"2"], False)
    turn.writer.flush([b"3", b"4"])
    assert turn.writes == [b"1", b"234"]
    turn.writer.flush()
    turn.writer.flush([])
    turn.end()
    assert turn.writes == [b"1", b"234"]


def test_what_was_discarded_is_not_written():
    turn = Turn()
    turn.writer.send([b"1"], True)
    turn.writer.discard()
    turn.end()
    assert turn.writes == []


def test_closed_transport_is_left_alone():
    turn = Turn()
    turn.writer.send([b"1"], True)
    turn.transport.closing = True
    turn.end()
    assert turn.writes == []


def test_large_payload_is_not_copied():
    turn = Turn(10**6)
    turn.writer.send([b"header", LARGE], False)
    assert turn.writes == [b"header", LARGE]
    assert turn.writes[1] is LARGE


def test_rest_of_a_large_message_is_not_written_once_the_transport_is_closed():
    turn = Turn(10**6)
    write = turn.transport.write

    def write_and_close(data):
        write(data)
        turn.transport.closing = True

    turn.transport.write = write_and_close
    turn.writer.send([b"header", LARGE], False)
    assert turn.writes == [b"header"]


@pytest.mark.parametrize("limit", [0, 10, 50])
def test_what_is_joined_counts_as_waiting(limit):
    turn = Turn(limit)
    turn.transport.blocked = True
    for _ in range(limit):
        turn.writer.send([b"x"], True)
    assert turn.writes == []
    turn.writer.send([b"x"], True)
    assert turn.writes == [b"x" * (limit + 1)]
    # From now on, it is for the transport to have whoever sends wait.
    turn.writer.send([b"y"], True)
    assert turn.writes == [b"x" * (limit + 1), b"y"]


def test_what_waits_in_the_transport_leaves_less_room():
    turn = Turn(10)
    turn.transport.blocked = True
    turn.writer.send([b"x" * 8], False)
    turn.writer.send([b"y"], False)
    turn.writer.send([b"z"], False)
    assert turn.writes == [b"x" * 8]
    turn.writer.send([b"!"], False)
    assert turn.writes == [b"x" * 8, b"yz!"]


def test_room_is_measured_anew_in_each_turn():
    turn = Turn(10)
    turn.transport.blocked = True
    turn.writer.send([b"x" * 8], False)
    turn.writer.send([b"y"], False)
    turn.end()
    turn.transport.blocked = False
    turn.writer.send([b"x" * 10], True)
    assert turn.writes == [b"x" * 8, b"y"]
    turn.end()
    assert turn.writes == [b"x" * 8, b"y", b"x" * 10]


# Broadcasts, while the transport has enough


@pytest.mark.parametrize("method", ["send", "send_alone"])
def test_what_is_sent_while_the_transport_is_paused_waits_for_it(method):
    turn = Turn()
    arguments = [False] if method == "send" else []
    turn.writer.pause()
    for i in range(2000):
        getattr(turn.writer, method)([b"%04d" % i], *arguments)
    assert turn.at_end == []
    assert turn.writes == []
    assert turn.writer.get_buffer_size() == 8000
    turn.writer.resume()
    assert turn.writes == [b"".join(b"%04d" % i for i in range(2000))]
    assert turn.writer.get_buffer_size() == 0


def test_turn_that_ends_while_the_transport_is_paused_writes_nothing():
    turn = Turn()
    for i in range(3):
        turn.writer.send([b"%d" % i], False)
    turn.writer.pause()
    assert turn.writer.get_buffer_size() == 2
    turn.end()
    assert turn.writes == [b"0"]
    turn.writer.resume()
    assert turn.writes == [b"0", b"12"]


def test_transport_that_is_paused_again_gets_the_rest_later():
    turn = Turn()
    turn.writer.pause()
    for i in range(5):
        turn.writer.send_alone([b"%d" % i * 40_000])
    write = turn.transport.write

    def write_and_pause(data):
        write(data)
        turn.writer.pause()

    turn.transport.write = write_and_pause
    for size in (80_000, 160_000, 200_000):
        turn.writer.resume()
        assert sum(map(len, turn.writes)) == size
        assert turn.writer.get_buffer_size() == 200_000 - size
    assert b"".join(turn.writes) == b"".join(b"%d" % i * 40_000 for i in range(5))


def test_flush_writes_also_while_the_transport_is_paused():
    turn = Turn()
    turn.writer.pause()
    turn.writer.send_alone([b"a"])
    turn.writer.flush([b"b"])
    assert turn.writes == [b"ab"]
    assert turn.writer.get_buffer_size() == 0


ACTIONS = st.one_of(
    st.tuples(st.just("send"), st.booleans()),
    st.tuples(st.sampled_from(["send_alone", "flush", "flush with more", "end"])),
)


@given(st.lists(ACTIONS), st.integers(0, 20), st.booleans(), st.booleans())
def test_everything_leaves_in_order_and_no_more_waits_than_may(actions, limit, blocked, answered):
    turn = Turn(limit, answered)
    turn.transport.blocked = blocked
    sent = b""
    for name, *arguments in actions:
        data = b"<%d>" % len(sent)
        if name == "end":
            turn.end()
        elif name == "flush":
            turn.writer.flush()
        elif name == "flush with more":
            turn.writer.flush([data])
            sent += data
        else:
            getattr(turn.writer, name)([data], *arguments)
            sent += data
        written = b"".join(turn.writes)
        assert sent.startswith(written)
        assert len(sent) - len(written) <= limit
    turn.end()
    assert b"".join(turn.writes) == sent
