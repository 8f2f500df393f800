"""WebSocket frames (RFC 6455, section 5)."""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ._escaping import escape
from .exceptions import ProtocolError
from .kernel import build_frame
from .limits import MAX_LOG_SIZE
from .masking import new_mask
from .typing import BytesLike

if TYPE_CHECKING:
    from .extensions.base import Extension

__all__ = [
    "CLOSE_CODE_EXPLANATIONS",
    "CTRL_OPCODES",
    "DATA_OPCODES",
    "EXTERNAL_CLOSE_CODES",
    "OK_CLOSE_CODES",
    "Close",
    "CloseCode",
    "Frame",
    "Opcode",
    "contiguous",
    "serialize_frame",
    "serialize_unmasked",
]


class Opcode(enum.IntEnum):
    """Opcode of a frame (RFC 6455, section 5.2)."""

    # One a line: PyPy assigns the last of several first, and their order is that of iteration.
    CONT = 0x00
    TEXT = 0x01
    BINARY = 0x02
    CLOSE = 0x08
    PING = 0x09
    PONG = 0x0A


DATA_OPCODES = (Opcode.CONT, Opcode.TEXT, Opcode.BINARY)
"""Opcodes of data frames (RFC 6455, section 5.6)."""

CTRL_OPCODES = (Opcode.CLOSE, Opcode.PING, Opcode.PONG)
"""Opcodes of control frames (RFC 6455, section 5.5)."""


class CloseCode(enum.IntEnum):
    """Close codes (RFC 6455, section 7.4.1, and the registry it set up)."""

    NORMAL_CLOSURE = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS_RCVD = 1005
    ABNORMAL_CLOSURE = 1006
    INVALID_DATA = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014
    TLS_HANDSHAKE = 1015


CLOSE_CODE_EXPLANATIONS: dict[int, str] = {
    CloseCode.NORMAL_CLOSURE: "OK",
    CloseCode.GOING_AWAY: "going away",
    CloseCode.PROTOCOL_ERROR: "protocol error",
    CloseCode.UNSUPPORTED_DATA: "unsupported data",
    CloseCode.NO_STATUS_RCVD: "no status received [internal]",
    CloseCode.ABNORMAL_CLOSURE: "abnormal closure [internal]",
    CloseCode.INVALID_DATA: "invalid frame payload data",
    CloseCode.POLICY_VIOLATION: "policy violation",
    CloseCode.MESSAGE_TOO_BIG: "message too big",
    CloseCode.MANDATORY_EXTENSION: "mandatory extension",
    CloseCode.INTERNAL_ERROR: "internal error",
    CloseCode.SERVICE_RESTART: "service restart",
    CloseCode.TRY_AGAIN_LATER: "try again later",
    CloseCode.BAD_GATEWAY: "bad gateway",
    CloseCode.TLS_HANDSHAKE: "TLS handshake failure [internal]",
}
"""What each close code means."""

# RFC 6455, section 7.4.1: 1005, 1006 and 1015 must not be set as a status code in a close frame.
EXTERNAL_CLOSE_CODES = frozenset(CloseCode) - {
    CloseCode.NO_STATUS_RCVD,
    CloseCode.ABNORMAL_CLOSURE,
    CloseCode.TLS_HANDSHAKE,
}
"""Close codes below 3000 that may stand in a close frame."""

OK_CLOSE_CODES = frozenset(
    {CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY, CloseCode.NO_STATUS_RCVD}
)
"""Close codes that don't mean an error."""


def contiguous(data: BytesLike) -> BytesLike:
    """Return bytes-like data such that ``len()`` counts its bytes, copying only if needed.

    Raises:
        TypeError: It isn't bytes-like.

    """
    if isinstance(data, memoryview):
        # A view with several dimensions can't be cast when it is empty.
        return data.cast("B") if data.c_contiguous and data.nbytes else bytes(data)
    if not isinstance(data, (bytes, bytearray)):
        raise TypeError(f"expected bytes, bytearray or memoryview, got {type(data).__name__}")
    return data


