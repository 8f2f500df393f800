"""Alias of :mod:`ws_threading.server`."""

from ws_threading.server import *
from ws_threading.server import __all__ as __all__
