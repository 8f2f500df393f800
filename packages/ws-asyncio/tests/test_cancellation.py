"""Cancelling whatever waits, at every point where it waits.

Each of these tests does the same thing many times: it runs a coroutine for a number of rounds of
the event loop, one more each time, cancels it, and looks at what the others still can do.
"""

import asyncio
import contextlib
import functools
import itertools

import pytest

from ws_protocol.exceptions import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
)
from ws_protocol.frames import Opcode
from ws_protocol.protocol import Side, State


def nothing():
    """Do nothing, for a round of the event loop."""


async def cancel_after(rounds, coroutine, actions=()):
    """Run a coroutine for some rounds of the event loop, and cancel it then.

    Args:
        rounds: How many rounds.
        coroutine: The coroutine.
        actions: What happens meanwhile, in one round each; those for which there was no time
            happen after the cancellation.

    Returns:
        The task, which is done, and whether it was done before it was cancelled.

    """
    actions = iter(actions)
    task = asyncio.create_task(coroutine)
    for _ in range(rounds):
        await asyncio.sleep(0)
        next(actions, nothing)()
    finished = task.done()
    task.cancel()
    for action in actions:
        await asyncio.sleep(0)
        action()
    await asyncio.wait([task])
    return task, finished


def slowly(actions, rounds=3):
    """Let some rounds go by after each action."""
    return [step for action in actions for step in [action, *[nothing] * rounds]]


async def receive_rest(connection):
    """Return all messages until the connection is closed."""
    messages = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            messages.append(await connection.recv())
    return messages


# Receiving

MESSAGES = ["one", ["tw", "o", ""], b"three", [b"fo", b"ur"], ["\u20ac", "\u20ac"], "", "last"]
WHOLE = ["one", "two", b"three", b"four", "\u20ac\u20ac", "", "last"]


def cut(peer, size):
    """Return what the peer is to send: by bytes, by frames, or whole."""
    if size == "bytes":
        return [bytes([byte]) for byte in peer.collect()]
    # What a server sends isn't masked.
    data, frames = peer.collect(), []
    while data:
        frames.append(data[: 2 + data[1]])
        data = data[2 + data[1] :]
    return frames if size == "frames" else [b"".join(frames)]


async def receive(connection, received):
    while True:
        received.append(await connection.recv())


async def iterate(connection, received):
    async for message in connection:
        received.append(message)


async def receive_with_wait_for(connection, received):
    while True:
        received.append(await asyncio.wait_for(connection.recv(), 1000))


async def receive_with_timeout(connection, received):
    while True:
        async with asyncio.timeout(1000):
            message = await connection.recv()
        received.append(message)


RECEIVERS = [receive, iterate, receive_with_timeout, receive_with_wait_for]


@pytest.mark.parametrize("receiver", RECEIVERS)
@pytest.mark.parametrize("size", ["whole", "frames", "bytes"])
@pytest.mark.parametrize("max_queue", [0, 1, 16])
async def test_cancelling_recv_loses_no_message(link, receiver, size, max_queue):
    rounds = 0
    while True:
        connection, peer = await link(max_queue=max_queue)
        peer.put(*MESSAGES)
        chunks = [functools.partial(peer.transport.receive, chunk) for chunk in cut(peer, size)]
        actions = chunks if size == "bytes" else slowly(chunks)
        received = []
        task, _ = await cancel_after(rounds, receiver(connection, received), actions)
        # In Python 3.11, wait_for() ignores it at the very moment when it is done, and is called
        # again.
        assert task.cancelled() or isinstance(task.exception(), TimeoutError)
        peer.close()
        assert received + await receive_rest(connection) == WHOLE, f"after {rounds} rounds"
        assert connection.close_code == 1000
        if rounds > len(actions) + 5:
            break
        rounds += 1
    # It wasn't cancelled too early to see anything.
    assert received == WHOLE


@pytest.mark.parametrize("size", ["frames", "bytes"])
@pytest.mark.parametrize("every", [1, 2, 3, 5])
async def test_cancelling_recv_again_and_again_loses_no_message(link, size, every):
    connection, peer = await link(max_queue=1)
    peer.put(*MESSAGES * 5)
    received = []
    task = asyncio.create_task(receive(connection, received))
    for i, chunk in enumerate(cut(peer, size)):
        await asyncio.sleep(0)
        peer.transport.receive(chunk)
        if i % every == 0:
            task.cancel()
            await asyncio.wait([task])
            task = asyncio.create_task(receive(connection, received))
    peer.close()
    with pytest.raises(ConnectionClosedOK):
        await task
    assert received == WHOLE * 5


