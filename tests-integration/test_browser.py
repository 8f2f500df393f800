"""A real browser: the demo in two windows, and what pages see of a server."""

import asyncio
import contextlib
import json
import re
import signal
import subprocess
import sys
import urllib.parse
from pathlib import Path

import pytest

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

ROOT = Path(__file__).resolve().parents[1]
REPORTS = ROOT / "reports"

TIMEOUT = 20

pytestmark = pytest.mark.slow


# The demo


async def test_two_pages_of_the_demo_talk_to_each_other(demo, open_page, capsys):
    _, address = demo
    alice = await open_page(address, width=640, height=720)
    await alice.wait_until("state.innerText === 'Connected'")
    assert await alice.text("#messages") == [""]
    bob = await open_page(address, width=640, height=720)
    for page, name in [(alice, "Alice"), (bob, "Bob")]:
        await page.type("#name", name)
        await page.press_enter()
        await page.wait_until(f"people.innerText.includes('{name}')")

    conversation = [
        (alice, "Alice", "Hello, is anybody there?"),
        (bob, "Bob", "Yes! I can read you loud and clear."),
        (alice, "Alice", "Good. And <b>this</b> isn't bold, I hope? <img src=x onerror=alert(1)>"),
        (bob, "Bob", "It is exactly as you wrote it. Naïve café, привет, שלום!"),
    ]
    for number, (page, _, words) in enumerate(conversation, 1):
        await page.type("#text", words)
        await page.press_enter()
        for reader in (alice, bob):
            await reader.wait_until(f"messages.children.length === {number}")

    for page, name in [(alice, "Alice"), (bob, "Bob")]:
        assert await page.text(".text") == [words for _, _, words in conversation]
        assert await page.text(".name") == ["Alice", "Bob", "Alice", "Bob"]
        assert all(re.fullmatch(r"\d+:\d\d(\s[AP]M)?", time) for time in await page.text(".time"))
        assert await page.text(".mine .name") == [name, name]
        assert await page.text("#state") == ["Connected"]
        assert await page.text("#people") == ["2 people in the room: Alice, Bob"]
        assert await page.evaluate("return textField.value") == ""
        await page.take_screenshot(REPORTS / f"demo-{name.lower()}.png")
        # Its security policy is strict, and it keeps to it.
        assert page.complaints == []
    with capsys.disabled():
        print(f"\nWhat the demo looks like: {REPORTS}/demo-alice.png, demo-bob.png")


async def test_page_of_the_demo_shows_who_leaves(demo, open_page):
    _, address = demo
    stays, leaves = await open_page(address), await open_page(address)
    await stays.wait_until("people.innerText.startsWith('2 people')")
    await leaves.command("Page.close")
    await stays.wait_until("people.innerText.startsWith('1 person')")
    assert await stays.text("#state") == ["Connected"]


async def test_page_of_the_demo_leaves_and_enters_with_its_visitor(demo, open_page):
    _, address = demo
    stays, moves = await open_page(address), await open_page(address)
    await stays.wait_until("people.innerText.startsWith('2 people')")
    await moves.command("Page.navigate", url="about:blank")
    await stays.wait_until("people.innerText.startsWith('1 person')")
    # Not history.back(): the page that calls it may be gone before it can say that it did.
    history = await moves.command("Page.getNavigationHistory")
    before = history["entries"][history["currentIndex"] - 1]
    await moves.command("Page.navigateToHistoryEntry", entryId=before["id"])
    await stays.wait_until("people.innerText.startsWith('2 people')")


async def test_page_of_the_demo_reconnects_after_the_server_is_gone(demo, open_page):
    process, address = demo
    page = await open_page(address)
    await page.wait_until("state.innerText === 'Connected'")
    process.send_signal(signal.SIGINT)
    await page.wait_until("state.innerText.startsWith('Disconnected; trying again')")
    assert await page.text("#people") == [""]
    assert await page.evaluate("return send.disabled")
    async with asyncio.timeout(TIMEOUT):
        await process.wait()
    port = str(urllib.parse.urlsplit(address).port)
    again = await asyncio.create_subprocess_exec(
        *[sys.executable, str(ROOT / "examples" / "demo" / "server.py"), "--port", port],
        stdout=subprocess.PIPE,
    )
    try:
        await page.wait_until("state.innerText === 'Connected'")
        await page.type("#text", "Back again")
        await page.press_enter()
        await page.wait_until("messages.innerText.includes('Back again')")
    finally:
        again.kill()
        await again.communicate()


