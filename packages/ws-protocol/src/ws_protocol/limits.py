"""Every limit on what a peer may make this side hold or do, with its default.

A limit that an environment variable sets is read once, when this module is imported. Limits of one
connection are arguments instead: ``max_size`` of the protocol, ``max_queue`` and ``write_limit``
of the ways of doing I/O.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

__all__ = [
    "BACKOFF_FACTOR",
    "BACKOFF_INITIAL_DELAY",
    "BACKOFF_MAX_DELAY",
    "BACKOFF_MIN_DELAY",
    "MAX_BODY_SIZE",
    "MAX_EARLY_DATA",
    "MAX_FRAGMENTS",
    "MAX_HEAD_SIZE",
    "MAX_KEEPALIVE_PINGS",
    "MAX_LINE_LENGTH",
    "MAX_LOG_SIZE",
    "MAX_NUM_HEADERS",
    "MAX_REDIRECTS",
    "MAX_REFUSED",
    "MAX_SIZE",
    "MAX_UNSENT_PONGS",
    "MIN_CONNECTION_LIFE",
    "RETRY_AFTER",
]

Number = TypeVar("Number", int, float)


def read_environment(name: str, default: Number, parse: Callable[[str], Number]) -> Number:
    """Return the value of an environment variable.

    Args:
        name: The variable.
        default: What holds when the variable is not set.
        parse: :class:`int` or :class:`float`.

    Raises:
        ValueError: The variable is set, and not to a number of at least 0.

    """
    text = os.environ.get(name)
    if text is None:
        return default
    try:
        value = parse(text)
        if value >= 0:  # which is false for nan
            return value
    except ValueError:
        pass
    kind = "an integer" if parse is int else "a number"
    raise ValueError(f"environment variable {name} must be {kind} of at least 0, got {text!r}")


MAX_SIZE = 2**20
"""Payload of a message after decompression, in bytes. The default of the public ``websockets``
library."""

MAX_FRAGMENTS = read_environment("WEBSOCKETS_MAX_FRAGMENTS", 2**20, int)
"""Frames of one message. Fragments are joined as they arrive, so that many small ones cost no more
memory than one large one, and a message of :data:`MAX_SIZE` may come a byte at a time. What this
limit stops is a message of empty fragments that never ends."""

MAX_LINE_LENGTH = read_environment("WEBSOCKETS_MAX_LINE_LENGTH", 8192, int)
"""Line of the opening handshake, in bytes. The default of nginx and of Apache's httpd."""

MAX_NUM_HEADERS = read_environment("WEBSOCKETS_MAX_NUM_HEADERS", 128, int)
"""Header fields of one message of the opening handshake."""

MAX_HEAD_SIZE = read_environment("WEBSOCKETS_MAX_HEAD_SIZE", 2**17, int)
"""Start line and header fields of one message of the opening handshake together, in bytes. Without
it, :data:`MAX_NUM_HEADERS` lines of :data:`MAX_LINE_LENGTH` would make 1 MiB."""

MAX_BODY_SIZE = read_environment("WEBSOCKETS_MAX_BODY_SIZE", 2**20, int)
"""Body of a response that refuses the opening handshake, in bytes."""

MAX_EARLY_DATA = 2**16
"""What a client may send after its request before the server has answered it, in bytes. RFC 6455,
section 4.1 says it must wait; some do not."""

MAX_UNSENT_PONGS = 16
"""Pongs that wait to be sent. Past this, only the latest ping is answered, which RFC 6455, section
5.5.3 allows. Not lower because conformance suites send ten pings at once and count the pongs."""

MAX_KEEPALIVE_PINGS = 4
"""Keepalive pings that wait for their pongs. A peer that sends, but no pongs, is alive; they must
not pile up for that. More than one, so that a latency longer than the interval is measured, too."""

MAX_REFUSED = 100
"""Connections that a server refuses because it has enough, and that are told so. They take memory
until the client has read why, and a client that floods the server won't. More are dropped."""

RETRY_AFTER = 5
"""When a client that was refused because there are enough connections may try again, in seconds.
As long as a client of ours waits at most before it does: :data:`BACKOFF_INITIAL_DELAY`."""

MAX_LOG_SIZE = read_environment("WEBSOCKETS_MAX_LOG_SIZE", 75, int)
"""Payload that is shown when a frame is logged, in characters."""

MAX_REDIRECTS = read_environment("WEBSOCKETS_MAX_REDIRECTS", 10, int)
"""HTTP redirects that a client follows for one connection."""

BACKOFF_INITIAL_DELAY = read_environment("WEBSOCKETS_BACKOFF_INITIAL_DELAY", 5.0, float)
"""Upper bound of the random delay before the first reconnection, in seconds."""

BACKOFF_MIN_DELAY = read_environment("WEBSOCKETS_BACKOFF_MIN_DELAY", 3.1, float)
"""Delay before the second reconnection, in seconds."""

BACKOFF_MAX_DELAY = read_environment("WEBSOCKETS_BACKOFF_MAX_DELAY", 90.0, float)
"""Longest delay between reconnections, in seconds."""

BACKOFF_FACTOR = read_environment("WEBSOCKETS_BACKOFF_FACTOR", 1.618, float)
"""What each delay is multiplied with to give the next."""

MIN_CONNECTION_LIFE = 5.0
"""What a connection must last for a client to reconnect at once, in seconds, unless it brought a
message, or the client ended it. Else the delays of failing attempts apply."""
