"""Drives ws-asyncio, on an event loop in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import ws_asyncio.client
import ws_asyncio.router
import ws_asyncio.server

from ..driver import TIMEOUT, Driver, End, start_in_thread, wait_if_needed


class AsyncioDriver(Driver):
    name = "ws-asyncio"
    client = ws_asyncio.client
    server = ws_asyncio.server
    router = ws_asyncio.router

    def __init__(self):
        self.lost = []
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(lambda _, context: self.lost.append(context))
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

    def start(self, function, *args, **kwargs):
        async def call():
            return await wait_if_needed(function(*args, **kwargs))

        return asyncio.run_coroutine_threadsafe(call(), self.loop)

    def start_within(self, seconds, function):
        async def call():
            async with asyncio.timeout(seconds):
                return await function()

        return self.start(call)

    def open(self, connector):
        return self.start(connector)

    def use(self, connector, body):
        async def use():
            async with connector() as connection:
                await asyncio.wrap_future(start_in_thread(body, End(self, connection)))

        return self.start(use)

    def iterate(self, uri, options, body):
        connector = self.connector(uri, **options)

        async def iterate():
            async with contextlib.aclosing(aiter(connector())) as connections:
                async for connection in connections:
                    if await asyncio.wrap_future(start_in_thread(body, End(self, connection))):
                        break

        return self.start(iterate)

    def collect(self, iterable):
        async def collect():
            return [item async for item in iterable]

        return self.start(collect)

    def ping(self, connection, data):
        async def ping():
            return await (await connection.ping(data))

        return self.start(ping)

    def listen(self, function, handler, *args, **options):
        if not args:
            args = "127.0.0.1", 0
        server = self.start(function, handler, *args, **options).result(TIMEOUT)
        return server, server.sockets[0].getsockname()

    def stop(self, server, **options):
        async def stop():
            server.close(**options)
            await server.wait_closed()

        return self.start(stop)

    def adapt(self, handler):
        async def adapted(connection):
            await asyncio.wrap_future(start_in_thread(handler, End(self, connection)))

        return adapted

    def leftovers(self):
        async def other_tasks():
            # What has ended isn't gone before the event loop has gone round.
            await asyncio.sleep(0)
            return [*(asyncio.all_tasks() - {asyncio.current_task()}), *self.lost]

        return self.start(other_tasks).result(TIMEOUT)

    def quit(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(TIMEOUT)
        self.loop.close()
