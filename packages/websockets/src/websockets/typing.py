"""Alias of :mod:`ws_protocol.typing`."""

from ws_protocol.typing import *
from ws_protocol.typing import __all__ as __all__
