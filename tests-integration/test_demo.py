"""The demo, for programs other than a browser; test_browser.py has what a browser makes of it."""

import asyncio
import base64
import contextlib
import hashlib
import http
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from docblocks import find_blocks

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

DEMO = Path(__file__).resolve().parents[1] / "examples" / "demo" / "server.py"

TIMEOUT = 20

pytestmark = pytest.mark.slow


async def fetch(url):
    """Send a GET request; return the response, and its body."""

    def fetch():
        try:
            response = opener.open(url, timeout=TIMEOUT)
        except urllib.error.HTTPError as exc:
            response = exc
        with response:
            return response, response.read().decode()

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return await asyncio.to_thread(fetch)


@contextlib.asynccontextmanager
async def enter(address, name):
    """Enter the chat; yield a connection, and its identifier."""
    url = f"{address.replace('http', 'ws')}chat?{urllib.parse.urlencode({'name': name})}"
    async with connect(url, origin=address.rstrip("/"), proxy=None) as websocket:
        yield websocket, (await receive(websocket))["you"]


async def receive(websocket):
    """Receive what the chat tells."""
    async with asyncio.timeout(TIMEOUT):
        return json.loads(await websocket.recv())


# The command


@pytest.mark.skipif(sys.version_info < (3, 13), reason="it takes long, and is always the same")
async def test_command_of_the_readme_starts_it(reader):
    [command] = [code for code in find_blocks("README.md", "sh") if code.endswith("-s demo")]
    reader.take_repository()
    async with reader.running(f"{command} -- --port 0") as process:
        async with asyncio.timeout(300):
            async for line in process.stdout:
                if match := re.fullmatch(
                    r"The chat is at (http://127\.0\.0\.1:\d+/)\n", line.decode()
                ):
                    break
        assert match, (await process.stderr.read()).decode()
        response, _ = await fetch(match[1])
        assert response.status == 200
        os.killpg(process.pid, signal.SIGINT)
        async with asyncio.timeout(TIMEOUT):
            await process.wait()


# The page


async def test_page_comes_with_a_policy_that_allows_its_script_and_style(demo):
    _, address = demo
    response, body = await fetch(address)
    assert response.status == 200
    assert response.headers.get_all("Content-Type") == ["text/html; charset=utf-8"]
    policy = dict(
        directive.strip().split(" ", 1)
        for directive in response.headers["Content-Security-Policy"].split(";")
    )
    for element in ("script", "style"):
        (content,) = re.findall(f"<{element}>(.*?)</{element}>", body, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert policy[f"{element}-src"] == f"'sha256-{digest}'"
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == "'self'"


async def test_page_is_self_contained(demo):
    _, address = demo
    _, body = await fetch(address)
    assert all(link.startswith("data:") for link in re.findall(r'\b(?:src|href)="([^"]*)', body))
    # The name of a format.
    assert set(re.findall(r"https?://[\w./]+", body)) == {"http://www.w3.org/2000/svg"}
    assert "url(" not in body
    assert "innerHTML" not in body


@pytest.mark.parametrize("path", ["index.html", "server.py", "../server.py", "chat/", "//chat"])
async def test_other_paths_are_not_found(demo, path):
    _, address = demo
    response, body = await fetch(f"{address}{path}")
    assert (response.status, body) == (404, "There is nothing here.\n")


async def test_chat_asks_for_an_upgrade(demo):
    _, address = demo
    request = urllib.request.Request(f"{address}chat", headers={"Origin": address.rstrip("/")})
    response, _ = await fetch(request)
    assert response.status == http.HTTPStatus.UPGRADE_REQUIRED


# The chat


async def test_everybody_receives_what_somebody_says(demo):
    _, address = demo
    async with enter(address, "Alice") as (alice, alice_id), enter(address, "Bob") as (bob, _):
        assert await receive(alice) == {"people": ["Alice"]}
        assert await receive(alice) == {"people": ["Alice", "Bob"]}
        assert await receive(bob) == {"people": ["Alice", "Bob"]}
        await alice.send("Hello — 你好")
        for websocket in (alice, bob):
            message = await receive(websocket)
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]{12}\+00:00", message.pop("time"))
            assert message == {"id": alice_id, "name": "Alice", "text": "Hello — 你好"}
        await bob.close()
        assert await receive(alice) == {"people": ["Alice"]}


async def test_message_that_is_blank_goes_to_nobody(demo):
    _, address = demo
    async with enter(address, "Alice") as (websocket, _):
        assert await receive(websocket) == {"people": ["Alice"]}
        await websocket.send(" \n")
        await websocket.send("Hello")
        assert (await receive(websocket))["text"] == "Hello"


@pytest.mark.parametrize(
    "name, shown", [("", "Somebody"), ("  ", "Somebody"), (" Eve ", "Eve"), ("x" * 99, "x" * 30)]
)
async def test_name_is_made_fit_to_be_shown(demo, name, shown):
    _, address = demo
    async with enter(address, name) as (websocket, _):
        assert await receive(websocket) == {"people": [shown]}


@pytest.mark.parametrize(
    "message, code", [(b"\xff", 1007), ("x" * 5000, 1009)], ids=["not text", "too long"]
)
async def test_who_sends_what_is_not_allowed_is_shown_out(demo, message, code):
    _, address = demo
    async with enter(address, "Alice") as (alice, _), enter(address, "Eve") as (eve, _):
        await eve.send(message)
        await eve.wait_closed()
        assert eve.close_code == code
        for people in (["Alice"], ["Alice", "Eve"], ["Alice"]):
            assert await receive(alice) == {"people": people}


@pytest.mark.parametrize("origin", [None, "null", "http://example.com", "http://127.0.0.1"])
async def test_who_comes_from_elsewhere_is_not_let_in(demo, origin):
    _, address = demo
    with pytest.raises(InvalidStatus) as raised:
        await connect(f"{address.replace('http', 'ws')}chat", origin=origin, proxy=None)
    assert raised.value.response.status_code == http.HTTPStatus.FORBIDDEN


# The process


async def test_interrupt_ends_it_cleanly(demo):
    process, address = demo
    async with enter(address, "Alice") as (websocket, _):
        process.send_signal(signal.SIGINT)
        with pytest.raises(ConnectionClosed):
            while True:
                await receive(websocket)
        assert websocket.close_code == 1001
        async with asyncio.timeout(TIMEOUT):
            stdout, stderr = await process.communicate()
    assert (process.returncode, stdout, stderr) == (0, b"", b"")


def test_port_that_is_taken_is_an_error_that_says_so():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, str(DEMO), "--port", port]
        process = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    assert process.returncode == 2
    assert "can't listen there" in process.stderr
    assert "Traceback" not in process.stderr
