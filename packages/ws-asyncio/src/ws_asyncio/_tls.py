"""TLS on TCP connections that are there already.

Event loops can do more of it than this, when they connect or accept. But then nobody knows of the
connection until the TLS handshake is done, nor is there a way to use a tunnel.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Generator
from typing import Any, cast

from .connection import Connection

__all__ = ["Begun", "TLSAcceptor", "start_tls"]


class Keeper(asyncio.Protocol):
    """Keeps what arrives after the TLS handshake, until the connection is told of the transport.

    asyncio's event loop delivers it before start_tls() returns.

    Attributes:
        data: What arrived.

    """

    def __init__(self) -> None:
        self.data = b""

    def data_received(self, data: bytes) -> None:
        """Keep bytes."""
        self.data += data


async def start_tls(
    transport: asyncio.Transport,
    connection: Connection,
    context: ssl.SSLContext,
    **kwargs: Any,
) -> None:
    """Perform a TLS handshake, and let a connection use the transport that comes of it.

    If that fails, the TCP connection is closed.

    Args:
        transport: Transport of the TCP connection.
        connection: The connection.
        context: TLS context.
        kwargs: More arguments for :meth:`asyncio.loop.start_tls`.

    Raises:
        OSError: The TLS handshake fails.

    """
    loop = asyncio.get_running_loop()
    keeper = Keeper()
    try:
        tls_transport = await loop.start_tls(transport, keeper, context, **kwargs)
    except BaseException as exc:
        # uvloop's doesn't close it when the handshake has yet to begin.
        transport.abort()
        # The traceback refers to what start_tls() waited for, which would be a cycle.
        exc.__traceback__ = None
        raise
    # When the connection is lost early, asyncio's returns nothing, and uvloop's returns a transport
    # that is dead.
    if tls_transport is None or tls_transport.get_extra_info("cipher") is None:
        raise ConnectionResetError("connection lost during the TLS handshake")
    tls_transport.set_protocol(connection)
    connection.connection_made(tls_transport)
    if keeper.data:
        connection.data_received(keeper.data)


class TLSAcceptor(asyncio.Protocol):
    """Hands a new TCP connection over to the server, which performs the TLS handshake.

    The event loop can perform it, too, but then the server wouldn't know of the connection until
    it is done: it couldn't count it, nor close it.

    Args:
        accept: Takes the transport.

    """

    def __init__(self, accept: Callable[[asyncio.Transport], None]) -> None:
        self._accept = accept

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport of a new TCP connection."""
        self._accept(cast(asyncio.Transport, transport))


class Begun:
    """The rest of a coroutine that has begun already, to be awaited.

    A task would begin it in the next round of the event loop. By then, uvloop has read what the
    client sent, however soon reading is paused: the start of a TLS handshake would be lost.

    Args:
        coroutine: The coroutine. It runs until it waits for the first time.

    """

    def __init__(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._coroutine = coroutine
        self._waits_for = coroutine.send(None)

    def __await__(self) -> Generator[Any, Any, None]:
        try:
            yield self._waits_for
        except BaseException as exc:
            self._coroutine.throw(exc)
        finally:
            # If it failed, its exception refers to this, which would be a cycle.
            del self._waits_for
        yield from self._coroutine.__await__()
