"""Messages for many connections: serialized once, and compressed once."""

from __future__ import annotations

from .extensions.permessage_deflate import PerMessageDeflate
from .frames import Opcode, contiguous, serialize_unmasked
from .typing import BytesLike, DataLike

__all__ = ["SharedMessage"]


class SharedMessage:
    """A message to send on many connections, with
    :meth:`Protocol.send_shared() <ws_protocol.protocol.Protocol.send_shared>`.

    Servers don't mask what they send. So the bytes are the same for all clients, but for
    compression, and they are made once for those whose compression has the same settings.

    Args:
        message: The message. It must not change while this is used.
        text: Whether it is a text message; by default, it depends on the type.

    Raises:
        TypeError: The message isn't a string, nor bytes-like.

    Attributes:
        opcode: Opcode of its frame.
        payload: Its payload.

    """

    __slots__ = ("_deflated", "_plain", "opcode", "payload")

    def __init__(self, message: DataLike, text: bool | None = None) -> None:
        if isinstance(message, str):
            message = message.encode()
            if text is None:
                text = True
        self.opcode: Opcode = Opcode.TEXT if text else Opcode.BINARY
        self.payload: BytesLike = contiguous(message)
        self._plain: tuple[bytes, ...] | None = None
        # With whose settings, and the frame. Few servers have more settings than one.
        self._deflated: list[tuple[PerMessageDeflate, tuple[bytes, ...]]] = []

    def serialize(self, deflate: PerMessageDeflate | None = None) -> tuple[bytes, ...]:
        """Return a frame that isn't masked, in one piece or more.

        Args:
            deflate: The connection's compression, if it has that. What it sends from now on refers
                to nothing that came before, because this message wasn't deflated in its context.

        """
        head = self.opcode | 0x80
        if deflate is None:
            if self._plain is None:
                self._plain = serialize_unmasked(head, self.payload)
            return self._plain
        for other, frame in self._deflated:
            if deflate.deflates_like(other):
                deflate.forget_context()
                return frame
        deflate.forget_context()
        frame = serialize_unmasked(*deflate.encode_payload(head, self.payload))
        deflate.forget_context()
        self._deflated.append((deflate, frame))
        return frame
