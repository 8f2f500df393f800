"""Every command that a person or CI runs: ``nox -l`` lists them.

``python noxfile.py`` takes the same arguments as ``nox``, on machines that don't have it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    from tools.bootstrap import main

    sys.exit(main(sys.argv[1:]))

import nox
from nox.command import CommandFailed

ROOT = Path(__file__).resolve().parent
WHEELS = ROOT / ".nox" / "wheels"

PYTHONS = ["3.11", "3.12", "3.13"]

# Each after those it depends on.
PACKAGES = ["ws-protocol", "ws-auth", "ws-asyncio", "ws-legacy", "websockets"]

# Siblings that each depends on, directly or not.
SIBLINGS = {
    "ws-protocol": [],
    "ws-auth": ["ws-protocol"],
    "ws-asyncio": ["ws-protocol", "ws-auth"],
    "ws-legacy": ["ws-protocol", "ws-auth"],
    "websockets": ["ws-protocol", "ws-auth", "ws-asyncio", "ws-legacy"],
}

# What runs the tests, and what stands on the other side in them.
TEST_TOOLS = ["coverage[toml]>=7.6", "hypothesis>=6.100", "pytest>=8.3", "pytest-asyncio>=1.4"]
TEST_PEERS = {
    "ws-asyncio": [
        "python-socks[asyncio]>=2.4",
        "trustme>=1.1",
        "uvloop>=0.21; sys_platform != 'win32'",
        "werkzeug>=3.0",
    ],
    "ws-legacy": ["trustme>=1.1", "uvloop>=0.21; sys_platform != 'win32'"],
}

nox.options.default_venv_backend = "virtualenv"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_venv = "yes"
nox.options.tags = ["ci"]


def find_pyenv_versions() -> None:
    """Make the interpreters that pyenv has installed callable as python3.11 and so on."""
    if shutil.which("pyenv") is None:
        return
    run = subprocess.run(
        ["pyenv", "versions", "--bare"], capture_output=True, text=True, check=True
    )
    versions = [line.strip() for line in run.stdout.splitlines()]
    wanted = [
        max(found, key=lambda version: int(version.split(".")[2]))
        for minor in PYTHONS
        if (found := [version for version in versions if version.startswith(f"{minor}.")])
    ]
    if wanted:
        os.environ["PYENV_VERSION"] = ":".join(wanted)


find_pyenv_versions()


def wheel(package: str) -> str:
    """Return the path of a wheel, which the session build has made."""
    (path,) = WHEELS.glob(f"{package.replace('-', '_')}-*.whl")
    return str(path)


def install_wheels(session: nox.Session, packages: list[str], extras: str = "") -> None:
    """Install our own wheels by path: the public index has another ``websockets``.

    Args:
        packages: All of them, dependencies included.
        extras: Extras of the last one, in brackets; what they require must be there.

    """
    paths = [wheel(package) for package in packages]
    session.install("--no-index", "--force-reinstall", "--no-deps", *paths)
    # What is there now must be all that they say they need.
    session.run("python", "-m", "pip", "check", silent=True)


def run_pytest(session: nox.Session, directory: Path, *, coverage: str | None = None) -> None:
    """Run tests, away from the sources, so that only what is installed can be imported.

    Args:
        directory: Where the tests are, unless the command line names some of them, or options.
        coverage: Package to measure coverage of, and to check that it is complete if all tests run.

    """
    args = [str(ROOT / arg) if (ROOT / arg).exists() else arg for arg in session.posargs]
    if not any(Path(arg.partition("::")[0]).exists() for arg in args):
        args.append(str(directory))
    session.chdir(session.create_tmp())
    config = str(ROOT / "pyproject.toml")
    command = ["python", "-m"]
    if coverage is not None:
        command += ["coverage", "run", f"--rcfile={config}", f"--source={coverage}", "-m"]
    session.run(*command, "pytest", "-c", config, *args, env={"WHEELS": str(WHEELS)})
    if coverage is not None and not session.posargs:
        session.run("python", "-m", "coverage", "report", f"--rcfile={config}")


@nox.session(tags=["ci"])
def build(session: nox.Session) -> None:
    """Build the wheels that all other sessions install."""
    session.install("hatchling>=1.27")
    shutil.rmtree(WHEELS, ignore_errors=True)
    for package in PACKAGES:
        session.chdir(ROOT / "packages" / package)
        session.run("hatchling", "build", "-t", "wheel", "-d", str(WHEELS), silent=True)


@nox.session(tags=["ci"], requires=["build"])
def lint(session: nox.Session) -> None:
    """Check style, types and layers."""
    session.install(
        "import-linter==2.16",
        "mypy==2.4.1",
        "pyright==1.1.414",
        "ruff==0.17.6",
        # What the code that is checked imports.
        "nox>=2025.2.9",
        "python-socks[asyncio]>=2.4",
        "trio>=0.27",
        "werkzeug>=3.0",
    )
    install_wheels(session, PACKAGES)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy", *map(str, sorted(ROOT.glob("packages/*/src"))), "examples", "tools")
    session.run("lint-imports")
    # Type checkers of users see the installed packages.
    session.chdir(session.create_tmp())
    for package in PACKAGES:
        import_name = package.replace("-", "_")
        session.run("pyright", "--ignoreexternal", "--verifytypes", import_name, silent=True)


@nox.session(python=PYTHONS, tags=["ci"], requires=["build"])
@nox.parametrize("package", [nox.param(package, id=package) for package in PACKAGES])
def tests(session: nox.Session, package: str) -> None:
    """Run each package's own tests, with coverage, on its wheel and what it needs, nothing else."""
    session.install(*TEST_TOOLS, *TEST_PEERS.get(package, []))
    install_wheels(session, [*SIBLINGS[package], package])
    directory = ROOT / "packages" / package / "tests"
    run_pytest(session, directory, coverage=package.replace("-", "_"))


