"""What others wrote, made harmless for whoever reads logs, in a terminal for example."""

from __future__ import annotations

import re

__all__ = ["escape", "show_header"]

# Control characters, of which headers may have those above ASCII; what ends lines, for some; what
# changes the direction of text; and surrogates, which can't be encoded.
_harmful = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)

# What proves who somebody is.
_SECRET = frozenset({"authorization", "cookie", "proxy-authorization", "set-cookie"})


def escape(text: str) -> str:
    """Return a text in which characters that would forge lines of a log, or steer a terminal, are
    shown as Python writes them."""
    return _harmful.sub(lambda match: repr(match.group())[1:-1], text)


def show_header(name: str, value: str) -> str:
    """Return the value of a header for logs: escaped, and without credentials."""
    return "***" if name.lower() in _SECRET else escape(value)
