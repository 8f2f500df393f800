"""Drives ws-trio, on a trio that runs in a thread."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import Future
from types import MappingProxyType

import trio
import trio.testing

import ws_trio.client
import ws_trio.router
import ws_trio.server

from ..driver import TIMEOUT, Driver, End, wait_if_needed


class TrioDriver(Driver):
    name = "ws-trio"
    methods = MappingProxyType({"close": "aclose"})
    client = ws_trio.client
    server = ws_trio.server
    router = ws_trio.router

    def __init__(self):
        self.lost = []
        running = Future()

        async def run():
            async with trio.open_nursery() as self.nursery:
                self.own_tasks = len(self.nursery.child_tasks)
                running.set_result(trio.lowlevel.current_trio_token())
                await trio.sleep_forever()

        def run_thread():
            try:
                trio.run(run)
            except BaseException as exc:
                self.lost.append(exc)

        self.thread = threading.Thread(target=run_thread)
        self.thread.start()
        self.token = running.result(TIMEOUT)

    def start(self, function, *args, **kwargs):
        future = Future()

        async def call():
            try:
                future.set_result(await wait_if_needed(function(*args, **kwargs)))
            except trio.Cancelled as exc:
                future.set_exception(exc)
                raise
            except BaseException as exc:
                future.set_exception(exc)

        self.token.run_sync_soon(self.nursery.start_soon, call)
        return future

    def start_within(self, seconds, function):
        async def call():
            try:
                with trio.fail_after(seconds):
                    return await function()
            except trio.TooSlowError as exc:
                raise TimeoutError from exc

        return self.start(call)

    def open(self, connector):
        return self.start(lambda: connector().connect(self.nursery))

    async def run_in_thread(self, function, connection):
        limiter = trio.CapacityLimiter(1)
        return await trio.to_thread.run_sync(function, End(self, connection), limiter=limiter)

    def use(self, connector, body):
        async def use():
            async with connector() as connection:
                await self.run_in_thread(body, connection)

        return self.start(use)

    def iterate(self, uri, options, body):
        connector = self.connector(uri, **options)

        async def iterate():
            async with contextlib.aclosing(aiter(connector())) as connections:
                async for connection in connections:
                    if await self.run_in_thread(body, connection):
                        break

        return self.start(iterate)

    def collect(self, iterable):
        async def collect():
            return [item async for item in iterable]

        return self.start(collect)

    def ping(self, connection, data):
        async def ping():
            await (await connection.ping(data)).wait()
            return connection.latency

        return self.start(ping)

    def listen(self, function, handler, *args, **options):
        if not args:
            args = (0,)
            options["host"] = "127.0.0.1"

        async def serve(task_status):
            await function(handler, *args, task_status=task_status, **options)

        server = self.start(self.nursery.start, serve).result(TIMEOUT)
        listener = server.listeners[0]
        listener = getattr(listener, "transport_listener", listener)
        return server, listener.socket.getsockname()

    def stop(self, server, **options):
        return self.start(server.aclose, **options)

    def adapt(self, handler):
        async def adapted(connection):
            await self.run_in_thread(handler, connection)

        return adapted

    def leftovers(self):
        async def other_tasks():
            # What has ended isn't gone before trio has gone round.
            await trio.testing.wait_all_tasks_blocked()
            own = trio.lowlevel.current_task()
            return [*(self.nursery.child_tasks - {own}), *self.lost]

        return self.start(other_tasks).result(TIMEOUT)

    def quit(self):
        self.token.run_sync_soon(self.nursery.cancel_scope.cancel)
        self.thread.join(TIMEOUT)
        assert self.lost == []
