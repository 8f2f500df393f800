"""Who is measured, and the environment of each."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
ENVIRONMENTS = ROOT / ".nox" / "benchmark-environments"
OURS = ["ws-protocol", "ws-auth", "ws-asyncio", "ws-legacy"]


@dataclasses.dataclass(frozen=True)
class Contender:
    """A library, and how it is used.

    Attributes:
        name: Its name, in tables.
        subject: Its name in subject.py; :obj:`None` for the one in subject.js.
        environment: Name of its environment.
        requirements: What is installed there; packages of this project are by name.
        variables: Environment variables.
        deflate: Whether it has compression.
        client: Whether it is measured as a client.
        server: Whether it is measured as a server.

    """

    name: str
    subject: str | None
    environment: str
    requirements: tuple[str, ...]
    variables: tuple[tuple[str, str], ...] = ()
    deflate: bool = True
    client: bool = True
    server: bool = True


CONTENDERS = [
    Contender("ours", "ours", "ours", ("uvloop",)),
    Contender("websockets", "websockets", "websockets", ("websockets==17.*", "uvloop")),
    Contender("picows API", "picows-api", "picows", ("picows==2.*", "uvloop")),
    Contender("picows core", "picows-core", "picows", ("picows==2.*", "uvloop"), deflate=False),
    Contender("aiohttp", "aiohttp", "aiohttp", ("aiohttp==3.*", "uvloop")),
    Contender("Node ws", None, "node", ("ws@8",), client=False),
    Contender("ours, legacy", "legacy", "ours", ("uvloop",)),
    Contender("bare TCP", "tcp", "ours", ("uvloop",), deflate=False, server=False),
]


def prepare(contender: Contender, wheels: Path | None) -> list[str]:
    """Make a contender's environment, unless it is there; return the command that runs it.

    Args:
        contender: The contender.
        wheels: Directory with the wheels of this project; :obj:`None` to use the sources.

    """
    directory = ENVIRONMENTS / contender.environment
    stamp = directory / "complete"
    wanted = " ".join(contender.requirements)
    fresh = not stamp.exists() or stamp.read_text() != wanted
    if contender.subject is None:
        if fresh:
            directory.mkdir(parents=True, exist_ok=True)
            command = ["npm", "install", "--silent", "--no-audit", "--no-fund"]
            subprocess.run([*command, *contender.requirements], cwd=directory, check=True)
            stamp.write_text(wanted)
        # Node.js looks for modules beside the file.
        shutil.copy(HERE / "subject.js", directory)
        return ["node", str(directory / "subject.js")]
    python = directory / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if fresh:
        venv.create(directory, clear=True, with_pip=True)
        subprocess.run([*pip, *contender.requirements], check=True)
        if contender.environment == "ours" and wheels is None:
            subprocess.run([*pip, "hatchling", "editables"], check=True)
            command = [*pip, "--no-deps", "--no-build-isolation"]
            for package in OURS:
                command += ["-e", str(ROOT / "packages" / package)]
            subprocess.run(command, check=True)
        stamp.write_text(wanted)
    if contender.environment == "ours" and wheels is not None:
        paths = [next(wheels.glob(f"{package.replace('-', '_')}-*.whl")) for package in OURS]
        command = [*pip, "--no-index", "--no-deps", "--force-reinstall"]
        subprocess.run([*command, *map(str, paths)], check=True)
    return [str(python), str(HERE / "subject.py"), contender.subject]


def environment(contender: Contender) -> dict[str, str]:
    """Return the environment variables of a contender."""
    # Each has the same chance: no proxies, no debugging.
    hidden = ("http_proxy", "https_proxy", "all_proxy", "PYTHONDEVMODE", "PYTHONASYNCIODEBUG")
    variables = {name: value for name, value in os.environ.items() if name.lower() not in hidden}
    return variables | dict(contender.variables)


def versions(contender: Contender) -> str:
    """Return the versions of what is installed for a contender."""
    directory = ENVIRONMENTS / contender.environment
    if contender.subject is None:
        script = "console.log('ws ' + require('ws/package.json').version, 'node', process.version)"
        command = ["node", "-e", script]
    else:
        script = (
            "from importlib.metadata import distributions as d; print(*sorted("
            "f'{x.name} {x.version}' for x in d() if x.name.lower() in "
            "('ws-protocol', 'ws-asyncio', 'websockets', 'picows', 'aiohttp', 'uvloop', "
            "'aiofastnet')), sep=', ')"
        )
        command = [str(directory / "bin" / "python"), "-c", script]
    run = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=True)
    return run.stdout.strip()


PYTHON = f"CPython {sys.version.split()[0]}"
