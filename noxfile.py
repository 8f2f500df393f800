"""Every command that a person or CI runs: ``nox -l`` lists them.

``python noxfile.py`` takes the same arguments as ``nox``, on machines that don't have it. Without
any, it runs the same as ``nox``, several sessions at a time.
"""

from __future__ import annotations

import filecmp
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    from tools.bootstrap import main

    sys.exit(main(sys.argv[1:]))

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2026.10.20"

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))

from tools import workspace  # noqa: E402  # nox loads this file from wherever it is itself

WHEELS = ROOT / ".nox" / "wheels"

PYTHONS = ["3.11", "3.12", "3.13"]

PYPY = "pypy3.11"

# Each after those it depends on.
PACKAGES = [
    "ws-protocol",
    "ws-auth",
    "ws-asyncio",
    "ws-legacy",
    "ws-threading",
    "ws-trio",
    "websockets",
]

# Those that need nothing but one another.
ALONE = [package for package in PACKAGES if package != "ws-trio"]

# Siblings that each depends on, directly or not.
SIBLINGS = {
    "ws-protocol": [],
    "ws-auth": ["ws-protocol"],
    "ws-asyncio": ["ws-protocol", "ws-auth"],
    "ws-legacy": ["ws-protocol", "ws-auth"],
    "ws-threading": ["ws-protocol", "ws-auth"],
    "ws-trio": ["ws-protocol", "ws-auth"],
    "websockets": [
        *["ws-protocol", "ws-auth", "ws-asyncio", "ws-legacy", "ws-threading"],
        # Of the extra trio.
        "ws-trio",
    ],
}

# What compares versions and APIs, and makes releases.
RELEASE_TOOLS = ["griffe>=2,<3", "towncrier>=25.8,<27"]

# What runs the tests, and what stands on the other side in them.
TEST_TOOLS = ["coverage[toml]>=7.6", "hypothesis>=6.100", "pytest>=8.3", "pytest-asyncio>=1.4"]
UVLOOP = "uvloop>=0.21; sys_platform != 'win32' and implementation_name == 'cpython'"
TEST_PEERS = {
    "ws-asyncio": [
        "python-socks[asyncio]>=2.8",
        "trustme>=1.1",
        UVLOOP,
        "werkzeug>=3.0",
    ],
    "ws-legacy": ["trustme>=1.1", UVLOOP],
    "ws-threading": ["python-socks>=3", "trustme>=1.1", "werkzeug>=3.0"],
    # The first is what they need, which isn't a sibling.
    "websockets": ["trio>=0.27"],
    "ws-trio": ["trio>=0.27", "python-socks[trio]>=2.8", "trustme>=1.1", "werkzeug>=3.0"],
}

# Later ones have native modules that don't load on PyPy 7.3.19. cffi, which comes with PyPy, needs
# pycparser.
PYPY_TOOLS = ["cryptography<47", "hypothesis<=6.140", "pycparser"]

# Tests that use the compiled kernel with all kinds of bytes, and don't measure memory.
SANITIZED = ["frames", "joined", "kernel", "masking", "protocol", "reader", "session", "shared"]

nox.options.allow_parallel = True
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
        max(found, key=lambda version: [int(number) for number in re.findall("[0-9]+", version)])
        for minor in [*PYTHONS, PYPY]
        if (found := [name for name in versions if re.match(rf"{minor}[.-][0-9.]+$", name)])
    ]
    if wanted:
        os.environ["PYENV_VERSION"] = ":".join(wanted)


find_pyenv_versions()


def wheel(package: str) -> str:
    """Return the path of a wheel, which the session build has made."""
    (path,) = WHEELS.glob(f"{package.replace('-', '_')}-*.whl")
    return str(path)


def install_wheels(session: nox.Session, packages: list[str], *others: str) -> None:
    """Install our own wheels by path: the public index has another ``websockets``.

    Args:
        packages: All of them, dependencies included.
        others: Paths of wheels that the session build hasn't made.

    """
    paths = [wheel(package) for package in packages] + list(others)
    session.install("--no-index", "--force-reinstall", "--no-deps", *paths)
    # What is there now must be all that they say they need.
    session.run("python", "-m", "pip", "check", silent=True)


