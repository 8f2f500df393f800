"""Programs for asyncio, which type checkers accept and know the types in: checked, not run."""

import re
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any, assert_type

from werkzeug.routing import Map, Rule

from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.asyncio.connection import Connection
from websockets.asyncio.router import Router, route, unix_route
from websockets.asyncio.server import (
    Server,
    ServerConnection,
    basic_auth,
    broadcast,
    serve,
    unix_serve,
)
from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, InvalidStatus, NegotiationError
from websockets.frames import Close, CloseCode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.typing import Origin, Subprotocol


def texts() -> Iterator[str]:
    yield "a"


async def binaries() -> AsyncIterator[bytes]:
    yield b"a"


async def receive(websocket: Connection, decode: bool) -> None:
    assert_type(await websocket.recv(), str | bytes)
    assert_type(await websocket.recv(decode=None), str | bytes)
    assert_type(await websocket.recv(decode=decode), str | bytes)
    assert_type(await websocket.recv(decode=True), str)
    assert_type(await websocket.recv(False), bytes)
    async for message in websocket:
        assert_type(message, str | bytes)
    async for fragment in websocket.recv_streaming():
        assert_type(fragment, str | bytes)
    async for text in websocket.recv_streaming(decode=True):
        assert_type(text, str)
    async for binary in websocket.recv_streaming(decode=False):
        assert_type(binary, bytes)


async def send(websocket: Connection) -> None:
    await websocket.send("text")
    await websocket.send(b"text", text=True)
    await websocket.send(bytearray(b"binary"))
    await websocket.send(memoryview(b"binary"))
    await websocket.send(["fragment", "fragment"])
    await websocket.send([b"fragment", bytearray(b"fragment")])
    await websocket.send(texts())
    await websocket.send(binaries())
    assert_type(await (await websocket.ping("data")), float)
    await websocket.pong()


async def look(websocket: ClientConnection) -> None:
    assert_type(websocket.state, State)
    assert_type(websocket.latency, float)
    assert_type(websocket.subprotocol, Subprotocol | None)
    assert_type(websocket.close_code, int | None)
    assert_type(websocket.close_reason, str | None)
    assert websocket.request is not None
    assert_type(websocket.request.headers["Host"], str)
    assert websocket.response is not None
    assert_type(websocket.response.status_code, int)
    await websocket.close(CloseCode.GOING_AWAY, reason="bye")
    await websocket.wait_closed()


class Asking(ClientConnection):
    def __init__(self, protocol: ClientProtocol, **kwargs: Any) -> None:
        super().__init__(protocol, **kwargs)

    async def ask(self, question: str) -> str:
        await self.send(question)
        return await self.recv(decode=True)


async def clients(context: ssl.SSLContext, path: Path) -> None:
    websocket = await connect(
        "ws://localhost/",
        additional_headers={"Accept": "*/*"},
        compression=None,
        max_queue=(16, None),
        max_size=(None, 1024),
        origin=Origin("https://example.com"),
        ping_interval=None,
        proxy=None,
        subprotocols=[Subprotocol("chat")],
        write_limit=(16, 4),
    )
    assert_type(websocket, ClientConnection)
    async with connect("wss://localhost/", ssl=context) as websocket:
        assert_type(websocket, ClientConnection)
    async for websocket in connect(
        "ws://localhost/",
        process_exception=lambda exc: None,
        reconnect_delays=lambda: iter([1.0, 2.0]),
    ):
        assert_type(websocket, ClientConnection)
    async with unix_connect(path) as websocket:
        assert_type(websocket, ClientConnection)
    async with connect("ws://localhost/", create_connection=Asking) as websocket:
        assert isinstance(websocket, Asking)
        assert_type(await websocket.ask("?"), str)


def handle_exceptions(exc: Exception) -> None:
    match exc:
        case ConnectionClosed():
            assert_type(exc.rcvd, Close | None)
            assert_type(exc.rcvd_then_sent, bool | None)
        case InvalidStatus():
            assert_type(exc.response, Response)
        case _:
            raise exc


async def handler(websocket: ServerConnection) -> None:
    assert_type(websocket.server, Server)
    assert_type(websocket.username, str)
    async for message in websocket:
        broadcast(websocket.server.connections, message, raise_exceptions=True)


def process_request(websocket: ServerConnection, request: Request) -> Response | None:
    return None if request.path == "/" else websocket.respond(404, "not found\n")


async def process_request_later(websocket: ServerConnection, request: Request) -> Response | None:
    return Response(404, "Not Found", Headers(), b"")


def refuse_nothing(websocket: ServerConnection, request: Request) -> None:
    return None


def process_response(
    websocket: ServerConnection, request: Request, response: Response
) -> Response | None:
    response.headers["X-Served-By"] = "one"
    return None


async def process_response_later(
    websocket: ServerConnection, request: Request, response: Response
) -> None:
    response.headers.update({"X-Served-By": "one"})


def select(websocket: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    if not offered:
        raise NegotiationError("no subprotocol")
    return offered[0]


async def check(username: str, password: str) -> bool:
    return False


class RoomConnection(ServerConnection):
    room: str = ""


async def servers(context: ssl.SSLContext, path: Path) -> None:
    async with serve(handler, "localhost", 8765) as server:
        assert_type(server, Server)
        await server.serve_forever()
    server = await serve(handler, ["127.0.0.1", "::1"], 8765, ssl=context)
    assert_type(server, Server)
    server.close(False, CloseCode.SERVICE_RESTART, "bye")
    await server.wait_closed()
    serve(handler, None, 0, process_request=process_request, process_response=process_response)
    serve(handler, process_request=process_request_later, process_response=process_response_later)
    serve(handler, process_request=refuse_nothing, select_subprotocol=select)
    serve(handler, process_request=lambda websocket, request: None)
    serve(handler, origins=[Origin("https://example.com"), re.compile("https://.*"), None])
    serve(handler, origins="same-origin", allowed_hosts=["localhost", re.compile(".*")])
    serve(handler, process_request=basic_auth("realm", ("alice", "secret")))
    serve(handler, process_request=basic_auth(credentials=[("alice", "secret")]))
    serve(handler, process_request=basic_auth(check_credentials=check))
    serve(handler, process_request=basic_auth(check_credentials=lambda username, password: True))
    serve(handler, create_connection=RoomConnection, max_connections=100)
    unix_serve(handler, path)


async def channel(websocket: ServerConnection, number: int) -> None: ...


class LoggingRouter(Router):
    async def handler(self, connection: ServerConnection) -> None:
        connection.logger.info("routed")
        await super().handler(connection)


def routers(path: Path) -> None:
    url_map = Map([Rule("/channel/<int:number>", endpoint=channel)])
    assert_type(route(url_map, "localhost", 8765, create_router=LoggingRouter), Server)
    assert_type(unix_route(url_map, path, ssl=True), Server)
