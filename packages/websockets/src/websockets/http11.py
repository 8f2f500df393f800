"""Alias of :mod:`ws_protocol.http11`."""

from ws_protocol.http11 import *
from ws_protocol.http11 import __all__ as __all__
