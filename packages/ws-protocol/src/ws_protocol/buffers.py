"""Collect what arrives in pieces."""

from __future__ import annotations

__all__ = ["PieceBuffer", "keep_memory"]

# Pieces below this many bytes are copied together as they arrive.
_SMALL = 4096


_kept = False


def keep_memory() -> None:
    """Have the C library keep the memory of large messages for the next ones.

    glibc returns what is free at the end of its heap to the operating system, from twice the size
    of the largest block on that was ever returned, 16 MiB here, which is what may wait to be
    received on a connection by default. Else, that is about once for each message of 1 MiB, and
    then new pages cost more than what is copied into them.
    """
    global _kept
    if not _kept:
        _kept = True
        bytes(2**24)


class PieceBuffer:
    """Bytes that arrive in pieces and leave in one.

    A peer decides how small the pieces are. An object for each would cost many times its payload,
    so small ones are copied together; large ones are kept as they are and copied once, at the end.
    Memory and time are linear in the bytes collected, whatever the sizes of the pieces.
    """

    __slots__ = ("_pieces", "size")

    def __init__(self) -> None:
        self._pieces: list[bytes | bytearray | memoryview] = []
        self.size: int = 0
        """Bytes collected."""

    def append(self, piece: bytes | bytearray | memoryview) -> None:
        """Add a piece, which must not change from now on."""
        self.size += len(piece)
        if len(piece) >= _SMALL:
            self._pieces.append(piece)
        elif self._pieces and isinstance(self._pieces[-1], _Joined):
            self._pieces[-1] += piece
        else:
            self._pieces.append(_Joined(piece))

    def take(self) -> bytes:
        """Return everything, and start again."""
        pieces, self._pieces, self.size = self._pieces, [], 0
        return b"".join(pieces)


class _Joined(bytearray):
    """Small pieces, copied together. A class of its own, because a :class:`bytearray` may also be
    a large piece, which belongs to the caller."""

    __slots__ = ()
