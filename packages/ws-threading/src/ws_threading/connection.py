"""A connection for threads: bytes between a socket and a session, and which thread waits for what.

A connection has a thread of its own, which reads from the socket, answers pings, and keeps time.
Those that use the connection write to the socket themselves, as far as it takes bytes at once; the
connection's thread writes the rest, and they wait for it. So no thread ever waits for the network
with the lock in its hands, and a peer that doesn't read can't keep this side from reading.
"""

from __future__ import annotations

import collections
import selectors
import socket
import threading
import time
from collections.abc import AsyncIterable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Literal, NoReturn, Self, overload

from ws_protocol.connection import BaseConnection, check_fragment, check_iterable, encode_payload
from ws_protocol.exceptions import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedOK,
    InvalidState,
)
from ws_protocol.frames import CloseCode
from ws_protocol.protocol import Protocol, State
from ws_protocol.session import Session
from ws_protocol.shared import SharedMessage
from ws_protocol.typing import Data, DataLike

from ._deadline import Deadline
from ._stream import BUFFER_SIZE, Stream

__all__ = ["Connection"]

# It needs no file descriptor of its own, unlike epoll, which is for many more than two.
_Selector: type[selectors.BaseSelector] = getattr(
    selectors, "PollSelector", selectors.SelectSelector
)

# The longest time to wait for the network, in seconds: poll() takes no more than 24 days. It does
# no harm to wake up once a day.
_MAX_WAIT = 86400


class PongReceived(threading.Event):
    """Is set when the pong is received that answers a ping.

    Attributes:
        ack_on_close: Whether to set it also when the connection is closed before.

    """

    def __init__(self, ack_on_close: bool) -> None:
        super().__init__()
        self.ack_on_close = ack_on_close


