"""Alias of :mod:`ws_threading.connection`."""

from ws_threading.connection import *
from ws_threading.connection import __all__ as __all__