def build_compiled(session: nox.Session, **env: str) -> str:
    """Build a wheel of ws-protocol with the compiled kernel, for the Python of a session.

    Args:
        env: Environment variables for the compiler.

    Returns:
        Its path.

    """
    if shutil.which(os.environ.get("CC", "cc")) is None:
        session.skip("there is no C compiler")
    session.install("hatchling>=1.27", "setuptools>=68")
    directory = Path(session.create_tmp()).resolve() / "compiled"
    shutil.rmtree(directory, ignore_errors=True)
    session.chdir(ROOT / "packages" / "ws-protocol")
    command = ["hatchling", "build", "-t", "wheel", "-d", str(directory)]
    session.run(*command, env={"WS_PROTOCOL_BUILD": "compiled", **env}, silent=True)
    (path,) = directory.glob("*.whl")
    return str(path)


def run_pytest(
    session: nox.Session, *directories: Path, coverage: str | None = None, **env: str
) -> None:
    """Run tests, away from the sources, so that only what is installed can be imported.

    Args:
        directories: Where the tests are, unless the command line names some of them, or options.
        coverage: Package to measure coverage of, and to check that it is complete if all tests run.
        env: Environment variables.

    """
    args = [str(ROOT / arg) if (ROOT / arg).exists() else arg for arg in session.posargs]
    if not any(Path(arg.partition("::")[0]).exists() for arg in args):
        args += map(str, directories)
    session.chdir(session.create_tmp())
    config = str(ROOT / "pyproject.toml")
    command = ["python", "-m"]
    if coverage is not None:
        command += ["coverage", "run", f"--rcfile={config}", f"--source={coverage}", "-m"]
    session.run(*command, "pytest", "-c", config, *args, env={"WHEELS": str(WHEELS), **env})
    if coverage is not None and not session.posargs:
        session.run("python", "-m", "coverage", "report", f"--rcfile={config}")


@nox.session(tags=["ci"])
def build(session: nox.Session) -> None:
    """Build the wheels that all other sessions install, and the source distributions."""
    session.install("hatchling>=1.27")
    shutil.rmtree(WHEELS, ignore_errors=True)
    for package in PACKAGES:
        session.chdir(ROOT / "packages" / package)
        session.run("hatchling", "build", "-d", str(WHEELS), silent=True)


@nox.session(tags=["ci"], requires=["build"])
def lint(session: nox.Session) -> None:
    """Check style, types, layers and workflows."""
    session.install(
        "check-jsonschema==0.39.0",
        "import-linter==2.16",
        "mypy==2.4.1",
        "pyright==1.1.414",
        "ruff==0.17.6",
        "zizmor==1.32.0",
        # What the code that is checked imports.
        *RELEASE_TOOLS,
        "pytest>=8.3",
        "nox>=2026.10.20",
        "python-socks[asyncio]>=2.8",
        "trio>=0.27",
        "werkzeug>=3.0",
    )
    install_wheels(session, PACKAGES)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    sources = [
        *sorted(ROOT.glob("packages/*/src")),
        *sorted(ROOT.glob("tools/*.py")),
        # The programs that are measured are as the documentation of each library has them.
        *sorted(set(ROOT.glob("benchmarks/*.py")) - {ROOT / "benchmarks" / "subject.py"}),
    ]
    session.run("mypy", *map(str, sources), "examples", "tests-integration/typechecked")
    session.run("lint-imports")
    workflows = map(str, sorted(ROOT.glob(".github/workflows/*.yml")))
    schema = ["--builtin-schema", "vendor.github-workflows"]
    session.run("check-jsonschema", *schema, *workflows, silent=True)
    session.run("zizmor", "--offline", "--no-progress", str(ROOT / ".github"), silent=True)
    # Type checkers of users see the installed packages.
    session.run("pyright", silent=True)
    session.chdir(session.create_tmp())
    for package in PACKAGES:
        import_name = package.replace("-", "_")
        session.run("pyright", "--ignoreexternal", "--verifytypes", import_name, silent=True)


# First among the tests: what takes longest must not begin last, when sessions run side by side.
@nox.session(python=PYTHONS, tags=["ci"], requires=["build"])
def integration(session: nox.Session) -> None:
    """Run the tests that cross packages or leave the process, on the wheels of all packages."""
    session.install(*TEST_TOOLS, "filelock>=3.16", "trio>=0.27", "trustme>=1.1", "werkzeug>=3.0")
    install_wheels(session, PACKAGES)
    run_pytest(session, ROOT / "tests-integration")


@nox.session(python=PYTHONS, tags=["ci", "packages"], requires=["build"])
@nox.parametrize("package", [nox.param(package, id=package) for package in PACKAGES])
def tests(session: nox.Session, package: str) -> None:
    """Run each package's own tests, with coverage, on its wheel and what it needs, nothing else."""
    session.install(*TEST_TOOLS, *TEST_PEERS.get(package, []))
    install_wheels(session, [*SIBLINGS[package], package])
    directory = ROOT / "packages" / package / "tests"
    run_pytest(session, directory, coverage=package.replace("-", "_"))


