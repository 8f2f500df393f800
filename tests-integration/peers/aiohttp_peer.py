"""Has connections of aiohttp."""

import asyncio
import ssl

import aiohttp
import aiohttp.web
import control
from aiohttp import WSMsgType

tasks = set()


class Connection:
    def __init__(self, websocket, subprotocol):
        self.websocket = websocket
        self.subprotocol = subprotocol
        self.closing = None

    async def run(self):
        self.number = control.tell_open(
            self, subprotocol=self.subprotocol, compression=bool(self.websocket.compress)
        )
        while True:
            message = await self.websocket.receive()
            if message.type in {WSMsgType.TEXT, WSMsgType.BINARY}:
                control.tell_message(self.number, message.data)
            elif message.type is WSMsgType.PING:
                await self.websocket.pong(message.data)
            elif message.type is WSMsgType.PONG:
                control.tell("pong", connection=self.number, data=message.data.decode())
            else:
                break
        if self.closing is not None:
            await self.closing.wait()
        # When it closes the connection, it doesn't say what the reason in the answer was.
        code, reason = self.websocket.close_code, message.extra
        control.tell("close", connection=self.number, code=code, reason=reason)

    async def send(self, fragments):
        (message,) = fragments
        if isinstance(message, str):
            await self.websocket.send_str(message)
        else:
            await self.websocket.send_bytes(message)

    async def ping(self, data):
        await self.websocket.ping(data.encode())

    async def close(self, code, reason):
        self.closing = asyncio.Event()
        await self.websocket.close(code=code, message=reason.encode())
        self.closing.set()


async def listen(compression, subprotocol, certificate, key):
    async def handle(request):
        websocket = aiohttp.web.WebSocketResponse(
            autoping=False, compress=compression, protocols=[subprotocol]
        )
        await websocket.prepare(request)
        await Connection(websocket, websocket.ws_protocol).run()
        return websocket

    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
    app = aiohttp.web.Application()
    app.router.add_get("/", handle)
    runner = aiohttp.web.AppRunner(app)
    await runner.setup()
    site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    return runner.addresses[0][1]


async def connect(url, compression, subprotocol, ca):
    session = aiohttp.ClientSession()
    websocket = await session.ws_connect(
        url,
        autoping=False,
        compress=15 if compression else 0,
        protocols=[subprotocol],
        ssl=True if ca is None else ssl.create_default_context(cafile=ca),
    )

    async def run():
        async with session:
            await Connection(websocket, websocket.protocol).run()

    task = asyncio.create_task(run())
    tasks.add(task)
    task.add_done_callback(tasks.discard)


asyncio.run(control.main(aiohttp, listen, connect))
