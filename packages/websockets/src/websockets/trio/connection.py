"""Alias of :mod:`ws_trio.connection`."""

from ws_trio.connection import *
from ws_trio.connection import __all__ as __all__