@nox.session(python="3.13", tags=["ci"], requires=["build"])
def compiled(session: nox.Session) -> None:
    """Run the tests of ws-protocol and ws-asyncio on what is fast: the compiled kernel, zlib-ng."""
    kernel = build_compiled(session)
    session.install(*TEST_TOOLS, *TEST_PEERS["ws-asyncio"])
    install_wheels(session, ["ws-auth", "ws-asyncio"], kernel)
    for package in ("ws-protocol", "ws-asyncio"):
        tests = ROOT / "packages" / package / "tests"
        run_pytest(session, tests, WS_PROTOCOL_KERNEL="compiled")
    session.install("zlib-ng>=0.5")
    tests = ROOT / "packages" / "ws-protocol" / "tests" / "test_permessage_deflate.py"
    run_pytest(session, tests, WS_PROTOCOL_KERNEL="compiled", WS_PROTOCOL_ZLIB="zlib-ng")


@nox.session(python=PYPY, tags=["ci"], requires=["build"])
def pypy(session: nox.Session) -> None:
    """Run the tests of ws-protocol and ws-asyncio on PyPy, if it is there."""
    session.install(*TEST_TOOLS, *TEST_PEERS["ws-asyncio"], *PYPY_TOOLS)
    install_wheels(session, ["ws-protocol", "ws-auth", "ws-asyncio"])
    # The garbage collector is who finds what isn't closed, during another test.
    options = "-W ignore::ResourceWarning"
    for package in ("ws-protocol", "ws-asyncio"):
        run_pytest(session, ROOT / "packages" / package / "tests", PYTEST_ADDOPTS=options)


