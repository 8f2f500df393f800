"""A client that sends every message back, for the Autobahn testsuite to attack.

Usage: python echo_client.py URL AGENT

The agent is what it is written for: asyncio, threading, trio, or legacy, which is the original API.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import trio

import websockets.asyncio.client
import websockets.legacy.client
import websockets.sync.client
import websockets.trio.client
from websockets.exceptions import ConnectionClosed

# Cases in groups 9, 12 and 13 have messages of up to 16 MiB.
MAX_SIZE = 2**25

# The testsuite answers nobody while it writes its reports.
OPEN_TIMEOUT = 120


async def run_cases(connect: Any, url: str, agent: str) -> None:
    """Run every case that the testsuite has, and have the reports written."""
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


def run_cases_blocking(url: str, agent: str) -> None:
    """Do the same with blocking calls."""
    connect = websockets.sync.client.connect
    with connect(f"{url}/getCaseCount", open_timeout=OPEN_TIMEOUT) as websocket:
        count = int(websocket.recv())
    for case in range(1, count + 1):
        uri = f"{url}/runCase?case={case}&agent={agent}"
        with connect(uri, max_size=MAX_SIZE, open_timeout=OPEN_TIMEOUT) as websocket:
            try:
                for message in websocket:
                    websocket.send(message)
            except ConnectionClosed:
                pass
    with connect(f"{url}/updateReports?agent={agent}", open_timeout=OPEN_TIMEOUT):
        pass


def main() -> None:
    """Run all cases."""
    url, agent = sys.argv[1:]
    if agent == "threading":
        run_cases_blocking(url, agent)
    elif agent == "trio":
        trio.run(run_cases, websockets.trio.client.connect, url, agent)
    else:
        api = {"asyncio": websockets.asyncio.client, "legacy": websockets.legacy.client}[agent]
        asyncio.run(run_cases(api.connect, url, agent))


if __name__ == "__main__":
    main()