class Connection(BaseConnection[PongReceived]):
    """A WebSocket connection for threads.

    :class:`~ws_threading.client.ClientConnection` and
    :class:`~ws_threading.server.ServerConnection` add the opening handshake.
    :func:`~ws_threading.client.connect` and :func:`~ws_threading.server.serve` make them.

    All methods can be called from any thread, at any time.

    Args:
        sock: The socket, which is connected. The connection closes it.
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
        socket: The socket.

    """

    def __init__(
        self,
        sock: socket.socket | Stream,
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
        self._stream = sock if isinstance(sock, Stream) else Stream(sock)
        self.socket: socket.socket = self._stream.socket
        self.socket.setblocking(False)
        self._addresses = get_address(self.socket.getsockname), get_address(self.socket.getpeername)

        # What everything below needs, and the session and the stream, too. Signal handlers may call
        # methods while the thread that they interrupt has the lock.
        self._mutex = threading.RLock()

        # Tell of what was received, and that the fragments of a message were sent; all, that the
        # connection is lost. Whoever waits for one isn't woken by the others.
        self._received = threading.Condition(self._mutex)
        self._fragments_sent = threading.Condition(self._mutex)
        self._lost = threading.Condition(self._mutex)

        # What tells each thread that waits for it that as many bytes were sent, in order.
        self._senders: collections.deque[tuple[int, threading.Condition]] = collections.deque()

        # Whether the connection's thread doesn't read, because enough waits to be received.
        self._reading_paused = False

        # Whether a thread receives, and who iterates over the fragments of a message.
        self._receiving = False
        self._stream_iterator: object | None = None

        # What the socket didn't take yet, and how many bytes were to be sent, and were.
        self._outgoing: collections.deque[bytes | memoryview] = collections.deque()
        self._bytes_to_send = 0
        self._bytes_sent = 0
        self._ends = False
        self._flushing = False

        # The thread that sends the fragments of a message.
        self._fragmenting: int | None = None

        # Why the connection's thread is to give up, and whether it is to.
        self._failure: BaseException | None = None
        self._aborted = False

        self.log_as_connection()

        # What wakes the connection's thread.
        self._wakes, self._waker = socket.socketpair()
        self._wakes.setblocking(False)
        self._waker.setblocking(False)
        try:
            self._thread = threading.Thread(target=self._run, name="websocket", daemon=True)
            self._thread.start()
        except RuntimeError:
            # The system has no more threads, or Python ends.
            self._wakes.close()
            self._waker.close()
            raise

    # Attributes

    @property
    def local_address(self) -> Any:
        """Address of this side of the connection.

        A pair of host and port for IPv4, a quadruple that starts with them for IPv6, a path for a
        Unix socket.
        """
        return self._addresses[0]

    @property
    def remote_address(self) -> Any:
        """Address of the peer, or of the proxy between.

        A pair of host and port for IPv4, a quadruple that starts with them for IPv6, a path for a
        Unix socket.
        """
        return self._addresses[1]

    # Public methods

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_type is None:
            self.close()
        else:
            self.close(CloseCode.INTERNAL_ERROR)

    def __iter__(self) -> Iterator[Data]:
        """Iterate over messages until the connection is closed normally.

        Raises:
            ConnectionClosedError: The connection was closed with an error.

        """
        try:
            while True:
                yield self.recv()
        except ConnectionClosedOK:
            return

    @overload
    def recv(self, timeout: float | None, decode: Literal[True]) -> str: ...

    @overload
    def recv(self, timeout: float | None, decode: Literal[False]) -> bytes: ...

    @overload
    def recv(self, timeout: float | None = None, *, decode: Literal[True]) -> str: ...

    @overload
    def recv(self, timeout: float | None = None, *, decode: Literal[False]) -> bytes: ...

    @overload
    def recv(self, timeout: float | None = None, decode: bool | None = None) -> Data: ...

    def recv(self, timeout: float | None = None, decode: bool | None = None) -> Data:
        """Receive the next message.

        Messages that arrived before the connection was closed can still be received afterwards.

        When it times out, or is interrupted, nothing is lost: the next call receives the message,
        all of it.

        Args:
            timeout: Seconds to wait; 0 for not at all, :obj:`None` for ever.
            decode: :obj:`True` for :class:`str`, :obj:`False` for :class:`bytes`; by default,
                :class:`str` for a text message and :class:`bytes` for a binary one.

        Raises:
            TimeoutError: No message arrived in time.
            ConnectionClosed: The connection is closed, and there are no more messages.
                With ``decode=True``, also when a binary message isn't valid UTF-8, which makes the
                connection fail with close code 1007.
            UnicodeDecodeError: With ``decode=True``, a binary message that arrived before the
                connection was closed isn't valid UTF-8.
            ConcurrencyError: Another thread is receiving, or the fragments of a message were
                received in part.

        """
        deadline = Deadline(timeout)
        messages = self.session.messages
        with self._mutex:
            self._begin_receiving("recv")
            try:
                data = messages.get_message(decode)
                if data is None:
                    messages.joining = True
                    try:
                        self._resume_reading()
                        while not messages.complete:
                            self._wait_to_receive(deadline)
                    finally:
                        messages.joining = False
                    data = messages.get_message(decode)
            except UnicodeDecodeError as exc:
                self._fail_decoding(exc)
            finally:
                self._receiving = False
            self._resume_reading()
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

        If you stop before the last fragment, call it again to receive the rest: the other methods
        that receive refuse to until then.

        Args:
            decode: :obj:`True` for :class:`str`, :obj:`False` for :class:`bytes`; by default,
                :class:`str` for a text message and :class:`bytes` for a binary one.

        Raises:
            ConnectionClosed: The connection is closed, and there are no more fragments. With
                ``decode=True``, also when a binary message isn't valid UTF-8, which makes the
                connection fail with close code 1007.
            UnicodeDecodeError: With ``decode=True``, a binary message that arrived before the
                connection was closed isn't valid UTF-8.
            ConcurrencyError: Another thread is receiving.

        """
        deadline = Deadline(None)
        # A later iterator takes over from one that was given up, which nothing else would show.
        iterator = object()
        with self._mutex:
            if not self._receiving:
                self._stream_iterator = iterator
        fin = False
        while not fin:
            with self._mutex:
                self._begin_receiving("recv_streaming", self._stream_iterator is not iterator)
                try:
                    fragment = self.session.messages.get_fragment(decode)
                    while fragment is None:
                        self._wait_to_receive(deadline)
                        fragment = self.session.messages.get_fragment(decode)
                except UnicodeDecodeError as exc:
                    self._fail_decoding(exc)
                finally:
                    self._receiving = False
                self._resume_reading()
            data, fin = fragment
            yield data

    def send(self, message: DataLike | Iterable[DataLike], *, text: bool | None = None) -> None:
        """Send a message.

        A :class:`str` is sent as a text message; :class:`bytes`, :class:`bytearray` or
        :class:`memoryview` as a binary one. An iterable of either is sent as one message in
        fragments, a frame for each item; while that goes on, other threads that send messages wait.
        Nothing is sent if it is empty.

        It returns when the operating system has taken the message. Interrupting it before, by a
        signal, doesn't take the message back. When the sending of fragments fails after the first,
        there is no way to take back what was sent, and the connection fails with close code 1011.

        Args:
            message: The message.
            text: :obj:`True` to send bytes, which must be UTF-8, as a text message; :obj:`False` to
                send a string as a binary message.

        Raises:
            ConnectionClosed: The connection is closed.
            ConcurrencyError: The iterable whose items are being sent sends a message.
            TypeError: The message has another type, or its fragments aren't all of one kind.

        """
        if isinstance(message, (str, bytes, bytearray, memoryview)):
            with self._mutex:
                self._wait_for_turn()
                self._check_open()
                self.protocol.send_message(message, text)
                self._write()
                self._wait_until_sent()
        elif isinstance(message, AsyncIterable) and not isinstance(message, Iterable):
            raise TypeError(
                "message must be str, bytes-like, or an iterable of either, not asynchronous"
            )
        else:
            fragments = check_iterable(message)
            assert isinstance(fragments, Iterable)
            self._send_fragments(fragments, text)

    def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Close the connection: perform the closing handshake, and wait for the TCP connection to
        close (RFC 6455, section 7).

        It takes no longer than ``close_timeout``: then the TCP connection is closed, whatever the
        peer does. Calling it again waits for the same. Interrupting it, by a signal, is safe: the
        connection closes all the same.

        What the peer sends before it answers can still be received, up to ``max_queue`` frames.

        Args:
            code: Close code.
            reason: Close reason, at most 123 bytes in UTF-8.

        Raises:
            ProtocolError: The code isn't allowed in a frame, or the reason is too long.

        """
        self.start_closing(code, reason)
        self.wait_closed()

    def wait_closed(self) -> None:
        """Wait until the connection is closed: until :attr:`state` is CLOSED, and the TCP
        connection is gone."""
        with self._mutex:
            # Not without the lock: a signal handler may call this while the thread that it
            # interrupts has it, and waiting gives it away.
            while not self.session.lost:
                self._lost.wait()
        self._thread.join()

    def ping(self, data: DataLike | None = None, *, ack_on_close: bool = False) -> threading.Event:
        """Send a ping (RFC 6455, section 5.5.2).

        Args:
            data: Payload, at most 125 bytes, a string being encoded in UTF-8; by default, random
                bytes.
            ack_on_close: Whether to set the event also when the connection is closed.

        Returns:
            An event that is set when the peer has answered this ping or a later one;
            :attr:`latency` tells how long it took. You need not wait for it::

                pong_received = connection.ping()
                pong_received.wait(timeout)

        Raises:
            ConnectionClosed: The connection is closed.
            ConcurrencyError: Another ping with the same payload waits for its pong.
            ProtocolError: The payload is too long.

        """
        pong_received = PongReceived(ack_on_close)
        payload = None if data is None else encode_payload(data)
        with self._mutex:
            self._check_open()
            self.session.send_ping(payload, pong_received, time.monotonic())
            self._write()
            self._wait_until_sent()
        return pong_received

    def pong(self, data: DataLike = b"") -> None:
        """Send a pong that answers no ping (RFC 6455, section 5.5.3).

        Pings are answered without it. This one tells the peer that this side is there, and asks for
        nothing.

        Args:
            data: Payload, at most 125 bytes, a string being encoded in UTF-8.

        Raises:
            ConnectionClosed: The connection is closed.
            ProtocolError: The payload is too long.

        """
        payload = encode_payload(data)
        with self._mutex:
            self._check_open()
            self.protocol.send_pong(payload)
            self._write()
            self._wait_until_sent()

    # Methods for the rest of the package

    def start_closing(self, code: int, reason: str) -> None:
        """Begin to close the connection, without waiting for it; abort it if it isn't open yet.

        Args:
            code: Close code.
            reason: Close reason.

        Raises:
            ProtocolError: The code isn't allowed in a frame, or the reason is too long.

        """
        with self._mutex:
            if self.protocol.state is State.CONNECTING:
                self._abort()
            else:
                self.session.close(code, reason)
                self._write()

    def send_shared(self, message: SharedMessage) -> None:
        """Send a message without waiting for anything; nothing, if the connection isn't open. It is
        what :func:`~ws_threading.server.broadcast` does.

        Args:
            message: The message.

        Raises:
            ConcurrencyError: A fragmented message is being sent.

        """
        with self._mutex:
            if self.protocol.state is not State.OPEN:
                return
            if self._fragmenting is not None:
                raise ConcurrencyError("sending a fragmented message")
            self.protocol.send_shared(message)
            self._write()

    def get_buffer_size(self) -> int:
        """Return how many bytes wait to be sent."""
        with self._mutex:
            return self._bytes_to_send - self._bytes_sent

    def give_up(self, reason: str, exc: BaseException) -> None:
        """Fail the connection, with close code 1008 (policy violation), without waiting.

        Args:
            reason: Close reason.
            exc: Why: the cause of the exceptions that tell that the connection is closed.

        """
        with self._mutex:
            self.session.fail(CloseCode.POLICY_VIOLATION, reason, exc)
            self._write()

    def abort(self) -> None:
        """Close the TCP connection, without waiting for anything."""
        with self._mutex:
            self._abort()

    # The opening handshake, with the lock held

    def _wait_for_handshake(self, deadline: Deadline) -> None:
        """Wait for the peer's part of the opening handshake, or for its failure.

        Raises:
            TimeoutError: The deadline is met before.

        """
        while self.session.handshaking() and not self.session.lost:
            self._wait(self._received, deadline, "timed out during opening handshake")

    def _start_keepalive(self) -> None:
        """Start to send pings, when the connection is open."""
        self.session.start_keepalive(time.monotonic())
        self._wake()

    # Receiving, with the lock held

    def _begin_receiving(self, method: str, taken_over: bool = False) -> None:
        if self._receiving or taken_over:
            raise ConcurrencyError(
                f"cannot call {method} while another thread is already running recv or "
                "recv_streaming"
            )
        self._receiving = True

    def _wait_to_receive(self, deadline: Deadline) -> None:
        """Wait until something arrives.

        Raises:
            ConnectionClosed: Nothing will.
            TimeoutError: The deadline is met before.

        """
        if self.session.lost:
            raise self.session.closed_exception()
        self._wait(self._received, deadline, "timed out while waiting for a message")

    def _wait(self, condition: threading.Condition, deadline: Deadline, text: str) -> None:
        remaining = deadline.remaining()
        if remaining == 0 or not condition.wait(remaining):
            raise TimeoutError(text)

    def _fail_decoding(self, exc: UnicodeDecodeError) -> NoReturn:
        """Fail the connection because a binary message isn't the text that was asked for.

        Raises:
            ConnectionClosed: The connection was open.
            UnicodeDecodeError: It ends already, for another reason.

        """
        if self.protocol.state is not State.OPEN:
            # There is room for what arrived after it.
            self._resume_reading()
            raise exc
        reason = f"{exc.reason} at position {exc.start}"
        self.session.fail(CloseCode.INVALID_DATA, reason, exc)
        self._write()
        raise self._wait_closed()

    def _resume_reading(self) -> None:
        """Have the connection's thread read again, if it stopped and there is room again."""
        if self.session.wants_unread():
            self._process_received(self.session.process_events(time.monotonic()))
        if self._reading_paused and self.session.wants_data(time.monotonic()):
            self._wake()

    # Sending, with the lock held

    def _wait_for_turn(self) -> None:
        """Wait until no other thread sends the fragments of a message."""
        if self._fragmenting == threading.get_ident():
            raise ConcurrencyError("cannot send a message in the middle of another")
        while self._fragmenting is not None and not self.session.lost:
            self._fragments_sent.wait()

    def _check_open(self) -> None:
        """Check that the connection is open.

        Raises:
            InvalidState: It isn't open yet.
            ConnectionClosed: It is closing, or closed.

        """
        if self.protocol.state is State.CONNECTING:
            raise InvalidState("connection is connecting")
        if self.protocol.state is not State.OPEN:
            raise self._wait_closed()

    def _wait_closed(self) -> ConnectionClosed:
        """Wait until the connection is closed; return the exception that says why."""
        while not self.session.lost:
            self._lost.wait()
        return self.session.closed_exception()

    def _wait_until_sent(self) -> None:
        """Wait until the socket has taken all that was to be sent until now.

        Raises:
            ConnectionClosed: The connection is lost before.

        """
        goal = self._bytes_to_send
        while self._bytes_sent < goal or self._stream.blocked:
            if self.session.lost:
                raise self.session.closed_exception()
            sent = threading.Condition(self._mutex)
            self._senders.append((goal, sent))
            sent.wait()

    def _tell_senders(self) -> None:
        """Wake the threads that wait for what was sent."""
        senders = self._senders
        while senders and senders[0][0] <= self._bytes_sent and not self._stream.blocked:
            senders.popleft()[1].notify()

    def _send_fragments(self, message: Iterable[Any], text: bool | None) -> None:
        """Send a fragmented message. The lock isn't held: who knows what the iterable does."""
        with self._mutex:
            self._wait_for_turn()
            self._check_open()
            self._fragmenting = threading.get_ident()
        kind: type[str | bytes] | None = None
        try:
            for fragment in message:
                fragment_kind = check_fragment(fragment, kind)
                with self._mutex:
                    self._check_open()
                    self.session.send_fragment(fragment, text, first=kind is None)
                    kind = fragment_kind
                    self._write()
                    self._wait_until_sent()
            if kind is not None:
                with self._mutex:
                    self._check_open()
                    # Only now is it known which fragment was the last.
                    self.protocol.send_continuation(b"", fin=True)
                    self._write()
                    self._wait_until_sent()
        finally:
            with self._mutex:
                # There is no way to end a message in the middle.
                if self.protocol.sending_fragments and self.protocol.state is State.OPEN:
                    self.protocol.fail(CloseCode.INTERNAL_ERROR, "error in fragmented message")
                    self._write()
                self._fragmenting = None
                self._fragments_sent.notify_all()

    def _write(self) -> None:
        """Send what the protocol wants to send, as far as that goes without waiting."""
        self._flush()
        # There is more to write, or a deadline for closing.
        if self._outgoing or self.protocol.state is not State.OPEN or self._failure is not None:
            self._wake()

    def _flush(self) -> None:
        """Give the socket what it takes of what the protocol wants to send."""
        if self._flushing:
            # A signal handler, which interrupts this. What it wants to send comes after that.
            self._wake()
            return
        if self._failure is not None or self.session.lost:
            # Some of what is left may have been sent before that.
            return
        self._flushing = True
        try:
            self._queue_writes()
            while self._outgoing:
                data = self._outgoing[0]
                size = self.socket.send(data)
                self._bytes_sent += size
                if size < len(data):
                    # Without copying the rest, which is as large as the message.
                    self._outgoing[0] = memoryview(data)[size:]
                else:
                    self._outgoing.popleft()
                if self.protocol.congested and not self._outgoing:
                    # Now that the peer reads, there may be a pong that was held back.
                    self.protocol.congested = False
                    self._queue_writes()
            if self._ends:
                self._ends = False
                self.socket.shutdown(socket.SHUT_WR)
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as exc:
            self._failure = self._failure or exc
        except BaseException as exc:
            # A signal interrupted it, and nobody knows how much was sent.
            self._failure = exc
            self._wake()
            raise
        finally:
            self._flushing = False
        self.protocol.congested = bool(self._outgoing) or self._stream.blocked

    def _queue_writes(self) -> None:
        """Queue what the protocol wants to send."""
        writes = self.protocol.data_to_send()
        if writes:
            self._queue(self._stream.encrypt(b"".join(writes)))
            if not writes[-1]:
                self._queue(self._stream.end())
                self._ends = True

    def _queue(self, data: bytes) -> None:
        if data:
            self._outgoing.append(data)
            self._bytes_to_send += len(data)

    def _wake(self) -> None:
        """Have the connection's thread look at what there is to do."""
        try:
            self._waker.send(b"\0")
        except OSError:
            pass  # it will wake up anyway, or has ended

    def _abort(self) -> None:
        self._aborted = True
        self._wake()

    # The connection's thread

    def _run(self) -> None:
        """Read and keep time until the connection is lost."""
        try:
            with _Selector() as selector:
                selector.register(self._wakes, selectors.EVENT_READ)
                registered = 0
                with self._mutex:
                    try:
                        # The end of a TLS handshake may have come with more.
                        self._receive(b"")
                    except OSError as exc:
                        self._failure = exc
                while True:
                    with self._mutex:
                        events, timeout = self._plan()
                    if events is None:
                        return
                    if events != registered:
                        if registered:
                            selector.unregister(self.socket)
                        if events:
                            selector.register(self.socket, events)
                        registered = events
                    for key, mask in selector.select(timeout):
                        if key.fileobj is self._wakes:
                            self._wakes.recv(BUFFER_SIZE)
                        elif mask & selectors.EVENT_READ:
                            with self._mutex:
                                self._read()
        except BaseException as exc:
            self._failure = exc
            raise
        finally:
            with self._mutex:
                self._lose()

    def _plan(self) -> tuple[int | None, float | None]:
        """Do what the time has come for.

        Returns:
            What to wait for on the socket, or :obj:`None` at the end of the connection; and for how
            many seconds at most.

        """
        now = time.monotonic()
        if self._aborted or self.session.meet_deadline(now):
            return None, None
        self._flush()
        self._tell_senders()
        if self._failure is not None:
            # The peer is gone, but what arrived before can still be received, however much waits
            # for that. In case the peer isn't, and goes on, it is no more than the system keeps.
            rest = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
            while rest > 0 and (size := self._read()):
                rest -= size
            return None, None
        if self.session.eof_received and not self._outgoing:
            return None, None
        self._reading_paused = not self.session.wants_data(now)
        events = 0 if self._reading_paused else selectors.EVENT_READ
        if self._outgoing:
            events |= selectors.EVENT_WRITE
        deadline = self.session.next_deadline(now)
        return events, None if deadline is None else min(max(0, deadline - now), _MAX_WAIT)

    def _read(self) -> int:
        """Read what the socket has; return how many bytes that is."""
        try:
            data = self.socket.recv(BUFFER_SIZE)
            if data:
                self._receive(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as exc:
            self._failure = self._failure or exc
            return 0
        # After a failure, the stream seems to end normally.
        if not data and self._failure is None:
            self.session.receive_eof()
            self._process_received([])
        return len(data)

    def _receive(self, data: bytes) -> None:
        """Receive bytes from the socket.

        Raises:
            ssl.SSLError: They aren't what the peer sent.

        """
        data = self._stream.decrypt(data)
        if not self.protocol.eof_sent:
            # What TLS has to say to that, and what it couldn't encrypt before.
            self._queue(self._stream.encrypt(b""))
        if data:
            self._process_received(self.session.receive_data(data, time.monotonic()))
        if self._stream.ended and not self.session.eof_received:
            self.session.receive_eof()
            self._process_received([])

    def _process_received(self, answered: Sequence[tuple[PongReceived, float]]) -> None:
        """Process what was received.

        Args:
            answered: Who waited for pongs that are among it, and the latencies.

        """
        for pong_received, _ in answered:
            pong_received.set()
        self._flush()
        self._received.notify_all()

    def _lose(self) -> None:
        """Tell everybody who waits that the TCP connection is gone."""
        for pong_received in self.session.lose_connection(self._failure):
            if pong_received.ack_on_close:
                pong_received.set()
        # Its traceback refers to this, which would be a cycle.
        self._failure = None
        self.log_as_protocol()
        for sock in (self.socket, self._wakes, self._waker):
            sock.close()
        for condition in (self._received, self._fragments_sent, self._lost):
            condition.notify_all()
        for _, sent in self._senders:
            sent.notify()


def get_address(method: Any) -> Any:
    """Return an address of a socket; :obj:`None` if it isn't connected any more."""
    try:
        return method()
    except OSError:
        return None
