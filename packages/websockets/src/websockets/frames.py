"""Alias of :mod:`ws_protocol.frames`, with the names that opcodes had before there were enums."""

from ws_protocol.frames import *
from ws_protocol.frames import Opcode as Opcode
from ws_protocol.frames import __all__ as __all__

OP_CONT = Opcode.CONT
OP_TEXT = Opcode.TEXT
OP_BINARY = Opcode.BINARY
OP_CLOSE = Opcode.CLOSE
OP_PING = Opcode.PING
OP_PONG = Opcode.PONG
