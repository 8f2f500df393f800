"""Alias of :mod:`ws_legacy.server`."""

from ws_legacy.server import *
from ws_legacy.server import __all__ as __all__
