"""How much of a timeout is left."""

from __future__ import annotations

import time

__all__ = ["Deadline"]


class Deadline:
    """The end of a timeout.

    Args:
        timeout: Seconds from now; :obj:`None` for no end.

    """

    def __init__(self, timeout: float | None) -> None:
        self._end = None if timeout is None else time.monotonic() + timeout

    def remaining(self) -> float | None:
        """Return how many seconds are left, at least 0; :obj:`None` for no end."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    def timeout(self) -> float | None:
        """Return how many seconds are left, for a socket, to which 0 would mean something else.

        Raises:
            TimeoutError: None are.

        """
        remaining = self.remaining()
        if remaining == 0:
            raise TimeoutError("timed out")
        return remaining
