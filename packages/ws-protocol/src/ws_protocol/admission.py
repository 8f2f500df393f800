"""How many connections a server takes: the rest are refused, politely as long as that is cheap."""

from __future__ import annotations

import enum
import http
from collections.abc import Hashable

from .http11 import Response
from .limits import MAX_REFUSED, RETRY_AFTER
from .server import ServerProtocol

__all__ = ["Admission", "Verdict", "busy_response"]


class Verdict(enum.Enum):
    """What a server does with a new connection."""

    ACCEPT = enum.auto()
    """Perform the opening handshake."""

    REFUSE = enum.auto()
    """Send what :func:`busy_response` makes, without waiting for the request, and close."""

    DROP = enum.auto()
    """Close the TCP connection at once."""


class Admission:
    """Counts the connections of a server, and tells what to do with new ones.

    Connections are told apart by anything that is hashable: those that a way of doing I/O has for
    them. Where several threads accept connections, they must hold a lock.

    A refused connection takes memory, too, until the client has read why. Of those there are at
    most :data:`~ws_protocol.limits.MAX_REFUSED`; more are dropped.

    Args:
        max_connections: How many connections there may be, those included that are about to open;
            :obj:`None` for no limit.
        max_handshakes: How many connections may be about to open, from the TCP connection on;
            :obj:`None` for no limit.

    Raises:
        ValueError: A limit is less than 1.

    """

    def __init__(
        self, max_connections: int | None = None, max_handshakes: int | None = None
    ) -> None:
        for name, limit in [
            ("max_connections", max_connections),
            ("max_handshakes", max_handshakes),
        ]:
            if limit is not None and limit < 1:
                raise ValueError(f"{name} must be at least 1, got {limit}")
        self.max_connections = max_connections
        self.max_handshakes = max_handshakes
        self._opening: set[Hashable] = set()
        self._open: set[Hashable] = set()
        self._refused: set[Hashable] = set()

    def enter(self, connection: Hashable) -> Verdict:
        """Take a new connection, or don't.

        Args:
            connection: The connection. Unless it is dropped, :meth:`leave` must be called once it
                is closed.

        """
        opening = len(self._opening)
        if (self.max_handshakes is None or opening < self.max_handshakes) and (
            self.max_connections is None or opening + len(self._open) < self.max_connections
        ):
            self._opening.add(connection)
            return Verdict.ACCEPT
        if len(self._refused) < MAX_REFUSED:
            self._refused.add(connection)
            return Verdict.REFUSE
        return Verdict.DROP

    def open(self, connection: Hashable) -> None:
        """Count a connection among those that are open: its opening handshake succeeded."""
        self._opening.discard(connection)
        self._open.add(connection)

    def leave(self, connection: Hashable) -> None:
        """Forget a connection, which is closed."""
        self._opening.discard(connection)
        self._open.discard(connection)
        self._refused.discard(connection)


def busy_response(protocol: ServerProtocol) -> Response:
    """Make the response for clients that are refused because there are enough connections.

    It has status 503 (service unavailable), and says when to try again (RFC 9110, section 10.2.3).
    """
    response = protocol.reject(
        http.HTTPStatus.SERVICE_UNAVAILABLE, "Server has too many connections.\n"
    )
    response.headers["Retry-After"] = str(RETRY_AFTER)
    return response
