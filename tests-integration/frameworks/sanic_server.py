"""Runs an application on sanic's own server."""

import json

import common
from sanic import Sanic, response
from sanic.exceptions import Forbidden

app = Sanic("frameworks")
app.config.WEBSOCKET_MAX_SIZE = common.MAX_SIZE
endings = common.Endings()


@app.get("/")
async def page(request):
    return response.html(common.PAGE)


@app.on_request
async def reject(request):
    if request.path == "/reject":
        raise Forbidden


@app.websocket("/reject")
async def rejected(request, websocket):
    raise NotImplementedError


@app.websocket("/echo")
async def echo(request, websocket):
    try:
        async for message in websocket:
            await websocket.send(message)
    finally:
        if "name" in request.args:
            close = websocket.ws_proto.close_rcvd
            code, reason = (1006, "") if close is None else (close.code, close.reason)
            endings.note(request.args.get("name"), code, reason)


@app.websocket("/handshake", subprotocols=["chat"])
async def tell_handshake(request, websocket):
    """Say what the handshake was."""
    handshake = {"headers": dict(request.headers), "query": dict(request.query_args)}
    await websocket.send(json.dumps(handshake))


@app.websocket("/ending")
async def tell_ending(request, websocket):
    """Say how another connection ended, as soon as it did."""
    await websocket.send(json.dumps(await endings.wait(request.args.get("name"))))


@app.websocket("/modules")
async def tell_modules(request, websocket):
    """Say which modules are imported."""
    await websocket.send(json.dumps(common.modules()))


@app.websocket("/close")
async def close(request, websocket):
    await websocket.close(int(request.args.get("code")), request.args.get("reason", ""))


@app.websocket("/fail")
async def fail(request, websocket):
    raise RuntimeError("this application is broken")


if __name__ == "__main__":
    app.run(sock=common.listen(), single_process=True, motd=False, access_log=False)
