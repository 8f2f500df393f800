"""Sockets, with TLS on top where it is due.

TLS is done in memory, rather than by :class:`ssl.SSLSocket`, for two reasons. What is in memory can
be read by one thread and written by another under a lock that nobody holds while waiting for the
network. And TLS to a server, through a proxy that is itself reached by TLS, is nothing special.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import ssl

from ._deadline import Deadline

__all__ = ["Stream", "default_tls_context"]

# How much to read from a socket at a time, in bytes.
BUFFER_SIZE = 65536


@functools.cache
def default_tls_context() -> ssl.SSLContext:
    """Return the TLS context of clients that don't bring their own: it verifies the server.

    One for all: loading the certificates takes milliseconds and a megabyte.
    """
    return ssl.create_default_context()


class TLSLayer:
    """One side of a TLS connection, in memory.

    Args:
        context: TLS context.
        server_side: Whether it is the server's.
        server_hostname: Name of the server, for a client.

    Attributes:
        ended: Whether the peer said that nothing more comes.
        waiting: What was to be encrypted, and must wait for the end of another handshake, which the
            peer may ask for at any time with TLS 1.2 (RFC 5246, section 7.4.1.1).

    """

    def __init__(
        self, context: ssl.SSLContext, server_side: bool, server_hostname: str | None
    ) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.object: ssl.SSLObject = context.wrap_bio(
            self._incoming, self._outgoing, server_side, server_hostname
        )
        self.ended: bool = False
        self.waiting: bytes = b""

    def handshake(self, data: bytes = b"") -> tuple[bool, bytes]:
        """Take the next step of the TLS handshake.

        Args:
            data: What arrived; nothing for the first step.

        Returns:
            Whether the handshake is complete, and what to send.

        Raises:
            ssl.SSLError: It fails.

        """
        self._incoming.write(data)
        try:
            self.object.do_handshake()
        except ssl.SSLWantReadError:
            return False, self._outgoing.read()
        return True, self._outgoing.read()

    def take_alert(self) -> bytes:
        """Return what is to be sent after a failure: the alert that tells the peer."""
        return self._outgoing.read()

    def decrypt(self, data: bytes) -> bytes:
        """Decrypt what arrived.

        Raises:
            ssl.SSLError: It isn't what the peer sent.

        """
        self._incoming.write(data)
        pieces = []
        while not self.ended:
            try:
                piece = self.object.read(BUFFER_SIZE)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                self.ended = True
                break
            # Since Python 3.8, nothing is how the end shows unless it is raised.
            self.ended = not piece
            pieces.append(piece)
        return b"".join(pieces)

    def encrypt(self, data: bytes) -> bytes:
        """Encrypt what is to be sent, and what waited for that.

        Args:
            data: Nothing for what TLS has to say for itself, if anything.

        """
        with memoryview(self.waiting + data if self.waiting else data) as rest:
            sent = 0
            try:
                while sent < len(rest):
                    sent += self.object.write(rest[sent:])
            except ssl.SSLWantReadError:
                pass  # the peer's part of the handshake
            self.waiting = bytes(rest[sent:])
        return self._outgoing.read()

    def end(self) -> bytes:
        """Return what tells the peer that nothing more comes (RFC 8446, section 6.1)."""
        try:
            self.object.unwrap()
        except ssl.SSLError:
            pass  # it would like to have the peer's, too, or the connection is broken anyway
        return self._outgoing.read()


class Stream:
    """A connected socket, with any number of layers of TLS on top of it.

    While a connection is opened, its methods that block are used, by one thread. Then
    :meth:`encrypt` and :meth:`decrypt` stand between the socket and whoever uses it.

    Args:
        sock: The socket.

    Attributes:
        socket: The socket.
        ended: Whether the peer said, in TLS, that nothing more comes.

    """

    def __init__(self, sock: socket.socket) -> None:
        if isinstance(sock, ssl.SSLSocket):
            raise TypeError("sock must be without TLS; pass ssl to have it used")
        self.socket: socket.socket = sock
        self.ended: bool = False
        # The one closest to the network first.
        self._layers: list[TLSLayer] = []

    # Opening

    def send_all(self, data: bytes, deadline: Deadline) -> None:
        """Send bytes; wait until they are sent.

        Raises:
            OSError: The connection is lost.
            TimeoutError: The deadline is met before.

        """
        self.socket.settimeout(deadline.timeout())
        self.socket.sendall(self.encrypt(data))

    def receive(self, deadline: Deadline) -> bytes:
        """Wait until bytes arrive; return them, or nothing at the end of the stream.

        Raises:
            OSError: The connection is lost.
            TimeoutError: The deadline is met before.

        """
        # The end of a TLS handshake may have come with more.
        data = self.decrypt(b"")
        while not data and not self.ended:
            self.socket.settimeout(deadline.timeout())
            received = self.socket.recv(BUFFER_SIZE)
            if not received:
                break
            data = self.decrypt(received)
        return data

    def start_tls(
        self,
        context: ssl.SSLContext,
        deadline: Deadline,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
    ) -> None:
        """Perform a TLS handshake, on top of the layers that are there.

        Args:
            context: TLS context.
            deadline: Until when.
            server_side: Whether this side is the server's.
            server_hostname: Name of the server, for a client.

        Raises:
            OSError: It fails, or the connection is lost.
            TimeoutError: The deadline is met before.

        """
        layer = TLSLayer(context, server_side, server_hostname)
        data = b""
        done = False
        while not done:
            try:
                done, answer = layer.handshake(data)
            except ssl.SSLError:
                # The peer may be gone, which isn't what failed.
                with contextlib.suppress(OSError):
                    self.send_all(layer.take_alert(), deadline)
                raise
            if answer:
                self.send_all(answer, deadline)
            if not done:
                data = self.receive(deadline)
                if not data:
                    raise ConnectionResetError("connection lost during the TLS handshake")
        self._layers.append(layer)

    # In use

    @property
    def blocked(self) -> bool:
        """Whether nothing can be encrypted until more was received."""
        return any(layer.waiting for layer in self._layers)

    def decrypt(self, data: bytes) -> bytes:
        """Decrypt what the socket received. It sets :attr:`ended`. Afterwards, there may be
        something to send: :meth:`encrypt` returns it.

        Raises:
            ssl.SSLError: It isn't what the peer sent.

        """
        for layer in self._layers:
            data = layer.decrypt(data)
            self.ended = self.ended or layer.ended
        return data

    def encrypt(self, data: bytes) -> bytes:
        """Encrypt what the socket is to send.

        Args:
            data: Nothing for what TLS has to say for itself, if anything.

        """
        for layer in reversed(self._layers):
            data = layer.encrypt(data)
        return data

    def end(self) -> bytes:
        """Return what the socket is to send at the end: with TLS, that nothing more comes."""
        data = b""
        for layer in reversed(self._layers):
            data = layer.encrypt(data) + layer.end()
        return data
