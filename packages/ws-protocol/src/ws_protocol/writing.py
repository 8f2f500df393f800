"""What is sent in one turn of an event loop, written together.

A write is a system call, which costs more than making the frame that it writes. For those who build
on an event loop whose transports are written to without waiting, as :mod:`asyncio` has them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

__all__ = ["Transport", "TurnWriter"]

# Bytes from which on something is written alone, rather than copied together with something else.
_LARGE = 65536


class Transport(Protocol):
    """What writes bytes to the network: what is used here of a transport of :mod:`asyncio`."""

    def write(self, data: bytes, /) -> object:
        """Write bytes, or keep them until the network takes them."""

    def is_closing(self) -> bool:
        """Tell whether nothing can be written any more."""

    def get_write_buffer_size(self) -> int:
        """Return how many bytes are kept."""


class TurnWriter:
    """Writes what is sent in one turn of an event loop with one call, or a few.

    The first message of a turn leaves at once, because it may be the only one. Those that follow
    are joined until the turn ends, in order. To await that end costs something, of which who sends
    one message for each that arrives is spared: it is awaited from the second one on that is sent
    since :attr:`answered` was unset, which leaves at once, too.

    What is joined counts as waiting: when more than ``limit`` bytes wait, joined or in the
    transport, all go to the transport, which then has whoever sends wait. It is lost if the
    transport is closed meanwhile: call :meth:`flush` before, and before looking at what waits in
    the transport.

    Between :meth:`pause` and :meth:`resume`, what is sent all the same, such as broadcasts, waits
    here: transports of :mod:`asyncio` count all that waits in them, one by one, for each write.

    Args:
        at_end_of_turn: Called with a function that takes no arguments, to have it called when the
            turn ends. An event loop's ``call_soon()`` does that.
        limit: How many bytes may wait before whoever sends should wait.

    Attributes:
        transport: Where it writes to. Whoever makes it sets this before sending anything.
        answered: Whether something was sent. Whoever receives something unsets it.

    """

    __slots__ = (
        "_at_end_of_turn",
        "_in_turn",
        "_joined",
        "_joined_size",
        "_limit",
        "_paused",
        "_room",
        "answered",
        "transport",
    )

    transport: Transport

    def __init__(self, at_end_of_turn: Callable[[Callable[[], None]], object], limit: int) -> None:
        self._at_end_of_turn = at_end_of_turn
        self._limit = limit
        self.answered: bool = False
        # Whether the end of this turn is awaited, and what leaves then.
        self._in_turn = False
        self._joined: list[bytes] = []
        self._joined_size = 0
        # How many bytes more may be joined before as many wait as may wait; None if unknown.
        self._room: int | None = None
        # Whether the transport has enough.
        self._paused = False

    def send(self, writes: list[bytes], more: bool) -> None:
        """Send something.

        Args:
            writes: Bytes, in order: what :meth:`Protocol.data_to_send()
                <ws_protocol.protocol.Protocol.data_to_send>` returns, without the end of the
                stream.
            more: Whether more is likely to follow in this turn, so that also the first should wait:
                if messages wait to be received, for example, each may have an answer.

        """
        if self._in_turn or self._paused:
            self._join(writes)
            return
        if more or self.answered:
            self._in_turn = True
            self._at_end_of_turn(self._end_turn)
        self.answered = True
        if more:
            self._join(writes)
        else:
            self._write(writes)

    def send_alone(self, writes: list[bytes]) -> None:
        """Send something at once, unless something was sent in this turn already.

        Other than :meth:`send`, it doesn't look out for the end of the turn, which costs something
        for each of many connections. It is for what is likely to be the only thing.

        Args:
            writes: As for :meth:`send`.

        """
        if self._in_turn or self._paused:
            self._join(writes)
        else:
            self._write(writes)

    def pause(self) -> None:
        """Keep what is sent from now on, because enough waits in the transport."""
        self._paused = True

    def resume(self) -> None:
        """Give the transport what was kept, as much as it takes: until :meth:`pause` is called."""
        self._paused = False
        while self._joined and not self._paused:
            size = count = 0
            while count < len(self._joined) and size < _LARGE:
                size += len(self._joined[count])
                count += 1
            writes = self._joined[:count]
            del self._joined[:count]
            self._joined_size -= size
            self._write(writes)

    def get_buffer_size(self) -> int:
        """Return how many bytes wait to be sent because the peer is slow."""
        if not self._paused:
            # What waits for the end of a turn of the event loop doesn't wait for that.
            self.flush()
        return self._joined_size + self.transport.get_write_buffer_size()

    def flush(self, writes: list[bytes] | None = None) -> None:
        """Write what was joined, now.

        Args:
            writes: What follows it.

        """
        joined = self._joined
        if writes:
            joined += writes
        if joined:
            self._joined = []
            self._joined_size = 0
            self._write(joined)

    def discard(self) -> None:
        """Forget what was joined, because the connection is lost."""
        self._joined.clear()
        self._joined_size = 0

    def _join(self, writes: list[bytes]) -> None:
        """Have something written at the end of this turn.

        Or now, if it is so much that whoever sends should perhaps wait: that is for the transport
        to say.
        """
        size = sum(map(len, writes))
        self._joined += writes
        self._joined_size += size
        if self._paused:
            return
        if self._room is None:
            self._room = self._limit - self.transport.get_write_buffer_size()
        self._room -= size
        if self._room < 0:
            self.flush()

    def _write(self, writes: list[bytes]) -> None:
        """Give something to the transport."""
        self._room = None
        # Copying what is large costs more than a write.
        if len(writes) > 1 and max(map(len, writes)) < _LARGE:
            writes = [b"".join(writes)]
        transport = self.transport
        for data in writes:
            if not transport.is_closing():
                transport.write(data)

    def _end_turn(self) -> None:
        self._in_turn = False
        self._room = None
        if self._joined and not self._paused:
            self.flush()
