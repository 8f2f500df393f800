"""Messages out of frames (RFC 6455, section 5.4), and how many may wait to be read."""

from __future__ import annotations

import codecs
import collections
from collections.abc import Callable
from typing import Literal, overload

from .buffers import PieceBuffer
from .exceptions import ConcurrencyError
from .frames import Frame, Opcode
from .kernel import are_messages, message_taker
from .typing import Data

__all__ = ["Assembler"]

_UTF8Decoder = codecs.getincrementaldecoder("utf-8")


class Assembler:
    """Data frames in, whole messages or their fragments out, without I/O.

    Put every data frame in, in order; one that is a whole message may be put in as that,
    :class:`str` or :class:`bytes`, which is cheaper. Then take out messages with
    :meth:`get_message`, or the fragments of one with :meth:`get_fragment`.

    A message is taken out when it is whole, or not at all: whoever waits for one may be interrupted
    while waiting, and nothing is lost. The fragments of a message that somebody waits for are
    joined as they arrive, so that it takes no more memory than its payload, whatever their size.

    Args:
        high: How many frames may wait before :attr:`paused` becomes true; :obj:`None` for no limit.
        low: How many frames wait when :attr:`paused` becomes false again; a quarter of ``high`` by
            default.

    Raises:
        ValueError: ``low`` is negative, or greater than ``high``.

    Attributes:
        frames: Frames that wait, and messages that were put in as such, which count as one each.
        take_message: Function that does what :meth:`get_message` does without arguments, for most
            messages and at less cost. When it returns :obj:`None`, ask :meth:`get_message`. A
            message that it returns leaves :attr:`paused` as it is.
        paused: Whether so many frames wait that no more should be read from the network.
        joining: Whether somebody waits for a whole message. Fragments that arrive are joined then,
            and don't count as waiting: else a message of more fragments than ``high`` could never
            be completed.

    """

    def __init__(self, high: int | None = None, low: int | None = None) -> None:
        if high is not None:
            if low is None:
                low = high // 4
            if low < 0:
                raise ValueError(f"low must be at least 0, got {low}")
            if high < low:
                raise ValueError(f"high must be at least low, got high={high} and low={low}")
        self.high = high
        self.low = low
        self.frames: collections.deque[Frame | Data] = collections.deque()
        # Reading may have to continue when no more than low wait.
        self.take_message: Callable[[], Data | None] = message_taker(
            self.frames, -1 if low is None else low
        )
        # How many frames among them aren't the last ones of messages.
        self._unfinished = 0
        self.paused: bool = False
        self.joining = False
        # The start of the first message, when its fragments are joined: payload and kind.
        self._joined: PieceBuffer | None = None
        self._text = False
        # Whether fragments of the first message were taken out, and its last wasn't.
        self._streaming = False
        self._decoder: codecs.IncrementalDecoder | None = None

    @property
    def complete(self) -> int:
        """How many last frames of messages wait, or messages that were put in as such."""
        return len(self.frames) - self._unfinished

    def put(self, frame: Frame | Data) -> None:
        """Put a data frame in, or a message."""
        self.frames.append(frame)
        if isinstance(frame, Frame) and not frame.fin:
            self._unfinished += 1
            if self.joining and not self.complete:
                self._join()
                return
        self.update_paused()

    def put_all(self, frames: list[Frame | Data]) -> None:
        """Put data frames or messages in: the same as :meth:`put` for each, and faster."""
        if not are_messages(frames):
            for frame in frames:
                self.put(frame)
            return
        self.frames.extend(frames)
        self.update_paused()

    def update_paused(self) -> None:
        """Find out whether too many wait, for whoever added messages to :attr:`frames`."""
        if self.high is not None and len(self.frames) > self.high:
            self.paused = True

    @overload
    def get_message(self, decode: Literal[True]) -> str | None: ...

    @overload
    def get_message(self, decode: Literal[False]) -> bytes | None: ...

    @overload
    def get_message(self, decode: bool | None = None) -> Data | None: ...

    def get_message(self, decode: bool | None = None) -> Data | None:
        """Take out the first message.

        Args:
            decode: :obj:`True` for :class:`str`, :obj:`False` for :class:`bytes`; by default,
                :class:`str` for a text message and :class:`bytes` for a binary one.

        Returns:
            :obj:`None` if there is no whole message.

        Raises:
            UnicodeDecodeError: A binary message isn't valid UTF-8, and ``decode`` is true. It is
                taken out.
            ConcurrencyError: Fragments of the message were taken out with :meth:`get_fragment`.

        """
        frames = self.frames
        first = frames[0] if frames else None
        # What is left of a message that was taken out or joined in part is frames.
        if first is not None and not isinstance(first, Frame):
            frames.popleft()
            if self.paused:
                self._resume()
            return first if decode is None else _convert(first, decode)
        if self._streaming:
            raise ConcurrencyError(
                "cannot receive a message while the fragments of one are received; "
                "the rest of them must be received first"
            )
        if not self.complete:
            if frames:
                self._join()
            return None
        if self._joined is None and first is not None and first.fin:
            frames.popleft()
            text = first.opcode is Opcode.TEXT
            data = bytes(first.data)
        else:
            self._join()
            assert self._joined is not None
            text = self._text
            data = self._joined.take()
            self._joined = None
        self._resume()
        if decode is None:
            decode = text
        return data.decode() if decode else data

    def get_fragment(self, decode: bool | None = None) -> tuple[Data, bool] | None:
        """Take out the next fragment of the first message.

        Args:
            decode: As for :meth:`get_message`; must be the same for all fragments of a message.

        Returns:
            The fragment, and whether it is the last one; :obj:`None` if there is none yet.

        Raises:
            UnicodeDecodeError: A binary message isn't valid UTF-8, and ``decode`` is true.

        """
        if self._joined is not None:
            # Joined for somebody who waited for the whole message, and doesn't any more.
            data, fin = self._joined.take(), False
            self._joined = None
        elif self.frames:
            frame = self.frames.popleft()
            if not isinstance(frame, Frame):
                self._resume()
                return (frame if decode is None else _convert(frame, decode)), True
            if not self._streaming:
                self._text = frame.opcode is Opcode.TEXT
            data, fin = bytes(frame.data), frame.fin
            if not fin:
                self._unfinished -= 1
            self._resume()
        else:
            return None
        self._streaming = not fin
        # A character may be cut by the end of a fragment. What was begun is forgotten when the
        # caller turns to bytes, or the text isn't valid.
        decoder, self._decoder = self._decoder, None
        if not (self._text if decode is None else decode):
            return data, fin
        if decoder is None:
            decoder = _UTF8Decoder()
        text = decoder.decode(data, fin)
        if not fin:
            self._decoder = decoder
        return text, fin

    def _join(self) -> None:
        """Join the fragments of the first message that have arrived."""
        frames = self.frames
        if self._joined is None:
            self._joined = PieceBuffer()
            if not self._streaming:
                assert isinstance(frames[0], Frame)
                self._text = frames[0].opcode is Opcode.TEXT
        fin = False
        while frames and not fin:
            frame = frames.popleft()
            assert isinstance(frame, Frame)  # fragments are
            self._joined.append(frame.data)
            fin = frame.fin
            if not fin:
                self._unfinished -= 1
        self._resume()

    def _resume(self) -> None:
        if self.paused:
            assert self.low is not None
            if len(self.frames) <= self.low:
                self.paused = False


def _convert(message: Data, decode: bool) -> Data:
    if isinstance(message, str):
        return message if decode else message.encode()
    return message.decode() if decode else message
