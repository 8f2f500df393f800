"""A connection, but for its I/O.

:class:`Session` joins a :class:`~ws_protocol.protocol.Protocol` with what stands between it and an
application: messages that wait to be read, pings that wait for their pongs, keepalive, and the
deadline for closing. It moves no bytes, waits for nothing and reads no clock. A way of doing I/O
adds those three, and does for every session the same:

* give it what arrives, with :meth:`Session.receive_data`, :meth:`Session.receive_eof` and
  :meth:`Session.lose_connection`;
* after that, and after everything else that it did with the session, send what
  ``session.protocol.data_to_send()`` returns, ask :meth:`Session.wants_data` whether to go on
  reading, and :meth:`Session.next_deadline` when to call :meth:`Session.meet_deadline`;
* once messages were taken out, ask :meth:`Session.wants_unread` whether to call
  :meth:`Session.process_events`, also when the connection is lost: what arrived isn't decoded
  before there is room for it.

Time is an argument: seconds of any clock that doesn't jump, such as :func:`time.monotonic` or an
event loop's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from ._arguments import check_seconds, parse_limit
from .exceptions import ConnectionClosed
from .frames import CloseCode, Frame, Opcode
from .http11 import Request, Response
from .keepalive import Action, Keepalive, PendingPings
from .limits import MAX_EARLY_DATA, MAX_KEEPALIVE_PINGS
from .messages import Assembler
from .protocol import Protocol
from .state import Side, State
from .typing import BytesLike, Data, DataLike

__all__ = ["Session", "parse_watermarks"]

Waiter = TypeVar("Waiter")

# How much is decoded before the frames that wait are counted, in bytes. Extensions can make a
# thousand times as much of it; without them, frames of a few bytes become objects of some sixty. In
# a chunk that would be copied to wait, only those count.
_PIECE = 2**15
_ENCODED_PIECE = 2**12
_MESSAGES = 2**11


class Session(Generic[Waiter]):
    """A connection, but for its I/O.

    ``Waiter`` is what waits for a pong: a future, an event, a callback.

    Args:
        protocol: The protocol.
        ping_interval: Seconds between keepalive pings; :obj:`None` for no keepalive.
        ping_timeout: Seconds to wait for an answer to a ping; :obj:`None` to wait for ever.
        close_timeout: Seconds to wait for the connection to close, once it should;
            :obj:`None` to wait for ever.
        max_queue: How many frames may wait to be read before no more are read from the network;
            :obj:`None` for no limit. A pair sets that number, and the one at which reading
            continues, by default a quarter of it.

    Raises:
        TypeError: An argument isn't a number.
        ValueError: ``max_queue`` or ``ping_interval`` isn't possible.

    Attributes:
        protocol: The protocol.
        messages: Messages that wait to be read.
        request: Request of the opening handshake, once there is one. A client's I/O layer sets it.
        response: Response of the opening handshake, once there is one. A server's I/O layer sets
            it.
        eof_received: Whether the peer closed its side of the TCP connection, or that is gone.
        lost: Whether the TCP connection is gone.
        latency: Seconds that the last ping took to be answered; 0 before the first.
        ping_interval: As the argument.
        close_timeout: As the argument. Setting it is for closing that begins afterwards.

    """

    def __init__(
        self,
        protocol: Protocol,
        *,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        max_queue: int | tuple[int | None, int | None] | None = 16,
    ) -> None:
        self.protocol: Protocol = protocol
        # What waits to be put into it, until the protocol has received a chunk.
        self._received: list[Frame | Data] = []
        protocol.messages = self._received
        high, low = parse_watermarks(max_queue)
        self.messages: Assembler = Assembler(
            parse_limit("max_queue", high), parse_limit("max_queue", low)
        )
        self.request: Request | None = None
        self.response: Response | None = None
        self.eof_received: bool = False
        self.lost: bool = False
        self.latency: float = 0.0
        self.ping_interval: float | None = ping_interval
        self.close_timeout: float | None = close_timeout
        check_seconds("close_timeout", close_timeout)
        self._pings: PendingPings[Waiter | None] = PendingPings()
        self._keepalive = Keepalive(ping_interval, ping_timeout)
        self._close_deadline: float | None = None
        self._failure: BaseException | None = None
        # Whether data frames were received, and whether they are dropped now.
        self._receiving = False
        self._dropping = False
        # What arrived, and isn't decoded, because enough waits to be read, or because there is no
        # response to the opening handshake yet.
        self._unread = b""
        self._unread_start = 0
        self._holding = False

    @property
    def ping_timeout(self) -> float | None:
        """Seconds to wait for an answer to a ping; :obj:`None` to wait for ever.

        Setting it is for the pings that are sent from then on.
        """
        return self._keepalive.ping_timeout

    @ping_timeout.setter
    def ping_timeout(self, ping_timeout: float | None) -> None:
        self._keepalive.ping_timeout = ping_timeout

    # Opening

    def handshaking(self) -> bool:
        """Tell whether the peer's part of the opening handshake is still to come.

        When it isn't, :attr:`request` or :attr:`response` is there, or the connection is lost, or
        ``protocol.handshake_exc`` says why the opening handshake failed.
        """
        protocol = self.protocol
        received = self.request if protocol.side is Side.SERVER else self.response
        return (
            received is None
            and protocol.handshake_exc is None
            and protocol.state is State.CONNECTING
            and not protocol.close_expected()
        )

    def start_keepalive(self, now: float) -> None:
        """Start to send pings, when the connection is open.

        Args:
            now: The time.

        """
        if self.protocol.state is State.OPEN:
            self._keepalive.start(now)

    # Receiving

    def receive_data(self, data: BytesLike, now: float) -> Sequence[tuple[Waiter, float]]:
        """Receive bytes from the network.

        Args:
            data: Bytes, at least one.
            now: The time.

        Returns:
            Who waited for pongs that are among them, and how many seconds.

        Raises:
            EOFError: The end of the stream was received before.

        """
        self._keepalive.heard = True
        data = data if type(data) is bytes else bytes(data)
        if self._holding or self._unread:
            self._unread = self._unread[self._unread_start :] + data
            self._unread_start = 0
            return self.process_events(now)
        if self.eof_received:
            raise EOFError("stream ended")
        pos = self.protocol.receive_piece(data, 0, self._get_piece_size())
        if pos < len(data):
            self._unread, self._unread_start = data, pos
            return self.process_events(now)
        return self._process_events(now)

    def get_buffer(self) -> memoryview | None:
        """Return what the rest of a large frame's payload can be read into, without another copy.

        Returns:
            :obj:`None` most of the time, when there is no such frame. Otherwise, read from the
            network into it, and tell :meth:`receive_payload`. It is good until anything else is
            received.

        """
        return None if self._unread else self.protocol.get_buffer()

    def receive_payload(self, size: int, now: float) -> Sequence[tuple[Waiter, float]]:
        """Receive what was read into what :meth:`get_buffer` returned, like :meth:`receive_data`.

        Args:
            size: How many bytes were.
            now: The time.

        """
        self._keepalive.heard = True
        self.protocol.receive_payload(size)
        return self._process_events(now)

    def _get_piece_size(self) -> int:
        """Return how many bytes to decode before the frames that wait are counted."""
        protocol = self.protocol
        if self._holding:
            return len(self._unread)
        if protocol.extensions or protocol.state is State.CONNECTING:
            return _ENCODED_PIECE
        return _PIECE

    def receive_messages(self, data: BytesLike, size: int) -> int:
        """Receive the start of a chunk from the network, as far as it is whole messages: the most
        frequent case, for the least cost.

        Args:
            data: What has the chunk at its beginning.
            size: Size of the chunk, in bytes.

        Returns:
            Position of what is to be given to :meth:`receive_data`, from there to the end of the
            chunk. If that is nothing, the peer's messages are all there is to process: there are
            no pongs among them, and nothing to send.

        """
        if self._unread or self._holding:
            return 0
        self._keepalive.heard = True
        messages = self.messages
        protocol = self.protocol
        until = _ENCODED_PIECE if protocol.extensions else size
        pos = protocol.receive_messages(data, size, until, _MESSAGES, messages.frames)
        # Not if pos: there is part of a message, perhaps, or there are some before a mistake.
        if messages.frames:
            self._receiving = True
            messages.update_paused()
        return pos

    def wants_unread(self) -> bool:
        """Tell whether there are bytes that arrived before, and room for what is in them: whether
        to call :meth:`process_events`."""
        if not self._unread:
            return False
        if self._holding:
            # The protocol is who says that it is too much.
            return len(self._unread) - self._unread_start > MAX_EARLY_DATA
        return not self.messages.paused or (
            self.protocol.state is not State.OPEN and not self.eof_received
        )

    def process_events(self, now: float) -> Sequence[tuple[Waiter, float]]:
        """Process what arrived before and waits, as far as there is room for what is in it.

        It goes in pieces: a chunk from the network may have thousands of messages, or a few that
        are a thousand times as large once decoded, and only ``max_queue`` of them may wait.

        Call it when :meth:`wants_unread` says so, and, in a server, when the response to the
        opening handshake was sent: the client may have sent frames before.

        Args:
            now: The time.

        Returns:
            Who waited for pongs that are among it, and how many seconds.

        """
        protocol = self.protocol
        if self._holding and protocol.state is not State.CONNECTING:
            self._holding = False
        answered = list(self._process_events(now))
        while self.wants_unread():
            start = self._unread_start
            stop = protocol.receive_piece(self._unread, start, start + self._get_piece_size())
            if stop < len(self._unread):
                self._unread_start = stop
            else:
                self._unread, self._unread_start = b"", 0
            answered += self._process_events(now)
        return answered

    def receive_eof(self) -> None:
        """Receive the end of the stream from the network: the peer closed its side of the TCP
        connection."""
        self.eof_received = True
        if self.protocol.state is State.CONNECTING:
            # There will be no response, which they would need to mean something.
            self._unread, self._unread_start = b"", 0
        self.protocol.receive_eof()
        self._process_events(0)  # no pong can be among them

    def lose_connection(self, exc: BaseException | None = None) -> list[Waiter]:
        """Process the end of the TCP connection, however it came, in both directions.

        Args:
            exc: Why it ended, if known.

        Returns:
            Who waited for pongs, which won't come.

        """
        if exc is not None:
            self._blame(exc)
        self.receive_eof()
        refused = self.protocol.handshake_exc
        if refused is not None and isinstance(refused.__cause__, EOFError):
            # An alert of TLS, for example, that there is no certificate of the client.
            refused.__cause__.__cause__ = self._failure
        self.lost = True
        self._keepalive.stop()
        self._close_deadline = None
        return [waiter for waiter in self._pings.clear() if waiter is not None]

    def _process_events(self, now: float) -> Sequence[tuple[Waiter, float]]:
        """Process what the protocol received."""
        if self._received:
            self._put_received()
        answered: list[tuple[Waiter, float]] = []
        for event in self.protocol.events_received():
            if isinstance(event, Request):
                self.request = event
                self._holding = True
            elif isinstance(event, Response):
                self.response = event
            elif event.opcode is Opcode.PONG:
                for waiter, latency in self._pings.acknowledge(bytes(event.data), now):
                    self.latency = latency
                    if waiter is not None:
                        answered.append((waiter, latency))
        return answered

    def _put_received(self) -> None:
        """Put received messages where they wait, or drop them."""
        self._receiving = True
        messages = self.messages
        if self.protocol.close_sent is None:
            messages.put_all(self._received)
        else:
            for frame in self._received:
                self._dropping = self._dropping or (messages.paused and self._closed_first())
                if not self._dropping:
                    messages.put(frame)
        self._received.clear()

    def wants_data(self, now: float) -> bool:
        """Tell whether to read from the network.

        Not if enough messages wait to be read: let the peer wait, too. But the peer's part of the
        closing handshake must be read, and that it closes the TCP connection. Not after that.

        Keepalive stops while this side doesn't read: what :meth:`next_deadline` returns may be
        another afterwards.

        Args:
            now: The time.

        """
        if self.eof_received:
            return False
        full = self.messages.paused or self._unread != b""
        wanted = not full or self.protocol.state is not State.OPEN
        if wanted is self._keepalive.paused:
            # A peer whose pongs aren't read must not be given up for that.
            if wanted:
                self._keepalive.resume(now)
            else:
                self._keepalive.pause()
        return wanted

    def _closed_first(self) -> bool:
        """Tell whether this side began to close the connection.

        Then reading isn't paused any more, because the peer's close frame must be read, and the
        application has said that it is done: what is too much is dropped, and all that follows, so
        that there are no gaps. Not so when the peer closes the connection or makes it fail, even if
        that comes in the same chunk.
        """
        protocol = self.protocol
        return (
            protocol.close_sent is not None
            and not protocol.close_rcvd_then_sent
            and isinstance(protocol.parser_exc, EOFError | None)
        )

    # Sending

    def send_fragment(self, fragment: DataLike, text: bool | None, first: bool) -> None:
        """Send a fragment of a message, which isn't the last.

        Args:
            fragment: The fragment.
            text: Whether to send a text message; by default, it depends on the type.
            first: Whether it is the first.

        Raises:
            InvalidState: The connection isn't open.
            ProtocolError: Another fragmented message is being sent.

        """
        if isinstance(fragment, str):
            if text is None:
                text = True
            fragment = fragment.encode()
        if not first:
            self.protocol.send_continuation(fragment, fin=False)
        elif text:
            self.protocol.send_text(fragment, fin=False)
        else:
            self.protocol.send_binary(fragment, fin=False)

    def send_ping(self, data: bytes | None, waiter: Waiter | None, now: float) -> None:
        """Send a ping.

        Args:
            data: Payload; :obj:`None` for a random one.
            waiter: Who waits for the pong; :obj:`None` for nobody.
            now: The time.

        Raises:
            ConcurrencyError: Another ping with the same payload waits for its pong.
            InvalidState: The connection isn't open, nor closing.
            ProtocolError: The payload is too long.

        """
        data = self._pings.choose_payload(data)
        self.protocol.send_ping(data)
        self._pings.add(data, waiter, now)

    # Closing and time

    def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Begin the closing handshake, if the connection is open.

        In the middle of a fragmented message, make it fail, with code 1011: there is no way to end
        the message.

        Args:
            code: Close code.
            reason: Close reason, at most 123 bytes in UTF-8.

        Raises:
            ProtocolError: The code isn't allowed in a frame, or the reason is too long.

        """
        if self.protocol.state is State.OPEN:
            if self.protocol.sending_fragments:
                self.protocol.fail(CloseCode.INTERNAL_ERROR, "close during fragmented message")
            else:
                self.protocol.send_close(code, reason)

    def fail(self, code: int, reason: str, exc: BaseException) -> None:
        """Fail the connection (RFC 6455, section 7.1.7).

        Args:
            code: Close code.
            reason: Close reason. What doesn't fit in a close frame is left out.
            exc: Why: the cause of :meth:`closed_exception`.

        """
        self.protocol.fail(code, reason)
        self._blame(exc)

    def next_deadline(self, now: float) -> float | None:
        """Return when to call :meth:`meet_deadline`; :obj:`None` for never.

        Args:
            now: The time.

        """
        self._check_closing(now)
        if self._close_deadline is not None:
            return self._close_deadline
        return self._keepalive.deadline

    def meet_deadline(self, now: float) -> bool:
        """Do what the time has come for.

        Args:
            now: The time; calling early does nothing.

        Returns:
            Whether the TCP connection must be closed now, without waiting for anything.

        """
        self._check_closing(now)
        if self._close_deadline is not None:
            if now < self._close_deadline:
                return False
            self._blame(TimeoutError("timed out while closing the connection"))
            return True
        action = self._keepalive.tick(now)
        debug = self.protocol.debug
        if action is Action.PING:
            self.send_ping(None, None, now)
            self._pings.forget_unawaited(MAX_KEEPALIVE_PINGS)
            if debug:
                self.protocol.logger.debug("% sent keepalive ping")
        elif action is Action.FAIL:
            if debug:
                self.protocol.logger.debug("- timed out waiting for keepalive pong")
            exc = TimeoutError("keepalive ping timed out")
            self.fail(CloseCode.INTERNAL_ERROR, "keepalive ping timeout", exc)
        return False

    def _check_closing(self, now: float) -> None:
        """Set the deadline for closing, once the TCP connection should close."""
        if (
            self._close_deadline is None
            and not self.lost
            and (self.protocol.state is State.CLOSED or self.protocol.close_expected())
        ):
            self._keepalive.stop()
            if self.close_timeout is not None:
                self._close_deadline = now + self.close_timeout

    def closed_exception(self) -> ConnectionClosed:
        """Return a new exception for whoever uses the closed connection.

        Its ``__cause__`` tells what ended the connection, if that wasn't the closing handshake.

        Raises:
            InvalidState: The connection isn't closed.

        """
        exc = self.protocol.close_exc
        if self._failure is not None:
            exc.__cause__ = self._failure
        return exc

    def ended_in_vain(self) -> bool:
        """Tell whether the connection ended before it was of use: the peer ended it, and sent no
        message."""
        return (
            not self._receiving
            and self.protocol.state is not State.OPEN
            and not self._closed_first()
        )

    def _blame(self, exc: BaseException) -> None:
        """Remember why the connection ends, unless there is a reason already."""
        protocol = self.protocol
        # After a closing handshake, how the TCP connection ends doesn't matter.
        if protocol.close_rcvd is not None and protocol.close_sent is not None:
            return
        if self._failure is None and protocol.parser_exc is None:
            # The traceback may refer to who uses this, which would be a cycle.
            self._failure = exc.with_traceback(None)


def parse_watermarks(
    value: int | tuple[int | None, int | None] | None,
) -> tuple[int | None, int | None]:
    """Return high and low of a limit that may be given as high, or as a pair of high and low."""
    return value if isinstance(value, tuple) else (value, None)
