"""What is measured: what contenders do so many times, and the CPU time that they take for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from urllib.parse import urlencode

from payloads import make_payloads
from processes import Process


@dataclasses.dataclass(frozen=True)
class Cpu:
    """CPU time, in seconds.

    Attributes:
        total: All of it.
        system: How much of it was spent in the operating system. It is known less exactly: Linux
            looks from time to time at what a process does, and divides the total by that.

    """

    total: float
    system: float

    def __add__(self, other: Cpu) -> Cpu:
        return Cpu(self.total + other.total, self.system + other.system)

    def __sub__(self, other: Cpu) -> Cpu:
        return Cpu(self.total - other.total, self.system - other.system)

    def __truediv__(self, number: float) -> Cpu:
        return Cpu(self.total / number, self.system / number)


@dataclasses.dataclass(frozen=True)
class Pair:
    """A contender, and the other side of its connections.

    Attributes:
        subject: The process of the contender.
        counterpart: That of the other side.
        port: Port of the other side's server.
        tls_port: Port of its server with TLS.
        certificate: Path of the certificate and key of servers.

    """

    subject: Process
    counterpart: Process
    port: int
    tls_port: int
    certificate: str

    def url(self, path: str, options: dict[str, object], *, tls: bool = False) -> str:
        """Return an address of the other side's server."""
        scheme, port = ("wss", self.tls_port) if tls else ("ws", self.port)
        return f"{scheme}://127.0.0.1:{port}{path}?{urlencode(options)}"

    def cpu(self) -> Cpu:
        """Return the CPU time that the contender has used."""
        used = self.subject.call("cpu")
        return Cpu(used["cpu"], used["system"])

    def measure(self, process: Process, command: str, **arguments: object) -> Cpu:
        """Have something done by one of the two, and return the contender's CPU time."""
        before = self.cpu()
        process.call(command, **arguments)
        return self.cpu() - before

    def kill(self) -> None:
        """End both."""
        self.subject.kill()
        self.counterpart.kill()


# Does a work so many times, and returns the CPU time.
Turn = Callable[[int], Cpu]
# Prepares a work, and cleans up after it.
Prepare = Callable[[Pair], AbstractContextManager[Turn]]


@dataclasses.dataclass(frozen=True)
class Work:
    """A work.

    Attributes:
        name: Name, unique.
        group: Heading that it stands under.
        title: What it is.
        prepare: Prepares it.
        deflate: Whether it needs compression.
        without: Names of contenders that can't do it, and why.
        limit: How many times to do it at most, in a turn.
        connections: How many connections a contender has.
        full: Whether it is left out in the quick mode.

    """

    name: str
    group: str
    title: str
    prepare: Prepare
    deflate: bool = False
    without: dict[str, str] = dataclasses.field(default_factory=dict)
    limit: int = 10**6
    connections: int = 1
    full: bool = False


def size_name(size: int) -> str:
    """Return a size for people."""
    if size >= 2**20:
        return f"{size >> 20} MiB"
    return f"{size >> 10} KiB" if size >= 2**10 else f"{size} B"


def stream(
    kind: str, size: int, *, deflate: bool = False, tls: bool = False, method: str = "stream"
) -> Prepare:
    """Receive a stream of messages, as a client."""
    options: dict[str, object] = {"kind": kind, "size": size}
    if deflate:
        options["deflate"] = 1

    @contextmanager
    def prepare(pair: Pair) -> Iterator[Turn]:
        def turn(count: int) -> Cpu:
            # How many messages come is part of the address.
            url = pair.url("/stream", {**options, "count": count}, tls=tls)
            pair.subject.call(
                "open", url=url, size=16, deflate=deflate, certificate=pair.certificate
            )
            cpu = pair.measure(pair.subject, "run", work=method, count=count)
            pair.subject.call("close")
            return cpu

        yield turn

    return prepare


def client_echo(size: int, in_flight: int = 1, *, tls: bool = False) -> Prepare:
    """Send messages and receive them, as a client."""
    options: dict[str, object] = {"work": "round_trips"}
    if in_flight > 1:
        options = {"work": "in_flight", "in_flight": in_flight}

    @contextmanager
    def prepare(pair: Pair) -> Iterator[Turn]:
        def turn(count: int) -> Cpu:
            sent = max(count, in_flight)
            cpu = pair.measure(pair.subject, "run", count=sent, **options)
            return cpu / (sent / count)

        url = pair.url("/echo", {"kind": "binary", "size": size}, tls=tls)
        pair.subject.call("open", url=url, size=size, certificate=pair.certificate)
        try:
            yield turn
        finally:
            pair.subject.call("close")

    return prepare


@contextmanager
def clients(
    pair: Pair, connections: int, size: int, *, deflate: bool = False, tls: bool = False
) -> Iterator[None]:
    """Start a contender's server, and connect clients to it."""
    certificate = pair.certificate if tls else None
    port = pair.subject.call("listen", deflate=deflate, certificate=certificate)["port"]
    options = {"port": port, "size": size, "deflate": deflate, "certificate": certificate}
    pair.counterpart.call("connect", count=connections, **options)
    try:
        yield
    finally:
        pair.counterpart.call("disconnect")
        # What this takes isn't for the next work.
        pair.subject.call("disconnected")


