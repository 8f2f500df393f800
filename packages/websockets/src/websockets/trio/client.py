"""Alias of :mod:`ws_trio.client`."""

from ws_trio.client import *
from ws_trio.client import __all__ as __all__
