"""A connection on trio: bytes between stream and protocol, and who waits for what."""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterable, Generator, Iterable, Sequence
from types import TracebackType
from typing import Any, Literal, NoReturn, Self, TypeAlias, overload

import trio

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
from ws_protocol.session import Session
from ws_protocol.shared import SharedMessage
from ws_protocol.typing import Data, DataLike

from ._iterators import Iterator
from ._streams import describe_broken, get_address

__all__ = ["Connection"]

# What is set when a pong arrives, and whether to set it when the connection is lost, too.
PongWaiter: TypeAlias = tuple[trio.Event, bool]


class Connection(BaseConnection[PongWaiter], trio.abc.AsyncResource):
    """A WebSocket connection on trio.

    :class:`~ws_trio.client.ClientConnection` and :class:`~ws_trio.server.ServerConnection` add the
    opening handshake. :func:`~ws_trio.client.connect` and :func:`~ws_trio.server.serve` make them.

    Tasks in a nursery move its bytes and keep time. Whoever uses the connection waits for them, and
    never touches the stream. So every method can be cancelled anywhere: a message is sent whole or
    not at all, and received or still there.

    When the nursery is cancelled, the connection is closed with code 1001 (going away): the peer is
    told, if it still reads, and isn't waited for.

    Args:
        nursery: Nursery for the tasks of the connection. They end when the connection is lost.
        stream: Stream. The connection closes it.
        protocol: The protocol.
        ping_interval: Seconds between keepalive pings; :obj:`None` for no keepalive.
        ping_timeout: Seconds to wait for an answer to a ping; :obj:`None` to wait for ever.
        close_timeout: Seconds to wait for the connection to close, once it should; :obj:`None` to
            wait for ever.
        max_queue: How many frames may wait to be received before no more are read from the
            network; :obj:`None` for no limit. A pair sets that number, and the one at which
            reading continues, by default a quarter of it.

    Raises:
        ValueError: ``max_queue`` or ``ping_interval`` isn't possible.

    Attributes:
        nursery: The nursery.
        stream: The stream.

    """

    def __init__(
        self,
        nursery: trio.Nursery,
        stream: trio.abc.Stream,
        protocol: Protocol,
        *,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        max_queue: int | tuple[int | None, int | None] | None = 16,
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
        self.nursery = nursery
        self.stream = stream
        # Now, because it isn't known any more when the socket is closed.
        self._local_address = get_address(stream, "getsockname")
        self._remote_address = get_address(stream, "getpeername")

        # What is set when the connection is lost, and what loses it.
        self._lost = trio.Event()
        self._abort = trio.CancelScope(shield=True)
        # Why bytes can't be moved any more.
        self._error: BaseException | None = None
        # Whether the connection is lost as soon as everything is sent.
        self._hurrying = False

        # What is set when the peer's part of the opening handshake was received, or never will be.
        self._handshaking = trio.Event()

        # Whether a task receives, and whether it waits for less than a whole message.
        self._receiving = False
        self._receives_fragments = False
        self._receiver = trio.lowlevel.ParkingLot()
        # Who iterates over the fragments of a message.
        self._stream_of_fragments: object | None = None
        # The task that reads, when it doesn't.
        self._reader = trio.lowlevel.ParkingLot()

        # What is being sent. The protocol is asked for more when it has left: so a peer that sends
        # pings and reads nothing can't fill memory with pongs.
        self._outgoing: list[bytes] = []
        self._outgoing_size = 0
        # The task that writes, when it has nothing to do, and those that wait for that.
        self._writer = trio.lowlevel.ParkingLot()
        self._senders = trio.lowlevel.ParkingLot()
        # Held while a message is sent.
        self._send_lock = trio.Lock()
        # Around the sending of fragments, which may wait for the next one for ever.
        self._fragmented_send = trio.CancelScope()

        # Around waiting for the next deadline.
        self._timer = trio.CancelScope()

        self.log_as_connection()
        nursery.start_soon(self._run)

    # Attributes

    @property
    def local_address(self) -> Any:
        """Address of this side of the connection.

        A pair of host and port for IPv4, a quadruple that starts with them for IPv6, a path for a
        Unix socket; :obj:`None` if there is no socket.
        """
        return self._local_address

    @property
    def remote_address(self) -> Any:
        """Address of the peer, or of the proxy between.

        A pair of host and port for IPv4, a quadruple that starts with them for IPv6, a path for a
        Unix socket; :obj:`None` if there is no socket.
        """
        return self._remote_address

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
            await self.aclose()
        elif issubclass(exc_type, trio.Cancelled):
            await self.aclose(CloseCode.GOING_AWAY)
        else:
            await self.aclose(CloseCode.INTERNAL_ERROR)

    def __aiter__(self) -> Iterator[Data]:
        """Iterate over messages until the connection is closed normally.

        Raises:
            ConnectionClosedError: The connection was closed with an error.

        """

        async def next_message() -> Data:
            try:
                return await self.recv()
            except ConnectionClosedOK:
                raise StopAsyncIteration from None

        return Iterator(next_message)

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
        :func:`trio.move_on_after` or :func:`trio.fail_after` to set a timeout.

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
        messages = self.session.messages
        with self._receive_alone("recv"):
            await trio.lowlevel.checkpoint()
            try:
                data = messages.get_message(decode)
                if data is None:
                    messages.joining = True
                    try:
                        self._continue_reading()
                        while not messages.complete:
                            await self._wait_to_receive()
                    finally:
                        messages.joining = False
                    data = messages.get_message(decode)
            except UnicodeDecodeError as exc:
                await self._fail_decoding(exc)
            self._continue_reading()
        assert data is not None
        return data

    @overload
    def recv_streaming(self, decode: Literal[True]) -> Iterator[str]: ...

    @overload
    def recv_streaming(self, decode: Literal[False]) -> Iterator[bytes]: ...

    @overload
    def recv_streaming(self, decode: bool | None = None) -> Iterator[Data]: ...

    def recv_streaming(self, decode: bool | None = None) -> Iterator[Data]:
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
        stream = object()
        begun = fin = False

        async def next_fragment() -> Data:
            nonlocal begun, fin
            if fin:
                raise StopAsyncIteration
            with self._receive_alone("recv_streaming"):
                # A later iterator takes over from one that was given up, which nothing else would
                # show.
                if not begun:
                    self._stream_of_fragments, begun = stream, True
                elif self._stream_of_fragments is not stream:
                    raise self._busy_receiving("recv_streaming")
                data, fin = await self._receive_fragment(decode)
                return data

        return Iterator(next_fragment)

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

        It waits until what was sent before is with the operating system. Cancelling it then is
        safe: nothing of the message was sent. When the sending of fragments is cancelled or fails
        after the first, there is no way to take back what was sent, and the connection fails with
        close code 1011.

        Args:
            message: The message.
            text: :obj:`True` to send bytes, which must be UTF-8, as a text message; :obj:`False` to
                send a string as a binary message.

        Raises:
            ConnectionClosed: The connection is closed.
            TypeError: The message has another type, or its fragments aren't all of one kind.

        """
        async with self._send_lock:
            await self._wait_to_write()
            if isinstance(message, (str, bytes, bytearray, memoryview)):
                self.protocol.send_message(message, text)
                self._flush()
            else:
                await self._send_fragments(check_iterable(message), text)

    async def aclose(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
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
        await self._lost.wait()

    async def ping(self, data: DataLike | None = None, *, ack_on_close: bool = False) -> trio.Event:
        """Send a ping (RFC 6455, section 5.5.2).

        Args:
            data: Payload, at most 125 bytes, a string being encoded in UTF-8; by default, random
                bytes.
            ack_on_close: Whether the event is set when the connection is closed, too. Otherwise,
                whoever waits for it then waits for ever.

        Returns:
            An event that is set when the peer has answered this ping or a later one. You need not
            wait for it::

                pong_received = await connection.ping(ack_on_close=True)
                await pong_received.wait()

        Raises:
            ConnectionClosed: The connection is closed.
            ConcurrencyError: Another ping with the same payload waits for its pong.
            ProtocolError: The payload is too long.

        """
        payload = None if data is None else encode_payload(data)
        await trio.lowlevel.checkpoint()
        await self._wait_to_write()
        pong_received = trio.Event()
        self.session.send_ping(payload, (pong_received, ack_on_close), trio.current_time())
        self._flush()
        return pong_received

    async def pong(self, data: DataLike = b"") -> None:
        """Send a pong that answers no ping (RFC 6455, section 5.5.3).

        Args:
            data: Payload, at most 125 bytes, a string being encoded in UTF-8.

        Raises:
            ConnectionClosed: The connection is closed.
            ProtocolError: The payload is too long.

        """
        payload = encode_payload(data)
        await trio.lowlevel.checkpoint()
        await self._wait_to_write()
        self.protocol.send_pong(payload)
        self._flush()

    # Receiving

    @contextlib.contextmanager
    def _receive_alone(self, method: str) -> Generator[None, None, None]:
        """Have no other task receive meanwhile.

        Raises:
            ConcurrencyError: Another task receives.

        """
        if self._receiving:
            raise self._busy_receiving(method)
        self._receiving = True
        try:
            yield
        finally:
            self._receiving = False

    def _busy_receiving(self, method: str) -> ConcurrencyError:
        return ConcurrencyError(
            f"cannot call {method} while another task is already running recv or recv_streaming"
        )

    async def _receive_fragment(self, decode: bool | None) -> tuple[Data, bool]:
        """Receive a fragment; tell whether it is the last of its message."""
        await trio.lowlevel.checkpoint()
        self._receives_fragments = True
        try:
            while (fragment := self.session.messages.get_fragment(decode)) is None:
                await self._wait_to_receive()
        except UnicodeDecodeError as exc:
            await self._fail_decoding(exc)
        finally:
            self._receives_fragments = False
        self._continue_reading()
        return fragment

    async def _wait_to_receive(self) -> None:
        """Wait until something arrives that concerns the task that receives.

        Raises:
            ConnectionClosed: Nothing will.

        """
        if self.session.lost:
            raise self.session.closed_exception()
        await self._receiver.park()

    async def _fail_decoding(self, exc: UnicodeDecodeError) -> NoReturn:
        """Fail the connection because a binary message isn't the text that was asked for.

        Raises:
            ConnectionClosed: The connection was open.
            UnicodeDecodeError: It ends already, for another reason.

        """
        if self.protocol.state is not State.OPEN:
            # There is room for what arrived after it.
            self._continue_reading()
            raise exc
        reason = f"{exc.reason} at position {exc.start}"
        self.session.fail(CloseCode.INVALID_DATA, reason, exc)
        self._flush()
        await self.wait_closed()
        raise self.session.closed_exception()

    def _continue_reading(self) -> None:
        """Read again, if not enough waits to be received any more."""
        if self.session.wants_unread():
            self._process_received(self.session.process_events(trio.current_time()))
        if not self.session.messages.paused:
            self._reader.unpark()

    def _process_received(self, answered: Sequence[tuple[PongWaiter, float]]) -> None:
        """Process what was received.

        Args:
            answered: Who waited for pongs that are among it, and the latencies.

        """
        for (pong_received, _), _ in answered:
            pong_received.set()
        self._flush()
        messages = self.session.messages
        if messages.complete or (self._receives_fragments and messages.frames):
            self._receiver.unpark()
        if not self.session.handshaking():
            self._handshaking.set()

    # Sending

    async def _wait_to_write(self) -> None:
        """Wait until what waits to be sent has left.

        Raises:
            InvalidState: The connection isn't open yet.
            ConnectionClosed: It is closing, or closed.

        """
        if self._outgoing and not self._is_closing():
            # What waited then has left. Whoever looked again would find what another sent that
            # waited, too: of many, each would wake all the others, for one to go on.
            await self._senders.park()
        if self._is_closing():
            if self.protocol.state is State.CONNECTING:
                raise InvalidState("connection is connecting")
            await self.wait_closed()
            raise self.session.closed_exception()

    def _is_closing(self) -> bool:
        return self.protocol.state is not State.OPEN or self._error is not None

    async def _send_fragments(
        self, message: Iterable[Any] | AsyncIterable[Any], text: bool | None
    ) -> None:
        """Send a fragmented message."""
        kind: type[str | bytes] | None = None
        with trio.CancelScope() as self._fragmented_send:
            try:
                async with contextlib.aclosing(iterate(message)) as fragments:
                    async for fragment in fragments:
                        fragment_kind = check_fragment(fragment, kind)
                        await self._wait_to_write()
                        self.session.send_fragment(fragment, text, first=kind is None)
                        kind = fragment_kind
                        self._flush()
                if kind is not None:
                    await self._wait_to_write()
                    # Only now is it known which fragment was the last.
                    self.protocol.send_continuation(b"", fin=True)
                    self._flush()
            except BaseException:
                # There is no way to end a message in the middle.
                if kind is not None and self.protocol.state is State.OPEN:
                    self.protocol.fail(CloseCode.INTERNAL_ERROR, "error in fragmented message")
                    self._flush()
                raise
        if self._fragmented_send.cancelled_caught:
            raise self.session.closed_exception()

    def send_shared(self, message: SharedMessage) -> None:
        """Send a message without waiting for anything; nothing, if the connection isn't open. It is
        what :func:`~ws_trio.broadcast.broadcast` does.

        Args:
            message: The message.

        Raises:
            ConcurrencyError: A fragmented message is being sent.

        """
        if self._is_closing():
            return
        if self.protocol.sending_fragments:
            raise ConcurrencyError("sending a fragmented message")
        self.protocol.send_shared(message)
        self._flush()

    def get_buffer_size(self) -> int:
        """Return how many bytes wait to be sent."""
        return self._outgoing_size + self.protocol.unsent_size

    def give_up(self, reason: str, exc: BaseException) -> None:
        """Fail the connection, with close code 1008 (policy violation), without waiting.

        Args:
            reason: Close reason.
            exc: Why: the cause of the exceptions that tell that the connection is closed.

        """
        self.session.fail(CloseCode.POLICY_VIOLATION, reason, exc)
        self._flush()

    def _flush(self) -> None:
        """Have sent what the protocol wants to send, and see what follows from that."""
        if not self._outgoing:
            self._take_writes()
            if self._outgoing:
                self._writer.unpark()
        if self.protocol.state is not State.OPEN:
            self._set_timer()
            # What the peer says about closing is to be read, and nothing more can be sent.
            self._reader.unpark()
            self._senders.unpark_all()

    def _take_writes(self) -> None:
        """Take what the protocol wants to send, when all that it wanted before has left."""
        self._outgoing = self.protocol.data_to_send()
        self._outgoing_size = sum(map(len, self._outgoing))

    # Closing and time

    def _start_closing(self, code: int, reason: str) -> None:
        """Send a close frame, unless that is done already."""
        if self.protocol.state is State.CONNECTING:
            self._abort.cancel()
        else:
            self.session.close(code, reason)
            self._flush()

    def _hurry(self) -> None:
        """Close the connection without waiting for the peer, because the program doesn't wait."""
        self._start_closing(CloseCode.GOING_AWAY, "")
        self._hurrying = True
        if not self._outgoing or self.close_timeout is None:
            self._abort.cancel()
        else:
            # A peer that doesn't read must not hold the program up.
            self._abort.deadline = trio.current_time() + self.close_timeout

    def _set_timer(self) -> None:
        """Wake the task that keeps time earlier, if that is due."""
        deadline = self.session.next_deadline(trio.current_time())
        if deadline is not None and deadline < self._timer.deadline:
            self._timer.deadline = deadline

    # Tasks. A KeyboardInterrupt is for the program, and would make a mess here.

    @trio.lowlevel.enable_ki_protection
    async def _run(self) -> None:
        """Run the tasks of the connection until it is lost."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._move_bytes)
            try:
                await self._keep_time()
            except trio.Cancelled:
                self._hurry()
                raise

    async def _keep_time(self) -> None:
        """Do what is due when its time has come."""
        while not self._lost.is_set():
            deadline = self.session.next_deadline(trio.current_time())
            with trio.CancelScope(
                deadline=math.inf if deadline is None else deadline
            ) as self._timer:
                await self._lost.wait()
            if self._timer.cancelled_caught:
                if self.session.meet_deadline(trio.current_time()):
                    self._abort.cancel()
                    await self._lost.wait()
                self._flush()

    @trio.lowlevel.enable_ki_protection
    async def _move_bytes(self) -> None:
        """Receive and send bytes until both directions are closed, or :attr:`_abort` is
        cancelled."""
        try:
            with self._abort:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write)
                    await self._read()
        finally:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(self.stream)
            self._lose()

    async def _read(self) -> None:
        """Read from the stream until it ends."""
        session = self.session
        while True:
            while not session.wants_data(trio.current_time()):
                await self._reader.park()
                self._set_timer()
            try:
                data = await self.stream.receive_some()
            except trio.BrokenResourceError as exc:
                self._error = self._error or describe_broken(exc)
                self._abort.cancel()
                return
            except trio.ClosedResourceError:
                data = b""  # by _write_eof()
            if not data:
                if self._error is None:
                    session.receive_eof()
                    self._process_received([])
                return
            self._process_received(session.receive_data(bytes(data), trio.current_time()))

    @trio.lowlevel.enable_ki_protection
    async def _write(self) -> None:
        """Write to the stream until this side of it is closed."""
        try:
            while True:
                while not self._outgoing:
                    await self._writer.park()
                writes = self._outgoing
                data = writes[0] if len(writes) == 1 else b"".join(writes)
                if data:
                    await self.stream.send_all(data)
                if not writes[-1]:
                    await self._write_eof()
                self._take_writes()
                if not self._outgoing:
                    self._senders.unpark_all()
                    if self._hurrying:
                        self._abort.cancel()
                if not writes[-1]:
                    return
        except trio.BrokenResourceError as exc:
            # The peer is gone. What it sent before can still be received, but not for ever.
            self._error = describe_broken(exc)
            self._senders.unpark_all()
            if self.close_timeout is not None:
                self._abort.deadline = trio.current_time() + self.close_timeout
            if self._hurrying:
                self._abort.cancel()

    async def _write_eof(self) -> None:
        """Close this side of the TCP connection."""
        if isinstance(self.stream, trio.abc.HalfCloseableStream):
            await self.stream.send_eof()
        else:
            # TLS. It says goodbye to the peer. Nothing that the peer sends matters any more.
            await self.stream.aclose()

    def _lose(self) -> None:
        """Tell everybody who waits that the connection is lost."""
        unanswered = self.session.lose_connection(self._error)
        self.log_as_protocol()
        for pong_received, ack_on_close in unanswered:
            if ack_on_close:
                pong_received.set()
        self._handshaking.set()
        self._receiver.unpark_all()
        self._senders.unpark_all()
        self._fragmented_send.cancel()
        self._lost.set()
