"""What the packages say about themselves, and the trees of their releases.

Which releases there are is in the changelogs, so that it is known in every copy of the tree. The
trees are in clones with history: at tags, such as ``ws-protocol-v1.2.0``, or where a clone has no
tags, at the commits that these would name.
"""

from __future__ import annotations

import re
import subprocess
import tarfile
import tomllib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

Version = tuple[int, int, int]

MISSING = "this copy of the tree lacks it; in a clone, git fetch --tags --unshallow gets it"


@dataclass(frozen=True)
class Requirement:
    """A range of versions of a sibling: at least ``floor``, and of a lower major than ``cap``."""

    name: str
    floor: Version
    cap: int


@dataclass(frozen=True)
class Package:
    """A distribution of this repository.

    Attributes:
        name: Its name.
        directory: Where it is.
        version: The version of its next release, from ``_version.py``.
        requirements: Siblings it requires, extras included.
        releases: Versions that were released, in order: sections of its changelog with a date.

    """

    name: str
    directory: Path
    version: Version
    requirements: list[Requirement]
    releases: list[Version]

    @property
    def import_name(self) -> str:
        """Name to import it by."""
        return self.name.replace("-", "_")

    @property
    def version_file(self) -> Path:
        """File that has the version."""
        return self.directory / "src" / self.import_name / "_version.py"

    @property
    def changelog(self) -> Path:
        """File that has the changelog."""
        return self.directory / "CHANGELOG.md"

    @property
    def fragments(self) -> list[Path]:
        """What the changelog will say of the next release: the files in ``changelog.d``.

        All of them, so that one with a wrong name isn't passed over without a word.
        """
        return sorted((self.directory / "changelog.d").glob("[!.]*"))


class WorkspaceError(Exception):
    """Something in the repository isn't as it has to be."""


def parse_version(text: str) -> Version:
    """Parse a version in three parts.

    Raises:
        WorkspaceError: It isn't one.

    """
    match = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)", text)
    if match is None:
        raise WorkspaceError(f"{text!r} isn't a version in three parts, such as 1.2.0")
    return int(match[1]), int(match[2]), int(match[3])


def format_version(version: Version) -> str:
    """Return a version as text."""
    return ".".join(map(str, version))


def read_package(directory: Path, siblings: set[str]) -> Package:
    """Read what a package says about itself.

    Args:
        directory: Where it is.
        siblings: Names of all distributions of the repository.

    Raises:
        WorkspaceError: It requires a sibling in another way than ``NAME>=X.Y.Z,<MAJOR``.

    """
    project = tomllib.loads((directory / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name = project["name"]
    texts = [*project.get("dependencies", [])]
    for extra in project.get("optional-dependencies", {}).values():
        texts += extra
    requirements = []
    for text in texts:
        required = re.match(r"[\w-]+", text)
        if required is None or required[0] not in siblings:
            continue
        match = re.fullmatch(r"[\w-]+(?:\[[\w,-]+\])?>=([\d.]+),<(\d+)", text)
        if match is None:
            raise WorkspaceError(f"{name} requires {text!r}, which isn't NAME>=X.Y.Z,<MAJOR")
        requirement = Requirement(required[0], parse_version(match[1]), int(match[2]))
        if requirement not in requirements:
            requirements.append(requirement)
    source = directory / "src" / name.replace("-", "_") / "_version.py"
    found = re.search(r'^__version__ = "(.*)"$', source.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise WorkspaceError(f'{source} doesn\'t say __version__ = "..."')
    changelog = (directory / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"(?m)^## (\d+\.\d+\.\d+) \(\d{4}-\d{2}-\d{2}\)$", changelog)
    releases = sorted(map(parse_version, headings))
    return Package(name, directory, parse_version(found[1]), requirements, releases)


def read_packages(root: Path = ROOT) -> dict[str, Package]:
    """Read what all packages say about themselves, by name."""
    directories = sorted(path.parent for path in root.glob("packages/*/pyproject.toml"))
    siblings = {directory.name for directory in directories}
    return {directory.name: read_package(directory, siblings) for directory in directories}


def git(root: Path, *arguments: str) -> str:
    """Run a command of git; return what it prints.

    Raises:
        WorkspaceError: It fails.

    """
    run = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    if run.returncode:
        raise WorkspaceError(f"git {' '.join(arguments)}: {run.stderr.strip()}")
    return run.stdout


def tag_of(name: str, version: Version) -> str:
    """Return the tag of a release."""
    return f"{name}-v{format_version(version)}"


def subject_of(name: str, version: Version) -> str:
    """Return the subject of the commit that a release is."""
    return f"{name}: Release {format_version(version)}."


def find_revision(name: str, version: Version, root: Path = ROOT) -> str | None:
    """Return the revision that a release is: its tag or its commit; None if neither is here."""
    if not (root / ".git").exists():
        return None
    tag = tag_of(name, version)
    if git(root, "tag", "--list", tag):
        return tag
    subject = subject_of(name, version)
    log = git(root, "log", "--format=%H %s", "--fixed-strings", f"--grep={subject}")
    for line in log.splitlines():
        commit, _, found = line.partition(" ")
        if found == subject:
            return commit
    return None


def export(revision: str, directory: Path, root: Path = ROOT) -> None:
    """Write the tree of a revision into a directory."""
    run = subprocess.run(["git", "archive", revision], cwd=root, capture_output=True, check=False)
    if run.returncode:
        raise WorkspaceError(f"git archive {revision}: {run.stderr.decode().strip()}")
    with tarfile.open(fileobj=BytesIO(run.stdout)) as archive:
        archive.extractall(directory, filter="data")