@nox.session(python=PYTHONS, tags=["ci"], requires=["build"])
def integration(session: nox.Session) -> None:
    """Run the tests that cross packages or leave the process, on the wheels of all packages."""
    session.install(*TEST_TOOLS, "trio>=0.27", "trustme>=1.1", "werkzeug>=3.0")
    install_wheels(session, PACKAGES)
    run_pytest(session, ROOT / "tests-integration")


@nox.session(tags=["ci"], requires=["build"])
def autobahn(session: nox.Session) -> None:
    """Run the Autobahn testsuite: the quick level, or `nox -s autobahn -- --level full`."""
    install_wheels(session, PACKAGES)
    directory = ROOT / "tests-integration" / "autobahn"
    session.run(
        *["python", str(directory / "run.py")],
        *["--cache", str(ROOT / ".nox" / "autobahn-cache"), "--out", str(ROOT / "reports")],
        *session.posargs,
    )


@nox.session(requires=["build"])
def attacks(session: nox.Session) -> None:
    """Attack this project and its peers, and write the table of the documentation."""
    install_wheels(session, PACKAGES)
    session.run(
        *["python", str(ROOT / "tests-integration" / "attacks" / "run.py")],
        *["--out", str(ROOT / "docs" / "explanation" / "attacks.csv")],
        *["--environments", str(ROOT / ".nox" / "attack-environments")],
        *session.posargs,
    )


@nox.session(python=PYTHONS[-1], tags=["ci"], requires=["build"])
def fuzz(session: nox.Session) -> None:
    """Fuzz what parses, for 6 seconds a target, or `nox -s fuzz -- --seconds 600 frames`."""
    try:
        session.install("atheris>=3.0")
    except CommandFailed:
        session.skip("atheris can't be installed here")
    install_wheels(session, ["ws-protocol"])
    fuzzing = ROOT / "packages" / "ws-protocol" / "fuzzing"
    session.run(
        *["python", str(fuzzing / "fuzz.py"), "--finds", str(ROOT / "reports" / "fuzz")],
        *(session.posargs or ["--seconds", "6", "--seed", "1"]),
    )


@nox.session(requires=["build"])
def soak(session: nox.Session) -> None:
    """Hold as many connections as possible, for some time: `nox -s soak -- --minutes 5`."""
    install_wheels(session, PACKAGES)
    session.run("python", str(ROOT / "tests-integration" / "soak" / "run.py"), *session.posargs)


@nox.session(tags=["ci"], requires=["build"])
def docs(session: nox.Session) -> None:
    """Build the documentation, into docs/_build/html."""
    session.install("-r", str(ROOT / "docs" / "requirements.txt"))
    install_wheels(session, PACKAGES)
    output = ROOT / "docs" / "_build" / "html"
    session.run("sphinx-build", "-n", "-W", "-q", str(ROOT / "docs"), str(output))
    session.log(f"Open {output / 'index.html'}")


@nox.session(requires=["build"])
def demo(session: nox.Session) -> None:
    """Run the demo: a chat server, and a page to open in several windows."""
    install_wheels(session, PACKAGES)
    session.run("python", str(ROOT / "examples" / "demo" / "server.py"), *session.posargs)
