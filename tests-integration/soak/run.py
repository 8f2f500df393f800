"""Hold as many connections as the machine allows, for a time, and count what goes through.

Clients send messages of all kinds, in bursts, and get them back. They close their connections now
and then, or drop them; the server, in another process, restarts now and then. At the end,

* every message arrived in order, without gaps, in both directions;
* on connections that clients closed, the server received and sent back exactly what was sent;
* neither process holds more memory than after it had warmed up, within :data:`TOLERANCE`;
* no handler is left.

``python run.py --minutes 5`` exits with status 1 if one of these doesn't hold.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import importlib
import json
import logging
import os
import random
import resource
import sys
import time
import warnings
from typing import Any

warnings.simplefilter("ignore", DeprecationWarning)

# Memory at the end may be this much above that after warm-up. The number of connections is the
# same, and so is the mixture of traffic; but how many buffers are in use varies by some per cent,
# and allocators return memory in blocks. What leaks with each connection or message grows with
# time, and exceeds it if that is long enough: 4 KiB for each of 40 connections a second are 9 MiB
# a minute.
TOLERANCE = 1.08
TOLERANCE_BYTES = 8 * 2**20

# Ports for one address are some 28,000.
CONNECTIONS_PER_ADDRESS = 20_000

# What a connection with compression takes, in both processes together.
BYTES_PER_CONNECTION = 400 * 2**10

# What a core has time for beside other things. Connections last as long as that allows, on average,
# or half a minute.
MESSAGES_PER_SECOND = 1000
CONNECTIONS_PER_SECOND = 40
SECONDS_PER_CONNECTION = 30


def raise_limit() -> int:
    """Raise the limit on open files as far as possible; return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def count_possible() -> int:
    """Return how many connections this machine can hold."""
    available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(raise_limit() - 200, available // 2 // BYTES_PER_CONNECTION, 20_000)


def memory() -> int:
    """Return the resident memory of this process, in bytes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# The server


class Server:
    """A server that sends back what it receives, and checks that nothing is missing in it."""

    def __init__(self, api: str, hosts: list[str]) -> None:
        self.serve = importlib.import_module(f"ws_{api}.server").serve
        self.hosts = hosts
        self.counts: collections.Counter[str] = collections.Counter()

    async def handle(self, connection: Any) -> None:
        self.counts["handlers"] += 1
        expected = 0
        try:
            async for message in connection:
                if int(message[:10]) != expected:
                    self.counts["out of order"] += 1
                expected += 1
                self.counts["received"] += 1
                await connection.send(message)
        finally:
            self.counts["handlers"] -= 1
            # The reason is how many messages the client sent.
            if connection.close_code == 1000 and connection.close_reason:
                self.counts["closed"] += 1
                self.counts["missing"] += int(connection.close_reason) - expected

    async def run(self) -> None:
        """Do what is asked for on standard input, a word a line, and answer in JSON."""
        raise_limit()
        logging.disable()
        loop = asyncio.get_running_loop()
        port, server = 0, None
        while True:
            if server is None:
                # It finds its port free again, because it sets SO_REUSEADDR.
                server = await self.serve(
                    self.handle, self.hosts, port, ping_interval=20, backlog=4096
                )
                port = server.sockets[0].getsockname()[1]
            command = (await loop.run_in_executor(None, sys.stdin.readline)).strip()
            if command == "restart":
                server.close()
                await server.wait_closed()
                server = None
            elif not command:
                return
            print(json.dumps({"port": port, "memory": memory(), **self.counts}), flush=True)


# The clients


class Clients:
    """Clients of the server, each of which opens one connection after the other."""

    def __init__(self, api: str, count: int, uris: list[str]) -> None:
        self.connect = importlib.import_module(f"ws_{api}.client").connect
        self.exceptions = importlib.import_module("ws_protocol.exceptions")
        self.count = count
        self.uris = uris
        self.counts: collections.Counter[str] = collections.Counter()
        self.ending = False
        # The mean pause between bursts of 4 messages.
        self.pause = 4 * count / MESSAGES_PER_SECOND
        self.life = max(SECONDS_PER_CONNECTION, count / CONNECTIONS_PER_SECOND)
        self.dialling = asyncio.Semaphore(100)

    async def run_client(self, number: int) -> None:
        chance = random.Random(number)
        uri = self.uris[number // CONNECTIONS_PER_ADDRESS]
        while not self.ending:
            try:
                async with self.dialling:
                    connection = await self.connect(
                        uri,
                        compression="deflate" if number % 2 else None,
                        open_timeout=60,
                        close_timeout=60,
                    )
            except (OSError, TimeoutError, self.exceptions.InvalidHandshake):
                self.counts["refused"] += 1
                await asyncio.sleep(chance.random())
                continue
            self.counts["connections"] += 1
            self.counts["open"] += 1
            try:
                await self.use(connection, chance)
            except self.exceptions.ConnectionClosed:
                self.counts["ended by server"] += 1
            finally:
                self.counts["open"] -= 1

    async def use(self, connection: Any, chance: random.Random) -> None:
        """Send and receive until it is enough, and end the connection."""
        sent = 0
        end = time.monotonic() + chance.expovariate(1 / self.life)
        while not self.ending and (sent == 0 or time.monotonic() < end):
            await asyncio.sleep(chance.random() * 2 * self.pause)
            burst = []
            for _ in range(chance.randint(1, 7)):
                burst.append(self.make_message(sent + len(burst), chance))
            for message in burst:
                if chance.random() < 0.2 and isinstance(message, str):
                    await connection.send([message[:7], message[7:30], message[30:]])
                else:
                    await connection.send(message)
                self.counts["sent"] += 1
            sent += len(burst)
            if chance.random() < 0.1:
                await connection.ping()
            for message in burst:
                if await connection.recv() != message:
                    self.counts["wrong answers"] += 1
                self.counts["answered"] += 1
        if chance.random() < 0.3 and not self.ending:
            connection.transport.abort()
            await connection.wait_closed()
            self.counts["dropped"] += 1
        else:
            await connection.close(1000, str(sent))
            await connection.wait_closed()
            if connection.close_code == 1000:
                self.counts["closed"] += 1
            else:
                self.counts["ended by server"] += 1

    def make_message(self, number: int, chance: random.Random) -> str | bytes:
        size = int(chance.paretovariate(1) * 50) % 20_000
        text = f"{number:010}" + chance.choice(["lorem ipsum ", "äöü", "\0"]) * (size // 8)
        return text if chance.random() < 0.7 else text.encode()


async def soak(api: str, count: int, seconds: float, restarts: int) -> list[str]:
    """Run it; return what is wrong."""
    hosts = [f"127.0.0.{1 + i}" for i in range(1 + (count - 1) // CONNECTIONS_PER_ADDRESS)]
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, __file__, "--api", api, "--serve", ",".join(hosts)],
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    async def ask(command: str) -> dict[str, int]:
        stdin.write(f"{command}\n".encode())
        result: dict[str, int] = json.loads(await stdout.readline())
        return result

    port = (await ask("report"))["port"]
    clients = Clients(api, count, [f"ws://{host}:{port}/" for host in hosts])
    tasks = [asyncio.create_task(clients.run_client(number)) for number in range(count)]
    counts = clients.counts

    start = time.monotonic()
    # Memory is the mean of what it is in the last tenth of warm-up, which is over after two
    # restarts, and of the end. Both are as long after a restart.
    period = seconds / (restarts + 1)
    samples: list[tuple[float, int, int]] = []
    restarted = held = 0
    while (elapsed := time.monotonic() - start) < seconds:
        if elapsed > (restarted + 1) * period:
            restarted += 1
            served = await ask("restart")
        else:
            await asyncio.sleep(min(5, seconds / 60))
            served = await ask("report")
        samples.append((elapsed, memory(), served["memory"]))
        held = max(held, counts["open"])
        print(
            f"{elapsed:6.0f} s: {counts['open']} open, {counts['connections']} opened, "
            f"{counts['sent']} sent, {served.get('received', 0)} received, "
            f"{counts['answered']} answered, {counts['closed']} closed, "
            f"{counts['dropped']} dropped, {counts['ended by server']} ended by server, "
            f"{restarted} restarts, {memory() >> 20} + {served['memory'] >> 20} MiB",
            flush=True,
        )
    clients.ending = True
    await asyncio.gather(*tasks)
    served = await ask("report")
    while served["handlers"] and time.monotonic() - start < seconds + 60:
        await asyncio.sleep(0.5)
        served = await ask("report")
    stdin.close()
    await process.wait()

    wrong = [
        f"{name}: {number}"
        for name, number in {
            "wrong answers": counts["wrong answers"],
            "out of order": served.get("out of order", 0),
            "missing on closed connections": served.get("missing", 0),
            "handlers that are left": served["handlers"],
            "received, but not sent": max(0, served["received"] - counts["sent"]),
            "closed here, but not there": max(0, counts["closed"] - served["closed"]),
            "connections that were never held": count - held if held < 0.95 * count else 0,
        }.items()
        if number
    ]
    for name, place in {"clients": 1, "server": 2}.items():
        warm, last = (
            sum(values) / len(values)
            for values in (
                [s[place] for s in samples if 0.7 * period < s[0] - i * period <= period]
                for i in (min(2, restarts), restarts)
            )
        )
        print(f"{name}: {warm / 2**20:.1f} MiB after warm-up, {last / 2**20:.1f} MiB at the end")
        if last > warm * TOLERANCE + TOLERANCE_BYTES:
            wrong.append(f"memory of the {name} grew by {(last - warm) / 2**20:.1f} MiB")
    print(
        f"{held} connections held at a time, {counts['connections']} opened, "
        f"{counts['sent']} messages sent, {served['received']} received, "
        f"{counts['answered']} answered; {served['closed']} closed connections on which all of "
        f"them are the same, in order"
    )
    return wrong


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--api", choices=["asyncio", "legacy"], default="asyncio")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--connections", type=int, help="as many as possible by default")
    parser.add_argument("--restarts", type=int, default=5, help="of the server")
    parser.add_argument("--serve", metavar="HOSTS", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(Server(options.api, options.serve.split(",")).run())
        return 0
    logging.disable()
    count = options.connections or count_possible()
    raise_limit()
    print(f"{count} connections, {options.minutes} minutes, {options.restarts} restarts")
    wrong = asyncio.run(soak(options.api, count, options.minutes * 60, options.restarts))
    print("\n".join(["WRONG", *wrong]) if wrong else "Nothing is wrong.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
