"""Peers on plain sockets, which do what a test says and nothing else; and a proxy."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

from websockets.client import ClientProtocol
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from .driver import TIMEOUT


class RawPeer:
    """A peer on a plain socket. It answers nothing by itself: neither pings nor close frames.

    Args:
        sock: A connected socket.
        protocol: Its side of the protocol.

    """

    def __init__(self, sock, protocol):
        self.sock = sock
        self.protocol = protocol
        self.masks = isinstance(protocol, ClientProtocol)
        self.events = []
        sock.settimeout(TIMEOUT)

    def open(self):
        """Perform its part of the opening handshake."""
        if self.masks:
            self.protocol.send_request(self.protocol.connect())
            self.flush()
            assert isinstance(self.receive(), Response)
            assert self.protocol.handshake_exc is None
        else:
            request = self.receive()
            assert isinstance(request, Request)
            self.protocol.send_response(self.protocol.accept(request))
            self.flush()

    def flush(self):
        """Send what the protocol has to send."""
        for data in self.protocol.data_to_send():
            if data:
                self.sock.sendall(data)

    def send(self, opcode, data=b"", *, fin=True):
        """Send a frame, whatever it is."""
        self.sock.sendall(Frame(opcode, data, fin).serialize(mask=self.masks))

    def send_close(self, code, reason=""):
        """Send a close frame."""
        self.send(Opcode.CLOSE, Close(code, reason).serialize())

    def receive(self):
        """Return the next frame, or :obj:`None` at the end of the stream."""
        while not self.events:
            data = self.sock.recv(65536)
            if not data:
                return None
            self.protocol.receive_data(data)
            self.events = self.protocol.events_received()
        return self.events.pop(0)

    def receive_close(self):
        """Return the close frame, whatever comes before."""
        while True:
            frame = self.receive()
            assert frame is not None, "the connection ended without a close frame"
            if frame.opcode is Opcode.CLOSE:
                return Close.parse(frame.data)

    def receive_end(self):
        """Wait until the other side closes the TCP connection; return what comes before."""
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while data := self.sock.recv(65536):
                received += data
        return received

    def end(self):
        """Close its side of the TCP connection only."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        """Reset the TCP connection."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def connect_raw(service, *, handshake=True):
    """Return a client that is connected to a server."""
    protocol = ClientProtocol(parse_uri(service.uri()))
    peer = RawPeer(socket.create_connection(service.address, TIMEOUT), protocol)
    if handshake:
        peer.open()
    return peer


class RawServer:
    """A server on a plain socket."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(TIMEOUT)
        self.uri = f"ws://127.0.0.1:{self.listener.getsockname()[1]}/"

    def accept(self, *, handshake=True):
        """Return the peer of the next client."""
        sock, _ = self.listener.accept()
        peer = RawPeer(sock, ServerProtocol())
        if handshake:
            peer.open()
        return peer


class Proxy:
    """An HTTP proxy, which makes tunnels.

    Attributes:
        url: Its URL.
        requests: The first line of each request.

    """

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.requests = []
        self.sockets = [self.listener]
        self.threads = []
        self.start(self.accept)

    def start(self, function, *args):
        thread = threading.Thread(target=function, args=args)
        self.threads.append(thread)
        thread.start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.sockets.append(client)
                self.start(self.tunnel, client)

    def tunnel(self, client):
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            request += client.recv(1)
        line = request.decode().partition("\r\n")[0]
        self.requests.append(line)
        host, _, port = line.split()[1].rpartition(":")
        server = socket.create_connection((host, int(port)), TIMEOUT)
        self.sockets.append(server)
        client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        self.start(self.copy, server, client)
        self.copy(client, server)

    def copy(self, source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def close(self):
        """End everything."""
        for sock in self.sockets:
            # Closing alone wouldn't wake the threads that wait.
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(TIMEOUT)
        for sock in self.sockets:
            sock.close()
