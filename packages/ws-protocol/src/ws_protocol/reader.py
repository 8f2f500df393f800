"""Frames out of the bytes that arrive: the receiving half of RFC 6455, sections 5 and 8.1.

This is the code that runs for every chunk of bytes and for every frame. It takes a chunk in one
call, and does for each frame in it all that depends on nothing but frames: the header, masking,
extensions, the order of fragments, UTF-8, and the limits. What frames mean for the connection is
the business of :mod:`ws_protocol.protocol`.

Most frames are whole messages, small and without an extension. Those are read by
:func:`ws_protocol.kernel.read_messages`, as many as there are in a row; all others, and those that
aren't valid, one by one here.
"""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .buffers import keep_memory
from .exceptions import PayloadTooBig, ProtocolError, TooManyFragments
from .extensions.permessage_deflate import PerMessageDeflate, find_deflate
from .frames import Frame, Opcode
from .kernel import PayloadBuffer, apply_mask, read_messages
from .typing import BytesLike, Data

if TYPE_CHECKING:
    from .extensions.base import Extension

    Messages = list[Frame | Data] | deque[Frame | Data]

__all__ = ["FrameReader"]

_FIN = 0x80
_RESERVED = 0x70
_OPCODE = 0x0F
_RSV1 = 0x40
_CONTROL = 0x08
_CONT, _TEXT, _BINARY, _CLOSE = (int(op) for op in list(Opcode)[:4])

# Opcode(n) costs more than all else that is done for a small frame.
_OPCODES: list[Opcode | None] = [None] * 16
for _opcode in Opcode:
    _OPCODES[_opcode] = _opcode

# Messages up to this size, in bytes, are read many in a call, and text is decoded at once. A larger
# text waits in the bytes in which it came: strings may need four times as many.
_SMALL = 65536

# When so many bytes are missing of a payload, it is worth to read them to where they belong.
_LARGE = 16384

_UTF8Decoder = codecs.getincrementaldecoder("utf-8")


