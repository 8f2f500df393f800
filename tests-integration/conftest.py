"""What several of these tests need: other software, installed once; the demo; a browser."""

import asyncio
import base64
import collections
import contextlib
import functools
import hashlib
import itertools
import json
import os
import queue
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import venv
from pathlib import Path

import filelock
import pytest

from websockets.asyncio.client import connect

# For docblocks.
sys.path.insert(0, str(Path(__file__).resolve().parent))

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
DEMO = ROOT / "examples" / "demo" / "server.py"

TIMEOUT = 20

CHROMIUM = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"]
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--no-first-run",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
]


# Other software


@pytest.fixture(scope="session")
def clean_environment():
    """The environment without what would lead Python to our own packages."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


@pytest.fixture(scope="session")
def install_once(request, clean_environment):
    """Return a function that installs things into a directory, unless they are there.

    It returns the directory. What it runs with the requirements added is ``prepare(directory)``.
    The same tests, on another version of Python, may run at the same time.
    """

    def install_once(name, requirements, prepare):
        (ROOT / ".nox").mkdir(exist_ok=True)
        with filelock.FileLock(ROOT / ".nox" / f"{name}.lock"):
            return install_unless_there(name, requirements, prepare)

    def install_unless_there(name, requirements, prepare):
        directory = ROOT / ".nox" / name
        complete = directory / "complete.txt"
        wanted = "".join(f"{identity(requirement)}\n" for requirement in requirements)
        if complete.is_file() and complete.read_text() == wanted:
            return directory
        what = ", ".join(Path(requirement).name for requirement in requirements)
        capture = request.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            print(f"\nInstalling {what} into {directory} ...", flush=True)
        shutil.rmtree(directory, ignore_errors=True)
        try:
            command = [*prepare(directory), *requirements]
            subprocess.run(
                command, check=True, capture_output=True, text=True, env=clean_environment
            )
        except (OSError, subprocess.SubprocessError) as exc:
            lines = (getattr(exc, "stderr", None) or str(exc)).strip().splitlines()
            pytest.skip(f"{what} can't be installed: {lines[-1]}")
        complete.write_text(wanted)
        return directory

    return install_once


def identity(requirement):
    """Return what tells a requirement from others: for a wheel, its content, too."""
    path = Path(requirement)
    if not path.is_file():
        return requirement
    return f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}"


@pytest.fixture(scope="session")
def install_for_python(install_once):
    """Return a function that installs Python libraries into a virtual environment of their own.

    It returns the path of the Python there.
    """

    def prepare(directory):
        venv.create(directory, with_pip=True)
        pip = [str(python_of(directory)), "-m", "pip"]
        return [*pip, "install", "--quiet", "--retries", "1"]

    def install_for_python(name, *requirements):
        return python_of(install_once(name, requirements, prepare))

    return install_for_python


def python_of(directory):
    """Return the path of a virtual environment's Python."""
    return directory / ("Scripts" if os.name == "nt" else "bin") / "python"


@pytest.fixture(scope="session")
def wheels():
    """The directory that has our own wheels."""
    if "WHEELS" not in os.environ:
        pytest.skip("the environment variable WHEELS doesn't say where the wheels are: run nox")
    return Path(os.environ["WHEELS"])


# Readers of the documentation


