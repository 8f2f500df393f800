"""Attacks on servers and clients in processes of their own, whose memory is measured.

``nox -s attacks`` performs them with all their might, and on other libraries, too.
"""

import sys
import time

import pytest
from abuse import ATTACKS, MIB, REQUEST, TIMEOUT, Victim, perform, read_answer, read_status

LIBRARIES = ["ws-asyncio", "ws-legacy"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc"),
    pytest.mark.skipif(
        sys.version_info < (3, 13), reason="takes long, and is the same on every Python"
    ),
]


@pytest.mark.parametrize(
    "attack, library",
    [
        pytest.param(attack, library, id=f"{library} {attack.role}: {attack.name}")
        for attack in ATTACKS
        for library in LIBRARIES
        if library in attack.quick_for
    ],
)
def test_attack(attack, library):
    result = perform(attack, library, attack.quick)
    assert result.answer in attack.answers
    assert result.sent > 0
    assert result.grown <= attack.bound, f"{result.grown:.1f} MiB"


def test_handshakes_in_progress_are_limited():
    with Victim("ws-asyncio", "server", "busy") as victim:
        before = victim.descriptors()
        socks = [victim.connect() for _ in range(50)]
        with victim.connect() as sock:
            sock.sendall(REQUEST + b"\r\n")
            assert read_status(sock) == 503
        # They are refused or dropped. Those who go away make room.
        more = [victim.connect() for _ in range(300)]
        assert {read_status(sock) for sock in more} <= {503, "closed"}
        for sock in socks + more:
            sock.close()
        deadline = time.monotonic() + TIMEOUT
        while victim.descriptors() > before:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with victim.open() as sock:
            sock.sendall(victim.frame(0x88, b"\x03\xe8"))
            assert read_answer(sock) == 1000


@pytest.mark.parametrize("library", LIBRARIES)
def test_server_outlives_nonsense(library):
    with Victim(library, "server") as victim:
        for data in [b"\0" * 1000, b"\xff" * 1000, b"\r\n" * 1000, b"GET\r\n\r\n", b"{" * MIB]:
            with victim.connect() as sock:
                sock.sendall(data)
                assert read_status(sock) in (400, 414, 431, 505, "closed")
        for data in [b"\0" * 1000, b"\xff" * 1000, b"\x88\x80" + bytes(4), b"\x81\x05hello"]:
            with victim.open() as sock:
                sock.sendall(data)
                assert read_answer(sock) in (1002, 1005, 0, "reset", "closed")
        with victim.open() as sock:
            sock.settimeout(TIMEOUT)
            sock.sendall(victim.frame(0x81, b"still there"))
            assert sock.recv(100)