def serialize_frame(head: int, payload: BytesLike, mask: bool) -> bytes:
    """Build a frame.

    Args:
        head: The first byte: fin, rsv1, rsv2, rsv3 and opcode.
        payload: Payload, contiguous.
        mask: Whether the frame is masked, as frames of clients are.

    """
    return build_frame(head, payload, new_mask() if mask else None)


# It is also the size from which on the length has 8 bytes.
_LARGE = 65536


def serialize_unmasked(head: int, payload: BytesLike) -> tuple[bytes, ...]:
    """Build a frame that isn't masked, in pieces: a large payload isn't copied to stand behind its
    header.

    Args:
        head: The first byte: fin, rsv1, rsv2, rsv3 and opcode.
        payload: Payload, contiguous.

    """
    if len(payload) < _LARGE or not isinstance(payload, bytes):
        return (build_frame(head, payload, None),)
    return bytes((head, 127)) + len(payload).to_bytes(8, "big"), payload


@dataclasses.dataclass(slots=True)
class Frame:
    """A WebSocket frame (RFC 6455, section 5.2).

    Attributes:
        opcode: Opcode.
        data: Payload, unmasked.
        fin: Whether it is the last frame of a message.
        rsv1: First reserved bit, for extensions.
        rsv2: Second reserved bit, for extensions.
        rsv3: Third reserved bit, for extensions.

    """

    opcode: Opcode
    data: BytesLike
    fin: bool = True
    rsv1: bool = False
    rsv2: bool = False
    rsv3: bool = False

    def __str__(self) -> str:
        """Describe the frame in a line for logs, with at most ``WEBSOCKETS_MAX_LOG_SIZE``
        characters of payload."""
        coding = ""
        payload = contiguous(self.data)
        if self.opcode is Opcode.TEXT:
            data = abridge(repr(bytes(payload).decode(errors="replace")))
        elif self.opcode is Opcode.BINARY:
            data = abridge_binary(payload)
        elif not payload:
            data = "''"
        elif self.opcode is Opcode.CLOSE:
            try:
                data = abridge(str(Close.parse(payload)))
            except (ProtocolError, UnicodeDecodeError):
                data, coding = abridge_binary(payload), "binary"
        elif (text := guess_text(payload)) is not None:
            data, coding = abridge(repr(text)), "text"
        else:
            data, coding = abridge_binary(payload), "binary"
        size = len(payload)
        size_text = f"{size} byte" if size == 1 else f"{size} bytes"
        details = [detail for detail in (coding, size_text) if detail]
        if not self.fin:
            details.append("continued")
        return f"{self.opcode.name} {data} [{', '.join(details)}]"

    @property
    def head(self) -> int:
        """The first byte of the frame."""
        return (
            (self.fin << 7) | (self.rsv1 << 6) | (self.rsv2 << 5) | (self.rsv3 << 4) | self.opcode
        )

    def serialize(self, *, mask: bool, extensions: Sequence[Extension] | None = None) -> bytes:
        """Build the bytes of the frame.

        Args:
            mask: Whether to mask it, as frames of clients are.
            extensions: Extensions that encode it, in this order.

        Raises:
            ProtocolError: The frame can't be sent like this.

        """
        self.check()
        frame = self
        if isinstance(self.data, memoryview):
            # Extensions are spared views that zlib, for one, can't read.
            frame = dataclasses.replace(self, data=contiguous(self.data))
        for extension in extensions or ():
            frame = extension.encode(frame)
        return serialize_frame(frame.head, contiguous(frame.data), mask)

    def check(self) -> None:
        """Check that no reserved bit is set, and that a control frame keeps to its rules.

        Raises:
            ProtocolError: It doesn't.

        """
        if self.rsv1 or self.rsv2 or self.rsv3:
            raise ProtocolError("reserved bits must be 0")
        if self.opcode in CTRL_OPCODES:
            # RFC 6455, section 5.5.
            if len(contiguous(self.data)) > 125:
                raise ProtocolError("control frame too long")
            if not self.fin:
                raise ProtocolError("fragmented control frame")


