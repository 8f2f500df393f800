"""Alias of :mod:`ws_legacy.http`."""

from ws_legacy.http import *
from ws_legacy.http import __all__ as __all__
