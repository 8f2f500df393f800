"""A client that sends every message back, for the Autobahn testsuite to attack.

Usage: python echo_client.py URL AGENT

The agent is the API that it is written for: asyncio or legacy.
"""

from __future__ import annotations

import asyncio
import sys

import websockets.asyncio.client
import websockets.legacy.client
from websockets.exceptions import ConnectionClosed

CONNECT = {
    "asyncio": websockets.asyncio.client.connect,
    "legacy": websockets.legacy.client.connect,
}

# Cases in groups 9, 12 and 13 have messages of up to 16 MiB.
MAX_SIZE = 2**25

# The testsuite answers nobody while it writes its reports.
OPEN_TIMEOUT = 120


async def main() -> None:
    """Run every case that the testsuite has, and have the reports written."""
    url, agent = sys.argv[1:]
    connect = CONNECT[agent]
    async with connect(f"{url}/getCaseCount", open_timeout=OPEN_TIMEOUT) as websocket:
        count = int(await websocket.recv())
    for case in range(1, count + 1):
        uri = f"{url}/runCase?case={case}&agent={agent}"
        async with connect(uri, max_size=MAX_SIZE, open_timeout=OPEN_TIMEOUT) as websocket:
            try:
                async for message in websocket:
                    await websocket.send(message)
            except ConnectionClosed:
                pass
    async with connect(f"{url}/updateReports?agent={agent}", open_timeout=OPEN_TIMEOUT):
        pass


if __name__ == "__main__":
    asyncio.run(main())