# Control characters, and those that are usual in text.
_control = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_text_control = frozenset("\t\n\r")


def guess_text(data: BytesLike) -> str | None:
    """Return a payload as text, when nothing tells whether it is; :obj:`None` if it isn't."""
    try:
        text = bytes(data).decode()
    except UnicodeDecodeError:
        return None
    return text if _text_control.issuperset(_control.findall(text)) else None


def abridge(text: str) -> str:
    """Return text, the middle left out if it is long."""
    if len(text) <= MAX_LOG_SIZE:
        return text
    shown = max(MAX_LOG_SIZE - 3, 0)
    end = shown // 3
    return f"{text[: shown - end]}...{text[len(text) - end :]}"


def abridge_binary(data: BytesLike) -> str:
    """Return bytes in hexadecimal, the middle left out if there are many."""
    shown = MAX_LOG_SIZE // 3  # each byte takes three characters
    if len(data) <= shown:
        return bytes(data).hex(" ")
    shown = max(shown - 1, 0)
    end = shown // 3
    start_text, end_text = data[: shown - end].hex(" "), data[len(data) - end :].hex(" ")
    return " ".join(filter(None, [start_text, "...", end_text]))


@dataclasses.dataclass(slots=True)
class Close:
    """Code and reason for closing a connection: the payload of a close frame (RFC 6455, section
    5.5.1).

    Attributes:
        code: Close code.
        reason: Close reason; may be empty.

    """

    code: CloseCode | int
    reason: str

    def __str__(self) -> str:
        """Describe code and reason."""
        if 3000 <= self.code < 4000:
            explanation = "registered"
        elif 4000 <= self.code < 5000:
            explanation = "private use"
        else:
            explanation = CLOSE_CODE_EXPLANATIONS.get(self.code, "unknown")
        text = f"{int(self.code)} ({explanation})"
        if not self.reason:
            return text
        # The peer chose it.
        return f"{text} {escape(self.reason)}"

    @classmethod
    def parse(cls, data: BytesLike) -> Close:
        """Parse the payload of a close frame.

        Args:
            data: The payload. If it is empty, the code is 1005 (no status received), as RFC 6455,
                section 7.1.5 has it.

        Raises:
            ProtocolError: It is too short for a code, or the code isn't allowed in a frame.
            UnicodeDecodeError: The reason isn't valid UTF-8.

        """
        data = contiguous(data)
        if len(data) >= 2:
            close = cls(int.from_bytes(data[:2], "big"), bytes(data[2:]).decode())
            close.check()
            return close
        if len(data) == 0:
            return cls(CloseCode.NO_STATUS_RCVD, "")
        raise ProtocolError("close frame too short")

    def serialize(self) -> bytes:
        """Build the payload of a close frame.

        Raises:
            ProtocolError: The code isn't allowed in a frame.
            TypeError: The code isn't an :class:`int`, or the reason isn't a :class:`str`.

        """
        if not isinstance(self.code, int):
            kind = type(self.code).__name__
            raise TypeError(f"close code must be an int, not {kind}; the reason comes after it")
        if not isinstance(self.reason, str):
            raise TypeError(f"close reason must be a str, not {type(self.reason).__name__}")
        self.check()
        return int(self.code).to_bytes(2, "big") + self.reason.encode()

    def check(self) -> None:
        """Check that the code is allowed in a close frame (RFC 6455, section 7.4).

        Raises:
            ProtocolError: It isn't.

        """
        if self.code not in EXTERNAL_CLOSE_CODES and not 3000 <= self.code < 5000:
            raise ProtocolError("invalid status code")
