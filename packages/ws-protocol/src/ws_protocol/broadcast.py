"""Sending one message to many connections at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Protocol

from .shared import SharedMessage
from .slowness import Slowness, judge_slowness
from .state import State
from .typing import DataLike, LoggerLike

__all__ = ["broadcast"]


class _Recipient(Protocol):
    """A connection, whatever does its I/O."""

    @property
    def logger(self) -> LoggerLike: ...

    @property
    def state(self) -> State: ...

    def get_buffer_size(self) -> int: ...

    def give_up(self, reason: str, exc: BaseException) -> None: ...

    def send_shared(self, message: SharedMessage) -> None: ...


def broadcast(
    connections: Iterable[_Recipient],
    message: DataLike,
    *,
    text: bool | None = None,
    raise_exceptions: bool = False,
    max_buffer: int | None = None,
    slow: Literal["skip", "close"] = "skip",
) -> None:
    """Send a message to several connections.

    It doesn't wait for connections that are slow: their messages pile up in memory until they are
    read or the connection is closed, by keepalive for example. Set ``max_buffer`` to bound that.

    Servers make and compress the message once, not once for each client. It is compressed on its
    own then, without the context of earlier messages.

    Connections that aren't open are skipped without a word: they are closing, or the program is
    about to notice. Connections on which the fragments of a message are being sent are skipped with
    a warning in the log, since the message can't be sent now.

    Args:
        connections: The connections.
        message: The message.
        text: :obj:`True` to send bytes, which must be UTF-8, as a text message; :obj:`False` to
            send a string as a binary message.
        raise_exceptions: Raise an exception group, once the message was sent wherever possible,
            instead of logging warnings.
        max_buffer: How many bytes may wait to be sent to a connection before it is too slow for
            this message; :obj:`None` for no limit.
        slow: What to do with connections that are too slow: ``"skip"`` leaves the message out,
            ``"close"`` fails the connection with close code 1008 (policy violation).

    Raises:
        TypeError: The message has another type. Messages in fragments aren't possible.
        ValueError: ``slow`` is something else.
        ExceptionGroup: Sending failed for some of the connections, and ``raise_exceptions`` is
            true.

    """
    if not isinstance(message, (str, bytes, bytearray, memoryview)):
        raise TypeError(f"message must be str or bytes-like, not {type(message).__name__}")
    judge_slowness(slow, None, 0)  # to tell of a mistake before anything is sent
    shared = SharedMessage(message, text)
    exceptions: list[Exception] = []
    for connection in connections:
        try:
            if max_buffer is not None and connection.state is State.OPEN:
                buffered = connection.get_buffer_size()
                slowness = judge_slowness(slow, max_buffer, buffered)
                if slowness is Slowness.CLOSE:
                    reason = BufferError(f"{buffered} bytes wait to be sent, over {max_buffer}")
                    connection.give_up("too slow", reason)
                if slowness is not Slowness.SEND:
                    continue
            connection.send_shared(shared)
        except Exception as exc:
            if raise_exceptions:
                exceptions.append(exc)
            else:
                connection.logger.warning("skipped broadcast: %s", exc)
    if exceptions:
        try:
            raise ExceptionGroup("skipped broadcast", exceptions)
        finally:
            # Their tracebacks refer to this frame, which would be a cycle.
            del exceptions
