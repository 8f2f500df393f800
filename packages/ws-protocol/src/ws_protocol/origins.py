"""Which web pages, and which names of the server, a server accepts (RFC 6454; RFC 6455, section
10.2).

Browsers let every page connect to every WebSocket server, with the user's cookies. They say which
page it is in the ``Origin`` header, and which name the page used for the server in ``Host``. A
server that relies on cookies, or on being reachable only from a private network, must check them:
else any page can act for the user (cross-site WebSocket hijacking), or reach the server by a name
of its own that leads to the server's address (DNS rebinding).
"""

from __future__ import annotations

import ipaddress
import re
import urllib.parse
from collections.abc import Sequence
from typing import Final

from .headers import is_valid_host

__all__ = ["SAME_ORIGIN", "is_allowed_host", "is_same_origin"]

SAME_ORIGIN: Final = "same-origin"
"""What stands among acceptable origins for "the page came from this server"."""

_DEFAULT_PORTS = {"http": 80, "https": 443}

# RFC 6454, section 6.2: nothing but scheme, host and port, and no list of them.
_split_origin = re.compile(r"(https?)://([^/?#@\s,]+)", re.IGNORECASE).fullmatch


def is_same_origin(origin: str, host: str) -> bool:
    """Tell whether a page came from the server that it connects to.

    Host and port are compared, as browsers do: in any case, and with the default port of the
    page's scheme where one isn't named. The scheme itself can't be: behind a proxy that ends TLS, a
    server doesn't know its own. ``null``, which stands for pages without an origin, such as files,
    is no server's.

    Args:
        origin: Value of the ``Origin`` header.
        host: Value of the ``Host`` header, which is valid.

    """
    match = _split_origin(origin)
    if match is None or not is_valid_host(match[2]):
        return False
    default_port = _DEFAULT_PORTS[match[1].lower()]
    return _split_host(match[2], default_port) == _split_host(host, default_port)


def is_allowed_host(host: str, allowed_hosts: Sequence[str | re.Pattern[str]]) -> bool:
    """Tell whether a server accepts to be called by a name.

    Args:
        host: Value of the ``Host`` header, which is valid.
        allowed_hosts: Names and addresses, those of IPv6 in brackets, in any case. One with a port
            is for that port, one without for all. A regular expression must match all of the name,
            in lower case and without its port.

    """
    name, port = _split_host(host)
    for allowed in allowed_hosts:
        if isinstance(allowed, re.Pattern):
            if allowed.fullmatch(name):
                return True
        else:
            allowed_name, allowed_port = _split_host(allowed)
            if allowed_name == name and allowed_port in (None, port):
                return True
    return False


def _split_host(host: str, default_port: int | None = None) -> tuple[str, int | None]:
    """Return name and port, in the form in which they can be compared."""
    parts = urllib.parse.urlsplit(f"//{host}")
    name = (parts.hostname or "").lower()
    if host.startswith("["):
        # There are many ways to write an address of IPv6.
        name = f"[{ipaddress.IPv6Address(name)}]"
    return name, parts.port or default_port
