"""A WebSocket client on trio.

It needs trio and ws-protocol::

    python trio_client.py ws://127.0.0.1:8765/ hello world

It sends each message, prints as many answers, and closes the connection. With ``--follow`` it
prints messages until the server closes the connection. The exit status is 0 if the connection was
closed normally, else 1.
"""

from __future__ import annotations

import argparse
import contextlib
import ssl
import sys
from collections.abc import AsyncGenerator
from typing import Any

import trio
from trio_connection import Connection

from ws_protocol.client import ClientProtocol
from ws_protocol.exceptions import WebSocketException
from ws_protocol.extensions.permessage_deflate import enable_client_permessage_deflate
from ws_protocol.http11 import USER_AGENT
from ws_protocol.session import Session
from ws_protocol.uri import WebSocketURI, parse_uri


async def open_stream(ws_uri: WebSocketURI, cafile: str | None) -> trio.abc.Stream:
    """Open a stream to a server, with TLS if the URI says so."""
    stream = await trio.open_tcp_stream(ws_uri.host, ws_uri.port)
    if not ws_uri.secure:
        return stream
    context = ssl.create_default_context(cafile=cafile)
    ssl_stream = trio.SSLStream(stream, context, server_hostname=ws_uri.host)
    try:
        await ssl_stream.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(ssl_stream)
        raise
    return ssl_stream


@contextlib.asynccontextmanager
async def connect(
    uri: str, *, cafile: str | None = None, open_timeout: float = 10, **options: Any
) -> AsyncGenerator[Connection]:
    """Connect to a server; on exit, close the connection.

    Args:
        uri: URI of the server.
        cafile: Certificates to trust with a wss URI; by default, those of the system.
        open_timeout: Seconds that each of the stream and the WebSocket connection may take to open.
        options: More arguments for the session.

    Raises:
        InvalidURI: The URI isn't valid.
        OSError: The TCP connection fails.
        trio.BrokenResourceError: The TLS handshake fails.
        InvalidHandshake: The opening handshake fails.
        trio.TooSlowError: It takes too long.

    """
    ws_uri = parse_uri(uri)
    protocol = ClientProtocol(ws_uri, extensions=enable_client_permessage_deflate(None))
    session: Session[None] = Session(protocol, **options)
    session.request = protocol.connect()
    session.request.headers["User-Agent"] = USER_AGENT
    protocol.send_request(session.request)
    with trio.fail_after(open_timeout):
        stream = await open_stream(ws_uri, cafile)
    connection = Connection(stream, session)
    async with connection.opened(open_timeout):
        yield connection


async def main() -> int:
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
        async with connect(
            args.uri,
            cafile=args.cafile,
            ping_interval=args.ping_interval,
            ping_timeout=args.ping_timeout,
            close_timeout=args.close_timeout,
        ) as connection:
            for message in args.messages:
                await connection.send(message)
            if args.follow:
                async for answer in connection:
                    print(answer, flush=True)
            else:
                for _ in args.messages:
                    print(await connection.recv(), flush=True)
    except (OSError, trio.BrokenResourceError, trio.TooSlowError, WebSocketException) as exc:
        print(f"{type(exc).__name__}: {exc}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(trio.run(main))
