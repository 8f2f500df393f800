"""Programs that type checkers must reject: each line whose errors are ignored must have one.

Checked, not run. What is ignored without need is an error, too.
"""

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request
from websockets.protocol import Stat  # type: ignore[attr-defined]  # noqa: F401
from websockets.sync import client as sync_client
from websockets.sync.server import Serve  # type: ignore[attr-defined]  # noqa: F401


async def handler(websocket: ServerConnection) -> None: ...


async def handler_with_path(websocket: ServerConnection, path: str) -> None: ...


def handler_that_blocks(websocket: ServerConnection) -> None: ...


async def original_process_request(path: str, headers: dict[str, str]) -> None: ...


def process_request_with_tuple(
    websocket: ServerConnection, request: Request
) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, b""


async def use(websocket: ServerConnection) -> None:
    await websocket.send(None)  # type: ignore[arg-type]
    await websocket.send(5)  # type: ignore[arg-type]
    await websocket.send([1, 2])  # type: ignore[list-item]
    await websocket.recv(decode="yes")  # type: ignore[call-overload]
    await websocket.close("bye")  # type: ignore[arg-type]
    websocket.recv().upper()  # type: ignore[attr-defined]
    for _ in websocket:  # type: ignore[attr-defined]
        pass
    print(websocket.open)  # type: ignore[attr-defined]
    print(websocket.path)  # type: ignore[attr-defined]


async def open_connections() -> None:
    with connect("ws://localhost/"):  # type: ignore[attr-defined]
        pass
    connect("ws://localhost/").send("text")  # type: ignore[attr-defined]
    connect(b"ws://localhost/")  # type: ignore[arg-type]
    connect("ws://localhost/", additional_headers=5)  # type: ignore[arg-type]
    connect("ws://localhost/", max_size="1MB")  # type: ignore[arg-type]
    connect("ws://localhost/", ping_interval="20")  # type: ignore[arg-type]
    connect("ws://localhost/", process_exception=True)  # type: ignore[arg-type]
    connect("ws://localhost/", subprotocols="chat")  # type: ignore[arg-type]
    sync_client.connect("ws://localhost/").recv(decode="yes")  # type: ignore[call-overload]


async def run_servers() -> None:
    serve(handler_with_path)  # type: ignore[arg-type]
    serve(handler_that_blocks)  # type: ignore[arg-type]
    serve(handler, 8765)  # type: ignore[arg-type]
    serve(handler, "localhost", "8765")  # type: ignore[arg-type]
    serve(handler, max_connections="many")  # type: ignore[arg-type]
    serve(handler, origins="https://example.com")  # type: ignore[arg-type]
    serve(handler, process_request=original_process_request)  # type: ignore[arg-type]
    serve(handler, process_request=process_request_with_tuple)  # type: ignore[arg-type]
