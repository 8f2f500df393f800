"""Alias of :mod:`ws_legacy.auth`."""

from ws_legacy.auth import *
from ws_legacy.auth import __all__ as __all__