def server_echo(
    size: int, in_flight: int = 1, *, connections: int = 1, tls: bool = False
) -> Prepare:
    """Echo messages, as a server."""

    @contextmanager
    def prepare(pair: Pair) -> Iterator[Turn]:
        def turn(count: int) -> Cpu:
            # Each connection has its turn.
            sent = max(count, connections)
            cpu = pair.measure(pair.counterpart, "echo", count=sent, in_flight=in_flight)
            return cpu / (sent / count)

        with clients(pair, connections, size, tls=tls):
            yield turn

    return prepare


def client_handshakes(*, deflate: bool = False) -> Prepare:
    """Open and close connections, as a client."""

    @contextmanager
    def prepare(pair: Pair) -> Iterator[Turn]:
        options: dict[str, object] = {"kind": "binary", "size": 16}
        if deflate:
            options["deflate"] = 1
        url = pair.url("/echo", options)
        yield lambda count: pair.measure(
            pair.subject, "handshakes", url=url, count=count, deflate=deflate
        )

    return prepare


def server_handshakes(*, deflate: bool = False) -> Prepare:
    """Open and close connections, as a server."""

    @contextmanager
    def prepare(pair: Pair) -> Iterator[Turn]:
        port = pair.subject.call("listen", deflate=deflate)["port"]
        yield lambda count: pair.measure(
            pair.counterpart, "handshakes", port=port, count=count, deflate=deflate
        )

    return prepare


def broadcast(connections: int, size: int, *, deflate: bool = False) -> Prepare:
    """Send a message to many clients, as a server."""
    message = make_payloads("json", size)[0].decode()

    @contextmanager
    def prepare(pair: Pair) -> Iterator[Turn]:
        def turn(count: int) -> Cpu:
            cpu = Cpu(0, 0)
            for _ in range(count):
                pair.counterpart.call("expect", count=connections)
                before = pair.cpu()
                pair.subject.call("broadcast", message=message)
                pair.counterpart.call("wait")
                cpu += pair.cpu() - before
            return cpu

        with clients(pair, connections, 16, deflate=deflate):
            yield turn

    return prepare


CLIENT, SERVER, MEMORY = "As a client", "As a server", "Memory"

WORKS = [
    *(
        Work(
            f"client-stream-{size}",
            CLIENT,
            f"stream of {size_name(size)}, binary, async for",
            stream("binary", size),
            full=size == 2**16,
        )
        for size in (16, 256, 2**13, 2**16, 2**20)
    ),
    Work(
        "client-stream-text-256",
        CLIENT,
        "stream of 256 B, text, async for",
        stream("text", 256),
    ),
    Work(
        "client-stream-recv-16",
        CLIENT,
        "stream of 16 B, binary, recv()",
        stream("binary", 16, method="receive"),
        full=True,
    ),
    Work(
        "client-stream-deflate",
        CLIENT,
        "stream of JSON of 1 KiB, compressed",
        stream("json", 1024, deflate=True),
        deflate=True,
    ),
    Work(
        "client-stream-tls",
        CLIENT,
        "stream of 256 B, TLS",
        stream("binary", 256, tls=True),
        without={"picows API": "2.3.1 stops reading for a minute at times, with TLS on uvloop"},
    ),
    *(
        Work(
            f"client-round-trip-{size}",
            CLIENT,
            f"round trip of {size_name(size)}, one at a time",
            client_echo(size),
            full=size != 256,
        )
        for size in (16, 256, 2**13, 2**20)
    ),
    Work(
        "client-round-trip-tls",
        CLIENT,
        "round trip of 256 B, one at a time, TLS",
        client_echo(256, tls=True),
        full=True,
    ),
    Work(
        "client-in-flight-256",
        CLIENT,
        "round trip of 256 B, 64 in flight",
        client_echo(256, 64),
    ),
    Work(
        "client-handshake",
        CLIENT,
        "opening and closing handshake",
        client_handshakes(),
    ),
    Work(
        "client-handshake-deflate",
        CLIENT,
        "opening and closing handshake, with compression",
        client_handshakes(deflate=True),
        deflate=True,
        full=True,
    ),
    *(
        Work(
            f"server-round-trip-{size}",
            SERVER,
            f"echo of {size_name(size)}, one at a time",
            server_echo(size),
            full=size != 256,
        )
        for size in (256, 2**20)
    ),
    *(
        Work(
            f"server-in-flight-{size}",
            SERVER,
            f"echo of {size_name(size)}, 64 in flight",
            server_echo(size, 64),
            full=size != 256,
        )
        for size in (16, 256, 2**13)
    ),
    Work(
        "server-in-flight-tls",
        SERVER,
        "echo of 256 B, 64 in flight, TLS",
        server_echo(256, 64, tls=True),
        full=True,
    ),
    Work(
        "server-handshake",
        SERVER,
        "opening and closing handshake",
        server_handshakes(),
    ),
    Work(
        "server-handshake-deflate",
        SERVER,
        "opening and closing handshake, with compression",
        server_handshakes(deflate=True),
        deflate=True,
        full=True,
    ),
    Work(
        "broadcast",
        SERVER,
        "broadcast of 4 KiB to 1,000 clients",
        broadcast(1000, 4096),
        limit=20,
        connections=1000,
    ),
    Work(
        "broadcast-deflate",
        SERVER,
        "broadcast of 4 KiB to 1,000 clients, compressed",
        broadcast(1000, 4096, deflate=True),
        deflate=True,
        limit=20,
        connections=1000,
    ),
    *(
        Work(
            f"server-connections-{connections}",
            SERVER,
            f"echo of 256 B, one in flight on each of {connections:,} connections",
            server_echo(256, connections=connections),
            connections=connections,
            full=connections != 1000,
        )
        for connections in (10, 100, 1000, 10000)
    ),
]
