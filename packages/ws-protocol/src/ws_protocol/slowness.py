"""What to do with peers that don't read as fast as messages are broadcast to them."""

from __future__ import annotations

import enum

__all__ = ["Slowness", "judge_slowness"]


class Slowness(enum.Enum):
    """What to do with a connection when a message is broadcast."""

    SEND = "send"
    """Send the message."""

    SKIP = "skip"
    """Leave the message out. Messages are whole or missing, never cut."""

    CLOSE = "close"
    """Fail the connection, with close code 1008 (policy violation)."""


def judge_slowness(slow: str, max_buffer: int | None, buffered: int) -> Slowness:
    """Tell what to do with a connection when a message is broadcast.

    Args:
        slow: ``"skip"`` or ``"close"``: what to do when too much waits to be sent.
        max_buffer: How many bytes may wait to be sent; :obj:`None` for no limit.
        buffered: How many bytes wait to be sent.

    Raises:
        ValueError: ``slow`` is something else.

    """
    if slow not in ("skip", "close"):
        raise ValueError(f"slow must be 'skip' or 'close', got {slow!r}")
    if max_buffer is None or buffered <= max_buffer:
        return Slowness.SEND
    return Slowness(slow)
