"""Has connections of the public library websockets."""

import asyncio
import ssl

import control

import websockets
from websockets.asyncio import client, server
from websockets.exceptions import ConnectionClosed

tasks = set()


class Connection:
    def __init__(self, websocket):
        self.websocket = websocket

    async def run(self):
        number = control.tell_open(
            self,
            subprotocol=self.websocket.subprotocol,
            compression="Sec-WebSocket-Extensions" in self.websocket.response.headers,
        )
        self.number = number
        try:
            async for message in self.websocket:
                control.tell_message(number, message)
        except ConnectionClosed:
            pass
        code, reason = self.websocket.close_code, self.websocket.close_reason
        control.tell("close", connection=number, code=code, reason=reason)

    async def send(self, fragments):
        await self.websocket.send(fragments if len(fragments) > 1 else fragments[0])

    async def ping(self, data):
        await (await self.websocket.ping(data))
        control.tell("pong", connection=self.number, data=data)

    async def close(self, code, reason):
        await self.websocket.close(code, reason)


async def listen(compression, subprotocol, certificate, key):
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
    listening = await server.serve(
        lambda websocket: Connection(websocket).run(),
        "127.0.0.1",
        0,
        ssl=context,
        compression="deflate" if compression else None,
        subprotocols=[subprotocol],
    )
    return listening.sockets[0].getsockname()[1]


async def connect(url, compression, subprotocol, ca):
    websocket = await client.connect(
        url,
        ssl=None if ca is None else ssl.create_default_context(cafile=ca),
        compression="deflate" if compression else None,
        subprotocols=[subprotocol],
        proxy=None,
    )
    task = asyncio.create_task(Connection(websocket).run())
    tasks.add(task)
    task.add_done_callback(tasks.discard)


asyncio.run(control.main(websockets, listen, connect))
