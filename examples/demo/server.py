"""A chat room: one server, which answers HTTP with a page, and WebSocket with the chat.

Run it, and open the address that it prints in two windows. Ctrl+C stops it.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import datetime
import hashlib
import http
import json
import re
import urllib.parse
from pathlib import Path

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.http11 import Request, Response

PAGE = Path(__file__).with_name("index.html").read_text(encoding="utf-8")

# Who is in the room, and by which name.
room: dict[ServerConnection, str] = {}


# The chat


async def chat(websocket: ServerConnection) -> None:
    """Let somebody into the room, and tell everybody there what they say."""
    assert websocket.request is not None
    query = urllib.parse.parse_qs(websocket.request.path.partition("?")[2])
    name = query.get("name", [""])[0].strip()[:30] or "Somebody"
    await websocket.send(json.dumps({"you": str(websocket.id)}))
    room[websocket] = name
    announce_people()
    try:
        while True:
            text = await websocket.recv(decode=True)
            if text.strip():
                now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
                message = {"id": str(websocket.id), "name": name, "text": text, "time": now}
                broadcast(room, json.dumps(message))
    finally:
        del room[websocket]
        announce_people()


def announce_people() -> None:
    """Tell everybody who is in the room."""
    broadcast(room, json.dumps({"people": list(room.values())}))


# The page


def allow(element: str) -> str:
    """Return what allows the style or the script of the page, and no other."""
    content = re.findall(f"<{element}>(.*?)</{element}>", PAGE, re.DOTALL)[0]
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; script-src {allow('script')}; style-src {allow('style')}; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def answer(connection: ServerConnection, request: Request) -> Response | None:
    """Answer a request with the page, or return None to let it into the chat."""
    path = request.path.partition("?")[0]
    if path == "/chat":
        # Browsers let any page on the web connect. This chat is for its own page only.
        host = request.headers.get("Host", "")
        if request.headers.get("Origin") in {f"http://{host}", f"https://{host}"}:
            return None
        return connection.respond(http.HTTPStatus.FORBIDDEN, "This chat is for its own page.\n")
    if path != "/":
        return connection.respond(http.HTTPStatus.NOT_FOUND, "There is nothing here.\n")
    response = connection.respond(http.HTTPStatus.OK, PAGE)
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = "text/html; charset=utf-8"
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response


async def main(host: str, port: int) -> None:
    """Serve until it is stopped."""
    async with serve(chat, host, port, process_request=answer, max_size=2**12) as server:
        address, port = server.sockets[0].getsockname()[:2]
        if ":" in address:
            address = f"[{address}]"
        print(f"The chat is at http://{address}:{port}/", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Run a chat room, with a page to open.")
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument(
        "--port", type=int, default=8765, help="default: %(default)s; 0 picks a free one"
    )
    arguments = parser.parse_args()
    try:
        asyncio.run(main(arguments.host, arguments.port))
    except KeyboardInterrupt:
        pass
    except OSError as exc:
        parser.error(f"can't listen there: {exc}")
