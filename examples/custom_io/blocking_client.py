"""A WebSocket client on a plain socket.

It needs nothing but the standard library and ws-protocol::

    python blocking_client.py ws://127.0.0.1:8765/ hello world

It sends each message, prints as many answers, and closes the connection. With ``--follow`` it
prints messages until the server closes the connection. The exit status is 0 if the connection was
closed normally, else 1.
"""

from __future__ import annotations

import argparse
import socket
import ssl
import sys
from typing import Any

from blocking_connection import Connection

from ws_protocol.client import ClientProtocol
from ws_protocol.exceptions import WebSocketException
from ws_protocol.extensions.permessage_deflate import enable_client_permessage_deflate
from ws_protocol.http11 import USER_AGENT
from ws_protocol.session import Session
from ws_protocol.uri import parse_uri


def connect(
    uri: str, *, cafile: str | None = None, open_timeout: float = 10, **options: Any
) -> Connection:
    """Connect to a server.

    Args:
        uri: URI of the server.
        cafile: Certificates to trust with a wss URI; by default, those of the system.
        open_timeout: Seconds that each of TCP, TLS and WebSocket may take to open.
        options: More arguments for the session.

    Raises:
        InvalidURI: The URI isn't valid.
        OSError: The TCP connection or the TLS handshake fails.
        InvalidHandshake: The opening handshake fails.
        TimeoutError: It takes too long.

    """
    ws_uri = parse_uri(uri)
    protocol = ClientProtocol(ws_uri, extensions=enable_client_permessage_deflate(None))
    session: Session[None] = Session(protocol, **options)
    session.request = protocol.connect()
    session.request.headers["User-Agent"] = USER_AGENT
    protocol.send_request(session.request)

    sock = socket.create_connection((ws_uri.host, ws_uri.port), open_timeout)
    try:
        # Messages leave at once.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if ws_uri.secure:
            context = ssl.create_default_context(cafile=cafile)
            sock = context.wrap_socket(sock, server_hostname=ws_uri.host)
        connection = Connection(sock, session)
        connection.handshake(open_timeout)
    except BaseException:
        sock.close()
        raise
    return connection


def main() -> int:
    """Run the program; return its exit status."""
    parser = argparse.ArgumentParser(description="Send messages, and print the answers.")
    parser.add_argument("uri")
    parser.add_argument("messages", nargs="*")
    parser.add_argument("--follow", action="store_true", help="print until the server closes")
    parser.add_argument("--cafile", help="certificates to trust, in PEM")
    parser.add_argument("--ping-interval", type=float, default=20)
    parser.add_argument("--ping-timeout", type=float, default=20)
    parser.add_argument("--close-timeout", type=float, default=10)
    args = parser.parse_intermixed_args()
    try:
        with connect(
            args.uri,
            cafile=args.cafile,
            ping_interval=args.ping_interval,
            ping_timeout=args.ping_timeout,
            close_timeout=args.close_timeout,
        ) as connection:
            for message in args.messages:
                connection.send(message)
            if args.follow:
                for answer in connection:
                    print(answer, flush=True)
            else:
                for _ in args.messages:
                    print(connection.recv(), flush=True)
    except (OSError, WebSocketException) as exc:
        print(f"{type(exc).__name__}: {exc}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
