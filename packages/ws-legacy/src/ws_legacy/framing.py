"""Frames (RFC 6455, section 5), as the original API had them.

Nothing here is needed for connections, which use :mod:`ws_protocol.frames`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import ws_protocol.frames
from ws_protocol.connection import encode_payload
from ws_protocol.extensions.base import Extension
from ws_protocol.frames import Close, Opcode
from ws_protocol.typing import BytesLike, DataLike

__all__ = [
    "Frame",
    "encode_data",
    "parse_close",
    "prepare_ctrl",
    "prepare_data",
    "serialize_close",
]


class Frame(NamedTuple):
    """A frame.

    Attributes:
        fin: Whether it is the last frame of a message.
        opcode: Opcode.
        data: Payload.
        rsv1: First reserved bit.
        rsv2: Second reserved bit.
        rsv3: Third reserved bit.

    """

    fin: bool
    opcode: Opcode
    data: BytesLike
    rsv1: bool = False
    rsv2: bool = False
    rsv3: bool = False

    @property
    def new_frame(self) -> ws_protocol.frames.Frame:
        """The same as a :class:`ws_protocol.frames.Frame`."""
        return ws_protocol.frames.Frame(
            Opcode(self.opcode), self.data, self.fin, self.rsv1, self.rsv2, self.rsv3
        )

    def __str__(self) -> str:
        return str(self.new_frame)

    def check(self) -> None:
        """Check that the frame is valid.

        Raises:
            ProtocolError: It isn't.

        """
        self.new_frame.check()

    def write(
        self,
        write: Callable[[bytes], Any],
        *,
        mask: bool,
        extensions: Sequence[Extension] | None = None,
    ) -> None:
        """Write the frame.

        Args:
            write: Called with the bytes of the frame.
            mask: Whether to mask the payload, as clients must.
            extensions: Extensions that encode the frame, in order.

        """
        write(self.new_frame.serialize(mask=mask, extensions=extensions))


def prepare_data(data: DataLike) -> tuple[Opcode, BytesLike]:
    """Return opcode and payload for a message.

    Raises:
        TypeError: It isn't a string, nor bytes-like.

    """
    if isinstance(data, str):
        return Opcode.TEXT, data.encode()
    if isinstance(data, (bytes, bytearray, memoryview)):
        return Opcode.BINARY, data
    raise TypeError(f"data must be str or bytes-like, not {type(data).__name__}")


encode_data: Callable[[Any], bytes] = encode_payload
prepare_ctrl: Callable[[Any], bytes] = encode_payload


def parse_close(data: bytes) -> tuple[int, str]:
    """Return code and reason of a close frame.

    Args:
        data: Payload.

    Raises:
        ProtocolError: The payload isn't valid.
        UnicodeDecodeError: The reason isn't valid UTF-8.

    """
    close = Close.parse(data)
    return close.code, close.reason


def serialize_close(code: int, reason: str) -> bytes:
    """Return the payload of a close frame.

    Raises:
        ProtocolError: The code isn't allowed in a frame.

    """
    return Close(code, reason).serialize()
