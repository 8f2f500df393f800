"""A WebSocket connection on a plain socket, for programs without an event loop.

This module is what ``blocking_client.py`` and ``blocking_server.py`` share. It needs nothing but
the standard library and ws-protocol.

A connection is for one thread. It has no thread of its own: whatever is due, such as answering a
ping, sending one or closing in time, happens while one of its methods runs. A program that has
something else to do for more than a few seconds does that in another thread.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Self

from ws_protocol.exceptions import ConnectionClosedOK
from ws_protocol.frames import CloseCode
from ws_protocol.protocol import SEND_EOF, State
from ws_protocol.session import Session

# How many bytes to take from the network at a time.
CHUNK_SIZE = 65536

# What sockets that don't block raise instead of waiting.
NOT_READY = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Interrupted(Exception):
    """Raised by a method that waits, when the program is to end."""


class Connection:
    """A WebSocket connection on a socket.

    Args:
        sock: The socket, connected, and after the TLS handshake if there is one.
        session: The session.
        interrupt: A socket. When there is something to read from it, methods that wait raise
            Interrupted, once, unless the connection is closing.

    """

    def __init__(
        self, sock: socket.socket, session: Session[None], interrupt: socket.socket | None = None
    ) -> None:
        # Waiting is done in one place, for reading and writing at once.
        sock.setblocking(False)
        self.sock = sock
        self.session = session
        # What is to be sent: bytes, and then the end of the stream.
        self._unsent = bytearray()
        self._eof_unsent = False
        self._eof_received = False
        # Not select(), which has no room for sockets past the 1024th.
        self._selector = selectors.DefaultSelector()
        self._selector.register(sock, selectors.EVENT_READ)
        if interrupt is not None:
            self._selector.register(interrupt, selectors.EVENT_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, exc_type: type[BaseException] | None, *_: object) -> None:
        self.close(CloseCode.NORMAL_CLOSURE if exc_type is None else CloseCode.INTERNAL_ERROR)

    def __iter__(self) -> Iterator[str | bytes]:
        """Receive messages until the connection is closed normally."""
        with contextlib.suppress(ConnectionClosedOK):
            while True:
                yield self.recv()

    def handshake(self, timeout: float) -> None:
        """Perform the opening handshake. If it fails, the socket is closed.

        Raises:
            InvalidHandshake: It fails.
            TimeoutError: It takes too long.

        """
        until = time.monotonic() + timeout
        try:
            self._send()
            while self.session.handshaking():
                self._step(until)
            self.answer()
            self._send()
            if self.session.protocol.handshake_exc is not None:
                raise self.session.protocol.handshake_exc
        except BaseException:
            # There may be a response to send that says why.
            self.close()
            raise
        self.session.start_keepalive(time.monotonic())

    def answer(self) -> None:
        """Answer the request of the opening handshake; a client has none to answer."""

    def recv(self, timeout: float | None = None) -> str | bytes:
        """Receive a message.

        Messages that arrived before the connection was closed are received first.

        Raises:
            ConnectionClosed: The connection is closed, and there are no more messages.
            TimeoutError: No message came in time. Nothing is lost: the next call receives it.

        """
        until = None if timeout is None else time.monotonic() + timeout
        # It also joins fragments as they arrive, and so makes room for more of them.
        while (message := self.session.messages.get_message()) is None:
            if self.session.lost and not self.session.wants_unread():
                raise self.session.closed_exception()
            self._step(until)
        return message

    def send(self, message: str | bytes) -> None:
        """Send a message: text if it is a str, else binary.

        Returns when all of it is with the operating system. Messages that arrive meanwhile are
        kept, so that two programs that send to one another don't wait for one another.

        Raises:
            ConnectionClosed: The connection is closed.

        """
        self._flush()
        if self.session.protocol.state is State.OPEN:
            self.session.protocol.send_message(message)
            self._flush()
            if not self.session.lost:
                return
        self._wait_closed()
        raise self.session.closed_exception()

    def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Perform the closing handshake, and close the socket.

        It takes no longer than close_timeout, whatever the peer does. Closing again does nothing.
        """
        protocol = self.session.protocol
        if protocol.state is State.CONNECTING and not protocol.close_expected():
            # There is no polite way to end an opening handshake.
            self._lose()
        self.session.close(code, reason)
        self._send()
        self._wait_closed()

    # From here on: moving bytes, and time.

    def _step(self, until: float | None = None) -> None:
        """Wait until bytes can be moved or the time has come for something, and do all that can be
        done.

        Raises:
            TimeoutError: It is later than ``until``.

        """
        now = time.monotonic()
        if self.session.wants_unread():
            self.session.process_events(now)
            self._send()
            return
        if until is not None and now >= until:
            raise TimeoutError("timed out")
        reading = not self._eof_received and self.session.wants_data(now)
        deadlines = [self.session.next_deadline(now), until]
        self._wait(reading, [deadline - now for deadline in deadlines if deadline is not None])
        if reading:
            self._receive()
        if self.session.meet_deadline(time.monotonic()):
            self._lose()
        self._send()

    def _flush(self) -> None:
        """Wait until all that the session had to send has left."""
        self._send()
        while self._unsent:
            self._step()

    def _wait_closed(self) -> None:
        while not self.session.lost:
            self._step()

    def _wait(self, reading: bool, timeouts: list[float]) -> None:
        """Wait until bytes can be moved, or for the shortest of some times."""
        events = selectors.EVENT_READ if reading else 0
        if self._unsent or self._eof_unsent:
            events |= selectors.EVENT_WRITE
        self._selector.modify(self.sock, events)
        if reading and isinstance(self.sock, ssl.SSLSocket) and self.sock.pending():
            # TLS has bytes that the selector doesn't see.
            timeouts = [0]
        for key, _ in self._selector.select(max(0, min(timeouts)) if timeouts else None):
            if key.fileobj is not self.sock:
                self._selector.unregister(key.fileobj)
                # A connection that is closing takes no longer than it may.
                if self.session.protocol.state is State.OPEN or self.session.handshaking():
                    raise Interrupted

    def _receive(self) -> None:
        """Receive what is there."""
        try:
            data = self.sock.recv(CHUNK_SIZE)
        except NOT_READY:
            return
        except OSError as exc:
            self._lose(exc)
            return
        if data:
            self.session.receive_data(data, time.monotonic())
        else:
            self._eof_received = True
            self.session.receive_eof()

    def _send(self) -> None:
        """Send what can be sent without waiting."""
        if self.session.lost:
            return
        try:
            while self._unsent or self._take_data():
                del self._unsent[: self.sock.send(self._unsent)]
            if self._eof_unsent:
                self._send_eof()
            if self._eof_received:
                self._lose()
        except NOT_READY:
            pass
        except OSError as exc:
            # The peer is gone. What it sent before can still be received.
            with contextlib.suppress(OSError):
                while data := self.sock.recv(CHUNK_SIZE):
                    self.session.receive_data(data, time.monotonic())
            self._lose(exc)

    def _take_data(self) -> bool:
        """Take what the protocol has to send; tell whether there is something.

        Not before all else has left. So a peer that sends pings and reads nothing doesn't fill
        memory with pongs: the protocol makes a few, and then answers only the latest ping.
        """
        writes = self.session.protocol.data_to_send()
        self._unsent += b"".join(writes)
        self._eof_unsent = self._eof_unsent or SEND_EOF in writes
        return bool(self._unsent)

    def _send_eof(self) -> None:
        """Close this side of the connection. Nothing that the peer sends matters any more."""
        if isinstance(self.sock, ssl.SSLSocket):
            try:
                self.sock.unwrap()
            except ssl.SSLWantWriteError:
                raise
            except OSError:
                # The goodbye of TLS is sent. Only that of the peer isn't there.
                pass
        self.sock.shutdown(socket.SHUT_WR)
        self._eof_unsent = False

    def _lose(self, exc: OSError | None = None) -> None:
        """Close the socket, whatever is still to be sent or received."""
        if not self.session.lost:
            self._unsent.clear()
            self._selector.close()
            self.sock.close()
            self.session.lose_connection(exc)
