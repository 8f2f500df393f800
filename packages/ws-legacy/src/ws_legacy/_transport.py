"""Bytes between a transport of :mod:`asyncio` and a session, and who waits for what."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import logging
from collections.abc import Sequence
from typing import cast

from ws_protocol.exceptions import ConnectionClosed
from ws_protocol.kernel import are_messages, message_taker
from ws_protocol.protocol import Protocol, State
from ws_protocol.session import Session
from ws_protocol.typing import Data, LoggerLike
from ws_protocol.writing import TurnWriter

__all__ = ["SessionProtocol"]


class SessionProtocol(asyncio.Protocol):
    """A connection, but for its methods.

    A timer does what is due later, so that a connection needs no task.

    Args:
        protocol: The protocol.
        loop: The event loop.
        ping_interval: Seconds between keepalive pings; :obj:`None` for no keepalive.
        ping_timeout: Seconds to wait for an answer to a ping; :obj:`None` to wait for ever.
        close_timeout: Seconds to wait for the connection to close, once it should.
        max_queue: How many messages may wait to be received before no more are read from the
            network; :obj:`None` for no limit.
        write_limit: How many bytes may wait to be sent before whoever sends waits.

    """

    logger: LoggerLike

    def __init__(
        self,
        protocol: Protocol,
        loop: asyncio.AbstractEventLoop,
        *,
        ping_interval: float | None,
        ping_timeout: float | None,
        close_timeout: float,
        max_queue: int | None,
        write_limit: int,
    ) -> None:
        self.loop = loop
        self.max_queue = max_queue
        self.write_limit = write_limit
        self._protocol = protocol
        self._session: Session[asyncio.Future[float]] = Session(
            protocol,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_queue=max_queue,
        )
        # It is messages that are counted here, not frames.
        self._session.messages.joining = True
        self.messages: collections.deque[Data] = collections.deque()
        # Takes a message if so many wait that nothing follows from that.
        self._take_message = message_taker(self.messages, -1 if max_queue is None else max_queue)

        # What is set when the TCP connection is lost.
        self.connection_lost_waiter: asyncio.Future[None] = loop.create_future()

        # What is set when the peer's part of the opening handshake was received, or never will be.
        self._handshaking: asyncio.Future[None] = loop.create_future()

        # The one task that receives, if it waits.
        self._receiver: asyncio.Future[None] | None = None
        self._reading_paused = False

        # None is what stands for the default of transports.
        self._writer = TurnWriter(loop.call_soon, 2**16 if write_limit is None else write_limit)
        # Tasks that wait because too much waits to be sent already.
        self._writing_paused = False
        self._writers: collections.deque[asyncio.Future[None]] = collections.deque()

        # Whether a fragmented message is being sent, and the tasks that wait for its end to send
        # theirs, in order.
        self._fragmenting = False
        self._turns: dict[object, asyncio.Future[None]] = {}

        # Not its when(): what uvloop returns for a deadline that is now has none.
        self._timer: asyncio.TimerHandle | None = None
        self._timer_deadline = 0.0

    @property
    def transport(self) -> asyncio.Transport:
        """The transport. It was given all that was sent: programs close it themselves, or look at
        what waits in it."""
        self._writer.flush()
        return self._transport

    @transport.setter
    def transport(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        # Subclasses may have it as None before they call __init__().
        if hasattr(self, "_writer"):
            self._writer.transport = transport

    def connection_closed_exc(self) -> ConnectionClosed:
        """Return a new exception for whoever uses the closed connection."""
        return self._session.closed_exception()

    # Receiving

    def _set_room(self) -> None:
        """Let as many messages be decoded as there is room for, before any are."""
        if self.max_queue is not None:
            self._session.messages.high = max(self.max_queue - len(self.messages), 0)

    def _adjust_queue(self) -> None:
        """Stop reading from the network if enough messages wait, and read again when they don't."""
        if self.max_queue is not None:
            paused = self._session.messages.paused = len(self.messages) > self.max_queue
            if paused or self._reading_paused or self._session.wants_unread():
                self._adjust_reading()

    def _adjust_reading(self) -> None:
        if self._session.wants_unread():
            self._set_room()
            self._process_received(self._session.process_events(self.loop.time()))
        if self._session.wants_data(self.loop.time()):
            if self._reading_paused:
                self._reading_paused = False
                self._set_timer()
                self._transport.resume_reading()
        elif not self._reading_paused and not self._session.eof_received:
            self._reading_paused = True
            self._transport.pause_reading()

    def _process_received(self, answered: Sequence[tuple[asyncio.Future[float], float]]) -> None:
        """Process what was received.

        Args:
            answered: Who waited for pongs that are among it, and the latencies.

        """
        for pong_waiter, latency in answered:
            # Not if whoever waited has cancelled it.
            if not pong_waiter.done():
                pong_waiter.set_result(latency)
        self._write()
        assembler = self._session.messages
        # Also when none is whole: then fragments are joined, and need no more memory than that.
        if assembler.frames:
            frames = list(assembler.frames)
            if are_messages(frames):
                # All of them at once: a call for each costs more than all the rest.
                assembler.frames.clear()
                self.messages += cast(list[Data], frames)
            else:
                while (message := assembler.get_message()) is not None:
                    self.messages.append(message)
            self._adjust_queue()
        if self.messages:
            self._wake_receiver()
        if not self._handshaking.done() and not self._session.handshaking():
            self._handshaking.set_result(None)

    def _wake_receiver(self) -> None:
        if self._receiver is not None and not self._receiver.done():
            self._receiver.set_result(None)

    # Sending

    async def _wait_for_turn(self) -> None:
        """Wait until no other task sends a fragmented message, or the connection is lost."""
        place = object()
        try:
            while self._fragmenting:
                self._turns[place] = turn = self.loop.create_future()
                await turn
        finally:
            del self._turns[place]
            # Once this one has sent, or began to. If all looked at once whether it is their turn,
            # many that send fragments would each wake all the others.
            if self._turns:
                self.loop.call_soon(self._give_turn)

    def _give_turn(self) -> None:
        """Wake the first task that waits for its turn, if it is."""
        if self._turns and not self._fragmenting:
            turn = next(iter(self._turns.values()))
            if not turn.done():
                turn.set_result(None)

    async def _drain(self) -> None:
        """Wait until not too much waits to be sent.

        Raises:
            ConnectionClosed: The connection is lost before.

        """
        while self._writing_paused:
            writer: asyncio.Future[None] = self.loop.create_future()
            self._writers.append(writer)
            try:
                await writer
            finally:
                with contextlib.suppress(ValueError):
                    self._writers.remove(writer)
        if self.connection_lost_waiter.done():
            raise self.connection_closed_exc()

    def _write(self) -> None:
        """Give the transport what the protocol wants to send, and see what follows from that."""
        writes = self._protocol.data_to_send()
        if writes:
            if writes[-1]:
                self._send(writes)
            else:
                # Nothing comes after it.
                self._writer.flush(writes[:-1])
                self._write_eof()
        if self._protocol.state is not State.OPEN:
            self._set_timer()
            if self._reading_paused:
                self._adjust_reading()

    def _send(self, writes: list[bytes]) -> None:
        """Send something. If messages wait to be received, each may have an answer, which leaves
        together with it."""
        self._writer.send(writes, bool(self.messages))

    def _write_eof(self) -> None:
        """Close this side of the TCP connection."""
        transport = self._transport
        if transport.is_closing():
            return
        if transport.can_write_eof():
            try:
                transport.write_eof()
            except OSError:
                # The peer is gone, and the event loop is about to notice.
                transport.abort()
        else:
            # TLS. It says goodbye to the peer, and waits for the peer's goodbye.
            transport.close()

    # Time

    def _set_timer(self) -> None:
        """Have :meth:`_on_timer` called at the deadline.

        A timer that fires early is left alone: setting another for every change costs more.
        """
        deadline = self._session.next_deadline(self.loop.time())
        if deadline is None:
            return
        if self._timer is not None:
            if self._timer_deadline <= deadline:
                return
            self._timer.cancel()
        self._timer_deadline = deadline
        self._timer = self.loop.call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._session.meet_deadline(self.loop.time()):
            self._transport.abort()
        else:
            self._write()
            self._set_timer()

    # asyncio.Protocol methods

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport of a new TCP connection."""
        # Not an isinstance(): uvloop's transports don't inherit from asyncio's.
        self.transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(self.write_limit)
        # A reference cycle, until the connection is lost.
        self._protocol.logger = self.logger

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody who waits that the TCP connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._writer.discard()
        unanswered = self._session.lose_connection(exc)
        logger = self._protocol.logger
        if isinstance(logger, logging.LoggerAdapter) and logger.extra == {"websocket": self}:
            self._protocol.logger = logger.logger
        for pong_waiter in unanswered:
            if not pong_waiter.done():
                pong_waiter.set_exception(self.connection_closed_exc())
                # Nobody needs to wait for it.
                pong_waiter.exception()
        self.connection_lost_waiter.set_result(None)
        self._process_received([])
        self._wake_receiver()
        self._writing_paused = False
        self._wake_writers()
        # Whoever sends the fragments may wait for the next one for ever.
        self._fragmenting = False
        self._give_turn()

    def pause_writing(self) -> None:
        """Make whoever sends wait, because too much waits to be sent."""
        self._writing_paused = True
        self._protocol.congested = True
        self._writer.pause()

    def resume_writing(self) -> None:
        """Let those go on who wait to send."""
        self._writing_paused = False
        self._protocol.congested = False
        # It may be paused again by that.
        self._writer.resume()
        if not self._writing_paused:
            self._write()
            self._wake_writers()

    def _wake_writers(self) -> None:
        for writer in self._writers:
            if not writer.done():
                writer.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Receive bytes."""
        self._set_room()
        self._writer.answered = False
        self._process_received(self._session.receive_data(data, self.loop.time()))

    def eof_received(self) -> None:
        """Receive the end of the stream."""
        self._session.receive_eof()
        self._process_received([])
        # Returning None makes the transport close itself.