class FrameReader:
    """Reader of the frames that one peer sends.

    Args:
        masked: Whether the peer must mask its frames, as clients must.
        max_message_size: Limit on the payload of a message after extensions decoded it, in bytes.
        max_fragment_size: The same for a single frame.
        max_fragments: Limit on the frames of a message.
        extensions: Extensions that decode frames, last one first.

    Attributes:
        closed: Whether a close frame was read. Nothing is read after it.
        control_frames: How many control frames were read.
        text_position: Where in its message the piece of text begins that isn't checked for UTF-8
            yet, in bytes: what to add to the position of a :exc:`UnicodeDecodeError`.

    """

    __slots__ = (
        "_checking",
        "_decoder",
        "_deflate",
        "_fragments",
        "_head",
        "_header",
        "_message",
        "_message_size",
        "_payload",
        "_small",
        "closed",
        "control_frames",
        "extensions",
        "masked",
        "max_fragment_size",
        "max_fragments",
        "max_message_size",
        "text_position",
    )

    def __init__(
        self,
        *,
        masked: bool,
        max_message_size: int | None,
        max_fragment_size: int | None,
        max_fragments: int | None,
        extensions: Sequence[Extension] = (),
    ) -> None:
        self.masked: bool = masked
        self.max_message_size: int | None = max_message_size
        self.max_fragment_size: int | None = max_fragment_size
        self.max_fragments: int | None = max_fragments
        self.extensions: Sequence[Extension] = extensions
        self.closed: bool = False
        self.control_frames: int = 0
        self.text_position: int = 0

        # Compression as the only extension is spared the objects that others need.
        self._deflate = find_deflate(extensions)

        # Largest message that may be read without a look at anything but its frame.
        self._small = 0
        self.limit_messages(max_message_size)

        # The start of a frame whose header hasn't arrived whole.
        self._header = b""

        # The frame whose header has arrived, and its payload hasn't: first byte, payload, and
        # whether that is checked for UTF-8 as it comes.
        self._head = 0
        self._payload: PayloadBuffer | None = None
        self._checking = False

        # The message whose last frame hasn't arrived: its opcode, or _CONT when there is none.
        self._message = _CONT
        self._message_size = 0
        self._fragments = 0

        # There is one once a text message has more than ASCII and more than one piece.
        self._decoder: codecs.IncrementalDecoder | None = None

    def limit_messages(self, max_message_size: int | None) -> None:
        """Set the limit on messages, for what is read from now on.

        Args:
            max_message_size: Limit in bytes, or :obj:`None`.

        """
        self.max_message_size = max_message_size
        if self._deflate is not None or not self.extensions:
            limits = (max_message_size, self.max_fragment_size, _SMALL)
            self._small = min(limit for limit in limits if limit is not None)

    def feed(
        self,
        data: bytes,
        frames: list[Frame],
        messages: list[Frame | Data] | None = None,
        pos: int = 0,
        until: int | None = None,
    ) -> int:
        """Read a chunk.

        Args:
            data: The chunk, in any size.
            frames: Where the frames that it completes are added. When an exception is raised, those
                before the mistake are there.
            messages: Where data frames are added instead, for whoever has no use for frames.
                Those that are whole messages may be there as such: :class:`str` for text,
                :class:`bytes` for binary.
            pos: Position in the chunk from where to read it.
            until: Position where to stop: the last frame that is read begins before. By default,
                the end of the chunk.

        Returns:
            Position from where to read the rest: the end of the chunk, or the first frame that
            doesn't begin before ``until``.

        Raises:
            ProtocolError: A frame breaks the protocol; close code 1002.
            UnicodeDecodeError: A text message isn't valid UTF-8; close code 1007. Raised as soon as
                the byte is there.
            PayloadTooBig: A frame or a message exceeds the limit; close code 1009. Raised before
                any of the frame's payload is kept.
            TooManyFragments: A message has too many frames; close code 1009.

        After an exception the reader must not be used again.

        """
        end = len(data)
        until = end if until is None else min(until, end)
        if self._payload is not None:
            pos = self._take_payload(data, pos, end, frames, messages)
        elif self._header:
            # What was kept of it is short, and so this is where a chunk begins.
            kept = len(self._header)
            data = self._header + data[pos:]
            self._header = b""
            return self._read(data, 0, max(1, until - pos + kept), frames, messages) + pos - kept
        return self._read(data, pos, until, frames, messages)

    def _read(
        self,
        data: bytes,
        pos: int,
        until: int,
        frames: list[Frame],
        messages: Messages | None,
    ) -> int:
        """Read frames, of which the first begins at a position; see :meth:`feed`."""
        end = len(data)
        masked = self.masked
        while not self.closed:
            if self._message == _CONT and self._small and pos < until:
                pos = self._read_whole(data, pos, until, frames, messages)
            if pos >= until:
                break
            if end - pos < 2:
                self._header = data[pos:]
                return end
            head = data[pos]
            length = data[pos + 1]
            if masked is not (length > 127):
                raise ProtocolError("incorrect masking")
            length &= 127
            start = pos + 2
            if length > 125:
                # Checked before the extended length is there: it never will be, perhaps.
                if head & _CONTROL:
                    self._check_head(head, length)
                stop = start + (2 if length == 126 else 8)
                if stop > end:
                    self._header = data[pos:]
                    return end
                minimum = 126 if length == 126 else 65536
                length = int.from_bytes(data[start:stop], "big")
                # RFC 6455, section 5.2: the minimal number of bytes must be used, and the most
                # significant bit of 64 must be 0.
                if length < minimum or length >> 63:
                    raise ProtocolError("invalid payload length")
                start = stop
            self._check_head(head, length)
            mask = b""
            if masked:
                stop = start + 4
                if stop > end:
                    self._header = data[pos:]
                    return end
                mask = data[start:stop]
                start = stop
            stop = start + length
            if stop > end:
                self._begin_payload(head, mask, length)
                return self._take_payload(data, start, end, frames, messages)
            payload = data[start:stop]
            if masked and payload:
                payload = apply_mask(payload, mask)
            self._complete(head, payload, frames, messages)
            pos = stop
        return end if self.closed else pos

    def read_messages(
        self, data: BytesLike, size: int, until: int, limit: int, messages: deque[Frame | Data]
    ) -> int:
        """Read the start of a chunk, as far as it is whole messages, small, and without an
        extension other than compression: the most frequent case, for the least cost.

        Args:
            data: What has the chunk at its beginning.
            size: Size of the chunk, in bytes.
            until: Position where to stop: the last frame that is read begins before.
            limit: How many messages to read at most, of those that this chunk begins.
            messages: Where the messages are added.

        Returns:
            Position of what is to be given to :meth:`feed`, from there to the end of the chunk.

        Raises:
            ProtocolError: A frame breaks the protocol; close code 1002.
            UnicodeDecodeError: A compressed text message isn't valid UTF-8; close code 1007.
            PayloadTooBig: A message exceeds the limit once it is inflated; close code 1009.

        """
        if self._header or self._message != _CONT or not self._small:
            return 0
        pos = 0
        payload = self._payload
        if payload is not None:
            if not self._head & _FIN or self._head & _CONTROL or payload.size > self._small:
                return 0
            pos = self._take_payload(data, 0, size, [], messages)
        decode = None if self._deflate is None else self._decode_message
        return read_messages(
            data, pos, size, until, limit, self.masked, self._small, decode, messages
        )

    def get_buffer(self) -> memoryview | None:
        """Return what the rest of a frame's payload can be read into, without another copy.

        Returns:
            :obj:`None` if that isn't worth it; otherwise, call :meth:`receive_payload` once
            something was read into it.

        """
        if self._payload is None or self._payload.missing < _LARGE:
            return None
        return self._payload.get_buffer()

    def receive_payload(
        self, size: int, frames: list[Frame], messages: list[Frame | Data] | None
    ) -> None:
        """Read what was put where :meth:`get_buffer` said.

        Args:
            size: How many bytes were.
            frames: As for :meth:`feed`.
            messages: As for :meth:`feed`.

        Raises:
            Exception: As for :meth:`feed`.

        """
        assert self._payload is not None
        self._payload.advance(size)
        self._process_payload(frames, messages)

    def _read_whole(
        self,
        data: bytes,
        pos: int,
        until: int,
        frames: list[Frame],
        messages: Messages | None,
    ) -> int:
        """Read the next frames of a chunk, as long as they are whole messages, small, and without
        an extension other than compression.

        Returns:
            Position after them in the chunk.

        """
        decode = None if self._deflate is None else self._decode_message
        end = len(data)
        whole: list[Frame | Data] = []
        into = whole if messages is None else messages
        try:
            return read_messages(data, pos, end, until, end, self.masked, self._small, decode, into)
        finally:
            for message in whole:
                if isinstance(message, str):
                    frames.append(Frame(Opcode.TEXT, message.encode()))
                elif isinstance(message, bytes):
                    frames.append(Frame(Opcode.BINARY, message))
                else:
                    frames.append(message)

    def _decode_message(self, head: int, payload: bytes) -> Frame | Data:
        """Inflate a whole message."""
        assert self._deflate is not None
        data = self._deflate.inflate(payload, True, self._get_limit()[0])
        if head & _OPCODE == _BINARY:
            return data
        if len(data) <= _SMALL:
            return data.decode()
        self._check_text(data, final=True)
        return Frame(Opcode.TEXT, data)

    def describe_missing(self) -> str | None:
        """Say what the peer was in the middle of, for the error when no more bytes come.

        Returns:
            :obj:`None` when it wasn't in the middle of a frame or of a message.

        """
        if self._payload is not None:
            missing = self._payload.missing
            unit = "byte" if missing == 1 else "bytes"
            return f"a frame with {missing} {unit} missing"
        if self._header:
            return "the header of a frame"
        if self._message != _CONT:
            return "a fragmented message"
        return None

    def _check_head(self, head: int, length: int) -> None:
        """Check a frame's header: all that can be told before its payload is there."""
        if head & _RESERVED and not self.extensions:
            raise ProtocolError("reserved bits must be 0")
        opcode = head & _OPCODE
        if opcode & _CONTROL:
            if _OPCODES[opcode] is None:
                raise ProtocolError("invalid opcode")
            # RFC 6455, section 5.5.
            if length > 125:
                raise ProtocolError("control frame too long")
            if not head & _FIN:
                raise ProtocolError("fragmented control frame")
            return
        # RFC 6455, section 5.4.
        if opcode == _CONT:
            if self._message == _CONT:
                raise ProtocolError("unexpected continuation frame")
            if self.max_fragments is not None and self._fragments >= self.max_fragments:
                raise TooManyFragments(
                    f"fragmented message exceeds limit of {self.max_fragments} frames"
                )
        elif opcode > _BINARY:
            raise ProtocolError("invalid opcode")
        elif self._message != _CONT:
            raise ProtocolError("expected a continuation frame")
        # Extensions may make data that they can't compress a little larger. What it decodes to is
        # checked exactly, in _decode().
        margin = (length >> 6) + 64 if self.extensions else 0
        self._check_size(length, margin)

    def _check_size(self, size: int, margin: int = 0) -> None:
        """Check the size of a data frame, alone and with those of its message before it."""
        limit = self.max_fragment_size
        if limit is not None and size > limit + margin:
            raise PayloadTooBig(size, limit)
        limit = self.max_message_size
        if limit is not None and self._message_size + size > limit + margin:
            if self._message == _CONT:
                raise PayloadTooBig(size, limit)
            raise PayloadTooBig(size, limit - self._message_size, self._message_size)

    def _begin_payload(self, head: int, mask: bytes, size: int) -> None:
        """Start to collect the payload of a frame that isn't whole."""
        if size > _SMALL:
            keep_memory()
        self._head = head
        self._payload = PayloadBuffer(size, mask)
        # What an extension encoded isn't text until the frame is whole and decoded.
        message = head & _OPCODE or self._message
        self._checking = message == _TEXT and not self.extensions

    def _take_payload(
        self,
        data: BytesLike,
        pos: int,
        end: int,
        frames: list[Frame],
        messages: Messages | None,
    ) -> int:
        """Take what a chunk has of the payload.

        Returns:
            Position after it in the chunk.

        """
        payload = self._payload
        assert payload is not None
        stop = min(pos + payload.missing, end)
        payload.append(memoryview(data)[pos:stop])
        self._process_payload(frames, messages)
        return stop

    def _process_payload(self, frames: list[Frame], messages: Messages | None) -> None:
        """Process the latest piece of a payload, and all of it if it is whole."""
        payload = self._payload
        assert payload is not None
        if self._checking:
            self._check_text(payload.last, final=False)
        if not payload.missing:
            self._payload = None
            self._complete(self._head, payload.take(), frames, messages, checked=self._checking)

    def _complete(
        self,
        head: int,
        payload: bytes,
        frames: list[Frame],
        messages: Messages | None,
        checked: bool = False,
    ) -> None:
        """Finish a frame whose payload is whole.

        Args:
            checked: Whether the payload was checked for UTF-8, but for its end.

        """
        code = head & _OPCODE
        opcode = _OPCODES[code]
        assert opcode is not None  # _check_head() saw to it
        fin = head > 127
        frame: Frame | None = None
        data: BytesLike = payload
        if self._deflate is not None:
            data = self._inflate(self._deflate, head, payload)
        elif self.extensions:
            frame = self._decode(Frame(opcode, payload, fin, *_reserved_bits(head)))
            data = frame.data
        if code & _CONTROL:
            self.control_frames += 1
            self.closed = code == _CLOSE
            frames.append(frame or Frame(opcode, data, fin))
            return
        message = code or self._message
        if messages is not None and code and fin and len(data) <= _SMALL:
            if message == _BINARY:
                messages.append(bytes(data))
                return
            if checked:
                self._check_text(b"", final=True)
            messages.append(bytes(data).decode())
            return
        if message == _TEXT:
            self._check_text(b"" if checked else data, final=fin)
        if fin:
            self._message = _CONT
            self._message_size = 0
            self._fragments = 0
        else:
            self._message = message
            self._message_size += len(data)
            self._fragments += 1
        (frames if messages is None else messages).append(frame or Frame(opcode, data, fin))

    def _get_limit(self) -> tuple[int | None, int | None]:
        """Return the limit on the next data frame, and the size of those of its message before it,
        if it is them who make it."""
        limit = self.max_fragment_size
        if self.max_message_size is not None:
            room = self.max_message_size - self._message_size
            if limit is None or room < limit:
                return room, None if self._message == _CONT else self._message_size
        return limit, None

    def _inflate(self, deflate: PerMessageDeflate, head: int, payload: bytes) -> bytes:
        """Do what :meth:`_decode` does where compression is the only extension."""
        if head & (_RESERVED & ~_RSV1):
            raise ProtocolError("reserved bits must be 0")
        limit, current_size = self._get_limit()
        try:
            data = deflate.decode_payload(head, payload, limit)
        except PayloadTooBig as exc:
            exc.set_current_size(current_size)
            raise
        if not head & _CONTROL:
            # What isn't compressed had the margin, too.
            self._check_size(len(data))
        return data

    def _decode(self, frame: Frame) -> Frame:
        """Let the extensions decode a frame."""
        if frame.opcode & _CONTROL:
            for extension in reversed(self.extensions):
                frame = extension.decode(frame)
        else:
            limit, current_size = self._get_limit()
            for extension in reversed(self.extensions):
                try:
                    frame = extension.decode(frame, max_size=limit)
                except PayloadTooBig as exc:
                    exc.set_current_size(current_size)
                    raise
            if isinstance(frame.data, memoryview):
                frame.data = bytes(frame.data)
            # Extensions of others may not care for max_size.
            self._check_size(len(frame.data))
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            raise ProtocolError("reserved bits must be 0")
        return frame

    def _check_text(self, data: BytesLike, final: bool) -> None:
        """Check the next piece of a text message for UTF-8 (RFC 6455, section 8.1).

        Args:
            final: Whether the message ends with it.

        """
        assert not isinstance(data, memoryview)  # _decode() saw to it
        decoder = self._decoder
        if decoder is None:
            # Most text is ASCII, and nothing is as fast to check.
            if data.isascii():
                self.text_position = 0 if final else self.text_position + len(data)
                return
            if final:
                data.decode()
                self.text_position = 0
                return
            decoder = self._decoder = _UTF8Decoder()
        waiting = len(decoder.getstate()[0])
        decoder.decode(data, final)
        if final:
            self._decoder = None
            self.text_position = 0
            return
        pending, _ = decoder.getstate()
        self.text_position += waiting + len(data) - len(pending)
        if b"\xed\xa0" <= pending < b"\xee":
            # The decoder waits for the third byte of a surrogate. The second says it all.
            raise UnicodeDecodeError("utf-8", pending, 0, 1, "invalid continuation byte")


def _reserved_bits(head: int) -> tuple[bool, bool, bool]:
    return bool(head & 0x40), bool(head & 0x20), bool(head & 0x10)
