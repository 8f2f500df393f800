"""Checks of numbers that are given as arguments, and used much later, where it would surprise."""

from __future__ import annotations

import operator

__all__ = ["check_limit", "check_seconds"]


def check_limit(name: str, limit: int | None) -> None:
    """Check a number of bytes or of frames.

    Args:
        name: Name of the argument.
        limit: The number; :obj:`None` for no limit.

    Raises:
        TypeError: It isn't an integer. A :class:`float` isn't, because zlib takes none.
        ValueError: It is negative.

    """
    if limit is None:
        return
    try:
        negative = operator.index(limit) < 0
    except TypeError:
        raise TypeError(
            f"{name} must be an int, or None for no limit, not {type(limit).__name__}"
        ) from None
    if negative:
        raise ValueError(f"{name} must be at least 0, or None for no limit, got {limit}")


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
