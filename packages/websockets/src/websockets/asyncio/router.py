"""Alias of :mod:`ws_asyncio.router`."""

from ws_asyncio.router import *
from ws_asyncio.router import __all__ as __all__
