"""Sending one message to many connections at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import trio

from ws_protocol import broadcast as without_io
from ws_protocol.typing import DataLike

from .connection import Connection

__all__ = ["broadcast"]


async def broadcast(
    connections: Iterable[Connection],
    message: DataLike,
    *,
    raise_exceptions: bool = False,
    text: bool | None = None,
    max_buffer: int | None = None,
    slow: Literal["skip", "close"] = "skip",
) -> None:
    """Send a message to several connections.

    It is a checkpoint, before it sends, and waits for nothing: it doesn't stop for connections that
    are slow, whose messages pile up in memory until they are read or the connection is closed, by
    keepalive for example. Set ``max_buffer`` to bound that.

    Connections that aren't open are skipped without a word: they are closing, or the program is
    about to notice. Connections on which the fragments of a message are being sent are skipped with
    a warning in the log, since the message can't be sent now.

    Args:
        connections: The connections.
        message: The message.
        raise_exceptions: Raise an exception group, once the message was sent wherever possible,
            instead of logging warnings.
        text: :obj:`True` to send bytes, which must be UTF-8, as a text message; :obj:`False` to
            send a string as a binary message.
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
    await trio.lowlevel.checkpoint()
    without_io.broadcast(
        connections,
        message,
        text=text,
        raise_exceptions=raise_exceptions,
        max_buffer=max_buffer,
        slow=slow,
    )
