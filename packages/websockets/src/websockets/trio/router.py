"""Alias of :mod:`ws_trio.router`."""

from ws_trio.router import *
from ws_trio.router import __all__ as __all__
