"""WebSocket clients and servers on threads, with blocking calls."""

from ._version import __version__

__all__ = ["__version__"]
