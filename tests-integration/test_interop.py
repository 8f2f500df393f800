"""Our connections with those of other libraries, in both roles, with and without compression and
TLS.

The other side runs in a process of its own, and does what it is told: see peers/README.md. What it
needs is installed once, into .nox.
"""

import asyncio
import base64
import contextlib
import json
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import pytest_asyncio
import trustme

import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK
from websockets.frames import Close

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = Path(__file__).resolve().parent / "peers"

REQUIREMENTS = {
    "aiohttp": "aiohttp==3.14.5",
    "websockets": "websockets==17.4",
    "ws": "ws@8.23.0",
}

TIMEOUT = 20

# Starting the other side takes long, so it runs as long as the tests of this module do.
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]


# The other side


def install_for_node(directory):
    """Return the command that installs Node.js libraries."""
    directory.mkdir()
    npm = [shutil.which("npm"), "--silent", "--no-audit", "--no-fund", "--prefix", str(directory)]
    return [*npm, "install"]


class Peer:
    """A process that has connections of another library."""

    def __init__(self, process, library, version, path):
        self.process = process
        self.library = library
        self.version = version
        self.path = path
        # Ports that it listens on.
        self.ports = {}

    async def command(self, do, **details):
        """Tell it to do something."""
        self.process.stdin.write(json.dumps({"do": do, **details}).encode() + b"\n")
        await self.process.stdin.drain()

    async def wait_event(self, event, **expected):
        """Wait for the next thing that it tells, which must be this, and return the details."""
        while True:
            async with asyncio.timeout(TIMEOUT):
                line = await self.process.stdout.readline()
            details = json.loads(line or "{}")
            # Connections of tests that failed may have events left, which are nobody's concern.
            connection = details.get("connection")
            if details.get("event") == "open" or connection == expected.get("connection"):
                break
        assert {"event": event, **expected} == {
            name: details.get(name) for name in ("event", *expected)
        }
        return details


class Remote:
    """A connection of the other side."""

    def __init__(self, peer, details):
        self.peer = peer
        self.number = details["connection"]
        self.subprotocol = details["subprotocol"]
        self.compression = details["compression"]

    async def send(self, *fragments):
        """Send a message."""
        await self.peer.command(
            "send",
            connection=self.number,
            fragments=[
                {"text": fragment}
                if isinstance(fragment, str)
                else {"base64": base64.b64encode(fragment).decode()}
                for fragment in fragments
            ],
        )

    async def recv(self):
        """Receive a message."""
        details = await self.peer.wait_event("message", connection=self.number)
        return details["text"] if "text" in details else base64.b64decode(details["base64"])

    async def ping(self, data):
        """Send a ping, and wait for the pong."""
        await self.peer.command("ping", connection=self.number, data=data)
        await self.peer.wait_event("pong", connection=self.number, data=data)

    async def close(self, code, reason):
        """Close it, and return the code that is in the answer."""
        await self.peer.command("close", connection=self.number, code=code, reason=reason)
        return (await self.peer.wait_event("close", connection=self.number))["code"]

    async def wait_closed(self):
        """Wait until it is closed, and return why."""
        details = await self.peer.wait_event("close", connection=self.number)
        return details["code"], details["reason"]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=REQUIREMENTS)
