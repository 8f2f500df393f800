"""When and whether a client tries again after a connection failed: decisions, not waiting."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from typing import Any

from .exceptions import (
    InvalidMessage,
    InvalidProxyMessage,
    InvalidProxyStatus,
    InvalidStatus,
    ProxyError,
)
from .limits import (
    BACKOFF_FACTOR,
    BACKOFF_INITIAL_DELAY,
    BACKOFF_MAX_DELAY,
    BACKOFF_MIN_DELAY,
    MIN_CONNECTION_LIFE,
)
from .session import Session
from .typing import LoggerLike

__all__ = ["Reconnection", "backoff", "process_exception"]

# A server that is overloaded or restarting, or a gateway before one (RFC 9110, section 15.6).
_RETRYABLE = frozenset({500, 502, 503, 504})

# Replies of a SOCKS proxy that doesn't reach the server (RFC 1928, section 6): failure, network or
# host unreachable, connection refused, TTL expired. SOCKS 4 has one for all that fails.
_RETRYABLE_REPLIES = frozenset({0x01, 0x03, 0x04, 0x05, 0x06, 0x5B})


def backoff(
    initial_delay: float = BACKOFF_INITIAL_DELAY,
    min_delay: float = BACKOFF_MIN_DELAY,
    max_delay: float = BACKOFF_MAX_DELAY,
    factor: float = BACKOFF_FACTOR,
) -> Iterator[float]:
    """Return the delays between attempts to connect, in seconds; there is always another.

    The first is random, so that the clients of a server that restarts don't come back all at once.
    The others grow from ``min_delay`` to ``max_delay``.

    Args:
        initial_delay: Upper bound of the first delay, in seconds.
        min_delay: Second delay, in seconds.
        max_delay: Longest delay, in seconds.
        factor: What each delay is multiplied with to give the next.

    """
    yield random.random() * initial_delay  # noqa: S311  # not a secret
    delay = min_delay
    while True:
        yield min(delay, max_delay)
        if delay < max_delay:
            delay *= factor


def process_exception(exc: Exception) -> Exception | None:
    """Tell whether to try again after an attempt to connect failed.

    This is what ``connect()`` does by default. Network errors and timeouts are worth another
    attempt, as are the HTTP statuses 500, 502, 503 and 504 of a server or of a proxy, and a SOCKS
    proxy that doesn't reach the server. All else, such as a wrong URI, refused credentials or an
    invalid certificate, would fail again.

    Args:
        exc: The exception.

    Returns:
        :obj:`None` to try again, or the exception to raise.

    """
    # ssl.SSLCertVerificationError is an OSError, and a ValueError, which network errors aren't.
    if isinstance(exc, (OSError, TimeoutError)) and not isinstance(exc, ValueError):
        return None
    # The connection was lost during the opening handshake.
    if isinstance(exc, (InvalidMessage, InvalidProxyMessage)) and isinstance(
        exc.__cause__, EOFError
    ):
        return None
    if (
        isinstance(exc, (InvalidStatus, InvalidProxyStatus))
        and exc.response.status_code in _RETRYABLE
    ):
        return None
    if isinstance(exc, ProxyError) and _is_temporary(exc.__cause__):
        return None
    return exc


def _is_temporary(cause: BaseException | None) -> bool:
    """Tell whether python-socks failed because a proxy doesn't reach the server, or is gone.

    Args:
        cause: Its exception, if that is the cause.

    """
    return (
        getattr(cause, "error_code", None) in _RETRYABLE_REPLIES
        # It has no other way to tell that the proxy closed the connection.
        or str(cause) == "Connection closed unexpectedly"
    )


class Reconnection:
    """When to connect again, for a client that does whenever its connection ends.

    An attempt that fails is followed by a delay. So is a connection that the peer ended within
    :data:`~ws_protocol.limits.MIN_CONNECTION_LIFE`, before it sent a message: a server, or a proxy
    before one, that accepts connections and can't use them isn't to be called without a pause.
    After any other connection, the next attempt comes at once, and the delays begin anew.

    Args:
        process_exception: Gets the exception of an attempt that failed, and returns :obj:`None` to
            try again, or an exception to raise.
        reconnect_delays: Returns an iterator over delays, in seconds. When that ends, there is no
            other attempt.
        logger: Logger, which is told of delays; ``logging.getLogger("websockets.client")`` by
            default.

    """

    def __init__(
        self,
        process_exception: Callable[[Exception], Exception | None] = process_exception,
        reconnect_delays: Callable[[], Iterator[float]] = backoff,
        logger: LoggerLike | None = None,
    ) -> None:
        self._logger: LoggerLike = logger or logging.getLogger("websockets.client")
        self._process_exception = process_exception
        self._reconnect_delays = reconnect_delays
        self._delays: Iterator[float] | None = None

    def delay_after_failure(self, exc: Exception) -> float:
        """Return how long to wait after an attempt that failed, in seconds.

        Args:
            exc: Why it failed.

        Raises:
            Exception: There is to be no other attempt: the exception, or another that
                ``process_exception`` returned.

        """
        new_exc = self._process_exception(exc)
        try:
            if new_exc is exc:
                raise exc
            if new_exc is not None:
                raise new_exc from exc
            delay = self._next_delay()
            if delay is None:
                raise exc
            self._logger.info(
                "connect failed; reconnecting in %.1f seconds: %s",
                delay,
                f"{type(exc).__name__}: {exc}",
            )
            self._logger.debug("connect failed", exc_info=exc)
            return delay
        finally:
            # The traceback refers to it, which would be a cycle.
            del exc, new_exc

    def delay_after_connection(self, session: Session[Any], opened: float, now: float) -> float:
        """Return how long to wait after a connection that was open, in seconds.

        Args:
            session: The connection, closed.
            opened: When it was opened.
            now: The time.

        Raises:
            ConnectionClosed: There is to be no other attempt.

        """
        if now - opened < MIN_CONNECTION_LIFE and session.ended_in_vain():
            delay = self._next_delay()
            if delay is None:
                raise session.closed_exception()
            self._logger.info("connection ended at once; reconnecting in %.1f seconds", delay)
            return delay
        self._delays = None
        return 0

    def _next_delay(self) -> float | None:
        if self._delays is None:
            self._delays = self._reconnect_delays()
        return next(self._delays, None)
