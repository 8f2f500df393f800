"""A WebSocket connection on a trio stream.

This module is what ``trio_client.py`` and ``trio_server.py`` share. It needs trio and ws-protocol.

Tasks in a nursery of the connection's own move bytes and keep time. Whoever uses the connection
waits for them, and never writes to the stream. So it may be cancelled anywhere: a message is sent
whole or not at all, and received or still there.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncGenerator, Callable
from typing import Self

import trio

from ws_protocol.exceptions import ConnectionClosedOK
from ws_protocol.frames import CloseCode
from ws_protocol.protocol import SEND_EOF, State
from ws_protocol.session import Session


class Connection:
    """A WebSocket connection on a stream. Use it as ``async with connection.opened(): ...``.

    Args:
        stream: The stream, connected.
        session: The session.

    """

    def __init__(self, stream: trio.abc.Stream, session: Session[None]) -> None:
        self.stream = stream
        self.session = session
        # Set, and replaced by another, whenever anything changes that somebody may wait for.
        self._changed = trio.Event()
        # Whether the protocol may have something to send, or some of it is being sent. A client has
        # its request.
        self._unsent = True
        # Why bytes can't be moved any more.
        self._error: trio.BrokenResourceError | None = None
        self._cancel_scope = trio.CancelScope()

    @contextlib.asynccontextmanager
    async def opened(self, open_timeout: float = 10) -> AsyncGenerator[None]:
        """Perform the opening handshake; on exit, close the connection.

        Args:
            open_timeout: Seconds that the opening handshake may take.

        Raises:
            InvalidHandshake: The opening handshake fails.
            trio.TooSlowError: It takes too long.

        """
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._run)
            try:
                with trio.fail_after(open_timeout):
                    await self._handshake()
                yield
            except Exception as exc:
                # Raised below: the nursery would put it into an ExceptionGroup.
                failure = exc
            await self.close(
                CloseCode.NORMAL_CLOSURE if failure is None else CloseCode.INTERNAL_ERROR
            )
        if failure is not None:
            raise failure

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str | bytes:
        """Receive messages until the connection is closed normally."""
        try:
            return await self.recv()
        except ConnectionClosedOK:
            raise StopAsyncIteration from None

    async def _handshake(self) -> None:
        await self._wait_until(lambda: not self.session.handshaking())
        self.answer()
        self._flush()
        if self.session.protocol.handshake_exc is not None:
            raise self.session.protocol.handshake_exc
        self.session.start_keepalive(trio.current_time())

    def answer(self) -> None:
        """Answer the request of the opening handshake; a client has none to answer."""

    async def recv(self) -> str | bytes:
        """Receive a message.

        Messages that arrived before the connection was closed are received first.

        Raises:
            ConnectionClosed: The connection is closed, and there are no more messages.

        """
        await trio.lowlevel.checkpoint()
        messages = self.session.messages
        while True:
            paused = messages.paused
            # It also joins fragments as they arrive, and so makes room for more of them.
            message = messages.get_message()
            unread = self.session.wants_unread()
            if unread:
                self.session.process_events(trio.current_time())
                self._flush()
            elif paused and not messages.paused:
                self._notify()
            if message is not None:
                return message
            if unread:
                continue
            if self.session.lost:
                raise self.session.closed_exception()
            await self._changed.wait()

    async def send(self, message: str | bytes) -> None:
        """Send a message: text if it is a str, else binary.

        It waits until the one before is with the operating system.

        Raises:
            ConnectionClosed: The connection is closed.

        """
        await trio.lowlevel.checkpoint()
        await self._wait_until(lambda: not self._unsent or self._is_closing())
        if self._is_closing():
            await self._wait_until(lambda: self.session.lost)
            raise self.session.closed_exception()
        self.session.protocol.send_message(message)
        self._flush()

    async def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Perform the closing handshake, and close the stream.

        It takes no longer than close_timeout, whatever the peer does. Closing again does nothing.
        """
        protocol = self.session.protocol
        if protocol.state is State.CONNECTING and not protocol.close_expected():
            # There is no polite way to end an opening handshake.
            self._cancel_scope.cancel()
        self.session.close(code, reason)
        self._flush()
        await self._wait_until(lambda: self.session.lost)

    def _is_closing(self) -> bool:
        return self.session.protocol.state is not State.OPEN or self._error is not None

    # Waiting for one another. There is no await between a look at something and the wait for it to
    # change, so that no change can be missed.

    def _notify(self) -> None:
        """Wake everybody who waits."""
        self._changed.set()
        self._changed = trio.Event()

    def _flush(self) -> None:
        """Have sent what the protocol may have to send."""
        self._unsent = True
        self._notify()

    async def _wait_until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._changed.wait()

    # From here on: moving bytes, and time.

    async def _run(self) -> None:
        """Run the tasks of the connection until it is lost."""
        try:
            with self._cancel_scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._keep_time)
                    async with trio.open_nursery() as moving:
                        moving.start_soon(self._send)
                        await self._receive()
                    nursery.cancel_scope.cancel()
        finally:
            self.session.lose_connection(self._error)
            self._notify()
            await trio.aclose_forcefully(self.stream)

    async def _keep_time(self) -> None:
        """Do what is due when its time has come."""
        while True:
            deadline = self.session.next_deadline(trio.current_time())
            with trio.move_on_at(math.inf if deadline is None else deadline) as scope:
                await self._changed.wait()
            if scope.cancelled_caught:
                if self.session.meet_deadline(trio.current_time()):
                    self._cancel_scope.cancel()
                self._flush()

    async def _receive(self) -> None:
        """Receive from the network until the end of the stream."""
        while True:
            if not self._is_reading():
                await self._wait_until(self._is_reading)
                # The deadline is another now.
                self._notify()
            if self.session.wants_unread():
                self.session.process_events(trio.current_time())
                self._flush()
                continue
            try:
                data = await self.stream.receive_some()
            except trio.BrokenResourceError as exc:
                self._error = self._error or exc
                self._cancel_scope.cancel()
                return
            except trio.ClosedResourceError:
                # By _send_eof().
                return
            if not data:
                self.session.receive_eof()
                self._flush()
                return
            self.session.receive_data(bytes(data), trio.current_time())
            self._flush()

    def _is_reading(self) -> bool:
        # Once nothing can be sent, the end is to be read, with what the peer sent before.
        return self.session.wants_data(trio.current_time()) or self._error is not None

    async def _send(self) -> None:
        """Send to the network until this side of the connection is closed."""
        try:
            while True:
                # What the protocol has to send is taken when all before has left. So a peer that
                # sends pings and reads nothing doesn't fill memory with pongs: the protocol makes a
                # few, and then answers only the latest ping.
                writes = self.session.protocol.data_to_send()
                if data := b"".join(writes):
                    await self.stream.send_all(data)
                if SEND_EOF in writes:
                    await self._send_eof()
                    return
                if not writes:
                    self._unsent = False
                    self._notify()
                    await self._wait_until(lambda: self._unsent)
        except trio.BrokenResourceError as exc:
            # The peer is gone. What it sent before can still be received.
            self._error = exc
            self._notify()

    async def _send_eof(self) -> None:
        """Close this side of the connection. Nothing that the peer sends matters any more."""
        if isinstance(self.stream, trio.abc.HalfCloseableStream):
            await self.stream.send_eof()
        else:
            # TLS, which says goodbye.
            await self.stream.aclose()
