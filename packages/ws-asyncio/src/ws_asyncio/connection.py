"""A connection on asyncio: bytes between transport and protocol, and who waits for what."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Iterable,
    Sequence,
)
from types import TracebackType
from typing import Any, Literal, Self, cast, overload

from ws_protocol.connection import (
    BaseConnection,
    check_fragment,
    check_iterable,
    encode_payload,
    iterate,
)
from ws_protocol.exceptions import (
    ConcurrencyError,
    ConnectionClosedOK,
    InvalidState,
)
from ws_protocol.frames import CloseCode
from ws_protocol.protocol import Protocol, State
from ws_protocol.session import Session, parse_watermarks
from ws_protocol.shared import SharedMessage
from ws_protocol.typing import Data, DataLike
from ws_protocol.writing import TurnWriter

__all__ = ["Connection"]

# How many bytes are read from the network at once, but for large messages.
_CHUNK = 262144


class _SharedChunk(threading.local):
    """What all connections of a thread read into: each has processed what it read before another
    reads. It is looked up for each read, because a connection may be used in another thread than it
    was made in: event loops can stop, and run on elsewhere."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(_CHUNK))


_shared_chunk = _SharedChunk()

# Event loops of Windows start to read long before there is something.
if sys.platform == "win32":  # pragma: no cover  # there, it is measured, and not elsewhere
    _TransportProtocol = asyncio.Protocol
else:
    _TransportProtocol = asyncio.BufferedProtocol


# The protocol of transports whose connection is lost.
_nobody = _TransportProtocol()


