"""Alias of :mod:`ws_threading.router`."""

from ws_threading.router import *
from ws_threading.router import __all__ as __all__
