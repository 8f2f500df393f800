"""Alias of :mod:`ws_asyncio.server`."""

from ws_asyncio.server import *
from ws_asyncio.server import __all__ as __all__
