"""The other side of what is measured: the same for all contenders, and none of them.

It speaks just enough of the protocol to keep a contender busy: it sends frames that were made
beforehand, and counts those that it gets, without looking into them. It runs in a process of its
own, on another core. Nothing that it does is measured.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import cast
from urllib.parse import parse_qs, urlsplit

import uvloop
from frames import (
    CLOSE,
    FIN,
    PING,
    PONG,
    make_close,
    make_frame,
    make_messages,
    make_request,
    make_response,
    mask,
)
from processes import obey


class FrameCounter:
    """Counts frames in the bytes that arrive.

    Attributes:
        closing: Whether a close frame was among them.
        pings: Payloads of pings that came, until somebody takes them away.

    """

    def __init__(self) -> None:
        self._buffer = b""
        self._skip = 0
        self.closing = False
        self.pings: list[bytes] = []

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
            masked = length > 127
            start = pos + (6 if masked else 2)
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
                payload = data[start : start + length]
                if data[pos] == FIN | PING:
                    self.pings.append(mask(payload, data[start - 4 : start]) if masked else payload)
                self.closing |= data[pos] == FIN | CLOSE
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
    """One connection."""

    masks: bool

    def __init__(self) -> None:
        self.head = b""
        self.opened = False
        self.counter = FrameCounter()
        self.writable = asyncio.Event()
        self.writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
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
        for payload in self.counter.pings:
            # Whoever doesn't get an answer closes the connection, in works that take longer.
            self.transport.write(make_frame(FIN | PONG, payload, self.masks))
        self.counter.pings.clear()
        if self.counter.closing:
            self.close()

    def open(self, head: str) -> None:
        """Go on after the head of a request or response."""
        raise NotImplementedError

    def receive(self, frames: int) -> None:
        """Receive so many data frames."""
        raise NotImplementedError

    def close(self) -> None:
        """Receive a close frame."""
        raise NotImplementedError


class ServerSide(Side):
    """A server: its path says what it does.

    ``/stream`` sends ``count`` messages when it gets one, and tells in a header of its response how
    many bytes they take. ``/echo`` sends a message for each that it gets.
    """

    masks = False

    def open(self, head: str) -> None:
        request_line, *lines = head.split("\r\n")
        target = urlsplit(request_line.split(" ")[1])
        options = {name: values[0] for name, values in parse_qs(target.query).items()}
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        offered = "permessage-deflate" in headers.get("sec-websocket-extensions", "")
        deflate = "deflate" in options
        if deflate and not offered:
            raise RuntimeError("compression isn't offered")
        self.frames = make_messages(options["kind"], int(options["size"]), deflate, self.masks)
        self.position = 0
        self.count = int(options.get("count", 0))
        self.streaming = target.path == "/stream"
        rounds, rest = divmod(self.count, len(self.frames))
        length = sum(map(len, self.frames)) * rounds + sum(map(len, self.frames[:rest]))
        key = headers["sec-websocket-key"]
        self.transport.write(make_response(key, deflate, f"Stream-Length: {length}"))

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
        self.transport.write(make_close(self.masks))
        self.transport.close()


class ClientSide(Side):
    """A client, which is one of many.

    Args:
        group: All of them.

    Attributes:
        closing: Whether the connection is to end.

    """

    masks = True

    def __init__(self, group: Clients) -> None:
        super().__init__()
        self.group = group
        self.closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.write(make_request("/", self.group.deflate))

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if not self.closing:
            self.group.fail("a connection was closed")
        elif not self.counter.closing:
            self.group.fail("a connection was closed without a close frame")
        else:
            self.group.arrived(1)

    def open(self, head: str) -> None:
        if " 101 " not in head:
            self.group.fail(head.partition("\r\n")[0])
        elif self.group.deflate and "permessage-deflate" not in head.lower():
            self.group.fail("compression isn't accepted")
        else:
            self.group.sides.append(self)
            self.group.arrived(1)

    def receive(self, frames: int) -> None:
        self.group.received(self, frames)

    def start_closing(self) -> None:
        """Start the closing handshake."""
        self.closing = True
        self.transport.write(make_close(self.masks))

    def close(self) -> None:
        # RFC 6455, section 7.1.1: the server closes the connection.
        if not self.closing:
            self.group.fail("a connection is being closed")


class Clients:
    """Connections to a contender's server, which keep messages in flight.

    Args:
        size: Size of the messages.
        deflate: Whether to ask for compression.

    Attributes:
        sides: The connections.

    """

    def __init__(self, size: int, deflate: bool) -> None:
        (self.frame,) = make_messages("binary", size, False, ClientSide.masks)
        self.deflate = deflate
        self.sides: list[ClientSide] = []
        self.to_send = 0
        self.awaited = 0
        self.done: asyncio.Future[None] | None = None
        self.failure: str | None = None

    async def connect(self, port: int, count: int, tls: ssl.SSLContext | None) -> None:
        """Open connections, not all at once."""
        loop = asyncio.get_running_loop()
        while count:
            batch = min(count, 50)
            count -= batch
            done = self.expect(batch)
            await asyncio.gather(
                *(
                    loop.create_connection(lambda: ClientSide(self), "127.0.0.1", port, ssl=tls)
                    for _ in range(batch)
                )
            )
            await done

    def expect(self, number: int) -> asyncio.Future[None]:
        """Return a future for so many events: responses, messages, or ends of connections."""
        if self.failure is not None:
            raise ConnectionError(self.failure)
        self.awaited = number
        self.done = asyncio.get_running_loop().create_future()
        return self.done

    def arrived(self, number: int) -> None:
        """Count what is expected."""
        self.awaited -= number
        if self.awaited <= 0 and self.done is not None and not self.done.done():
            self.done.set_result(None)

    def fail(self, why: str) -> None:
        """Let whoever waits, or will wait, know that it won't come."""
        self.failure = why
        if self.done is not None and not self.done.done():
            self.done.set_exception(ConnectionError(why))

    def received(self, side: ClientSide, frames: int) -> None:
        """Send a message for each that came, if that isn't enough."""
        again = min(frames, self.to_send)
        if again:
            self.to_send -= again
            side.transport.write(self.frame * again)
        self.arrived(frames)

    async def echo(self, count: int, in_flight: int) -> None:
        """Send messages, so many of them at a time on each connection, and get them back."""
        done = self.expect(count)
        self.to_send = count
        for side in self.sides:
            first = min(in_flight, self.to_send)
            if not first:
                break
            self.to_send -= first
            side.transport.write(self.frame * first)
        await done

    def abort(self) -> None:
        """Close all connections at once."""
        self.done = None
        for side in self.sides:
            side.transport.abort()


