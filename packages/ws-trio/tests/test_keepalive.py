"""Keepalive, on connections in memory."""

import pytest
import trio
from trio.testing import trio_test, wait_all_tasks_blocked

from ws_protocol.exceptions import ConnectionClosedError
from ws_protocol.frames import Opcode
from ws_protocol.protocol import State


@trio_test
async def test_pings_are_sent_and_latency_is_measured(link, clock):
    async with link(ping_interval=3, ping_timeout=2) as (connection, peer):
        await trio.sleep(10)
        assert peer.opcodes() == 3 * [Opcode.PING]
        peer.silent = True
        await trio.sleep(3)
        peer.flush()
        await wait_all_tasks_blocked()
        assert connection.latency == 1
        assert connection.state is State.OPEN
        assert (connection.ping_interval, connection.ping_timeout) == (3, 2)


@trio_test
async def test_peer_that_vanishes_is_given_up(link, clock):
    async with link(ping_interval=3, ping_timeout=2, close_timeout=1) as (connection, peer):
        peer.silent = True
        start = trio.current_time()
        with pytest.raises(ConnectionClosedError) as raised:
            await connection.recv()
        assert trio.current_time() - start == 6
        assert raised.value.sent.code == 1011
        assert raised.value.sent.reason == "keepalive ping timeout"
        assert isinstance(raised.value.__cause__, TimeoutError)


@trio_test
async def test_peer_whose_pongs_are_not_read_is_not_given_up(link, clock):
    async with link(ping_interval=3, ping_timeout=2, max_queue=1) as (connection, peer):
        peer.send("one", "two", "three")
        await trio.sleep(1000)
        assert connection.state is State.OPEN
        assert [await connection.recv() for _ in range(3)] == ["one", "two", "three"]
        await trio.sleep(1000)
        assert connection.state is State.OPEN
        peer.silent = True
        with pytest.raises(ConnectionClosedError):
            await connection.recv()


@trio_test
async def test_no_pings_are_sent_without_an_interval(link, clock):
    async with link(ping_interval=None) as (connection, peer):
        await trio.sleep(80000)
        assert peer.frames == []
        assert connection.state is State.OPEN