@pytest.mark.parametrize(
    "function, seconds",
    # With 0 seconds, wait_for() doesn't even begin.
    [*itertools.product(["wait_for", "timeout"], [0.1, 0.5, 0.7, 1, 3]), ("timeout", 0)],
)
async def test_timeouts_of_recv_lose_no_message_of_those_that_trickle_in(link, function, seconds):
    # Without pings, whose pongs would come in the middle of frames.
    connection, peer = await link(ping_interval=None)
    # Some come at the very moment of the timeout.
    peer.put(*[f"message {i}" for i in range(50)])
    loop = asyncio.get_running_loop()
    start = loop.time()
    for i, chunk in enumerate(cut(peer, "frames")):
        half = len(chunk) // 2
        loop.call_at(start + i * 0.5, peer.transport.receive, chunk[:half])
        loop.call_at(start + i * 0.5 + 0.2, peer.transport.receive, chunk[half:])
    received, timeouts = [], 0
    while len(received) < 50:
        try:
            if function == "wait_for":
                received.append(await asyncio.wait_for(connection.recv(), seconds))
            else:
                async with asyncio.timeout(seconds):
                    received.append(await connection.recv())
        except TimeoutError:
            timeouts += 1
            await asyncio.sleep(0.05)
    assert received == [f"message {i}" for i in range(50)]
    assert timeouts or seconds >= 0.5


TEXT_MESSAGES = ["one;", ["t", "w", "o;"], ["\u20ac", ";"], ["four", ";"], ";", ["last", "", "."]]
TEXT = "one;two;\u20ac;four;;last."


@pytest.mark.parametrize("size", ["whole", "frames", "bytes"])
@pytest.mark.parametrize("max_queue", [0, 1, 16])
async def test_cancelling_recv_streaming_loses_no_fragment(link, size, max_queue):
    async def stream(connection, received):
        while True:
            async for fragment in connection.recv_streaming():
                received.append(fragment)
                await asyncio.sleep(0)

    rounds = interrupted = 0
    while True:
        connection, peer = await link(max_queue=max_queue)
        # Where characters are cut, too.
        peer.put(*TEXT_MESSAGES[:2])
        peer.protocol.send_text("\u20ac".encode()[:2], fin=False)
        peer.protocol.send_continuation("\u20ac".encode()[2:] + b";", fin=True)
        peer.put(*TEXT_MESSAGES[3:])
        chunks = [functools.partial(peer.transport.receive, chunk) for chunk in cut(peer, size)]
        actions = chunks if size == "bytes" else slowly(chunks)
        received = []
        await cancel_after(rounds, stream(connection, received), actions)
        peer.close()
        try:
            received.append(await connection.recv())
        except ConcurrencyError:
            interrupted += 1
            # The rest of the message is still there.
            received += [fragment async for fragment in connection.recv_streaming()]
        except ConnectionClosedOK:
            pass
        received += await receive_rest(connection)
        assert "".join(received) == TEXT, f"after {rounds} rounds"
        if rounds > len(actions) + 20:
            break
        rounds += 1
    assert interrupted


async def test_cancelling_recv_after_it_was_woken_keeps_the_message(link, clock):
    connection, peer = await link()
    task = asyncio.create_task(connection.recv())
    await clock.settle()
    peer.send("Hello")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await connection.recv() == "Hello"


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("streaming", [False, True])
async def test_cancelling_recv_that_fails_the_connection_does_not_stop_that(link, side, streaming):
    for rounds in range(1, 8):
        connection, peer = await link(side)
        peer.send(b"\xff", "last")
        stream = connection.recv_streaming(decode=True)
        await cancel_after(rounds, anext(stream) if streaming else connection.recv(decode=True))
        await connection.wait_closed()
        assert peer.protocol.close_rcvd.code == 1007
        assert await connection.recv() == "last"
        with pytest.raises(ConnectionClosedError) as raised:
            await connection.recv()
        assert isinstance(raised.value.__cause__, UnicodeDecodeError)


# Sending


async def asynchronously(items):
    """Yield items, and let others run in between."""
    for item in items:
        await asyncio.sleep(0)
        yield item


FRAGMENTS = ["frag", "men", "ted"]
KINDS = {
    "message": lambda: "fragmented",
    "fragments": lambda: FRAGMENTS,
    "asynchronous fragments": lambda: asynchronously(FRAGMENTS),
}


async def prepare_nothing(connection, peer):
    return [], []


def unblock_slowly(transport):
    """Let the peer read frame by frame, and then all."""
    return [*[lambda: transport.unblock(len(transport.buffer))] * 6, transport.unblock]


