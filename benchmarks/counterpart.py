"""The other side of what is measured: the same for all contenders, and none of them.

It speaks just enough of the protocol to keep a contender busy: it sends frames that were made
beforehand, and counts those that it gets, without looking into them. It runs in a process of its
own, on another core, and is told by JSON in lines what to do. Nothing that it does is measured.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import ssl
import sys
import zlib
from urllib.parse import parse_qs, urlsplit

import uvloop
from payloads import make_payloads

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY = base64.b64encode(b"0123456789abcdef")
MASK = b"\x12\x34\x56\x78"
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"


def make_frame(head: int, payload: bytes, masked: bool) -> bytes:
    """Build a frame."""
    size, mask_bit = len(payload), 128 if masked else 0
    if size < 126:
        start = bytes([head, mask_bit | size])
    elif size < 65536:
        start = bytes([head, mask_bit | 126]) + size.to_bytes(2, "big")
    else:
        start = bytes([head, mask_bit | 127]) + size.to_bytes(8, "big")
    if not masked:
        return start + payload
    mask = (MASK * (size // 4 + 1))[:size]
    masked_payload = int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")
    return start + MASK + masked_payload.to_bytes(size, "big")


def make_frames(kind: str, size: int, deflate: bool, masked: bool) -> list[bytes]:
    """Build frames to send, which can be sent over and over."""
    opcode = 2 if kind == "binary" else 1
    if not deflate:
        return [make_frame(128 | opcode, data, masked) for data in make_payloads(kind, size)]
    frames = []
    deflater = zlib.compressobj(wbits=-12)
    for data in make_payloads(kind, size):
        compressed = deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH)
        frames.append(make_frame(128 | 64 | opcode, compressed[:-4], masked))
    # The first again, without what came before: the start of the next turn.
    return frames


class FrameCounter:
    """Counts frames in the bytes that arrive.

    Attributes:
        closing: Whether a close frame was among them.

    """

    def __init__(self) -> None:
        self._buffer = b""
        self._skip = 0
        self.closing = False

    def count(self, data: bytes) -> int:
        """Return how many data frames end in a chunk."""
        frames = 0
        if self._skip:
            if len(data) < self._skip:
                self._skip -= len(data)
                return 0
            data = data[self._skip :]
            self._skip = 0
            frames = 1
        data = self._buffer + data
        pos, end = 0, len(data)
        while end - pos >= 2:
            length = data[pos + 1]
            start = pos + (6 if length > 127 else 2)
            length &= 127
            if length > 125:
                extended = 2 if length == 126 else 8
                if end - pos < 2 + extended:
                    break
                length = int.from_bytes(data[pos + 2 : pos + 2 + extended], "big")
                start += extended
            if data[pos] & 8:
                if end < start + length:
                    break
                self.closing |= data[pos] & 15 == 8
            elif end < start + length:
                self._skip = start + length - end
                pos = end
                break
            else:
                frames += 1
            pos = start + length
        self._buffer = data[pos:]
        return frames


class Side(asyncio.Protocol):
    """One connection, after the opening handshake."""

    def __init__(self) -> None:
        self.head = b""
        self.opened = False
        self.counter = FrameCounter()
        self.writable = asyncio.Event()
        self.writable.set()

    def connection_made(self, transport) -> None:
        self.transport = transport

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def connection_lost(self, exc) -> None:
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        if not self.opened:
            self.head += data
            end = self.head.find(b"\r\n\r\n")
            if end == -1:
                return
            self.opened = True
            data = self.head[end + 4 :]
            self.open(self.head[:end].decode())
            if not data:
                return
        frames = self.counter.count(data)
        if frames:
            self.receive(frames)
        if self.counter.closing:
            self.close()

    def open(self, head: str) -> None:
        raise NotImplementedError

    def receive(self, frames: int) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class ServerSide(Side):
    """A server: its path says what it does.

    ``/stream`` sends ``count`` messages for each that it gets, ``/echo`` one.
    """

    cache: dict[str, list[bytes]] = {}  # noqa: RUF012  # shared on purpose

    def open(self, head: str) -> None:
        request_line, *lines = head.split("\r\n")
        target = urlsplit(request_line.split(" ")[1])
        options = {name: values[0] for name, values in parse_qs(target.query).items()}
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        offered = "permessage-deflate" in headers.get("sec-websocket-extensions", "")
        deflate = offered and options.get("deflate") == "1"
        accept = base64.b64encode(
            hashlib.sha1(headers["sec-websocket-key"].encode() + GUID).digest()
        )
        self.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n" + (DEFLATE if deflate else b"") + b"\r\n"
        )
        self.streaming = target.path == "/stream"
        self.count = int(options.get("count", 0))
        name = f"{target.query} {deflate}"
        if name not in self.cache:
            self.cache[name] = make_frames(
                options.get("kind", "binary"), int(options.get("size", 16)), deflate, masked=False
            )
        self.frames = self.cache[name]
        self.position = 0

    def take(self, count: int) -> bytes:
        """Return the next frames."""
        if len(self.frames) == 1:
            return self.frames[0] * count
        frames = []
        for _ in range(count):
            frames.append(self.frames[self.position])
            self.position = (self.position + 1) % len(self.frames)
        return b"".join(frames)

    def receive(self, frames: int) -> None:
        if self.streaming:
            self.task = asyncio.get_running_loop().create_task(self.stream())
        else:
            self.transport.write(self.take(frames))

    async def stream(self) -> None:
        """Send many messages, in large chunks."""
        left = self.count
        at_once = max(1, 2**17 // len(self.frames[0]))
        while left:
            count = min(left, at_once)
            left -= count
            self.transport.write(self.take(count))
            await self.writable.wait()

    def close(self) -> None:
        self.transport.write(make_frame(0x88, b"\x03\xe8", masked=False))
        self.transport.close()


class ClientSide(Side):
    """A client: it keeps messages in flight.

    Attributes:
        received: How many messages arrived.
        goal: How many are awaited.

    """

    def __init__(self, group: Clients) -> None:
        super().__init__()
        self.group = group
        self.received = 0

    def connection_made(self, transport) -> None:
        super().connection_made(transport)
        request = (
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: " + KEY + b"\r\nSec-WebSocket-Version: 13\r\n"
        )
        if self.group.deflate:
            request += DEFLATE.replace(b"deflate", b"deflate; client_max_window_bits")
        transport.write(request + b"\r\n")

    def open(self, head: str) -> None:
        if " 101 " not in head:
            raise RuntimeError(head)
        # Peers negotiate what they like.
        self.deflating = "permessage-deflate" in head.lower()
        self.group.opened(self)

    def receive(self, frames: int) -> None:
        self.group.received(self, frames)

    def close(self) -> None:
        self.group.closed(self)
        self.transport.close()


class Clients:
    """Connections to a contender's server.

    Args:
        size: Size of the messages.
        deflate: Whether to offer compression.

    """

    def __init__(self, size: int, deflate: bool) -> None:
        self.frame = make_frames("binary", size, False, masked=True)[0]
        self.deflate = deflate
        self.sides: list[ClientSide] = []
        self.waiting = 0
        self.to_send = 0
        self.done: asyncio.Future[None] | None = None

    async def connect(self, port: int, count: int, tls: ssl.SSLContext | None) -> None:
        """Open connections, not all at once."""
        loop = asyncio.get_running_loop()
        while count:
            batch = min(count, 50)
            count -= batch
            self.expect(batch)
            await asyncio.gather(
                *(
                    loop.create_connection(lambda: ClientSide(self), "127.0.0.1", port, ssl=tls)
                    for _ in range(batch)
                )
            )
            await self.done

    def expect(self, number: int) -> None:
        self.waiting = number
        self.done = asyncio.get_running_loop().create_future()

    def opened(self, side: ClientSide) -> None:
        self.sides.append(side)
        self._arrived(1)

    def closed(self, side: ClientSide) -> None:
        self._arrived(1)

    def received(self, side: ClientSide, frames: int) -> None:
        again = min(frames, self.to_send)
        if again:
            self.to_send -= again
            side.transport.write(self.frame * again)
        self._arrived(frames)

    def _arrived(self, number: int) -> None:
        self.waiting -= number
        if self.waiting <= 0 and self.done is not None and not self.done.done():
            self.done.set_result(None)

    async def echo(self, count: int, in_flight: int) -> None:
        """Send messages, so many of them at a time on each connection, and get them back."""
        self.expect(count)
        self.to_send = count
        for side in self.sides:
            first = min(in_flight, self.to_send)
            if not first:
                break
            self.to_send -= first
            side.transport.write(self.frame * first)
        await self.done

    def close(self) -> None:
        """Close all connections."""
        self.done = None
        for side in self.sides:
            side.transport.abort()
        self.sides.clear()


class Counterpart:
    """Does what it is told."""

    def __init__(self) -> None:
        # By the port of the contender's server.
        self.clients: dict[int, Clients] = {}

    async def serve(self, certificate: str | None) -> dict:
        """Start a server."""
        tls = None
        if certificate is not None:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(ServerSide, "127.0.0.1", 0, ssl=tls, backlog=1000)
        return {"port": server.sockets[0].getsockname()[1]}

    async def connect(
        self, port: int, count: int, size: int, deflate: bool, certificate: str | None
    ) -> dict:
        """Open connections to a server."""
        tls = None
        if certificate is not None:
            tls = ssl.create_default_context(cafile=certificate)
        clients = self.clients[port] = Clients(size, deflate)
        await clients.connect(port, count, tls)
        return {"deflate": all(side.deflating for side in clients.sides)}

    async def echo(self, port: int, count: int, in_flight: int) -> dict:
        """Have messages echoed."""
        await self.clients[port].echo(count, in_flight)
        return {}

    async def expect(self, port: int, count: int) -> dict:
        """Be prepared for messages to arrive."""
        self.clients[port].expect(count)
        return {}

    async def wait(self, port: int) -> dict:
        """Wait for them."""
        await self.clients[port].done
        return {}

    async def close(self, port: int) -> dict:
        """Close the connections."""
        self.clients.pop(port).close()
        return {}

    async def handshakes(self, port: int, count: int, deflate: bool) -> dict:
        """Open connections one after the other, each with a closing handshake."""
        for _ in range(count):
            clients = Clients(16, deflate)
            await clients.connect(port, 1, None)
            clients.expect(1)
            clients.sides[0].transport.write(make_frame(0x88, b"\x03\xe8", masked=True))
            await clients.done
        return {}


async def main() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(2**20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    counterpart = Counterpart()
    while line := await reader.readline():
        command = json.loads(line)
        result = await getattr(counterpart, command.pop("do"))(**command)
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity") and len(sys.argv) > 1:
        os.sched_setaffinity(0, {int(sys.argv[1])})
    uvloop.run(main())