class Reader:
    """Does what a page says, in a clean folder, with nothing installed.

    Attributes:
        folder: Where that is.
        environment: Environment variables, which let pip find our own packages, and what they need.

    """

    def __init__(self, directory, sources):
        """Prepare the folder.

        Args:
            directory: Where all of this may be.
            sources: Directories that pip installs from.

        """
        self.folder = directory / "folder"
        self.folder.mkdir(parents=True)
        venv.create(directory / "venv")
        python = python_of(directory / "venv")
        pip = python.with_name("pip")
        command = shlex.join([sys.executable, "-m", "pip"])
        pip.write_text(f'#!/bin/sh\nPIP_PYTHON={shlex.quote(str(python))} exec {command} "$@"\n')
        pip.chmod(0o755)
        # Neither our own packages nor proxies, and no programs but those of the system.
        hidden = re.compile("PYTHON.*|NOX.*|VIRTUAL_ENV|PIP_.*|.*_proxy", re.IGNORECASE)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not hidden.fullmatch(name)},
            "PATH": os.pathsep.join([str(python.parent), os.defpath]),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_FIND_LINKS": " ".join(map(str, sources)),
            "PIP_NO_INDEX": "1",
        }

    def take_repository(self):
        """Copy what of the repository its own commands need into the folder."""
        for name in ["examples", "noxfile.py", "packages", "pyproject.toml", "tools"]:
            ignored = shutil.ignore_patterns("__pycache__", "build", "dist", ".*", "*.so")
            source, target = ROOT / name, self.folder / name
            if source.is_dir():
                shutil.copytree(source, target, ignore=ignored)
            else:
                shutil.copy(source, target)

    def run(self, command):
        """Run a command in a shell; return what it prints."""
        run = subprocess.run(
            ["sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=300,
            cwd=self.folder,
            env=self.environment,
        )
        assert run.returncode == 0, f"$ {command}\n{run.stdout}"
        return run.stdout

    @contextlib.asynccontextmanager
    async def running(self, command):
        """Run a command that goes on for ever; give its process, and end all that it started."""
        process = await asyncio.create_subprocess_shell(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.folder,
            env=self.environment,
            preexec_fn=heed_interrupts,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.communicate()


@pytest.fixture
def reader(tmp_path, wheels, install_once):
    """Somebody who reads the documentation."""

    def prepare(directory):
        return [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(directory)]

    others = install_once("wheels-of-others", ["hatchling", "nox", "setuptools", "trio"], prepare)
    return Reader(tmp_path, [wheels, others])


# The demo


def heed_interrupts():
    """Let a child process be interrupted, even where this one ignores that: in the background of a
    shell, for example."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
async def demo():
    """Start the demo; yield its process and its address."""
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-W", "error", str(DEMO), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=heed_interrupts,
    )
    try:
        async with asyncio.timeout(20):
            line = (await process.stdout.readline()).decode()
        match = re.fullmatch(r"The chat is at (http://127\.0\.0\.1:\d+/)\n", line)
        assert match, f"{line}{(await process.stderr.read()).decode()}"
        yield process, match[1]
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


@pytest.fixture
def socket_path():
    """A path for a Unix socket, which has room for a hundred bytes: ``tmp_path`` can be longer."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        yield Path(directory) / "socket"


@pytest.fixture
def reserve_port():
    """Return a function that returns a port, on which a program can listen until the test ends.

    Nothing else is given it meanwhile, such as the same tests on another version of Python.
    """
    with contextlib.ExitStack() as stack:

        def reserve_port():
            sock = socket.socket()
            # Others may bind to the same port if they ask for it in the same way, as servers do.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
            if sys.platform == "linux":
                stack.enter_context(sock)
            else:
                # There, nobody else may.
                sock.close()
            return port

        yield reserve_port


# Programs in examples/


@pytest.fixture
async def start_program(tmp_path, reserve_port):
    """Return a function that starts a program in examples/, with another port where it has 8765.

    It takes the path of the program, and arguments. Everything in examples/ is there beside it,
    with the same port, which is ``port`` of the function. ``listens`` tells to wait until the
    program listens, ``warnings`` what becomes of warnings. ``wait_for`` of the function waits until
    another process listens there.
    """
    port = reserve_port()
    directory = tmp_path / "examples"
    for source in (path for path in EXAMPLES.rglob("*") if path.is_file()):
        if "__pycache__" in source.parts:
            continue
        target = directory / source.relative_to(EXAMPLES)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = source.read_text(encoding="utf-8").replace("8765", str(port))
        target.write_text(text, encoding="utf-8")
    processes = []
    variables = {name: value for name, value in os.environ.items() if not name.endswith("_proxy")}

    async def start_program(path, *arguments, listens=True, warnings="error", **kwargs):
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-W", warnings, str(directory / path), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=directory / Path(path).parent,
            env=variables | {"PYTHONIOENCODING": "utf-8"},
            preexec_fn=heed_interrupts,
            **kwargs,
        )
        processes.append(process)
        if listens:
            await start_program.wait_for(process)
        return process

    start_program.port = port
    start_program.wait_for = functools.partial(wait_for_port, port)
    start_program.directory = directory
    yield start_program
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def wait_for_port(port, process):
    """Wait until somebody listens on a port, who is to be a process."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            if process.returncode is not None:
                pytest.fail((await process.stderr.read()).decode())
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                # There is no event to wait for.
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return


# A browser, which our own client drives over the DevTools protocol


@pytest.fixture(scope="module")
def devtools(tmp_path_factory):
    """Start Chromium; return the URI at which it takes commands."""
    paths = filter(None, map(shutil.which, CHROMIUM))
    path = next(paths, None)
    if path is None:
        pytest.skip(f"there is no browser on PATH: none of {', '.join(CHROMIUM)}")
    profile = tmp_path_factory.mktemp("chromium")
    process = subprocess.Popen(
        [path, *FLAGS, f"--user-data-dir={profile}"],
        stderr=subprocess.PIPE,
        text=True,
        # To be able to end its children, too.
        start_new_session=True,
    )
    lines = queue.SimpleQueue()

    def drain():
        for line in process.stderr:
            lines.put(line)
        lines.put(None)

    drainer = threading.Thread(target=drain)
    drainer.start()
    try:
        printed = []
        while True:
            line = lines.get(timeout=60)
            if line is None:
                pytest.fail(f"{path} ended before it was ready: {''.join(printed)}")
            printed.append(line)
            if match := re.match(r"DevTools listening on (ws://\S+)", line):
                break
        yield match[1]
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        drainer.join()
        process.stderr.close()


class Browser:
    """Sends commands to Chromium, and takes its answers and events."""

    def __init__(self, websocket):
        self.websocket = websocket
        self.ids = itertools.count(1)
        self.answers = {}
        self.listeners = collections.defaultdict(list)

    async def run(self):
        """Pass on what Chromium says."""
        try:
            async for message in self.websocket:
                content = json.loads(message)
                if "id" in content:
                    self.answers.pop(content["id"]).set_result(content)
                else:
                    for listener in self.listeners[content.get("sessionId"), content["method"]]:
                        listener(content["params"])
        finally:
            for answer in self.answers.values():
                answer.cancel()

    async def command(self, method, session=None, **params):
        """Run a command, and return its result."""
        number = next(self.ids)
        answer = self.answers[number] = asyncio.get_running_loop().create_future()
        command = {"id": number, "method": method, "params": params}
        if session is not None:
            command["sessionId"] = session
        await self.websocket.send(json.dumps(command))
        async with asyncio.timeout(TIMEOUT):
            content = await answer
        assert "error" not in content, f"{method}: {content['error']}"
        return content["result"]


class Page:
    """A window of the browser."""

    def __init__(self, browser, session):
        self.command = functools.partial(browser.command, session=session)
        self.listeners = lambda method: browser.listeners[session, method]
        self.complaints = []

    async def open(self, url):
        """Load a page."""
        self.listeners("Log.entryAdded").append(self.note_log_entry)
        self.listeners("Runtime.exceptionThrown").append(self.complaints.append)
        loaded = asyncio.Event()
        self.listeners("Page.loadEventFired").append(lambda _: loaded.set())
        for domain in ("Log", "Page", "Runtime"):
            await self.command(f"{domain}.enable")
        await self.command("Page.navigate", url=url)
        async with asyncio.timeout(TIMEOUT):
            await loaded.wait()

    def note_log_entry(self, params):
        if params["entry"]["level"] == "error":
            self.complaints.append(params["entry"]["text"])

    async def evaluate(self, script):
        """Run the body of an asynchronous JavaScript function; return what it returns."""
        answer = await self.command(
            "Runtime.evaluate",
            expression=f"(async () => {{ {script} }})()",
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def wait_until(self, condition):
        """Wait until a JavaScript expression about the page is true."""
        await self.evaluate(f"""
            await new Promise((resolve) => {{
                const observer = new MutationObserver(check);
                const everything = {{
                    attributes: true, characterData: true, childList: true, subtree: true,
                }};
                observer.observe(document, everything);
                check();
                function check() {{
                    if (!({condition})) return;
                    observer.disconnect();
                    resolve();
                }}
            }});
        """)

    async def text(self, selector):
        """Return the text of each element that a selector matches, as it is shown."""
        selector = json.dumps(selector)
        return await self.evaluate(
            f"return [...document.querySelectorAll({selector})].map((found) => found.innerText)"
        )

    async def type(self, selector, text):
        """Type into a field, as a user does."""
        selector = json.dumps(selector)
        await self.evaluate(f"document.querySelector({selector}).focus()")
        await self.evaluate(f"document.querySelector({selector}).select()")
        await self.command("Input.insertText", text=text)

    async def press_enter(self):
        """Press the Enter key."""
        key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
        await self.command("Input.dispatchKeyEvent", type="keyDown", **key)
        await self.command("Input.dispatchKeyEvent", type="keyUp", **key)

    async def take_screenshot(self, path):
        """Save what it looks like."""
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        await self.command("Emulation.setEmulatedMedia", features=[still])
        answer = await self.command("Page.captureScreenshot", format="png")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(base64.b64decode(answer["data"]))


@pytest.fixture
async def open_page(devtools):
    """Return a function that opens a window of the browser, which has its own cookies and size."""
    # A screenshot is one message.
    async with connect(devtools, max_size=2**26, ping_interval=None, proxy=None) as websocket:
        browser = Browser(websocket)
        running = asyncio.create_task(browser.run())
        context = await browser.command("Target.createBrowserContext")

        async def open_page(url, width=800, height=600):
            window = {"newWindow": True, "width": width, "height": height}
            target = await browser.command(
                "Target.createTarget", url="about:blank", **window, **context
            )
            attached = await browser.command("Target.attachToTarget", flatten=True, **target)
            page = Page(browser, attached["sessionId"])
            await page.open(url)
            return page

        yield open_page
        await browser.command("Target.disposeBrowserContext", **context)
    await running