async def test_demo_refuses_pages_from_elsewhere(demo, open_page):
    _, address = demo
    # The page is that of a server on another port.
    async with serve_page() as elsewhere:
        page = await open_page(elsewhere)
        event = await page.evaluate(f"""
            const socket = new WebSocket("{address.replace("http", "ws")}chat?name=Eve");
            return await new Promise((resolve) => {{
                socket.onopen = () => resolve("open");
                socket.onclose = ({{ code, reason }}) => resolve([code, reason]);
            }});
        """)
        assert event == [1006, ""]
        (complaint,) = page.complaints
        assert "403" in complaint


async def test_demo_has_nothing_at_other_paths(demo, open_page):
    _, address = demo
    page = await open_page(f"{address}server.py")
    assert await page.text("body") == ["There is nothing here.\n"]
    assert await page.evaluate("return (await fetch('/index.html')).status") == 404


# What a page sees of a server


def serve_page(handler=None, **kwargs):
    """Return a context manager that runs a server, and gives the address of its empty page."""

    def process_request(connection, request):
        if request.path == "/":
            response = connection.respond(200, "<!doctype html><link rel=icon href=data:,>")
            del response.headers["Content-Type"]
            response.headers["Content-Type"] = "text/html"
            return response
        return None

    @contextlib.asynccontextmanager
    async def running():
        server = serve(handler, "127.0.0.1", 0, process_request=process_request, **kwargs)
        async with server as running:
            yield f"http://127.0.0.1:{running.sockets[0].getsockname()[1]}/"

    return running()


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


# Sends a message, and returns what comes back.
ROUND_TRIP = """
    const socket = new WebSocket(new URL("/chat", location.href.replace("http", "ws")));
    socket.binaryType = "arraybuffer";
    const answer = new Promise((resolve, reject) => {
        socket.onopen = () => socket.send(message);
        socket.onmessage = ({ data }) => resolve(data);
        socket.onclose = ({ code }) => reject(new Error(`closed with code ${code}`));
    });
"""


@pytest.mark.parametrize("text", ["", "hello", "naïve café — 你好 👋🏽\n\0"])
async def test_text_from_a_page_comes_back(open_page, text):
    async with serve_page(echo) as address:
        page = await open_page(address)
        answer = await page.evaluate(
            f"const message = {json.dumps(text)}; {ROUND_TRIP} return await answer;"
        )
        assert answer == text


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
async def test_bytes_from_a_page_come_back(open_page, size):
    async with serve_page(echo) as address:
        page = await open_page(address)
        script = f"""
            const message = new Uint8Array({size}).map((_, i) => i * 7);
            {ROUND_TRIP}
            return [...new Uint8Array(await answer)];
        """
        assert await page.evaluate(script) == [i * 7 % 256 for i in range(size)]


@pytest.mark.parametrize("compression", ["deflate", None])
async def test_large_message_from_a_page_comes_back(open_page, compression):
    size = 5 * 2**20
    received = []

    async def note_and_echo(websocket):
        message = await websocket.recv()
        received.append(len(message))
        await websocket.send(message)

    async with serve_page(note_and_echo, max_size=size, compression=compression) as address:
        page = await open_page(address)
        script = f"""
            const message = new Uint8Array({size});
            for (let i = 0; i < message.length; i += 65536)
                crypto.getRandomValues(message.subarray(i, i + 32768));
            {ROUND_TRIP}
            const bytes = new Uint8Array(await answer);
            return bytes.length === message.length && bytes.every((byte, i) => byte === message[i]);
        """
        assert await page.evaluate(script) is True
    assert received == [size]


async def test_message_in_fragments_reaches_a_page_as_one(open_page):
    async def speak(websocket):
        await websocket.send(["frag", "ment", "", "ed — é"])

    async with serve_page(speak) as address:
        page = await open_page(address)
        answer = await page.evaluate(f"const message = ''; {ROUND_TRIP} return await answer;")
        assert answer == "fragmented — é"


