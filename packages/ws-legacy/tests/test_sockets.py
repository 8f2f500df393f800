"""Sockets that are brought along, and clients that leave while they are let in."""

import asyncio
import logging
import socket

from ws_legacy import WebSocketCommonProtocol, connect, serve, unix_connect, unix_serve


async def greet(websocket):
    await websocket.send("hello")


async def test_unix_sockets_can_be_brought_along(socket_path):
    path = str(socket_path)
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as connecting:
        listening.bind(path)
        async with unix_serve(greet, sock=listening):
            connecting.setblocking(False)
            connecting.connect(path)
            async with unix_connect(sock=connecting) as websocket:
                assert await websocket.recv() == "hello"


async def test_name_of_the_server_can_be_another_for_tls(get_uri, server_tls, client_tls):
    async with serve(greet, "127.0.0.1", 0, ssl=server_tls) as server:
        uri = get_uri(server, scheme="wss")
        async with connect(uri, ssl=client_tls, server_hostname="localhost") as websocket:
            assert await websocket.recv() == "hello"


async def test_client_that_leaves_while_it_is_let_in_is_no_error(get_uri, records):
    entered, leave = asyncio.Event(), asyncio.Event()

    async def process_request(path, request_headers):
        entered.set()
        await leave.wait()

    async with serve(greet, "127.0.0.1", 0, process_request=process_request) as server:
        task = asyncio.ensure_future(connect(get_uri(server)))
        await entered.wait()
        (websocket,) = server.websockets
        task.cancel()
        await asyncio.wait([task])
        await websocket.wait_closed()
        leave.set()
        await websocket.handler_task
        assert not server.websockets
    assert ("INFO", "connection open") not in records("websockets.server")
    assert {level for level, _ in records("websockets.server")} == {"INFO"}


async def test_logger_of_a_connection_alone_can_be_chosen(caplog):
    caplog.set_level(logging.INFO)
    websocket = WebSocketCommonProtocol(logger=logging.getLogger("mine"))
    websocket.logger.info("hello")
    (record,) = caplog.records
    assert (record.name, record.websocket) == ("mine", websocket)


async def test_logger_that_has_a_connection_already_is_used_as_it_is(get_uri, caplog):
    caplog.set_level(logging.DEBUG, "mine")
    logger = logging.LoggerAdapter(logging.getLogger("mine"), {"websocket": "ours"})
    async with serve(greet, "127.0.0.1", 0) as server:
        async with connect(get_uri(server), logger=logger) as websocket:
            assert await websocket.recv() == "hello"
    assert {record.websocket for record in caplog.records if record.name == "mine"} == {"ours"}


async def test_pong_may_be_sent_without_a_ping(pair):
    async with pair() as (client, server):
        await client.pong("alive")
        await (await client.ping())
        assert server.open


async def test_cancelled_send_is_passed_over_when_others_go_on(pair):
    message = bytes(2**24)
    async with pair(
        client={"write_limit": 1024, "compression": None},
        server={"compression": None, "max_size": None},
    ) as (client, server):
        server.transport.pause_reading()
        first = asyncio.create_task(client.send(message))
        second = asyncio.create_task(client.send("second"))
        third = asyncio.create_task(client.send("third"))
        await asyncio.sleep(0)
        second.cancel()
        # Before the event loop has told the task.
        client.resume_writing()
        server.transport.resume_reading()
        assert await server.recv() == message
        await asyncio.wait([first, second, third])
        assert second.cancelled()
        # What is cancelled while it waits for the network was sent, as ever in this API.
        assert [await server.recv(), await server.recv()] == ["second", "third"]
