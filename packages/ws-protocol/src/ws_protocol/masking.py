"""Masking of payloads from client to server (RFC 6455, section 5.3)."""

from __future__ import annotations

import collections
import os

from .typing import BytesLike

__all__ = ["apply_mask", "new_mask"]


def apply_mask(data: BytesLike, mask: BytesLike) -> bytes:
    """Mask or unmask a payload: XOR it with the masking key, over and over.

    Args:
        data: The payload.
        mask: The masking key, 4 bytes.

    Raises:
        ValueError: The masking key hasn't 4 bytes.

    """
    if len(mask) != 4:
        raise ValueError("mask must contain 4 bytes")
    size = len(data)
    # Integers of any size have a XOR that runs at the speed of memory. Loops over bytes, slices
    # with a step of 4 and translate() were all slower.
    repeated = (bytes(mask) * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(repeated, "little")).to_bytes(
        size, "little"
    )


# Masking keys must be unpredictable (RFC 6455, section 10.3), and so come from the operating
# system. A system call for each frame costs more than the rest of building a small frame, hence
# many keys at once. A deque, because threads may take from it at the same time: popleft() never
# gives two of them the same key.
_KEYS_AT_ONCE = 1024
_masks: collections.deque[bytes] = collections.deque()


def new_mask() -> bytes:
    """Return a masking key that was never used before: 4 bytes of the system's randomness."""
    while True:
        try:
            return _masks.popleft()
        except IndexError:
            randomness = os.urandom(4 * _KEYS_AT_ONCE)
            _masks.extend([randomness[i : i + 4] for i in range(0, len(randomness), 4)])


# Else the child of a fork would use the same keys as its parent.
if hasattr(os, "register_at_fork"):  # pragma: no branch  # there is no fork on Windows
    os.register_at_fork(after_in_child=_masks.clear)
