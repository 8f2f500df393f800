"""A server that listens: its connections, and its shutdown."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ws_protocol.connection import show_address
from ws_protocol.frames import CloseCode
from ws_protocol.protocol import State
from ws_protocol.typing import LoggerLike

if TYPE_CHECKING:
    from .server import WebSocketServerProtocol

__all__ = ["WebSocketServer"]


class WebSocketServer:
    """A WebSocket server.

    :func:`serve` makes it. It has the methods of :class:`asyncio.Server`.

    Args:
        logger: Logger; ``logging.getLogger("websockets.server")`` by default.

    Attributes:
        logger: Logger.
        server: The :class:`asyncio.Server`.
        websockets: Connections, from the TCP connection on until their handlers have returned.

    """

    # Where it is public.
    __module__ = "ws_legacy.server"

    server: asyncio.Server

    def __init__(self, logger: LoggerLike | None = None) -> None:
        self.logger: LoggerLike = logger or logging.getLogger("websockets.server")
        self.websockets: set[WebSocketServerProtocol] = set()
        self.close_task: asyncio.Task[None] | None = None
        self.closed_waiter: asyncio.Future[None]
        self._closing: set[asyncio.Task[None]] = set()

    def wrap(self, server: asyncio.Server) -> None:
        """Take the server that listens.

        Args:
            server: The server.

        """
        self.server = server
        self.closed_waiter = server.get_loop().create_future()
        for sock in server.sockets:
            self.logger.info("server listening on %s", show_address(sock.getsockname()))

    def register(self, protocol: WebSocketServerProtocol) -> None:
        """Take a new connection."""
        self.websockets.add(protocol)

    def unregister(self, protocol: WebSocketServerProtocol) -> None:
        """Forget a connection."""
        self.websockets.discard(protocol)

    def close(self, close_connections: bool = True) -> None:
        """Close the server.

        It stops accepting connections. Connections that are about to open are refused with HTTP
        status 503 (service unavailable). Those that are open are closed with code 1001 (going
        away), unless that isn't wanted.

        It doesn't wait for any of that: :meth:`wait_closed` does. To close the connections later,
        call it again.

        Args:
            close_connections: Whether to close connections that are open. Otherwise, they remain
                until they close by themselves.

        """
        if self.close_task is None:
            self.logger.info("server closing")
            self.server.close()
            self.close_task = self.get_loop().create_task(self._close())
        if close_connections:
            for websocket in self.websockets:
                if websocket.state is State.OPEN:
                    task = self.get_loop().create_task(websocket.close(CloseCode.GOING_AWAY))
                    # The event loop doesn't keep it.
                    self._closing.add(task)
                    task.add_done_callback(self._closing.discard)

    async def _close(self) -> None:
        # A connection that was accepted before is made within a few rounds of the event loop.
        for _ in range(3):
            await asyncio.sleep(0)
        # Nor does asyncio's server know of more: waiting for it would be waiting for clients that
        # connected, and don't begin a TLS handshake.
        while self.websockets:
            for websocket in self.websockets:
                websocket._refuse()
            await asyncio.wait([websocket.handler_task for websocket in self.websockets])
        self.closed_waiter.set_result(None)
        self.logger.info("server closed")

    async def wait_closed(self) -> None:
        """Wait until the server is closed: until :meth:`close` was called, all connections are
        closed, and all connection handlers have returned.

        It doesn't close anything. Cancelling it is safe. A connection handler that awaits it waits
        for itself, which is for ever; it can call :meth:`close`.
        """
        await asyncio.shield(self.closed_waiter)

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the event loop of the server."""
        return self.server.get_loop()

    def is_serving(self) -> bool:
        """Tell whether the server accepts connections."""
        return self.close_task is None and (
            # A client may be faster than the server that is being made.
            not hasattr(self, "server") or self.server.is_serving()
        )

    async def start_serving(self) -> None:
        """Start to accept connections, if :func:`serve` got ``start_serving=False``."""
        await self.server.start_serving()

    async def serve_forever(self) -> None:
        """Accept connections until :meth:`close` is called.

        When it is cancelled, it closes the server and waits until that is done::

            async def main():
                server = await serve(...)
                await server.serve_forever()
        """
        if self.close_task is None:
            await self.server.start_serving()
        try:
            await self.wait_closed()
        except asyncio.CancelledError:
            self.close()
            await self.wait_closed()
            raise

    @property
    def sockets(self) -> Iterable[socket.socket]:
        """Sockets that the server listens on; none once it is closed."""
        return tuple(self.server.sockets)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        await self.wait_closed()
