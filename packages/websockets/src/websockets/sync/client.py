"""Alias of :mod:`ws_threading.client`."""

from ws_threading.client import *
from ws_threading.client import __all__ as __all__
