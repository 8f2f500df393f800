"""Pings that wait for their pongs, and when to send the next one (RFC 6455, sections 5.5.2 and
5.5.3).

Time is an argument: seconds of any clock that doesn't jump, such as :func:`time.monotonic` or an
event loop's.
"""

from __future__ import annotations

import collections
import enum
import os
from typing import Generic, TypeVar

from ._arguments import check_seconds
from .exceptions import ConcurrencyError

__all__ = ["Action", "Keepalive", "PendingPings"]

Waiter = TypeVar("Waiter")


class PendingPings(Generic[Waiter]):
    """Pings that were sent and not yet answered, each with somebody who waits for the pong.

    Who waits is for the I/O layer to say: a future, an event, a callback.
    """

    def __init__(self) -> None:
        # In the order in which they were sent. A dictionary would be searched from its beginning
        # for the first one, past all that were taken out.
        self._pings: collections.OrderedDict[bytes, tuple[Waiter, float]] = (
            collections.OrderedDict()
        )

    def __len__(self) -> int:
        return len(self._pings)

    def choose_payload(self, data: bytes | None = None) -> bytes:
        """Return the payload for a ping that is about to be sent.

        Args:
            data: The payload; :obj:`None` for a random one.

        Raises:
            ConcurrencyError: Another ping with the same payload waits for its pong.

        """
        if data is None:
            data = os.urandom(4)
            while data in self._pings:
                data = os.urandom(4)
        elif data in self._pings:
            raise ConcurrencyError("already waiting for a pong with the same data")
        return data

    def add(self, data: bytes, waiter: Waiter, now: float) -> None:
        """Add a ping that was sent.

        Args:
            data: Its payload, from :meth:`choose_payload`.
            waiter: Who waits for the pong.
            now: The time.

        """
        self._pings[data] = (waiter, now)

    def acknowledge(self, data: bytes, now: float) -> list[tuple[Waiter, float]]:
        """Take out the pings that a pong answers.

        RFC 6455, section 5.5.3: it answers the ping with its payload, and those before it that
        weren't answered. A pong with another payload answers none.

        Args:
            data: Payload of the pong.
            now: The time.

        Returns:
            Who waited, and how many seconds, in the order in which the pings were sent.

        """
        answered: list[tuple[Waiter, float]] = []
        while data in self._pings:
            _, (waiter, sent) = self._pings.popitem(last=False)
            answered.append((waiter, now - sent))
        return answered

    def forget_unawaited(self, keep: int) -> None:
        """Take out pings for whose pongs nobody waits: those whose waiter is :obj:`None`.

        Args:
            keep: How many of them to keep, the latest.

        """
        unawaited = [data for data, (waiter, _) in self._pings.items() if waiter is None]
        for data in unawaited[: max(0, len(unawaited) - keep)]:
            del self._pings[data]

    def clear(self) -> list[Waiter]:
        """Take out all pings, because no pong will come any more; return who waited."""
        waiters = [waiter for waiter, _ in self._pings.values()]
        self._pings.clear()
        return waiters


class Action(enum.Enum):
    """What is to be done about keepalive."""

    NOTHING = enum.auto()
    PING = enum.auto()
    """Send a ping."""
    FAIL = enum.auto()
    """Fail the connection: the peer is gone."""


# A timer that fires this much late, in seconds, tells that the program was busy or suspended. The
# answer may have been there all that time, unread.
_LATE = 0.5


class Keepalive:
    """When to send pings, and when to give the peer up.

    A ping is sent every ``ping_interval``. The peer is given up if nothing arrives for
    ``ping_timeout`` after a ping. Anything counts, not just the pong: a pong can be stuck behind a
    large message. Time during which this side doesn't read doesn't count.

    Args:
        ping_interval: Seconds between pings; :obj:`None` for no keepalive.
        ping_timeout: Seconds to wait for an answer; :obj:`None` to wait for ever.

    Raises:
        TypeError: One of them isn't a number.
        ValueError: ``ping_interval`` isn't positive.

    Attributes:
        deadline: When to call :meth:`tick`; :obj:`None` for never.
        heard: Whether anything arrived since the last ping. For the I/O layer to set to
            :obj:`True` for every chunk of bytes that arrives.
        paused: Whether this side doesn't read.

    """

    def __init__(self, ping_interval: float | None, ping_timeout: float | None) -> None:
        check_seconds("ping_interval", ping_interval)
        check_seconds("ping_timeout", ping_timeout)
        if ping_interval is not None and ping_interval <= 0:
            raise ValueError(f"ping_interval must be positive, or None, got {ping_interval}")
        self.ping_interval = ping_interval
        self.ping_timeout = ping_timeout
        self.deadline: float | None = None
        self.heard: bool = False
        self.paused: bool = False
        self._next_ping: float | None = None
        # When to give up, if nothing arrives before; set while a ping is unanswered.
        self._give_up: float | None = None
        self._unanswered = False

    def start(self, now: float) -> None:
        """Start, when the connection is open."""
        if self.ping_interval is not None:
            self._next_ping = now + self.ping_interval
            self._set_deadline()

    def stop(self) -> None:
        """Stop, when the connection is closing."""
        self._next_ping = self._give_up = self.deadline = None

    def pause(self) -> None:
        """Say that this side doesn't read any more, because enough waits to be processed."""
        self.paused = True
        self._set_deadline()

    def resume(self, now: float) -> None:
        """Say that this side reads again."""
        self.paused = False
        if self._give_up is not None and self.ping_timeout is not None:
            # What the peer sent meanwhile is still to be read.
            self._give_up = now + self.ping_timeout
        self._set_deadline()

    def tick(self, now: float) -> Action:
        """Say what is to be done at the deadline, and set the next one.

        Args:
            now: The time; calling early does nothing.

        """
        if self.heard:
            self._unanswered = False
            self._give_up = None
        if self._give_up is not None and now >= self._give_up and not self.paused:
            if now - self._give_up < _LATE:
                self.stop()
                return Action.FAIL
            self._give_up = now + _LATE
        action = Action.NOTHING
        if self._next_ping is not None and now >= self._next_ping:
            assert self.ping_interval is not None
            self._next_ping = now + self.ping_interval
            # While this side doesn't read, unanswered pings would pile up.
            if not (self.paused and self._unanswered):
                action = Action.PING
                self.heard = False
                self._unanswered = True
                if self._give_up is None and self.ping_timeout is not None:
                    self._give_up = now + self.ping_timeout
        self._set_deadline()
        return action

    def _set_deadline(self) -> None:
        self.deadline = self._next_ping
        if self._give_up is not None and not self.paused:
            assert self._next_ping is not None  # they are unset together
            self.deadline = min(self._next_ping, self._give_up)
