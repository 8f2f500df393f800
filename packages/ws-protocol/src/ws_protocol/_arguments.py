"""Checks of numbers that are given as arguments, and used much later, where it would surprise."""

from __future__ import annotations

import math
import operator

__all__ = ["check_seconds", "parse_limit"]


def parse_limit(name: str, limit: float | None) -> int | None:
    """Return a number of bytes or of frames, as it is needed.

    Args:
        name: Name of the argument.
        limit: The number; :obj:`None` for no limit. What is compared with it would do with a
            :class:`float`, such as ``1e6``, and zlib wouldn't: it becomes an integer, or
            :obj:`None` if it is infinite.

    Raises:
        TypeError: It isn't a number.

    """
    if limit is None:
        return None
    if isinstance(limit, float):
        if limit == math.inf:
            return None
        limit = int(limit)
    try:
        return operator.index(limit)
    except TypeError:
        raise TypeError(
            f"{name} must be an int, or None for no limit, not {type(limit).__name__}"
        ) from None


def check_seconds(name: str, seconds: float | None) -> None:
    """Check a duration.

    Args:
        name: Name of the argument.
        seconds: The duration; :obj:`None` for no limit.

    Raises:
        TypeError: It isn't a number.

    """
    if seconds is None:
        return
    try:
        # What is done with it: it is added to times.
        0.0 + seconds
    except TypeError:
        raise TypeError(
            f"{name} must be a number of seconds, or None, not {type(seconds).__name__}"
        ) from None
