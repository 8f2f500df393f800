"""A WebSocket server on plain sockets, with a thread for each client: it sends messages back.

It needs nothing but the standard library and ws-protocol::

    python blocking_server.py --port 8765

Port 0 takes a free one; the line that the program prints says which. With ``--certificate`` and
``--key``, it is a wss server. An interrupt (Ctrl-C) or SIGTERM closes all connections and ends it.
"""

from __future__ import annotations

import argparse
import contextlib
import email.utils
import logging
import selectors
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from blocking_connection import Connection, Interrupted

from ws_protocol.exceptions import ConnectionClosed, WebSocketException
from ws_protocol.extensions.permessage_deflate import enable_server_permessage_deflate
from ws_protocol.frames import CloseCode
from ws_protocol.http11 import SERVER
from ws_protocol.protocol import State
from ws_protocol.server import ServerProtocol
from ws_protocol.session import Session

logger = logging.getLogger(__name__)


class ServerConnection(Connection):
    """A WebSocket connection of a server."""

    def answer(self) -> None:
        """Answer the request of the opening handshake.

        Here is the place to look at ``request.path`` and ``request.headers``, and to refuse the
        connection: ``protocol.reject()`` makes the response that says so.
        """
        protocol = self.session.protocol
        request = self.session.request
        if request is None or protocol.state is not State.CONNECTING:
            # It was no request, and is answered already; or the client is gone.
            return
        assert isinstance(protocol, ServerProtocol)
        response = self.session.response = protocol.accept(request)
        response.headers["Date"] = email.utils.formatdate(usegmt=True)
        response.headers["Server"] = SERVER
        protocol.send_response(response)
        # There may be frames already, which arrived with the request.
        self.session.process_events(time.monotonic())


class Server:
    """A WebSocket server.

    Args:
        handler: Called with each connection, in a thread. The connection is closed when it returns.
        listener: The socket to accept connections on.
        interrupt: A socket. When there is something to read from it, the server ends.
        context: TLS context; None for no TLS.
        max_connections: How many connections there may be at once. More of them wait.
        open_timeout: Seconds that each of TLS and WebSocket may take to open.
        options: More arguments for the sessions.

    """

    def __init__(
        self,
        handler: Callable[[Connection], None],
        listener: socket.socket,
        interrupt: socket.socket,
        *,
        context: ssl.SSLContext | None = None,
        max_connections: int = 100,
        open_timeout: float = 10,
        **options: Any,
    ) -> None:
        self._handler = handler
        self._listener = listener
        self._interrupt = interrupt
        self._context = context
        self._open_timeout = open_timeout
        self._options = options
        self._slots = threading.BoundedSemaphore(max_connections)

    def serve(self) -> None:
        """Serve clients until the interrupt; then close everything."""
        threads: set[threading.Thread] = set()
        # A client may be gone before it is accepted.
        self._listener.setblocking(False)
        with self._listener, selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._interrupt, selectors.EVENT_READ)
            while all(key.fileobj is self._listener for key, _ in selector.select()):
                # If there is no slot, look at the interrupt, and try again.
                if self._slots.acquire(timeout=0.1):
                    try:
                        sock, address = self._listener.accept()
                    except OSError as exc:
                        # No file descriptor is left, perhaps. That will pass.
                        logger.warning("cannot accept a connection: %s", exc)
                        self._slots.release()
                        time.sleep(0.1)
                        continue
                    threads = {thread for thread in threads if thread.is_alive()}
                    thread = threading.Thread(target=self._serve, args=(sock, address))
                    thread.start()
                    threads.add(thread)
        for thread in threads:
            thread.join()

    def _serve(self, sock: socket.socket, address: Any) -> None:
        """Serve a client, in a thread."""
        try:
            try:
                connection = self._open(sock)
            except (OSError, WebSocketException, Interrupted) as exc:
                logger.info("%s: opening handshake failed: %r", address, exc)
                return
            with connection:
                try:
                    self._handler(connection)
                except Interrupted:
                    connection.close(CloseCode.GOING_AWAY)
        except ConnectionClosed as exc:
            logger.info("%s: connection closed: %s", address, exc)
        except Exception:
            logger.exception("%s: connection handler failed", address)
        finally:
            self._slots.release()

    def _open(self, sock: socket.socket) -> Connection:
        """Perform the TLS handshake, if there is to be one, and the opening handshake."""
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is not None:
                sock.settimeout(self._open_timeout)
                sock = self._context.wrap_socket(sock, server_side=True)
            protocol = ServerProtocol(extensions=enable_server_permessage_deflate(None))
            session: Session[None] = Session(protocol, **self._options)
            connection = ServerConnection(sock, session, self._interrupt)
            connection.handshake(self._open_timeout)
        except BaseException:
            sock.close()
            raise
        return connection


def echo(connection: Connection) -> None:
    """Send messages back."""
    for message in connection:
        connection.send(message)


@contextlib.contextmanager
def watch_signals() -> Iterator[socket.socket]:
    """Return a socket that has something to read once there is an interrupt or SIGTERM.

    The operating system's handler writes to it, before any in Python is called. One that raises an
    exception isn't enough: a signal that comes just before a thread waits is noticed afterwards
    only, and one that comes while a thread is started leaves a thread that nobody knows of.
    """
    watched, written = socket.socketpair()
    with watched, written:
        written.setblocking(False)
        signal.set_wakeup_fd(written.fileno())
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        try:
            yield watched
        finally:
            signal.set_wakeup_fd(-1)


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description="Send messages back.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--certificate", help="certificate chain, in PEM")
    parser.add_argument("--key", help="private key, in PEM")
    parser.add_argument("--ping-interval", type=float, default=20)
    parser.add_argument("--ping-timeout", type=float, default=20)
    parser.add_argument("--close-timeout", type=float, default=10)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    context = None
    if args.certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(args.certificate, args.key)
    listener = socket.create_server((args.host, args.port))
    scheme = "ws" if context is None else "wss"
    with watch_signals() as interrupt:
        print(f"listening on {scheme}://{args.host}:{listener.getsockname()[1]}/", flush=True)
        Server(
            echo,
            listener,
            interrupt,
            context=context,
            ping_interval=args.ping_interval,
            ping_timeout=args.ping_timeout,
            close_timeout=args.close_timeout,
        ).serve()
    print("closed", flush=True)


if __name__ == "__main__":
    main()