async def prepare_blocked(connection, peer):
    connection.transport.block()
    await connection.send("before")
    return ["before"], unblock_slowly(connection.transport)


async def prepare_fragmented(connection, peer):
    """Let the fragments of another message be sent."""
    ready = asyncio.Event()

    async def fragments():
        yield "be"
        await ready.wait()
        yield "fo"
        yield "re"

    task = asyncio.create_task(connection.send(fragments()))
    await asyncio.sleep(0)
    assert not task.done()
    return ["before"], [nothing, nothing, ready.set]


async def prepare_fragmented_and_blocked(connection, peer):
    messages, actions = await prepare_fragmented(connection, peer)
    connection.transport.block()
    return messages, actions + unblock_slowly(connection.transport)


OBSTACLES = [
    prepare_nothing,
    prepare_blocked,
    prepare_fragmented,
    prepare_fragmented_and_blocked,
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("obstacle", OBSTACLES)
async def test_cancelling_send_sends_all_or_nothing_or_fails_the_connection(link, kind, obstacle):
    rounds = 0
    outcomes = set()
    while True:
        connection, peer = await link(write_limit=0)
        expected, actions = await obstacle(connection, peer)
        others = []

        def send_other(connection=connection, others=others):
            others.append(asyncio.create_task(connection.send("other")))

        # Whoever waits behind it mustn't be forgotten.
        actions = slowly([send_other, *actions])
        task, finished = await cancel_after(rounds, connection.send(KINDS[kind]()), actions)
        if connection.state is State.OPEN:
            outcome = "all" if "fragmented" in peer.messages else "nothing"
            assert outcome == "all" or not finished
            for message in ["after", ["af", "ter"]]:
                await asyncio.wait_for(connection.send(message), 1000)
            await asyncio.gather(*others)
            expected += ["fragmented"] * (outcome == "all") + ["other", "after", "after"]
            assert peer.messages == expected, f"after {rounds} rounds"
            peer.send("received")
            assert await connection.recv() == "received"
            await connection.close()
            assert connection.close_code == 1000
        else:
            outcome = "failure"
            assert task.cancelled()
            for sender in [*others, connection.send("after"), connection.send(["after"])]:
                with pytest.raises(ConnectionClosedError) as raised:
                    await sender
                assert raised.value.sent.code == 1011
            assert peer.messages == expected, f"after {rounds} rounds"
            assert peer.protocol.close_rcvd.code == 1011
        outcomes.add(outcome)
        assert isinstance(peer.protocol.parser_exc, EOFError | None)
        if finished:
            break
        rounds += 1
    # Fragments follow one another at once, unless something stops them.
    stops = kind == "asynchronous fragments" or (
        kind == "fragments" and obstacle in (prepare_blocked, prepare_fragmented_and_blocked)
    )
    assert outcomes == {"nothing", "all"} | ({"failure"} if stops else set())


async def test_cancelling_a_fragmented_message_before_its_first_fragment_sends_nothing(link, clock):
    async def wait_for_ever():
        await asyncio.Event().wait()
        yield "never"

    connection, peer = await link()
    task = asyncio.create_task(connection.send(wait_for_ever()))
    waiting = asyncio.create_task(connection.send("next"))
    await clock.settle()
    task.cancel()
    await waiting
    assert peer.messages == ["next"]


async def test_cancelled_fragments_see_the_cancellation(link, clock):
    seen = []

    async def fragments():
        yield "first"
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    connection, peer = await link()
    task = asyncio.create_task(connection.send(fragments()))
    await clock.settle()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert seen == ["cancelled"]
    await connection.wait_closed()
    assert peer.protocol.close_rcvd.code == 1011


@pytest.mark.parametrize("obstacle", OBSTACLES)
@pytest.mark.parametrize("method", ["ping", "pong"])
async def test_cancelling_ping_or_pong_sends_it_or_not(link, method, obstacle):
    rounds = 0
    while True:
        connection, peer = await link(write_limit=0)
        expected, actions = await obstacle(connection, peer)
        call = getattr(connection, method)
        _, finished = await cancel_after(rounds, call(b"same"), slowly(actions))
        opcode = Opcode[method.upper()]
        sent = peer.opcodes().count(opcode)
        assert sent == 1 if finished else sent <= 1
        if not sent:
            # It is as if it had never been called.
            await call(b"same")
        assert await asyncio.wait_for(await connection.ping(), 1000) >= 0
        await connection.send("after")
        assert peer.messages == [*expected, "after"]
        await connection.close()
        assert connection.close_code == 1000
        if finished:
            break
        rounds += 1


async def test_cancelling_what_waits_for_a_pong_leaves_the_connection_as_it_is(link):
    rounds = 0
    while True:
        connection, peer = await link()
        peer.silent = True
        pong_received = await connection.ping()

        async def wait(pong_received=pong_received):
            await pong_received

        _, finished = await cancel_after(rounds, wait(), slowly([nothing, peer.flush]))
        peer.silent = False
        assert await (await connection.ping()) >= 0
        assert connection.state is State.OPEN
        if finished:
            break
        rounds += 1


async def call_send(connection):
    await connection.send("a")


async def call_send_fragments(connection):
    await connection.send(["a"])


async def call_ping(connection):
    await connection.ping()


@pytest.mark.parametrize("call", [call_send, call_send_fragments, call_ping])
async def test_cancelling_what_is_refused_while_closing_does_not_disturb_closing(link, call):
    rounds = 0
    while True:
        connection, peer = await link()
        peer.silent = True
        closing = asyncio.create_task(connection.close())
        await asyncio.sleep(0)
        _, finished = await cancel_after(rounds, call(connection), [nothing, peer.flush])
        await closing
        assert connection.close_code == 1000
        assert peer.opcodes() == [Opcode.CLOSE]
        if finished:
            break
        rounds += 1


# Closing


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("answers", [True, False])
async def test_cancelling_close_does_not_stop_it(link, side, tls, answers):
    rounds = 0
    while True:
        connection, peer = await link(side, tls=tls)
        peer.send("last")
        peer.silent = True
        actions = slowly([nothing, peer.flush, peer.flush] if answers else [nothing])
        _, finished = await cancel_after(rounds, connection.close(), actions)
        if rounds == 0:
            # It didn't even begin.
            assert connection.state is State.OPEN
            peer.silent = False
            await connection.close()
        else:
            await connection.wait_closed()
            await connection.close()
        assert connection.state is State.CLOSED
        assert connection.close_code == (1000 if answers or rounds == 0 else 1006)
        assert await receive_rest(connection) == ["last"]
        if finished or not answers:
            break
        rounds += 1


async def test_cancelling_wait_closed_closes_nothing(link):
    rounds = 0
    while True:
        connection, peer = await link()
        actions = slowly([nothing, peer.close]) if rounds > 5 else []
        _, finished = await cancel_after(rounds, connection.wait_closed(), actions)
        if rounds <= 5:
            assert connection.state is State.OPEN
            await connection.send("still open")
            assert peer.messages == ["still open"]
            await connection.close()
        await connection.wait_closed()
        assert connection.close_code == 1000
        if finished:
            break
        rounds += 1


async def test_cancelling_the_body_of_a_context_closes_the_connection(link):
    async def run(connection):
        async with connection:
            await connection.recv()

    for rounds in range(1, 6):
        connection, peer = await link()
        task, _ = await cancel_after(rounds, run(connection))
        assert task.cancelled()
        assert connection.state is State.CLOSED
        assert peer.protocol.close_rcvd.code == 1011


async def test_cancelling_the_exit_of_a_context_does_not_stop_closing(link):
    async def run(connection):
        async with connection:
            pass

    rounds = 1
    while True:
        connection, peer = await link()
        peer.silent = True
        _, finished = await cancel_after(rounds, run(connection), slowly([nothing, peer.flush]))
        await connection.wait_closed()
        assert connection.close_code == 1000
        if finished:
            break
        rounds += 1


@pytest.mark.parametrize("other", ["recv", "send", "close", "ping"])
async def test_cancelling_one_task_does_not_disturb_another(link, clock, other):
    connection, peer = await link(write_limit=0)
    peer.silent = True
    connection.transport.block()
    await connection.send("before")
    tasks = {
        "recv": asyncio.create_task(connection.recv()),
        "send": asyncio.create_task(connection.send("sent")),
        "ping": asyncio.create_task(connection.ping()),
        "close": asyncio.create_task(connection.wait_closed()),
    }
    await clock.settle()
    task = tasks.pop(other)
    task.cancel()
    await asyncio.wait([task])
    connection.transport.unblock()
    peer.send("received")
    await clock.settle()
    assert {name for name, task in tasks.items() if task.done()} == {"recv", "send", "ping"} - {
        other
    }
    peer.close()
    for name, task in tasks.items():
        result = await task
        if name == "recv":
            assert result == "received"
        elif name == "ping":
            assert await result >= 0
    if other == "recv":
        assert await connection.recv() == "received"
    assert peer.messages == (["before"] if other == "send" else ["before", "sent"])
