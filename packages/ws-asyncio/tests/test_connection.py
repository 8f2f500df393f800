"""What a connection tells of itself, in memory."""

import asyncio
import logging
import uuid

import pytest

from ws_asyncio import Connection
from ws_protocol.client import ClientProtocol
from ws_protocol.protocol import Protocol, Side, State
from ws_protocol.uri import parse_uri


async def test_each_connection_has_an_identifier(link):
    connections = [(await link())[0] for _ in range(3)]
    assert len({connection.id for connection in connections}) == 3
    for connection in connections:
        assert isinstance(connection.id, uuid.UUID)
        assert connection.id == connection.protocol.id
        assert connection.id == connection.id


async def test_addresses_are_those_of_the_transport(link):
    connection, _ = await link()
    assert connection.local_address == ("127.0.0.1", 1234)
    assert connection.remote_address == ("127.0.0.1", 5678)


async def test_opening_handshake_can_be_looked_at(link):
    connection, _ = await link()
    assert connection.request.path == "/"
    assert connection.request.headers["Host"] == "localhost"
    assert connection.response.status_code == 101
    assert connection.subprotocol is None


async def test_connection_without_an_opening_handshake_has_no_request_nor_response(link):
    connection, _ = await link(Side.SERVER)
    assert connection.request is None
    assert connection.response is None


async def test_subprotocol_is_the_negotiated_one(link):
    connection, _ = await link()
    connection.protocol.subprotocol = "chat"
    assert connection.subprotocol == "chat"


async def test_state_follows_the_life_of_the_connection(link):
    connection, peer = await link(handshake=False)
    assert connection.state is State.CONNECTING
    await connection.handshake()
    assert connection.state is State.OPEN
    peer.silent = True
    task = asyncio.create_task(connection.close())
    await asyncio.sleep(0)
    assert connection.state is State.CLOSING
    peer.flush()
    await task
    assert connection.state is State.CLOSED


async def test_loop_is_the_running_one(link):
    connection, _ = await link()
    assert connection.loop is asyncio.get_running_loop()


def test_connection_needs_a_running_loop():
    with pytest.raises(RuntimeError, match="no running event loop"):
        Connection(Protocol(Side.SERVER))


# Logs


@pytest.mark.parametrize("side", Side)
async def test_records_have_the_connection(link, caplog, side):
    caplog.set_level(logging.INFO)
    connection, _ = await link(side)
    connection.logger.info("Hello")
    (record,) = caplog.records
    assert record.name == f"websockets.{side.name.lower()}"
    assert record.websocket is connection


@pytest.mark.parametrize("side", Side)
async def test_records_of_frames_have_the_connection(link, caplog, side):
    caplog.set_level(logging.DEBUG, "websockets")
    connection, peer = await link(side)
    await connection.send("out")
    peer.send("in")
    await connection.close()
    messages = {
        record.getMessage()
        for record in caplog.records
        if getattr(record, "websocket", None) is connection
    }
    assert {"> TEXT 'out' [3 bytes]", "< TEXT 'in' [2 bytes]", "= connection is CLOSED"} <= messages


async def test_keepalive_is_logged(link, clock, caplog):
    caplog.set_level(logging.DEBUG, "websockets.client")
    connection, peer = await link()
    peer.silent = True
    await connection.wait_closed()
    messages = caplog.messages
    assert any("keepalive ping" in message for message in messages)
    assert any("timed out" in message for message in messages)


@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG])
async def test_logger_may_be_an_adapter(clock, caplog, level):
    caplog.set_level(level, "mine")
    adapter = logging.LoggerAdapter(logging.getLogger("mine"), {"websocket": "something"})
    connection = Connection(ClientProtocol(parse_uri("ws://localhost/"), logger=adapter))
    connection.logger.info("Hello")
    record = caplog.records[-1]
    assert record.name == "mine"
    assert record.websocket == "something"
