"""Alias of :mod:`ws_protocol.protocol`, with the names that sides and states had before there were
enums."""

from ws_protocol.protocol import *
from ws_protocol.protocol import Side as Side
from ws_protocol.protocol import State as State
from ws_protocol.protocol import __all__ as __all__

CLIENT = Side.CLIENT
SERVER = Side.SERVER

CONNECTING = State.CONNECTING
OPEN = State.OPEN
CLOSING = State.CLOSING
CLOSED = State.CLOSED
