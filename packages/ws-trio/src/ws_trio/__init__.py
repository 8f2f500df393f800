"""WebSocket clients and servers on trio."""

from ._version import __version__

__all__ = ["__version__"]
