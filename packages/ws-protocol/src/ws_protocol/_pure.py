"""The pure form of what touches every byte. ``_compiled.c`` is the other one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from .typing import BytesLike, Data

__all__ = [
    "PayloadBuffer",
    "apply_mask",
    "are_messages",
    "build_frame",
    "message_taker",
    "read_messages",
]

_MESSAGES = frozenset((str, bytes))

# Fin and opcode of frames that are whole messages.
_TEXT = 0x81
_BINARY = 0x82
_WHOLE = (_TEXT, _BINARY)
_RSV1 = 0x40

# How many bytes of a payload there is room for, at least, when it is to be read into.
_ROOM_TO_READ = 65536


def apply_mask(data: BytesLike, mask: BytesLike) -> bytes:
    """Mask or unmask a payload: XOR it with the masking key, over and over.

    Args:
        data: The payload.
        mask: The masking key, 4 bytes.

    Raises:
        ValueError: The masking key hasn't 4 bytes.

    """
    if len(mask) != 4:
        raise ValueError("mask must contain 4 bytes")
    size = len(data)
    # Integers of any size have a XOR that runs at the speed of memory. Loops over bytes, slices
    # with a step of 4 and translate() were all slower.
    repeated = (bytes(mask) * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(repeated, "little")).to_bytes(
        size, "little"
    )


def build_frame(head: int, payload: BytesLike, mask: bytes | None, /) -> bytes:
    """Build a frame.

    Args:
        head: The first byte: fin, rsv1, rsv2, rsv3 and opcode.
        payload: Payload, contiguous.
        mask: The masking key, 4 bytes; :obj:`None` for a frame that isn't masked.

    Raises:
        ValueError: The masking key hasn't 4 bytes.

    """
    size = len(payload)
    mask_bit = 0 if mask is None else 0x80
    if size < 126:
        header = bytes((head, mask_bit | size))
    elif size < 65536:
        header = bytes((head, mask_bit | 126, size >> 8, size & 0xFF))
    else:
        header = bytes((head, mask_bit | 127)) + size.to_bytes(8, "big")
    return header + payload if mask is None else header + mask + apply_mask(payload, mask)


def read_messages(
    data: BytesLike,
    pos: int,
    end: int,
    until: int,
    limit: int,
    masked: bool,
    max_size: int,
    decode: Callable[[int, bytes], Any] | None,
    messages: list[Any] | deque[Any],
    /,
) -> int:
    """Read frames that are whole messages out of a chunk, up to one that isn't.

    That is, a frame that is incomplete, a fragment, a control frame, a frame that isn't valid or
    not valid UTF-8, or one that is larger than ``max_size``. What that is, is for others to tell.

    Args:
        data: The chunk, and perhaps more.
        pos: Where to begin.
        end: Where the chunk ends.
        until: Where to stop: the last frame to be read begins before.
        limit: How many frames to read at most.
        masked: Whether the frames must be masked.
        max_size: The largest payload, in bytes.
        decode: What makes messages of frames that have rsv1 set: called with the first byte and the
            payload. Whatever it raises, this raises. :obj:`None` if there mustn't be such frames.
        messages: Where the messages are added: :class:`str` for text, :class:`bytes` for binary.

    Returns:
        Position of the first frame that wasn't read, or the end of the chunk.

    Raises:
        ValueError: The positions aren't in order, or not in ``data``.

    """
    if not 0 <= pos <= end <= len(data):
        raise ValueError("pos and end must be in order, and in data")
    whole: list[Any] = []
    try:
        while pos < until and end - pos >= 2 and len(whole) < limit:
            head = data[pos]
            size = data[pos + 1]
            if (
                head != _TEXT
                and head != _BINARY
                and (decode is None or head & ~_RSV1 not in _WHOLE)
            ) or (size > 127) is not masked:
                break
            start = pos + 2
            size &= 127
            if size > 125:
                stop = start + (2 if size == 126 else 8)
                if stop > end:
                    break
                minimum = 126 if size == 126 else 65536
                size = int.from_bytes(data[start:stop], "big")
                if size < minimum:
                    break
                start = stop
            if masked:
                start += 4
            stop = start + size
            if stop > end or size > max_size:
                break
            payload = bytes(data[start:stop])
            if masked and size:
                payload = apply_mask(payload, data[start - 4 : start])
            if head == _BINARY:
                whole.append(payload)
            elif head == _TEXT:
                try:
                    whole.append(payload.decode())
                except UnicodeDecodeError:
                    break
            else:
                assert decode is not None
                whole.append(decode(head, payload))
            pos = stop
    finally:
        messages.extend(whole)
    return pos


def are_messages(items: list[Any], /) -> bool:
    """Tell whether items are messages, :class:`str` or :class:`bytes`, without a frame among
    them."""
    return _MESSAGES.issuperset(map(type, items))


def message_taker(frames: deque[Any], low: int, /) -> Callable[[], Data | None]:
    """Return a function that takes the first message out of a queue, if that is simple.

    That is, if the first item is a message, and more than ``low`` remain. The function returns
    :obj:`None` if not.

    Args:
        frames: The queue.
        low: How many items the function leaves.

    """

    def take() -> Data | None:
        if frames and len(frames) - 1 > low and type(frames[0]) in _MESSAGES:
            message: Data = frames.popleft()
            return message
        return None

    return take


class PayloadBuffer:
    """The payload of a frame that arrives in pieces.

    Args:
        size: Size of the payload, in bytes.
        mask: The masking key, 4 bytes; empty for a frame that isn't masked.

    Raises:
        ValueError: The masking key has another size.

    Attributes:
        size: As the argument.

    """

    __slots__ = ("_data", "_filled", "_last", "_mask", "size")

    def __init__(self, size: int, mask: bytes, /) -> None:
        if len(mask) not in (0, 4):
            raise ValueError("mask must contain 4 bytes")
        self.size: int = size
        self._mask = mask
        # Room for the payload, or for a part of it.
        self._data = bytearray()
        self._filled = 0
        self._last = 0

    @property
    def missing(self) -> int:
        """How many bytes are missing."""
        return self.size - self._filled

    @property
    def last(self) -> bytes:
        """The latest piece, unmasked."""
        return bytes(memoryview(self._data)[self._filled - self._last : self._filled])

    def append(self, piece: BytesLike, /) -> None:
        """Unmask and keep a piece.

        Raises:
            ValueError: It has more bytes than are missing.
            BufferError: What :meth:`get_buffer` returned is in use.

        """
        size = len(piece)
        if size > self.missing:
            raise ValueError("more bytes than are missing")
        self._make_room(size)
        self._data[self._filled : self._filled + size] = piece
        self.advance(size)

    def get_buffer(self) -> memoryview:
        """Return what the next piece can be read into: at least one byte, and at most what is
        missing.

        Raises:
            ValueError: Nothing is missing.
            BufferError: What this returned before is in use.

        """
        if not self.missing:
            raise ValueError("nothing is missing")
        self._make_room(min(self.missing, _ROOM_TO_READ))
        return memoryview(self._data)[self._filled :]

    def advance(self, size: int, /) -> None:
        """Unmask and keep what was read into what :meth:`get_buffer` returned.

        Args:
            size: How many bytes were.

        Raises:
            ValueError: More than there was room for.

        """
        if not 0 <= size <= self.missing:
            raise ValueError("more bytes than are missing")
        start, stop = self._filled, self._filled + size
        if stop > len(self._data):
            raise ValueError("more bytes than there was room for")
        if self._mask:
            self._data[start:stop] = apply_mask(self._data[start:stop], self._mask)
            turn = size & 3
            self._mask = self._mask[turn:] + self._mask[:turn]
        self._filled = stop
        self._last = size

    def take(self) -> bytes:
        """Return the payload.

        Raises:
            ValueError: It isn't whole, or was taken.

        """
        if self.missing or not self._data:
            raise ValueError("the payload isn't whole")
        payload, self._data = bytes(self._data), bytearray()
        return payload

    def _make_room(self, more: int) -> None:
        """Make room for some bytes more.

        And for three times as many as there are already, but not for all: a peer may announce more
        than it ever sends.
        """
        least = self._filled + more
        if least > len(self._data):
            room = max(least, min(4 * self._filled, self.size))
            self._data += bytes(room - len(self._data))