@pytest.mark.parametrize("compression, extension", [("deflate", "permessage-deflate"), (None, "")])
async def test_page_and_server_agree_on_compression(open_page, compression, extension):
    responses = []

    async def note(websocket):
        responses.append(websocket.response.headers.get("Sec-WebSocket-Extensions", ""))
        await echo(websocket)

    async with serve_page(note, compression=compression) as address:
        page = await open_page(address)
        script = f"const message = ''; {ROUND_TRIP} await answer; return socket.extensions;"
        seen = await page.evaluate(script)
    assert seen.partition(";")[0] == extension
    assert responses[0].partition(";")[0] == extension


async def test_page_and_server_agree_on_a_subprotocol(open_page):
    async def speak(websocket):
        await websocket.send(websocket.subprotocol)

    async with serve_page(speak, subprotocols=["superchat", "chat"]) as address:
        page = await open_page(address)
        script = """
            const url = new URL("/chat", location.href.replace("http", "ws"));
            const socket = new WebSocket(url, ["talk", "chat", "superchat"]);
            const { data } = await new Promise((resolve) => socket.onmessage = resolve);
            return [data, socket.protocol];
        """
        assert await page.evaluate(script) == ["superchat", "superchat"]


# Waits for the end of a connection, and returns what the page is told about it.
END = """
    const { code, reason, wasClean } = await new Promise((resolve) => socket.onclose = resolve);
    return [code, reason, wasClean];
"""


@pytest.mark.parametrize(
    "code, reason", [(1000, ""), (1001, "bye"), (1011, "oops"), (4999, "adieu — ça va 👋" * 5)]
)
async def test_page_sees_why_the_server_closes(open_page, code, reason):
    async def leave(websocket):
        await websocket.close(code, reason)

    async with serve_page(leave) as address:
        page = await open_page(address)
        script = f"""
            const socket = new WebSocket(new URL("/chat", location.href.replace("http", "ws")));
            {END}
        """
        assert await page.evaluate(script) == [code, reason, True]


async def test_page_sees_that_its_message_is_too_big(open_page):
    async with serve_page(echo, max_size=1000) as address:
        page = await open_page(address)
        script = f"""
            const socket = new WebSocket(new URL("/chat", location.href.replace("http", "ws")));
            socket.onopen = () => socket.send("x".repeat(2000));
            {END}
        """
        code, _, was_clean = await page.evaluate(script)
        assert (code, was_clean) == (1009, True)


@pytest.mark.parametrize(
    "arguments, code, reason",
    [("", 1005, ""), ("1000", 1000, ""), ("3000, 'farewell — 👋'", 3000, "farewell — 👋")],
)
async def test_server_sees_why_a_page_closes(open_page, arguments, code, reason):
    closed = asyncio.get_running_loop().create_future()

    async def wait(websocket):
        with contextlib.suppress(ConnectionClosed):
            await websocket.recv()
        closed.set_result((websocket.close_code, websocket.close_reason))

    async with serve_page(wait) as address:
        page = await open_page(address)
        script = f"""
            const socket = new WebSocket(new URL("/chat", location.href.replace("http", "ws")));
            socket.onopen = () => socket.close({arguments});
            {END}
        """
        assert await page.evaluate(script) == [code, reason, True]
        async with asyncio.timeout(TIMEOUT):
            assert await closed == (code, reason)


async def test_server_sees_a_page_go_away(open_page):
    opened = asyncio.get_running_loop().create_future()
    closed = asyncio.get_running_loop().create_future()

    async def wait(websocket):
        opened.set_result(None)
        await websocket.wait_closed()
        closed.set_result(websocket.close_code)

    async with serve_page(wait) as address:
        page = await open_page(address)
        await page.evaluate("""
            window.socket = new WebSocket(new URL("/chat", location.href.replace("http", "ws")));
        """)
        async with asyncio.timeout(TIMEOUT):
            await opened
            await page.command("Page.close")
            assert await closed == 1001


@pytest.mark.parametrize("allowed", [True, False])
async def test_server_checks_the_origin_of_a_page(open_page, allowed):
    async with serve_page() as page_address:
        origins = [page_address.rstrip("/") if allowed else "http://example.com"]
        async with serve(echo, "127.0.0.1", 0, origins=origins) as server:
            port = server.sockets[0].getsockname()[1]
            page = await open_page(page_address)
            script = f"""
                const socket = new WebSocket("ws://127.0.0.1:{port}/");
                socket.onopen = () => socket.close(1000);
                {END}
            """
            assert await page.evaluate(script) == (
                [1000, "", True] if allowed else [1006, "", False]
            )