class Counterpart:
    """Does what it is told."""

    async def serve(self, certificate: str | None) -> dict[str, object]:
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
    ) -> dict[str, object]:
        """Open connections to a server."""
        tls = None
        if certificate is not None:
            tls = ssl.create_default_context(cafile=certificate)
        self.clients = Clients(size, deflate)
        await self.clients.connect(port, count, tls)
        return {}

    async def echo(self, count: int, in_flight: int) -> dict[str, object]:
        """Have messages echoed."""
        await self.clients.echo(count, in_flight)
        return {}

    async def expect(self, count: int) -> dict[str, object]:
        """Be prepared for messages to arrive."""
        self.awaited = self.clients.expect(count)
        return {}

    async def wait(self) -> dict[str, object]:
        """Wait for them."""
        await self.awaited
        return {}

    async def disconnect(self) -> dict[str, object]:
        """Close the connections."""
        self.clients.abort()
        return {}

    async def handshakes(self, port: int, count: int, deflate: bool) -> dict[str, object]:
        """Open connections one after the other, each with a closing handshake."""
        for _ in range(count):
            clients = Clients(16, deflate)
            await clients.connect(port, 1, None)
            done = clients.expect(1)
            clients.sides[0].start_closing()
            await done
        return {}


if __name__ == "__main__":
    uvloop.run(obey(Counterpart()))
