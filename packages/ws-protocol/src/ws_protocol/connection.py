"""What connections show of themselves, whatever does their I/O, and what messages they send."""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping
from typing import Any, Generic, TypeVar

from .http11 import Request, Response
from .protocol import Protocol
from .session import Session
from .shared import SharedMessage
from .state import State
from .typing import LoggerLike, Subprotocol

__all__ = [
    "BaseConnection",
    "check_fragment",
    "check_iterable",
    "encode_payload",
    "iterate",
    "show_address",
]

Waiter = TypeVar("Waiter")


class BaseConnection(Generic[Waiter]):
    """Attributes of a connection.

    A way of doing I/O adds methods.

    Args:
        session: The connection, but for its I/O.

    Attributes:
        protocol: The protocol.
        session: The connection, but for its I/O.

    """

    def __init__(self, session: Session[Waiter]) -> None:
        self.protocol: Protocol = session.protocol
        self.session: Session[Waiter] = session

    @property
    def id(self) -> uuid.UUID:
        """Unique identifier of the connection; useful in logs. It can be set."""
        return self.protocol.id

    @id.setter  # noqa: A003  # it is the property above
    def id(self, value: uuid.UUID) -> None:
        self.protocol.id = value

    @property
    def logger(self) -> LoggerLike:
        """Logger of this connection. Its records have the connection as attribute ``websocket``."""
        logger = self.protocol.logger
        if isinstance(logger, logging.LoggerAdapter) and (logger.extra or {}).get("websocket"):
            return logger
        return logging.LoggerAdapter(logger, {"websocket": self})

    @property
    def request(self) -> Request | None:
        """Request of the opening handshake, once there is one."""
        return self.session.request

    @property
    def response(self) -> Response | None:
        """Response of the opening handshake, once there is one."""
        return self.session.response

    @property
    def state(self) -> State:
        """State of the connection (RFC 6455, sections 4.1, 4.2, 7.1.3 and 7.1.4).

        It may change at any time. Don't look before you leap: call a method, and handle
        :exc:`~ws_protocol.exceptions.ConnectionClosed`.
        """
        return self.protocol.state

    @property
    def subprotocol(self) -> Subprotocol | None:
        """Subprotocol that was negotiated; :obj:`None` if none was."""
        return self.protocol.subprotocol

    @property
    def latency(self) -> float:
        """Seconds that the last ping took to be answered; 0 before the first.

        Keepalive pings count, too.
        """
        return self.session.latency

    @property
    def close_code(self) -> int | None:
        """Close code (RFC 6455, section 7.1.5).

        1006 if no close frame was received; :obj:`None` if the connection isn't closed.
        """
        return self.protocol.close_code

    @property
    def close_reason(self) -> str | None:
        """Close reason (RFC 6455, section 7.1.6).

        ``""`` if no close frame was received; :obj:`None` if the connection isn't closed.
        """
        return self.protocol.close_reason

    @property
    def ping_interval(self) -> float | None:
        """Seconds between keepalive pings; :obj:`None` for no keepalive."""
        return self.session.ping_interval

    @property
    def ping_timeout(self) -> float | None:
        """Seconds to wait for an answer to a ping; :obj:`None` to wait for ever."""
        return self.session.ping_timeout

    @property
    def close_timeout(self) -> float | None:
        """Seconds to wait for the connection to close, once it should; :obj:`None` to wait for
        ever."""
        return self.session.close_timeout

    def send_shared(self, message: SharedMessage) -> None:
        """Send a message without waiting for anything; nothing, if the connection isn't open.

        A way of doing I/O overrides it. :func:`~ws_protocol.broadcast.broadcast` calls it.

        Args:
            message: The message.

        Raises:
            ConcurrencyError: A fragmented message is being sent.

        """
        raise NotImplementedError

    def get_buffer_size(self) -> int:
        """Return how many bytes wait to be sent.

        A way of doing I/O overrides it.
        """
        raise NotImplementedError

    def give_up(self, reason: str, exc: BaseException) -> None:
        """Fail the connection, with close code 1008 (policy violation), without waiting.

        A way of doing I/O overrides it.

        Args:
            reason: Close reason.
            exc: Why: the cause of the exceptions that tell that the connection is closed.

        """
        raise NotImplementedError

    def log_as_connection(self) -> None:
        """Have what the protocol logs refer to this connection.

        It is a reference cycle, until :meth:`log_as_protocol`, and worth it only if there is much
        to log.
        """
        if self.protocol.debug:
            self.protocol.logger = self.logger

    def log_as_protocol(self) -> None:
        """Undo :meth:`log_as_connection`, when the connection is lost."""
        logger = self.protocol.logger
        if isinstance(logger, logging.LoggerAdapter) and logger.extra == {"websocket": self}:
            self.protocol.logger = logger.logger


def check_iterable(message: Any) -> Iterable[Any] | AsyncIterable[Any]:
    """Check that a message that isn't a string is an iterable of fragments.

    Raises:
        TypeError: It isn't.

    """
    if isinstance(message, Mapping):
        # Iterating over the keys is never what was meant.
        raise TypeError("message is a mapping; serialize it first, to JSON for example")
    if isinstance(message, (Iterable, AsyncIterable)):
        return message
    raise TypeError(
        "message must be str, bytes-like, an iterable or an async iterable of either, "
        f"not {type(message).__name__}"
    )


def check_fragment(fragment: Any, kind: type[str | bytes] | None) -> type[str | bytes]:
    """Check a fragment of a message.

    Args:
        fragment: The fragment.
        kind: Kind of the fragments before it, if any.

    Returns:
        Its kind: :class:`str`, or :class:`bytes` for all that is bytes-like.

    Raises:
        TypeError: It is something else, or of another kind than those before it.

    """
    if isinstance(fragment, str):
        fragment_kind: type[str | bytes] = str
    elif isinstance(fragment, (bytes, bytearray, memoryview)):
        fragment_kind = bytes
    else:
        raise TypeError(f"fragments must be str or bytes-like, not {type(fragment).__name__}")
    if kind is not None and kind is not fragment_kind:
        raise TypeError("fragments must be all str, or all bytes-like")
    return fragment_kind


def encode_payload(data: Any) -> bytes:
    """Return the payload of a ping or of a pong.

    Raises:
        TypeError: It isn't a string, nor bytes-like.

    """
    if isinstance(data, str):
        return data.encode()
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    raise TypeError(f"data must be str or bytes-like, not {type(data).__name__}")


async def iterate(iterable: Iterable[Any] | AsyncIterable[Any]) -> AsyncGenerator[Any, None]:
    """Iterate over the fragments of a message, whichever kind of iterable it is."""
    if isinstance(iterable, AsyncIterable):
        async for item in iterable:
            yield item
    else:
        for item in iterable:
            yield item


def show_address(address: Any) -> str:
    """Return an address that a server listens on, for logs.

    Args:
        address: What ``getsockname()`` returns: a path, or a tuple that starts with host and port.

    """
    if isinstance(address, tuple):
        return "[{}]:{}".format(*address) if ":" in address[0] else "{}:{}".format(*address)
    return str(address)
