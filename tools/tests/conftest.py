"""A repository with two small packages, to release."""

import shutil
import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[1]

PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
dynamic = ["version"]
dependencies = [{dependencies}]

[project.optional-dependencies]
other = ["elsewhere>=1", {dependencies}]
"""


class Repository:
    """A repository in a directory."""

    def __init__(self, root):
        self.root = root

    def git(self, *arguments):
        command = ["git", *arguments]
        run = subprocess.run(command, cwd=self.root, check=True, capture_output=True, text=True)
        return run.stdout

    def write(self, path, text):
        path = self.root / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def read(self, path):
        return (self.root / path).read_text(encoding="utf-8")

    def commit(self, message="A change"):
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)

    def set_version(self, name, version):
        path = f"packages/{name}/src/{name.replace('-', '_')}/_version.py"
        self.write(path, f'"""The version."""\n\n__version__ = "{version}"\n')

    def add_package(self, name, *dependencies):
        package = f"packages/{name}"
        quoted = ", ".join(f'"{dependency}"' for dependency in dependencies)
        text = PROJECT.format(name=name, dependencies=quoted)
        self.write(f"{package}/pyproject.toml", text)
        self.write(f"{package}/CHANGELOG.md", "# Changelog\n\nWords.\n\n## 1.0.0\n\nThe first.\n")
        source = f"{package}/src/{name.replace('-', '_')}"
        self.write(f"{source}/__init__.py", "def greet(name):\n    return name\n")
        self.set_version(name, "1.0.0")


@pytest.fixture
def repository(tmp_path):
    """The repository, before any release: ws-upper requires ws-lower."""
    repository = Repository(tmp_path / "repository")
    repository.root.mkdir()
    repository.git("init", "--quiet")
    repository.git("config", "user.name", "Test")
    repository.git("config", "user.email", "test@example.com")
    repository.add_package("ws-lower")
    repository.add_package("ws-upper", "ws-lower>=1.0.0,<2")
    (repository.root / "tools").mkdir()
    shutil.copy(TOOLS / "towncrier.toml", repository.root / "tools")
    repository.commit()
    return repository


@pytest.fixture
def released(repository):
    """The repository, when both were released, and nothing has happened since."""
    for name in ["ws-lower", "ws-upper"]:
        path = f"packages/{name}/CHANGELOG.md"
        text = repository.read(path).replace("## 1.0.0", "## 1.0.0 (2026-11-24)")
        repository.write(path, text)
        repository.commit(f"{name}: Release 1.0.0.")
        repository.git("tag", f"{name}-v1.0.0")
    return repository
