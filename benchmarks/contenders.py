"""Who is measured, and the environment of each, which has nothing of the others."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
ENVIRONMENTS = ROOT / ".nox" / "benchmark-environments"
PIP = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
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
        warm_up: For how long it is used, before it is measured in a work: CPU time in seconds.

    """

    name: str
    subject: str | None
    environment: str
    requirements: tuple[str, ...]
    variables: tuple[tuple[str, str], ...] = ()
    deflate: bool = True
    warm_up: float = 0


CONTENDERS = [
    Contender("ours", "ours", "ours", ("uvloop",)),
    Contender("websockets", "websockets", "websockets", ("websockets==17.*", "uvloop")),
    Contender("picows API", "picows-api", "picows", ("picows==2.*", "uvloop")),
    # Has no compression.
    Contender("picows core", "picows-core", "picows", ("picows==2.*", "uvloop"), deflate=False),
    Contender("aiohttp", "aiohttp", "aiohttp", ("aiohttp==3.*", "uvloop")),
    # Is compiled while it runs.
    Contender("Node ws", None, "node", ("ws@8",), warm_up=0.5),
    Contender("ours, pure", "ours", "ours", ("uvloop",), (("WS_PROTOCOL_KERNEL", "pure"),)),
    Contender("ours, legacy", "legacy", "ours", ("uvloop",)),
    # What it writes is made beforehand, compressed or not.
    Contender("bare TCP", "tcp", "ours", ("uvloop",)),
]


def make_environment(name: str, requirements: tuple[str, ...]) -> tuple[list[str], bool]:
    """Make an environment, unless it is there.

    Returns:
        The command of its Python, and whether it is new.

    """
    directory = ENVIRONMENTS / name
    stamp = directory / "complete"
    python = [str(directory / "bin" / "python")]
    if stamp.exists() and stamp.read_text() == " ".join(requirements):
        return python, False
    venv.create(directory, clear=True, with_pip=True)
    subprocess.run([*python, *PIP, *requirements], check=True)
    stamp.write_text(" ".join(requirements))
    return python, True


def prepare(contender: Contender, wheels: list[Path]) -> list[str]:
    """Make a contender's environment, unless it is there; return the command that runs it.

    Args:
        contender: The contender.
        wheels: Wheels of this project; if there are none, its sources are used.

    """
    if contender.subject is None:
        directory = ENVIRONMENTS / contender.environment
        if not (directory / "node_modules").exists():
            directory.mkdir(parents=True, exist_ok=True)
            command = ["npm", "install", "--silent", "--no-audit", "--no-fund"]
            subprocess.run([*command, *contender.requirements], cwd=directory, check=True)
        # Node.js looks for modules beside the file.
        shutil.copy(HERE / "subject.js", directory)
        return ["node", str(directory / "subject.js")]
    python, new = make_environment(contender.environment, contender.requirements)
    if contender.environment == "ours":
        command = [*python, *PIP]
        if wheels:
            command += ["--no-index", "--no-deps", "--force-reinstall", *map(str, wheels)]
            subprocess.run(command, check=True)
        elif new:
            subprocess.run([*command, "hatchling", "editables", "setuptools"], check=True)
            command += ["--no-deps", "--no-build-isolation"]
            for package in OURS:
                command += ["-e", str(ROOT / "packages" / package)]
            subprocess.run(command, check=True)
    return [*python, str(HERE / "subject.py"), contender.subject]


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
