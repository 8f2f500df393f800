"""What the servers of the frameworks have in common: the page, the report, and who ended how."""

import asyncio
import collections
import importlib.metadata
import json
import socket
import sys

import websockets

PAGE = b"<!doctype html><link rel=icon href=data:,>"

MAX_SIZE = 2**16


def listen():
    """Return a socket that listens, and say on standard output on which port, and with what."""
    listening = socket.create_server(("127.0.0.1", 0))
    report = {
        "port": listening.getsockname()[1],
        "websockets": websockets.__file__,
        "versions": {
            distribution.name: distribution.version
            for distribution in importlib.metadata.distributions()
        },
    }
    print(json.dumps(report), flush=True)
    return listening


def modules():
    """Return the names of the modules that are imported by now."""
    return sorted(sys.modules)


class Endings:
    """How connections ended."""

    def __init__(self):
        self.waiters = collections.defaultdict(lambda: asyncio.get_running_loop().create_future())

    def note(self, name, code, reason):
        """Note that the connection of this name ended."""
        self.waiters[name].set_result({"code": code, "reason": reason})

    async def wait(self, name):
        """Wait until the connection of this name ended; return how."""
        return await self.waiters[name]
