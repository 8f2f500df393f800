import contextlib
import dataclasses
import gc
import itertools
import os
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest
from hypothesis import HealthCheck, settings

from ws_protocol.buffers import keep_memory
from ws_protocol.protocol import SEND_EOF, Protocol, Side

# Machines are slow at times, which says nothing about the code. Every run has the same examples,
# but those by hand for which EXAMPLES says how many there are.
settings.register_profile(
    "ws-protocol",
    deadline=None,
    derandomize="EXAMPLES" not in os.environ,
    max_examples=int(os.environ.get("EXAMPLES", "100")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ws-protocol")

WireFrame: TypeAlias = tuple[int, bytes]
"""The first byte of a frame, and its payload, unmasked."""


@pytest.fixture(params=list(Side), ids=lambda side: side.name.lower())
def side(request: pytest.FixtureRequest) -> Side:
    return request.param


@dataclasses.dataclass
class Way:
    """A way for bytes to arrive."""

    name: str

    @property
    def trailing(self) -> bool:
        """Whether other bytes come in the same chunk."""
        return self.name == "with trailing data"

    def chunks(self, data: bytes, trailing: bytes) -> Iterator[bytes]:
        if self.name == "whole":
            yield data
        elif self.name == "byte by byte":
            for i in range(len(data)):
                yield data[i : i + 1]
        else:
            yield data + trailing


@pytest.fixture(params=["whole", "byte by byte", "with trailing data"])
def way(request: pytest.FixtureRequest) -> Way:
    """The three ways in which everything that can be parsed arrives."""
    return Way(request.param)


def parse_frames(data: bytes, masked: bool) -> Iterator[WireFrame]:
    """Parse valid frames, independently of the code under test."""
    while data:
        length, data, head = data[1] & 0x7F, data[2:], data[:2]
        assert bool(head[1] & 0x80) is masked
        if length > 125:
            size = 2 if length == 126 else 8
            length, data = int.from_bytes(data[:size], "big"), data[size:]
        key = bytes(4)
        if masked:
            key, data = data[:4], data[4:]
        assert len(data) >= length
        yield head[0], bytes(a ^ b for a, b in zip(data[:length], itertools.cycle(key)))
        data = data[length:]


@pytest.fixture(scope="session")
def sent() -> Callable[[Protocol], list[WireFrame | bytes]]:
    """What a protocol has to send: the frames, and SEND_EOF."""

    def sent(protocol: Protocol) -> list[WireFrame | bytes]:
        writes = protocol.data_to_send()
        ended = writes[-1:] == [SEND_EOF]
        assert SEND_EOF not in (writes[:-1] if ended else writes)
        frames = parse_frames(b"".join(writes), masked=protocol.side is Side.CLIENT)
        return [*frames, SEND_EOF] if ended else [*frames]

    return sent


@pytest.fixture
def without_gc() -> Iterator[None]:
    """Run a test without the garbage collector."""
    if sys.implementation.name != "cpython":
        pytest.skip("only CPython counts references, and frees what has none at once")
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.fixture
def freed(without_gc: None) -> Callable[[Callable[[], Protocol]], bool]:
    """Whether a protocol that a function makes is freed without the garbage collector."""

    def freed(make: Callable[[], Protocol]) -> bool:
        return weakref.ref(make())() is None

    return freed


@pytest.fixture
def traced() -> Callable[[], contextlib.AbstractContextManager[Callable[[], tuple[int, int]]]]:
    """A context manager that gives a function: how much memory was allocated in it, and the peak,
    in bytes."""
    tracemalloc = pytest.importorskip("tracemalloc", reason="memory can't be traced here")

    @contextlib.contextmanager
    def traced() -> Iterator[Callable[[], tuple[int, int]]]:
        # What is done once in a process isn't what anybody measures.
        keep_memory()
        tracemalloc.start()
        try:
            yield tracemalloc.get_traced_memory
        finally:
            tracemalloc.stop()

    return traced
