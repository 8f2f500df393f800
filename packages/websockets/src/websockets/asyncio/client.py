"""Alias of :mod:`ws_asyncio.client`."""

from ws_asyncio.client import *
from ws_asyncio.client import __all__ as __all__
