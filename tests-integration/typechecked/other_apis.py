"""Programs for threads, trio, the original API and one's own I/O: checked, not run."""

import dataclasses
import http
import threading
from collections.abc import Sequence
from typing import assert_type

import trio

import websockets
from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.exceptions import WebSocketException, WebSocketProtocolError
from websockets.extensions import ClientExtensionFactory, Extension, ServerExtensionFactory
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import OP_TEXT, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.legacy.auth import basic_auth_protocol_factory
from websockets.legacy.client import WebSocketClientProtocol
from websockets.legacy.server import WebSocketServer, WebSocketServerProtocol
from websockets.protocol import OPEN, SEND_EOF, Protocol, Side, State
from websockets.server import ServerProtocol
from websockets.sync import client as sync_client
from websockets.sync import server as sync_server
from websockets.sync.server import Server
from websockets.trio import client as trio_client
from websockets.trio import server as trio_server
from websockets.typing import ExtensionName, ExtensionParameter, Subprotocol
from websockets.uri import parse_uri

# Threads


def handle(websocket: sync_server.ServerConnection) -> None:
    for message in websocket:
        assert_type(message, str | bytes)
        websocket.send(message)


def use_threads() -> None:
    with sync_client.connect("ws://localhost/") as websocket:
        assert_type(websocket, sync_client.ClientConnection)
        assert_type(websocket.recv(timeout=1), str | bytes)
        assert_type(websocket.recv(decode=True), str)
        assert_type(websocket.recv(1, True), str)
        assert_type(websocket.recv(None, False), bytes)
        assert_type(websocket.recv(timeout=1, decode=False), bytes)
        for text in websocket.recv_streaming(decode=True):
            assert_type(text, str)
        assert_type(websocket.ping(), threading.Event)
        websocket.close(1000, "bye")
    for websocket in sync_client.reconnect("ws://localhost/"):
        assert_type(websocket, sync_client.ClientConnection)
    with sync_server.serve(handle, "localhost", 8765) as server:
        assert_type(server, Server)
        sync_server.broadcast(server.connections, "message")
        server.serve_forever()


# Trio


async def handle_on_trio(websocket: trio_server.ServerConnection) -> None:
    async for message in websocket:
        assert_type(message, str | bytes)
        await trio_server.broadcast(websocket.server.connections, message)


async def use_trio() -> None:
    async with trio_client.connect("ws://localhost/") as websocket:
        assert_type(websocket, trio_client.ClientConnection)
        assert_type(await websocket.recv(), str | bytes)
        assert_type(await websocket.recv(decode=True), str)
        async for binary in websocket.recv_streaming(decode=False):
            assert_type(binary, bytes)
        assert_type(await websocket.ping(), trio.Event)
        await websocket.aclose()
    async for websocket in trio_client.connect("ws://localhost/"):
        assert_type(websocket, trio_client.ClientConnection)
    async with trio.open_nursery() as nursery:
        await nursery.start(trio_server.serve, handle_on_trio, 8765)
    await trio_server.serve(handle_on_trio, 8765, host="localhost")


# The original API


async def handle_with_path(websocket: WebSocketServerProtocol, path: str) -> None:
    assert_type(websocket.open, bool)
    async for message in websocket:
        assert_type(message, str | bytes)
    websockets.broadcast(websocket.ws_server.websockets, path)


class Refusing(WebSocketServerProtocol):
    async def process_request(
        self, path: str, request_headers: Headers
    ) -> tuple[http.HTTPStatus, dict[str, str], bytes] | None:
        return http.HTTPStatus.OK, {}, b""


async def use_original_api() -> None:
    async with websockets.connect("ws://localhost/", extra_headers={"Accept": "*/*"}) as websocket:
        assert_type(websocket, WebSocketClientProtocol)
        await websocket.send(["fragment"])
        assert_type(await websocket.recv(), str | bytes)
    async with websockets.serve(handle_with_path, "localhost", 8765, create_protocol=Refusing) as s:
        assert_type(s, WebSocketServer)
    factory = basic_auth_protocol_factory("realm", credentials=("alice", "secret"))
    await websockets.serve(handle_with_path, create_protocol=factory)
    assert websockets.protocol.State.OPEN is websockets.State.OPEN is State.OPEN is OPEN


# Without I/O


def move_bytes(sender: Protocol, receiver: Protocol) -> None:
    for data in sender.data_to_send():
        assert_type(data, bytes)
        if data == SEND_EOF:
            receiver.receive_eof()
        else:
            receiver.receive_data(data)
    for event in receiver.events_received():
        assert_type(event, Request | Response | Frame)
        if isinstance(event, Frame) and event.opcode is Opcode.TEXT is OP_TEXT:
            receiver.send_text(bytes(event.data), fin=True)


def use_protocols() -> None:
    client = ClientProtocol(
        parse_uri("ws://localhost/"),
        extensions=[ClientPerMessageDeflateFactory(), OfferReversing()],
        subprotocols=[Subprotocol("chat")],
    )
    server = ServerProtocol(extensions=[AcceptReversing()])
    assert_type(client.side, Side)
    request = client.connect()
    assert_type(request, Request)
    client.send_request(request)
    move_bytes(client, server)
    response = server.accept(request)
    assert_type(response, Response)
    server.send_response(response)
    assert_type(client.handshake_exc, Exception | None)
    assert_type(client.close_expected(), bool)


class Reversing(Extension):
    name = ExtensionName("x-reverse")

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        return dataclasses.replace(frame, data=bytes(frame.data)[::-1])

    def encode(self, frame: Frame) -> Frame:
        return dataclasses.replace(frame, data=bytes(frame.data)[::-1])


class OfferReversing(ClientExtensionFactory):
    name = ExtensionName("x-reverse")

    def get_request_params(self) -> list[ExtensionParameter]:
        return [("fast", None)]

    def process_response_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> Reversing:
        return Reversing()


class AcceptReversing(ServerExtensionFactory):
    name = ExtensionName("x-reverse")

    def process_request_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> tuple[list[ExtensionParameter], Reversing]:
        return [], Reversing()


class RoomIsFull(WebSocketException):
    pass


def handle_exceptions(exc: Exception) -> None:
    if isinstance(exc, WebSocketProtocolError):
        raise RoomIsFull from exc
