"""Measure what protocols cost without I/O: bytes in, events out, and back.

``nox -s benchmark_sansio`` runs it. Each library has an environment and a process of its own; they
take turns, round by round.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from frames import BINARY, make_message

ROUNDS = 5
SECONDS = 0.2
SIZES = [16, 256, 4096, 65536]
CHUNK = 65536

# What is installed for each, in environments that contenders of the other benchmarks share, and
# environment variables.
LIBRARIES: dict[str, tuple[tuple[str, ...], tuple[tuple[str, str], ...]]] = {
    "ours": (("uvloop",), ()),
    "ours, pure": (("uvloop",), (("WS_PROTOCOL_KERNEL", "pure"),)),
    "websockets": (("websockets==17.*", "uvloop"), ()),
    "wsproto": (("wsproto==1.*",), ()),
}


# For each library: make a receiver and a sender for a side. A receiver takes a chunk and returns
# how many messages or frames came; a sender takes a payload and returns bytes.
Receiver = Callable[[bytes], int]
Sender = Callable[[bytes], bytes]


def ours(client: bool) -> tuple[Receiver, Sender]:
    """Return receiver and sender: frames, as others have them."""
    from ws_protocol.protocol import Protocol, Side

    protocol = Protocol(Side.CLIENT if client else Side.SERVER)

    def receive(data: bytes) -> int:
        protocol.receive_data(data)
        return len(protocol.events_received())

    def send(payload: bytes) -> bytes:
        protocol.send_binary(payload)
        return b"".join(protocol.data_to_send())

    return receive, send


def websockets(client: bool) -> tuple[Receiver, Sender]:
    """Return receiver and sender."""
    from websockets.protocol import Protocol, Side, State

    protocol = Protocol(Side.CLIENT if client else Side.SERVER, state=State.OPEN)

    def receive(data: bytes) -> int:
        protocol.receive_data(data)
        return len(protocol.events_received())

    def send(payload: bytes) -> bytes:
        protocol.send_binary(payload)
        return b"".join(protocol.data_to_send())

    return receive, send


def wsproto(client: bool) -> tuple[Receiver, Sender]:
    """Return receiver and sender."""
    from wsproto.connection import Connection, ConnectionType
    from wsproto.events import BytesMessage

    connection = Connection(ConnectionType.CLIENT if client else ConnectionType.SERVER)

    def receive(data: bytes) -> int:
        connection.receive_data(data)
        return sum(1 for event in connection.events() if event.message_finished)

    def send(payload: bytes) -> bytes:
        data: bytes = connection.send(BytesMessage(data=payload))
        return data

    return receive, send


MAKERS = {"ours": ours, "ours, pure": ours, "websockets": websockets, "wsproto": wsproto}


def prepare_work(name: str, client: bool, receives: bool, size: int) -> Callable[[], int]:
    """Return what does a work once, and returns the number of frames."""
    receive, send = MAKERS[name](client)
    payload = bytes(i % 251 for i in range(size))
    if not receives:

        def run_send() -> int:
            assert len(send(payload)) >= size
            return 1

        return run_send
    number = max(1, CHUNK // (size + 8))
    data = make_message(BINARY, payload, masked=not client) * number

    def run_receive() -> int:
        received = receive(data)
        assert received == number
        return received

    return run_receive


WORKS = [
    (client, receives, size)
    for receives in (True, False)
    for client in (True, False)
    for size in SIZES
]


def subject(name: str) -> None:
    """Measure one library, as told line by line: the number of the work, and a time in seconds."""
    for line in sys.stdin:
        number, seconds = json.loads(line)
        run = prepare_work(name, *WORKS[number])
        for _ in range(20):
            run()
        frames, start = 0, time.process_time()
        while (taken := time.process_time() - start) < seconds:
            for _ in range(10):
                frames += run()
        print(json.dumps(taken / frames), flush=True)


def main() -> None:
    """Measure all, and print ratios."""
    from contenders import Contender, environment, prepare

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="CPU time of a turn")
    parser.add_argument(
        "--wheels", type=Path, nargs="*", default=[], help="wheels of this project, not its sources"
    )
    arguments = parser.parse_args()
    processes = {}
    for name, (requirements, variables) in LIBRARIES.items():
        place = name.partition(",")[0]
        contender = Contender(name, name, place, requirements, variables)
        python = prepare(contender, arguments.wheels)[0]
        processes[name] = subprocess.Popen(
            [python, __file__, "--subject", name],
            env=environment(contender),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    others = [name for name in processes if name != "ours"]
    print("| CPU time per frame | ours |", " | ".join(f"{name} / ours" for name in others), "|")
    print("|---" * (2 + len(others)) + "|")
    for number, (client, receives, size) in enumerate(WORKS):
        times: dict[str, list[float]] = {name: [] for name in processes}
        for _ in range(arguments.rounds):
            for name, process in processes.items():
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write(json.dumps([number, arguments.seconds]) + "\n")
                process.stdin.flush()
                times[name].append(json.loads(process.stdout.readline()))
        title = f"{'client' if client else 'server'} {'receives' if receives else 'sends'} {size} B"
        cells = []
        for name in others:
            ratios = sorted(a / b for a, b in zip(times[name], times["ours"], strict=True))
            cells.append(f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")
        ours_time = statistics.median(times["ours"]) * 1e6
        print(f"| {title} | {ours_time:.3g} µs |", " | ".join(cells), "|", flush=True)
    for process in processes.values():
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--subject"]:
        subject(sys.argv[2])
    else:
        main()