async def peer(request, install_once, install_for_python, clean_environment):
    """The other side."""
    library = request.param
    requirement = REQUIREMENTS[library]
    variables = clean_environment
    if library == "ws":
        if missing := [name for name in ("node", "npm") if shutil.which(name) is None]:
            pytest.skip(f"there is no {' and no '.join(missing)} on PATH")
        directory = install_once(f"peers-{library}", [requirement], install_for_node)
        variables = {**variables, "NODE_PATH": str(directory / "node_modules")}
        command = [shutil.which("node"), str(PROGRAMS / "ws_peer.js")]
    else:
        python = install_for_python(f"peers-{library}", requirement)
        command = [str(python), str(PROGRAMS / f"{library}_peer.py")]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=variables,
        # A message is a line.
        limit=2**24,
    )
    try:
        peer = Peer(process, library, version=None, path=None)
        ready = await peer.wait_event("ready")
        peer.version, peer.path = ready["version"], Path(ready["file"])
        yield peer
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Our contexts for TLS, and the files that the other side needs."""
    directory = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    client = ssl.create_default_context()
    authority.configure_trust(client)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(server)
    files = {name: str(directory / f"{name}.pem") for name in ("ca", "certificate", "key")}
    authority.cert_pem.write_to_path(files["ca"])
    certificate.cert_chain_pems[0].write_to_path(files["certificate"])
    certificate.private_key_pem.write_to_path(files["key"])
    return {"client": client, "server": server, **files}


# A connection


@contextlib.asynccontextmanager
async def connect_to(peer, certificates, compression, tls):
    """Connect our client to the server of the other side."""
    if (compression, tls) not in peer.ports:
        await peer.command(
            "listen",
            compression=compression,
            subprotocol="chat",
            certificate=certificates["certificate"] if tls else None,
            key=certificates["key"] if tls else None,
        )
        peer.ports[compression, tls] = (await peer.wait_event("listening"))["port"]
    async with connect(
        f"{'wss' if tls else 'ws'}://127.0.0.1:{peer.ports[compression, tls]}/",
        compression="deflate" if compression else None,
        subprotocols=["superchat", "chat"],
        ssl=certificates["client"] if tls else None,
        proxy=None,
    ) as ours:
        theirs = Remote(peer, await peer.wait_event("open"))
        yield ours, theirs


@contextlib.asynccontextmanager
async def accept_from(peer, certificates, compression, tls):
    """Have the client of the other side connect to our server."""
    accepted = asyncio.get_running_loop().create_future()

    async def handler(connection):
        accepted.set_result(connection)
        await connection.wait_closed()

    async with serve(
        handler,
        "127.0.0.1",
        0,
        compression="deflate" if compression else None,
        subprotocols=["superchat", "chat"],
        ssl=certificates["server"] if tls else None,
    ) as server:
        port = server.sockets[0].getsockname()[1]
        await peer.command(
            "connect",
            url=f"{'wss' if tls else 'ws'}://127.0.0.1:{port}/",
            compression=compression,
            subprotocol="chat",
            ca=certificates["ca"] if tls else None,
        )
        async with asyncio.timeout(TIMEOUT):
            ours = await accepted
        theirs = Remote(peer, await peer.wait_event("open"))
        yield ours, theirs


@pytest.fixture(params=[False, True], ids=["plain", "compressed"])
def compression(request):
    """Whether messages are compressed."""
    return request.param


@pytest_asyncio.fixture(loop_scope="module")
async def pair(request, peer, role, tls, certificates, compression):
    """A connection: our side, and theirs."""
    make = connect_to if role == "client" else accept_from
    async with make(peer, certificates, compression, tls) as (ours, theirs):
        yield ours, theirs
        if ours.close_code is None:
            await ours.close()
            assert await theirs.wait_closed() == (1000, "")


@pytest.fixture(params=["client", "server"])
def role(request):
    """What we are."""
    return request.param


@pytest.fixture(params=[False, True], ids=["tcp", "tls"])
def tls(request):
    """Whether the connection is encrypted."""
    return request.param


# Who is who


async def test_other_side_has_the_other_library(peer):
    requirement = REQUIREMENTS[peer.library]
    assert requirement.replace("@", "==") == f"{peer.library}=={peer.version}"
    assert peer.path.is_relative_to(ROOT / ".nox" / f"peers-{peer.library}")


async def test_our_side_has_ours():
    path = Path(websockets.__file__)
    assert path.is_relative_to(sys.prefix)
    assert not path.is_relative_to(ROOT / ".nox" / "peers-websockets")
    assert websockets.State.__module__.split(".")[0] == "ws_protocol"


# What they say to each other


async def test_both_sides_agree_on_subprotocol_and_compression(pair, compression):
    ours, theirs = pair
    assert ours.subprotocol == theirs.subprotocol == "chat"
    assert ("Sec-WebSocket-Extensions" in ours.response.headers) is compression
    assert theirs.compression is compression


MESSAGES = {
    "text": "naïve café — 你好 👋🏽\n\0",
    "long text": "Die Würde des Menschen ist unantastbar. " * 500,
    "empty text": "",
    "1 MiB of text": "é" * 2**19,
    "bytes": bytes(range(256)),
    "empty bytes": b"",
    "1 MiB of bytes": bytes(i * i % 251 for i in range(2**20)),
}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
async def test_message_arrives_there(pair, message):
    ours, theirs = pair
    await ours.send(message)
    assert await theirs.recv() == message


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
async def test_message_arrives_here(pair, message):
    ours, theirs = pair
    await theirs.send(message)
    async with asyncio.timeout(TIMEOUT):
        assert await ours.recv() == message


FRAGMENTS = {
    "text": ["naïve ", "", "café — " * 1000, "👋🏽"],
    "bytes": [b"\0\1", b"", bytes(100_000), b"\2"],
}


@pytest.mark.parametrize("fragments", FRAGMENTS.values(), ids=FRAGMENTS)
async def test_message_in_fragments_arrives_there(pair, fragments):
    ours, theirs = pair
    await ours.send(fragments)
    assert await theirs.recv() == type(fragments[0])().join(fragments)


@pytest.mark.parametrize("fragments", FRAGMENTS.values(), ids=FRAGMENTS)
async def test_message_in_fragments_arrives_here(pair, fragments):
    ours, theirs = pair
    if theirs.peer.library == "aiohttp":
        pytest.skip("aiohttp can't send a message in fragments")
    await theirs.send(*fragments)
    async with asyncio.timeout(TIMEOUT):
        assert await ours.recv() == type(fragments[0])().join(fragments)


async def test_messages_arrive_in_order(pair):
    # Those after the first are compressed with what is known from those before.
    ours, theirs = pair
    messages = [f"{number}: again and again and again" for number in range(100)]
    for message in messages:
        await ours.send(message)
        await theirs.send(message)
    for message in messages:
        assert await theirs.recv() == message
    async with asyncio.timeout(TIMEOUT):
        for message in messages:
            assert await ours.recv() == message


async def test_our_ping_is_answered(pair):
    ours, _ = pair
    async with asyncio.timeout(TIMEOUT):
        assert await (await ours.ping("are you there?")) > 0


async def test_their_ping_is_answered(pair):
    _, theirs = pair
    await theirs.ping("are you there?")


REASONS = [
    pytest.param(1000, "", ConnectionClosedOK, id="1000"),
    pytest.param(1001, "adieu — ça va", ConnectionClosedOK, id="1001"),
    pytest.param(1011, "oops", ConnectionClosedError, id="1011"),
    pytest.param(4321, "x" * 123, ConnectionClosedError, id="4321"),
]


@pytest.mark.parametrize("code, reason, exception", REASONS)
async def test_other_side_sees_why_we_close(pair, code, reason, exception):
    ours, theirs = pair
    async with asyncio.timeout(TIMEOUT):
        await ours.close(code, reason)
    assert await theirs.wait_closed() == (code, reason)
    with pytest.raises(exception) as raised:
        await ours.recv()
    assert raised.value.sent == Close(code, reason)
    # Not all answer with the same code.
    assert raised.value.rcvd is not None


@pytest.mark.parametrize("code, reason, exception", REASONS)
async def test_we_see_why_the_other_side_closes(pair, code, reason, exception):
    ours, theirs = pair
    answer = await theirs.close(code, reason)
    # As a server, aiohttp doesn't wait for the answer.
    assert answer == code or theirs.peer.library == "aiohttp"
    async with asyncio.timeout(TIMEOUT):
        with pytest.raises(exception):
            await ours.recv()
    assert (ours.close_code, ours.close_reason) == (code, reason)
