"""Alias of :mod:`ws_asyncio.connection`."""

from ws_asyncio.connection import *
from ws_asyncio.connection import __all__ as __all__
