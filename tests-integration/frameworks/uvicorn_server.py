"""Runs an ASGI application on uvicorn.

The argument is which of uvicorn's ways to have WebSocket connections it uses.
"""

import json
import sys
import urllib.parse

import common
import uvicorn

endings = common.Endings()


async def app(scope, receive, send):
    if scope["type"] == "http":
        await send_response(send, "http", 200, [(b"content-type", b"text/html")], common.PAGE)
    else:
        assert await receive() == {"type": "websocket.connect"}
        query = dict(urllib.parse.parse_qsl(scope["query_string"].decode(), keep_blank_values=True))
        await ENDPOINTS[scope["path"]](scope, query, receive, send)


async def send_response(send, kind, status, headers, body):
    await send({"type": f"{kind}.response.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.response.body", "body": body})


async def accept(scope, send):
    await send(
        {
            "type": "websocket.accept",
            "subprotocol": "chat" if "chat" in scope["subprotocols"] else None,
            "headers": [(b"x-framework", b"uvicorn")],
        }
    )


async def send_text(send, text):
    await send({"type": "websocket.send", "text": text})


async def echo(scope, query, receive, send):
    await accept(scope, send)
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})
    assert message["type"] == "websocket.disconnect"
    if "name" in query:
        endings.note(query["name"], message["code"], message.get("reason") or "")


async def tell_handshake(scope, query, receive, send):
    """Say what the handshake was."""
    await accept(scope, send)
    headers = {name.decode(): value.decode("utf-8") for name, value in scope["headers"]}
    await send_text(send, json.dumps({"headers": headers, "query": query}))


async def tell_ending(scope, query, receive, send):
    """Say how another connection ended, as soon as it did."""
    await accept(scope, send)
    await send_text(send, json.dumps(await endings.wait(query["name"])))


async def tell_modules(scope, query, receive, send):
    """Say which modules are imported."""
    await accept(scope, send)
    await send_text(send, json.dumps(common.modules()))


async def close(scope, query, receive, send):
    await accept(scope, send)
    code, reason = int(query["code"]), query["reason"]
    await send({"type": "websocket.close", "code": code, "reason": reason})


async def reject(scope, query, receive, send):
    await send({"type": "websocket.close"})


async def respond(scope, query, receive, send):
    assert "websocket.http.response" in scope["extensions"]
    await send_response(send, "websocket.http", 401, [(b"x-framework", b"uvicorn")], b"Who?\n")


async def fail(scope, query, receive, send):
    await accept(scope, send)
    raise RuntimeError("this application is broken")


async def fail_early(scope, query, receive, send):
    raise RuntimeError("this application is broken")


ENDPOINTS = {
    "/close": close,
    "/echo": echo,
    "/ending": tell_ending,
    "/fail": fail,
    "/fail-early": fail_early,
    "/handshake": tell_handshake,
    "/modules": tell_modules,
    "/reject": reject,
    "/respond": respond,
}

if __name__ == "__main__":
    config = uvicorn.Config(app, ws=sys.argv[1], ws_max_size=common.MAX_SIZE, lifespan="off")
    uvicorn.Server(config).run(sockets=[common.listen()])
