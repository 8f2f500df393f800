"""A WebSocket server on trio: it sends messages back.

It needs trio and ws-protocol::

    python trio_server.py --port 8765

Port 0 takes a free one; the line that the program prints says which. With ``--certificate`` and
``--key``, it is a wss server. An interrupt (Ctrl-C) or SIGTERM closes all connections and ends it.
"""

from __future__ import annotations

import argparse
import email.utils
import functools
import logging
import signal
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import trio
from trio_connection import Connection

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
        self.session.process_events(trio.current_time())


class Server:
    """A WebSocket server.

    Args:
        handler: Called with each connection. The connection is closed when it returns.
        options: More arguments for the sessions.

    """

    def __init__(self, handler: Callable[[Connection], Awaitable[None]], **options: Any) -> None:
        self._handler = handler
        self._options = options
        self._connections: set[Connection] = set()
        self._stopping = False

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Serve a client: a handler for trio.serve_tcp() and trio.serve_ssl_over_tcp()."""
        if self._stopping:
            await trio.aclose_forcefully(stream)
            return
        protocol = ServerProtocol(extensions=enable_server_permessage_deflate(None))
        session: Session[None] = Session(protocol, **self._options)
        connection = ServerConnection(stream, session)
        self._connections.add(connection)
        try:
            async with connection.opened():
                await self._handler(connection)
        except ConnectionClosed as exc:
            logger.info("connection closed: %s", exc)
        except (WebSocketException, trio.TooSlowError) as exc:
            logger.info("opening handshake failed: %r", exc)
        except Exception:
            # One connection must not end the others.
            logger.exception("connection handler failed")
        finally:
            self._connections.remove(connection)

    def stop(self, nursery: trio.Nursery) -> None:
        """Close all connections, in tasks in a nursery."""
        self._stopping = True
        for connection in self._connections:
            nursery.start_soon(connection.close, CloseCode.GOING_AWAY)


async def echo(connection: Connection) -> None:
    """Send messages back."""
    async for message in connection:
        await connection.send(message)


async def main() -> None:
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

    server = Server(
        echo,
        ping_interval=args.ping_interval,
        ping_timeout=args.ping_timeout,
        close_timeout=args.close_timeout,
    )
    # Connections live in a nursery of their own, so that the server can stop listening and close
    # them afterwards.
    async with trio.open_nursery() as connections, trio.open_nursery() as listening:
        serve: Callable[..., Awaitable[Any]]
        if args.certificate is None:
            serve = functools.partial(trio.serve_tcp, server.serve_stream, args.port)
        else:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(args.certificate, args.key)
            serve = functools.partial(
                trio.serve_ssl_over_tcp, server.serve_stream, args.port, context
            )
        listeners = await listening.start(
            functools.partial(serve, host=args.host, handler_nursery=connections)
        )
        socket_listener = listeners[0]
        if isinstance(socket_listener, trio.SSLListener):
            socket_listener = socket_listener.transport_listener
        assert isinstance(socket_listener, trio.SocketListener)
        scheme = "ws" if args.certificate is None else "wss"
        port = socket_listener.socket.getsockname()[1]
        print(f"listening on {scheme}://{args.host}:{port}/", flush=True)
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            await anext(signals)
        listening.cancel_scope.cancel()
        server.stop(connections)
    print("closed", flush=True)


if __name__ == "__main__":
    trio.run(main)