@nox.session(python="3.13")
def sanitize(session: nox.Session) -> None:
    """Run the tests of ws-protocol on the compiled kernel under AddressSanitizer and UBSan."""
    flags = "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g"
    kernel = build_compiled(session, CFLAGS=flags, LDFLAGS="-fsanitize=address,undefined")
    session.install(*TEST_TOOLS)
    session.install("--no-index", "--force-reinstall", "--no-deps", kernel)
    libraries = [
        subprocess.run(
            [os.environ.get("CC", "cc"), f"-print-file-name={name}"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    run_pytest(
        session,
        *(ROOT / "packages" / "ws-protocol" / "tests" / f"test_{name}.py" for name in SANITIZED),
        # Python frees what it holds until its end, or leaves it to the system.
        ASAN_OPTIONS="detect_leaks=0",
        LD_PRELOAD=" ".join(libraries),
        # Memory of Python's own allocator isn't watched.
        PYTHONMALLOC="malloc",
        WS_PROTOCOL_KERNEL="compiled",
    )


# Versions and releases


def make_directory(session: nox.Session, name: str) -> Path:
    """Return a directory below the session's own, which doesn't exist yet."""
    # What nox makes is relative to where the session is.
    session.chdir(ROOT)
    directory = ROOT / session.create_tmp() / name
    shutil.rmtree(directory, ignore_errors=True)
    return directory


def export_release(session: nox.Session, package: str, version: workspace.Version) -> Path:
    """Write the tree of a release, and return where it is; skip the session if it isn't here."""
    tag = workspace.tag_of(package, version)
    revision = workspace.find_revision(package, version)
    if revision is None:
        session.skip(f"{tag}: {workspace.MISSING}")
    tree = make_directory(session, tag)
    workspace.export(revision, tree)
    return tree


def wheel_of_release(session: nox.Session, package: str, version: workspace.Version) -> str:
    """Return the path of the wheel of a release, which is built from its tree if it isn't there."""
    directory = ROOT / ".nox" / "releases" / workspace.tag_of(package, version)
    if not list(directory.glob("*.whl")):
        tree = export_release(session, package, version)
        session.chdir(tree / "packages" / package)
        session.run("hatchling", "build", "-t", "wheel", "-d", str(tree / "wheel"), silent=True)
        (path,) = (tree / "wheel").glob("*.whl")
        # Other sessions may be at it, too.
        directory.mkdir(parents=True, exist_ok=True)
        path.replace(directory / path.name)
    (path,) = directory.glob("*.whl")
    return str(path)


def last_wheel(session: nox.Session, package: str, floor: workspace.Version = (0, 0, 0)) -> str:
    """Return the path of the wheel of the last release; of this commit's if that is below a floor,
    or there is none."""
    releases = workspace.read_packages()[package].releases
    if not releases or releases[-1] < floor:
        return wheel(package)
    return wheel_of_release(session, package, releases[-1])


def test_with(session: nox.Session, paths: list[str], tree: Path, package: str) -> None:
    """Run a package's tests with certain wheels.

    Args:
        paths: The wheels, that of the package included.
        tree: Where the tests are from: this tree, or that of a release.

    """
    session.install("--no-index", "--force-reinstall", "--no-deps", *paths)
    session.run("python", "-m", "pip", "check", silent=True)
    empty = make_directory(session, "empty")
    empty.mkdir()
    session.chdir(empty)
    arguments = ["-c", str(tree / "pyproject.toml"), "-p", "no:cacheprovider"]
    session.run("python", "-m", "pytest", *arguments, str(tree / "packages" / package / "tests"))


@nox.session(tags=["ci"])
def versions(session: nox.Session) -> None:
    """Check that versions and floors are right for what changed since the last releases."""
    session.install(*RELEASE_TOOLS)
    session.chdir(ROOT)
    session.run("python", "-m", "tools.check_versions")


@nox.session(tags=["ci"])
def tools(session: nox.Session) -> None:
    """Run the tests of tools/."""
    session.install(*TEST_TOOLS, *RELEASE_TOOLS)
    session.chdir(ROOT)
    rcfile = "--rcfile=pyproject.toml"
    arguments = ["--source=tools", "--omit=tools/tests/*,tools/bootstrap.py"]
    session.run("python", "-m", "coverage", "run", rcfile, *arguments, "-m", "pytest", "tools")
    session.run("python", "-m", "coverage", "report", rcfile)


@nox.session(tags=["ci"], requires=["build"])
@nox.parametrize("package", [nox.param(package, id=package) for package in PACKAGES])
def lowest(session: nox.Session, package: str) -> None:
    """Run a package's tests with each sibling at the lowest version that it says it works with."""
    session.install("hatchling>=1.27")
    paths = [wheel(package)]
    differ = False
    packages = workspace.read_packages()
    for requirement in packages[package].requirements:
        path = wheel(requirement.name)
        if requirement.floor in packages[requirement.name].releases:
            path = wheel_of_release(session, requirement.name, requirement.floor)
            differ |= not filecmp.cmp(path, wheel(requirement.name), shallow=False)
        paths.append(path)
    if not differ:
        session.skip("all siblings are as at their floors, so this would be the same as tests")
    session.install(*TEST_TOOLS, *TEST_PEERS.get(package, []))
    test_with(session, paths, ROOT, package)


@nox.session(tags=["ci"], requires=["build"])
@nox.parametrize("package", [nox.param(package, id=package) for package in PACKAGES])
def prior(session: nox.Session, package: str) -> None:
    """Run the tests of the last released dependents of a package, as they were, with this one."""
    session.install("hatchling>=1.27")
    packages = workspace.read_packages()
    this = packages[package]
    if this.releases and filecmp.cmp(wheel(package), last_wheel(session, package), shallow=False):
        session.skip("it is as it was released")
    floors = {required.name: required.floor for required in this.requirements}
    tested = False
    for dependent in PACKAGES:
        releases = packages[dependent].releases
        if package not in SIBLINGS[dependent] or not releases:
            continue
        tree = export_release(session, dependent, releases[-1])
        old = workspace.read_packages(tree)[dependent]
        ranges = [required for required in old.requirements if required.name == package]
        if any(not required.floor <= this.version < (required.cap, 0, 0) for required in ranges):
            session.log(f"{tree.name} doesn't go with {workspace.tag_of(package, this.version)}")
            continue
        tested = True
        session.install(*TEST_TOOLS, *TEST_PEERS.get(dependent, []))
        others = [other for other in SIBLINGS[dependent] if other != package]
        paths = [last_wheel(session, name, floors.get(name, (0, 0, 0))) for name in others]
        paths += [wheel(package), last_wheel(session, dependent)]
        test_with(session, paths, tree, dependent)
    if not tested:
        session.skip("no dependent was released yet that goes with this version")


def get_package(session: nox.Session) -> str:
    """Return the package that the command line names."""
    if len(session.posargs) != 1 or session.posargs[0] not in PACKAGES:
        session.error(f"say which: nox -s {session.name} -- PACKAGE, one of {', '.join(PACKAGES)}")
    return session.posargs[0]


@nox.session
def dist(session: nox.Session) -> None:
    """Build what is published of a package, once, from the last commit, and check it."""
    package = get_package(session)
    session.install(
        *["build>=1.2", "hatchling>=1.27", "twine>=6"], *TEST_TOOLS, *TEST_PEERS.get(package, [])
    )
    tree = make_directory(session, "tree")
    output = ROOT / "dist" / package
    shutil.rmtree(output, ignore_errors=True)
    workspace.export("HEAD", tree)
    # The wheel is made from the source distribution.
    source = tree / "packages" / package
    session.run("python", "-m", "build", "--outdir", str(output), str(source), silent=True)
    files = [str(path) for path in sorted(output.iterdir())]
    session.run("twine", "check", "--strict", *files)
    session.chdir(tree)
    session.run("python", "-m", "tools.release", "check", package, str(output))
    (path,) = output.glob("*.whl")
    # A release has only siblings that were released.
    packages = workspace.read_packages()
    siblings = [
        wheel_of_release(session, name, packages[name].releases[-1]) for name in SIBLINGS[package]
    ]
    test_with(session, [*siblings, str(path)], tree, package)
    session.log(f"Ready to be published, as CONTRIBUTING.md says: {', '.join(files)}")


@nox.session
def release(session: nox.Session) -> None:
    """Release a package: changelog, commit, tag, files. `nox -s release -- ws-protocol`, say."""
    package = get_package(session)
    session.install(*RELEASE_TOOLS)
    session.chdir(ROOT)
    session.run("python", "-m", "tools.release", "prepare", package)
    session.notify("dist", posargs=[package])


@nox.session(tags=["ci"], requires=["build"])
def autobahn(session: nox.Session) -> None:
    """Run the Autobahn testsuite: the quick level, or `nox -s autobahn -- --level full`."""
    session.install("trio>=0.27")
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
    install_wheels(session, ALONE)
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
    session.install("-r", str(ROOT / "docs" / "requirements.txt"), "trio>=0.27")
    install_wheels(session, PACKAGES)
    output = ROOT / "docs" / "_build" / "html"
    session.run("sphinx-build", "-n", "-W", "-q", str(ROOT / "docs"), str(output))
    session.log(f"Open {output / 'index.html'}")


@nox.session(python="3.13", tags=["ci"], requires=["build"])
def uvloop(session: nox.Session) -> None:
    """Run all tests of ws-asyncio on uvloop, which some have anyway."""
    session.install(*TEST_TOOLS, *TEST_PEERS["ws-asyncio"])
    install_wheels(session, ["ws-protocol", "ws-auth", "ws-asyncio"])
    tests = ROOT / "packages" / "ws-asyncio" / "tests"
    run_pytest(session, tests, TEST_EVENT_LOOP="uvloop")


def build_measured(session: nox.Session) -> list[str]:
    """Return the wheels whose speed is measured, with the compiled kernel."""
    return [build_compiled(session), wheel("ws-auth"), wheel("ws-asyncio"), wheel("ws-legacy")]


def measure(session: nox.Session, script: str, wheels: list[str]) -> None:
    """Run a program in benchmarks/, which installs wheels where it measures."""
    session.run("python", str(ROOT / "benchmarks" / script), *session.posargs, "--wheels", *wheels)


@nox.session(python="3.13", requires=["build"])
def benchmark(session: nox.Session) -> None:
    """Measure this project and its peers: a few minutes, or `nox -s benchmark -- --full`."""
    session.install("matplotlib>=3.9")
    measure(session, "run.py", build_measured(session))


@nox.session(python="3.13", tags=["ci"], requires=["build"])
def benchmark_tests(session: nox.Session) -> None:
    """Run the tests of benchmarks/, which do each work a few times, without peers."""
    session.install(*TEST_TOOLS, "matplotlib>=3.9", "uvloop>=0.21")
    install_wheels(session, ["ws-protocol", "ws-auth", "ws-asyncio", "ws-legacy"])
    run_pytest(session, ROOT / "benchmarks" / "tests")


@nox.session(python="3.13", requires=["build"])
def benchmark_sansio(session: nox.Session) -> None:
    """Measure ws-protocol and its peers without I/O: a minute."""
    measure(session, "sansio.py", build_measured(session))


@nox.session(python="3.13", requires=["build"])
def footprint(session: nox.Session) -> None:
    """Measure the size of the packages and the time of importing them: half a minute."""
    measure(session, "footprint.py", [wheel(package) for package in PACKAGES])


@nox.session(requires=["build"])
def demo(session: nox.Session) -> None:
    """Run the demo: a chat server, and a page to open in several windows."""
    install_wheels(session, ALONE)
    session.run("python", str(ROOT / "examples" / "demo" / "server.py"), *session.posargs)
