"""Masking of payloads from client to server (RFC 6455, section 5.3)."""

from __future__ import annotations

import collections
import os

from .kernel import apply_mask

__all__ = ["apply_mask", "new_mask"]


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