class Connection(BaseConnection[asyncio.Future[float]], _TransportProtocol):
    """A WebSocket connection on asyncio.

    :class:`~ws_asyncio.client.ClientConnection` and :class:`~ws_asyncio.server.ServerConnection`
    add the opening handshake. :func:`~ws_asyncio.client.connect` and
    :func:`~ws_asyncio.server.serve` make them.

    Args:
        protocol: The protocol.
        ping_interval: Seconds between keepalive pings; :obj:`None` for no keepalive.
        ping_timeout: Seconds to wait for an answer to a ping; :obj:`None` to wait for ever.
        close_timeout: Seconds to wait for the connection to close, once it should; :obj:`None` to
            wait for ever.
        max_queue: How many frames may wait to be received before no more are read from the
            network; :obj:`None` for no limit. A pair sets that number, and the one at which
            reading continues, by default a quarter of it.
        write_limit: How many bytes may wait to be sent before :meth:`send` waits. A pair sets that
            number, and the one at which it continues, by default a quarter of it.

    Raises:
        ValueError: ``max_queue`` or ``write_limit`` isn't possible.

    Attributes:
        transport: The transport.
        loop: The event loop.

    """

    def __init__(
        self,
        protocol: Protocol,
        *,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        max_queue: int | tuple[int | None, int | None] | None = 16,
        write_limit: int | tuple[int, int | None] = 2**15,
    ) -> None:
        super().__init__(
            Session(
                protocol,
                ping_interval=ping_interval,
                ping_timeout=ping_timeout,
                close_timeout=close_timeout,
                max_queue=max_queue,
            )
        )
        high, low = parse_watermarks(write_limit)
        # The transport checks it, too, where nobody would see the exception.
        if high is not None and not high >= (high if low is None else low) >= 0:
            raise ValueError(f"write_limit must have high >= low >= 0, got {write_limit}")
        if high is None:
            # The defaults of transports.
            high = 65536 if low is None else 4 * low
        self._write_limits = high, high // 4 if low is None else low
        self._messages = self.session.messages
        # Takes a message if there is one, and if nothing follows from that.
        self._take_message = self._messages.take_message
        self.transport: asyncio.Transport
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()

        # Set when the TCP connection is lost, for who waits for that, if anybody does.
        self._lost: asyncio.Future[None] | None = None

        # Set when the peer's part of the opening handshake was received, or never will be.
        self._handshaking: asyncio.Future[None] | None = None

        # The one task that receives, if it waits: for anything, or for a whole message.
        self._receiver: asyncio.Future[None] | None = None
        self._receives_fragments = False
        # Who iterates over the fragments of a message.
        self._stream: object | None = None
        self._reading_paused = False
        # Whether it reads all the same, until something arrives, and how much has arrived so.
        self._reading_ahead = False
        self._read_ahead = 0

        self._chunk: memoryview
        # Whether the next bytes may belong to a large message, and whether they are read there.
        self._may_read_payload = False
        self._reading_payload = False

        self._writer = TurnWriter(self.loop.call_soon, high)

        # Tasks that wait to send because too much waits to be sent already: in order, and a set.
        self._writing_paused = False
        self._writers: dict[asyncio.Future[None], None] = {}

        # Whether a fragmented message is being sent, and the tasks that wait for its end to send
        # theirs, in order.
        self._fragmenting = False
        self._turns: dict[object, asyncio.Future[None]] = {}

        # Not its when(): what uvloop returns for a deadline that is now has none.
        self._timer: asyncio.TimerHandle | None = None
        self._timer_deadline = 0.0

    # Attributes

    @property
    def local_address(self) -> Any:
        """Address of this side of the connection.

        A pair of host and port for IPv4, a quadruple that starts with them for IPv6, a path for a
        Unix socket.
        """
        return self.transport.get_extra_info("sockname")

    @property
    def remote_address(self) -> Any:
        """Address of the peer, or of the proxy between.

        A pair of host and port for IPv4, a quadruple that starts with them for IPv6, a path for a
        Unix socket.
        """
        return self.transport.get_extra_info("peername")

    # Public methods

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_type is None:
            await self.close()
        else:
            await self.close(CloseCode.INTERNAL_ERROR)

    def __aiter__(self) -> AsyncIterator[Data]:
        """Iterate over messages until the connection is closed normally.

        Raises:
            ConnectionClosedError: The connection was closed with an error.

        """
        # An asynchronous generator would cost as much for each message as all the rest.
        return self

    async def __anext__(self) -> Data:
        """Receive the next message; see :meth:`__aiter__`."""
        if self._receiver is None and (data := self._take_message()) is not None:
            return data
        try:
            return await self.recv()
        except ConnectionClosedOK:
            raise StopAsyncIteration from None

    @overload
    async def recv(self, decode: Literal[True]) -> str: ...

    @overload
    async def recv(self, decode: Literal[False]) -> bytes: ...

    @overload
    async def recv(self, decode: bool | None = None) -> Data: ...

    async def recv(self, decode: bool | None = None) -> Data:
        """Receive the next message.

        Messages that arrived before the connection was closed can still be received afterwards.

        Cancelling it is safe: the next call receives the message, all of it. Use
        :func:`asyncio.timeout` to set a timeout.

        Args:
            decode: :obj:`True` for :class:`str`, :obj:`False` for :class:`bytes`; by default,
                :class:`str` for a text message and :class:`bytes` for a binary one.

        Raises:
            ConnectionClosed: The connection is closed, and there are no more messages.
                With ``decode=True``, also when a binary message isn't valid UTF-8, which makes the
                connection fail with close code 1007.
            UnicodeDecodeError: With ``decode=True``, a binary message that arrived before the
                connection was closed isn't valid UTF-8.
            ConcurrencyError: Another task is receiving, or the fragments of a message were
                received in part.

        """
        if self._receiver is not None:
            raise self._busy_receiving("recv")
        if decode is None and (message := self._take_message()) is not None:
            return message
        messages = self._messages
        try:
            data = messages.get_message(decode)
            if data is None:
                messages.joining = True
                try:
                    if self._reading_paused:
                        self._adjust_reading()
                    # As in _wait_to_receive(): another coroutine would cost more than the rest.
                    while not messages.frames or not messages.complete:
                        if self.session.lost:
                            raise self.session.closed_exception()
                        self._receiver = self.loop.create_future()
                        try:
                            await self._receiver
                        finally:
                            self._receiver = None
                finally:
                    messages.joining = False
                data = messages.get_message(decode)
        except UnicodeDecodeError as exc:
            await self._fail_decoding(exc)
        if self._reading_paused:
            self._adjust_reading()
        assert data is not None
        return data

    @overload
    def recv_streaming(self, decode: Literal[True]) -> AsyncIterator[str]: ...

    @overload
    def recv_streaming(self, decode: Literal[False]) -> AsyncIterator[bytes]: ...

    @overload
    def recv_streaming(self, decode: bool | None = None) -> AsyncIterator[Data]: ...

    async def recv_streaming(self, decode: bool | None = None) -> AsyncIterator[Data]:
        """Receive the next message fragment by fragment.

        Use it to process a message that is large, or that comes slowly. Where the fragments end
        means nothing: proxies may cut messages in other places.

        If you stop before the last fragment, because of a cancellation for example, call it again
        to receive the rest: the other methods that receive refuse to until then.

        Args:
            decode: :obj:`True` for :class:`str`, :obj:`False` for :class:`bytes`; by default,
                :class:`str` for a text message and :class:`bytes` for a binary one.

        Raises:
            ConnectionClosed: The connection is closed, and there are no more fragments. With
                ``decode=True``, also when a binary message isn't valid UTF-8, which makes the
                connection fail with close code 1007.
            UnicodeDecodeError: With ``decode=True``, a binary message that arrived before the
                connection was closed isn't valid UTF-8.
            ConcurrencyError: Another task is receiving.

        """
        if self._receiver is not None:
            raise self._busy_receiving("recv_streaming")
        # A later iterator takes over from one that was given up, which nothing else would show.
        stream = self._stream = object()
        fin = False
        while not fin:
            if self._stream is not stream:
                raise self._busy_receiving("recv_streaming")
            try:
                fragment = self._messages.get_fragment(decode)
            except UnicodeDecodeError as exc:
                await self._fail_decoding(exc)
            if fragment is None:
                self._receives_fragments = True
                try:
                    await self._wait_to_receive()
                finally:
                    self._receives_fragments = False
                continue
            if self._reading_paused:
                self._adjust_reading()
            data, fin = fragment
            yield data

    async def send(
        self,
        message: DataLike | Iterable[DataLike] | AsyncIterable[DataLike],
        *,
        text: bool | None = None,
    ) -> None:
        """Send a message.

        A :class:`str` is sent as a text message; :class:`bytes`, :class:`bytearray` or
        :class:`memoryview` as a binary one. An iterable or asynchronous iterable of either is sent
        as one message in fragments, a frame for each item; while that goes on, other tasks that
        send messages wait. Nothing is sent if it is empty.

        It waits while more than ``write_limit`` bytes wait to be sent. Cancelling it then is safe:
        nothing of the message was sent. When the sending of fragments is cancelled or fails after
        the first, there is no way to take back what was sent, and the connection fails with close
        code 1011.

        Args:
            message: The message.
            text: :obj:`True` to send bytes, which must be UTF-8, as a text message; :obj:`False` to
                send a string as a binary message.

        Raises:
            ConnectionClosed: The connection is closed.
            TypeError: The message has another type, or its fragments aren't all of one kind.

        """
        while self._fragmenting or self._writing_paused:
            if self._fragmenting:
                await self._wait_for_turn()
            else:
                await self._wait_to_write()
        if self.transport.is_closing():
            await self._refuse_to_send()
        if isinstance(message, (str, bytes, bytearray, memoryview)):
            protocol = self.protocol
            try:
                protocol.send_message(message, text)
            except InvalidState:
                await self._refuse_to_send()
            # If others wait to be received, each may have an answer.
            self._writer.send(protocol.data_to_send(), bool(self._messages.frames))
        elif self.protocol.state is not State.OPEN:
            await self._refuse_to_send()
        else:
            await self._send_fragments(check_iterable(message), text)

    async def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Close the connection: perform the closing handshake, and wait for the TCP connection to
        close (RFC 6455, section 7).

        It takes no longer than ``close_timeout``: then the TCP connection is closed, whatever the
        peer does. Calling it again waits for the same. Cancelling it is safe: the connection closes
        all the same.

        What the peer sends before it answers can still be received, up to ``max_queue`` frames.

        Args:
            code: Close code.
            reason: Close reason, at most 123 bytes in UTF-8.

        Raises:
            ProtocolError: The code isn't allowed in a frame, or the reason is too long.

        """
        self._start_closing(code, reason)
        await self.wait_closed()

    async def wait_closed(self) -> None:
        """Wait until the connection is closed: until :attr:`state` is CLOSED, and the TCP
        connection is gone."""
        if self.session.lost:
            return
        if self._lost is None:
            self._lost = self.loop.create_future()
        await asyncio.shield(self._lost)

    async def ping(self, data: DataLike | None = None) -> Awaitable[float]:
        """Send a ping (RFC 6455, section 5.5.2).

        Args:
            data: Payload, at most 125 bytes, a string being encoded in UTF-8; by default, random
                bytes.

        Returns:
            A future that is done when the peer has answered this ping or a later one. Its result is
            the latency in seconds. You need not wait for it::

                pong_received = await connection.ping()
                latency = await pong_received

        Raises:
            ConnectionClosed: The connection is closed. The future raises it, too.
            ConcurrencyError: Another ping with the same payload waits for its pong.
            ProtocolError: The payload is too long.

        """
        if self._writing_paused:
            await self._wait_to_write()
        if self.protocol.state is not State.OPEN or self.transport.is_closing():
            await self._refuse_to_send()
        pong_received: asyncio.Future[float] = self.loop.create_future()
        payload = None if data is None else encode_payload(data)
        self.session.send_ping(payload, pong_received, self.loop.time())
        self._write()
        return pong_received

    async def pong(self, data: DataLike = b"") -> None:
        """Send a pong that answers no ping (RFC 6455, section 5.5.3).

        Pings are answered without it. This one tells the peer that this side is there, and asks for
        nothing.

        Args:
            data: Payload, at most 125 bytes, a string being encoded in UTF-8.

        Raises:
            ConnectionClosed: The connection is closed.
            ProtocolError: The payload is too long.

        """
        if self._writing_paused:
            await self._wait_to_write()
        if self.protocol.state is not State.OPEN or self.transport.is_closing():
            await self._refuse_to_send()
        self.protocol.send_pong(encode_payload(data))
        self._write()

    # Receiving

    def _busy_receiving(self, method: str) -> ConcurrencyError:
        return ConcurrencyError(
            f"cannot call {method} while another coroutine is already running recv or "
            "recv_streaming"
        )

    async def _wait_to_receive(self) -> None:
        """Wait until something arrives that concerns the task that receives.

        Raises:
            ConnectionClosed: Nothing will.

        """
        if self.session.lost:
            raise self.session.closed_exception()
        self._receiver = self.loop.create_future()
        try:
            await self._receiver
        finally:
            self._receiver = None

    async def _fail_decoding(self, exc: UnicodeDecodeError) -> None:
        """Fail the connection because a binary message isn't the text that was asked for.

        Raises:
            ConnectionClosed: The connection was open.
            UnicodeDecodeError: It ends already, for another reason.

        """
        if self.protocol.state is not State.OPEN:
            # There is room for what arrived after it.
            if self._reading_paused:
                self._adjust_reading()
            raise exc
        reason = f"{exc.reason} at position {exc.start}"
        self.session.fail(CloseCode.INVALID_DATA, reason, exc)
        self._write()
        await self.wait_closed()
        raise self.session.closed_exception()

    def _adjust_reading(self) -> None:
        """Stop reading from the network if enough waits to be received, and read again when it
        doesn't."""
        if self.session.wants_unread():
            self._process_received(self.session.process_events(self.loop.time()))
        if self.session.wants_data(self.loop.time()):
            if self._reading_paused:
                self._reading_paused = False
                self._set_timer()
                if not self._reading_ahead:
                    self.transport.resume_reading()
                self._reading_ahead = False
                self._read_ahead = 0
        elif (self._reading_ahead or not self._reading_paused) and not self.session.eof_received:
            self._reading_paused = True
            self._reading_ahead = False
            self.transport.pause_reading()

    def _look_for_end(self) -> None:
        """Read a little more, although enough waits to be received, to notice if the peer has
        closed the TCP connection: an application that doesn't receive would never be told.

        Keepalive can't tell, because pongs aren't read. Nor can writing, always: asyncio's TLS
        transports drop what is written once the peer is gone, and say nothing.
        """
        if not self._reading_ahead and self._read_ahead < _CHUNK:
            self._reading_ahead = True
            self.transport.resume_reading()

    def _process_received(self, answered: Sequence[tuple[asyncio.Future[float], float]]) -> None:
        """Process what was received.

        Args:
            answered: Who waited for pongs that are among it, and the latencies.

        """
        for pong_received, latency in answered:
            # Not if whoever waited has cancelled it.
            if not pong_received.done():
                pong_received.set_result(latency)
        self._write()
        messages = self._messages
        if (
            self._receiver is not None
            and messages.frames
            and (self._receives_fragments or messages.complete)
            and not self._receiver.done()
        ):
            self._receiver.set_result(None)
        if messages.paused:
            self._adjust_reading()
        if self._handshaking is not None and not self.session.handshaking():
            if not self._handshaking.done():
                self._handshaking.set_result(None)
            self._handshaking = None

    async def _wait_for_handshake(self) -> None:
        """Wait for the peer's part of the opening handshake, or for its failure."""
        if self.session.handshaking():
            self._handshaking = self.loop.create_future()
            await self._handshaking

    # Sending

    async def _wait_to_write(self) -> None:
        """Wait until not too much waits to be sent, or the connection is lost."""
        while self._writing_paused:
            writer: asyncio.Future[None] = self.loop.create_future()
            self._writers[writer] = None
            try:
                await writer
            finally:
                del self._writers[writer]

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

    async def _refuse_to_send(self) -> None:
        """Raise what tells that the connection isn't open, or about to be lost.

        The transport knows first that it is lost. Whoever sends without a pause, to a transport
        that drops everything, would never let the event loop tell it.

        Raises:
            InvalidState: It isn't open yet.
            ConnectionClosed: It is closing, or closed.

        """
        if self.protocol.state is State.CONNECTING:
            raise InvalidState("connection is connecting")
        await self.wait_closed()
        raise self.session.closed_exception()

    async def _send_fragments(
        self, message: Iterable[Any] | AsyncIterable[Any], text: bool | None
    ) -> None:
        """Send a fragmented message."""
        self._fragmenting = True
        kind: type[str | bytes] | None = None
        try:
            async with contextlib.aclosing(iterate(message)) as fragments:
                async for fragment in fragments:
                    fragment_kind = check_fragment(fragment, kind)
                    await self._wait_to_write()
                    if self.protocol.state is not State.OPEN or self.transport.is_closing():
                        await self._refuse_to_send()
                    self.session.send_fragment(fragment, text, first=kind is None)
                    kind = fragment_kind
                    self._write()
            if kind is not None:
                if self.protocol.state is not State.OPEN or self.transport.is_closing():
                    await self._refuse_to_send()
                # Only now is it known which fragment was the last.
                self.protocol.send_continuation(b"", fin=True)
                self._write()
        except BaseException:
            # There is no way to end a message in the middle.
            if kind is not None and self.protocol.state is State.OPEN:
                self.protocol.fail(CloseCode.INTERNAL_ERROR, "error in fragmented message")
                self._write()
            raise
        finally:
            self._fragmenting = False
            self._give_turn()

    def send_shared(self, message: SharedMessage) -> None:
        """Send a message without waiting for anything; nothing, if the connection isn't open. It is
        what :func:`~ws_asyncio.broadcast.broadcast` does.

        Args:
            message: The message.

        Raises:
            ConcurrencyError: A fragmented message is being sent.

        """
        if self.protocol.state is not State.OPEN:
            return
        if self.protocol.sending_fragments:
            raise ConcurrencyError("sending a fragmented message")
        self.protocol.send_shared(message)
        # Nothing is likely to follow in this turn, and to wait for that costs each connection.
        self._writer.send_alone(self.protocol.data_to_send())

    def get_buffer_size(self) -> int:
        """Return how many bytes wait to be sent."""
        return self._writer.get_buffer_size()

    def give_up(self, reason: str, exc: BaseException) -> None:
        """Fail the connection, with close code 1008 (policy violation), without waiting.

        Args:
            reason: Close reason.
            exc: Why: the cause of the exceptions that tell that the connection is closed.

        """
        self.session.fail(CloseCode.POLICY_VIOLATION, reason, exc)
        self._write()

    def _write(self) -> None:
        """Send what the protocol wants to send, and see what follows from that."""
        writes = self.protocol.data_to_send()
        if writes:
            if writes[-1]:
                self._writer.send(writes, bool(self._messages.frames))
            else:
                # Nothing comes after it.
                self._writer.flush(writes[:-1])
                self._write_eof()
        if self.protocol.state is not State.OPEN:
            self._set_timer()
            if self._reading_paused:
                self._adjust_reading()

    def _write_eof(self) -> None:
        """Close this side of the TCP connection."""
        if self.transport.is_closing():
            return
        if self.transport.can_write_eof():
            try:
                self.transport.write_eof()
            except OSError:
                # The peer is gone, and the event loop is about to notice.
                self.transport.abort()
        else:
            # TLS. It says goodbye to the peer, and waits for the peer's goodbye.
            self.transport.close()

    # Closing and time

    def _start_closing(self, code: int, reason: str) -> None:
        """Send a close frame, unless that is done already."""
        if self.protocol.state is State.CONNECTING:
            self.transport.abort()
        else:
            self.session.close(code, reason)
            self._write()

    def _set_timer(self) -> None:
        """Have :meth:`_on_timer` called at the deadline.

        A timer that fires early is left alone: setting another for every change costs more.
        """
        deadline = self.session.next_deadline(self.loop.time())
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
        if self.session.meet_deadline(self.loop.time()):
            self.transport.abort()
        else:
            self._write()
            if self._reading_paused:
                self._look_for_end()
            self._set_timer()

    # asyncio.Protocol methods

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport of a new TCP connection."""
        # Not an isinstance(): uvloop's transports don't inherit from asyncio's.
        self.transport = self._writer.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(*self._write_limits)
        self.log_as_connection()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody who waits that the TCP connection is gone."""
        if not self.transport.can_write_eof():
            # TLS transports keep methods of a protocol that reads into buffers, which would be a
            # cycle. Those of TCP don't, and would make one of their own.
            self.transport.set_protocol(_nobody)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        unanswered = self.session.lose_connection(exc)
        self.log_as_protocol()
        for pong_received in unanswered:
            if not pong_received.done():
                pong_received.set_exception(self.session.closed_exception())
                # Nobody needs to wait for it.
                pong_received.exception()
        self._writer.discard()
        if self._lost is not None:
            self._lost.set_result(None)
        self._process_received([])
        if self._receiver is not None and not self._receiver.done():
            self._receiver.set_result(None)
        self._writing_paused = False
        self._wake_writers()
        # Whoever sends the fragments may wait for the next one for ever.
        self._fragmenting = False
        self._give_turn()

    def pause_writing(self) -> None:
        """Make whoever sends wait, because too much waits to be sent."""
        self._writing_paused = True
        self.protocol.congested = True
        self._writer.pause()

    def resume_writing(self) -> None:
        """Let those send who wait to."""
        self._writing_paused = False
        self.protocol.congested = False
        # It may be paused again by that.
        self._writer.resume()
        if not self._writing_paused:
            self._write()
            self._wake_writers()

    def _wake_writers(self) -> None:
        for writer in self._writers:
            if not writer.done():
                writer.set_result(None)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return what the event loop is to read into."""
        if self._may_read_payload:
            payload = self.session.get_buffer()
            if payload is not None:
                self._reading_payload = True
                return payload
            # TLS transports may have asked before, and then have had nothing to read.
            self._may_read_payload = self._reading_payload = False
        self._chunk = chunk = _shared_chunk.view
        return chunk

    def buffer_updated(self, nbytes: int) -> None:
        """Receive bytes, which are where :meth:`get_buffer` said."""
        self._writer.answered = False
        session = self.session
        if self._reading_payload:
            self._reading_payload = False
            if self._reading_ahead:
                self._read_ahead += nbytes
            self._process_received(session.receive_payload(nbytes, self.loop.time()))
            return
        chunk = self._chunk
        pos = session.receive_messages(chunk, nbytes)
        if self._reading_ahead:
            self._read_ahead += pos
        if pos < nbytes:
            self.data_received(bytes(chunk[pos:nbytes]))
            return
        receiver = self._receiver
        if receiver is not None and not receiver.done():
            receiver.set_result(None)
        if self._messages.paused:
            self._adjust_reading()

    def data_received(self, data: bytes) -> None:
        """Receive bytes."""
        self._writer.answered = False
        self._may_read_payload = True
        if self._reading_ahead:
            self._read_ahead += len(data)
        self._process_received(self.session.receive_data(data, self.loop.time()))

    def eof_received(self) -> None:
        """Receive the end of the stream."""
        self.session.receive_eof()
        self._process_received([])
        # Returning None makes the transport close itself.
