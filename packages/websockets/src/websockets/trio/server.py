"""Alias of :mod:`ws_trio.server`."""

from ws_trio.server import *
from ws_trio.server import __all__ as __all__
