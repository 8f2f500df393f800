"""What is measured: contenders do something so many times, and tell the CPU time of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from payloads import make_payloads
from processes import Process


@dataclasses.dataclass(frozen=True)
class Setting:
    """What works need.

    Attributes:
        counterpart: The other side.
        port: Port of its server.
        tls_port: Port of its server with TLS.
        certificate: Path of its certificate and key, which contenders use, too.

    """

    counterpart: Process
    port: int
    tls_port: int
    certificate: str


@dataclasses.dataclass(frozen=True)
class Work:
    """A work.

    Attributes:
        name: Name, unique.
        group: Heading that it stands under.
        title: What it is.
        run: Called with setting and process of a contender: a generator that is sent how many times
            to do it, and yields the CPU time in seconds. The first value, before the first count,
            is :obj:`None`.
        client: Whether the contender is the client.
        deflate: Whether it needs compression.
        without: Names of contenders that don't do it.
        limit: How many times to do it at most, in a round.
        full: Whether it is left out in the quick mode.

    """

    name: str
    group: str
    title: str
    run: Callable[[Setting, Process], Iterator[Any]]
    client: bool
    deflate: bool = False
    without: tuple[str, ...] = ("bare TCP",)
    limit: int = 10**6
    full: bool = False


def size_name(size: int) -> str:
    """Return a size for people."""
    if size >= 2**20:
        return f"{size >> 20} MiB"
    return f"{size >> 10} KiB" if size >= 2**10 else f"{size} B"


def stream(kind: str, size: int, *, deflate: bool = False, tls: bool = False, method="stream"):
    """Receive a stream of messages, as a client."""

    def run(setting: Setting, subject: Process):
        scheme, port = ("wss", setting.tls_port) if tls else ("ws", setting.port)
        count = yield None
        while True:
            # How many messages come is part of the path.
            url = f"{scheme}://127.0.0.1:{port}/stream?kind={kind}&size={size}&count={count}"
            url += f"&deflate={int(deflate)}"
            subject.call("open", url=url, size=16, deflate=deflate, certificate=setting.certificate)
            result = subject.call("run", work=method, count=count)
            subject.call("close")
            count = yield result["cpu"]

    return run


def client_echo(size: int, in_flight: int | None, *, tls: bool = False):
    """Send messages and receive them, as a client."""

    def run(setting: Setting, subject: Process):
        scheme, port = ("wss", setting.tls_port) if tls else ("ws", setting.port)
        url = f"{scheme}://127.0.0.1:{port}/echo?size={size}"
        subject.call("open", url=url, size=size, certificate=setting.certificate)
        try:
            cpu = None
            while True:
                count = yield cpu
                if in_flight is None:
                    result = subject.call("run", work="round_trips", count=count)
                else:
                    count = max(count, in_flight)
                    result = subject.call("run", work="in_flight", count=count, in_flight=in_flight)
                cpu = result["cpu"]
        finally:
            subject.call("close")

    return run


def server_echo(
    size: int, in_flight: int, *, connections: int = 1, deflate: bool = False, tls: bool = False
):
    """Echo messages, as a server."""

    def run(setting: Setting, subject: Process):
        certificate = setting.certificate if tls else None
        port = subject.call("listen", deflate=deflate, certificate=certificate)["port"]
        setting.counterpart.call(
            "connect",
            port=port,
            count=connections,
            size=size,
            deflate=deflate,
            certificate=certificate,
        )
        try:
            cpu = None
            while True:
                count = yield cpu
                start = subject.call("cpu")["cpu"]
                # Each connection has its turn.
                sent = max(count, connections)
                setting.counterpart.call("echo", port=port, count=sent, in_flight=in_flight)
                cpu = (subject.call("cpu")["cpu"] - start) * count / sent
        finally:
            setting.counterpart.call("close", port=port)

    return run


def client_handshakes(deflate: bool):
    """Open and close connections, as a client."""

    def run(setting: Setting, subject: Process):
        url = f"ws://127.0.0.1:{setting.port}/echo?size=16&deflate={int(deflate)}"
        count = yield None
        while True:
            result = subject.call("handshakes", url=url, count=count, deflate=deflate)
            count = yield result["cpu"]

    return run


def server_handshakes(deflate: bool):
    """Open and close connections, as a server."""

    def run(setting: Setting, subject: Process):
        port = subject.call("listen", deflate=deflate)["port"]
        count = yield None
        while True:
            start = subject.call("cpu")["cpu"]
            setting.counterpart.call("handshakes", port=port, count=count, deflate=deflate)
            count = yield subject.call("cpu")["cpu"] - start

    return run


def broadcast(connections: int, size: int, deflate: bool):
    """Send a message to many clients, as a server."""
    message = make_payloads("json", size)[0].decode()

    def run(setting: Setting, subject: Process):
        port = subject.call("listen", deflate=deflate)["port"]
        setting.counterpart.call(
            "connect", port=port, count=connections, size=16, deflate=deflate, certificate=None
        )
        try:
            cpu = None
            while True:
                count = yield cpu
                cpu = 0.0
                for _ in range(count):
                    setting.counterpart.call("expect", port=port, count=connections)
                    start = subject.call("cpu")["cpu"]
                    subject.call("broadcast", message=message)
                    setting.counterpart.call("wait", port=port)
                    cpu += subject.call("cpu")["cpu"] - start
        finally:
            setting.counterpart.call("close", port=port)

    return run


CLIENT, SERVER = "As a client", "As a server"

WORKS = [
    *(
        Work(
            f"client-stream-{size}",
            CLIENT,
            f"stream of {size_name(size)}, binary, async for",
            stream("binary", size),
            client=True,
            full=size in (2**16,),
        )
        for size in (16, 256, 2**13, 2**16, 2**20)
    ),
    Work(
        "client-stream-text-256",
        CLIENT,
        "stream of 256 B, text, async for",
        stream("text", 256),
        client=True,
    ),
    Work(
        "client-stream-recv-16",
        CLIENT,
        "stream of 16 B, binary, recv()",
        stream("binary", 16, method="receive"),
        client=True,
        full=True,
    ),
    Work(
        "client-stream-deflate",
        CLIENT,
        "stream of JSON of 1 KiB, compressed",
        stream("json", 1024, deflate=True),
        client=True,
        deflate=True,
    ),
    Work(
        "client-stream-tls",
        CLIENT,
        "stream of 256 B, TLS",
        stream("binary", 256, tls=True),
        client=True,
        # Version 2.3.1 of its API doesn't go on reading, with TLS on uvloop.
        without=("bare TCP", "picows API"),
    ),
    *(
        Work(
            f"client-round-trip-{size}",
            CLIENT,
            f"round trip of {size_name(size)}, one at a time",
            client_echo(size, None),
            client=True,
            without=() if size == 256 else ("bare TCP",),
            full=size != 256,
        )
        for size in (16, 256, 2**13)
    ),
    Work(
        "client-in-flight-256",
        CLIENT,
        "round trip of 256 B, 64 in flight",
        client_echo(256, 64),
        client=True,
    ),
    Work(
        "client-round-trip-tls",
        CLIENT,
        "round trip of 256 B, TLS",
        client_echo(256, None, tls=True),
        client=True,
        full=True,
    ),
    Work(
        "client-handshake",
        CLIENT,
        "opening and closing handshake",
        client_handshakes(False),
        client=True,
    ),
    Work(
        "server-round-trip-256",
        SERVER,
        "echo of 256 B, one at a time",
        server_echo(256, 1),
        client=False,
    ),
    *(
        Work(
            f"server-in-flight-{size}",
            SERVER,
            f"echo of {size_name(size)}, 64 in flight",
            server_echo(size, 64),
            client=False,
            full=size != 256,
        )
        for size in (16, 256, 2**13)
    ),
    Work(
        "server-in-flight-tls",
        SERVER,
        "echo of 256 B, 64 in flight, TLS",
        server_echo(256, 64, tls=True),
        client=False,
        full=True,
    ),
    Work(
        "server-handshake",
        SERVER,
        "opening and closing handshake",
        server_handshakes(False),
        client=False,
    ),
    Work(
        "server-handshake-deflate",
        SERVER,
        "the same, with compression",
        server_handshakes(True),
        client=False,
        deflate=True,
        full=True,
    ),
    Work(
        "broadcast",
        SERVER,
        "broadcast of 4 KiB to 1,000 clients",
        broadcast(1000, 4096, False),
        client=False,
        limit=20,
    ),
    Work(
        "broadcast-deflate",
        SERVER,
        "the same, compressed",
        broadcast(1000, 4096, True),
        client=False,
        deflate=True,
        limit=20,
    ),
    *(
        Work(
            f"server-connections-{connections}",
            SERVER,
            f"echo of 256 B, one in flight on each of {connections:,} connections",
            server_echo(256, 1, connections=connections),
            client=False,
            full=connections != 1000,
        )
        for connections in (10, 100, 1000, 8000)
    ),
]
