import itertools
import os
import subprocess
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ws_protocol.masking import apply_mask, new_mask

MASK = b"\x01\x80\xff\x5a"


def mask_naively(data, mask):
    """Mask as RFC 6455, section 5.3, puts it."""
    return bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))


def test_masking_is_the_one_of_the_rfc():
    # RFC 6455, section 5.7: a single-frame masked text message.
    assert apply_mask(b"Hello", b"\x37\xfa\x21\x3d") == b"\x7f\x9f\x4d\x51\x58"


@pytest.mark.parametrize("size", [*range(70), 125, 126, 1000, 65535, 65536, 100_001])
def test_masking_gives_what_a_naive_loop_gives(size):
    data = bytes(i % 253 for i in range(size))
    assert apply_mask(data, MASK) == mask_naively(data, MASK)


@pytest.mark.slow
@settings(deadline=None)
@given(st.binary(max_size=200), st.binary(min_size=4, max_size=4))
def test_masking_any_data_gives_what_a_naive_loop_gives_and_can_be_taken_off(data, mask):
    masked = apply_mask(data, mask)
    assert masked == mask_naively(data, mask)
    assert apply_mask(masked, mask) == data


@pytest.mark.parametrize("mask", [bytes(4), b"\xff" * 4, b"\0\0\0\1", b"\1\0\0\0"])
@pytest.mark.parametrize("data", [bytes(9), b"\xff" * 9, b"\0\0\0\0\xff", b"\xff\0\0\0\0"])
def test_masking_keeps_zeros_at_both_ends(data, mask):
    assert apply_mask(data, mask) == mask_naively(data, mask)


@pytest.mark.parametrize("wrap_mask", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("wrap_data", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("data", [b"", b"Hello, world!"])
def test_masking_takes_anything_bytes_like_and_returns_bytes(data, wrap_data, wrap_mask):
    masked = apply_mask(wrap_data(data), wrap_mask(MASK))
    assert type(masked) is bytes
    assert masked == mask_naively(data, MASK)


def test_masking_does_not_change_its_arguments():
    data, mask = bytearray(b"Hello"), bytearray(MASK)
    apply_mask(data, mask)
    assert data == b"Hello"
    assert mask == MASK


@pytest.mark.parametrize("mask", [b"", b"\1", b"\1\2\3", b"\1\2\3\4\5"])
@pytest.mark.parametrize("data", [b"", b"Hello"])
def test_masking_needs_four_bytes_of_mask(data, mask):
    with pytest.raises(ValueError, match="mask must contain 4 bytes"):
        apply_mask(data, mask)


@pytest.mark.parametrize("data, mask", [("Hello", MASK), (None, MASK), (b"Hello", None)])
def test_masking_refuses_what_is_not_bytes_like(data, mask):
    with pytest.raises(TypeError):
        apply_mask(data, mask)


class Drained(Exception):
    pass


@pytest.fixture
def randomness(monkeypatch):
    """Replace the system's randomness by consecutive numbers of four bytes, from 1 on."""
    numbers = itertools.count(1)
    lock = threading.Lock()

    def drained(size):
        raise Drained

    def urandom(size):
        assert size % 4 == 0
        with lock:
            return b"".join(next(numbers).to_bytes(4, "big") for _ in range(size // 4))

    def drain():
        with monkeypatch.context() as context:
            context.setattr(os, "urandom", drained)
            with pytest.raises(Drained):
                while True:
                    new_mask()

    drain()
    monkeypatch.setattr(os, "urandom", urandom)
    yield
    # Keys that can be foreseen must not be left for others.
    drain()


def test_masking_key_has_four_bytes():
    mask = new_mask()
    assert type(mask) is bytes
    assert len(mask) == 4


@pytest.mark.usefixtures("randomness")
def test_masking_keys_are_the_randomness_of_the_system_each_byte_used_once():
    masks = [new_mask() for _ in range(5000)]
    assert masks == [number.to_bytes(4, "big") for number in range(1, 5001)]


@pytest.mark.usefixtures("randomness")
def test_threads_never_get_the_same_masking_key():
    number_of_threads, draws = 8, 3000
    barrier = threading.Barrier(number_of_threads)
    masks = []

    def draw():
        barrier.wait()
        masks.extend([new_mask() for _ in range(draws)])

    threads = [threading.Thread(target=draw) for _ in range(number_of_threads)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # so that threads do come between each other
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert len(masks) == number_of_threads * draws
    assert len(set(masks)) == len(masks)


# In a process of its own: forking one that has threads isn't safe.
FORK = """
import os
from ws_protocol.masking import new_mask

new_mask()
reading, writing = os.pipe()
pid = os.fork()
masks = b"".join(new_mask() for _ in range(50))
if pid == 0:
    os.write(writing, masks)
    os._exit(0)
os.waitpid(pid, 0)
print(masks.hex(), os.read(reading, 1000).hex())
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this platform")
def test_forked_process_has_masking_keys_of_its_own():
    result = subprocess.run([sys.executable, "-c", FORK], capture_output=True, check=True)
    parent, child = (bytes.fromhex(masks) for masks in result.stdout.decode().split())
    assert len(parent) == len(child) == 200
    # Not even one that happens to come later.
    assert not (
        {parent[i : i + 4] for i in range(0, 200, 4)} & {child[i : i + 4] for i in range(0, 200, 4)}
    )
