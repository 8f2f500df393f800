"""Alias of :mod:`ws_legacy.exceptions`."""

from ws_legacy.exceptions import *
from ws_legacy.exceptions import __all__ as __all__
