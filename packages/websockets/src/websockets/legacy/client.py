"""Alias of :mod:`ws_legacy.client`."""

from ws_legacy.client import *
from ws_legacy.client import __all__ as __all__
