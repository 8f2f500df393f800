import pytest

from ws_protocol.slowness import Slowness, judge_slowness


@pytest.mark.parametrize("slow", ["skip", "close"])
@pytest.mark.parametrize(
    "max_buffer, buffered", [(None, 0), (None, 10**12), (0, 0), (100, 0), (100, 100)]
)
def test_message_is_sent_to_who_is_fast_enough(slow, max_buffer, buffered):
    assert judge_slowness(slow, max_buffer, buffered) is Slowness.SEND


@pytest.mark.parametrize("max_buffer, buffered", [(0, 1), (100, 101)])
def test_who_is_too_slow_is_skipped_or_closed(max_buffer, buffered):
    assert judge_slowness("skip", max_buffer, buffered) is Slowness.SKIP
    assert judge_slowness("close", max_buffer, buffered) is Slowness.CLOSE


@pytest.mark.parametrize("slow", ["send", "drop", None])
def test_there_is_nothing_else_to_do(slow):
    with pytest.raises(ValueError, match=r"^slow must be 'skip' or 'close', got "):
        judge_slowness(slow, None, 0)
