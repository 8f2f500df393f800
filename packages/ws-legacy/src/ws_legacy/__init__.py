"""The original asyncio API, which websockets had before the new one.

It comes with the next release.
"""

from ._version import __version__

__all__ = ["__version__"]
