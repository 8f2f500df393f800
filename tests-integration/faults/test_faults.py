"""The network breaks at every byte of a conversation, in every way: it ends as documented, always.

With ``FAULTS=all`` in the environment, every kind of fault happens at every byte in both
directions, and not only one of them. Where tests run on several versions of Python, one has every
byte, and the others some.
"""

import asyncio
import itertools
import os
import sys

import pytest

from ws_protocol.exceptions import ConnectionClosed

ALL = os.environ.get("FAULTS") == "all"

# Nothing takes this long, unless it hangs.
BOUND = 1800 if ALL else 300

# What changes no byte.
HARMLESS = ["split", "delay", "byte by byte"]
HARMFUL = ["duplicate", "truncate", "reset", "half-close", "stall"]

# Connections at a time.
MANY = 100


async def run(conversation, proxy, faults, seconds):
    """Hold a conversation with each fault; return pairs of fault and result for the client."""
    results = []
    faults = iter(faults)
    async with conversation.serve(seconds) as port:

        async def hold_conversations():
            for fault in faults:
                relay = proxy(port)
                async with relay.listen(fault) as relay_port:
                    results.append((fault, await conversation.hold(relay_port)))

        async with asyncio.timeout(BOUND), asyncio.TaskGroup() as group:
            for _ in range(MANY):
                group.create_task(hold_conversations())
    return results


async def count_bytes(conversation, proxy):
    """Record how many bytes pass in each direction."""
    async with conversation.serve(BOUND) as port:
        relay = proxy(port)
        async with relay.listen() as relay_port:
            result = await conversation.hold(relay_port)
    assert result.exc is None
    conversation.served.clear()
    return relay.passed


def every_byte(fault, lengths, kinds):
    """Faults at each byte: all kinds, or each in its turn."""
    turns = itertools.cycle(kinds)
    for direction, length in lengths.items():
        for offset in range(0, length, 1 if ALL or sys.version_info[:2] == (3, 13) else 7):
            for kind in kinds if ALL else [next(turns)]:
                yield fault(kind, direction, offset)


@pytest.mark.slow
async def test_bytes_that_arrive_in_pieces_or_late_change_nothing(
    conversation, proxy, fault, expected, nothing_is_logged
):
    for_client, for_server = expected
    lengths = await count_bytes(conversation, proxy)
    faults = list(every_byte(fault, lengths, HARMLESS))
    results = await run(conversation, proxy, faults, seconds=BOUND)
    assert len(results) == len(conversation.served) == len(faults)
    for broken, result in results:
        assert result.exc is None, broken
        assert result.received == for_client, broken
    for result in conversation.served:
        assert result.ended
        assert result.exc is None
        assert result.received == for_server


@pytest.mark.slow
async def test_connection_that_breaks_anywhere_ends_as_documented(
    conversation, proxy, fault, expected, nothing_is_logged
):
    for_client, _ = expected
    lengths = await count_bytes(conversation, proxy)
    faults = list(every_byte(fault, lengths, HARMFUL))
    results = await run(conversation, proxy, faults, seconds=1)
    assert len(results) == len(faults)
    for broken, result in results:
        assert result.ended
        if broken.kind != "duplicate":
            # Nothing is made up, and nothing is in the wrong order.
            assert result.received == for_client[: len(result.received)], broken
            # Nothing that was sent to it before the fault is lost.
            assert result.exc is not None or result.received == for_client, broken
    for result in conversation.served:
        assert result.ended
        assert isinstance(result.exc, ConnectionClosed | None)
