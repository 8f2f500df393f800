"""Attacks, and what they do to a process: its memory, its time, its answer.

An attack gets a connection to the victim, and returns what the victim answered: a close code, the
status of a response, or a word. ``ATTACKS`` has all of them, each with its bound: how much more
memory the victim may take for it, in MiB. Run by the tests beside this, and by run.py.
"""

import contextlib
import dataclasses
import os
import select
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

ENDPOINT = Path(__file__).resolve().parent / "endpoint.py"

MIB = 2**20
MASK = b"\0\0\0\0"  # a mask that changes nothing: attackers are lazy
# Long, as machines are busy. run.py shortens it: other libraries don't end all of this.
TIMEOUT = 60

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"


# How long a victim that reads no more is left alone before that counts as an answer.
PATIENCE = 3


# The victim


class Victim:
    """A server or a client in a process of its own.

    Args:
        library: Its library.
        role: ``"server"`` or ``"client"``.
        mode: What it does, see endpoint.py.
        python: Python that has the library.

    """

    def __init__(self, library, role, mode="echo", python=sys.executable):
        self.library, self.role = library, role
        listener = None
        if role == "client":
            listener = socket.create_server(("127.0.0.1", 0))
            mode = str(listener.getsockname()[1])
        self.process = subprocess.Popen(
            [str(python), str(ENDPOINT), library, role, mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self.listener = listener
        if role == "server":
            line = self.process.stdout.readline()
            if not line:
                raise RuntimeError(self.process.stderr.read())
            self.port = int(line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.listener is not None:
            self.listener.close()
        self.process.kill()
        self.output, self.errors = self.process.communicate()

    def open(self, deflate=True, **options):
        """Return a socket on which the opening handshake is done, whatever the victim's role."""
        if self.role == "server":
            sock = self.connect(**options)
            sock.sendall(REQUEST + (DEFLATE if deflate else b"") + b"\r\n")
            head = read_head(sock)
            if not head.startswith(b"HTTP/1.1 101 "):
                raise ConnectionRefusedError(head.partition(b"\r\n")[0].decode())
            return sock
        sock = self.accept()
        sock.sendall(response_to(read_head(sock), deflate))
        return sock

    def connect(self, receive_buffer=None):
        """Return a new TCP connection to the victim, which is a server."""
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(TIMEOUT)
        sock.connect(("127.0.0.1", self.port))
        return sock

    def accept(self):
        """Return the TCP connection of the victim, which is a client."""
        self.listener.settimeout(TIMEOUT)
        sock, _ = self.listener.accept()
        sock.settimeout(TIMEOUT)
        return sock

    def read_status(self, name):
        """Return a line of what Linux tells of the process, in KiB."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
        raise LookupError(name)

    def memory(self):
        """Return how much memory the process takes, in MiB."""
        return self.read_status("VmRSS") / 1024

    def peak(self):
        """Return how much memory it took at most since :meth:`forget_peak`, in MiB."""
        return self.read_status("VmHWM") / 1024

    def forget_peak(self):
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def cpu(self):
        """Return how much time of the processor it took, in seconds."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self):
        """Return how many files and sockets it has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def masked(self):
        """Tell whether frames for it are masked."""
        return self.role == "server"

    def frame(self, head, payload=b""):
        """Return a frame for it."""
        return header(head, len(payload), self.masked()) + payload


def read_head(sock):
    """Return the head of a request or of a response."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        if not byte:
            break
        data += byte
    return data


def response_to(request, deflate):
    """Return the response to a request of the opening handshake."""
    import base64
    import hashlib

    (key,) = [
        line.partition(b":")[2].strip()
        for line in request.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key:")
    ]
    digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %s\r\n%s\r\n"
        % (base64.b64encode(digest), DEFLATE if deflate else b"")
    )


def header(head, size, masked):
    """Return the header of a frame."""
    bit = 0x80 if masked else 0
    if size < 126:
        data = bytes((head, bit | size))
    elif size < 65536:
        data = bytes((head, bit | 126)) + size.to_bytes(2, "big")
    else:
        data = bytes((head, bit | 127)) + size.to_bytes(8, "big")
    return data + MASK if masked else data


def deflated(size):
    """Return the payload of a compressed message of zeros, without keeping that."""
    compressor = zlib.compressobj(9, wbits=-15)
    pieces = [compressor.compress(bytes(MIB)) for _ in range(size // MIB)]
    pieces += [compressor.compress(bytes(size % MIB)), compressor.flush(zlib.Z_SYNC_FLUSH)]
    return b"".join(pieces)[:-4]


def pour(sock, chunk, size, patience=None):
    """Send a chunk over and over, without reading anything.

    Args:
        chunk: The chunk.
        size: How many bytes to send.
        patience: How long to wait for a victim that reads no more, in seconds; as long as for
            anything else, where it is to end the connection.

    Returns:
        How many bytes it took.

    """
    sock.settimeout(TIMEOUT if patience is None else patience)
    sent = 0
    view = memoryview(chunk)
    try:
        while sent < size:
            sent += sock.send(view[sent % len(chunk) :])
    except OSError:
        # It reads no more, or has closed the connection.
        pass
    sock.settimeout(TIMEOUT)
    return sent


def read_answer(sock, wait=None):
    """Return how the victim ended the connection.

    Returns:
        A close code; ``"reset"`` or ``"closed"`` if there was none; ``"open"`` if it lasts.

    """
    sock.settimeout(TIMEOUT if wait is None else wait)
    data = b""
    try:
        while True:
            # All it sends is small or skipped: frames that aren't a close frame.
            while len(data) >= 2:
                size, start = data[1] & 127, 2
                masked = data[1] >> 7
                if size > 125:
                    start = 4 if size == 126 else 10
                    size = int.from_bytes(data[2:start], "big")
                start += 4 * masked
                if len(data) < start + size:
                    break
                if data[0] == 0x88:
                    payload = data[start : start + size]
                    if masked:
                        mask = data[start - 4 : start]
                        payload = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
                    return int.from_bytes(payload[:2], "big")
                data = data[start + size :]
            received = sock.recv(65536)
            if not received:
                return "closed"
            data += received
    except TimeoutError:
        return "open"
    except OSError:
        return "reset"


def read_status(sock):
    """Return the status of the response, or ``"closed"`` if there is none."""
    sock.settimeout(TIMEOUT)
    try:
        head = read_head(sock)
    except OSError:
        return "closed"
    return int(head.split()[1]) if head.startswith(b"HTTP/1.1 ") else "closed"


# The attacks


@dataclasses.dataclass(frozen=True)
class Attack:
    """An attack.

    Attributes:
        name: What it is, in the table.
        run: Performs it on a :class:`Victim`, and returns what was sent and what was answered.
        bound: How much more memory the victim may take, in MiB.
        answers: What our own answer may be.
        role: Role of the victim.
        mode: What a server does, see endpoint.py.
        size: What is sent at most, in bytes, or how many connections.
        quick: The same, for tests.
        quick_for: Libraries of ours that it is a test for, and not only a measurement. Where the
            work is the same in the protocol of all, and takes long, one is enough.

    """

    name: str
    run: Callable[["Victim", int], tuple[int, object]]
    bound: float
    answers: tuple[object, ...]
    role: str
    mode: str = "echo"
    size: int = 2**26
    quick: int = 2**25
    quick_for: tuple[str, ...] = ("ws-asyncio", "ws-legacy")


def flood_with_pings(victim, size):
    """Pings with 125 bytes; pongs are never read."""
    with victim.open() as sock:
        chunk = victim.frame(0x89, bytes(125)) * 2000
        sent = pour(sock, chunk, size, PATIENCE)
        measure(victim)
        return sent, "open" if sent >= size else "blocked"


def send_empty_fragments(victim, size):
    """A message of empty fragments that doesn't end."""
    with victim.open() as sock:
        sock.sendall(victim.frame(0x02))
        sent = pour(sock, victim.frame(0x00) * 20000, size)
        return sent, read_answer(sock)


def send_tiny_fragments(victim, size):
    """A message of fragments of one byte that doesn't end."""
    with victim.open() as sock:
        sock.sendall(victim.frame(0x02))
        sent = pour(sock, victim.frame(0x00, b"a") * 20000, size)
        return sent, read_answer(sock)


def send_bomb(victim, size):
    """One compressed message that inflates to a thousand times its size."""
    with victim.open() as sock:
        frame = victim.frame(0xC2, deflated(size * 16))
        sent = pour(sock, frame, len(frame))
        return sent, read_answer(sock)


def send_bomb_in_fragments(victim, size):
    """The same in fragments of 100 bytes."""
    with victim.open() as sock:
        data = deflated(size * 16)
        pieces = [data[pos : pos + 100] for pos in range(0, len(data), 100)]
        frames = [victim.frame(0x42, pieces[0])]
        frames += [victim.frame(0x00, piece) for piece in pieces[1:]]
        wire = b"".join(frames)
        sent = pour(sock, wire, len(wire))
        return sent, read_answer(sock)


def send_many_bombs(victim, size):
    """Messages that inflate to 1 MB each, to one who receives nothing: they are allowed."""
    with victim.open() as sock:
        # Each for itself: so they can be repeated.
        frame = victim.frame(0xC2, deflated(10**6))
        chunk = frame * 250
        sent = pour(sock, chunk, size, PATIENCE)
        measure(victim)
        return sent, "open" if sent >= size else "blocked"


def declare_length(victim, _):
    """A frame whose header says 2^63 - 1 bytes."""
    with victim.open(deflate=False) as sock:
        sock.sendall(header(0x82, 2**63 - 1, victim.masked()) + bytes(1000))
        return 1014, read_answer(sock)


def declare_impossible_length(victim, _):
    """A frame whose header says 2^63 bytes."""
    with victim.open(deflate=False) as sock:
        sock.sendall(header(0x82, 2**63, victim.masked()) + bytes(1000))
        return 1014, read_answer(sock)


def send_huge_header(victim, size):
    """A request, or a response, with one header that doesn't end."""
    if victim.role == "server":
        sock, start = victim.connect(), REQUEST
    else:
        sock, start = victim.accept(), b"HTTP/1.1 101 Switching Protocols\r\n"
    with sock:
        sock.sendall(start + b"X: ")
        sent = pour(sock, b"a" * 65536, size)
        return sent, read_status(sock) if victim.role == "server" else read_answer(sock)


def send_many_headers(victim, size):
    """A request, or a response, with headers that don't end."""
    if victim.role == "server":
        sock, start = victim.connect(), REQUEST
    else:
        sock, start = victim.accept(), b"HTTP/1.1 101 Switching Protocols\r\n"
    with sock:
        sock.sendall(start)
        sent = pour(sock, b"X: a\r\n" * 10000, size)
        return sent, read_status(sock) if victim.role == "server" else read_answer(sock)


def send_request_byte_by_byte(victim, size):
    """Requests, a byte at a time, which take longer than the opening handshake may."""
    with victim.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sent = 0
        deadline = time.monotonic() + TIMEOUT
        with contextlib.suppress(OSError):
            for byte in REQUEST + b"X: " + b"a" * 5000:
                sock.sendall(bytes((byte,)))
                sent += 1
                readable, _, _ = select.select([sock], [], [], 0.01)
                if readable or time.monotonic() > deadline:
                    break
        return sent, read_answer(sock, 1)


def leave_handshakes_open(victim, count):
    """Connections that say nothing: the answer is how many are left after 4 seconds."""
    before = victim.descriptors()
    socks = []
    try:
        for _ in range(count):
            with contextlib.suppress(OSError):
                socks.append(victim.connect())
        measure(victim)
        deadline = time.monotonic() + 2 * TIMEOUT
        while victim.descriptors() > before and time.monotonic() < deadline:
            if time.monotonic() > deadline - 2 * TIMEOUT + 4 and victim.library == "aiohttp":
                break
            time.sleep(0.1)
        left = victim.descriptors() - before
        return len(socks), f"{left} left" if left > 0 else "none left"
    finally:
        for sock in socks:
            sock.close()


def never_read_echoes(victim, size):
    """Messages of 64 KiB whose echoes are never read."""
    with victim.open(deflate=False, **_small_buffer(victim)) as sock:
        sent = pour(sock, victim.frame(0x82, bytes(65536)) * 8, size, PATIENCE)
        measure(victim)
        return sent, "open" if sent >= size else "blocked"


def never_read_broadcasts(victim, seconds):
    """A client that never reads what is broadcast to it, for so many seconds."""
    with victim.open(deflate=False, **_small_buffer(victim)) as sock:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(0.1)
        measure(victim)
        return seconds, read_answer(sock)


def _small_buffer(victim):
    return {"receive_buffer": 4096} if victim.role == "server" else {}


def measure(victim):
    """Let the victim take in what was sent, before its connection is closed."""
    spent = -1.0
    deadline = time.monotonic() + TIMEOUT
    while victim.cpu() != spent and time.monotonic() < deadline:
        spent = victim.cpu()
        time.sleep(0.1)


# What is said of memory: an idle interpreter's own changes by a few MiB. What else is allowed is
# max_queue + 1 messages of max_size for one who receives nothing, and what is decoded with them.
SMALL = 8
QUEUE = 48

ATTACKS = [
    Attack("ping flood, pongs never read", flood_with_pings, SMALL, ("open", "blocked"), role)
    for role in ("server", "client")
]
for _role, _empty, _tiny in (
    # A million frames take seconds.
    ("server", (), ("ws-asyncio",)),
    ("client", ("ws-legacy",), ()),
):
    ATTACKS += [
        Attack(
            *("empty fragments without end", send_empty_fragments, SMALL, (1009, "reset"), _role),
            quick=2**23,
            quick_for=_empty,
        ),
        Attack(
            *("fragments of one byte", send_tiny_fragments, SMALL, (1009, "reset"), _role),
            quick=2**23,
            quick_for=_tiny,
        ),
        Attack(
            *("decompression bomb", send_bomb, SMALL, (1009, "reset"), _role),
            size=2**26,
            quick=2**23,
        ),
        Attack(
            *("decompression bomb in fragments", send_bomb_in_fragments, SMALL),
            *((1009, "reset"), _role),
            size=2**26,
            quick=2**23,
        ),
        Attack("declared length of 2^63 - 1", declare_length, SMALL, (1009,), _role),
        Attack("declared length of 2^63", declare_impossible_length, SMALL, (1002,), _role),
        Attack("header without end", send_huge_header, SMALL, (431, "closed", "reset"), _role),
        Attack("headers without end", send_many_headers, SMALL, (431, "closed", "reset"), _role),
    ]
ATTACKS += [
    Attack(
        *("messages that inflate to 1 MB, to one who is deaf", send_many_bombs, QUEUE),
        *(("blocked",), "server", "deaf"),
    ),
    Attack(
        *("request a byte at a time", send_request_byte_by_byte, SMALL),
        *(("closed", "reset"), "server"),
    ),
    Attack(
        *("half-open handshakes", leave_handshakes_open, 16, ("none left",), "server"),
        size=4000,
        quick=500,
    ),
    Attack(
        *("half-open handshakes, with limits", leave_handshakes_open, SMALL, ("none left",)),
        *("server", "busy"),
        size=4000,
        quick=500,
        quick_for=("ws-asyncio",),
    ),
    Attack(
        *("echoes of 64 KiB never read", never_read_echoes, SMALL, ("blocked",), "server"),
    ),
    Attack(
        *("broadcasts of 16 KiB never read", never_read_broadcasts, SMALL),
        *((1008, "reset", "closed", "open"), "server", "broadcast"),
        size=10,
        quick=3,
    ),
]


@dataclasses.dataclass(frozen=True)
class Result:
    """What an attack did.

    Attributes:
        sent: What was sent, in bytes, or how many connections or seconds.
        answer: What was answered.
        grown: How much more memory the victim took at most, in MiB.
        cpu: How much time of the processor, in seconds.
        errors: What it wrote to standard error.

    """

    sent: int
    answer: object
    grown: float
    cpu: float
    errors: str


def perform(attack, library, size, python=sys.executable):
    """Perform an attack on a library."""
    with Victim(library, attack.role, attack.mode, python) as victim:
        if attack.role == "server":
            # What is imported late isn't the attack's.
            with victim.open() as sock:
                sock.sendall(victim.frame(0x81, b"hello"))
                sock.sendall(victim.frame(0x88, b"\x03\xe8"))
                read_answer(sock, 1 if attack.mode != "echo" else None)
        else:
            # A client is ready once it connects, which it does when it has imported all.
            select.select([victim.listener], [], [], TIMEOUT)
        before, cpu = victim.memory(), victim.cpu()
        victim.forget_peak()
        try:
            sent, answer = attack.run(victim, size)
        except ConnectionError as exc:
            sent, answer = 0, str(exc)
        if victim.process.poll() is None:
            result = victim.peak() - before, victim.cpu() - cpu
        else:
            result = 0.0, 0.0
    return Result(sent, answer, max(0.0, result[0]), result[1], victim.errors)
